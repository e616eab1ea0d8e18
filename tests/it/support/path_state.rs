//! The disk of a peer that keeps its nodes by path: one state at a time.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use primitive_types::H256;
use statesync::serve::MemoryState;
use statesync::trie::{Event, Nibbles, Place, Walk};

use super::content::Found;
use super::state::InMemory;

/// The prefixes of geth's keys (`core/rawdb/schema.go`).
const ACCOUNT_NODE: u8 = b'A';
const STORAGE_NODE: u8 = b'O';
const STATE_ID: u8 = b'L';

/// The nodes of a state, by the account whose storage they are in and their path.
pub(super) type Nodes = HashMap<(Option<H256>, Nibbles), H256>;

/// One state by path.
#[derive(Clone, Debug)]
pub(super) struct PathState {
    root: H256,
    /// Counts the states that a node has had on its disk.
    id: u64,
    nodes: Arc<Nodes>,
}

impl PathState {
    pub(super) fn new(root: H256, id: u64, nodes: Arc<Nodes>) -> Self {
        Self { root, id, nodes }
    }

    /// What is under a key, but for codes.
    pub(super) fn find(&self, key: &[u8]) -> Option<Found> {
        match key {
            b"LastStateID" => Some(self.id_found()),
            b"SnapshotRoot" => Some(Found::Plain(self.root.as_bytes().to_vec())),
            [STATE_ID, root @ ..] if root == self.root.as_bytes() => Some(self.id_found()),
            [ACCOUNT_NODE, path @ ..] => self.node(None, path),
            [STORAGE_NODE, rest @ ..] => {
                let (owner, path) = rest.split_at_checked(H256::len_bytes())?;
                self.node(Some(H256::from_slice(owner)), path)
            }
            _ => None,
        }
    }

    fn node(&self, owner: Option<H256>, path: &[u8]) -> Option<Found> {
        let path = Nibbles::from_slice(path)?;
        self.nodes.get(&(owner, path)).copied().map(Found::Node)
    }

    fn id_found(&self) -> Found {
        Found::Plain(self.id.to_be_bytes().to_vec())
    }
}

/// The nodes of the state at `root`, all of which `memory` must have.
pub(super) fn nodes(memory: &MemoryState, root: H256) -> Nodes {
    let source = InMemory(memory);
    let mut nodes = HashMap::new();
    for event in Walk::new(&source, Place::root(None, root), |_| true) {
        match event.unwrap() {
            Event::Node { place, .. } => drop(nodes.insert((place.owner, place.path), place.hash)),
            Event::Code { .. } => {}
            gap => panic!("a state to be served has a gap: {gap:?}"),
        }
    }
    nodes
}

/// The state on the disk, and those that take its place.
#[derive(Debug)]
pub(super) struct PathDisk {
    now: PathState,
    before: Option<PathState>,
    /// States that come after so many reads.
    planned: VecDeque<(u64, PathState)>,
    reads: u64,
}

impl PathDisk {
    pub(super) fn new(state: PathState) -> Self {
        Self { now: state, before: None, planned: VecDeque::new(), reads: 0 }
    }

    pub(super) fn now(&self) -> &PathState {
        &self.now
    }

    /// What was on the disk before the last flush.
    pub(super) fn before(&self) -> Option<&PathState> {
        self.before.as_ref()
    }

    pub(super) fn flush(&mut self, state: PathState) {
        self.before = Some(std::mem::replace(&mut self.now, state));
    }

    /// Flushes once `reads` more keys have been read, in the middle of a batch if it comes so.
    pub(super) fn flush_after(&mut self, reads: u64, state: PathState) {
        self.planned.push_back((self.reads + reads, state));
    }

    /// The id of the last state that is here or planned.
    pub(super) fn last_id(&self) -> u64 {
        self.planned.back().map_or(self.now.id, |(_, state)| state.id)
    }

    /// The state that the next key is read from. A batch is no snapshot: each of its keys is a read of its own.
    pub(super) fn read(&mut self) -> PathState {
        while self.planned.front().is_some_and(|(at, _)| *at <= self.reads) {
            let (_, state) = self.planned.pop_front().unwrap();
            self.flush(state);
        }
        self.reads += 1;
        self.now.clone()
    }
}
