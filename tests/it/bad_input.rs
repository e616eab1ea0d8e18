//! What is wrong is said, with what helps, by an exit code that a script can tell, and nothing is lost.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use primitive_types::H256;
use serde_json::Value;
use statesync::genesis::StateSummary;
use statesync::serve::MemoryState;
use tempfile::TempDir;

use crate::support::{
    CODES, DeadPort, NODES, Output, Peer, SMALL, Seed, fixture, in_memory, open, options, raw_rows, replace, rows,
    state, statesync, statesync_in, sync,
};

const ROOT: &str = "0x0707070707070707070707070707070707070707070707070707070707070707";

fn small(seed: u64) -> (Arc<MemoryState>, StateSummary) {
    let (memory, [summary]) = in_memory([&state(Seed::or(seed).0, SMALL)]);
    (memory, summary)
}

fn path(dir: &TempDir) -> &str {
    dir.path().to_str().unwrap()
}

/// Every file with its content.
fn snapshot(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(dir).unwrap().map(Result::unwrap);
    files.map(|file| (file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap())).collect()
}

/// Fails unless the program said what is wrong, and what helps.
fn assert_says(output: &Output, error: &str, hint: &str) {
    let line =
        |start: &str, text: &str| output.stderr.lines().any(|line| line.starts_with(start) && line.contains(text));
    assert!(line("error: ", error), "no error with {error:?} in {}", output.stderr);
    assert!(line("hint: ", hint), "no hint with {hint:?} in {}", output.stderr);
    assert_eq!(output.stdout, "");
}

fn sync_from(url: &str, root: &str, dir: &str) -> Output {
    statesync(["sync", "-r", url, "--root", root, "--datadir", dir])
}

#[test]
fn wrong_usage_exits_with_2_and_touches_nothing() {
    let dir = TempDir::new().unwrap();
    let new = dir.path().join("new");
    let new = new.to_str().unwrap();
    let (file, missing) = (fixture("sepolia"), dir.path().join("missing.json"));
    let (file, missing) = (file.to_str().unwrap(), missing.to_str().unwrap());
    let long = format!("/{}", "long".repeat(50));
    let table: &[&[&str]] = &[
        &[],
        &["fly"],
        &["sync", "--datadir", new, "--root", ROOT],
        &["sync", "--datadir", new, "-r", "http://127.0.0.1:1"],
        &["sync", "--datadir", new, "-r", "http://127.0.0.1:1", "--root", ROOT, "--block", "latest"],
        &["sync", "--datadir", new, "-r", "127.0.0.1:8545", "--root", ROOT],
        &["sync", "--datadir", new, "-r", "not a url", "--root", ROOT],
        &["sync", "--datadir", new, "-r", "http://", "--root", ROOT],
        &["sync", "--datadir", new, "-r", "ftp://127.0.0.1:8546", "--root", ROOT],
        &["sync", "--datadir", new, "-r", "ipc:", "--root", ROOT],
        &["sync", "--datadir", new, "-r", &long, "--root", ROOT],
        &["sync", "--datadir", new, "-r", "http://127.0.0.1:1", "--root", "0x1234"],
        &["sync", "--datadir", new, "-r", "http://127.0.0.1:1", "--root", &ROOT[2..]],
        &["sync", "--datadir", new, "-r", "http://127.0.0.1:1", "--block", "newest"],
        &["sync", "--datadir", new, "-r", "http://127.0.0.1:1", "--root", ROOT, "--batch-size", "0"],
        &["sync", "--datadir", new, "-r", "http://127.0.0.1:1", "--root", ROOT, "--max-duration", "-1"],
        &["sync", "-r", "http://127.0.0.1:1", "--root", ROOT],
        &["serve"],
        &["serve", "--genesis", file, "--datadir", new],
        &["serve", "--genesis", file, "--listen", "nowhere"],
        &["serve", "--genesis", missing],
        &["import", "--genesis", missing, "--datadir", new],
        &["verify"],
        &["completions", "cobol"],
    ];
    for arguments in table {
        let output = statesync_in(&[], arguments);
        assert_eq!(output.code, Some(2), "{arguments:?}: {output:#?}");
        assert_eq!(output.stdout, "", "{arguments:?}");
        assert!(output.stderr.len() > 20, "{arguments:?}: {output:#?}");
        assert!(!Path::new(new).exists(), "{arguments:?} made the directory");
    }
    let unnamed = statesync(["sync", "--root", ROOT, "--datadir", new]).exits(2);
    assert_says(&unnamed, "no peer is given", "ETH_RPC_URL");
    for (url, error) in [("ftp://127.0.0.1:8546", "\"ftp\" is not a transport"), ("::", "\"::\" is not a URL")] {
        let sync = ["sync", "--root", ROOT, "--datadir", new];
        let given = statesync_in(&[], &[&sync[..], &["-r", url]].concat());
        let in_environment = statesync_in(&[("ETH_RPC_URL", url)], &sync);
        for output in [given, in_environment] {
            assert_says(&output.exits(2), error, "http://127.0.0.1:8545");
        }
    }
}

#[test]
fn a_bad_genesis_file_exits_with_2_and_names_the_place() {
    let dir = TempDir::new().unwrap();
    let (file, new) = (dir.path().join("genesis.json"), dir.path().join("new"));
    let table = [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[]", "genesis"),
        ("{}", "alloc"),
        (r#"{"config":{},"gasLimit":"0x1","difficulty":"0x1"}"#, "alloc"),
        (r#"{"alloc":{"0x12":{"balance":"1"}}}"#, "0x12"),
        (r#"{"alloc":{"05a56e2d52c817161883f50c441c3228cfe54d9f":{"balance":"one"}}}"#, "balance"),
        ("\u{28}\u{fffd}", "not JSON"),
    ];
    for (text, place) in table {
        fs::write(&file, text).unwrap();
        let import = ["import", "--genesis", file.to_str().unwrap(), "--datadir", new.to_str().unwrap()];
        let output = statesync(import).exits(2);
        assert!(output.stderr.contains("genesis.json") && output.stderr.contains(place), "{text}: {}", output.stderr);
        assert!(!new.exists(), "{text}");
    }
}

#[test]
fn no_peer_in_reach_exits_with_3() {
    let (one, two, dir) = (DeadPort::new(), DeadPort::new(), TempDir::new().unwrap());
    let (one, two) = (one.url(), two.url());
    let output = statesync(["sync", "-r", &one, "-r", &two, "--root", ROOT, "--datadir", path(&dir)]).exits(3);
    assert_says(&output, "no peer can be reached", "run the same command again");
    assert!(output.stderr.contains(&one) && output.stderr.contains(&two), "{}", output.stderr);
}

#[test]
fn an_unknown_root_exits_with_3_and_names_it() {
    let (memory, _) = small(60);
    let (peer, dir) = (Peer::honest(&memory), TempDir::new().unwrap());
    let output = statesync(["sync", "-r", &peer.url(), "--root", ROOT, "--datadir", path(&dir), "--json"]).exits(3);
    assert!(output.stderr.contains(ROOT) && output.stderr.contains(&peer.url()), "{}", output.stderr);
    assert!(output.stderr.lines().any(|line| line.starts_with("hint: ") && line.contains("newer block")));
    let report = output.json();
    assert_eq!((&report["complete"], &report["root"]), (&Value::Bool(false), &Value::from(ROOT)));
}

#[test]
fn an_unknown_block_exits_with_3_and_names_it() {
    let dir = TempDir::new().unwrap();
    let file = fixture("sepolia");
    let served = crate::support::Served::start("--genesis", &file);
    for block in ["5", "0x5", ROOT] {
        let output = statesync(["sync", "-r", &served.url, "--block", block, "--datadir", path(&dir)]).exits(3);
        assert!(output.stderr.contains("no peer knows block"), "{block}: {}", output.stderr);
        assert!(output.stderr.contains(if block == ROOT { ROOT } else { "block 5" }), "{}", output.stderr);
    }
}

#[test]
fn a_peer_without_the_debug_namespace_exits_with_2() {
    let (memory, _) = small(61);
    let (peer, dir) = (Peer::without_debug(&memory), TempDir::new().unwrap());
    let output = sync_from(&peer.url(), ROOT, path(&dir)).exits(2);
    assert_says(&output, "debug_dbGet", "--http.api eth,debug");
    assert!(output.stderr.contains(&peer.url()));
}

#[test]
fn a_directory_of_another_chain_exits_with_12_and_stays_as_it_is() {
    let (memory, summary) = small(62);
    let (peer, dir) = (Peer::honest(&memory), TempDir::new().unwrap());
    let root = format!("{:?}", summary.root);
    sync_from(&peer.url(), &root, path(&dir)).exits(0);
    let status = || statesync(["status", "--datadir", path(&dir), "--json"]).exits(0).json();
    let before = status();
    let stored = rows(dir.path(), NODES);

    let mut other = MemoryState::clone(&memory);
    other.set_chain_id(5);
    let foreign = Peer::honest(&Arc::new(other));
    let output = sync_from(&foreign.url(), ROOT, path(&dir)).exits(12);
    assert_says(&output, "chain 1", "nothing was changed");
    let sepolia = fixture("sepolia");
    statesync(["import", "--genesis", sepolia.to_str().unwrap(), "--datadir", path(&dir)]).exits(12);
    let after = status();
    assert_eq!((&after["roots"], &after["chain_id"]), (&before["roots"], &before["chain_id"]));
    assert_eq!(rows(dir.path(), NODES), stored);

    // Beside a peer of the right chain the other one is left out.
    let both = statesync(["sync", "-r", &foreign.url(), "-r", &peer.url(), "--root", &root, "--datadir", path(&dir)]);
    let both = both.exits(0);
    assert!(both.stderr.contains("warning: ") && both.stderr.contains(&foreign.url()), "{}", both.stderr);
}

#[test]
fn a_directory_in_use_exits_with_11() {
    let (memory, summary) = small(63);
    let (peer, dir) = (Peer::honest(&memory), TempDir::new().unwrap());
    let root = format!("{:?}", summary.root);
    let store = open(dir.path());
    let file = fixture("sepolia");
    let outputs = [
        sync_from(&peer.url(), &root, path(&dir)),
        statesync(["verify", "--datadir", path(&dir)]),
        statesync(["import", "--genesis", file.to_str().unwrap(), "--datadir", path(&dir)]),
    ];
    for output in outputs {
        assert_says(&output.exits(11), "in use by another process", "nothing was changed");
    }
    drop(store);
    sync_from(&peer.url(), &root, path(&dir)).exits(0);
}

#[test]
fn a_directory_with_other_files_exits_with_2_and_stays_as_it_is() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("thesis.tex"), "years of work").unwrap();
    let before = snapshot(dir.path());
    let output = sync_from("http://127.0.0.1:1", ROOT, path(&dir)).exits(2);
    assert_says(&output, "holds no store", "nothing in it was touched");
    statesync(["status", "--datadir", path(&dir)]).exits(2);
    assert_eq!(snapshot(dir.path()), before);
}

#[test]
fn a_database_of_another_program_exits_with_12_and_stays_as_it_is() {
    let dir = TempDir::new().unwrap();
    let rocks = dir.path().join("rocks");
    {
        let mut options = rocksdb::Options::default();
        options.create_if_missing(true);
        rocksdb::DB::open(&options, &rocks).unwrap().put("someone", "else's").unwrap();
    }
    let families = dir.path().join("families");
    {
        let mut options = rocksdb::Options::default();
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        drop(rocksdb::DB::open_cf(&options, &families, ["blocks"]).unwrap());
    }
    // LevelDB and Pebble name their manifest in a file of the same name.
    let level = dir.path().join("level");
    fs::create_dir(&level).unwrap();
    fs::write(level.join("CURRENT"), "MANIFEST-000001\n").unwrap();
    fs::write(level.join("MANIFEST-000001"), b"\x56\xf9\xb8\xf8\x1c\x00\x01\x01\x1aleveldb.BytewiseComparator")
        .unwrap();
    for dir in [rocks, families, level] {
        let name = dir.to_str().unwrap();
        let before = snapshot(&dir);
        for output in [
            sync_from("http://127.0.0.1:1", ROOT, name),
            statesync(["status", "--datadir", name]),
            statesync(["verify", "--datadir", name]),
        ] {
            assert_says(&output.exits(12), name, "nothing in it was touched");
        }
        assert_eq!(snapshot(&dir), before, "{name}");
    }
}

#[test]
fn a_directory_without_a_store_exits_with_10() {
    let dir = TempDir::new().unwrap();
    let new = dir.path().join("new");
    for dir in [path(&dir), new.to_str().unwrap()] {
        for command in ["status", "verify", "serve"] {
            let output = statesync([command, "--datadir", dir]).exits(10);
            assert_says(&output, "no store in", "--datadir");
        }
    }
    assert!(!new.exists() && snapshot(dir.path()).is_empty());
}

#[test]
fn verify_finds_what_is_missing_and_what_is_corrupt_and_exits_with_4() {
    let (memory, summary) = small(64);
    let (peer, dir) = (Peer::honest(&memory), TempDir::new().unwrap());
    let store = open(dir.path());
    assert!(sync(&store, &[peer.url()], options(summary.root)).is_complete());
    drop(store);
    let verify = || statesync(["verify", "--datadir", path(&dir), "--json"]);
    let leaf = leaf_of(&memory, summary.root);
    let code = *memory.codes().keys().min().unwrap();
    let whole = [NODES, CODES].map(|family| raw_rows(dir.path(), family));
    let mut altered = whole[0][&leaf].clone();
    *altered.last_mut().unwrap() ^= 1;

    let cases = [
        (NODES, leaf, Some(altered), (0, 1)),
        (NODES, leaf, None, (1, 0)),
        (CODES, code, Some(b"other code".to_vec()), (0, 1)),
        (CODES, code, None, (1, 0)),
    ];
    for (family, hash, value, (missing, corrupt)) in cases {
        replace(dir.path(), family, hash, value.as_deref());
        let output = verify().exits(4);
        assert!(output.stderr.contains("error: ") && output.stderr.contains("hint: "), "{}", output.stderr);
        let found = output.json();
        assert_eq!(found["ok"], false);
        assert_eq!((found["missing"].as_u64(), found["corrupt"].as_u64()), (Some(missing), Some(corrupt)), "{found}");
        assert_eq!(found["faults"].as_array().unwrap().len(), 1);
        assert_eq!(found["faults"][0]["hash"], format!("{hash:?}"));
        replace(dir.path(), family, hash, whole.iter().find_map(|rows| rows.get(&hash)).map(Vec::as_slice));
        assert_eq!(verify().exits(0).json()["ok"], true);
    }
    let unknown = statesync(["verify", "--datadir", path(&dir), "--root", ROOT, "--json"]).exits(4).json();
    assert_eq!((&unknown["missing"], &unknown["faults"][0]["hash"]), (&Value::from(1), &Value::from(ROOT)));
}

#[test]
fn verify_without_a_complete_state_exits_with_3() {
    let dir = TempDir::new().unwrap();
    drop(open(dir.path()));
    let output = statesync(["verify", "--datadir", path(&dir)]).exits(3);
    assert_says(&output, "no complete state", "statesync sync");
}

/// A node on the leftmost path that refers to no other.
fn leaf_of(memory: &MemoryState, root: H256) -> H256 {
    let mut hash = root;
    loop {
        let node = rlp::Rlp::new(&memory.nodes()[&hash]);
        let children = node.iter().filter_map(|child| child.data().ok()).filter(|child| child.len() == 32);
        match children.map(H256::from_slice).find(|child| memory.nodes().contains_key(child)) {
            Some(child) => hash = child,
            None => return hash,
        }
    }
}
