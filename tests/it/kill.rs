//! SIGKILL at any moment loses nothing that was committed.

use std::path::Path;

use rustix::process::Signal;
use serde_json::Value;
use statesync::pipeline::{COMMIT_ITEMS, OUTSTANDING_MAX};
use statesync::store::{Access, Store};
use statesync::trie::Counts;
use tempfile::TempDir;

use crate::support::{
    Content, Peer, References, STAGING, Seed, Shape, end_by, in_memory, items, rows, spawn, state, statesync,
};

const KILLS: u64 = 20;

/// Some 310,000 nodes.
const LARGE: Shape = Shape { accounts: 75_000, slots: 60 };

/// What is in flight to one peer: requests times items in each.
const WINDOW: u64 = 4 * 384;

/// What a kill can cost: what is handed out and not durable. The pipeline never has more than [`OUTSTANDING_MAX`].
const BOUND: u64 = OUTSTANDING_MAX as u64;

/// What a kill costs on average at most: what is in flight, a commit being written, and two that wait for it.
const AVERAGE: u64 = WINDOW + 3 * COMMIT_ITEMS as u64;

/// How often the whole directory is checked in between; it takes a while.
const CHECK_EVERY: u64 = 5;

fn counted(dir: &Path) -> Counts {
    let store = Store::open(dir, Access::Read).unwrap();
    store.checkpoint().unwrap().map(|checkpoint| checkpoint.counts).unwrap_or_default()
}

fn fetched(counts: &Counts) -> u64 {
    counts.nodes + counts.codes
}

/// `status` on a directory that nobody uses; no counter may have gone down.
fn status(dir: &Path, before: &Value) -> Value {
    let status = statesync(["status", "--datadir", dir.to_str().unwrap(), "--json"]).exits(0).json();
    let root = &status["roots"][0];
    assert_eq!(root["state"], "syncing");
    for counter in ["accounts", "slots", "codes", "nodes"] {
        let [was, is] = [&before["roots"][0], root].map(|root| root[counter].as_u64());
        assert!(is >= was, "{counter} went from {was:?} to {is:?}");
    }
    let [was, is] = [before, &status].map(|status| status["progress"].as_f64());
    assert!(is >= was, "progress went from {was:?} to {is:?}");
    status
}

#[test]
fn a_sync_killed_at_twenty_moments_ends_complete_and_fetches_again_only_what_no_commit_held() {
    let seed = Seed::or(2);
    let mut rng = seed.rng();
    let (memory, [summary]) = in_memory([&state(seed.0, LARGE)]);
    assert!(summary.nodes >= 300_000, "only {} nodes", summary.nodes);
    let references = References::of(&memory, &[summary.root]);
    let total = items(&memory);
    let peer = Peer::honest(&memory);
    let dir = TempDir::new().unwrap();
    let (path, url, root) = (dir.path().to_str().unwrap(), peer.url(), format!("{:?}", summary.root));
    let sync = ["sync", "-r", &url, "--root", &root, "--datadir", path, "--json", "--no-progress"];

    let (mut before, mut status_before, mut lost) = (Counts::default(), Value::Null, Vec::new());
    for kill in 1..=KILLS {
        let served = peer.served();
        // Together less than the whole, so that no run gets to the end.
        peer.allow(1 + rng.below(total / KILLS));
        let child = spawn(&sync);
        peer.wait_for_limit();
        assert_eq!(end_by(Signal::KILL, child).code, None, "it ended before it was killed");
        status_before = status(dir.path(), &status_before);
        let counts = counted(dir.path());
        lost.push(peer.served() - served - (fetched(&counts) - fetched(&before)));
        assert!(lost.last() <= Some(&BOUND), "kill {kill} cost {lost:?}");
        before = counts;
        if kill % CHECK_EVERY == 0 {
            let content = Content::read(dir.path());
            assert_eq!(content.rows(), fetched(&counts), "rows and counters differ after kill {kill}");
            references.assert_complete(&content);
        }
    }

    peer.allow(u64::MAX);
    let report = statesync(sync).exits(0).json();
    assert_eq!(report["complete"], true);
    let counts = counted(dir.path());
    // Nothing that was committed has been fetched again: all runs together count every item once.
    assert_eq!((counts.nodes, counts.codes), (summary.nodes, summary.codes));
    assert_eq!(counts.accounts, summary.accounts);
    let again = peer.served() - total;
    assert_eq!(again, lost.iter().sum::<u64>(), "fetched again and not lost by a kill");
    assert!(again <= KILLS * AVERAGE, "{KILLS} kills cost {again} items");
    eprintln!("{total} items, {KILLS} kills, {again} items fetched again, at most {:?} by one kill", lost.iter().max());

    let verified = statesync(["verify", "--datadir", path, "--json"]).exits(0).json();
    let holds =
        [("nodes", summary.nodes), ("accounts", summary.accounts), ("slots", summary.slots), ("codes", summary.codes)];
    holds.iter().for_each(|(field, count)| assert_eq!(verified[field], *count, "{field}"));
    assert!(rows(dir.path(), STAGING).is_empty());
}
