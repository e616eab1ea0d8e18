//! How much is below a node that a state refers to several times.

use std::collections::HashMap;

use primitive_types::H256;

use super::tag;
use crate::trie::{Leaf, NodeSource, Place, decode};

/// Accounts and slots below a node; a number that does not fit is the greatest.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Weight {
    pub(super) accounts: u64,
    pub(super) slots: u64,
}

/// Weighs subtrees, each once.
pub(super) struct Weights<'a, S> {
    source: &'a S,
    /// The slots of each storage trie, by its root.
    storages: HashMap<H256, u64>,
    known: HashMap<H256, Weight>,
}

impl<'a, S: NodeSource> Weights<'a, S> {
    pub(super) fn new(source: &'a S, storages: HashMap<H256, u64>) -> Self {
        Self { source, storages, known: HashMap::new() }
    }

    /// What is below a node. Nothing where it is missing or malformed, which the walk has found. It recurses once for
    /// each level, of which there are 64: deeper nodes do not decode.
    pub(super) fn of(&mut self, place: &Place) -> Result<Weight, S::Error> {
        if let Some(weight) = self.known.get(&tag(place)) {
            return Ok(*weight);
        }
        let mut weight = Weight::default();
        let bytes = self.source.node(&place.hash)?.map(|node| node.rlp).unwrap_or_default();
        if let Ok(links) = decode(place.kind(), &place.path, place.after_extension, &bytes) {
            links.leaves.iter().for_each(|leaf| weight = weight.and(self.of_leaf(leaf)));
            for child in &links.children {
                weight = weight.and(self.of(&place.child(child))?);
            }
        }
        self.known.insert(tag(place), weight);
        Ok(weight)
    }

    fn of_leaf(&self, leaf: &Leaf) -> Weight {
        match leaf {
            Leaf::Account { account, .. } => {
                Weight { accounts: 1, slots: self.storages.get(&account.storage_root).copied().unwrap_or_default() }
            }
            Leaf::Slot { .. } => Weight { accounts: 0, slots: 1 },
        }
    }
}

impl Weight {
    fn and(self, other: Self) -> Self {
        Self { accounts: self.accounts.saturating_add(other.accounts), slots: self.slots.saturating_add(other.slots) }
    }
}
