//! A round becomes a part of the database: its complete rows, sorted, as tables.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use primitive_types::H256;
use rocksdb::DB;

use super::round::{PARTS, Part, Place, Round, Rows};
use crate::store::guard::io_error;
use crate::store::layout::{CODES, NODES};
use crate::store::table::{Table, ingest};
use crate::store::{StoreError, options};

/// A round of fewer rows is sorted by one thread also at the end of a sync: another table to look into costs more.
const ROWS_FOR_TWO: usize = 100_000;

/// Ingests the complete rows of `rounds`, on up to `threads` threads. All nodes appear in the database at once: one that
/// an earlier round holds may be complete by what is in a later one.
pub(super) fn seal(db: &DB, store: &Path, rounds: &[Arc<Round>], threads: usize) -> Result<(), StoreError> {
    let rows: usize = rounds.iter().map(|round| round.rows()).sum();
    let threads = if rows < ROWS_FOR_TWO { 1 } else { threads };
    // The parts of all rounds that hold hashes with the same nibble.
    let parts_of = |part: usize| rounds.iter().filter_map(|round| round.parts.get(part)).collect();
    let groups: Vec<Vec<&Part>> = (0..PARTS).map(parts_of).collect();
    let paths = std::thread::scope(|scope| {
        let write = |(number, groups)| scope.spawn(move || write(store, number, groups));
        let threads: Vec<_> = groups.chunks(PARTS.div_ceil(threads)).enumerate().map(write).collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
            thread.join().unwrap_or_else(|_| Err(StoreError::Corrupt { what: "a thread that sorts is gone".into() }))
        };
        threads.into_iter().map(join).collect::<Result<Vec<_>, StoreError>>()
    })?;
    let (nodes, codes): (Vec<_>, Vec<_>) = paths.into_iter().unzip();
    // Codes first: a node is complete only if they are there.
    for (family, paths) in [(CODES, codes), (NODES, nodes)] {
        ingest(db, store, family, paths.into_iter().flatten().collect())?;
    }
    Ok(())
}

/// Writes the tables of some groups, which follow each other in the order of keys: that of nodes, and that of codes.
fn write(store: &Path, number: usize, groups: &[Vec<&Part>]) -> Result<(Option<PathBuf>, Option<PathBuf>), StoreError> {
    let options = options::table();
    let mut nodes = Table::new(&options, store, &format!("{NODES}-{number}"));
    let mut codes = Table::new(&options, store, &format!("{CODES}-{number}"));
    for group in groups {
        let files = group.iter().map(|part| part.read_all()).collect::<std::io::Result<Vec<_>>>();
        let mut files = files.map_err(|error| io_error(store, error))?;
        for row in complete(group.iter().map(|part| &part.codes)) {
            codes.put(row.hash, bytes(row.hash, files.get(row.file).and_then(|file| row.place.bytes_in(file)))?)?;
        }
        for row in complete(group.iter().map(|part| &part.nodes)) {
            nodes.put(row.hash, bytes(row.hash, files.get_mut(row.file).and_then(|file| row.place.row_in(file)))?)?;
        }
    }
    Ok((nodes.finish()?, codes.finish()?))
}

fn bytes<'a>(hash: &H256, row: Option<&'a [u8]>) -> Result<&'a [u8], StoreError> {
    row.ok_or_else(|| StoreError::Corrupt { what: format!("the journal lacks {hash:?}") })
}

/// A complete row, in one of some files.
struct Row<'a> {
    /// The first bytes of the hash nearly always tell two apart, and are at hand.
    prefix: u64,
    hash: &'a H256,
    place: &'a Place,
    file: usize,
}

/// The complete ones, in the order of keys, each once.
fn complete<'a>(rows: impl Iterator<Item = &'a Rows>) -> Vec<Row<'a>> {
    let prefix = |hash: &H256| hash.0.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
    let row = |file| move |(hash, place)| Row { prefix: prefix(hash), hash, place, file };
    let all = rows.enumerate().flat_map(|(file, rows)| rows.iter().map(row(file)));
    let mut sorted: Vec<Row<'_>> = all.filter(|row| row.place.level.is_some()).collect();
    sorted.sort_unstable_by(|one, other| one.prefix.cmp(&other.prefix).then_with(|| one.hash.cmp(other.hash)));
    sorted.dedup_by(|one, other| one.hash == other.hash);
    sorted
}
