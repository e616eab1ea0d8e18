//! Wanted items, one queue for each level of the walk.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::table::Id;
use crate::trie::{Item, Kinds, Level};

/// One queue for each level, taken from the deepest level that holds anything and in path order inside it.
///
/// Deepest first bounds memory: subtrees are finished before new ones are opened. Path order lets the serving disk
/// read neighbours together. Entries may be stale (the item came by another way); whoever takes one checks.
#[derive(Debug)]
pub(super) struct LevelQueue {
    /// The last is that of codes.
    levels: Vec<BinaryHeap<Reverse<Entry>>>,
}

/// Ordered by place first, so that a level is taken in path order; the owner orders storage tries and codes. Eight bytes
/// of each are enough for an order that a disk notices, and keep an entry small.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    owner: [u8; 8],
    path: [u8; 8],
    id: Id,
}

impl LevelQueue {
    pub(super) fn new() -> Self {
        Self { levels: (0..Level::COUNT).map(|_| BinaryHeap::new()).collect() }
    }

    pub(super) fn push(&mut self, item: &Item, id: Id) {
        if let Some(level) = self.levels.get_mut(item.level().index()) {
            let owner = item.owner.0.first_chunk().copied().unwrap_or_default();
            level.push(Reverse(Entry { owner, path: item.path.first_bytes(), id }));
        }
    }

    /// The next entry of these kinds: deepest level, lowest path.
    pub(super) fn pop(&mut self, kinds: Kinds) -> Option<Id> {
        let nodes = self.levels.len().saturating_sub(1);
        let first = if kinds.nodes { 0 } else { nodes };
        let last = if kinds.codes { self.levels.len() } else { nodes };
        let level = self.levels.get_mut(first..last)?.iter_mut().rev().find(|level| !level.is_empty())?;
        level.pop().map(|Reverse(entry)| entry.id)
    }
}
