//! What is in a directory, before a database is opened in it.

use std::path::Path;

use rocksdb::{DB, IteratorMode};

use super::layout::{CODES, META, NODES, STAGING};
use super::{Access, StoreError, options};

/// Whether `dir` holds a `RocksDB` database; a directory with other things in it is refused.
pub(super) fn is_database(dir: &Path) -> Result<bool, StoreError> {
    if dir.join("CURRENT").exists() {
        return Ok(true);
    }
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(source) => return Err(StoreError::Io { path: dir.into(), source }),
    };
    // What RocksDB leaves when it is killed before a new database has its CURRENT file.
    let leftover = |name: &str| {
        ["LOCK", "LOG", "IDENTITY", "lost+found"].contains(&name)
            || ["MANIFEST-", "OPTIONS-", "LOG.old", "0"].iter().any(|prefix| name.starts_with(prefix))
    };
    for entry in entries {
        let entry = entry.map_err(|source| StoreError::Io { path: dir.into(), source })?;
        if !leftover(&entry.file_name().to_string_lossy()) {
            return Err(StoreError::NotAStore { dir: dir.into() });
        }
    }
    Ok(false)
}

pub(super) fn check_families(dir: &Path, access: Access) -> Result<(), StoreError> {
    let other = |found| StoreError::OtherFormat { dir: dir.into(), found };
    // A database of another engine has a CURRENT file too (LevelDB, Pebble), and cannot be listed.
    let families =
        DB::list_cf(&options::database(), dir).map_err(|error| other(format!("another layout ({error})")))?;
    let known = [rocksdb::DEFAULT_COLUMN_FAMILY_NAME, NODES, CODES, STAGING, META];
    if let Some(family) = families.iter().find(|family| !known.contains(&family.as_str())) {
        return Err(other(format!("a family \"{family}\" of another program")));
    }
    if families.iter().any(|family| family == META) {
        return Ok(());
    }
    // Another program's database, or one of ours whose creation was interrupted: that one is empty.
    let db = DB::open_for_read_only(&options::database(), dir, false);
    let db = db.map_err(|error| other(format!("another layout ({error})")))?;
    match db.iterator(IteratorMode::Start).next() {
        Some(_) => Err(other("no families of this program".into())),
        None if access == Access::Read => Err(StoreError::Absent { dir: dir.into() }),
        None => Ok(()),
    }
}

/// `RocksDB` reports a lock that another process or this one holds as an I/O error. One about a lock file that cannot
/// be made names the file too.
pub(super) fn is_lock(error: &rocksdb::Error) -> bool {
    let says = |text| error.as_ref().contains(text);
    error.kind() == rocksdb::ErrorKind::IOError && (says("While lock file") || says("lock hold by current process"))
}
