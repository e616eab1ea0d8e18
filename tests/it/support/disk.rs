//! What is really on the disk, read and written around the program, with `RocksDB` itself.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use primitive_types::H256;
use rocksdb::{DB, IteratorMode, Options};
use statesync::serve::MemoryState;
use statesync::trie::{Event, Leaf, Place, Walk, keccak256};

use super::journal::committed;
use super::state::InMemory;

pub(crate) const NODES: &str = "nodes";
pub(crate) const CODES: &str = "codes";
pub(crate) const STAGING: &str = "staging";
pub(crate) const FAMILIES: [&str; 4] = [NODES, CODES, STAGING, "meta"];

/// All nodes or codes of one kind, by hash, without the levels of nodes: those that are complete, or those that are staged
/// and not complete, wherever they are.
pub(crate) fn rows(dir: &Path, family: &str) -> HashMap<H256, Vec<u8>> {
    let content = Content::read(dir);
    match family {
        NODES => content.nodes,
        CODES => content.codes,
        _ => content.staged,
    }
}

/// What a store holds, whatever state it is in: read from its families and from its journal, without changing anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) nodes: HashMap<H256, Vec<u8>>,
    pub(crate) codes: HashMap<H256, Vec<u8>>,
    pub(crate) staged: HashMap<H256, Vec<u8>>,
}

impl Content {
    pub(crate) fn read(dir: &Path) -> Self {
        let db = DB::open_cf_for_read_only(&Options::default(), dir, FAMILIES, false).unwrap();
        let mut nodes = rows_in(&db, NODES);
        nodes.values_mut().for_each(|row| *row = row.split_off(1));
        let mut content = Self { nodes, codes: rows_in(&db, CODES), staged: rows_in(&db, STAGING) };
        for record in committed(dir, db.get_cf(db.cf_handle("meta").unwrap(), b"journal").unwrap()) {
            let rows = if record.is_code { &mut content.codes } else { &mut content.staged };
            rows.insert(record.hash, record.bytes);
        }
        content.staged.retain(|hash, _| !content.nodes.contains_key(hash));
        content
    }

    /// Distinct nodes and codes.
    pub(crate) fn rows(&self) -> u64 {
        (self.nodes.len() + self.codes.len() + self.staged.len()) as u64
    }

    /// All of them, with whether they are codes.
    pub(crate) fn hashes(&self) -> HashSet<(bool, H256)> {
        let nodes = self.nodes.keys().chain(self.staged.keys()).map(|hash| (false, *hash));
        nodes.chain(self.codes.keys().map(|hash| (true, *hash))).collect()
    }
}

/// All rows of one family as they are.
pub(crate) fn raw_rows(dir: &Path, family: &str) -> HashMap<H256, Vec<u8>> {
    rows_in(&DB::open_cf_for_read_only(&Options::default(), dir, FAMILIES, false).unwrap(), family)
}

fn rows_in(db: &DB, family: &str) -> HashMap<H256, Vec<u8>> {
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
    for file in files(from) {
        let to = to.join(file.strip_prefix(from).unwrap());
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(file, to).unwrap();
    }
}

/// The files of a store, those of its journal too, in order.
pub(crate) fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(self::files(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}

/// Fails if anything is stored under a hash that is not its own.
pub(crate) fn assert_all_hashes_are_right(dir: &Path) {
    let Content { nodes, codes, staged } = Content::read(dir);
    for (hash, value) in nodes.into_iter().chain(codes).chain(staged) {
        assert_eq!(keccak256(&value), hash);
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
        self.assert_complete(&Content::read(dir));
    }

    /// The same of what has been read.
    pub(crate) fn assert_complete(&self, Content { nodes, codes, .. }: &Content) {
        for hash in nodes.keys() {
            for below in self.0.get(hash).into_iter().flatten() {
                let is_there = nodes.contains_key(below) || codes.contains_key(below);
                assert!(is_there, "{hash:?} is there, {below:?} is not");
            }
        }
    }
}
