//! A write log that ends anywhere, and a journal that does: what is left of the one is whole commits, of the other rows.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::process::Signal;
use statesync::genesis::StateSummary;
use statesync::serve::MemoryState;
use statesync::store::Store;
use tempfile::TempDir;

use crate::support::{
    Content, Peer, References, Rng, Seed, Shape, copy, end_by, in_memory, items, journal_files, open, options, records,
    spawn, state, sync, verified,
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

/// A state, and the store of a sync to it that was killed in its middle, after several commits.
struct Torn {
    memory: Arc<MemoryState>,
    summary: StateSummary,
    dir: TempDir,
}

impl Torn {
    fn new(seed: u64) -> Self {
        let (memory, [summary]) = in_memory([&state(seed, SHAPE)]);
        let (peer, dir) = (Peer::honest(&memory), TempDir::new().unwrap());
        let (path, url, root) = (dir.path().to_str().unwrap(), peer.url(), format!("{:?}", summary.root));
        peer.allow(0);
        let child = spawn(&["sync", "-r", &url, "--root", &root, "--datadir", path, "--batch-size", "16"]);
        for _ in 0..COMMITS {
            peer.allow(items(&memory) / (COMMITS + 1));
            peer.wait_for_limit();
            // Longer than between two commits.
            std::thread::sleep(std::time::Duration::from_millis(600));
        }
        end_by(Signal::KILL, child);
        Self { memory, summary, dir }
    }
}

/// What the store counts is what it holds, or less; and a sync fetches the rest and no more.
fn assert_resumes(memory: &Arc<MemoryState>, summary: &StateSummary, dir: &Path, held: u64) {
    let peer = Peer::honest(memory);
    let store = open(dir);
    assert!(counted(&store) <= held, "{} are counted, {held} are there", counted(&store));
    assert!(sync(&store, &[peer.url()], options(summary.root)).is_complete(), "{held} were held");
    assert_eq!(verified(&store, summary.root).nodes, summary.nodes);
    assert_eq!(peer.served(), items(memory) - held, "something was fetched again");
}

fn counted(store: &Store) -> u64 {
    let counts = store.checkpoint().unwrap().map(|checkpoint| checkpoint.counts).unwrap_or_default();
    counts.nodes + counts.codes
}

#[test]
fn wherever_the_write_log_ends_the_store_is_whole_and_resumes() {
    let seed = Seed::or(41);
    let mut rng = seed.rng();
    let Torn { memory, summary, dir } = Torn::new(seed.0);
    let references = References::of(&memory, &[summary.root]);

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
        let content = Content::read(work.path());
        references.assert_complete(&content);
        assert!(content.rows() <= rows, "a shorter log has more rows");
        let changed = content.rows() < rows;
        levels += u64::from(changed);
        rows = content.rows();
        if changed || number % (cuts.len() / RESUMES) == 0 {
            resumed += 1;
            let copied = TempDir::new().unwrap();
            copy(work.path(), copied.path());
            assert_resumes(&memory, &summary, copied.path(), rows);
        }
    }
    eprintln!("{size} bytes of log, {} cuts, {levels} different contents, {resumed} resumes", cuts.len());
    assert!(levels >= 3, "only {levels} different contents");
    assert_eq!(rows, 0, "an empty log has rows");
}

/// What the store holds when of one file of its journal only the first bytes are left.
fn without(whole: &Content, file: &[u8], left: usize) -> Content {
    let mut content = whole.clone();
    for (at, record) in records(file) {
        if left < at + record.len() {
            let rows = if record.is_code { &mut content.codes } else { &mut content.staged };
            rows.remove(&record.hash).unwrap();
        }
    }
    content
}

/// The store after another run has opened it.
fn opened(dir: &Path) -> Content {
    drop(open(dir));
    Content::read(dir)
}

#[test]
fn wherever_a_file_of_the_journal_ends_what_is_before_that_is_kept() {
    let seed = Seed::or(43);
    let mut rng = seed.rng();
    let Torn { memory, summary, dir } = Torn::new(seed.0);
    let whole = Content::read(dir.path());
    let files = journal_files(dir.path());
    assert_eq!(files.len(), 16);
    let mut resumed = 0;
    for (_, part, path) in &files {
        let file = std::fs::read(path).unwrap();
        let boundaries: Vec<usize> = records(&file).iter().map(|(at, _)| *at).collect();
        let some = |rng: &mut Rng| boundaries[usize::try_from(rng.below(boundaries.len() as u64)).unwrap()];
        let (header, inside) = (some(&mut rng) + 1 + *part, some(&mut rng) + 50);
        let cuts = [0, 1, some(&mut rng), some(&mut rng), header, inside, file.len() - 1, file.len()];
        for (number, cut) in cuts.into_iter().enumerate() {
            let copied = TempDir::new().unwrap();
            copy(dir.path(), copied.path());
            let torn = OpenOptions::new().write(true).open(copied.path().join(path.strip_prefix(dir.path()).unwrap()));
            let torn = torn.unwrap();
            torn.set_len(cut as u64).unwrap();
            // What the disk had put aside for the file may be there, as zeros.
            if number % 2 == 0 {
                torn.set_len(file.len() as u64).unwrap();
            }
            // They may be what was there.
            let is = std::fs::read(copied.path().join(path.strip_prefix(dir.path()).unwrap())).unwrap();
            let expected = without(&whole, &file, is.iter().zip(&file).take_while(|(is, was)| is == was).count());
            assert!(opened(copied.path()) == expected, "file {part} cut at {cut}");
            if number == *part % 8 {
                resumed += 1;
                assert_resumes(&memory, &summary, copied.path(), expected.rows());
            }
        }
    }
    eprintln!("{} rows, {resumed} resumes", whole.rows());
}

#[test]
fn a_file_of_the_journal_with_a_wrong_byte_is_kept_up_to_the_record_with_it() {
    let seed = Seed::or(44);
    let mut rng = seed.rng();
    let Torn { memory, summary, dir } = Torn::new(seed.0);
    let whole = Content::read(dir.path());
    for (_, part, path) in journal_files(dir.path()) {
        let file = std::fs::read(&path).unwrap();
        let at = usize::try_from(rng.below(file.len() as u64)).unwrap();
        let of = records(&file).into_iter().rev().find(|(begin, _)| *begin <= at).unwrap().0;
        // The byte for the level says nothing.
        let left = if at == of + 37 { file.len() } else { of };
        let copied = TempDir::new().unwrap();
        copy(dir.path(), copied.path());
        let mut flipped = file.clone();
        flipped[at] ^= 0x40;
        std::fs::write(copied.path().join(path.strip_prefix(dir.path()).unwrap()), &flipped).unwrap();
        let expected = without(&whole, &file, left);
        assert!(opened(copied.path()) == expected, "file {part} is wrong at {at}");
        assert_resumes(&memory, &summary, copied.path(), expected.rows());
    }
}

#[test]
fn a_log_with_a_wrong_byte_is_whole_up_to_it() {
    let seed = Seed::or(42);
    let mut rng = seed.rng();
    let Torn { memory, summary, dir } = Torn::new(seed.0);
    let references = References::of(&memory, &[summary.root]);
    let log = log(dir.path());
    let size = log.metadata().unwrap().len();
    let file = File::options().read(true).write(true).open(&log).unwrap();
    for _ in 0..PLACES {
        let at = rng.below(size);
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 0x40], at).unwrap();
        references.assert_complete(&Content::read(dir.path()));
        file.write_all_at(&byte, at).unwrap();
    }
}
