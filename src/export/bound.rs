//! How much a state can hold. One that is made to deceive refers to its own nodes so often that a few of them have more
//! keys than can be counted; an export of it would not end.

use primitive_types::H256;

use super::ExportError;
use super::ordered::Ordered;
use crate::store::Store;
use crate::trie::Place;

/// Bytes that a store has on the disk for each node, at least: half of its key. Keys are hashes and do not shrink by more
/// than a few bytes.
const NODE_BYTES: u64 = 16;

/// Accounts and slots of a state, at most: some thirty times those of mainnet.
pub(super) const LEAVES_MAX: u64 = 1 << 36;

/// What is left of the limits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bound {
    /// Nodes of one trie. Two places of a trie have one node only where keys have long ends in common, which hashes do
    /// not: no trie has more places than the store has nodes.
    of_trie: u64,
    leaves: u64,
}

impl Bound {
    pub(super) fn of(store: &Store) -> Result<Self, ExportError> {
        Ok(Self { of_trie: store.disk_bytes()? / NODE_BYTES, leaves: LEAVES_MAX })
    }

    /// The state's accounts.
    pub(super) fn accounts(self, store: &Store, root: H256) -> Ordered<'_, Store> {
        Ordered::new(store, Place::root(None, root)).at_most(self.of_trie)
    }

    /// An account's storage.
    pub(super) fn storage(self, store: &Store, owner: H256, root: H256) -> Ordered<'_, Store> {
        Ordered::new(store, Place::root(Some(owner), root)).at_most(self.of_trie)
    }

    /// Counts an account or slot.
    pub(super) fn leaf(&mut self) -> Result<(), ExportError> {
        self.leaves = self.leaves.checked_sub(1).ok_or(ExportError::TooLarge)?;
        Ok(())
    }
}
