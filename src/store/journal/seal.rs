//! A round becomes a part of the database: its complete rows, sorted, as tables.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use primitive_types::H256;
use rocksdb::{DB, IngestExternalFileOptions, Options, SstFileWriter};

use super::TABLE;
use super::round::{Part, Place, Round, Rows};
use crate::store::guard::{disk_error, io_error};
use crate::store::layout::{CODES, NODES};
use crate::store::{StoreError, options};

/// A round of fewer rows is sorted by one thread also at the end of a sync: another table to look into costs more.
const ROWS_FOR_TWO: usize = 100_000;

/// A table of a family, being written.
struct Table<'a> {
    dir: &'a Path,
    path: PathBuf,
    writer: SstFileWriter<'a>,
    is_open: bool,
}

/// Ingests the complete rows of `rounds`, on up to `threads` threads. All of a round appear in the database at once.
pub(super) fn seal(db: &DB, dir: &Path, rounds: &[Arc<Round>], threads: usize) -> Result<(), StoreError> {
    for round in rounds {
        let threads = if round.rows() < ROWS_FOR_TWO { 1 } else { threads };
        let shares: Vec<&[Part]> = round.parts.chunks(round.parts.len().div_ceil(threads)).collect();
        let paths = std::thread::scope(|scope| {
            let write = |(number, parts)| scope.spawn(move || write(dir, number, parts));
            let threads: Vec<_> = shares.into_iter().enumerate().map(write).collect();
            let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
                thread
                    .join()
                    .unwrap_or_else(|_| Err(StoreError::Corrupt { what: "a thread that sorts is gone".into() }))
            };
            threads.into_iter().map(join).collect::<Result<Vec<_>, StoreError>>()
        })?;
        let (nodes, codes): (Vec<_>, Vec<_>) = paths.into_iter().unzip();
        // Codes first: a node is complete only if they are there.
        for (family, paths) in [(CODES, codes), (NODES, nodes)] {
            ingest(db, dir, family, paths.into_iter().flatten().collect())?;
        }
    }
    Ok(())
}

fn ingest(db: &DB, dir: &Path, family: &'static str, paths: Vec<PathBuf>) -> Result<(), StoreError> {
    if paths.is_empty() {
        return Ok(());
    }
    let missing = || StoreError::Corrupt { what: format!("family {family} is missing") };
    let mut options = IngestExternalFileOptions::default();
    options.set_move_files(true);
    let family = db.cf_handle(family).ok_or_else(missing)?;
    db.ingest_external_file_cf_opts(family, &options, paths).map_err(|error| disk_error(dir, error))
}

/// Writes the tables of some parts, which follow each other in the order of keys: that of nodes, and that of codes.
fn write(dir: &Path, number: usize, parts: &[Part]) -> Result<(Option<PathBuf>, Option<PathBuf>), StoreError> {
    let options = options::table();
    let mut nodes = Table::new(&options, dir, NODES, number);
    let mut codes = Table::new(&options, dir, CODES, number);
    for part in parts {
        let mut file = part.read_all().map_err(|error| io_error(dir, error))?;
        for (hash, place) in complete(&part.codes) {
            codes.put(hash, place.bytes_in(&file))?;
        }
        for (hash, place) in complete(&part.nodes) {
            nodes.put(hash, place.row_in(&mut file))?;
        }
    }
    Ok((nodes.finish()?, codes.finish()?))
}

/// The complete ones, in the order of keys.
fn complete(rows: &Rows) -> impl Iterator<Item = (&H256, &Place)> {
    let complete = rows.iter().filter(|(_, place)| place.level.is_some());
    // The first bytes nearly always tell two hashes apart, and are at hand.
    let prefix = |hash: &H256| hash.0.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
    let mut sorted: Vec<(u64, &H256, &Place)> = complete.map(|(hash, place)| (prefix(hash), hash, place)).collect();
    sorted.sort_unstable_by(|one, other| one.0.cmp(&other.0).then_with(|| one.1.cmp(other.1)));
    sorted.into_iter().map(|(_, hash, place)| (hash, place))
}

impl<'a> Table<'a> {
    fn new(options: &'a Options, dir: &'a Path, family: &'static str, number: usize) -> Self {
        let path = dir.join(format!("{family}-{number}.{TABLE}"));
        Self { dir, path, writer: SstFileWriter::create(options), is_open: false }
    }

    fn put(&mut self, hash: &H256, row: Option<&[u8]>) -> Result<(), StoreError> {
        let Some(row) = row else {
            return Err(StoreError::Corrupt { what: format!("the journal lacks {hash:?}") });
        };
        if !self.is_open {
            self.writer.open(&self.path).map_err(|error| disk_error(self.dir, error))?;
            self.is_open = true;
        }
        self.writer.put(hash, row).map_err(|error| disk_error(self.dir, error))
    }

    /// Syncs the table to the disk and gives its path; `None` for one without rows.
    fn finish(mut self) -> Result<Option<PathBuf>, StoreError> {
        if !self.is_open {
            return Ok(None);
        }
        self.writer.finish().map_err(|error| disk_error(self.dir, error))?;
        Ok(Some(self.path))
    }
}
