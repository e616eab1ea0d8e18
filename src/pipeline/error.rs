//! Why a sync ends without a complete state.

use crate::peers::Unavailable;
use crate::store::StoreError;
use crate::trie::{Item, Kind, ScheduleError};
use primitive_types::H256;

/// Why a sync ends without a complete state. Whatever it is, all that was committed stays and the next run resumes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SyncError {
    /// Every peer was asked for an item, again and again, and none has it.
    #[error("no peer has {}: {answers}", wanted(item, root))]
    Unavailable {
        /// The item.
        item: Box<Item>,
        /// The state it belongs to.
        root: H256,
        /// What each peer said, and when.
        answers: String,
    },
    /// No peer can be asked any more.
    #[error("no peer is left: {reasons}")]
    NoPeers {
        /// For each peer, why.
        reasons: String,
    },
    /// The peers deliver a state that breaks the trie's rules although every hash is right: the root itself is bad.
    #[error("state {root:?} is malformed: {what}")]
    Malformed {
        /// The state.
        root: H256,
        /// The node and the rule it breaks.
        what: String,
    },
    /// The peers' state changes faster than it can be fetched.
    #[error(
        "the peers' state moves faster than it can be followed: after {moves} moves, {:.1} % of the key space was \
         complete at best, and the last moves gained nothing",
        (best * 1000.0).floor() / 10.0
    )]
    Outrun {
        /// The state that they have now.
        root: H256,
        /// How often the sync has moved.
        moves: u32,
        /// The largest share that was complete at any pivot.
        best: f64,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The sync contradicts itself, which is a bug.
    #[error("internal contradiction, please report it: {0}")]
    Contradiction(String),
}

impl SyncError {
    pub(super) fn malformed(root: H256, item: &Item, rule: &impl std::fmt::Display) -> Self {
        Self::Malformed { root, what: format!("{item}: {rule}") }
    }

    pub(super) fn unschedulable(root: H256, error: &ScheduleError) -> Self {
        Self::Malformed { root, what: error.to_string() }
    }

    pub(super) fn unavailable(root: H256, lost: Unavailable, name: impl Fn(usize) -> String) -> Self {
        let said = |(peer, answer, ago): (usize, &'static str, std::time::Duration)| {
            format!("{} said \"{answer}\" {:.1} s ago", name(peer), ago.as_secs_f64())
        };
        let answers = lost.answers.into_iter().map(said).collect::<Vec<_>>().join("; ");
        Self::Unavailable { item: Box::new(lost.item), root, answers }
    }
}

/// A missing root is the state itself.
fn wanted(item: &Item, root: &H256) -> String {
    if item.key.kind == Kind::AccountNode && item.key.hash == *root {
        format!("state {root:?}")
    } else {
        format!("the {item} of state {root:?}")
    }
}
