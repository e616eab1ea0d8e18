//! A sync that is stopped goes on where it was.

use std::io::Read;
use std::net::TcpListener;
use std::sync::Arc;

use rustix::process::Signal;
use serde_json::Value;
use statesync::genesis::StateSummary;
use statesync::pipeline::{Outcome, StopReason};
use statesync::serve::MemoryState;
use statesync::trie::{Counts, EMPTY_ROOT};
use tempfile::TempDir;

use crate::support::{
    MEDIUM, Output, Peer, References, SMALL, STAGING, Seed, end_by, in_memory, items, open, options, rows, spawn,
    start, state, statesync, sync, verified,
};

fn medium(seed: &Seed) -> (Arc<MemoryState>, StateSummary) {
    let (memory, [summary]) = in_memory([&state(seed.0, MEDIUM)]);
    (memory, summary)
}

fn fetched(counts: &Counts) -> u64 {
    counts.nodes + counts.codes
}

#[test]
fn a_stopped_sync_keeps_everything_that_came_and_fetches_only_the_rest() {
    let seed = Seed::or(3);
    let (memory, summary) = medium(&seed);
    let references = References::of(&memory, &[summary.root]);
    let peer = Peer::honest(&memory);
    let dir = TempDir::new().unwrap();

    let store = open(dir.path());
    peer.allow(items(&memory) / 2);
    let running = start(&store, &[peer.url()], options(summary.root));
    peer.wait_for_limit();
    running.until_fetched(peer.served());
    running.stop();
    let first = running.end();
    assert!(matches!(first.outcome, Outcome::Stopped(StopReason::Asked)), "{:?}", first.outcome);
    assert!(first.share > 0.0 && first.share < 1.0, "{}", first.share);
    assert_eq!(store.checkpoint().unwrap().unwrap().counts, first.counts);
    drop(store);
    references.assert_presence_means_completeness(dir.path());
    let staged = rows(dir.path(), STAGING).len() as u64;
    assert!(staged > 0);

    peer.allow(u64::MAX);
    let store = open(dir.path());
    let second = sync(&store, &[peer.url()], options(summary.root));
    assert!(second.is_complete());
    assert_eq!(fetched(&first.counts) + fetched(&second.counts), items(&memory));
    assert_eq!(second.counts.nodes_staged, staged);
    assert!(peer.counts().by_hash.values().all(|times| *times == 1), "something was fetched twice");
    let counts = store.checkpoint().unwrap().unwrap().counts;
    assert_eq!((counts.nodes, counts.codes, counts.accounts), (summary.nodes, summary.codes, summary.accounts));
    assert_eq!(verified(&store, summary.root).slots, summary.slots);
    drop(store);
    assert!(rows(dir.path(), STAGING).is_empty());
}

/// Runs the program against a peer that stops answering in the middle, has it ended by `end`, and lets another run
/// finish. Gives the first run's output.
fn interrupted(seed: &Seed, more: &[&str], code: i32, end: impl Fn(std::process::Child) -> Output) -> Output {
    let (memory, summary) = medium(seed);
    let peer = Peer::honest(&memory);
    let dir = TempDir::new().unwrap();
    let (path, url, root) = (dir.path().to_str().unwrap(), peer.url(), format!("{:?}", summary.root));
    let sync = ["sync", "-r", &url, "--root", &root, "--datadir", path, "--json", "--no-progress"];
    peer.allow(items(&memory) / 2);
    let child = spawn(&[&sync, more].concat());
    peer.wait_for_limit();
    let first = end(child).exits(code);
    let resume = |line: &str| line.starts_with("hint: ") && line.contains("resume") && line.contains(path);
    assert!(first.stderr.lines().any(resume), "{}", first.stderr);
    assert_eq!(first.json()["complete"], false);

    peer.allow(u64::MAX);
    let second = statesync(sync).exits(0);
    let sum = |field: &str| [&first, &second].iter().map(|run| run.json()[field].as_u64().unwrap()).sum::<u64>();
    assert!(first.json()["nodes_fetched"] != 0, "nothing was kept");
    assert_eq!((sum("nodes_fetched"), sum("codes_fetched")), (summary.nodes, summary.codes));
    assert_eq!(sum("accounts"), summary.accounts);
    statesync(["verify", "--datadir", path]).exits(0);
    first
}

#[test]
fn sigint_ends_with_130_and_says_how_to_resume() {
    interrupted(&Seed::or(4), &[], 130, |child| end_by(Signal::INT, child));
}

#[test]
fn sigterm_ends_with_143_and_says_how_to_resume() {
    interrupted(&Seed::or(5), &[], 143, |child| end_by(Signal::TERM, child));
}

#[test]
fn a_time_limit_ends_with_3_and_says_how_to_resume() {
    let seed = Seed::or(6);
    let waited = |child: std::process::Child| {
        let output = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Output { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    };
    interrupted(&seed, &["--max-duration", "1.5"], 3, waited);
}

#[test]
fn a_signal_before_any_peer_has_answered_ends_at_once() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let dir = TempDir::new().unwrap();
    let root = format!("{:?}", primitive_types::H256::repeat_byte(1));
    let path = dir.path().to_str().unwrap();
    let child = spawn(&["sync", "-r", &url, "--root", &root, "--datadir", path, "--rpc-timeout", "1000"]);
    let (mut asked, _) = silent.accept().unwrap();
    assert!(asked.read(&mut [0; 1]).unwrap() > 0);
    end_by(Signal::INT, child).exits(130);
}

#[test]
fn a_complete_state_costs_nothing_when_it_is_synced_again() {
    let seed = Seed::or(7);
    let (memory, [summary]) = in_memory([&state(seed.0, SMALL)]);
    let peer = Peer::honest(&memory);
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    assert!(sync(&store, &[peer.url()], options(summary.root)).is_complete());
    let before = peer.counts();
    let again = sync(&store, &[peer.url()], options(summary.root));
    assert!(again.is_complete());
    let Counts { nodes, codes, nodes_reused, .. } = again.counts;
    assert_eq!((nodes, codes, nodes_reused), (0, 0, 1), "the walk stops at the root");
    assert_eq!(peer.counts().requests, before.requests);
}

#[test]
fn the_empty_state_is_complete_without_any_peer() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    assert!(sync(&store, &[], options(EMPTY_ROOT)).is_complete());
    assert_eq!(verified(&store, EMPTY_ROOT).nodes, 0);
}

#[test]
fn status_can_be_read_while_a_sync_runs() {
    let seed = Seed::or(8);
    let (memory, summary) = medium(&seed);
    let peer = Peer::honest(&memory);
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    peer.allow(items(&memory) / 2);
    let running = start(&store, &[peer.url()], options(summary.root));
    peer.wait_for_limit();
    let fetched = running.until_fetched(peer.served()).counts;
    running.stop();
    running.end();
    // The store is still open here, as it is in a process that syncs.
    let status = statesync(["status", "--datadir", dir.path().to_str().unwrap(), "--json"]).exits(0).json();
    let root: &Value = &status["roots"][0];
    assert_eq!((root["state"].as_str(), root["nodes"].as_u64()), (Some("syncing"), Some(fetched.nodes)));
    assert!(status["staged_nodes"].as_u64() > Some(0));
    let progress = status["progress"].as_f64().unwrap();
    assert!(progress > 0.0 && progress < 1.0, "{progress}");
}
