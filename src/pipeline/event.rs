//! What the pipeline tells whoever listens: bars, log lines, NDJSON. Nothing in here prints.

use primitive_types::H256;

use super::Trend;
use crate::peers::Stats;
use crate::trie::{Counts, Scope};

/// Something that happened in a sync.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The sync to a root begins.
    Started {
        /// The state root.
        root: H256,
        /// The part of the state that is wanted, if it is not all of it.
        scope: Option<Scope>,
        /// What earlier runs for this root have fetched.
        before: Counts,
    },
    /// How far it is; sent a few times a second.
    Progress(Progress),
    /// A commit is in the store.
    Committed {
        /// Nodes and codes that became complete with it.
        complete: usize,
        /// Nodes put into staging with it.
        staged: usize,
    },
    /// Another root has taken the place of the one being synced.
    Pivoted {
        /// The root that was being synced.
        from: H256,
        /// The root that is being synced now.
        to: H256,
        /// Its block's number, if known.
        to_block: Option<u64>,
    },
    /// A pivot is left for a newer one, because the peers have moved on.
    Chased {
        /// Whether the pivots get further each time.
        trend: Trend,
        /// How often this run has moved.
        moves: u32,
        /// The share of the key space that was complete at the pivot that is left.
        share: f64,
        /// The largest such share so far.
        best: f64,
    },
    /// A peer is not asked any more.
    PeerLost {
        /// Its address, without credentials.
        peer: String,
        /// Why.
        reason: String,
    },
    /// The state is complete.
    Finished {
        /// The state root.
        root: H256,
    },
}

/// How far a sync is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// The complete share of the account key space, or of the scope, 0 to 1.
    pub share: f64,
    /// What this run has fetched and reused.
    pub counts: Counts,
    /// Items that are known to be missing or incomplete now. No forecast: what lies below them is unknown.
    pub pending: usize,
    /// Items on their way.
    pub in_flight: usize,
    /// Memory of the scheduler, in bytes.
    pub memory_bytes: usize,
    /// What each peer has done, in the order the peers were given.
    pub peers: Vec<Stats>,
}
