//! Tables that the database refers to and has deleted.
//!
//! `RocksDB` notes a table that it ingests in its manifest and syncs that. If the sync fails, it takes the ingestion for
//! failed and deletes the table; but the note may be there all the same, and a database that lacks a table cannot be opened.
//! Its source is still in the journal's directory then, and is put in its place.

use std::path::{Path, PathBuf};

use rocksdb::DB;

use super::{TABLE, directory};
use crate::store::options;

/// Puts tables in their places, if that is what keeps the database of the store in `store` from being opened. Whether it can
/// be opened now.
pub(in crate::store) fn tables(store: &Path) -> bool {
    let files = std::fs::read_dir(directory(store)).into_iter().flatten().flatten().map(|file| file.path());
    let mut sources: Vec<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|extension| extension == TABLE)).collect();
    sources.sort();
    !sources.is_empty() && place(store, &sources)
}

/// Tries each source in the place of what is missing: the sizes, which the database checks, tell the right one. There are
/// four at most.
fn place(store: &Path, sources: &[PathBuf]) -> bool {
    let opened = DB::open_cf_descriptors_read_only(&options::database(), store, options::families(0, false), false);
    let Err(error) = opened else { return true };
    let Some(missing) = missing(&error).map(|name| store.join(name)).filter(|path| !path.exists()) else {
        return false;
    };
    sources.iter().any(|source| {
        let others: Vec<PathBuf> = sources.iter().filter(|other| *other != source).cloned().collect();
        if std::fs::hard_link(source, &missing).is_err() {
            return false;
        }
        let is_right = place(store, &others);
        if is_right {
            tracing::warn!(table = %missing.display(), "a table that the database has lost is put back");
        } else {
            let _ = std::fs::remove_file(&missing);
        }
        is_right
    })
}

/// The name of the table that the database does not find.
fn missing(error: &rocksdb::Error) -> Option<String> {
    let is_table = |word: &&str| {
        let number = word.strip_suffix(".sst").unwrap_or_default();
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    };
    let text: &str = error.as_ref();
    let mut words = text.split(|character: char| character == '/' || character == ':' || character.is_whitespace());
    words.find(is_table).map(str::to_owned)
}
