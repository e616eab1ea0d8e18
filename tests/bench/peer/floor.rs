//! What no sync can do without, each alone, in the best known way, on one thread: the floor of the CPU time.

use std::time::Duration;

use memchr::memmem;
use rocksdb::{BlockBasedOptions, DB, DBCompressionType, Options, SstFileWriter};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use statesync::trie::keccak256_batch;

use super::table::Table;

/// Each figure is the median of so many.
const RUNS: usize = 5;
/// Items in a reply.
const BATCH: usize = 1_000;
/// Replies that are scanned and decoded at a time: enough that the clock does not show.
const REPLIES: usize = 100;
/// Nodes in a sorted run.
const SORTED: usize = 1_000_000;
/// As the store's: see `src/store/options.rs`.
const BLOCK_BYTES: usize = 16 << 10;
const FILTER_BITS: f64 = 10.0;

/// Nanoseconds of CPU time for each node of the state; its codes are in it as they are in a sync's.
pub(crate) fn measure(table: &Table) -> Value {
    let pairs: Vec<(&[u8; 32], &[u8])> = table.iter().collect();
    let per_node = |time: Duration| time.as_nanos() as f64 / table.nodes as f64;
    let median = |measure: &dyn Fn() -> Duration| {
        let mut times: Vec<Duration> = (0..RUNS).map(|_| measure()).collect();
        times.sort_unstable();
        per_node(times[RUNS / 2])
    };
    let keccak = median(&|| timed(|| hash_all(&pairs)).1);
    let json = median(&|| over_replies(&pairs, |reply, results, _| scan(reply, results)));
    let both = median(&|| {
        over_replies(&pairs, |reply, results, bytes| {
            scan(reply, results);
            decode(reply, results, bytes);
        })
    });
    let ingest = median(&|| timed(|| ingest(&pairs)).1);
    let hex = (both - json).max(0.0);
    json!({
        "nodes": table.nodes, "keccak_ns": keccak, "hex_ns": hex, "json_ns": json, "ingest_ns": ingest,
        "total_ns": keccak + hex + json + ingest,
    })
}

/// Inputs hashed together: as many as a reply brings.
const HASHED_AT_ONCE: usize = 1_000;

/// The best way to hash many that there is in this crate.
fn hash_all(pairs: &[(&[u8; 32], &[u8])]) {
    for pairs in pairs.chunks(HASHED_AT_ONCE) {
        let values: Vec<&[u8]> = pairs.iter().map(|(_, value)| *value).collect();
        for (hash, (expected, _)) in keccak256_batch(&values).iter().zip(pairs) {
            assert_eq!(hash.as_fixed_bytes(), *expected);
        }
    }
}

/// What `work` needs for all replies that bring the pairs; writing the replies does not count.
fn over_replies(
    pairs: &[(&[u8; 32], &[u8])],
    work: impl Fn(&[u8], &mut Vec<(usize, usize)>, &mut Vec<u8>),
) -> Duration {
    let (mut results, mut bytes) = (Vec::new(), Vec::new());
    let mut total = Duration::ZERO;
    for some in pairs.chunks(BATCH * REPLIES) {
        let replies: Vec<Vec<u8>> = some.chunks(BATCH).map(reply).collect();
        let ((), time) = timed(|| {
            for reply in &replies {
                results.clear();
                work(reply, &mut results, &mut bytes);
            }
        });
        assert_eq!(results.len(), (some.len() - 1) % BATCH + 1);
        total += time;
    }
    total
}

fn reply(pairs: &[(&[u8; 32], &[u8])]) -> Vec<u8> {
    let answer = |(id, (_, value)): (usize, &(&[u8; 32], &[u8]))| {
        format!(r#"{{"jsonrpc":"2.0","id":{id},"result":"0x{}"}}"#, faster_hex::hex_string(value))
    };
    format!("[{}]", pairs.iter().enumerate().map(answer).collect::<Vec<_>>().join(",")).into_bytes()
}

/// Finds where each result starts and ends.
fn scan(reply: &[u8], results: &mut Vec<(usize, usize)>) {
    let result_is = memmem::Finder::new(br#""result":"0x"#);
    let mut from = 0;
    while let Some(at) = result_is.find(&reply[from..]) {
        let start = from + at + result_is.needle().len();
        from = memchr::memchr(b'"', &reply[start..]).unwrap() + start;
        results.push((start, from));
    }
}

fn decode(reply: &[u8], results: &[(usize, usize)], bytes: &mut Vec<u8>) {
    bytes.clear();
    for (start, end) in results {
        let room = bytes.len();
        bytes.resize(room + (end - start) / 2, 0);
        faster_hex::hex_decode(&reply[*start..*end], &mut bytes[room..]).unwrap();
    }
}

/// Sorts the pairs, writes them as finished tables, and hands those to the database.
fn ingest(pairs: &[(&[u8; 32], &[u8])]) {
    let dir = tempfile::tempdir().unwrap();
    let mut table = BlockBasedOptions::default();
    table.set_block_size(BLOCK_BYTES);
    table.set_bloom_filter(FILTER_BITS, false);
    table.set_format_version(6);
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_block_based_table_factory(&table);
    options.set_compression_type(DBCompressionType::None);
    let db = DB::open(&options, dir.path().join("db")).unwrap();
    for (number, run) in pairs.chunks(SORTED).enumerate() {
        let mut run = run.to_vec();
        run.sort_unstable_by_key(|(hash, _)| *hash);
        let file = dir.path().join(number.to_string());
        let mut writer = SstFileWriter::create(&options);
        writer.open(&file).unwrap();
        for (hash, value) in run {
            writer.put(hash, value).unwrap();
        }
        writer.finish().unwrap();
        db.ingest_external_file(vec![file]).unwrap();
    }
}

/// What the work returns, and this thread's CPU time for it.
fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let now = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    };
    let started = now();
    let result = work();
    (result, now().saturating_sub(started))
}
