//! What can go wrong with preimages.

use std::io;

use crate::export::ExportError;
use crate::genesis::GenesisError;
use crate::store::StoreError;

/// Why preimages were not added.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PreimageError {
    /// The store fails.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The state cannot be walked.
    #[error(transparent)]
    State(#[from] ExportError),
    /// The allocation cannot be read.
    #[error(transparent)]
    Alloc(#[from] GenesisError),
    /// The file cannot be read or decompressed.
    #[error("cannot read {file}: {source}")]
    Read {
        /// The file's name.
        file: String,
        /// The system's error.
        source: io::Error,
    },
    /// The file is not what it was taken for.
    #[error("{file} is no {format} file: {why} at byte {at}")]
    NotOne {
        /// The file's name.
        file: String,
        /// What it was taken for.
        format: &'static str,
        /// What is wrong.
        why: &'static str,
        /// How far into it, decompressed.
        at: u64,
    },
    /// No peer answers any more.
    #[error("no peer answers: {0}")]
    Peers(String),
    /// A peer gave no word on some, and no other peer has them.
    #[error("{keys} accounts and slots were not answered for: {why}")]
    Unanswered {
        /// How many.
        keys: u64,
        /// The peer, and what it said instead.
        why: String,
    },
    /// It was stopped from outside.
    #[error("stopped")]
    Stopped,
}
