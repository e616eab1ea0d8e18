//! The limits of what is asked, and of patience.

use std::time::Duration;

/// What is asked of a peer at once, at most, and how long what goes wrong is borne with. Below these limits each peer
/// has a window of its own, learnt from its answers.
#[derive(Clone, Copy, Debug)]
pub struct PoolLimits {
    /// Items in one batch. From 250 on the cost of a request no longer shows; geth allows 1000.
    pub batch_items: usize,
    /// Requests in flight to one peer. Eight full batches fill a link of 100 ms at 30,000 nodes a second.
    pub requests_per_peer: usize,
    /// Requests to one peer in a second; `None` where its answers alone set the pace.
    pub requests_per_second: Option<f64>,
    /// How often an item is asked for again after every peer has refused it.
    pub absent_rounds: u32,
    /// The wait before the second round; it doubles with each.
    pub absent_delay: Duration,
    /// The wait after a peer's first failure; it doubles with each further one in a row.
    pub failure_delay: Duration,
    /// How long no peer may be of any use before the sync gives up.
    pub outage_patience: Duration,
}

impl Default for PoolLimits {
    fn default() -> Self {
        Self {
            batch_items: 384,
            requests_per_peer: 8,
            requests_per_second: None,
            absent_rounds: 5,
            absent_delay: Duration::from_millis(250),
            failure_delay: Duration::from_millis(250),
            outage_patience: Duration::from_secs(60),
        }
    }
}

/// The longest wait between two tries.
const WAIT_MAX: Duration = Duration::from_secs(15);

/// A wait that doubles with each time, up to a limit.
pub(super) fn backoff(first: Duration, times: u32) -> Duration {
    first.saturating_mul(2u32.saturating_pow(times.saturating_sub(1))).min(WAIT_MAX)
}
