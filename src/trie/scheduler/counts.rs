//! Counters of one scheduler.

use super::key_space::is_within;
use crate::trie::{Kind, Origin, Scope, Verified};

/// What a scheduler has added and reused so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Counts {
    /// Account leaves in the fetched nodes.
    pub accounts: u64,
    /// Storage leaves in the fetched nodes; a shared storage trie is fetched once and counts once.
    pub slots: u64,
    /// Codes fetched from peers.
    pub codes: u64,
    /// Nodes fetched from peers.
    pub nodes: u64,
    /// Bytes of the fetched nodes and codes.
    pub bytes: u64,
    /// Subtrees that were present, counted at their root node, where the walk stopped.
    pub nodes_reused: u64,
    /// Codes that were present.
    pub codes_reused: u64,
    /// Nodes taken from staging.
    pub nodes_staged: u64,
}

impl Counts {
    /// Counts a node or code that was accepted, with its leaves that are in the scope.
    pub(super) fn count(&mut self, node: &Verified, scope: &Scope) {
        if node.origin == Origin::Staging {
            self.nodes_staged += 1;
            return;
        }
        self.bytes += node.bytes.len() as u64;
        let leaves = &node.links.leaves;
        let leaves = if is_within(scope, &node.item) {
            leaves.len()
        } else {
            leaves.iter().filter(|leaf| scope.has(&leaf.key())).count()
        } as u64;
        match node.item.key.kind {
            Kind::Code => self.codes += 1,
            Kind::AccountNode => (self.nodes, self.accounts) = (self.nodes + 1, self.accounts + leaves),
            Kind::StorageNode => (self.nodes, self.slots) = (self.nodes + 1, self.slots + leaves),
        }
    }
}

impl std::ops::Add for Counts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            accounts: self.accounts + other.accounts,
            slots: self.slots + other.slots,
            codes: self.codes + other.codes,
            nodes: self.nodes + other.nodes,
            bytes: self.bytes + other.bytes,
            nodes_reused: self.nodes_reused + other.nodes_reused,
            codes_reused: self.codes_reused + other.codes_reused,
            nodes_staged: self.nodes_staged + other.nodes_staged,
        }
    }
}
