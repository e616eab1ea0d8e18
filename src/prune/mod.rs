//! Dropping what no kept root reaches.
//!
//! First everything that the kept roots reach is found, level by level from the roots down, all of them together; every
//! node on the way is hashed again. Then what else the store has goes, all nodes at one moment: so a kill leaves either
//! all that was there or only what is kept, and presence means completeness in between. Last the database is rewritten,
//! which gives the space back.

mod mark;

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;

use primitive_types::H256;

use self::mark::mark;
use crate::lists::Lists;
use crate::store::{Removed, RootRecord, RootState, Store, StoreError};
use crate::trie::Scope;

/// Where lists of hashes are that do not fit into memory, in the store's directory. One process at a time prunes.
const DIRECTORY: &str = "prune";

/// The same for one that only counts, which anybody may do meanwhile.
const DRY_DIRECTORY: &str = "prune-dry-run";

/// Hashes that are in memory: 64 MiB.
const IN_MEMORY: usize = 2 << 20;

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
/// Memory: some 150 MiB, however large the state is. Disk, until it ends: 32 bytes for each node that is kept, where
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
    let dir = store.dir().join(if dry_run { DRY_DIRECTORY } else { DIRECTORY });
    let lists = Lists::create(dir.clone(), IN_MEMORY).map_err(|source| PruneError::Scratch { path: dir, source })?;
    let on_the_way = mark(store, &kept, &lists, marked)?;
    let take = |kind, first| lists.take(kind, first).map_err(|source| mark::failed(&lists, source));
    let removal = store.removal(!dry_run, |first| take(mark::NODES, first), |first| take(mark::CODES, first))?;
    let pruned = Pruned {
        dropped: records.iter().map(|record| record.root).filter(|root| !keep.contains(root)).collect(),
        nodes: removal.nodes.0,
        codes: removal.codes.0,
        staged: store.staged_nodes()?.saturating_sub(staged_of(store, &on_the_way)?),
    };
    if !dry_run {
        store.forget_roots(&pruned.dropped, &on_the_way, &removal)?;
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
