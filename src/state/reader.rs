//! One value by a walk down from the root.

use primitive_types::{H256, U256};

use super::StateError;
use crate::trie::{
    Account, EMPTY_CODE_HASH, EMPTY_ROOT, Fault, Leaf, Links, Nibbles, NodeSource, Place, decode, keccak256,
};

/// The state with one root, as it is in a source.
#[derive(Debug)]
pub struct State<'a, S> {
    source: &'a S,
    root: H256,
}

impl<'a, S: NodeSource> State<'a, S> {
    /// The state with this root. Nothing is read yet.
    #[must_use]
    pub fn at(source: &'a S, root: H256) -> Self {
        Self { source, root }
    }

    /// The state root.
    #[must_use]
    pub fn root(&self) -> H256 {
        self.root
    }

    /// The account whose address hashes to `key`, if there is one.
    ///
    /// # Errors
    /// [`StateError`] when a node on the way is missing, corrupt or cannot be read.
    pub fn account(&self, key: &H256) -> Result<Option<Account>, StateError<S::Error>> {
        self.find_account(key, |_| ())
    }

    /// The word in the slot whose number hashes to `key`, of the `account` whose address hashes to `owner`; zero where
    /// there is none.
    ///
    /// # Errors
    /// [`StateError`] when a node on the way is missing, corrupt or cannot be read.
    pub fn slot(&self, owner: &H256, account: &Account, key: &H256) -> Result<U256, StateError<S::Error>> {
        self.find_slot(owner, account, key, |_| ())
    }

    /// The code with this hash.
    ///
    /// # Errors
    /// [`StateError`] when it is missing, corrupt or cannot be read.
    pub fn code(&self, hash: &H256) -> Result<Vec<u8>, StateError<S::Error>> {
        if *hash == EMPTY_CODE_HASH {
            return Ok(Vec::new());
        }
        let code = self.source.code(hash)?.ok_or(StateError::MissingCode { hash: *hash })?;
        let got = keccak256(&code);
        if got == *hash { Ok(code) } else { Err(StateError::CorruptCode { hash: *hash, got }) }
    }

    pub(super) fn find_account(
        &self,
        key: &H256,
        visit: impl FnMut(Vec<u8>),
    ) -> Result<Option<Account>, StateError<S::Error>> {
        Ok(match self.find(Place::root(None, self.root), key, visit)? {
            Some(Leaf::Account { account, .. }) => Some(account),
            _ => None,
        })
    }

    pub(super) fn find_slot(
        &self,
        owner: &H256,
        account: &Account,
        key: &H256,
        visit: impl FnMut(Vec<u8>),
    ) -> Result<U256, StateError<S::Error>> {
        Ok(match self.find(Place::root(Some(*owner), account.storage_root), key, visit)? {
            Some(Leaf::Slot { value, .. }) => value,
            _ => U256::zero(),
        })
    }

    /// Walks down from a trie's root to the leaf under `key`, if it is there, and shows every stored node on the way.
    /// What is embedded in a node comes with it, so that the walk never enters an inline node by itself.
    fn find(
        &self,
        root: Place,
        key: &H256,
        mut visit: impl FnMut(Vec<u8>),
    ) -> Result<Option<Leaf>, StateError<S::Error>> {
        if root.hash == EMPTY_ROOT {
            return Ok(None);
        }
        let path = Nibbles::from_key(key);
        let mut place = root;
        // It ends: a child's path is longer than its parent's.
        loop {
            let (rlp, links) = read(self.source, &place)?;
            visit(rlp);
            match links.children.iter().find(|child| path.starts_with(&child.path)) {
                Some(child) => place = place.child(child),
                None => return Ok(links.leaves.into_iter().find(|leaf| leaf.key() == *key)),
            }
        }
    }
}

/// A node's bytes and what it links to, if it is what its name and its place say.
pub(super) fn read<S: NodeSource>(source: &S, place: &Place) -> Result<(Vec<u8>, Links), StateError<S::Error>> {
    let rlp = source.node(&place.hash)?.ok_or(StateError::MissingNode { place: Box::new(*place) })?.rlp;
    let got = keccak256(&rlp);
    let corrupt = |fault| StateError::CorruptNode { place: Box::new(*place), fault };
    if got != place.hash {
        return Err(corrupt(Fault::Hash { got }));
    }
    let links = decode(place.kind(), &place.path, place.after_extension, &rlp);
    let links = links.map_err(|error| corrupt(error.into()))?;
    Ok((rlp, links))
}
