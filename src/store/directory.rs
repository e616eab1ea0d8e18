//! What is in a directory, before a database is opened in it.

use std::path::Path;

use rocksdb::{DB, IteratorMode};

use super::guard::disk_error;
use super::layout::{CODES, META, NODES, PREIMAGES, STAGING};
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
    if is_store(dir) {
        return Err(StoreError::Damaged { dir: dir.into(), what: "its file CURRENT is missing".into() });
    }
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

/// Refuses a database that is no store's; whether it has a family of preimages.
pub(super) fn check_families(dir: &Path, access: Access) -> Result<bool, StoreError> {
    let other = |found| StoreError::OtherFormat { dir: dir.into(), found };
    // A database of another engine has a CURRENT file too (LevelDB, Pebble), and cannot be listed.
    let families = DB::list_cf(&options::database(), dir).map_err(|error| {
        if is_store(dir) {
            StoreError::Damaged { dir: dir.into(), what: error.into_string() }
        } else {
            other(format!("another layout ({error})"))
        }
    })?;
    let known = [rocksdb::DEFAULT_COLUMN_FAMILY_NAME, NODES, CODES, STAGING, META, PREIMAGES];
    if let Some(family) = families.iter().find(|family| !known.contains(&family.as_str())) {
        return Err(other(format!("a family \"{family}\" of another program")));
    }
    if families.iter().any(|family| family == META) {
        return Ok(families.iter().any(|family| family == PREIMAGES));
    }
    // Another program's database, or one of ours whose creation was interrupted: that one is empty.
    let db = DB::open_for_read_only(&options::database(), dir, false);
    let db = db.map_err(|error| other(format!("another layout ({error})")))?;
    match db.iterator(IteratorMode::Start).next() {
        Some(_) => Err(other("no families of this program".into())),
        None if access == Access::Read => Err(StoreError::Absent { dir: dir.into() }),
        None => Ok(false),
    }
}

/// Whether a store was opened in `dir` before, whatever is left of it: `RocksDB` writes the names of its families to a
/// text file.
fn is_store(dir: &Path) -> bool {
    let files = std::fs::read_dir(dir).into_iter().flatten().flatten();
    files.filter(|file| file.file_name().to_string_lossy().starts_with("OPTIONS-")).any(|file| {
        let text = std::fs::read(file.path()).unwrap_or_default();
        let names = format!("[CFOptions \"{STAGING}\"]");
        text.windows(names.len()).any(|part| part == names.as_bytes())
    })
}

/// Whether a database cannot be opened because of what is in its files, or is missing.
pub(super) fn is_damage(error: &rocksdb::Error) -> bool {
    error.kind() == rocksdb::ErrorKind::Corruption
}

/// Why a database cannot be opened.
pub(super) fn open_error(dir: &Path, error: rocksdb::Error) -> StoreError {
    match error.kind() {
        _ if is_lock(&error) => StoreError::Locked { dir: dir.into() },
        _ if is_damage(&error) => StoreError::Damaged { dir: dir.into(), what: error.into_string() },
        _ => disk_error(dir, error),
    }
}

/// `RocksDB` reports a lock that another process or this one holds as an I/O error. One about a lock file that cannot
/// be made names the file too.
fn is_lock(error: &rocksdb::Error) -> bool {
    let says = |text| error.as_ref().contains(text);
    error.kind() == rocksdb::ErrorKind::IOError && (says("While lock file") || says("lock hold by current process"))
}
