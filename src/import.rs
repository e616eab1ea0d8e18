//! A genesis allocation into a store.

use primitive_types::H256;

use crate::genesis::{Genesis, StateSink, StateSummary};
use crate::store::{Block, Durability, Marks, RootRecord, RootState, Store, StoreError, Totals};
use crate::trie::{BuilderError, Commit, Complete, Key, Kind, Level, keccak256};

/// Rows written at a time; from some hundred on the cost of a row is flat.
const BATCH: usize = 4_096;

/// Builds the state of `genesis` in `store`, pins its chain, and records its root and block as complete.
///
/// # Errors
/// [`StoreError`]; an interrupted import leaves nothing that a later one or a sync could not use.
pub fn import(genesis: &Genesis, store: &Store) -> Result<StateSummary, StoreError> {
    if let Some(chain_id) = genesis.chain_id {
        store.pin_chain(chain_id)?;
    }
    let mut sink = Sink { store, commit: Commit::default() };
    let summary = genesis.build(&mut sink).map_err(|error| match error {
        BuilderError::Sink(error) => error,
        other => StoreError::Corrupt { what: format!("the allocation cannot be built: {other}") },
    })?;
    let StateSummary { root, accounts, slots, codes, nodes } = summary;
    let block = genesis.header.as_ref().map(|header| {
        let rlp = header.encode(root);
        let hex = format!("0x{}", faster_hex::hex_string(&rlp));
        Block { number: header.number, hash: keccak256(&rlp), header: Some(hex) }
    });
    let totals = Some(Totals { accounts, slots, codes, nodes });
    let record = RootRecord { state: RootState::Complete, totals, ..RootRecord::syncing(root, block) };
    store.commit(&sink.commit, &Marks { checkpoint: None, root: Some(record) }, Durability::Disk)?;
    Ok(summary)
}

/// Collects what the builder makes, children first, and commits it in batches.
struct Sink<'a> {
    store: &'a Store,
    commit: Commit,
}

impl Sink<'_> {
    fn add(&mut self, kind: Kind, level: Level, hash: H256, bytes: &[u8]) -> Result<(), StoreError> {
        let key = Key { kind, hash };
        self.commit.complete.push(Complete { key, level, bytes: Some(bytes.to_vec()), staged: false });
        if self.commit.complete.len() < BATCH {
            return Ok(());
        }
        let commit = std::mem::take(&mut self.commit);
        self.store.commit(&commit, &Marks::default(), Durability::Log)
    }
}

impl StateSink for Sink<'_> {
    type Error = StoreError;

    fn node(&mut self, level: Level, hash: H256, rlp: &[u8]) -> Result<(), StoreError> {
        // Both kinds of nodes live in one family; the level tells them apart.
        self.add(Kind::AccountNode, level, hash, rlp)
    }

    fn code(&mut self, hash: H256, bytes: &[u8]) -> Result<(), StoreError> {
        self.add(Kind::Code, Level::CODE, hash, bytes)
    }
}
