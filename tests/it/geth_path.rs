//! A real geth as it is by default, with one state on its disk.

use std::path::Path;

use primitive_types::H256;
use serde_json::Value;
use statesync::trie::{Event, Place, Walk};
use tempfile::TempDir;

use crate::geth::{sync, sync_as};
use crate::support::{Geth, geth_is_wanted, open, statesync_in};

/// Keys of a request: half of what geth takes.
const BATCH: usize = 500;

/// A node's key in geth's path scheme, in hex: a prefix, the account of a storage trie, and a byte for each nibble.
fn key(place: &Place) -> String {
    let nibbles = hex(&place.path.iter().collect::<Vec<u8>>());
    match place.owner {
        Some(owner) => format!("0x4f{}{nibbles}", hex(owner.as_bytes())),
        None => format!("0x41{nibbles}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    faster_hex::hex_string(bytes)
}

fn root_of(block: &Value) -> H256 {
    block["state_root"].as_str().unwrap().parse().unwrap()
}

/// Every node of a block's state with its place, as it comes from the archive.
fn nodes_of(archive: &Geth, block: &Value, dir: &Path) -> Vec<(Place, Vec<u8>)> {
    sync(&[archive.url()], block, dir);
    let store = open(dir);
    let mut nodes = Vec::new();
    for event in Walk::new(store.as_ref(), Place::root(None, root_of(block)), |_| true) {
        if let Event::Node { place, .. } = event.unwrap() {
            nodes.push((place, store.node(&place.hash).unwrap().unwrap()));
        }
    }
    nodes
}

/// How many of the nodes are under their paths on the node's disk, byte for byte.
fn found(geth: &Geth, nodes: &[(Place, Vec<u8>)]) -> usize {
    let count = |nodes: &[(Place, Vec<u8>)]| {
        let values = geth.read(&nodes.iter().map(|(place, _)| key(place)).collect::<Vec<_>>());
        let same = |(value, (_, rlp)): &(Option<String>, &(Place, Vec<u8>))| *value == Some(format!("0x{}", hex(rlp)));
        values.into_iter().zip(nodes).filter(same).count()
    };
    nodes.chunks(BATCH).map(count).sum()
}

/// A path node and an archive that have the same chain, for all that is asked of both: they take long to start.
#[test]
fn a_path_node_has_one_of_an_archives_states_and_is_synced_by_the_same_command() {
    if !geth_is_wanted() {
        return;
    }
    let dir = TempDir::new().unwrap();
    let archive = Geth::start(&dir.path().join("archive"), &["--blocks", "138"]);
    let mut path = Geth::start(&dir.path().join("path"), &["--scheme", "path", "--ws", "--ipc"]);
    for same in ["blocks", "head"] {
        assert_eq!(archive.chain[same], path.chain[same], "{same}");
    }
    each_is_synced_at_what_it_has(&path, &archive, dir.path());
    both_serve_one_sync(&path, &archive, dir.path());
    a_trusted_hash_vouches_for_what_is_linked_to_it(&path, dir.path());
    the_nodes_are_under_their_paths_for_one_block_that_moves(&path, &archive, dir.path());
    debug_alone_will_do(&mut path, dir.path());
}

fn the_nodes_are_under_their_paths_for_one_block_that_moves(path: &Geth, archive: &Geth, dir: &Path) {
    let before = archive.block("last");
    assert_eq!(path.chain["disk_root"], before["state_root"]);
    assert_eq!(&path.state("disk"), before);
    let nodes_before = nodes_of(archive, before, &dir.join("before"));
    assert_eq!(found(path, &nodes_before), nodes_before.len());
    // By their hashes it has none.
    let hashes: Vec<String> = nodes_before.iter().take(BATCH).map(|(place, _)| format!("{:?}", place.hash)).collect();
    assert!(path.read(&hashes).iter().all(Option::is_none));
    assert!(archive.read(&hashes).iter().all(Option::is_some));

    let (grown, as_archive) = (path.grow(20), archive.grow(20));
    for same in ["blocks", "head"] {
        assert_eq!(grown[same], as_archive[same], "{same}");
    }
    let moved = |state: &Value, by: u64| state["last_state_id"].as_u64().unwrap() + by;
    assert_eq!(moved(&grown, 0), moved(&path.chain, 20));
    let after = archive.state(&grown["disk_block"].to_string());
    assert_eq!(grown["disk_root"], after["state_root"]);
    assert_eq!(path.state("disk"), after);
    let nodes_after = nodes_of(archive, &after, &dir.join("after"));
    assert_eq!(found(path, &nodes_after), nodes_after.len());
    let left = found(path, &nodes_before);
    assert!(left < nodes_before.len() && left > nodes_before.len() / 2, "{left} of {}", nodes_before.len());
    eprintln!("{left} of {} nodes are what they were 20 blocks ago", nodes_before.len());
}

fn figures<'a>(report: &'a Value, url: &str) -> &'a Value {
    report["peers"].as_array().unwrap().iter().find(|peer| peer["url"] == *url).unwrap()
}

fn each_is_synced_at_what_it_has(path: &Geth, archive: &Geth, dir: &Path) {
    let (disk, head) = (path.state("disk"), archive.state("head"));
    assert_eq!(disk["number"], path.chain["disk_block"]);
    for (geth, block, dialect) in [(archive, &head, "hash"), (path, &disk, "path")] {
        let report = sync_as(&[geth.url()], "latest", &[], block, &dir.join(format!("by {dialect}")));
        assert_eq!((&report["trust"], &report["moves"]), (&"peer".into(), &0.into()));
        let peer = figures(&report, geth.url());
        assert_eq!((&peer["dialect"], &peer["errors"], &peer["stale"]), (&dialect.into(), &0.into(), &0.into()));
    }
    for wire in ["ws", "ipc"] {
        let url = path.chain[wire].as_str().unwrap();
        let report = sync_as(&[url], "latest", &[], &disk, &dir.join(format!("over {wire}")));
        assert_eq!(figures(&report, url)["dialect"], "path");
    }
}

fn debug_alone_will_do(path: &mut Geth, dir: &Path) {
    let (disk, synced) = (path.state("disk"), dir.join("debug alone"));
    path.stop();
    path.start_again(&["--api", "debug"]);
    sync_as(&[path.url()], "latest", &[], &disk, &synced);
    let status = statesync_in(&[], &["status", "--datadir", synced.to_str().unwrap(), "--json"]).exits(0).json();
    assert_eq!(status["chain_id"], path.chain["chain_id"]);
}

fn both_serve_one_sync(path: &Geth, archive: &Geth, dir: &Path) {
    let urls = [path.url(), archive.url()];
    // Small batches, so that both are asked often.
    let small = ["--batch-size", "8"];
    let disk = path.state("disk");
    let report = sync_as(&urls, &disk["number"].to_string(), &small, &disk, &dir.join("both, disk"));
    assert_eq!(report["trust"], "quorum");
    for (url, dialect) in urls.iter().zip(["path", "hash"]) {
        let peer = figures(&report, url);
        assert!(peer["dialect"] == dialect && peer["nodes"].as_u64() > Some(0), "{peer}");
        assert!(peer["stale"] == 0 && peer["absent"] == 0 && peer["corrupt"] == 0, "{peer}");
    }
    // What the two states have in common comes from either.
    let report = sync_as(&urls, "latest", &small, &archive.state("head"), &dir.join("both, head"));
    let [old, whole] = urls.map(|url| figures(&report, url));
    assert!(old["nodes"].as_u64() > Some(0) && old["stale"].as_u64() > Some(0) && old["corrupt"] == 0, "{old}");
    assert!(whole["nodes"].as_u64() > Some(0) && whole["stale"] == 0 && whole["absent"] == 0, "{whole}");
}

fn a_trusted_hash_vouches_for_what_is_linked_to_it(path: &Geth, dir: &Path) {
    let disk = &path.state("disk");
    let (ancestor, descendant) = (path.block("middle")["hash"].clone(), path.chain["head"]["hash"].clone());
    let trusted = [(&disk["hash"], "proved"), (&ancestor, "linked"), (&descendant, "linked")];
    for (number, (hash, trust)) in trusted.into_iter().enumerate() {
        let more = ["--trusted-block-hash", hash.as_str().unwrap()];
        let report = sync_as(&[path.url()], "latest", &more, disk, &dir.join(format!("trusted {number}")));
        assert_eq!(report["trust"], trust);
    }
    let foreign = format!("{:?}", H256::repeat_byte(0xab));
    let synced = dir.join("foreign");
    let sync = ["sync", "-r", path.url(), "--block", "latest", "--trusted-block-hash", &foreign];
    let refused = statesync_in(&[], &[&sync[..], &["--datadir", synced.to_str().unwrap()]].concat()).exits(4);
    assert!(refused.stderr.contains("is not linked to the trusted block"), "{}", refused.stderr);
}
