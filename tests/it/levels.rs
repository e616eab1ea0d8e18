//! Roots that refer to what the store holds where it cannot be: another depth, the other kind, under an extension.

use std::collections::HashMap;
use std::sync::Arc;

use primitive_types::H256;
use rlp::RlpStream;
use statesync::genesis::StateSink;
use statesync::serve::MemoryState;
use statesync::trie::{Account, EMPTY_CODE_HASH, Event, Level, Nibbles, Place, Walk, is_branch, keccak256};
use tempfile::TempDir;

use crate::support::{
    CODES, InMemory, NODES, Peer, SMALL, STAGING, Seed, in_memory, open, options, raw_rows, rows, state, statesync,
    sync, verified,
};

/// A store that holds a state, a peer that serves it and one node more, and the state's nodes by their places.
struct World {
    memory: Arc<MemoryState>,
    root: H256,
    places: Vec<(Place, Vec<u8>)>,
    dir: TempDir,
    _seed: Seed,
}

impl World {
    fn new(seed: u64) -> Self {
        let seed = Seed::or(seed);
        let (memory, [summary]) = in_memory([&state(seed.0, SMALL)]);
        let (peer, dir) = (Peer::honest(&memory), TempDir::new().unwrap());
        let store = open(dir.path());
        assert!(sync(&store, &[peer.url()], options(summary.root)).is_complete());
        let content = InMemory(&memory);
        let places = Walk::new(&content, Place::root(None, summary.root), |_| true).filter_map(|event| match event {
            Ok(Event::Node { place, rlp, .. }) => Some((place, rlp)),
            _ => None,
        });
        let places = places.collect();
        Self { memory, root: summary.root, places, dir, _seed: seed }
    }

    /// The first node that is such.
    fn node(&self, is_it: impl Fn(&Place, &[u8]) -> bool) -> Place {
        self.places.iter().find(|(place, rlp)| is_it(place, rlp)).expect("the state has one").0
    }

    fn peer_with(&self, root: &[u8]) -> Peer {
        let mut memory = MemoryState::clone(&self.memory);
        let Ok(()) = memory.node(Level::ROOT, keccak256(root), root);
        Peer::honest(&Arc::new(memory))
    }

    fn families(&self) -> [HashMap<H256, Vec<u8>>; 3] {
        let dir = self.dir.path();
        [raw_rows(dir, NODES), rows(dir, CODES), rows(dir, STAGING)]
    }

    /// A sync to this root node ends as that to a malformed state, names the place, and stores nothing; unless the root
    /// node itself was staged before what is below it was looked up, which promises nothing.
    fn assert_refused(&self, root: &[u8], says: &[&str]) {
        let before = self.families();
        let (peer, hash) = (self.peer_with(root), format!("{:?}", keccak256(root)));
        let dir = self.dir.path().to_str().unwrap();
        let output = statesync(["sync", "-r", &peer.url(), "--root", &hash, "--datadir", dir]).exits(4);
        for text in [&hash, "malformed"].iter().chain(says) {
            assert!(output.stderr.contains(text), "no {text} in {}", output.stderr);
        }
        let mut after = self.families();
        after[2].remove(&keccak256(root));
        assert!(after == before, "something is stored");
        assert_eq!(verified(&open(self.dir.path()), self.root).nodes, self.memory.nodes().len() as u64);
    }
}

fn branch(children: &[(usize, H256)]) -> Vec<u8> {
    let mut node = RlpStream::new_list(17);
    for nibble in 0..16 {
        match children.iter().find(|(at, _)| *at == nibble) {
            Some((_, hash)) => node.append(hash),
            None => node.append_empty_data(),
        };
    }
    node.append_empty_data();
    node.out().to_vec()
}

fn extension(path: &Nibbles, child: H256) -> Vec<u8> {
    let mut node = RlpStream::new_list(2);
    node.append(&path.hex_prefix_encode(false)).append(&child);
    node.out().to_vec()
}

/// A root with one account that has this storage.
fn account_with(storage_root: H256) -> Vec<u8> {
    let account = Account { nonce: 1, balance: 1.into(), storage_root, code_hash: EMPTY_CODE_HASH };
    let mut node = RlpStream::new_list(2);
    node.append(&Nibbles::from_key(&H256::repeat_byte(7)).hex_prefix_encode(true)).append(&account.encode());
    node.out().to_vec()
}

#[test]
fn a_present_node_at_another_depth_is_malformed() {
    let world = World::new(70);
    let deep = world.node(|place, _| place.owner.is_none() && place.path.len() == 2);
    for (present, at) in [(world.root, 0), (deep.hash, 2)] {
        let root = branch(&[(3, present), (9, world.root)]);
        let level = format!("an account node at depth {at}");
        world.assert_refused(&root, &[&format!("{present:?} at path \"3\""), &level]);
    }
}

#[test]
fn a_present_storage_node_at_another_depth_is_malformed() {
    let world = World::new(71);
    let inner = world.node(|place, _| place.owner.is_some() && place.path.len() == 1);
    let account = format!("of account {:?}", H256::repeat_byte(7));
    let names = ["storage node", &format!("{:?} at path \"\"", inner.hash), &account, "a storage node at depth 1"];
    world.assert_refused(&account_with(inner.hash), &names);
}

#[test]
fn a_present_account_node_as_a_storage_root_is_malformed() {
    let world = World::new(72);
    let names = [&format!("storage node {:?}", world.root), "an account node at depth 0"];
    world.assert_refused(&account_with(world.root), &names);
}

#[test]
fn a_present_storage_root_as_a_state_root_is_malformed() {
    let world = World::new(73);
    let storage = world.places.iter().find(|(place, _)| place.owner.is_some() && place.is_root()).unwrap();
    let names = [&format!("account node {:?} at path \"\"", storage.0.hash), "a storage node at depth 0"];
    world.assert_refused(&storage.1, &names);
}

#[test]
fn a_present_leaf_under_an_extension_is_malformed() {
    let world = World::new(74);
    let leaf = world.node(|place, rlp| place.owner.is_none() && !place.is_root() && !is_branch(rlp));
    let names = [&format!("account node {:?}", leaf.hash), "extension over a leaf or an extension"];
    world.assert_refused(&extension(&leaf.path, leaf.hash), &names);
}

#[test]
fn a_present_branch_under_an_extension_is_taken_as_it_is() {
    let world = World::new(75);
    let over = world.node(|place, rlp| place.owner.is_none() && place.path.len() == 1 && is_branch(rlp));
    let root = extension(&over.path, over.hash);
    let peer = world.peer_with(&root);
    let store = open(world.dir.path());
    let report = sync(&store, &[peer.url()], options(keccak256(&root)));
    assert!(report.is_complete());
    assert_eq!((report.counts.nodes, report.counts.nodes_reused), (1, 1));
    verified(&store, keccak256(&root));
}
