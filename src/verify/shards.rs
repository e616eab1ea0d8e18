//! A table that threads fill together.

use std::collections::HashMap;
use std::sync::Mutex;

use primitive_types::H256;

use crate::lock::lock;

/// Shards of a table, so that threads seldom meet at one lock.
const SHARDS: usize = 64;

/// A table by hash.
pub(super) struct Shards<V>(Vec<Mutex<HashMap<H256, V>>>);

impl<V: Copy> Shards<V> {
    pub(super) fn new() -> Self {
        Self((0..SHARDS).map(|_| Mutex::default()).collect())
    }

    /// True if the hash is new.
    pub(super) fn insert(&self, hash: H256, value: V) -> bool {
        self.of(&hash).is_none_or(|shard| lock(shard).insert(hash, value).is_none())
    }

    pub(super) fn get(&self, hash: &H256) -> Option<V> {
        lock(self.of(hash)?).get(hash).copied()
    }

    pub(super) fn len(&self) -> u64 {
        self.0.iter().map(|shard| lock(shard).len() as u64).sum()
    }

    /// Hashes are uniform: any byte picks a shard evenly.
    fn of(&self, hash: &H256) -> Option<&Mutex<HashMap<H256, V>>> {
        self.0.get(usize::from(hash.as_bytes()[0]) % SHARDS)
    }
}
