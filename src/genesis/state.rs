//! From an allocation to the state it stands for: every node and every code, children first.

use std::cell::RefCell;
use std::collections::HashSet;

use primitive_types::H256;

use super::{Genesis, GenesisAccount};
use crate::trie::{Account, BuilderError, EMPTY_CODE_HASH, Kind, Level, TrieBuilder, keccak256};

/// Takes the parts of a state as they are made, each after everything it refers to.
///
/// A node or code that several parts share is given once for each of them.
pub trait StateSink {
    /// Why the sink could not take a part.
    type Error;

    /// Takes a trie node: at which depth of which trie it is, the keccak of its RLP, and the RLP.
    ///
    /// # Errors
    /// Whatever keeps the sink from taking it; the build stops.
    fn node(&mut self, level: Level, hash: H256, rlp: &[u8]) -> Result<(), Self::Error>;

    /// Takes a contract's code and its keccak.
    ///
    /// # Errors
    /// Whatever keeps the sink from taking it; the build stops.
    fn code(&mut self, hash: H256, bytes: &[u8]) -> Result<(), Self::Error>;
}

/// The root of a state and what is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateSummary {
    /// The state root.
    pub root: H256,
    /// Accounts.
    pub accounts: u64,
    /// Storage slots, a shared storage trie counted for each account that holds it.
    pub slots: u64,
    /// Codes, distinct by hash.
    pub codes: u64,
    /// Stored trie nodes, distinct by hash; those embedded in their parent are not stored.
    pub nodes: u64,
}

impl Genesis {
    /// Builds the state of this allocation into `sink` and returns its root and counts.
    ///
    /// Accounts are kept even when they hold nothing, as geth does for a genesis. Memory beyond
    /// the allocation is 32 bytes for each distinct node and code.
    ///
    /// # Errors
    /// [`BuilderError::Sink`] with the sink's own error; no other, as the allocation is in order.
    pub fn build<S: StateSink>(&self, sink: &mut S) -> Result<StateSummary, BuilderError<S::Error>> {
        let counter = RefCell::new(Counter::new(sink));
        let mut slots = 0;
        let mut trie = TrieBuilder::new(|path, hash, rlp: &[u8]| {
            counter.borrow_mut().node(Level::new(Kind::AccountNode, &path), hash, rlp)
        });
        for (key, account) in &self.alloc {
            let entry = Account {
                nonce: account.nonce,
                balance: account.balance,
                storage_root: build_storage(account, &counter)?,
                code_hash: put_code(account, &counter)?,
            };
            slots += account.storage.len() as u64;
            trie.add(*key, &entry.encode())?;
        }
        let root = trie.finish()?;
        let counter = counter.into_inner();
        Ok(StateSummary {
            root,
            accounts: self.alloc.len() as u64,
            slots,
            codes: counter.codes.len() as u64,
            nodes: counter.nodes.len() as u64,
        })
    }
}

/// Passes everything on to the sink and remembers what it has seen.
struct Counter<'a, S> {
    sink: &'a mut S,
    nodes: HashSet<H256>,
    codes: HashSet<H256>,
}

impl<'a, S: StateSink> Counter<'a, S> {
    fn new(sink: &'a mut S) -> Self {
        Self { sink, nodes: HashSet::new(), codes: HashSet::new() }
    }

    fn node(&mut self, level: Level, hash: H256, rlp: &[u8]) -> Result<(), S::Error> {
        self.nodes.insert(hash);
        self.sink.node(level, hash, rlp)
    }

    fn code(&mut self, hash: H256, bytes: &[u8]) -> Result<(), S::Error> {
        self.codes.insert(hash);
        self.sink.code(hash, bytes)
    }
}

fn build_storage<S: StateSink>(
    account: &GenesisAccount,
    counter: &RefCell<Counter<'_, S>>,
) -> Result<H256, BuilderError<S::Error>> {
    let mut trie = TrieBuilder::new(|path, hash, rlp: &[u8]| {
        counter.borrow_mut().node(Level::new(Kind::StorageNode, &path), hash, rlp)
    });
    for (key, value) in &account.storage {
        trie.add(*key, &rlp::encode(value))?;
    }
    trie.finish()
}

fn put_code<S: StateSink>(
    account: &GenesisAccount,
    counter: &RefCell<Counter<'_, S>>,
) -> Result<H256, BuilderError<S::Error>> {
    if account.code.is_empty() {
        return Ok(EMPTY_CODE_HASH);
    }
    let hash = keccak256(&account.code);
    counter.borrow_mut().code(hash, &account.code).map_err(BuilderError::Sink)?;
    Ok(hash)
}
