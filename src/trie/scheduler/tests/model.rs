//! The store, in memory: the same families, the same commit, and a log of what was written.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

use primitive_types::H256;

use super::source::Source;
use crate::trie::{Commit, Counts, EMPTY_ROOT, Key, Kind, NodeSource, StoredNode};

/// Rows by hash.
pub(super) type Rows = BTreeMap<H256, Vec<u8>>;

/// A store.
#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    pub(super) nodes: Rows,
    pub(super) codes: Rows,
    pub(super) staging: Rows,
    /// Every write so far, oldest first.
    pub(super) log: Vec<Write>,
}

/// One atomic write, with what the checkpoint says in it.
#[derive(Clone, Debug)]
pub(super) struct Write {
    rows: Vec<Row>,
    pub(super) counts: Counts,
    pub(super) root_complete: bool,
}

#[derive(Clone, Debug)]
enum Row {
    Put(Family, H256, Vec<u8>),
    Delete(Family, H256),
}

#[derive(Clone, Copy, Debug)]
enum Family {
    Nodes,
    Codes,
    Staging,
}

/// What the store knows of a key.
#[derive(Debug)]
pub(super) enum Presence {
    Complete,
    Staged(Vec<u8>),
    Absent,
}

impl Model {
    /// The store after a crash that came after these writes. A torn write is no write: batches are atomic.
    pub(super) fn replay(log: &[Write]) -> Self {
        let mut model = Self::default();
        log.iter().cloned().for_each(|write| model.apply(write));
        model
    }

    pub(super) fn presence(&self, key: &Key) -> Presence {
        let complete = if key.kind == Kind::Code { &self.codes } else { &self.nodes };
        if complete.contains_key(&key.hash) {
            return Presence::Complete;
        }
        let staged = self.staging.get(&key.hash).filter(|_| key.kind != Kind::Code);
        staged.map_or(Presence::Absent, |bytes| Presence::Staged(bytes.clone()))
    }

    /// Whether it is complete in the store.
    pub(super) fn holds(&self, key: &Key) -> bool {
        matches!(self.presence(key), Presence::Complete)
    }

    /// Writes a commit as the store does: what moves out of staging is read before anything of this batch is there.
    pub(super) fn commit(&mut self, commit: &Commit) {
        let stage = commit.stage.iter().map(|(hash, rlp)| Row::Put(Family::Staging, *hash, rlp.clone()));
        let mut rows: Vec<Row> = stage.collect();
        let mut moves = Vec::new();
        for complete in &commit.complete {
            let hash = complete.key.hash;
            let family = if complete.key.kind == Kind::Code { Family::Codes } else { Family::Nodes };
            match &complete.bytes {
                Some(bytes) => rows.push(Row::Put(family, hash, bytes.clone())),
                None => moves.push(Row::Put(Family::Nodes, hash, self.staging[&hash].clone())),
            }
            if complete.staged {
                rows.push(Row::Delete(Family::Staging, hash));
            }
        }
        rows.extend(moves);
        self.apply(Write { rows, counts: commit.counts, root_complete: commit.root_complete });
    }

    fn apply(&mut self, write: Write) {
        for row in &write.rows {
            match row {
                Row::Put(family, hash, bytes) => self.family(*family).insert(*hash, bytes.clone()),
                Row::Delete(family, hash) => self.family(*family).remove(hash),
            };
        }
        self.log.push(write);
    }

    fn family(&mut self, family: Family) -> &mut Rows {
        match family {
            Family::Nodes => &mut self.nodes,
            Family::Codes => &mut self.codes,
            Family::Staging => &mut self.staging,
        }
    }

    /// Presence means completeness: whatever is there has all it refers to beside it, hence all that is below it. And
    /// staging holds what is genuine and not complete.
    pub(super) fn assert_closed(&self, source: &Source) {
        for (key, thing) in &source.things {
            if self.holds(key) {
                for reference in &thing.refs {
                    assert!(self.holds(&reference.key), "{key:?} is there without {reference:?}");
                }
            }
        }
        for (hash, rlp) in &self.nodes {
            assert!(nodes_of(source, hash).any(|bytes| bytes == rlp), "{hash:?} is no node");
        }
        for (hash, rlp) in &self.staging {
            assert!(nodes_of(source, hash).any(|bytes| bytes == rlp), "{hash:?} is staged and no node");
            assert!(!self.nodes.contains_key(hash), "{hash:?} is staged and complete");
        }
        for (hash, code) in &self.codes {
            assert_eq!(Some(code), source.things.get(&Key { kind: Kind::Code, hash: *hash }).map(|thing| &thing.bytes));
        }
    }

    /// Every staged node waits for something.
    pub(super) fn assert_staged_nodes_wait(&self, source: &Source) {
        for hash in self.staging.keys() {
            let kinds = [Kind::AccountNode, Kind::StorageNode].map(|kind| Key { kind, hash: *hash });
            let mut things = kinds.iter().filter_map(|key| source.things.get(key));
            let waits = things.any(|thing| thing.refs.iter().any(|reference| !self.holds(&reference.key)));
            assert!(waits, "{hash:?} is staged and waits for nothing");
        }
    }

    /// The whole state is there, and reads back with another implementation; nothing of it is in staging.
    pub(super) fn assert_holds(&self, source: &Source) {
        for key in &source.own {
            let rows = if key.kind == Kind::Code { &self.codes } else { &self.nodes };
            assert_eq!(rows.get(&key.hash), Some(&source.things[key].bytes), "{key:?}");
            assert!(key.kind == Kind::Code || !self.staging.contains_key(&key.hash), "{key:?} is staged");
        }
        source.assert_reads_back(&self.nodes, &self.codes);
    }

    /// The state is there and nothing else is.
    pub(super) fn assert_is(&self, source: &Source) {
        self.assert_holds(source);
        let (codes, nodes): (BTreeSet<Key>, BTreeSet<Key>) = source.own.iter().partition(|key| key.kind == Kind::Code);
        assert_eq!(self.codes.len(), codes.len());
        let nodes: BTreeSet<H256> = nodes.iter().map(|key| key.hash).collect();
        assert!(self.nodes.keys().eq(&nodes));
        assert!(self.staging.is_empty());
    }

    /// Key space below the complete subtrees of the account trie, in units of 16^-15, reached through what is staged.
    /// What is complete below a staged node counts at the first of the node's places; at the others the node as a whole.
    pub(super) fn covered(&self, source: &Source) -> u64 {
        if source.root == EMPTY_ROOT {
            return 1 << 60;
        }
        let root = Key { kind: Kind::AccountNode, hash: source.root };
        self.covered_below(source, &root, 0, &mut BTreeSet::new())
    }

    fn covered_below(&self, source: &Source, key: &Key, depth: usize, seen: &mut BTreeSet<Key>) -> u64 {
        match self.presence(key) {
            // Deeper nodes are below the resolution: their share comes with their ancestor's.
            Presence::Complete if depth > 15 => 0,
            Presence::Complete => 1 << (60 - 4 * depth),
            Presence::Staged(_) if seen.insert(*key) => {
                let children = source.things[key].refs.iter().filter(|child| child.key.kind == Kind::AccountNode);
                children.map(|child| self.covered_below(source, &child.key, depth + child.below, seen)).sum()
            }
            Presence::Staged(_) | Presence::Absent => 0,
        }
    }
}

impl NodeSource for Model {
    type Error = Infallible;

    fn node(&self, hash: &H256) -> Result<Option<StoredNode>, Infallible> {
        Ok(self.nodes.get(hash).cloned().map(Into::into))
    }

    fn code(&self, hash: &H256) -> Result<Option<Vec<u8>>, Infallible> {
        Ok(self.codes.get(hash).cloned())
    }
}

fn nodes_of<'a>(source: &'a Source, hash: &'a H256) -> impl Iterator<Item = &'a Vec<u8>> {
    let kinds = [Kind::AccountNode, Kind::StorageNode].map(|kind| Key { kind, hash: *hash });
    kinds.into_iter().filter_map(|key| source.things.get(&key).map(|thing| &thing.bytes))
}
