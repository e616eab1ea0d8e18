//! States that several tests sync.

use std::collections::BTreeMap;

use primitive_types::{H256, U256};

use super::source::{Body, Source, State};
use crate::trie::{Nibbles, keccak256};

/// The hash of a number.
pub(crate) fn hashed(number: u64) -> H256 {
    keccak256(&number.to_be_bytes())
}

/// The key with these leading nibbles, the rest filled with one nibble.
pub(crate) fn key(leading: &[u8], fill: u8) -> H256 {
    let filled: Vec<u8> = leading.iter().copied().chain(std::iter::repeat(fill)).take(64).collect();
    Nibbles::from_slice(&filled).unwrap().to_key().unwrap()
}

/// Storage with words of any size at hashed slots.
pub(crate) fn storage(seed: u64, slots: u64) -> BTreeMap<H256, U256> {
    let slot = |slot: u64| {
        let hash = hashed(seed << 32 | slot);
        let word = U256::from_big_endian(hash.as_bytes()) >> (8 * (slot % 32));
        (hash, word.max(U256::one()))
    };
    (0..slots).map(slot).collect()
}

/// Accounts at hashed addresses, of which every third has code and every fifth storage, as in geth's tests.
pub(crate) fn accounts(count: u64) -> State {
    let body = |number: u64| {
        let code = if number.is_multiple_of(3) { vec![3; usize::try_from(number + 1).unwrap()] } else { Vec::new() };
        let slots = if number.is_multiple_of(5) { 1 + number % 40 } else { 0 };
        (hashed(number), Body { nonce: number, storage: storage(number, slots), code })
    };
    (0..count).map(body).collect()
}

/// One account that holds a storage trie.
pub(crate) fn one_trie(storage: BTreeMap<H256, U256>) -> Source {
    let body = Body { storage, ..Body::default() };
    Source::new(State::from([(hashed(0), body)]))
}

/// A storage whose keys share their first 56 nibbles, with small words: nearly all of its nodes are inline.
pub(crate) fn tiny(keys: impl IntoIterator<Item = u64>) -> BTreeMap<H256, U256> {
    let key = |number: u64| {
        let mut key = [0x11; 32];
        key[28..].copy_from_slice(&u32::try_from(number).unwrap().to_be_bytes());
        H256(key)
    };
    keys.into_iter().map(|number| (key(number), U256::from(number % 100 + 1))).collect()
}

/// An account with neither code nor storage.
pub(crate) fn plain(nonce: u64) -> Body {
    Body { nonce, ..Body::default() }
}
