//! An account trie with a branch far down.

use std::collections::BTreeMap;
use std::sync::Arc;

use primitive_types::{H160, H256};
use statesync::genesis::{Genesis, GenesisAccount};
use statesync::serve::MemoryState;
use statesync::trie::{Leaf, Place, TrieKind, decode, keccak256};

/// A state, its root, and two of its nodes: at a path of four nibbles and at one of five.
pub(super) fn state() -> (Arc<MemoryState>, H256, [Place; 2]) {
    // Among so many random keys, some pairs share the first five nibbles.
    let mut genesis = Genesis { chain_id: Some(1), header: None, alloc: BTreeMap::new() };
    for number in 0_u64..20_000 {
        let mut account = GenesisAccount::new(H160::from_slice(&[&[0; 12][..], &number.to_be_bytes()].concat()));
        account.nonce = 1;
        let key = keccak256(account.address.as_bytes());
        genesis.alloc.insert(key, account);
    }
    let mut memory = MemoryState::new();
    let root = memory.add(&genesis).unwrap().root;
    let mut found = [None; 2];
    let mut places = vec![Place::root(None, root)];
    while let Some(place) = places.pop() {
        match place.path.len() {
            4 => found[0] = Some(place),
            5 => found[1] = Some(place),
            _ => {}
        }
        let links =
            decode(TrieKind::Account, &place.path, place.after_extension, &memory.nodes()[&place.hash]).unwrap();
        assert!(links.leaves.iter().all(|leaf| matches!(leaf, Leaf::Account { .. })));
        places.extend(links.children.iter().map(|child| Place {
            owner: None,
            path: child.path,
            hash: child.hash,
            after_extension: child.after_extension,
        }));
    }
    (Arc::new(memory), root, found.map(Option::unwrap))
}
