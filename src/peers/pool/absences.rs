//! Whether the peers still have the state that is asked for.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How far back the share of absences looks. Long enough that a burst of refusals at one corner of the trie does not
/// decide, short enough that a pruned state is noticed within seconds.
const SPAN: Duration = Duration::from_secs(10);

/// Counts are kept for steps of this length.
const STEP: Duration = Duration::from_millis(500);

/// For how long absences must have been seen at least: never one reply, never one moment.
const LEAST_TIME: Duration = Duration::from_secs(1);

/// Refusals by all peers that say anything.
const LEAST_REFUSALS: u64 = 16;

/// The share of refused items from which on a state counts as pruned. One missing subtree stays below it as long as
/// anything else is to be had.
const PRUNED_SHARE: f64 = 0.5;

/// What was found and what every peer refused, over the last seconds.
#[derive(Debug, Default)]
pub(super) struct Absences {
    steps: VecDeque<Step>,
}

#[derive(Debug)]
struct Step {
    since: Instant,
    found: u64,
    refused: u64,
}

impl Absences {
    /// Items came.
    pub(super) fn found(&mut self, now: Instant, items: u64) {
        self.step(now).found += items;
    }

    /// An item was refused by every peer.
    pub(super) fn refused(&mut self, now: Instant) {
        self.step(now).refused += 1;
    }

    /// The share of items that every peer refused, if it is so large and has been for so long that the state must be
    /// gone.
    pub(super) fn pruned(&self, now: Instant) -> Option<f64> {
        let recent = || self.steps.iter().filter(|step| step.since + SPAN > now);
        let found: u64 = recent().map(|step| step.found).sum();
        let refused: u64 = recent().map(|step| step.refused).sum();
        let first = recent().find(|step| step.refused > 0)?.since;
        #[expect(clippy::cast_precision_loss, reason = "some thousand items a second")]
        let share = refused as f64 / (found + refused) as f64;
        (refused >= LEAST_REFUSALS && share >= PRUNED_SHARE && first + LEAST_TIME <= now).then_some(share)
    }

    fn step(&mut self, now: Instant) -> &mut Step {
        while self.steps.front().is_some_and(|step| step.since + SPAN <= now) {
            self.steps.pop_front();
        }
        if self.steps.back().is_none_or(|step| step.since + STEP <= now) {
            self.steps.push_back(Step { since: now, found: 0, refused: 0 });
        }
        let last = self.steps.len() - 1;
        &mut self.steps[last]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pruned_state_shows_in_the_share_of_refusals_over_time() {
        let (mut absences, start) = (Absences::default(), Instant::now());
        absences.found(start, 100);
        (0..400).for_each(|_| absences.refused(start));
        assert_eq!(absences.pruned(start), None, "one moment says nothing");
        assert_eq!(absences.pruned(start + LEAST_TIME), Some(0.8));
        assert_eq!(absences.pruned(start + SPAN), None, "that was long ago");
    }

    #[test]
    fn a_hole_is_no_pruned_state() {
        let (mut absences, start) = (Absences::default(), Instant::now());
        (0..400).for_each(|_| absences.refused(start));
        absences.found(start + LEAST_TIME, 500);
        assert_eq!(absences.pruned(start + LEAST_TIME), None);
        let mut few = Absences::default();
        (0..LEAST_REFUSALS - 1).for_each(|_| few.refused(start));
        assert_eq!(few.pruned(start + LEAST_TIME), None);
    }
}
