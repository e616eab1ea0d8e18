//! What a scheduler hands over to be written.

use primitive_types::H256;

use super::Counts;
use super::table::Id;
use crate::trie::{Key, Level};

/// What one commit has to write, in one atomic batch.
#[derive(Debug, Default)]
pub struct Commit {
    /// Nodes and codes that are complete with all that is below them, children before parents.
    pub complete: Vec<Complete>,
    /// Verified nodes that still wait for something below them: hash and RLP.
    pub stage: Vec<(H256, Vec<u8>)>,
    /// Whether the root is complete, and so the whole state.
    pub root_complete: bool,
    /// Whether all of the scope is there, and the root is not complete.
    pub scope_complete: bool,
    /// The counters, true of exactly what has been handed over up to this commit.
    pub counts: Counts,
    /// To be given to [`Scheduler::committed`](super::Scheduler::committed) once all of it is written.
    pub done: Done,
}

/// The requests that a commit completes, and the bytes that it hands over.
#[derive(Debug, Default)]
pub struct Done {
    pub(super) ids: Vec<Id>,
    pub(super) bytes: usize,
}

/// A complete node or code.
#[derive(Debug)]
pub struct Complete {
    /// What it is.
    pub key: Key,
    /// At which depth of which trie it is, which is stored with a node.
    pub level: Level,
    /// Its bytes; `None` when an earlier commit has put them into staging.
    pub bytes: Option<Vec<u8>>,
    /// Whether staging may hold its bytes, which then have to be removed there.
    pub staged: bool,
}

impl Commit {
    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.complete.is_empty() && self.stage.is_empty() && !self.root_complete && !self.scope_complete
    }
}
