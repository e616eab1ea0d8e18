//! What a part of a state answers, and what it refuses; as it is, served, and damaged.

use std::collections::BTreeSet;
use std::path::Path;

use primitive_types::H256;
use serde_json::json;
use statesync::fixture::mainnet_genesis;
use statesync::import::import;
use statesync::serve::MemoryState;
use statesync::trie::{Event, Place, Target, Walk, keccak256};
use tempfile::TempDir;

use super::{World, address_and_key, hex};
use crate::support::{
    InMemory, NODES, Peer, SMALL, STAGING, Seed, Served, ask, imported, in_memory, open, raw_rows, replace, state,
    statesync, statesync_in, successor,
};

/// The account leaves below the first eight nibbles.
fn leaves(memory: &MemoryState, root: H256) -> BTreeSet<H256> {
    let source = InMemory(memory);
    let walk = Walk::new(
        &source,
        Place::root(None, root),
        |target| matches!(target, Target::Node(Place { owner: None, path, .. }) if path.get(0).is_none_or(|first| first < 8)),
    );
    let leaf = |event: Result<Event, _>| match event.unwrap() {
        Event::Node { place, links, .. } if !links.leaves.is_empty() => Some(place.hash),
        _ => None,
    };
    walk.filter_map(leaf).collect()
}

#[test]
fn outside_of_a_part_nothing_is_answered() {
    let world = World::new(404);
    let mut contracts = world.contracts();
    let (inside, outside) = (contracts.next().unwrap(), contracts.next().unwrap());
    let (address, key) = address_and_key(inside);
    let (other, other_key) = address_and_key(outside);
    world.sync(&["--account", &address]);
    for what in [
        &["get", "account", &other][..],
        &["get", "account", &other_key, "--json"],
        &["get", "storage", &other, "1"],
        &["get", "code", &other],
        &["get", "code", &other_key],
        &["proof", &other],
        // Not there at all: that is not known either.
        &["get", "account", &hex(&[0xf1; 20])],
    ] {
        let output = world.run(what).exits(3);
        assert_eq!(output.stdout, "", "{output:?}");
        assert!(
            output.stderr.contains(&format!("is outside of the part of state {} that is here: {key}", world.root()))
        );
        assert!(output.stderr.contains("hint: run `statesync sync --root"), "{output:?}");
        assert!(output.stderr.contains("--account"), "{output:?}");
    }
    // A code is right by its hash, whosever it is.
    let hash = format!("{:?}", keccak256(&inside.code));
    assert_eq!(world.run(&["get", "code", &hash]).exits(0).stdout.trim(), hex(&inside.code));
}

#[test]
fn what_needs_a_whole_state_refuses_a_part_of_one() {
    let world = World::new(405);
    let (dir, [other]) = imported([&state(4050, SMALL)]);
    world.sync(&["--prefix", "0xc"]);
    let (root, url, out) = (world.root(), world.peer.url(), world.dir.path().join("out"));
    let out = out.to_str().unwrap();
    for what in [
        &["export", "--format", "geth-dump", "--out", out][..],
        &["export", "--format", "geth-dump", "--out", out, "--root", &root],
        &["diff", &root, &root],
        &["verify"],
        &["preimages", "fetch", "-r", &url],
        &["preimages", "fetch", "-r", &url, "--root", &root],
        &["repair", "-r", &url],
    ] {
        let output = world.run(what).exits(3);
        assert_eq!(output.stdout, "", "{output:?}");
        assert!(output.stderr.contains("only a part") && output.stderr.contains("0xc"), "{output:?}");
        assert!(output.stderr.contains("hint: run `statesync sync` without --account and --prefix"), "{output:?}");
    }
    assert!(!Path::new(out).exists());
    // A complete state in the same directory is read by default, the part only by its root.
    drop((dir, other));
    let whole = state(4051, SMALL);
    let store = open(world.dir.path());
    let complete = import(&whole, &store).unwrap();
    drop(store);
    let verified = world.run(&["verify", "--json"]).exits(0).json();
    assert_eq!(verified["root"], format!("{:?}", complete.root));
    assert_eq!(world.run(&["verify", "--json", "--root", &root]).exits(0).json()["partial"], true);
}

#[test]
fn a_served_part_answers_inside_and_refuses_outside() {
    let mut genesis = state(407, SMALL);
    genesis.header = mainnet_genesis().unwrap().header;
    let (source, [summary]) = imported([&genesis]);
    let whole = Served::start("--datadir", source.path());
    let dir = TempDir::new().unwrap();
    let path = dir.path().to_str().unwrap();
    let mut contracts = genesis.alloc.values().filter(|account| account.storage.len() > 2 && !account.code.is_empty());
    let (address, key) = address_and_key(contracts.next().unwrap());
    let (other, _) = address_and_key(contracts.next().unwrap());
    statesync(["sync", "-r", &whole.url, "--block", "latest", "--datadir", path, "--account", &address]).exits(0);
    let part = Served::start("--datadir", dir.path());
    for (method, params) in [
        ("eth_getBalance", json!([address, "latest"])),
        ("eth_getTransactionCount", json!([address, "0x0"])),
        ("eth_getCode", json!([address, "latest"])),
        ("eth_getStorageAt", json!([address, "0x1", "latest"])),
        ("eth_getProof", json!([address, ["0x1"], "latest"])),
        ("eth_getBlockByNumber", json!(["latest", false])),
        ("debug_dbGet", json!([format!("{:?}", summary.root)])),
    ] {
        assert_eq!(ask(&part.url, method, &params), ask(&whole.url, method, &params), "{method}");
    }
    for method in ["eth_getBalance", "eth_getCode", "eth_getTransactionCount", "eth_getAccountInfo"] {
        let error = ask(&part.url, method, &json!([other, "latest"]));
        let message = error["message"].as_str().unwrap_or_else(|| panic!("{method}: {error}"));
        assert!(message.contains("is partial") && message.contains(&key), "{message}");
    }
    let error = ask(&part.url, "eth_getProof", &json!([other, [], "latest"]));
    assert!(error["message"].as_str().unwrap().contains("is partial"), "{error}");

    // It is a peer for its part, and for no more.
    let again = TempDir::new().unwrap();
    let root = format!("{:?}", summary.root);
    let sync =
        ["sync", "-r", &part.url, "--root", &root, "--datadir", again.path().to_str().unwrap(), "--account", &address];
    statesync_in(&[], &sync).exits(0);
}

#[test]
fn a_damaged_part_is_found_and_repaired() {
    let world = World::new(408);
    let (_, key) = address_and_key(world.contracts().next().unwrap());
    world.sync(&["--account", &key, "--prefix", "0x8"]);
    let (root, url) = (world.root(), world.peer.url());
    let nodes: Vec<H256> = raw_rows(world.dir.path(), NODES).into_keys().collect();
    let repair = ["repair", "-r", &url, "--root", &root, "--json"];
    for (family, hash, value) in [
        (NODES, *nodes.iter().min().unwrap(), None),
        (NODES, *nodes.iter().max().unwrap(), Some(&b"something else"[..])),
        (STAGING, world.summary.root, Some(&b"something else"[..])),
        (STAGING, world.summary.root, None),
    ] {
        replace(world.dir.path(), family, hash, value);
        world.run(&["verify", "--root", &root]).exits(4);
        let repaired = world.run(&repair).exits(0).json();
        assert_eq!((&repaired["ok"], &repaired["nodes_fetched"]), (&json!(true), &json!(1)), "{repaired}");
        assert!(repaired["scope"].as_array().unwrap().contains(&json!("0x8")), "{repaired}");
        assert_eq!(world.status()["roots"][0]["state"], "partial");
        world.run(&["verify", "--root", &root]).exits(0);
    }
}

#[test]
fn damage_to_what_a_part_shares_with_a_whole_is_repaired_in_both() {
    let seed = Seed::or(413);
    let first = state(seed.0, SMALL);
    let (memory, summaries) = in_memory([&first, &successor(&first, seed.0, 5, SMALL)]);
    let (peer, dir) = (Peer::honest(&memory), TempDir::new().unwrap());
    let (url, path) = (peer.url(), dir.path().to_str().unwrap());
    let [whole, part] = summaries.map(|summary| format!("{:?}", summary.root));
    statesync(["sync", "-r", &url, "--root", &whole, "--datadir", path]).exits(0);
    let sync = ["sync", "-r", &url, "--root", &part, "--datadir", path];
    let halves: Vec<String> = (0..8).flat_map(|nibble| ["--prefix".to_owned(), format!("0x{nibble}")]).collect();
    let halves: Vec<&str> = halves.iter().map(String::as_str).collect();
    statesync_in(&[], &[&sync, &halves[..]].concat()).exits(0);
    // A leaf that both have, in the part.
    let [of_whole, of_part] = summaries.map(|summary| leaves(&memory, summary.root));
    let leaf = *of_whole.intersection(&of_part).next().unwrap();
    replace(dir.path(), NODES, leaf, None);
    let repaired = statesync(["repair", "-r", &url, "--root", &whole, "--datadir", path, "--json"]).exits(0).json();
    assert_eq!((&repaired["nodes_fetched"], &repaired["others"][0]["root"]), (&json!(1), &json!(part)), "{repaired}");
    let status = statesync(["status", "--datadir", path, "--json"]).exits(0).json();
    let mut found: Vec<&str> =
        status["roots"].as_array().unwrap().iter().map(|root| root["state"].as_str().unwrap()).collect();
    found.sort_unstable();
    assert_eq!(found, ["complete", "partial"]);
    for root in [&whole, &part] {
        statesync(["verify", "--datadir", path, "--root", root]).exits(0);
    }
}
