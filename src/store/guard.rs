//! What stands between the store and its database when it writes.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use super::StoreError;

/// Lets writes through until one fails, and none after it: of the bytes of a failed write or sync nobody knows which
/// are on the disk, and a later one that succeeds would say that they are. Opening the store again finds out.
#[derive(Debug, Default)]
pub(super) struct Guard {
    failed: AtomicBool,
}

impl Guard {
    pub(super) fn write(
        &self,
        dir: &Path,
        write: impl FnOnce() -> Result<(), rocksdb::Error>,
    ) -> Result<(), StoreError> {
        if self.failed.load(Ordering::Acquire) {
            return Err(StoreError::FailedBefore { dir: dir.into() });
        }
        write().map_err(|error| {
            self.failed.store(true, Ordering::Release);
            disk_error(dir, error)
        })
    }
}

/// What the disk said, and what is free there: that is most often why.
pub(super) fn disk_error(dir: &Path, error: rocksdb::Error) -> StoreError {
    if error.kind() != rocksdb::ErrorKind::IOError {
        return error.into();
    }
    let free = rustix::fs::statvfs(dir).map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize));
    StoreError::Disk { dir: dir.into(), free_megabytes: free.ok().map(|bytes| bytes / 1_000_000), source: error }
}
