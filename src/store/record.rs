//! The records of the `meta` family. They are JSON: few, small, readable with any tool, and open to new fields.

use primitive_types::H256;
use serde::{Deserialize, Serialize};

use crate::trie::{Counts, Scope};

/// Where the running or last sync stands; written in the batch that makes it true.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The root being synced, or last synced.
    #[serde(with = "hash")]
    pub root: H256,
    /// What all runs for this root have fetched and stored so far.
    pub counts: Counts,
    /// The complete share of the account key space, or of the scope, 0 to 1.
    pub progress: f64,
    /// The part of the state that it is of; none for all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
}

/// One root that this store holds or is filling.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootRecord {
    /// The state root.
    #[serde(with = "hash")]
    pub root: H256,
    /// The block it belongs to, where the sync was asked for a block.
    #[serde(default)]
    pub block: Option<Block>,
    /// Whether all of it is there.
    pub state: RootState,
    /// What the state holds; known once it has been counted by a walk or by an import.
    #[serde(default)]
    pub totals: Option<Totals>,
    /// The part of the state that the record is about; none for all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
}

/// Whether a root's state is all there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RootState {
    /// A sync to it has begun.
    Syncing,
    /// Every node and code below it is in the store.
    Complete,
    /// Every node and code of the record's scope is in the store; the nodes on the way to it are staged.
    Partial,
    /// It was complete, or with a scope partial; then something below it was found missing or corrupt, and a repair has
    /// begun.
    Damaged,
}

/// A block whose header is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// The block number.
    pub number: u64,
    /// The block hash.
    #[serde(with = "hash")]
    pub hash: H256,
    /// The header's RLP as 0x-prefixed hex, where a peer had it; its keccak-256 is the block hash.
    #[serde(default)]
    pub header: Option<String>,
}

/// What a state holds. Nodes and codes are distinct by hash; accounts and slots are the state's own leaves, a shared
/// storage trie counted once for each account that holds it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Accounts.
    pub accounts: u64,
    /// Storage slots.
    pub slots: u64,
    /// Distinct codes.
    pub codes: u64,
    /// Distinct nodes.
    pub nodes: u64,
}

impl RootRecord {
    /// A record for a sync that begins.
    #[must_use]
    pub fn syncing(root: H256, block: Option<Block>) -> Self {
        Self { root, block, state: RootState::Syncing, totals: None, scope: None }
    }

    /// The same, for a part of the state.
    #[must_use]
    pub fn of_scope(self, scope: &Scope) -> Self {
        Self { scope: scope.part().cloned(), ..self }
    }

    /// What the record says while a sync runs that this one is for: what was there before stays so.
    #[must_use]
    pub fn begun_after(self, known: Self) -> Self {
        let block = self.block.or(known.block);
        let scope = if known.state == RootState::Syncing { self.scope } else { known.scope };
        Self { block, scope, ..known }
    }

    /// What the record says once this one is true: a part is added to what was there before.
    #[must_use]
    pub fn reached_after(self, known: Self) -> Self {
        let scope = match (self.state, known.state, &self.scope, &known.scope) {
            (RootState::Partial, RootState::Partial, Some(new), Some(old)) => Some(new.and(old)),
            // What is damaged may be outside this part.
            (RootState::Partial, RootState::Damaged, Some(new), Some(old)) if new.contains(old) => self.scope,
            (RootState::Partial, RootState::Damaged | RootState::Complete, ..) => return known,
            _ => self.scope,
        };
        // They were counted for the scope, or for all of it.
        let totals = known.totals.filter(|_| scope == known.scope);
        Self { root: known.root, block: known.block, state: self.state, totals, scope }
    }
}

/// Hashes as 0x-prefixed hex.
pub(crate) mod hash {
    use primitive_types::H256;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(hash: &H256, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{hash:?}"))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<H256, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
