//! States in memory, made from genesis files.

use std::borrow::Cow;
use std::collections::HashMap;
use std::convert::Infallible;

use primitive_types::H256;

use super::{KnownBlock, Source, SourceError};
use crate::genesis::{Genesis, StateSink, StateSummary};
use crate::trie::{BuilderError, Level, keccak256};

/// One state or several in memory, as a [`Source`]. What they share is held once.
#[derive(Clone, Debug, Default)]
pub struct MemoryState {
    nodes: HashMap<H256, Vec<u8>>,
    codes: HashMap<H256, Vec<u8>>,
    blocks: Vec<KnownBlock>,
    chain_id: Option<u64>,
}

impl MemoryState {
    /// A state of no chain and without any node.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the state of a genesis; where it says them, its block and its chain id too. Returns its root and counts.
    ///
    /// # Errors
    /// None but a defect of the builder: a genesis is in order.
    pub fn add(&mut self, genesis: &Genesis) -> Result<StateSummary, BuilderError<Infallible>> {
        let summary = genesis.build(self)?;
        if let Some(header) = &genesis.header {
            let rlp = header.encode(summary.root);
            let hash = keccak256(&rlp);
            self.add_block(KnownBlock {
                number: header.number,
                hash,
                state_root: summary.root,
                header: Some(rlp),
                scope: None,
            });
        }
        self.chain_id = genesis.chain_id.or(self.chain_id);
        Ok(summary)
    }

    /// Adds a block, whose state is or will be there too.
    pub fn add_block(&mut self, block: KnownBlock) {
        self.blocks.push(block);
    }

    /// Sets the chain id.
    pub fn set_chain_id(&mut self, chain_id: u64) {
        self.chain_id = Some(chain_id);
    }

    /// The nodes' RLP by hash.
    #[must_use]
    pub fn nodes(&self) -> &HashMap<H256, Vec<u8>> {
        &self.nodes
    }

    /// The codes by hash.
    #[must_use]
    pub fn codes(&self) -> &HashMap<H256, Vec<u8>> {
        &self.codes
    }
}

impl StateSink for MemoryState {
    type Error = Infallible;

    fn node(&mut self, _: Level, hash: H256, rlp: &[u8]) -> Result<(), Infallible> {
        self.nodes.entry(hash).or_insert_with(|| rlp.to_vec());
        Ok(())
    }

    fn code(&mut self, hash: H256, bytes: &[u8]) -> Result<(), Infallible> {
        self.codes.entry(hash).or_insert_with(|| bytes.to_vec());
        Ok(())
    }
}

impl Source for MemoryState {
    fn node(&self, hash: &H256) -> Result<Option<Cow<'_, [u8]>>, SourceError> {
        Ok(self.nodes.get(hash).map(Cow::from))
    }

    fn code(&self, hash: &H256) -> Result<Option<Cow<'_, [u8]>>, SourceError> {
        Ok(self.codes.get(hash).map(Cow::from))
    }

    fn chain_id(&self) -> Result<Option<u64>, SourceError> {
        Ok(self.chain_id)
    }

    fn blocks(&self) -> Result<Vec<KnownBlock>, SourceError> {
        Ok(self.blocks.clone())
    }
}
