//! Tables that are written outside of the database and become part of it at one moment.

use std::path::{Path, PathBuf};

use primitive_types::H256;
use rocksdb::{DB, IngestExternalFileOptions, Options, SstFileWriter};

use super::StoreError;
use super::guard::disk_error;
use super::journal::{self, TABLE, restore};

/// A table, being written; its keys come in order.
pub(super) struct Table<'a> {
    store: &'a Path,
    path: PathBuf,
    writer: SstFileWriter<'a>,
    is_open: bool,
}

impl<'a> Table<'a> {
    /// One with a name that no other has meanwhile.
    pub(super) fn new(options: &'a Options, store: &'a Path, name: &str) -> Self {
        let path = journal::directory(store).join(format!("{name}.{TABLE}"));
        Self { store, path, writer: SstFileWriter::create(options), is_open: false }
    }

    pub(super) fn put(&mut self, hash: &H256, row: &[u8]) -> Result<(), StoreError> {
        self.writer()?.put(hash, row).map_err(|error| disk_error(self.store, error))
    }

    /// Notes that the database has this row no longer.
    pub(super) fn delete(&mut self, key: &[u8]) -> Result<(), StoreError> {
        self.writer()?.delete(key).map_err(|error| disk_error(self.store, error))
    }

    fn writer(&mut self) -> Result<&mut SstFileWriter<'a>, StoreError> {
        if !self.is_open {
            self.writer.open(&self.path).map_err(|error| disk_error(self.store, error))?;
            self.is_open = true;
        }
        Ok(&mut self.writer)
    }

    /// Syncs the table to the disk and gives its path; `None` for one without rows.
    pub(super) fn finish(mut self) -> Result<Option<PathBuf>, StoreError> {
        if !self.is_open {
            return Ok(None);
        }
        self.writer.finish().map_err(|error| disk_error(self.store, error))?;
        Ok(Some(self.path))
    }
}

/// Makes tables a part of a family, all at one moment.
pub(super) fn ingest(db: &DB, store: &Path, family: &'static str, paths: Vec<PathBuf>) -> Result<(), StoreError> {
    if paths.is_empty() {
        return Ok(());
    }
    let missing = || StoreError::Corrupt { what: format!("family {family} is missing") };
    let mut options = IngestExternalFileOptions::default();
    options.set_move_files(true);
    let family = db.cf_handle(family).ok_or_else(missing)?;
    db.ingest_external_file_cf_opts(family, &options, paths).map_err(|error| {
        restore::tables(store);
        disk_error(store, error)
    })
}
