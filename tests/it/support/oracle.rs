//! The same states through another trie implementation, `eth_trie`: what is right does not depend on this program.

use std::collections::HashMap;
use std::sync::Arc;

use eth_trie::{EthTrie, MemoryDB, Trie};
use primitive_types::{H256, U256};
use rlp::RlpStream;
use statesync::genesis::{Genesis, GenesisAccount};
use statesync::trie::keccak256;

/// All nodes of a state, by hash.
#[derive(Debug)]
pub(crate) struct Oracle {
    pub(crate) root: H256,
    pub(crate) nodes: HashMap<H256, Vec<u8>>,
}

/// Builds a state's tries with `eth_trie`.
pub(crate) fn build(genesis: &Genesis) -> Oracle {
    let mut nodes = HashMap::new();
    let mut trie = new_trie();
    for (key, account) in &genesis.alloc {
        trie.insert(key.as_bytes(), &leaf(account, &mut nodes)).unwrap();
    }
    let root = close(trie, &mut nodes);
    Oracle { root, nodes }
}

/// An account as its leaf holds it (yellow paper, 4.1).
fn leaf(account: &GenesisAccount, nodes: &mut HashMap<H256, Vec<u8>>) -> Vec<u8> {
    let mut storage = new_trie();
    for (key, value) in &account.storage {
        storage.insert(key.as_bytes(), &rlp_integer(value)).unwrap();
    }
    let mut list = RlpStream::new_list(4);
    list.append(&account.nonce).append(&account.balance);
    list.append(&close(storage, nodes).as_bytes()).append(&keccak256(&account.code).as_bytes());
    list.out().to_vec()
}

fn rlp_integer(value: &U256) -> Vec<u8> {
    rlp::encode(value).to_vec()
}

fn new_trie() -> EthTrie<MemoryDB> {
    EthTrie::new(Arc::new(MemoryDB::new(true)))
}

/// The trie's root; its nodes are added to `nodes`. The empty trie has none.
fn close(mut trie: EthTrie<MemoryDB>, nodes: &mut HashMap<H256, Vec<u8>>) -> H256 {
    let closed = trie.root_hash_with_changed_nodes().unwrap();
    let root = H256(closed.root.0);
    if root != keccak256(&rlp::NULL_RLP) {
        nodes.extend(closed.trie_diff.into_iter().map(|(hash, rlp)| (H256(hash.0), rlp)));
    }
    root
}
