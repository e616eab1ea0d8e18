//! Two tries side by side, in key order, without what they share.

use primitive_types::H256;

use super::StateError;
use super::reader::read;
use crate::trie::{EMPTY_ROOT, Leaf, Links, Nibbles, NodeSource, Place};

/// Gives every key whose leaf is not the same in two tries. A subtree that both have, at the same path and with the same
/// hash, is not read. Memory: the unvisited siblings along one path in each.
#[derive(Debug)]
pub(super) struct Merge<'a, S> {
    source: &'a S,
    old: Vec<Part>,
    new: Vec<Part>,
}

/// A key and its leaf in the old and in the new trie; one of them at least is there, and they differ.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) key: H256,
    pub(super) old: Option<Leaf>,
    pub(super) new: Option<Leaf>,
}

/// A part of a trie that is still to be looked at; in a stack, the next one last.
#[derive(Debug)]
enum Part {
    Node(Place),
    Leaf(Leaf),
}

impl Part {
    fn path(&self) -> Nibbles {
        match self {
            Self::Node(place) => place.path,
            Self::Leaf(leaf) => Nibbles::from_key(&leaf.key()),
        }
    }
}

/// Whose next part is to be taken.
enum Turn {
    Old,
    New,
    Both,
}

impl<'a, S: NodeSource> Merge<'a, S> {
    pub(super) fn new(source: &'a S, owner: Option<H256>, old: H256, new: H256) -> Self {
        let part = |root| (root != EMPTY_ROOT).then(|| Part::Node(Place::root(owner, root))).into_iter().collect();
        Self { source, old: part(old), new: part(new) }
    }

    pub(super) fn next(&mut self) -> Result<Option<Pair>, StateError<S::Error>> {
        while let Some(turn) = self.turn() {
            let (old, new) = match turn {
                Turn::Old => (self.old.pop(), None),
                Turn::New => (None, self.new.pop()),
                Turn::Both => (self.old.pop(), self.new.pop()),
            };
            if let (Some(Part::Node(old)), Some(Part::Node(new))) = (&old, &new)
                && old.hash == new.hash
            {
                continue;
            }
            let old = open(self.source, &mut self.old, old.as_ref())?;
            let new = open(self.source, &mut self.new, new.as_ref())?;
            if old != new
                && let Some(key) = old.or(new).map(|leaf| leaf.key())
            {
                return Ok(Some(Pair { key, old, new }));
            }
        }
        Ok(None)
    }

    /// The part that begins first is next. Of two where one encloses the other it is the larger, to be opened: so both
    /// sides come to the same path wherever they have a part in common, whatever extensions lead there.
    fn turn(&self) -> Option<Turn> {
        Some(match (self.old.last().map(Part::path), self.new.last().map(Part::path)) {
            (None, None) => return None,
            (Some(_), None) => Turn::Old,
            (None, Some(_)) => Turn::New,
            (Some(old), Some(new)) if old == new => Turn::Both,
            // A path comes before those that it is the beginning of.
            (Some(old), Some(new)) => {
                if old < new {
                    Turn::Old
                } else {
                    Turn::New
                }
            }
        })
    }
}

/// The leaf that a part is; of a node, what it links to goes on the stack.
fn open<S: NodeSource>(
    source: &S,
    stack: &mut Vec<Part>,
    part: Option<&Part>,
) -> Result<Option<Leaf>, StateError<S::Error>> {
    match part {
        None => Ok(None),
        Some(Part::Leaf(leaf)) => Ok(Some(*leaf)),
        Some(Part::Node(place)) => {
            let (_, Links { children, leaves }) = read(source, place)?;
            let start = stack.len();
            stack.extend(children.iter().map(|child| Part::Node(place.child(child))));
            stack.extend(leaves.into_iter().map(Part::Leaf));
            if let Some(added) = stack.get_mut(start..) {
                added.sort_by_key(|part| std::cmp::Reverse(part.path()));
            }
            Ok(None)
        }
    }
}
