//! Peers that keep the state in different ways, told apart by asking, alone and together.

use std::array::from_fn;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use statesync::genesis::{Genesis, StateSummary};
use statesync::serve::MemoryState;
use tempfile::TempDir;

use crate::support::{
    Limits, MEDIUM, Output, Peer, SMALL, Seed, Shape, Speaks, assert_all_hashes_are_right, ended, in_memory, items,
    spawn, state, statesync_in, successor,
};

const ALL: [(Speaks, &str); 4] = [
    (Speaks::Hash, "hash"),
    (Speaks::Path, "path"),
    (Speaks::HalfPath, "nethermind-halfpath"),
    (Speaks::NethermindHash, "nethermind-hash"),
];

struct World {
    memory: Arc<MemoryState>,
    before: StateSummary,
    after: StateSummary,
    dir: TempDir,
    _seed: Seed,
}

impl World {
    /// A state at block 5 and on, and one some changes later at block 10.
    fn new(seed: u64, shape: Shape) -> Self {
        let seed = Seed::or(seed);
        let before = state(seed.0, shape);
        let after = successor(&before, seed.0 + 1, shape.accounts / 20, shape);
        let (memory, [before, after]) = in_memory([&before, &after]);
        Self { memory, before, after, dir: TempDir::new().unwrap(), _seed: seed }
    }

    /// A peer whose newest block is the tenth.
    fn peer(&self, speaks: Speaks) -> crate::support::Builder {
        Peer::build(&self.memory).speaks(speaks).blocks([(0, self.before.root), (10, self.after.root)])
    }

    fn sync(&self, peers: &[&Peer], more: &[&str]) -> Output {
        let urls: Vec<String> = peers.iter().map(|peer| peer.url()).collect();
        let mut arguments = vec!["sync", "--datadir", self.dir.path().to_str().unwrap(), "--json"];
        urls.iter().for_each(|url| arguments.extend(["-r", url]));
        statesync_in(&[], &[&arguments, more].concat())
    }

    /// Syncs, and checks that the whole state is there.
    fn syncs(&self, peers: &[&Peer], more: &[&str], summary: &StateSummary) -> Value {
        let report = self.sync(peers, more).exits(0).json();
        let root = format!("{:?}", summary.root);
        assert_eq!((&report["root"], &report["complete"]), (&json!(root), &json!(true)));
        let dir = self.dir.path();
        let verify = ["verify", "--datadir", dir.to_str().unwrap(), "--root", &root, "--json"];
        let held = statesync_in(&[], &verify).exits(0).json();
        let expected = [summary.accounts, summary.slots, summary.codes, summary.nodes];
        assert_eq!(["accounts", "slots", "codes", "nodes"].map(|count| held[count].as_u64().unwrap()), expected);
        assert_all_hashes_are_right(dir);
        report
    }
}

#[test]
fn each_dialect_is_found_out_and_spoken() {
    for (speaks, name) in ALL {
        let world = World::new(70, SMALL);
        let peer = world.peer(speaks).start();
        let report = world.syncs(&[&peer], &["--block", "latest"], &world.after);
        assert_eq!((&report["peers"][0]["dialect"], &report["block_number"]), (&json!(name), &json!(10)));
        let figures =
            ["errors", "corrupt", "stale", "absent"].map(|figure| report["peers"][0][figure].as_u64().unwrap());
        assert_eq!(figures, [0; 4], "{name}");
        assert_eq!(report["retries"], 0, "{name}");
    }
}

#[test]
fn peers_of_every_dialect_serve_one_sync_together() {
    let world = World::new(71, MEDIUM);
    let mut peers: Vec<Peer> = ALL.map(|(speaks, _)| world.peer(speaks).start()).into();
    peers.push(world.peer(Speaks::CodesOnly).start());
    let peers: Vec<&Peer> = peers.iter().collect();
    let report = world.syncs(&peers, &["--block", "10", "--batch-size", "32"], &world.after);
    let delivered = |peer: &Value| peer["nodes"].as_u64() > Some(0) && peer["corrupt"] == 0 && peer["errors"] == 0;
    assert!(report["peers"].as_array().unwrap().iter().all(delivered), "{}", report["peers"]);
    assert_eq!(report["peers"][4]["dialect"], "codes");
}

#[test]
fn a_peer_of_codes_alone_is_no_peer_to_sync_from() {
    let world = World::new(72, SMALL);
    let peer = world.peer(Speaks::CodesOnly).start();
    let output = world.sync(&[&peer], &["--block", "10"]).exits(3);
    assert!(output.stderr.contains("serves codes only"), "{}", output.stderr);
}

#[test]
fn a_dialect_that_is_given_is_not_asked_for() {
    let world = World::new(73, SMALL);
    let peer = world.peer(Speaks::Path).start();
    let output = world.sync(&[&peer], &["--block", "10", "--dialect", "hash"]).exits(3);
    assert!(output.stderr.contains("no peer has state"), "{}", output.stderr);
    world.syncs(&[&peer], &["--block", "10", "--dialect", "path"], &world.after);
    let usage = world.sync(&[&peer], &["--block", "10", "--dialect", "snap"]).exits(2);
    assert!(usage.stderr.contains("nethermind-halfpath"), "{}", usage.stderr);
}

#[test]
fn a_path_peer_is_synced_at_the_state_that_it_has_on_disk() {
    let world = World::new(74, SMALL);
    let peer = world.peer(Speaks::Path).disk(world.before.root).start();
    let output = world.sync(&[&peer], &["--block", "latest"]).exits(0);
    let report = output.json();
    assert_eq!(report["block_number"], 9, "the newest block with that state");
    assert_eq!(report["root"], format!("{:?}", world.before.root));
    let plain =
        statesync_in(&[], &["sync", "-n", "-r", &peer.url(), "--block", "latest", "--datadir", "/nonexistent/x"]);
    assert!(plain.exits(0).stdout.contains("no peer can serve block 10"));
    // Without a block that moves, nothing else will do.
    let output = world.sync(&[&peer], &["--block", "10"]).exits(3);
    assert!(output.stderr.contains("another version") && output.stderr.contains("--block latest"), "{}", output.stderr);
}

#[test]
fn a_sync_moves_with_the_disk_of_a_path_peer_and_keeps_what_came() {
    let world = World::new(75, MEDIUM);
    let peer = world.peer(Speaks::Path).disk(world.before.root).start();
    peer.flush_after(items(&world.memory) / 3, world.after.root);
    let report = world.syncs(&[&peer], &["--block", "latest"], &world.after);
    assert_eq!((&report["block_number"], &report["moves"]), (&json!(10), &json!(1)));
    let figures = &report["peers"][0];
    assert!(figures["stale"].as_u64().unwrap() + figures["absent"].as_u64().unwrap() > 0, "{figures}");
    assert_eq!(figures["corrupt"], 0, "another version is nobody's fault");
    let fetched = report["nodes_fetched"].as_u64().unwrap();
    assert!(fetched < world.before.nodes + world.after.nodes / 2, "{fetched}: what both states share came once");
}

#[test]
fn a_state_that_a_path_peer_has_left_is_completed_by_one_that_keeps_all() {
    let world = World::new(76, MEDIUM);
    let path = world.peer(Speaks::Path).disk(world.before.root).start();
    let archive =
        world.peer(Speaks::Hash).limits(Limits { delay: Duration::from_millis(3), ..Limits::default() }).start();
    let report = world.syncs(&[&path, &archive], &["--block", "10", "--batch-size", "32"], &world.after);
    let [path, archive] = [0, 1].map(|peer| &report["peers"][peer]);
    assert!(path["nodes"].as_u64() > Some(0) && path["stale"].as_u64() > Some(0) && path["corrupt"] == 0, "{path}");
    assert!(archive["nodes"].as_u64() > Some(0) && archive["absent"] == 0, "{archive}");
}

#[test]
fn a_path_peer_that_moves_faster_than_it_is_read_is_given_up_with_what_came() {
    let seed = Seed::or(77);
    // Each of them is new in nearly all of its nodes.
    let shape = Shape { accounts: 600, slots: 12 };
    let first = state(seed.0, shape);
    let states: [Genesis; 14] = from_fn(|turn| successor(&first, seed.0 + turn as u64, shape.accounts * 4, shape));
    let (memory, summaries) = in_memory(states.each_ref());
    let roots = summaries.map(|summary| summary.root);
    let blocks = (0..).map(|turn| turn * 10).zip(roots);
    let peer = Peer::build(&memory).speaks(Speaks::Path).blocks(blocks).disk(roots[0]).start();
    let dir = TempDir::new().unwrap();
    let (url, path) = (peer.url(), dir.path().to_str().unwrap().to_owned());
    peer.allow(600);
    let mut arguments = vec!["sync", "-r", &url, "--block", "latest", "--datadir", &path, "--json"];
    arguments.extend(["--batch-size", "32", "--max-duration", "120"]);
    let mut child = spawn(&arguments);
    for root in roots.iter().cycle().skip(1) {
        // Far less of a state is read before the next takes its place, however many come before the sync has moved once.
        while !peer.is_at_limit() && child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        if child.try_wait().unwrap().is_some() {
            break;
        }
        peer.flush(*root);
        peer.allow(20);
    }
    peer.allow(u64::MAX);
    let output = ended(child).exits(3);
    assert!(output.stderr.contains("moves faster than it can be followed"), "{}", output.stderr);
    assert!(output.stderr.contains("churn exceeds rate"), "{}", output.stderr);
    assert_eq!(output.json()["complete"], false);
}
