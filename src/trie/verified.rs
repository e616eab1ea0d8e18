//! Bytes that have been checked against the hash they were asked by, and taken apart.

use primitive_types::H256;

use super::{Item, Links, NodeError, decode, keccak256, keccak256_batch};

/// A node or code whose bytes hash to the wanted hash, with what a node refers to.
#[derive(Debug)]
pub struct Verified {
    /// What was wanted.
    pub item: Item,
    /// The node's RLP, or the code.
    pub bytes: Vec<u8>,
    /// What the node refers to; empty for code.
    pub links: Links,
    /// Where the bytes came from.
    pub origin: Origin,
}

/// Where verified bytes came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A peer.
    Peer,
    /// The store's staging family: downloaded by an earlier run or for an earlier root.
    Staging,
}

/// Why bytes are not what was wanted.
#[derive(Debug, thiserror::Error)]
pub enum Reject {
    /// The bytes are something else: the sender's fault.
    #[error("the bytes hash to something else")]
    WrongHash,
    /// The bytes are what was asked for and break the trie's rules: the root itself is bad, whoever sent them.
    #[error(transparent)]
    Malformed(#[from] NodeError),
}

impl Verified {
    /// Checks `bytes` against the item's hash and, for a node, decodes it by the strict rules of [`decode`].
    ///
    /// # Errors
    /// [`Reject::WrongHash`] when the bytes are not the wanted ones, [`Reject::Malformed`] when they are and are
    /// not a valid node at that path.
    pub fn check(item: Item, bytes: Vec<u8>, origin: Origin) -> Result<Self, Reject> {
        let hash = keccak256(&bytes);
        Self::check_hash(item, bytes, hash, origin)
    }

    /// Checks many at once, which is several times faster than one by one. One result for each, in their order.
    pub fn check_all(values: Vec<(Item, Vec<u8>)>, origin: Origin) -> impl Iterator<Item = Result<Self, Reject>> {
        let inputs: Vec<&[u8]> = values.iter().map(|(_, bytes)| bytes.as_slice()).collect();
        let hashes = keccak256_batch(&inputs);
        values.into_iter().zip(hashes).map(move |((item, bytes), hash)| Self::check_hash(item, bytes, hash, origin))
    }

    fn check_hash(item: Item, bytes: Vec<u8>, hash: H256, origin: Origin) -> Result<Self, Reject> {
        if hash != item.key.hash {
            return Err(Reject::WrongHash);
        }
        let links = links_of(&item, &bytes)?;
        Ok(Self { item, bytes, links, origin })
    }

    /// The same bytes where another root has them: what a node refers to depends on its place.
    ///
    /// # Errors
    /// The rule that the node breaks at its new place.
    pub fn moved_to(mut self, item: Item) -> Result<Self, NodeError> {
        if item != self.item {
            self.links = links_of(&item, &self.bytes)?;
            self.item = item;
        }
        Ok(self)
    }
}

fn links_of(item: &Item, bytes: &[u8]) -> Result<Links, NodeError> {
    match item.key.kind.trie() {
        Some(trie) => decode(trie, &item.path, item.after_extension, bytes),
        None => Ok(Links::default()),
    }
}
