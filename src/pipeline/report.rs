//! What a sync did.

use std::time::Duration;

use primitive_types::H256;

use super::{StopReason, SyncError};
use crate::peers::Stats;
use crate::store::Block;
use crate::trie::{Counts, Scope};

/// What one run of a sync did, however it ended.
#[derive(Debug)]
pub struct Report {
    /// The root that was synced last.
    pub root: H256,
    /// Its block, where one was given.
    pub block: Option<Block>,
    /// The part of the state that was wanted.
    pub scope: Scope,
    /// How it ended.
    pub outcome: Outcome,
    /// What this run added and reused, over all its roots.
    pub counts: Counts,
    /// The complete share of the account key space, or of the scope, 0 to 1.
    pub share: f64,
    /// Bytes of all replies.
    pub bytes_downloaded: u64,
    /// Requests sent.
    pub requests: u64,
    /// Items asked for again.
    pub retries: u64,
    /// How often the sync moved to a newer block by itself.
    pub moves: u32,
    /// How long it took.
    pub duration: Duration,
    /// Each peer's address, without credentials, and what it did.
    pub peers: Vec<(String, Stats)>,
}

/// How a sync ended.
#[derive(Debug)]
pub enum Outcome {
    /// The state is complete; every node and code was checked against its hash.
    Complete,
    /// All of the scope is there, checked as well, and that is not all of the state.
    Partial,
    /// It was told to stop; the next run resumes.
    Stopped(StopReason),
    /// It could not go on; the next run resumes.
    Failed(SyncError),
}

impl Report {
    /// Whether the state is complete.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        matches!(self.outcome, Outcome::Complete)
    }
}
