//! What is really on the disk, read and written around the program, with `RocksDB` itself.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use primitive_types::H256;
use rocksdb::{DB, IteratorMode, Options};
use statesync::serve::MemoryState;
use statesync::trie::{Event, Leaf, Place, Walk, keccak256};

use super::state::InMemory;

pub(crate) const NODES: &str = "nodes";
pub(crate) const CODES: &str = "codes";
pub(crate) const STAGING: &str = "staging";
const FAMILIES: [&str; 4] = [NODES, CODES, STAGING, "meta"];

/// All rows of one family.
pub(crate) fn rows(dir: &Path, family: &str) -> HashMap<H256, Vec<u8>> {
    let db = DB::open_cf_for_read_only(&Options::default(), dir, FAMILIES, false).unwrap();
    let family = db.cf_handle(family).unwrap();
    let rows = db.iterator_cf(family, IteratorMode::Start).map(Result::unwrap);
    rows.map(|(key, value)| (H256::from_slice(&key), value.into())).collect()
}

/// Puts a row of one family in place of the one that is there; `None` removes it.
pub(crate) fn replace(dir: &Path, family: &str, hash: H256, value: Option<&[u8]>) {
    let db = DB::open_cf(&Options::default(), dir, FAMILIES).unwrap();
    let family = db.cf_handle(family).unwrap();
    match value {
        Some(value) => db.put_cf(family, hash, value).unwrap(),
        None => db.delete_cf(family, hash).unwrap(),
    }
}

/// Copies a store that nobody uses.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

/// Fails if anything is stored under a hash that is not its own.
pub(crate) fn assert_all_hashes_are_right(dir: &Path) {
    for family in [NODES, CODES, STAGING] {
        for (hash, value) in rows(dir, family) {
            assert_eq!(keccak256(&value), hash, "in family {family}");
        }
    }
}

/// What each node of a state refers to: child nodes, storage tries and codes.
#[derive(Debug)]
pub(crate) struct References(HashMap<H256, Vec<H256>>);

impl References {
    /// Of all nodes below the roots.
    pub(crate) fn of(state: &MemoryState, roots: &[H256]) -> Self {
        let mut references = HashMap::new();
        let state = InMemory(state);
        for root in roots {
            let mut seen = HashSet::new();
            let walk = Walk::new(&state, Place::root(None, *root), |target| seen.insert(target.hash()));
            for event in walk {
                if let Ok(Event::Node { place, links, .. }) = event {
                    let mut below: Vec<H256> = links.children.iter().map(|child| child.hash).collect();
                    for leaf in &links.leaves {
                        if let Leaf::Account { account, .. } = leaf {
                            below.extend(account.has_storage().then_some(account.storage_root));
                            below.extend(account.has_code().then_some(account.code_hash));
                        }
                    }
                    references.insert(place.hash, below);
                }
            }
        }
        Self(references)
    }

    /// Fails unless everything below each stored node is stored too.
    pub(crate) fn assert_presence_means_completeness(&self, dir: &Path) {
        let hashes = |family| rows(dir, family).into_keys().collect();
        self.assert_complete(&hashes(NODES), &hashes(CODES));
    }

    /// The same of what has been read already.
    pub(crate) fn assert_complete(&self, nodes: &HashSet<H256>, codes: &HashSet<H256>) {
        for hash in nodes {
            for below in self.0.get(hash).into_iter().flatten() {
                assert!(nodes.contains(below) || codes.contains(below), "{hash:?} is there, {below:?} is not");
            }
        }
    }
}
