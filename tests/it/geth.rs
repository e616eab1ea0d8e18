//! Against a real geth.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use primitive_types::H256;
use serde_json::Value;
use statesync::genesis::StateSink;
use statesync::serve::MemoryState;
use statesync::trie::Level;
use tempfile::TempDir;

use crate::support::{
    Answer, CODES, Call, DeadPort, Geth, NODES, Outcome, Peer, Request, Rng, geth_is_wanted, rows, statesync_in,
};

/// Syncs a block into `dir`, verifies it, and compares what it holds with what geth counts. Gives the sync's report.
pub(crate) fn sync(urls: &[&str], block: &Value, dir: &Path) -> Value {
    sync_as(urls, &block["number"].to_string(), &[], block, dir)
}

/// The same by any name of the block, and with more arguments.
pub(crate) fn sync_as(urls: &[&str], named: &str, more: &[&str], block: &Value, dir: &Path) -> Value {
    let mut arguments = vec!["sync", "--block", named, "--datadir", dir.to_str().unwrap(), "--json", "--no-progress"];
    urls.iter().for_each(|url| arguments.extend(["-r", url]));
    let report = statesync_in(&[], &[&arguments, more].concat()).exits(0).json();
    check(&report, block, dir);
    report
}

/// Verifies what a sync has stored, and compares it with what geth counts in the block.
pub(crate) fn check(report: &Value, block: &Value, dir: &Path) {
    assert_eq!((&report["root"], &report["block_hash"]), (&block["state_root"], &block["hash"]));
    assert_eq!((&report["block_number"], &report["complete"]), (&block["number"], &true.into()));
    let (root, path) = (block["state_root"].as_str().unwrap(), dir.to_str().unwrap());
    let verified = statesync_in(&[], &["verify", "--datadir", path, "--root", root, "--json"]).exits(0).json();
    for count in ["accounts", "codes", "slots"] {
        assert_eq!(verified[count], block[count], "{count} at block {}", block["number"]);
    }
}

fn stored(dir: &Path, family: &str) -> HashSet<H256> {
    rows(dir, family).into_keys().collect()
}

/// A synced directory's content as a peer's.
fn content(dir: &Path, chain_id: u64) -> MemoryState {
    let mut memory = MemoryState::new();
    for (hash, rlp) in rows(dir, NODES) {
        let Ok(()) = memory.node(Level::ROOT, hash, &rlp);
    }
    for (hash, code) in rows(dir, CODES) {
        let Ok(()) = memory.code(hash, &code);
    }
    memory.set_chain_id(chain_id);
    memory
}

#[test]
fn a_real_geth_is_synced_at_one_block_and_then_at_a_later_one() {
    if !geth_is_wanted() {
        return;
    }
    let dir = TempDir::new().unwrap();
    let node = dir.path().join("node");
    let geth = Geth::start(&node, &[]);
    let (middle, last) = (geth.block("middle"), geth.block("last"));

    let synced = dir.path().join("synced");
    let report = sync(&[geth.url()], middle, &synced);
    let at_middle = stored(&synced, NODES);
    assert_eq!(report["nodes_fetched"], at_middle.len());
    let report = sync(&[geth.url()], last, &synced);
    let both = stored(&synced, NODES);

    // The later block alone, to know what is really in it.
    let fresh = dir.path().join("fresh");
    let whole = sync(&[geth.url()], last, &fresh);
    let at_last = stored(&fresh, NODES);
    assert_eq!(whole["nodes_fetched"], at_last.len());
    assert_eq!(both, &at_middle | &at_last);
    let difference = at_last.difference(&at_middle).count();
    assert!(difference > 0 && difference < at_last.len() / 2, "{difference} of {}", at_last.len());
    assert_eq!(report["nodes_fetched"], difference, "only what differs is fetched");
    eprintln!("block {}: {difference} of {} nodes fetched", last["number"], at_last.len());

    bad_company_changes_nothing(&geth, &whole, &fresh);
    drop(geth);
    without_debug(&node, dir.path());
}

/// One dead, one slow and one lying peer beside geth.
fn bad_company_changes_nothing(geth: &Geth, alone: &Value, synced: &Path) {
    let memory = Arc::new(content(synced, geth.chain["chain_id"].as_u64().unwrap()));
    let dead = DeadPort::new();
    let slow = Peer::new(&memory, |request| Answer::After(Duration::from_millis(30), Box::new(request.honest())));
    let lying = Peer::new(&memory, |request: &Request<'_>| {
        let mut rng = Rng::new(request.number);
        let lie = |call: &Call| call.says(Outcome::Lie(rng.bytes(100)));
        Answer::Batch(request.calls.iter().map(lie).collect())
    });
    let dir = TempDir::new().unwrap();
    let urls = [dead.url(), slow.url(), lying.url(), geth.url().to_owned()];
    let report = sync(&urls.each_ref().map(String::as_str), geth.block("last"), dir.path());
    for count in ["accounts", "slots", "codes", "nodes_fetched", "codes_fetched"] {
        assert_eq!(report[count], alone[count], "{count}");
    }
    assert_eq!(stored(dir.path(), NODES), stored(synced, NODES));
    assert_eq!(stored(dir.path(), CODES), stored(synced, CODES));
    let figures = |url: &String| report["peers"].as_array().unwrap().iter().find(|peer| peer["url"] == **url).unwrap();
    let [dead, slow, lying, geth] = urls.each_ref().map(figures);
    assert!(dead["nodes"] == 0 && dead["errors"].as_u64() > Some(0), "{dead}");
    assert!(slow["nodes"].as_u64() > Some(0) && slow["corrupt"] == 0, "{slow}");
    assert!(lying["nodes"] == 0 && lying["corrupt"].as_u64() > Some(0), "{lying}");
    assert!(geth["nodes"].as_u64() > Some(0) && geth["corrupt"] == 0, "{geth}");
}

fn without_debug(node: &Path, dir: &Path) {
    let geth = Geth::start(node, &["--api", "eth,net,web3"]);
    let path = dir.join("refused");
    let sync = ["sync", "-r", geth.url(), "--block", "latest", "--datadir", path.to_str().unwrap()];
    let output = statesync_in(&[], &sync).exits(2);
    let hint = |line: &str| line.starts_with("hint: ") && line.contains("--http.api eth,debug");
    assert!(output.stderr.contains(geth.url()) && output.stderr.lines().any(hint), "{}", output.stderr);
}

#[test]
fn a_geth_that_is_no_archive_is_synced_at_the_newest_state_that_it_has_kept() {
    const FULL: [&str; 3] = ["--", "--gcmode", "full"];
    if !geth_is_wanted() {
        return;
    }
    let dir = TempDir::new().unwrap();
    let mut geth = Geth::start(&dir.path().join("node"), &FULL);
    let (url, synced) = (geth.url().to_owned(), dir.path().join("synced"));
    let text = ["sync", "-r", &url, "--block", "latest", "--datadir", synced.to_str().unwrap()];
    let nothing = statesync_in(&[], &text).exits(3);
    assert!(nothing.stderr.contains("no peer can serve the state of block 10"), "{}", nothing.stderr);

    // When it ends, it writes the state of its head.
    geth.stop();
    geth.start_again(&FULL);
    let last = geth.block("last").clone();
    let head = sync_as(&[&url], "latest", &[], &last, &dir.path().join("head"));
    assert_eq!(head["trust"], "peer");
    geth.grow(3);
    sync_as(&[&url], "latest", &[], &last, &dir.path().join("kept"));
    let said = statesync_in(&[], &text).exits(0).stderr;
    let why = "no peer can serve block 13, and this is the newest state that one has kept";
    assert!(said.contains("block 10 ") && said.contains(why), "{said}");
}
