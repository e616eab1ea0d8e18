//! What a server reads from.

use std::borrow::Cow;
use std::error::Error;

use primitive_types::H256;

use crate::peers::wire::unhex;
use crate::store::{RootRecord, RootState, Store, StoreError};
use crate::trie::{Scope, keccak256};

/// A state, or several, and the blocks they belong to. Reads may block; they are made on threads for that.
pub trait Source: Send + Sync + 'static {
    /// The RLP of the trie node with this hash, if it is there.
    ///
    /// # Errors
    /// When the source cannot tell.
    fn node(&self, hash: &H256) -> Result<Option<Cow<'_, [u8]>>, SourceError>;

    /// The same of each of many, in their order.
    ///
    /// # Errors
    /// When the source cannot tell.
    fn nodes(&self, hashes: &[H256]) -> Result<Vec<Option<Cow<'_, [u8]>>>, SourceError> {
        hashes.iter().map(|hash| self.node(hash)).collect()
    }

    /// The code with this hash, if it is there.
    ///
    /// # Errors
    /// When the source cannot tell.
    fn code(&self, hash: &H256) -> Result<Option<Cow<'_, [u8]>>, SourceError>;

    /// The chain id, if it is known.
    ///
    /// # Errors
    /// When the source cannot tell.
    fn chain_id(&self) -> Result<Option<u64>, SourceError>;

    /// The blocks whose state is there, or a part of it, in any order. They are few: one for each synced root.
    ///
    /// # Errors
    /// When the source cannot tell.
    fn blocks(&self) -> Result<Vec<KnownBlock>, SourceError>;
}

/// A block whose state a [`Source`] has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownBlock {
    /// The block number.
    pub number: u64,
    /// The block hash.
    pub hash: H256,
    /// The root of the state after the block.
    pub state_root: H256,
    /// The header's RLP, where it is known.
    pub header: Option<Vec<u8>>,
    /// The part of the state that is there, if it is not all of it.
    pub scope: Option<Scope>,
}

/// A source could not be read.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct SourceError(Box<dyn Error + Send + Sync>);

impl SourceError {
    /// Wraps the source's own error.
    pub fn new(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(error.into())
    }
}

impl From<StoreError> for SourceError {
    fn from(error: StoreError) -> Self {
        Self::new(error)
    }
}

impl Source for Store {
    fn node(&self, hash: &H256) -> Result<Option<Cow<'_, [u8]>>, SourceError> {
        if let Some(rlp) = Self::node(self, hash)? {
            return Ok(Some(Cow::Owned(rlp)));
        }
        // Of a partial state, the nodes on the way to what is there.
        let Some(rlp) = self.staged_node(hash)?.filter(|rlp| keccak256(rlp) == *hash) else { return Ok(None) };
        let is_partial = self.roots()?.iter().any(|record| record.state == RootState::Partial);
        Ok(is_partial.then_some(Cow::Owned(rlp)))
    }

    fn nodes(&self, hashes: &[H256]) -> Result<Vec<Option<Cow<'_, [u8]>>>, SourceError> {
        Ok(Self::nodes(self, hashes)?.into_iter().map(|node| node.map(Cow::Owned)).collect())
    }

    fn code(&self, hash: &H256) -> Result<Option<Cow<'_, [u8]>>, SourceError> {
        Ok(Self::code(self, hash)?.map(Cow::Owned))
    }

    fn chain_id(&self) -> Result<Option<u64>, SourceError> {
        Ok(Self::chain_id(self)?)
    }

    fn blocks(&self) -> Result<Vec<KnownBlock>, SourceError> {
        let is_here = |record: &RootRecord| matches!(record.state, RootState::Complete | RootState::Partial);
        self.roots()?.into_iter().filter(is_here).filter_map(known_block).collect()
    }
}

/// The block of a root's record, if the record has one.
fn known_block(record: RootRecord) -> Option<Result<KnownBlock, SourceError>> {
    let (root, block) = (record.root, record.block.clone()?);
    let header = match block.header.as_deref().map(unhex) {
        Some(None) => return Some(Err(SourceError::new(format!("the header stored for root {root:?} is not hex")))),
        header => header.flatten(),
    };
    let scope = record.into_partial();
    Some(Ok(KnownBlock { number: block.number, hash: block.hash, state_root: root, header, scope }))
}
