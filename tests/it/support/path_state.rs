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

/// One state by path.
#[derive(Debug)]
pub(super) struct PathState {
    root: H256,
    /// Counts the states that a node has had on its disk.
    id: u64,
    nodes: HashMap<(Option<H256>, Nibbles), H256>,
}

impl PathState {
    /// The state at `root`, of which `memory` must have every node.
    pub(super) fn of(memory: &MemoryState, root: H256, id: u64) -> Arc<Self> {
        let source = InMemory(memory);
        let mut nodes = HashMap::new();
        for event in Walk::new(&source, Place::root(None, root), |_| true) {
            match event.unwrap() {
                Event::Node { place, .. } => drop(nodes.insert((place.owner, place.path), place.hash)),
                Event::Code { .. } => {}
                gap => panic!("a state to be served has a gap: {gap:?}"),
            }
        }
        Arc::new(Self { root, id, nodes })
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

/// The state on the disk, and those that take its place.
#[derive(Debug)]
pub(super) struct PathDisk {
    now: Arc<PathState>,
    before: Option<Arc<PathState>>,
    /// States that come after so many reads.
    planned: VecDeque<(u64, Arc<PathState>)>,
    reads: u64,
}

impl PathDisk {
    pub(super) fn new(state: Arc<PathState>) -> Self {
        Self { now: state, before: None, planned: VecDeque::new(), reads: 0 }
    }

    pub(super) fn now(&self) -> &Arc<PathState> {
        &self.now
    }

    /// What was on the disk before the last flush.
    pub(super) fn before(&self) -> Option<&Arc<PathState>> {
        self.before.as_ref()
    }

    pub(super) fn flush(&mut self, state: Arc<PathState>) {
        self.before = Some(std::mem::replace(&mut self.now, state));
    }

    /// Flushes once `reads` more keys have been read, in the middle of a batch if it comes so.
    pub(super) fn flush_after(&mut self, reads: u64, state: Arc<PathState>) {
        self.planned.push_back((self.reads + reads, state));
    }

    /// The id of the last state that is here or planned.
    pub(super) fn last_id(&self) -> u64 {
        self.planned.back().map_or(self.now.id, |(_, state)| state.id)
    }

    /// The state that the next key is read from. A batch is no snapshot: each of its keys is a read of its own.
    pub(super) fn read(&mut self) -> Arc<PathState> {
        while self.planned.front().is_some_and(|(at, _)| *at <= self.reads) {
            let (_, state) = self.planned.pop_front().unwrap();
            self.flush(state);
        }
        self.reads += 1;
        self.now.clone()
    }
}
