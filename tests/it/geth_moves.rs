//! A real geth whose disk moves while it is synced.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::Value;
use tempfile::TempDir;

use crate::geth::{check, sync_as};
use crate::support::{Geth, Watched, geth_is_wanted, statesync_in};

/// Ends the growth of a chain when it goes, however that comes.
struct Enough<'a>(&'a AtomicBool);

impl Drop for Enough<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Does `during` while the node goes on to import blocks, some at a time.
fn while_it_grows<T>(geth: &Geth, blocks: u64, during: impl FnOnce() -> T) -> T {
    let enough = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !enough.load(Ordering::Relaxed) {
                geth.grow(blocks);
            }
        });
        let _enough = Enough(&enough);
        during()
    })
}

/// A sync that is so slow that the disk moves in the middle of it: eight items a request, and so many requests a second.
fn slow_sync(geth: &Geth, dir: &Path, rate: &str, more: &[&str]) -> Watched {
    let dir = dir.to_str().unwrap();
    let sync = ["sync", "-r", geth.url(), "--block", "latest", "--datadir", dir, "--json"];
    let slow = ["--batch-size", "8", "--requests-per-second", rate];
    // Often, to see where it is; and never for ever.
    let watched = ["--progress-interval", "0.05", "--max-duration", "100"];
    Watched::start(&[&sync, &slow[..], &watched, more].concat())
}

fn is(message: &Value, kind: &str) -> bool {
    message["message_type"] == kind
}

fn has_come_to(share: f64) -> impl Fn(&Value) -> bool {
    move |message| is(message, "status") && message["percent_done"].as_f64() >= Some(share)
}

#[test]
fn a_path_node_whose_disk_moves_and_that_is_restarted_in_the_middle_is_synced_at_where_it_has_come_to() {
    if !geth_is_wanted() {
        return;
    }
    let dir = TempDir::new().unwrap();
    let mut geth = Geth::start(&dir.path().join("node"), &["--scheme", "path"]);
    let (first, synced) = (geth.state("disk"), dir.path().join("synced"));
    let trusted = ["--trusted-block-hash", first["hash"].as_str().unwrap()];
    let mut sync = slow_sync(&geth, &synced, "40", &trusted);
    sync.until("the first nodes", has_come_to(0.02));
    while_it_grows(&geth, 5, || {
        for _ in 0..2 {
            sync.until("a move", |message| is(message, "pivoted"));
        }
    });
    geth.stop();
    geth.start_again(&[]);
    let report = sync.end().exits(0).json();

    let disk = geth.state("disk");
    assert!(disk["number"].as_u64() > first["number"].as_u64(), "{disk}");
    check(&report, &disk, &synced);
    // Of the block that it began with the hash was given; the later ones are linked to it.
    assert_eq!(report["trust"], "linked");
    assert!(report["moves"].as_u64() >= Some(2), "{report}");
    let peer = &report["peers"][0];
    assert!(peer["dialect"] == "path" && peer["corrupt"] == 0, "{peer}");
    assert!(peer["stale"].as_u64() > Some(0) && peer["errors"].as_u64() > Some(0), "{peer}");
    eprintln!("{} moves, {} nodes fetched, {peer}", report["moves"], report["nodes_fetched"]);
}

#[test]
fn a_path_node_that_cannot_be_followed_is_given_up_and_what_came_is_used_when_it_rests() {
    if !geth_is_wanted() {
        return;
    }
    let dir = TempDir::new().unwrap();
    let geth = Geth::start(&dir.path().join("node"), &["--scheme", "path"]);
    let synced = dir.path().join("synced");
    let mut sync = slow_sync(&geth, &synced, "15", &[]);
    // More than it gets of any state later, so that no move gains anything; and not so much that it stays to the end.
    sync.until("a third", has_come_to(0.33));
    let outrun = while_it_grows(&geth, 3, || sync.end()).exits(3);
    assert!(outrun.stderr.contains("moves faster than it can be followed"), "{}", outrun.stderr);
    assert!(outrun.stderr.contains("churn exceeds rate"), "{}", outrun.stderr);
    let report = outrun.json();
    assert!(report["complete"] == false && report["moves"].as_u64() > Some(1), "{report}");

    let again = sync_as(&[geth.url()], "latest", &[], &geth.state("disk"), &synced);
    let verified = statesync_in(&[], &["verify", "--datadir", synced.to_str().unwrap(), "--json"]).exits(0).json();
    let [fetched, nodes] = [&again["nodes_fetched"], &verified["nodes"]].map(|count| count.as_u64().unwrap());
    assert!(fetched < nodes && again["moves"] == 0, "{again} of {nodes} nodes");
    eprintln!("given up after {} moves; then {} of {nodes} nodes were here", report["moves"], nodes - fetched);
}
