//! The keys of Nethermind's half-path layout: a beginning of the path, so that neighbours lie together, and the hash.

use std::collections::HashMap;

use primitive_types::H256;
use statesync::serve::MemoryState;
use statesync::trie::{Event, Nibbles, Place, Walk};

use super::state::InMemory;

/// Nodes of the account trie with paths up to this long lie in a section of their own.
const TOP_NIBBLES: usize = 4;
/// Bytes of the path in an account node's key.
const ACCOUNT_PATH_BYTES: usize = 8;
/// Bytes of the owner and of the path in a storage node's key.
const STORAGE_PATH_BYTES: usize = 7;

/// The keys of all nodes below the roots, with their hashes.
pub(super) fn table(memory: &MemoryState, roots: impl IntoIterator<Item = H256>) -> HashMap<Vec<u8>, H256> {
    let source = InMemory(memory);
    let mut table = HashMap::new();
    for root in roots {
        for event in Walk::new(&source, Place::root(None, root), |_| true) {
            if let Event::Node { place, .. } = event.unwrap() {
                table.insert(key(&place), place.hash);
            }
        }
    }
    table
}

fn key(place: &Place) -> Vec<u8> {
    let packed = packed(place.path);
    let length = u8::try_from(place.path.len()).unwrap();
    let mut key = Vec::new();
    if let Some(owner) = place.owner {
        key.push(2);
        key.extend(&owner.as_bytes()[..STORAGE_PATH_BYTES]);
        key.extend(&packed[..STORAGE_PATH_BYTES]);
    } else {
        key.push(u8::from(place.path.len() > TOP_NIBBLES));
        key.extend(&packed[..ACCOUNT_PATH_BYTES]);
    }
    key.push(length);
    key.extend(place.hash.as_bytes());
    key
}

/// Two nibbles a byte, and zeros after the last.
fn packed(path: Nibbles) -> [u8; 32] {
    let mut packed = [0; 32];
    for (index, nibble) in path.iter().enumerate() {
        packed[index / 2] |= if index.is_multiple_of(2) { nibble << 4 } else { nibble };
    }
    packed
}
