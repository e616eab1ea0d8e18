//! Reading all nodes in the order of the disk.

use primitive_types::H256;
use rocksdb::ReadOptions;

use super::layout::{self, NODES};
use super::{Store, StoreError};
use crate::trie::Level;

/// What is read from the disk at a time. Of a store of a million nodes, what begins with one byte is twice as much, and
/// what is read beyond its end is lost.
const READ_AHEAD_BYTES: usize = 256 << 10;

impl Store {
    /// Hands out the complete nodes whose hash begins with this byte, in the order of their hashes.
    pub(super) fn scan_nodes(&self, first: u8, take: &mut dyn FnMut(H256, Level, &[u8])) -> Result<(), StoreError> {
        let mut rows = self.db.raw_iterator_cf_opt(self.family(NODES)?, beginning_with(first));
        rows.seek_to_first();
        while let Some((key, row)) = rows.item() {
            let hash = key
                .try_into()
                .map_err(|_| StoreError::Corrupt { what: format!("a node is stored under {} bytes", key.len()) })?;
            let (level, rlp) = layout::node(row);
            take(H256(hash), level, rlp);
            rows.next();
        }
        Ok(rows.status()?)
    }
}

/// For reading all rows whose keys begin with this byte, from the first to the last.
pub(super) fn beginning_with(first: u8) -> ReadOptions {
    let mut options = ReadOptions::default();
    options.set_iterate_lower_bound([first]);
    if let Some(next) = first.checked_add(1) {
        options.set_iterate_upper_bound([next]);
    }
    options.set_readahead_size(READ_AHEAD_BYTES);
    // Each block is read once; the cache is for the upper levels of the trie.
    options.fill_cache(false);
    options
}
