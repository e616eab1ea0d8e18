//! Against another implementation, and against maps.

mod diff;
mod proof;
mod reader;

use std::collections::BTreeMap;
use std::convert::Infallible;

use primitive_types::{H256, U256};
use proptest::prelude::*;

use super::{State, StateError};
use crate::trie::{Account, EMPTY_CODE_HASH, EMPTY_ROOT, Nibbles, NodeSource, StoredNode, TrieBuilder, keccak256};

/// Words by key.
type Slots = BTreeMap<H256, U256>;

/// What an account is, its storage root told by its storage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Content {
    nonce: u64,
    balance: U256,
    code: Vec<u8>,
    slots: Slots,
}

/// Accounts by key.
type Accounts = BTreeMap<H256, Content>;

/// Nodes and codes in memory, and how many nodes were read.
#[derive(Default)]
struct Memory {
    nodes: BTreeMap<H256, Vec<u8>>,
    codes: BTreeMap<H256, Vec<u8>>,
    reads: std::cell::Cell<usize>,
}

impl NodeSource for Memory {
    type Error = Infallible;

    fn node(&self, hash: &H256) -> Result<Option<StoredNode>, Infallible> {
        self.reads.set(self.reads.get() + 1);
        Ok(self.nodes.get(hash).cloned().map(Into::into))
    }

    fn code(&self, hash: &H256) -> Result<Option<Vec<u8>>, Infallible> {
        Ok(self.codes.get(hash).cloned())
    }
}

impl Memory {
    fn trie(&mut self, leaves: impl Iterator<Item = (H256, Vec<u8>)>) -> H256 {
        let mut builder = TrieBuilder::new(|_, hash, rlp: &[u8]| {
            self.nodes.insert(hash, rlp.to_vec());
            Ok::<_, Infallible>(())
        });
        leaves.for_each(|(key, value)| builder.add(key, &value).unwrap());
        builder.finish().unwrap()
    }

    fn account(&mut self, content: &Content) -> Account {
        let storage_root = self.trie(content.slots.iter().map(|(key, word)| (*key, rlp::encode(word).to_vec())));
        let code_hash = keccak256(&content.code);
        if code_hash != EMPTY_CODE_HASH {
            self.codes.insert(code_hash, content.code.clone());
        }
        Account { nonce: content.nonce, balance: content.balance, storage_root, code_hash }
    }

    fn state(&mut self, accounts: &Accounts) -> H256 {
        let leaves: Vec<_> = accounts.iter().map(|(key, content)| (*key, self.account(content).encode())).collect();
        self.trie(leaves.into_iter())
    }
}

/// Keys that share anything from none to 63 nibbles, so that tries are deep, with extensions and inline nodes.
fn key() -> impl Strategy<Value = H256> {
    let base = Nibbles::from_key(&keccak256(b"base"));
    (prop_oneof![Just(0_usize), 0_usize..64, 58_usize..64], any::<[u8; 32]>()).prop_map(move |(shared, other)| {
        let tail = Nibbles::from_key(&H256(other)).suffix(shared);
        base.prefix(shared).join(&tail).unwrap().to_key().unwrap()
    })
}

fn word() -> impl Strategy<Value = U256> {
    prop_oneof![(1_u64..0x80).prop_map(U256::from), (1_u64..=u64::MAX).prop_map(|word| U256::from(word) << 150)]
}

fn slots() -> impl Strategy<Value = Slots> {
    prop_oneof![Just(Slots::new()), prop::collection::btree_map(key(), word(), 0..12)]
}

fn content() -> impl Strategy<Value = Content> {
    let code = prop_oneof![Just(Vec::new()), prop::collection::vec(any::<u8>(), 1..4)];
    (0_u64..3, word(), code, slots()).prop_map(|(nonce, balance, code, slots)| Content { nonce, balance, code, slots })
}

fn accounts() -> impl Strategy<Value = Accounts> {
    prop::collection::btree_map(key(), content(), 0..16)
}
