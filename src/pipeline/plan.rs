//! How much may be on its way, and when to commit.

use std::time::Duration;

/// Nodes and codes handed out and not yet durable, at most: in flight, being verified, or verified and not committed.
/// This is what a kill can cost, and what bounds every queue of the pipeline. It fills ten peers with four batches each.
pub const OUTSTANDING_MAX: usize = 16_384;

/// Verified nodes and codes that are worth a commit. Larger commits stage less (more completes before), smaller ones
/// lose less to a kill; from some hundred rows on the store's cost per row is flat.
pub const COMMIT_ITEMS: usize = 4_096;

/// A commit is made at least this often while anything is uncommitted, so that a slow sync loses little to a kill.
pub(super) const COMMIT_INTERVAL: Duration = Duration::from_millis(500);

/// Items in one look-up. Sorted and batched, a look-up costs half of single ones; more per batch gains nothing.
pub(super) const LOOKUP_ITEMS: usize = 1_024;

/// Look-ups at once: two for each core of a small machine, and enough to hide a disk's latency.
pub(super) const LOOKUP_JOBS: usize = 4;

/// Progress events are at least this far apart; listeners thin them out further.
pub(super) const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);
