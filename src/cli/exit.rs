//! Exit codes and the errors that lead to them.

use std::process::ExitCode;

use crate::genesis::GenesisError;
use crate::peers::UrlError;
use crate::pipeline::SyncError;
use crate::pivot::PivotError;
use crate::store::StoreError;

/// How a command ended. Scripts rely on these numbers; an unknown one is a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Complete, and every byte verified.
    Complete = 0,
    /// An unexpected failure.
    Failure = 1,
    /// Wrong usage or configuration, of this program or of a peer.
    Usage = 2,
    /// Incomplete; run again to resume.
    Incomplete = 3,
    /// Something is missing, corrupt or malformed.
    VerificationFailed = 4,
    /// There is no store in the directory, or not the state that is to be read.
    NoStore = 10,
    /// Another process has the store open.
    Locked = 11,
    /// The store is of another chain or another format.
    OtherStore = 12,
    /// Stopped by SIGINT.
    Interrupted = 130,
    /// Stopped by SIGTERM.
    Terminated = 143,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// A command that failed: its exit code, what happened, and what helps.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) exit: Exit,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

impl Failure {
    pub(super) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), hint: None }
    }

    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

/// What helps when the database as a whole is damaged, and not rows in it.
const DAMAGED: &str = "check the disk: its files are not as they were written. The database cannot be repaired: restore \
                       it from a copy, or sync into a new --datadir and delete this one";

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let (exit, hint) = match &error {
            StoreError::Absent { .. } => (Exit::NoStore, "name the --datadir of an earlier sync or import"),
            StoreError::NotAStore { .. } => (Exit::Usage, "name a new or empty --datadir; nothing in it was touched"),
            StoreError::Locked { .. } => (Exit::Locked, "wait for the other process or stop it; nothing was changed"),
            StoreError::OtherFormat { .. } => (Exit::OtherStore, "name another --datadir; nothing in it was touched"),
            StoreError::OtherChain { .. } | StoreError::OtherGenesis { .. } => {
                (Exit::OtherStore, "use a --datadir for each chain; nothing was changed")
            }
            StoreError::Corrupt { .. } => (
                Exit::VerificationFailed,
                "run `statesync verify` to see how far it goes, and `statesync repair` to fetch again what is damaged",
            ),
            StoreError::Damaged { .. } => (Exit::VerificationFailed, DAMAGED),
            StoreError::Database(error) if error.kind() == rocksdb::ErrorKind::Corruption => {
                (Exit::VerificationFailed, DAMAGED)
            }
            StoreError::Io { .. }
            | StoreError::Disk { .. }
            | StoreError::FailedBefore { .. }
            | StoreError::ReadOnly { .. }
            | StoreError::Database(_) => (
                Exit::Failure,
                "free space on the disk, or check it and the limits on files (quota, ulimit -f), then run again: what \
                 was committed is kept",
            ),
        };
        Self::new(exit, error.to_string()).hint(hint)
    }
}

impl From<SyncError> for Failure {
    fn from(error: SyncError) -> Self {
        let message = error.to_string();
        let (exit, hint) = match error {
            SyncError::Store(error) => return error.into(),
            SyncError::Unavailable { .. } => (
                Exit::Incomplete,
                "the peers may have pruned this state, or have another one on disk: ask for --block latest, with --follow \
                 to move to newer blocks, or add a peer that keeps it (see docs/PEERS.md); what was fetched is kept",
            ),
            SyncError::Outrun { .. } => (
                Exit::Incomplete,
                "use a peer nearer by or more of them, or stop the peer's consensus client meanwhile, so that its state \
                 stays; what was fetched is kept",
            ),
            SyncError::NoPeers { .. } => {
                (Exit::Incomplete, "run the same command again when they are back: what was fetched is kept")
            }
            SyncError::Malformed { .. } => {
                (Exit::VerificationFailed, "this is no valid Ethereum state, whoever serves it: check the root")
            }
            SyncError::Contradiction(_) => (Exit::Failure, "what was committed is kept"),
        };
        Self::new(exit, message).hint(hint)
    }
}

impl From<UrlError> for Failure {
    fn from(error: UrlError) -> Self {
        Self::new(Exit::Usage, error.to_string())
            .hint("a peer's address looks like http://127.0.0.1:8545, ws://127.0.0.1:8546 or /path/to/geth.ipc")
    }
}

impl From<GenesisError> for Failure {
    fn from(error: GenesisError) -> Self {
        Self::new(Exit::Usage, error.to_string())
    }
}

impl From<PivotError> for Failure {
    fn from(error: PivotError) -> Self {
        match error {
            PivotError::Unknown { .. } => Self::new(Exit::Incomplete, error.to_string())
                .hint("check the block, and that the peers have come as far; then run the same command again"),
            PivotError::Disagreement { .. } => Self::new(Exit::VerificationFailed, error.to_string()).hint(
                "leave out the peers you do not trust, or give the block's hash; --quorum sets how many must agree",
            ),
            PivotError::Untrusted { .. } => Self::new(Exit::VerificationFailed, error.to_string())
                .hint("check the trusted hash, and use a peer that offers debug_getRawHeader on that chain"),
            PivotError::NotServed { .. } => Self::new(Exit::Incomplete, error.to_string()).hint(
                "wait until a peer has written a state to its disk, or add one that keeps them: see docs/PEERS.md",
            ),
        }
    }
}
