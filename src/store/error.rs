//! What can go wrong with a store.

use std::path::PathBuf;

/// Why a store cannot be opened, read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no store in the directory.
    #[error("no store in {}", dir.display())]
    Absent {
        /// The directory.
        dir: PathBuf,
    },
    /// The directory holds other files, which are left alone.
    #[error("{} is not empty and holds no store", dir.display())]
    NotAStore {
        /// The directory.
        dir: PathBuf,
    },
    /// Another process has the store open.
    #[error("the store in {} is in use by another process", dir.display())]
    Locked {
        /// The directory.
        dir: PathBuf,
    },
    /// A database of another program, or of a version that this one does not know.
    #[error("the database in {} has {found}, this program reads format {}", dir.display(), super::FORMAT_VERSION)]
    OtherFormat {
        /// The directory.
        dir: PathBuf,
        /// What was found instead.
        found: String,
    },
    /// The store belongs to another chain.
    #[error("the store belongs to chain {stored}, the peers serve chain {wanted}")]
    OtherChain {
        /// The chain id pinned in the store.
        stored: u64,
        /// The chain id asked for.
        wanted: u64,
    },
    /// The store belongs to another chain with the same id.
    #[error("the store belongs to the chain with genesis {stored:?}, the peers serve the one with {wanted:?}")]
    OtherGenesis {
        /// The hash pinned in the store.
        stored: primitive_types::H256,
        /// The hash asked for.
        wanted: primitive_types::H256,
    },
    /// The database of this store cannot be opened as it is: files are missing or damaged.
    #[error("the database in {} is damaged: {what}", dir.display())]
    Damaged {
        /// The directory.
        dir: PathBuf,
        /// What the database says.
        what: String,
    },
    /// A value does not say what its key or its format promises.
    #[error("the store is corrupt: {what}")]
    Corrupt {
        /// Which value, and what is wrong with it.
        what: String,
    },
    /// The directory or a file in it cannot be used.
    #[error("cannot use {}: {source}", path.display())]
    Io {
        /// The directory or file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The disk does not take what is written, or cannot give it back.
    #[error("the disk of {} failed, {} free: {source}", dir.display(), megabytes(*free_megabytes))]
    Disk {
        /// The store's directory.
        dir: PathBuf,
        /// What is free there, where the system says so.
        free_megabytes: Option<u64>,
        /// The error of the database or of the system.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It was opened for reading.
    #[error("the store in {} is open for reading only", dir.display())]
    ReadOnly {
        /// The store's directory.
        dir: PathBuf,
    },
    /// A write has failed before. Nothing is written after that until the store is opened again.
    #[error("the disk of {} has failed before: nothing more is written", dir.display())]
    FailedBefore {
        /// The store's directory.
        dir: PathBuf,
    },
    /// The database failed.
    #[error("the database failed: {0}")]
    Database(#[from] rocksdb::Error),
}

fn megabytes(number: Option<u64>) -> String {
    number.map_or_else(|| "an unknown amount".into(), |number| format!("{number} MB"))
}
