//! Any operations in any order: the store says what a map says that knows the rules.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::*;
use crate::store::RoundLimits;

/// Rounds so small that many are filled.
const LIMITS: RoundLimits = RoundLimits { rows: 7, bytes: 1 << 20 };

/// Different nodes and codes.
const ITEMS: u32 = 24;

#[derive(Clone, Debug)]
enum Operation {
    /// Nodes are staged, nodes become complete, codes come; on the disk, or in the log.
    Commit {
        stage: Vec<u32>,
        complete: Vec<u32>,
        codes: Vec<u32>,
        has_bytes: bool,
        is_synced: bool,
    },
    /// The root is complete.
    Last,
    Settle,
    ClearStaging,
    /// The store is closed and opened.
    Reopen,
    /// The process dies.
    Kill,
}

fn operation() -> impl Strategy<Value = Operation> {
    let numbers = || proptest::collection::vec(0..ITEMS, 0..5);
    let commit = (numbers(), numbers(), numbers(), any::<bool>(), any::<bool>());
    let commit = commit.prop_map(|(stage, complete, codes, has_bytes, is_synced)| Operation::Commit {
        stage,
        complete,
        codes,
        has_bytes,
        is_synced,
    });
    prop_oneof![
        12 => commit,
        1 => Just(Operation::Last),
        1 => Just(Operation::Settle),
        1 => Just(Operation::ClearStaging),
        1 => Just(Operation::Reopen),
        2 => Just(Operation::Kill),
    ]
}

/// What is known of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    Staged,
    /// In the journal: staged again after a kill.
    Complete,
    /// In the database.
    Settled,
}

#[derive(Debug, Default)]
struct Model {
    nodes: BTreeMap<u32, Node>,
    codes: BTreeSet<u32>,
}

impl Model {
    fn settle(&mut self) {
        self.nodes.values_mut().filter(|node| **node == Node::Complete).for_each(|node| *node = Node::Settled);
    }

    fn die(&mut self) {
        self.nodes.values_mut().filter(|node| **node == Node::Complete).for_each(|node| *node = Node::Staged);
    }

    /// A commit as the scheduler makes them: what is there is not staged, what is complete does not become so.
    fn commit(&mut self, operation: &Operation) -> Commit {
        let Operation::Commit { stage, complete: done, codes, has_bytes, .. } = operation else { unreachable!() };
        let mut made = Commit::default();
        for number in stage {
            if !self.nodes.contains_key(number) {
                self.nodes.insert(*number, Node::Staged);
                made.stage.push(item(*number));
            }
        }
        // Nor is one completed in the commit that stages it.
        for number in done {
            let (hash, bytes) = item(*number);
            if made.stage.iter().any(|(staged, _)| *staged == hash) {
                continue;
            }
            let before = self.nodes.get(number).copied();
            let is_staged = before == Some(Node::Staged);
            if before.is_none() || is_staged {
                let bytes = (!is_staged || *has_bytes).then_some(bytes.as_slice());
                made.complete.push(complete(node_at(hash), bytes, is_staged));
                self.nodes.insert(*number, Node::Complete);
            }
        }
        for number in codes {
            let (hash, bytes) = item(*number);
            if self.codes.insert(*number) {
                made.complete.push(complete(code_at(hash), Some(&bytes), false));
            }
        }
        made
    }

    fn assert_same(&self, store: &Store) {
        let items: Vec<(H256, Vec<u8>)> = (0..ITEMS).map(item).collect();
        let keys: Vec<Key> = items.iter().flat_map(|(hash, _)| [node_at(*hash), code_at(*hash)]).collect();
        let mut presences = store.presence(&keys).unwrap().into_iter();
        for (number, (hash, bytes)) in (0..).zip(&items) {
            let node = self.nodes.get(&number);
            let expected = match node {
                None => Presence::Absent,
                Some(Node::Staged) => Presence::Staged(bytes.clone()),
                Some(_) => NODE,
            };
            assert_eq!(presences.next(), Some(expected), "node {number}");
            let has_code = self.codes.contains(&number);
            assert_eq!(presences.next(), Some(if has_code { CODE } else { Presence::Absent }), "code {number}");
            let is_complete = node.is_some_and(|node| *node != Node::Staged);
            assert_eq!(store.node(hash).unwrap(), is_complete.then(|| bytes.clone()));
            assert_eq!(store.code(hash).unwrap(), has_code.then(|| bytes.clone()));
        }
        // What is in the database is settled, so that others read nothing that is not.
        let settled = self.nodes.values().filter(|node| **node == Node::Settled).count();
        assert_eq!(family_rows(store, "nodes"), settled);
    }
}

fn run(operations: &[Operation]) {
    let mut dir = TempDir::new().unwrap();
    let mut store = Store::open_with(dir.path(), Access::Create, memory(LIMITS)).unwrap();
    let mut model = Model::default();
    for operation in operations {
        let round = journal(&store).mark().round;
        match operation {
            Operation::Commit { is_synced, .. } => {
                let commit = model.commit(operation);
                let durability = if *is_synced { Durability::Disk } else { Durability::Log };
                store.commit(&commit, &Marks::default(), durability).unwrap();
                journal(&store).wait().unwrap();
                // The round was full.
                if journal(&store).mark().round > round {
                    model.settle();
                }
            }
            Operation::Last => {
                let root = RootRecord { state: RootState::Complete, ..RootRecord::syncing(hash(1), None) };
                let marks = Marks { root: Some(root), checkpoint: None };
                store.commit(&Commit::default(), &marks, Durability::Log).unwrap();
                model.settle();
            }
            Operation::Settle => {
                store.settle().unwrap();
                model.settle();
            }
            Operation::ClearStaging => {
                store.clear_staging().unwrap();
                model.settle();
                model.nodes.retain(|_, node| *node != Node::Staged);
            }
            Operation::Reopen => {
                drop(store);
                store = Store::open_with(dir.path(), Access::Write, memory(LIMITS)).unwrap();
                model.die();
            }
            Operation::Kill => {
                (dir, store) = killed(&dir, store, LIMITS);
                model.die();
            }
        }
        model.assert_same(&store);
    }
}

/// Each opens a database some times.
fn cases() -> ProptestConfig {
    let default = ProptestConfig::default();
    let seed = if let RngSeed::Fixed(chosen) = default.rng_seed { chosen } else { 47 };
    ProptestConfig { cases: 16, failure_persistence: None, rng_seed: RngSeed::Fixed(seed), ..default }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn whatever_is_done_the_store_says_what_a_map_says(operations in proptest::collection::vec(operation(), 1..40)) {
        run(&operations);
    }
}
