//! How `RocksDB` is tuned: few, large, immutable values under uniformly random 32-byte keys.

use rocksdb::{BlockBasedOptions, Cache, ColumnFamilyDescriptor, DBCompressionType, Options};

use super::layout::{CODES, META, NODES, STAGING};

/// Memory of one write buffer. Measured best for random keys: at 128 and 256 MB the skip list outgrows the caches and
/// inserts slow down by a fifth.
const WRITE_BUFFER_BYTES: usize = 64 << 20;

/// Write buffers of the nodes family: one filling, one being written, one to spare while the disk is busy.
const WRITE_BUFFERS: i32 = 3;

/// Codes and meta are written seldom; a small buffer bounds memory.
const SMALL_WRITE_BUFFER_BYTES: usize = 16 << 20;

/// Shared cache of uncompressed blocks. Point reads of random keys hit it seldom; it serves the trie's upper levels.
const BLOCK_CACHE_BYTES: usize = 64 << 20;

/// Block size. 16 KiB keeps the index small; a node is read for 16 KiB of I/O either way on most disks.
const BLOCK_BYTES: usize = 16 << 10;

/// Filter bits for each key. Ten make a look-up of an absent node (the common case of a first sync) some 20 times
/// cheaper than without a filter, at 1.25 bytes a key.
const FILTER_BITS: f64 = 10.0;

/// Share of a write buffer that its own filter takes. Without one, every look-up of an absent node searches the buffer's
/// skip list: with one (of 0.05), a sync of 1.2 million nodes took 14 s of CPU time instead of 21. A smaller one still
/// has some 50 bits for each of a buffer's 200,000 nodes.
const BUFFER_FILTER_RATIO: f64 = 0.02;

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

pub(super) fn families() -> Vec<ColumnFamilyDescriptor> {
    let cache = Cache::new_lru_cache(BLOCK_CACHE_BYTES);
    let family = |name, buffer| ColumnFamilyDescriptor::new(name, hashed_family(&cache, buffer));
    vec![
        family(NODES, WRITE_BUFFER_BYTES),
        family(CODES, SMALL_WRITE_BUFFER_BYTES),
        family(STAGING, WRITE_BUFFER_BYTES),
        family(META, SMALL_WRITE_BUFFER_BYTES),
    ]
}

fn hashed_family(cache: &Cache, write_buffer: usize) -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    table.set_block_size(BLOCK_BYTES);
    table.set_bloom_filter(FILTER_BITS, false);
    table.set_format_version(6);
    let mut options = Options::default();
    options.set_block_based_table_factory(&table);
    options.set_write_buffer_size(write_buffer);
    options.set_max_write_buffer_number(WRITE_BUFFERS);
    options.set_memtable_prefix_bloom_ratio(BUFFER_FILTER_RATIO);
    options.set_memtable_whole_key_filtering(true);
    // Hashes do not compress: lz4 saves 3 %, zstd 8 % of the disk for 1.4 to 3 times the write cost.
    options.set_compression_type(DBCompressionType::None);
    options
}
