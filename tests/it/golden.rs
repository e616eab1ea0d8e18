//! Stores as earlier programs have left them: they open as `docs/STORE-FORMAT.md` says, or are refused.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use primitive_types::H256;
use serde_json::json;
use statesync::genesis::StateSink;
use statesync::serve::MemoryState;
use statesync::store::{Access, FORMAT_VERSION, RootState, Store, StoreError, Totals};
use statesync::trie::{Level, keccak256};
use tempfile::TempDir;

use crate::support::{
    CODES, Content, NODES, Peer, STAGING, Shape, copy, in_memory, items, journal_files, open, options, pack, raw_rows,
    records, rows, start, state, statesync, sync, unpack, verified,
};

/// The state of all golden stores of formats 2 and 3, and what it holds.
const ROOT: &str = "0xef8c2aa0a4a49f0218503f6dcec9b9736cc17c7be6f08f0c9a64a3d689d2b545";
const TOTALS: Totals = Totals { accounts: 24, slots: 42, codes: 6, nodes: 81 };

/// What is staged, complete, and codes, in that of format 3 that is half full.
const HALF: [usize; 3] = [31, 18, 5];

/// A store that holds half of it.
struct Half {
    name: &'static str,
    format: u32,
    /// Nodes that are staged, nodes that are complete, and codes.
    held: [usize; 3],
    /// Nodes and codes that its checkpoint counts, once it was opened for writing.
    counted: u64,
}

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

/// It is sound, and no peer is needed to complete it.
fn assert_is_complete(name: &str) {
    let dir = golden(name);
    for (hash, row) in raw_rows(dir.path(), NODES) {
        assert!(row[0] <= 129 && keccak256(&row[1..]) == hash, "{hash:?}");
    }
    assert_eq!(raw_rows(dir.path(), NODES)[&root()][0], 0, "the level of a state root");
    let path = dir.path().to_str().unwrap();
    statesync(["verify", "--datadir", path]).exits(0);
    let store = open(dir.path());
    assert_eq!(store.chain_id().unwrap(), Some(1));
    let [record] = store.roots().unwrap().try_into().unwrap();
    assert_eq!((record.root, record.state, record.block), (root(), RootState::Complete, None));
    let checkpoint = store.checkpoint().unwrap().unwrap();
    assert_eq!((checkpoint.root, checkpoint.progress.to_bits()), (root(), 1_f64.to_bits()));
    assert_eq!(store.staged_nodes().unwrap(), 0);
    assert_eq!(verified(&store, root()), TOTALS);
    assert_eq!(store.format().unwrap(), FORMAT_VERSION, "opened for writing, it is of this format");
}

/// It holds half of the state, and a sync fetches the rest and no more.
fn assert_is_half(half: &Half) {
    let (dir, content) = (golden(half.name), content());
    let status = statesync(["status", "--datadir", dir.path().to_str().unwrap(), "--json"]).exits(0).json();
    let said = (&status["format_version"], &status["roots"][0]["state"]);
    assert_eq!(said, (&json!(half.format), &json!("syncing")), "{status}");
    let held = [STAGING, NODES, CODES].map(|family| rows(dir.path(), family).len());
    assert_eq!(held, half.held, "{}", half.name);
    let (peer, store) = (Peer::honest(&content), open(dir.path()));
    let counts = store.checkpoint().unwrap().map(|checkpoint| checkpoint.counts).unwrap_or_default();
    assert_eq!(counts.nodes + counts.codes, half.counted, "{}", half.name);
    assert!(sync(&store, &[peer.url()], options(root())).is_complete());
    assert_eq!(peer.served() + held.iter().sum::<usize>() as u64, items(&content));
    assert_eq!(verified(&store, root()), TOTALS);
    assert_eq!(store.format().unwrap(), FORMAT_VERSION);
}

#[test]
fn a_complete_golden_store_is_sound() {
    assert_is_complete("complete");
}

#[test]
fn a_golden_store_that_is_half_full_is_resumed() {
    assert_is_half(&Half { name: "half", format: 3, held: HALF, counted: HALF.iter().sum::<usize>() as u64 });
}

#[test]
fn a_golden_store_with_a_torn_journal_is_what_it_was_before_the_torn_record() {
    // That record had been synced to the disk: how much of the rest its checkpoint counts, nobody knows.
    let [staged, nodes, codes] = HALF;
    assert_is_half(&Half { name: "torn", format: 3, held: [staged - 1, nodes, codes], counted: 0 });
}

#[test]
fn a_complete_golden_store_of_format_2_is_sound_and_becomes_one_of_this_format() {
    assert_is_complete("format-2-complete");
}

#[test]
fn a_golden_store_of_format_2_that_is_half_full_is_resumed() {
    for name in ["format-2-half", "format-2-torn"] {
        assert_is_half(&Half { name, format: 2, held: [16, 24, 5], counted: 45 });
    }
}

#[test]
fn a_golden_store_of_format_1_is_refused_and_left_as_it_is() {
    let dir = golden("format-1");
    let opened = Store::open(dir.path(), Access::Write);
    assert!(matches!(&opened, Err(StoreError::OtherFormat { found, .. }) if found == "format 1"), "{opened:?}");
    for command in ["verify", "status", "serve"] {
        let output = statesync([command, "--datadir", dir.path().to_str().unwrap()]).exits(12);
        assert!(output.stderr.contains("has format 1, this program reads format 3"), "{}", output.stderr);
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
    // A part of it in tables, the next in the journal.
    for share in [items(&memory) / 3, items(&memory) / 6] {
        peer.allow(share);
        let running = start(&store, &[peer.url()], options());
        peer.wait_for_limit();
        running.until_fetched(share);
        running.stop();
        running.end();
        if share > items(&memory) / 6 {
            store.settle().unwrap();
        }
    }
    drop(store);
    pack(dir.path(), &archive("half"), wanted);
    let half = Content::read(dir.path());

    let torn = TempDir::new().unwrap();
    copy(dir.path(), torn.path());
    let journal = journal_files(torn.path());
    let is_cut = |(_, _, path): &&(u64, usize, PathBuf)| {
        records(&std::fs::read(path).unwrap()).last().is_some_and(|(_, record)| !record.is_code)
    };
    let (_, _, file) = journal.iter().find(is_cut).unwrap();
    let bytes = std::fs::read(file).unwrap();
    std::fs::write(file, &bytes[..bytes.len() - 20]).unwrap();
    pack(torn.path(), &archive("torn"), wanted);

    let store = open(dir.path());
    peer.allow(u64::MAX);
    assert!(sync(&store, &[peer.url()], options()).is_complete());
    drop(store);
    pack(dir.path(), &archive("complete"), wanted);
    let held = [half.staged.len(), half.nodes.len(), half.codes.len()];
    eprintln!("{:?} {summary:?} {held:?}", summary.root);
}
