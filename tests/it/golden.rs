//! Stores as earlier programs have left them: they open as `docs/STORE-FORMAT.md` says, or are refused.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use primitive_types::H256;
use serde_json::json;
use statesync::genesis::StateSink;
use statesync::serve::MemoryState;
use statesync::store::{Access, RootState, Store, StoreError, Totals};
use statesync::trie::{Level, keccak256};
use tempfile::TempDir;

use crate::support::{
    CODES, NODES, Peer, STAGING, Shape, in_memory, items, open, options, pack, raw_rows, rows, start, state, statesync,
    sync, unpack, verified,
};

/// The state of all golden stores of format 2, and what it holds.
const ROOT: &str = "0xef8c2aa0a4a49f0218503f6dcec9b9736cc17c7be6f08f0c9a64a3d689d2b545";
const TOTALS: Totals = Totals { accounts: 24, slots: 42, codes: 6, nodes: 81 };
/// Nodes in staging, nodes that are complete, and codes, of what is half there.
const HALF: [usize; 3] = [16, 24, 5];

fn archive(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/stores").join(format!("{name}.tar.zst"))
}

/// A copy of a golden store.
fn golden(name: &str) -> TempDir {
    let dir = TempDir::new().unwrap();
    unpack(&archive(name), dir.path());
    dir
}

fn root() -> H256 {
    ROOT.parse().unwrap()
}

/// What the complete one holds, as a peer's.
fn content() -> Arc<MemoryState> {
    let dir = golden("complete");
    let mut memory = MemoryState::new();
    for (hash, rlp) in rows(dir.path(), NODES) {
        let Ok(()) = memory.node(Level::ROOT, hash, &rlp);
    }
    for (hash, code) in rows(dir.path(), CODES) {
        let Ok(()) = memory.code(hash, &code);
    }
    Arc::new(memory)
}

#[test]
fn a_complete_golden_store_is_sound() {
    let dir = golden("complete");
    for (hash, row) in raw_rows(dir.path(), NODES) {
        assert!(row[0] <= 129 && keccak256(&row[1..]) == hash, "{hash:?}");
    }
    assert_eq!(raw_rows(dir.path(), NODES)[&root()][0], 0, "the level of a state root");
    let store = open(dir.path());
    assert_eq!(store.chain_id().unwrap(), Some(1));
    let [record] = store.roots().unwrap().try_into().unwrap();
    assert_eq!((record.root, record.state, record.block), (root(), RootState::Complete, None));
    let checkpoint = store.checkpoint().unwrap().unwrap();
    assert_eq!((checkpoint.root, checkpoint.progress.to_bits()), (root(), 1_f64.to_bits()));
    assert_eq!(store.staged_nodes().unwrap(), 0);
    assert_eq!(verified(&store, root()), TOTALS);
}

/// It holds half of the state, and a sync fetches the rest and no more.
fn assert_is_half(name: &str) {
    let (dir, content) = (golden(name), content());
    let status = statesync(["status", "--datadir", dir.path().to_str().unwrap(), "--json"]).exits(0).json();
    assert_eq!((&status["format_version"], &status["roots"][0]["state"]), (&json!(2), &json!("syncing")), "{status}");
    let held = [STAGING, NODES, CODES].map(|family| rows(dir.path(), family).len());
    assert_eq!(held, HALF, "{name}");
    let (peer, store) = (Peer::honest(&content), open(dir.path()));
    assert!(sync(&store, &[peer.url()], options(root())).is_complete());
    assert_eq!(peer.served() + held.iter().sum::<usize>() as u64, items(&content));
    assert_eq!(verified(&store, root()), TOTALS);
}

#[test]
fn a_golden_store_that_is_half_full_is_resumed() {
    assert_is_half("half");
}

#[test]
fn a_golden_store_with_a_torn_log_is_what_it_was_before_the_torn_record() {
    assert_is_half("torn");
}

#[test]
fn a_golden_store_of_format_1_is_refused_and_left_as_it_is() {
    let dir = golden("format-1");
    let opened = Store::open(dir.path(), Access::Write);
    assert!(matches!(&opened, Err(StoreError::OtherFormat { found, .. }) if found == "format 1"), "{opened:?}");
    for command in ["verify", "status", "serve"] {
        let output = statesync([command, "--datadir", dir.path().to_str().unwrap()]).exits(12);
        assert!(output.stderr.contains("has format 1, this program reads format 2"), "{}", output.stderr);
        assert!(output.stderr.contains("hint: "), "{}", output.stderr);
    }
}

/// `scripts/fixtures --stores` runs this. A golden store is never made anew for a format that has been released.
#[test]
#[ignore = "writes fixtures/stores anew"]
fn write_golden_stores() {
    // Not the database's own diary, nor what only a running program needs.
    let wanted = |name: &str| !name.starts_with("LOG") && name != "LOCK" && name != "IDENTITY";
    let (memory, [summary]) = in_memory([&state(2026, Shape { accounts: 24, slots: 8 })]);
    let peer = Peer::honest(&memory);
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    store.pin_chain(1).unwrap();
    let options = || {
        let mut options = options(summary.root);
        options.limits.batch_items = 8;
        options
    };
    peer.allow(items(&memory) / 2);
    let running = start(&store, &[peer.url()], options());
    peer.wait_for_limit();
    running.until_fetched(peer.served());
    running.stop();
    running.end();
    drop(store);
    pack(dir.path(), &archive("half"), wanted);
    let held = [STAGING, NODES, CODES].map(|family| rows(dir.path(), family).len());

    // Opening moves what is in the log to tables and begins a new log: with the rest of the state in one record.
    let store = open(dir.path());
    peer.allow(u64::MAX);
    assert!(sync(&store, &[peer.url()], options()).is_complete());
    drop(store);
    pack(dir.path(), &archive("complete"), wanted);

    let logs = std::fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().path());
    let log = logs.filter(|file| file.extension().is_some_and(|ending| ending == "log")).max().unwrap();
    let bytes = std::fs::read(&log).unwrap();
    std::fs::write(&log, &bytes[..bytes.len() / 2]).unwrap();
    pack(dir.path(), &archive("torn"), wanted);
    eprintln!("{:?} {summary:?} {held:?}", summary.root);
}
