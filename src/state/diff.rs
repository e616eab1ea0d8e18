//! What differs between two states.

use primitive_types::{H256, U256};

use super::StateError;
use super::merge::{Merge, Pair};
use crate::trie::{Account, EMPTY_ROOT, Leaf, NodeSource};

/// One thing that is not the same in two states. One of `old` and `new` at least is there, and they differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// An account, be it only in its storage root.
    Account {
        /// keccak256 of its address.
        key: H256,
        /// As it was.
        old: Option<Account>,
        /// As it is.
        new: Option<Account>,
    },
    /// A slot of the account that was given last.
    Slot {
        /// keccak256 of the account's address.
        account: H256,
        /// keccak256 of the slot's number.
        key: H256,
        /// The word that it held.
        old: Option<U256>,
        /// The word that it holds.
        new: Option<U256>,
    },
}

/// Gives the changes from one state to another: the accounts in the order of their keys, each followed by its slots in
/// the order of theirs. What both states share is not read. Memory: the unvisited siblings along one path in each.
///
/// After an error it is over.
#[derive(Debug)]
pub struct Diff<'a, S> {
    source: &'a S,
    accounts: Option<Merge<'a, S>>,
    /// The storage of the account given last.
    slots: Option<(H256, Merge<'a, S>)>,
}

impl<'a, S: NodeSource> Diff<'a, S> {
    /// What changes from the state with the root `old` to the one with the root `new`.
    #[must_use]
    pub fn new(source: &'a S, old: H256, new: H256) -> Self {
        Self { source, accounts: Some(Merge::new(source, None, old, new)), slots: None }
    }

    fn step(&mut self) -> Result<Option<Change>, StateError<S::Error>> {
        if let Some((account, slots)) = &mut self.slots {
            if let Some(Pair { key, old, new }) = slots.next()? {
                return Ok(Some(Change::Slot { account: *account, key, old: word(old), new: word(new) }));
            }
            self.slots = None;
        }
        let Some(accounts) = &mut self.accounts else { return Ok(None) };
        let Some(Pair { key, old, new }) = accounts.next()? else { return Ok(None) };
        let (old, new) = (account(old), account(new));
        let root = |account: Option<Account>| account.map_or(EMPTY_ROOT, |account| account.storage_root);
        if root(old) != root(new) {
            self.slots = Some((key, Merge::new(self.source, Some(key), root(old), root(new))));
        }
        Ok(Some(Change::Account { key, old, new }))
    }
}

impl<S: NodeSource> Iterator for Diff<'_, S> {
    type Item = Result<Change, StateError<S::Error>>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step();
        if step.is_err() {
            (self.accounts, self.slots) = (None, None);
        }
        step.transpose()
    }
}

fn account(leaf: Option<Leaf>) -> Option<Account> {
    leaf.and_then(|leaf| if let Leaf::Account { account, .. } = leaf { Some(account) } else { None })
}

fn word(leaf: Option<Leaf>) -> Option<U256> {
    leaf.and_then(|leaf| if let Leaf::Slot { value, .. } = leaf { Some(value) } else { None })
}
