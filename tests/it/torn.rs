//! A write log that ends anywhere: what is left of it is whole commits.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use primitive_types::H256;
use rocksdb::{DB, IteratorMode, Options};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::support::{
    CODES, NODES, Peer, References, STAGING, Seed, Shape, copy, end_by, in_memory, items, open, options, spawn, state,
    sync, verified,
};

/// Some two thousand nodes: each opening of the store reads the log.
const SHAPE: Shape = Shape { accounts: 700, slots: 12 };

/// Commits before the kill. Each takes half a second, since so little comes.
const COMMITS: u64 = 5;

/// At the log's end, how many bytes are cut off one by one.
const TAIL_BYTES: u64 = 1_000;

/// Places in what is before that, beside those around the boundaries of records.
const PLACES: u64 = 200;

/// How many of the cut stores are synced to the end.
const RESUMES: usize = 16;

/// The log's format: blocks of this size, and a header of each record: checksum, length, kind.
const BLOCK_BYTES: u64 = 32 << 10;
const HEADER_BYTES: u64 = 7;

/// What is stored.
struct Stored {
    nodes: HashSet<H256>,
    codes: HashSet<H256>,
    staged: u64,
}

impl Stored {
    /// Reads it without changing anything in the directory.
    fn read(dir: &Path) -> Self {
        let families = [NODES, CODES, STAGING, "meta"];
        let db = DB::open_cf_for_read_only(&Options::default(), dir, families, false).unwrap();
        let keys = |family| {
            let rows = db.iterator_cf(db.cf_handle(family).unwrap(), IteratorMode::Start);
            rows.map(|row| H256::from_slice(&row.unwrap().0)).collect::<HashSet<_>>()
        };
        Self { nodes: keys(NODES), codes: keys(CODES), staged: keys(STAGING).len() as u64 }
    }

    fn rows(&self) -> u64 {
        (self.nodes.len() + self.codes.len()) as u64 + self.staged
    }
}

/// The write log that was written last.
fn log(dir: &Path) -> PathBuf {
    let files = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "log")).max().unwrap()
}

/// Where the log's records begin and end.
fn boundaries(log: &Path) -> Vec<u64> {
    let bytes = std::fs::read(log).unwrap();
    let (mut at, mut boundaries) = (0, vec![0]);
    while at + HEADER_BYTES <= bytes.len() as u64 {
        let left = BLOCK_BYTES - at % BLOCK_BYTES;
        let header = usize::try_from(at).unwrap();
        let length = u64::from(u16::from_le_bytes([bytes[header + 4], bytes[header + 5]]));
        // The rest of a block that has no room for a header is left empty.
        at += if left < HEADER_BYTES { left } else { HEADER_BYTES + length };
        boundaries.push(at);
    }
    boundaries
}

/// Runs a sync to its middle, with several commits, and kills it.
fn killed(peer: &Peer, root: H256, items: u64, dir: &Path) {
    let (path, url, root) = (dir.to_str().unwrap(), peer.url(), format!("{root:?}"));
    peer.allow(0);
    let child = spawn(&["sync", "-r", &url, "--root", &root, "--datadir", path, "--batch-size", "16"]);
    for _ in 0..COMMITS {
        peer.allow(items / (COMMITS + 1));
        peer.wait_for_limit();
        // Longer than between two commits.
        std::thread::sleep(std::time::Duration::from_millis(600));
    }
    end_by(Signal::KILL, child);
}

#[test]
fn wherever_the_write_log_ends_the_store_is_whole_and_resumes() {
    let seed = Seed::or(41);
    let mut rng = seed.rng();
    let (memory, [summary]) = in_memory([&state(seed.0, SHAPE)]);
    let references = References::of(&memory, &[summary.root]);
    let peer = Peer::honest(&memory);
    let dir = TempDir::new().unwrap();
    killed(&peer, summary.root, items(&memory), dir.path());
    peer.allow(u64::MAX);

    let whole = log(dir.path());
    let size = whole.metadata().unwrap().len();
    let boundaries = boundaries(&whole);
    assert_eq!(boundaries.last(), Some(&size), "the log's format is another one");
    let mut cuts: Vec<u64> = (size - TAIL_BYTES..=size).collect();
    cuts.extend(boundaries.iter().flat_map(|at| at.saturating_sub(1)..=(at + 8).min(size)));
    cuts.extend((0..PLACES).map(|_| rng.below(size)));
    cuts.sort_unstable();
    cuts.dedup();

    // From the end on, so that one copy can be cut again and again.
    let work = TempDir::new().unwrap();
    copy(dir.path(), work.path());
    let log = work.path().join(whole.file_name().unwrap());
    let file = OpenOptions::new().write(true).open(&log).unwrap();
    let (mut rows, mut levels, mut resumed) = (u64::MAX, 0, 0);
    for (number, cut) in cuts.iter().rev().enumerate() {
        file.set_len(*cut).unwrap();
        // What the disk had put aside for the file may be there, as zeros.
        if number % 3 == 0 {
            file.set_len(size).unwrap();
        }
        let stored = Stored::read(work.path());
        references.assert_complete(&stored.nodes, &stored.codes);
        assert!(stored.rows() <= rows, "a shorter log has more rows");
        let changed = stored.rows() < rows;
        levels += u64::from(changed);
        rows = stored.rows();
        if changed || number % (cuts.len() / RESUMES) == 0 {
            resumed += 1;
            let copied = TempDir::new().unwrap();
            copy(work.path(), copied.path());
            let store = open(copied.path());
            assert!(sync(&store, &[peer.url()], options(summary.root)).is_complete(), "cut at {cut}");
            assert_eq!(verified(&store, summary.root).nodes, summary.nodes);
        }
    }
    eprintln!("{size} bytes of log, {} cuts, {levels} different contents, {resumed} resumes", cuts.len());
    assert!(levels >= 3, "only {levels} different contents");
    assert_eq!(rows, 0, "an empty log has rows");
}

#[test]
fn a_log_with_a_wrong_byte_is_whole_up_to_it() {
    let seed = Seed::or(42);
    let mut rng = seed.rng();
    let (memory, [summary]) = in_memory([&state(seed.0, SHAPE)]);
    let references = References::of(&memory, &[summary.root]);
    let peer = Peer::honest(&memory);
    let dir = TempDir::new().unwrap();
    killed(&peer, summary.root, items(&memory), dir.path());
    let log = log(dir.path());
    let size = log.metadata().unwrap().len();
    let file = File::options().read(true).write(true).open(&log).unwrap();
    for _ in 0..PLACES {
        let at = rng.below(size);
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 0x40], at).unwrap();
        let stored = Stored::read(dir.path());
        references.assert_complete(&stored.nodes, &stored.codes);
        file.write_all_at(&byte, at).unwrap();
    }
}
