//! One trie from its first key to its last.

use super::ExportError;
use crate::trie::{EMPTY_ROOT, Fault, Leaf, Nibbles, NodeSource, Place, Target, decode, keccak256};

/// What comes next in a trie.
#[derive(Debug)]
pub(super) enum Found {
    /// A node; its leaves and children come after it.
    Node(Place, Vec<u8>),
    /// A leaf, later than all of smaller keys.
    Leaf(Leaf),
}

/// Reads a trie in the order of its keys: also where a branch has leaves inside it between children that are stored
/// apart. The walk of a verification does not keep that order, and needs not.
#[derive(Debug)]
pub(super) struct Ordered<'a, S> {
    source: &'a S,
    /// What was met and not given yet, the next one last.
    stack: Vec<Step>,
    /// Nodes that may still come.
    left: u64,
}

/// What is still to be given.
#[derive(Debug)]
pub(super) enum Step {
    /// The place of a node.
    Node(Place),
    /// A leaf.
    Leaf(Leaf),
}

impl<'a, S: NodeSource> Ordered<'a, S>
where
    ExportError: From<S::Error>,
{
    /// The trie below a place, or nothing for an empty trie's root.
    pub(super) fn new(source: &'a S, start: Place) -> Self {
        let stack = if start.hash == EMPTY_ROOT { Vec::new() } else { vec![Step::Node(start)] };
        Self { source, stack, left: u64::MAX }
    }

    /// The same, as long as there are no more nodes than so many.
    pub(super) fn at_most(self, nodes: u64) -> Self {
        Self { left: nodes, ..self }
    }

    /// What has been met and not given yet.
    pub(super) fn into_steps(self) -> Vec<Step> {
        self.stack
    }

    fn node(&mut self, place: Place) -> Result<Found, ExportError> {
        self.left = self.left.checked_sub(1).ok_or(ExportError::Endless { owner: place.owner })?;
        let unsound = |fault| ExportError::NotSound { target: Box::new(Target::Node(place)), fault };
        let rlp = self.source.node(&place.hash)?.ok_or_else(|| unsound(None))?.rlp;
        let got = keccak256(&rlp);
        if got != place.hash {
            return Err(unsound(Some(Fault::Hash { got })));
        }
        let links = decode(place.kind(), &place.path, place.after_extension, &rlp);
        let links = links.map_err(|error| unsound(Some(error.into())))?;
        let children = links.children.iter().map(|child| (child.path, Step::Node(place.child(child))));
        let leaves = links.leaves.iter().map(|leaf| (path(leaf), Step::Leaf(*leaf)));
        let mut steps: Vec<(Nibbles, Step)> = children.chain(leaves).collect();
        steps.sort_unstable_by_key(|(path, _)| *path);
        self.stack.extend(steps.into_iter().rev().map(|(_, step)| step));
        Ok(Found::Node(place, rlp))
    }
}

impl<S: NodeSource> Iterator for Ordered<'_, S>
where
    ExportError: From<S::Error>,
{
    type Item = Result<Found, ExportError>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(match self.stack.pop()? {
            Step::Node(place) => self.node(place),
            Step::Leaf(leaf) => Ok(Found::Leaf(leaf)),
        })
    }
}

fn path(leaf: &Leaf) -> Nibbles {
    let (Leaf::Account { key, .. } | Leaf::Slot { key, .. }) = leaf;
    Nibbles::from_key(key)
}
