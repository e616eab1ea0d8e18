//! How a budget of memory is divided.

use crate::store::{RoundLimits, StoreMemory};

/// What a sync takes whatever its budget is: the program (15 MiB), what is known to be absent (16), the database's
/// write buffers (up to 64, seldom more than one filled), replies on their way and being read (some 30 with the usual
/// windows), and a part of a round while it is sorted.
const FIXED_BYTES: usize = 112 << 20;

/// The memory of one sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// For the requests of the scheduler, and for what has come and is not written.
    pub scheduler_bytes: usize,
    /// For the store.
    pub store: StoreMemory,
}

impl Memory {
    /// The usual budget.
    pub const USUAL_BYTES: usize = 512 << 20;

    /// The smallest budget with which a sync gets on: what is fixed, and some for the rest.
    pub const LEAST_BYTES: usize = 128 << 20;

    /// Divides a budget of so many bytes; one below the least counts as that. Half of what is free goes to the
    /// scheduler, which holds the whole walk; the journal's rows get a quarter, the database's cache a sixth, and the
    /// rest is left for the allocator's losses.
    #[must_use]
    pub fn within(bytes: usize) -> Self {
        let free = bytes.max(Self::LEAST_BYTES) - FIXED_BYTES;
        let store = StoreMemory { round: RoundLimits::within(free / 4), cache_bytes: free / 6 };
        Self { scheduler_bytes: free / 2, store }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::within(Self::USUAL_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_larger_budget_gives_more_to_each_and_the_least_something() {
        let [least, usual, large] = [0, Memory::USUAL_BYTES, 4 << 30].map(Memory::within);
        assert!(least.scheduler_bytes >= 8 << 20 && least.store.round.rows >= 10_000, "{least:?}");
        assert!(least.scheduler_bytes < usual.scheduler_bytes && usual.scheduler_bytes < large.scheduler_bytes);
        assert!(least.store.round.rows < usual.store.round.rows && usual.store.round.rows < large.store.round.rows);
        assert!(usual.store.round.rows > 800_000, "{usual:?}");
    }
}
