//! `statesync prune`: only what a kept root reaches stays, whatever happens in between.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use primitive_types::H256;
use rustix::process::Signal;
use serde_json::json;
use statesync::genesis::{Genesis, StateSummary};
use statesync::serve::MemoryState;
use tempfile::TempDir;

use crate::support::{
    Content, DiskFailure, DiskFault, FailIo, MEDIUM, Peer, References, SMALL, Seed, Shape, Watched, copy, in_memory,
    items, open, options, start, state, statesync, statesync_in, successor, sync, verified,
};

const MOVES: usize = 10;

/// States one after the other, a store that was synced to each of them in turn, and what may be in it.
struct Moved {
    dir: TempDir,
    genesis: Vec<Genesis>,
    memory: Arc<MemoryState>,
    summaries: [StateSummary; MOVES + 1],
    references: References,
    peer: Peer,
}

impl Moved {
    fn new(seed: &Seed, shape: Shape, changes: u64) -> Self {
        let mut genesis = vec![state(seed.0, shape)];
        for number in 1..=MOVES as u64 {
            genesis.push(successor(&genesis[genesis.len() - 1], seed.0 + number, changes, shape));
        }
        let (memory, summaries) = in_memory::<{ MOVES + 1 }>(std::array::from_fn(|number| &genesis[number]));
        let roots: Vec<H256> = summaries.iter().map(|summary| summary.root).collect();
        let references = References::of(&memory, &roots);
        let peer = Peer::honest(&memory);
        let dir = TempDir::new().unwrap();
        let store = open(dir.path());
        for root in roots {
            assert!(sync(&store, &[peer.url()], options(root)).is_complete());
        }
        drop(store);
        Self { dir, genesis, memory, summaries, references, peer }
    }

    fn last(&self) -> &StateSummary {
        &self.summaries[MOVES]
    }

    fn arguments(&self, dir: &Path) -> [String; 6] {
        let (dir, root) = (dir.to_str().unwrap(), format!("{:?}", self.last().root));
        ["prune", "--datadir", dir, "--keep", &root, "--json"].map(str::to_owned)
    }

    /// Only the last state is there, and all of it.
    fn assert_only_the_last(&self, dir: &Path) {
        let (content, last) = (Content::read(dir), self.last());
        assert_eq!((content.nodes.len() as u64, content.codes.len() as u64), (last.nodes, last.codes));
        assert_eq!(content.staged.len(), 0);
        let verified = statesync(["verify", "--datadir", dir.to_str().unwrap(), "--json"]).exits(0).json();
        assert_eq!((&verified["nodes"], &verified["slots"]), (&json!(last.nodes), &json!(last.slots)));
        let status = statesync(["status", "--datadir", dir.to_str().unwrap(), "--json"]).exits(0).json();
        assert_eq!(status["roots"].as_array().unwrap().len(), 1);
        assert!(!dir.join("prune").exists());
    }
}

#[test]
fn after_ten_moves_exactly_the_kept_state_stays_and_the_disk_has_the_space_back() {
    let seed = Seed::or(600);
    let moved = Moved::new(&seed, MEDIUM, 800);
    let path = moved.dir.path();
    let before = Content::read(path);
    assert_eq!(before.rows(), items(&moved.memory), "all states are there");
    let [all, last] = [items(&moved.memory), moved.last().nodes + moved.last().codes];
    assert!(last * 3 < all * 2, "there is something to prune: {last} of {all}");

    let arguments = moved.arguments(path);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let planned = statesync_in(&[], &[arguments.as_slice(), &["-n"]].concat()).exits(0).json();
    assert_eq!(Content::read(path), before, "a dry run changes nothing");
    let done = statesync_in(&[], &arguments).exits(0).json();
    for result in [&planned, &done] {
        assert_eq!(result["nodes_kept"], moved.last().nodes);
        assert_eq!(result["codes_kept"], moved.last().codes);
        assert_eq!(result["nodes_removed"], before.nodes.len() as u64 - moved.last().nodes);
        assert_eq!(result["codes_removed"], before.codes.len() as u64 - moved.last().codes);
        assert_eq!(result["dropped"].as_array().unwrap().len(), MOVES);
        assert_eq!(result["kept"], json!([format!("{:?}", moved.last().root)]));
    }
    assert_eq!([&planned["dry_run"], &done["dry_run"]], [true, false]);
    let [bytes_before, bytes] = ["disk_bytes_before", "disk_bytes"].map(|field| done[field].as_u64().unwrap());
    assert!(bytes * 4 < bytes_before * 3, "{bytes} of {bytes_before}");
    moved.assert_only_the_last(path);

    // Another one can be had again: only what is not there is fetched.
    let store = open(path);
    let first = moved.summaries[0];
    let served = moved.peer.served();
    assert!(sync(&store, &[moved.peer.url()], options(first.root)).is_complete());
    let (both, _) = in_memory([&moved.genesis[0], &moved.genesis[MOVES]]);
    assert_eq!(moved.peer.served() - served, items(&both) - last);
    assert_eq!(verified(&store, first.root).slots, first.slots);
    drop(store);
    moved.references.assert_presence_means_completeness(path);
}

#[test]
fn several_roots_stay_side_by_side_and_pruning_again_changes_nothing() {
    let seed = Seed::or(601);
    let moved = Moved::new(&seed, SMALL, 60);
    let path = moved.dir.path().to_str().unwrap();
    let [three, seven] = [3, 7].map(|number: usize| moved.summaries[number].root);
    let [keep_three, keep_seven] = [three, seven].map(|root| format!("{root:?}"));
    let (both, _) = in_memory([&moved.genesis[3], &moved.genesis[7]]);
    for removes in [true, false] {
        let arguments = ["prune", "--datadir", path, "--keep", &keep_seven, &keep_three, "--json"];
        let done = statesync(arguments).exits(0).json();
        assert_eq!(done["nodes_kept"], both.nodes().len() as u64);
        assert_eq!(done["codes_kept"], both.codes().len() as u64);
        assert_eq!(done["nodes_removed"].as_u64().unwrap() > 0, removes);
        let content = Content::read(moved.dir.path());
        let expected: HashSet<H256> = both.nodes().keys().copied().collect();
        assert_eq!(content.nodes.keys().copied().collect::<HashSet<_>>(), expected);
        for root in [&keep_three, &keep_seven] {
            statesync(["verify", "--datadir", path, "--root", root]).exits(0);
        }
    }
    // The checkpoint was the last root's, which is gone.
    let status = statesync(["status", "--datadir", path, "--json"]).exits(0).json();
    assert_eq!(status["roots"].as_array().unwrap().len(), 2);
}

#[test]
fn a_prune_killed_or_failing_at_any_write_leaves_whole_states_and_ends_the_same_when_it_is_run_again() {
    let Some(library) = FailIo::build() else { return };
    let seed = Seed::or(602);
    let moved = Moved::new(&seed, SMALL, 60);
    let (mut kills, mut failures) = (0, 0);
    for op in ["write", "sync", "rename", "create", "remove", "link"] {
        // Every third: with all of them it takes a minute and a half, and each does something else than the one before.
        for at in (1..).step_by(3) {
            let dir = TempDir::new().unwrap();
            let dir = dir.path().join("store");
            copy(moved.dir.path(), &dir);
            let arguments = moved.arguments(&dir);
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let how = if at % 2 == 0 { DiskFailure::Full } else { DiskFailure::Hangs };
            let fault = DiskFault { op, at, how, sticky: at % 4 == 0 };
            let environment = library.fault(&dir, fault);
            if matches!(how, DiskFailure::Hangs) {
                let mut run = Watched::start_in(&environment.pairs(), &arguments);
                if run.find(|message| message["fail_io"] == op).is_none() {
                    run.end().exits(0);
                    break;
                }
                run.signal(Signal::KILL);
                assert_eq!(run.end().code, None, "{fault:?}");
                kills += 1;
            } else {
                let output = statesync_in(&environment.pairs(), &arguments);
                if !output.stderr.contains("fail_io") {
                    output.exits(0);
                    break;
                }
                assert!(matches!(output.code, Some(0 | 1)), "{fault:?}: {:?} {}", output.code, output.stderr);
                failures += 1;
            }
            moved.references.assert_presence_means_completeness(&dir);
            statesync(["verify", "--datadir", dir.to_str().unwrap(), "--root", arguments[4]]).exits(0);
            statesync_in(&[], &arguments).exits(0);
            moved.assert_only_the_last(&dir);
        }
    }
    eprintln!("{kills} kills, {failures} failures of the disk");
    assert!(kills >= 10 && failures >= 10, "{kills} {failures}");
}

#[test]
fn what_cannot_be_kept_for_sure_is_refused_and_nothing_is_dropped() {
    let seed = Seed::or(603);
    let (memory, [a, b]) = {
        let before = state(seed.0, SMALL);
        let after = successor(&before, seed.0 + 1, 60, SMALL);
        in_memory([&before, &after])
    };
    let peer = Peer::honest(&memory);
    let dir = TempDir::new().unwrap();
    let path = dir.path().to_str().unwrap();
    let store = open(dir.path());
    assert!(sync(&store, &[peer.url()], options(a.root)).is_complete());
    let served = peer.served();
    peer.allow(5);
    let running = start(&store, &[peer.url()], options(b.root));
    peer.wait_for_limit();
    running.until_fetched(peer.served() - served);
    running.stop();
    assert!(!running.end().is_complete());
    drop(store);
    peer.allow(u64::MAX);
    let [a, b] = [a.root, b.root].map(|root| format!("{root:?}"));

    let before = Content::read(dir.path());
    let refused = |keep: &str, code: i32, why: &str| {
        let output = statesync(["prune", "--datadir", path, "--keep", &a, "--keep", keep]).exits(code);
        assert!(output.stderr.contains(why) && output.stdout.is_empty(), "{}", output.stderr);
        assert_eq!(Content::read(dir.path()), before, "{why}");
    };
    refused(&b, 3, "is not complete");
    refused(&format!("0x{}", "ab".repeat(32)), 10, "has no state with the root");
    refused("0xab", 2, "not a 0x-prefixed 32-byte hash");
    statesync(["prune", "--datadir", path]).exits(2);
    statesync(["prune", "--datadir", "/nowhere/at/all", "--keep", &a]).exits(10);

    // The unfinished sync goes, and can be begun anew.
    let done = statesync(["prune", "--datadir", path, "--keep", &a, "--json"]).exits(0).json();
    assert_eq!(done["dropped"], json!([b]));
    statesync(["sync", "-r", &peer.url(), "--root", &b, "--datadir", path]).exits(0);
    statesync(["verify", "--datadir", path, "--root", &b]).exits(0);

    // Of a state with something missing nothing is removed either.
    let (lost, _) = Content::read(dir.path())
        .nodes
        .into_iter()
        .find(|(hash, _)| format!("{hash:?}") != a && format!("{hash:?}") != b)
        .unwrap();
    crate::support::replace(dir.path(), "nodes", lost, None);
    let before = Content::read(dir.path());
    let output = statesync(["prune", "--datadir", path, "--keep", &a, &b]).exits(4);
    assert!(output.stderr.contains(&format!("{lost:?} is missing")), "{}", output.stderr);
    assert_eq!(Content::read(dir.path()), before);
}
