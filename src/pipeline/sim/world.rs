//! The states of a run: a few, each some changes after the one before.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::convert::Infallible;

use primitive_types::{H256, U256};

use super::rng::Rng;
use crate::trie::scheduler_tests::source::{Body, Source, State};
use crate::trie::scheduler_tests::states::{hashed, storage, tiny};
use crate::trie::{Event, Key, Kind, Nibbles, NodeSource, Place, Scope, StoredNode, Target, Walk};

/// Nodes by owner and path.
type Places = HashMap<(Option<H256>, Vec<u8>), H256>;

/// States that follow each other, as an independent implementation builds them.
pub(super) struct World {
    pub(super) states: Vec<Source>,
    /// Nodes by their place, for peers that keep one state by path.
    pub(super) by_place: Vec<Places>,
    /// All of them together.
    pub(super) bytes: HashMap<Key, Vec<u8>>,
}

impl World {
    pub(super) fn new(rng: &mut Rng) -> Self {
        let accounts = 1 + rng.below(60);
        let mut state: State = (0..accounts).map(|number| (hashed(number), body(rng))).collect();
        let mut states = vec![Source::new(state.clone())];
        for _ in 0..rng.below(3) {
            change(&mut state, rng);
            states.push(Source::new(state.clone()));
        }
        let by_place = states.iter().map(places).collect();
        let things = states.iter().flat_map(|source| &source.things);
        let bytes = things.map(|(key, thing)| (*key, thing.bytes.clone())).collect();
        Self { states, by_place, bytes }
    }

    /// The state with this root.
    pub(super) fn state(&self, root: H256) -> usize {
        self.states.iter().position(|state| state.root == root).unwrap()
    }
}

/// What a part of a state takes, by its definition: what is on the way to it, and what is in it.
#[derive(Debug, Default)]
pub(super) struct Part {
    pub(super) above: BTreeSet<Key>,
    pub(super) within: BTreeSet<Key>,
}

impl Part {
    pub(super) fn of(source: &Source, scope: &Scope) -> Self {
        let begins = |path: &Nibbles| scope.prefixes().iter().any(|prefix| path.starts_with(prefix));
        let leads = |path: &Nibbles| scope.prefixes().iter().any(|prefix| prefix.starts_with(path));
        let mut part = Self::default();
        let walk = Walk::new(source, Place::root(None, source.root), |target| {
            let (kind, owner) = match target {
                Target::Node(Place { owner: None, path, .. }) => {
                    let key = Key { kind: Kind::AccountNode, hash: target.hash() };
                    match (begins(path), leads(path)) {
                        (true, _) => drop(part.within.insert(key)),
                        (false, true) => drop(part.above.insert(key)),
                        (false, false) => return false,
                    }
                    return true;
                }
                Target::Node(Place { owner: Some(owner), .. }) => (Kind::StorageNode, owner),
                Target::Code { owner, .. } => (Kind::Code, owner),
            };
            let is_within = begins(&Nibbles::from_key(owner));
            if is_within {
                part.within.insert(Key { kind, hash: target.hash() });
            }
            is_within
        });
        walk.for_each(drop);
        part
    }
}

fn body(rng: &mut Rng) -> Body {
    let code = match rng.below(6) {
        0 => vec![7; 1 + rng.index(5)],
        1 => rng.next().to_be_bytes().repeat(1 + rng.index(4)),
        _ => Vec::new(),
    };
    let storage = match rng.below(8) {
        0 => storage(rng.below(4), 1 + rng.below(30)),
        1 => storage(100 + rng.next() % 1_000_000, 1 + rng.below(40)),
        2 => tiny(0..=rng.below(20)),
        _ => BTreeMap::new(),
    };
    Body { nonce: rng.below(1_000), storage, code }
}

fn change(state: &mut State, rng: &mut Rng) {
    let keys: Vec<H256> = state.keys().copied().collect();
    for _ in 0..=rng.below(keys.len() as u64 / 3 + 1) {
        match rng.below(10) {
            0 => drop(state.insert(hashed(1_000 + rng.next() % 1_000_000), body(rng))),
            1 if state.len() > 1 => drop(state.remove(rng.pick(&keys))),
            _ => {
                let Some(account) = state.get_mut(rng.pick(&keys)) else { continue };
                account.nonce += 1;
                if let Some(slot) = account.storage.keys().next().copied() {
                    account.storage.insert(slot, U256::from(1 + rng.below(1_000)));
                }
            }
        }
    }
}

fn places(source: &Source) -> Places {
    let walk = Walk::new(source, Place::root(None, source.root), |_| true);
    let nodes = walk.filter_map(|event| match event {
        Ok(Event::Node { place, .. }) => Some(((place.owner, place.path.iter().collect()), place.hash)),
        _ => None,
    });
    nodes.collect()
}

impl NodeSource for Source {
    type Error = Infallible;

    fn node(&self, hash: &H256) -> Result<Option<StoredNode>, Infallible> {
        let node = |kind| self.things.get(&Key { kind, hash: *hash });
        Ok(node(Kind::AccountNode).or_else(|| node(Kind::StorageNode)).map(|thing| thing.bytes.clone().into()))
    }

    fn code(&self, hash: &H256) -> Result<Option<Vec<u8>>, Infallible> {
        Ok(self.things.get(&Key { kind: Kind::Code, hash: *hash }).map(|thing| thing.bytes.clone()))
    }
}
