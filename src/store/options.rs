//! How `RocksDB` is tuned: few, large, immutable values under uniformly random 32-byte keys.

use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, Cache, ColumnFamilyDescriptor, DBCompactionStyle, DBCompressionType,
    Options, UniversalCompactOptions,
};

use super::RoundLimits;
use super::layout::{CODES, META, NODES, PREIMAGES, STAGING};
use crate::memory::Memory;

/// The memory of an open store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreMemory {
    /// How much of what is committed waits in the journal.
    pub round: RoundLimits,
    /// Cache of what is read from the database, in bytes: rows, and the indexes and filters of its tables, which so take no
    /// more however large the state is.
    pub cache_bytes: usize,
}

impl StoreMemory {
    /// That of a store that is only read, with a cache of so many bytes.
    #[must_use]
    pub fn reading(cache_bytes: usize) -> Self {
        Self { cache_bytes, ..Self::default() }
    }
}

impl Default for StoreMemory {
    fn default() -> Self {
        Memory::default().store
    }
}

/// Memory of one write buffer. What goes through one is little: records, and nodes that a round of the journal leaves
/// staged.
const WRITE_BUFFER_BYTES: usize = 16 << 20;

/// Tables of a family together before `RocksDB` merges those of like size. Each is one more filter to ask for a row; each
/// merge writes all of them once more.
const TABLES: i32 = 16;

/// Block size. 16 KiB keeps the index small; a node is read for 16 KiB of I/O either way on most disks.
const BLOCK_BYTES: usize = 16 << 10;

/// Filter bits for each key. Ten make a look-up of an absent node (the common case of a first sync) some 20 times
/// cheaper than without a filter, at 1.25 bytes a key.
const FILTER_BITS: f64 = 10.0;

/// Files kept open. Stays below the usual limit of 1024 descriptors with room for sockets.
const OPEN_FILES: i32 = 512;

/// Log files together before the oldest write buffer is flushed: bounds the replay at the next start.
const LOG_BYTES: u64 = 256 << 20;

/// `RocksDB`'s own text log in the directory: a few small files, not the unlimited default.
const INFO_LOG_BYTES: usize = 4 << 20;
const INFO_LOG_FILES: usize = 2;

pub(super) fn database() -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_max_background_jobs(2);
    options.set_max_open_files(OPEN_FILES);
    options.set_max_total_wal_size(LOG_BYTES);
    options.set_max_log_file_size(INFO_LOG_BYTES);
    options.set_keep_log_file_num(INFO_LOG_FILES);
    options
}

pub(super) fn families(cache_bytes: usize, with_preimages: bool) -> Vec<ColumnFamilyDescriptor> {
    let cache = Cache::new_lru_cache(cache_bytes);
    let family = |name, options| ColumnFamilyDescriptor::new(name, options);
    let preimages = with_preimages.then(|| family(PREIMAGES, hashed(&cache)));
    let mut families = vec![
        family(NODES, sorted(&cache)),
        family(CODES, sorted(&cache)),
        family(STAGING, hashed(&cache)),
        family(META, hashed(&cache)),
    ];
    families.extend(preimages);
    families
}

/// How a table is written that is to be ingested.
pub(super) fn table() -> Options {
    hashed(&Cache::new_lru_cache(0))
}

/// A family that gets its rows as tables.
fn sorted(cache: &Cache) -> Options {
    let mut universal = UniversalCompactOptions::default();
    // Nothing is ever written again, so there is nothing to be won by merging all tables only because they are many.
    universal.set_max_size_amplification_percent(i32::MAX);
    let mut options = hashed(cache);
    options.set_compaction_style(DBCompactionStyle::Universal);
    options.set_universal_compaction_options(&universal);
    options.set_level_zero_file_num_compaction_trigger(TABLES);
    options.set_level_zero_slowdown_writes_trigger(3 * TABLES);
    options.set_level_zero_stop_writes_trigger(4 * TABLES);
    options
}

fn hashed(cache: &Cache) -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    table.set_block_size(BLOCK_BYTES);
    table.set_bloom_filter(FILTER_BITS, false);
    // In the cache, and in small pieces, so that memory does not grow with the state.
    table.set_cache_index_and_filter_blocks(true);
    table.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
    table.set_partition_filters(true);
    table.set_format_version(6);
    let mut options = Options::default();
    options.set_block_based_table_factory(&table);
    options.set_write_buffer_size(WRITE_BUFFER_BYTES);
    // Hashes do not compress: lz4 saves 3 %, zstd 8 % of the disk for 1.4 to 3 times the write cost.
    options.set_compression_type(DBCompressionType::None);
    options
}
