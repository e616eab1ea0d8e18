//! Proofs: the nodes from which anyone who has the root can see what is under a key, or that nothing is.

use primitive_types::{H256, U256};

use super::{State, StateError};
use crate::trie::{Account, NodeSource};

/// An account, or that there is none, and what proves it (EIP-1186).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountProof {
    /// keccak256 of the address.
    pub key: H256,
    /// What is under the key.
    pub account: Option<Account>,
    /// The stored nodes from the state root down to the account, or to where nothing leads on to it.
    pub nodes: Vec<Vec<u8>>,
    /// The slots asked for, in that order.
    pub slots: Vec<SlotProof>,
}

/// A slot's word and what proves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotProof {
    /// keccak256 of the slot's number.
    pub key: H256,
    /// The word; zero where there is none.
    pub value: U256,
    /// The stored nodes from the account's storage root down to the slot, or to where nothing leads on to it. None for
    /// an account without storage: the root by itself says that nothing is there.
    pub nodes: Vec<Vec<u8>>,
}

impl<S: NodeSource> State<'_, S> {
    /// Proves the account under `key`, and the slots under their keys.
    ///
    /// # Errors
    /// [`StateError`] when a node on the way is missing, corrupt or cannot be read.
    pub fn proof(&self, key: &H256, slots: &[H256]) -> Result<AccountProof, StateError<S::Error>> {
        let mut nodes = Vec::new();
        let account = self.find_account(key, |rlp| nodes.push(rlp))?;
        let slot = |slot: &H256| {
            let mut nodes = Vec::new();
            let value = match &account {
                Some(account) => self.find_slot(key, account, slot, |rlp| nodes.push(rlp))?,
                None => U256::zero(),
            };
            Ok(SlotProof { key: *slot, value, nodes })
        };
        let slots = slots.iter().map(slot).collect::<Result<_, StateError<S::Error>>>()?;
        Ok(AccountProof { key: *key, account, nodes, slots })
    }
}
