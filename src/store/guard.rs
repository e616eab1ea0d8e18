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
    pub(super) fn write<T>(&self, dir: &Path, write: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
        if self.failed.load(Ordering::Acquire) {
            return Err(StoreError::FailedBefore { dir: dir.into() });
        }
        write().inspect_err(|_| self.failed.store(true, Ordering::Release))
    }
}

/// What the database said of the disk, and what is free there: that is most often why.
pub(super) fn disk_error(dir: &Path, error: rocksdb::Error) -> StoreError {
    if error.kind() != rocksdb::ErrorKind::IOError {
        return error.into();
    }
    failed(dir, error.into())
}

/// What the system said of the disk.
pub(super) fn io_error(dir: &Path, error: std::io::Error) -> StoreError {
    failed(dir, error.into())
}

fn failed(dir: &Path, source: Box<dyn std::error::Error + Send + Sync>) -> StoreError {
    let free = rustix::fs::statvfs(dir).map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize));
    StoreError::Disk { dir: dir.into(), free_megabytes: free.ok().map(|bytes| bytes / 1_000_000), source }
}
