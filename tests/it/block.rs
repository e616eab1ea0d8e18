//! From a block to a state that can be trusted and served.

use std::process::Child;
use std::sync::Arc;

use serde_json::{Value, json};
use statesync::genesis::StateSummary;
use statesync::serve::MemoryState;
use tempfile::TempDir;

use crate::support::{
    MEDIUM, Output, Peer, SMALL, Seed, Shape, Speaks, ended, in_memory, items, spawn, state, statesync_in, successor,
};

struct World {
    memory: Arc<MemoryState>,
    /// The states at blocks 0, 10 and 20; between them, nothing changes.
    states: [StateSummary; 3],
    dir: TempDir,
    _seed: Seed,
}

impl World {
    fn new(seed: u64, shape: Shape) -> Self {
        let seed = Seed::or(seed);
        let first = state(seed.0, shape);
        let second = successor(&first, seed.0 + 1, shape.accounts / 10, shape);
        let third = successor(&second, seed.0 + 2, shape.accounts / 10, shape);
        let (memory, states) = in_memory([&first, &second, &third]);
        Self { memory, states, dir: TempDir::new().unwrap(), _seed: seed }
    }

    fn peer(&self) -> crate::support::Builder {
        let [first, second, third] = &self.states;
        Peer::build(&self.memory).blocks([(0, first.root), (10, second.root), (20, third.root)])
    }

    fn arguments(&self, peers: &[&Peer], more: &[&str]) -> Vec<String> {
        let mut arguments = vec!["sync".to_owned(), "--datadir".into(), self.dir.path().to_str().unwrap().into()];
        peers.iter().for_each(|peer| arguments.extend(["-r".into(), peer.url()]));
        arguments.extend(more.iter().map(|text| (*text).to_owned()));
        arguments
    }

    fn sync(&self, peers: &[&Peer], more: &[&str]) -> Output {
        let arguments = self.arguments(peers, more);
        statesync_in(&[], &arguments.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn json(&self, peers: &[&Peer], more: &[&str]) -> Value {
        self.sync(peers, &[more, &["--json"]].concat()).exits(0).json()
    }

    fn start(&self, peers: &[&Peer], more: &[&str]) -> Child {
        let arguments = self.arguments(peers, more);
        spawn(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn root(&self, state: usize) -> String {
        format!("{:?}", self.states[state].root)
    }
}

#[test]
fn a_tag_a_number_and_a_hash_lead_to_the_header_and_its_root() {
    let world = World::new(80, SMALL);
    let peer = world.peer().finality(5).start();
    let hash = format!("{:?}", peer.block(20).hash);
    for (block, number, state, trust) in
        [("latest", 20, 2, "peer"), ("finalized", 15, 1, "peer"), ("7", 7, 0, "peer"), (&hash, 20, 2, "proved")]
    {
        let report = world.json(&[&peer], &["--block", block]);
        assert_eq!((&report["block_number"], &report["root"]), (&json!(number), &json!(world.root(state))), "{block}");
        assert_eq!(report["trust"], trust, "{block}");
        assert_eq!(report["block_hash"], format!("{:?}", peer.block(number).hash));
    }
}

#[test]
fn without_raw_headers_the_root_is_a_peers_word_and_that_is_said() {
    let world = World::new(81, SMALL);
    let peer = world.peer().without_raw_headers().start();
    let hash = format!("{:?}", peer.block(20).hash);
    let output = world.sync(&[&peer], &["--block", &hash]).exits(0);
    assert!(output.stdout.contains("one peer's word, for the root too"), "{}", output.stdout);
    let output = world.sync(&[&peer], &["--block", "20", "--trusted-block-hash", &hash]).exits(4);
    assert!(output.stderr.contains("raw header"), "{}", output.stderr);
}

#[test]
fn most_peers_decide_on_a_block_and_one_against_one_decides_nothing() {
    let world = World::new(82, SMALL);
    let [first, second, third] = &world.states;
    let honest = [world.peer().start(), world.peer().start()];
    let liar = Peer::build(&world.memory).blocks([(0, first.root), (10, third.root), (20, second.root)]).start();
    let report = world.json(&[&liar, &honest[0], &honest[1]], &["--block", "latest"]);
    assert_eq!((&report["root"], &report["trust"]), (&json!(world.root(2)), &json!("quorum")));

    let output = world.sync(&[&liar, &honest[0]], &["--block", "20"]).exits(4);
    assert!(output.stderr.contains("do not agree") && output.stderr.contains(&liar.url()), "{}", output.stderr);
    let output = world.sync(&[&honest[0], &honest[1]], &["--block", "20", "--quorum", "3"]).exits(4);
    assert!(output.stderr.contains("3 of them have to"), "{}", output.stderr);
    // What has the hash that was given needs nobody's vote.
    let hash = format!("{:?}", honest[0].block(20).hash);
    let report = world.json(&[&liar, &honest[0]], &["--block", &hash]);
    assert_eq!((&report["root"], &report["trust"]), (&json!(world.root(2)), &json!("proved")));
}

#[test]
fn a_peer_that_lags_behind_does_not_hold_the_others_back() {
    let world = World::new(83, SMALL);
    let peers = [world.peer().start(), world.peer().start(), world.peer().start()];
    peers[0].set_head(3);
    peers[1].set_head(18);
    let report = world.json(&[&peers[0], &peers[1], &peers[2]], &["--block", "latest"]);
    assert_eq!((&report["block_number"], &report["root"]), (&json!(18), &json!(world.root(1))));
}

#[test]
fn a_trusted_hash_vouches_for_what_headers_link_to_it() {
    let world = World::new(84, SMALL);
    let peer = world.peer().start();
    let hash = |number: u64| format!("{:?}", peer.block(number).hash);
    for (trusted, trust) in [(20, "proved"), (3, "linked")] {
        let report = world.json(&[&peer], &["--block", "latest", "--trusted-block-hash", &hash(trusted)]);
        assert_eq!(report["trust"], trust);
    }
    let report = world.json(&[&peer], &["--block", "4", "--trusted-block-hash", &hash(19)]);
    assert_eq!((&report["trust"], &report["root"]), (&json!("linked"), &json!(world.root(0))));
    // Another chain's block, although a peer knows it.
    let [first, second, _] = &world.states;
    let other = Peer::build(&world.memory).blocks([(0, second.root), (20, first.root)]).start();
    let foreign = format!("{:?}", other.block(20).hash);
    let output = world.sync(&[&peer], &["--block", "latest", "--trusted-block-hash", &foreign]).exits(4);
    assert!(output.stderr.contains(&foreign), "{}", output.stderr);
}

#[test]
fn the_first_block_of_the_chain_is_pinned() {
    let world = World::new(85, SMALL);
    let peer = world.peer().start();
    world.json(&[&peer], &["--block", "latest"]);
    let [_, second, third] = &world.states;
    let other = Peer::build(&world.memory).blocks([(0, second.root), (20, third.root)]).start();
    let output = world.sync(&[&other], &["--block", "latest"]).exits(12);
    let genesis = format!("{:?}", peer.block(0).hash);
    assert!(output.stderr.contains(&genesis), "{}", output.stderr);
    // Beside one of the right chain it is left out.
    let output = world.sync(&[&other, &peer], &["--block", "latest"]).exits(0);
    assert!(output.stderr.contains(&other.url()) && output.stderr.contains("left out"), "{}", output.stderr);
}

#[test]
fn of_a_node_that_keeps_few_states_the_newest_that_it_has_is_taken() {
    let world = World::new(86, SMALL);
    let peer = world.peer().start();
    peer.prune(&[world.states[2].root]);
    let report = world.json(&[&peer], &["--block", "latest"]);
    assert_eq!((&report["block_number"], &report["root"]), (&json!(19), &json!(world.root(1))));
    assert_eq!(peer.counts().methods["debug_getAccessibleState"], 1);
    let output = world.sync(&[&peer], &["--block", "latest"]).exits(0);
    assert!(output.stderr.contains("no peer can serve block 20"), "{}", output.stderr);
    // Nothing is left at all.
    let bare = world.peer().start();
    bare.prune(&world.states.map(|state| state.root));
    let output = world.sync(&[&bare], &["--block", "latest"]).exits(3);
    assert!(output.stderr.contains("nor a recent one before it"), "{}", output.stderr);
}

/// A peer whose head is block 10, and which has let in a part of the sync of its state.
fn half_way(world: &World) -> Peer {
    let peer = world.peer().start();
    peer.set_head(10);
    peer.allow(items(&world.memory) / 4);
    peer
}

/// The peer loses the state that is being synced and gets to block 20.
fn prune(world: &World, peer: &Peer) {
    peer.wait_for_limit();
    peer.prune(&[world.states[0].root, world.states[1].root]);
    peer.set_head(20);
    peer.allow(u64::MAX);
}

#[test]
fn a_state_that_the_peers_prune_is_left_for_a_newer_one() {
    let world = World::new(87, MEDIUM);
    let peer = half_way(&world);
    let sync = world.start(&[&peer], &["--block", "latest", "--follow", "--json"]);
    prune(&world, &peer);
    let output = ended(sync).exits(0);
    let report = output.json();
    assert_eq!((&report["block_number"], &report["root"]), (&json!(20), &json!(world.root(2))));
    assert_eq!(report["moves"], 1);
    let chased = output.stderr.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let chased: Vec<Value> = chased.filter(|line| line["message_type"] == "chased").collect();
    assert_eq!((chased.len(), &chased[0]["verdict"]), (1, &json!("converging")));
}

#[test]
fn what_vouches_for_the_first_state_is_not_said_of_the_one_that_it_is_left_for() {
    let world = World::new(97, MEDIUM);
    let peer = half_way(&world);
    let hash = format!("{:?}", peer.block(10).hash);
    let sync = ["--block", "latest", "--follow", "--trusted-block-hash", &hash];
    let first = world.json(&[&peer], &[&sync[..], &["--dry-run"]].concat());
    assert_eq!((&first["block_number"], &first["trust"]), (&json!(10), &json!("proved")));
    let sync = world.start(&[&peer], &[&sync[..], &["--json"]].concat());
    prune(&world, &peer);
    let report = ended(sync).exits(0).json();
    assert_eq!(
        (&report["block_number"], &report["trust"], &report["moves"]),
        (&json!(20), &json!("linked"), &json!(1))
    );
}

#[test]
fn a_state_on_disk_that_is_newer_than_the_block_that_was_wanted_is_not_taken() {
    let world = World::new(98, SMALL);
    let [_, second, _] = &world.states;
    // Finality stalls: the disk has come past it.
    let peer = world.peer().speaks(Speaks::Path).disk(second.root).finality(15).start();
    let report = world.json(&[&peer], &["--block", "latest"]);
    assert_eq!((&report["block_number"], &report["root"]), (&json!(19), &json!(world.root(1))));
    for tag in ["safe", "finalized"] {
        let output = world.sync(&[&peer], &["--block", tag]).exits(3);
        let why = "no peer can serve the state of block 5, nor a recent one before it";
        assert!(output.stderr.contains(why) && output.stderr.contains("block 19, which comes after it"), "{output:#?}");
    }
    let earliest = world.json(&[&peer], &["--block", "earliest", "--dry-run"]);
    assert_eq!((&earliest["block_number"], &earliest["root"]), (&json!(0), &json!(world.root(0))));
}

#[test]
fn without_leave_to_follow_a_pruned_state_ends_the_sync() {
    let world = World::new(88, MEDIUM);
    let peer = half_way(&world);
    let sync = world.start(&[&peer], &["--block", "latest"]);
    prune(&world, &peer);
    let output = ended(sync).exits(3);
    assert!(output.stderr.contains("absent") && output.stderr.contains("--follow"), "{}", output.stderr);
    // What came is there for the next.
    let report = world.json(&[&peer], &["--block", "latest"]);
    assert_eq!(report["complete"], true);
    assert!(report["nodes_fetched"].as_u64().unwrap() < world.states[2].nodes, "{report}");
}

#[test]
fn only_a_block_that_moves_can_be_followed() {
    let world = World::new(89, SMALL);
    let peer = world.peer().speaks(Speaks::Hash).start();
    let output = world.sync(&[&peer], &["--block", "20", "--follow"]).exits(2);
    assert!(output.stderr.contains("--follow") && output.stderr.contains("latest"), "{}", output.stderr);
}
