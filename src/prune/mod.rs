//! Dropping what no kept root reaches.
//!
//! First everything that the kept roots reach is found, level by level from the roots down, all of them together; every
//! node on the way is hashed again. Then what else the store has goes, all nodes at one moment: so a kill leaves either
//! all that was there or only what is kept, and presence means completeness in between. Last the database is rewritten,
//! which gives the space back.

mod lists;
mod mark;

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::AtomicU64;

use primitive_types::H256;

use self::lists::Lists;
use self::mark::mark;
use crate::store::{Removed, RootRecord, RootState, Store, StoreError};
use crate::trie::Scope;

/// Where lists of hashes are that do not fit into memory, in the store's directory.
const DIRECTORY: &str = "prune";

/// What goes and what stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Roots whose records go.
    pub dropped: Vec<H256>,
    /// Nodes.
    pub nodes: Removed,
    /// Codes.
    pub codes: Removed,
    /// Nodes that an unfinished sync had staged.
    pub staged: u64,
}

/// Why nothing was dropped.
#[derive(Debug, thiserror::Error)]
pub enum PruneError {
    /// A root that is to be kept is not complete.
    #[error("the state {root:?} is not complete, so nothing of it could be kept for sure")]
    NotComplete {
        /// The root.
        root: H256,
    },
    /// Something that a kept root reaches is missing or wrong.
    #[error("what is to be kept is damaged: {what}")]
    Unsound {
        /// What, and how.
        what: String,
    },
    /// The store fails.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A list could not be written or read.
    #[error("{path}: {source}", path = path.display())]
    Scratch {
        /// The file or directory.
        path: std::path::PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
}

/// A state that stays: the part of it that is there, or all of it.
struct Kept {
    root: H256,
    scope: Option<Scope>,
}

/// Drops everything but the states at `keep`, complete or partial, and, with `dry_run`, only counts what would go. An
/// unfinished sync is dropped too; preimages stay. `marked` counts up with the nodes that are found to stay.
///
/// Memory: some 100 MiB, however large the state is. Disk, until it ends: 32 bytes for each node that is kept, where
/// these do not fit into memory, and then as much as the kept states take.
///
/// # Errors
/// What is to be kept is as it was then. Run it again to have done what was not.
pub fn prune(store: &Store, keep: &[H256], dry_run: bool, marked: &AtomicU64) -> Result<Pruned, PruneError> {
    let records = store.roots()?;
    let kept = keep.iter().map(|root| kept(&records, *root)).collect::<Result<Vec<Kept>, _>>()?;
    if !dry_run {
        store.settle()?;
    }
    let scratch = Scratch::new(store.dir())?;
    let found = mark(store, &kept, &scratch.0, marked)?;
    let failed = |source| PruneError::Scratch { path: scratch.0.clone(), source };
    let take = |lists: &Lists, kind, first| lists.take(kind, first).map_err(failed);
    let nodes = |first| take(&found.nodes, mark::NODES, first);
    let removal = store.removal(!dry_run, nodes, |first| take(&found.codes, mark::CODES, first))?;
    let pruned = Pruned {
        dropped: records.iter().map(|record| record.root).filter(|root| !keep.contains(root)).collect(),
        nodes: removal.nodes.0,
        codes: removal.codes.0,
        staged: store.staged_nodes()?.saturating_sub(staged_of(store, &found.on_the_way)?),
    };
    if !dry_run {
        store.forget_roots(&pruned.dropped, &found.on_the_way)?;
        store.remove(removal)?;
        store.give_back()?;
    }
    Ok(pruned)
}

fn kept(records: &[RootRecord], root: H256) -> Result<Kept, PruneError> {
    match records.iter().find(|record| record.root == root) {
        Some(RootRecord { state: RootState::Complete, .. }) => Ok(Kept { root, scope: None }),
        Some(RootRecord { state: RootState::Partial, scope: Some(scope), .. }) => {
            Ok(Kept { root, scope: Some(scope.clone()) })
        }
        _ => Err(PruneError::NotComplete { root }),
    }
}

/// How many of these nodes are staged.
fn staged_of(store: &Store, nodes: &HashMap<H256, Vec<u8>>) -> Result<u64, StoreError> {
    let mut count = 0;
    for hash in nodes.keys() {
        count += u64::from(store.staged_node(hash)?.is_some());
    }
    Ok(count)
}

/// A directory for lists, removed at the end; what a killed run has left in it is removed at the start.
struct Scratch(std::path::PathBuf);

impl Scratch {
    fn new(store: &Path) -> Result<Self, PruneError> {
        let path = store.join(DIRECTORY);
        let failed = |source| PruneError::Scratch { path: path.clone(), source };
        match std::fs::remove_dir_all(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
            _ => std::fs::create_dir(&path).map_err(failed)?,
        }
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // The next run removes what is left.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
