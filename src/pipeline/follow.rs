//! Moving to a newer block by itself: where the next pivot comes from, when to move, and whether it leads anywhere.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use primitive_types::H256;

use crate::store::Block;

/// Near the end a pivot is kept even if a newer one is there: what is left is little, and a move would open it anew. It
/// is left only when the peers do not have the rest any more.
const FREEZE_SHARE: f64 = 0.98;

/// A newer block is worth a move from this distance on: go-ethereum's fast sync kept its pivot that far behind the head.
const WORTHWHILE_BLOCKS: u64 = 64;

/// Progress below this share is none.
const GAIN: f64 = 0.001;

/// Moves in a row without progress after which there is no point in going on. Each has given the sync a whole period
/// between two moves of the peers.
const FUTILE_MOVES: u32 = 8;

/// Where pivots come from.
pub trait PivotSource: fmt::Debug + Send + Sync {
    /// The newest state that the peers can serve, or why it is not known.
    fn newest(&self) -> BoxFuture<'_, Result<Target, String>>;
}

/// A state to sync.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its root.
    pub root: H256,
    /// Its block, if known.
    pub block: Option<Block>,
    /// Whether it takes the place of the one before, which the peers serve no longer as a whole.
    pub replaces: bool,
}

/// How a sync follows newer blocks.
#[derive(Clone, Debug)]
pub struct Follow {
    /// Where they come from.
    pub source: Arc<dyn PivotSource>,
    /// How often to ask.
    pub interval: Duration,
}

/// Whether a sync that has to move comes closer to its end with each move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trend {
    /// Each pivot got further than those before.
    Converging,
    /// What changes between two moves is more than what is fetched between them.
    Outrun,
}

/// The moves so far and what each has brought.
#[derive(Clone, Debug, Default)]
pub(super) struct Chase {
    pub(super) moves: u32,
    pub(super) best: f64,
    futile: u32,
}

impl Chase {
    /// A pivot is left that was complete to this share.
    pub(super) fn leave(&mut self, share: f64) -> Trend {
        let first = self.moves == 0;
        let gained = share > self.best + GAIN;
        self.best = self.best.max(share);
        self.futile = if gained { 0 } else { self.futile + 1 };
        // The first pivot sets the mark.
        if gained || first { Trend::Converging } else { Trend::Outrun }
    }

    /// The sync moves.
    pub(super) fn move_on(&mut self) {
        self.moves += 1;
    }

    /// Whether there is no point in going on.
    pub(super) fn is_futile(&self) -> bool {
        self.futile >= FUTILE_MOVES
    }
}

/// Whether to move to a newer state although the present one can still be had.
pub(super) fn is_worth_a_move(share: f64, from: Option<&Block>, to: &Target) -> bool {
    let distance = from.zip(to.block.as_ref()).map_or(0, |(from, to)| to.number.saturating_sub(from.number));
    share < FREEZE_SHARE && (to.replaces || distance >= WORTHWHILE_BLOCKS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(number: u64) -> Block {
        Block { number, hash: H256::zero(), header: None }
    }

    fn target(number: u64, replaces: bool) -> Target {
        Target { root: H256::zero(), block: Some(block(number)), replaces }
    }

    #[test]
    fn a_pivot_is_frozen_near_the_end() {
        let from = block(100);
        assert!(is_worth_a_move(0.5, Some(&from), &target(101, true)));
        assert!(!is_worth_a_move(0.99, Some(&from), &target(101, true)));
        assert!(!is_worth_a_move(0.99, Some(&from), &target(1_000, false)));
    }

    #[test]
    fn a_few_blocks_are_not_worth_a_move() {
        let from = block(100);
        assert!(!is_worth_a_move(0.5, Some(&from), &target(163, false)));
        assert!(is_worth_a_move(0.5, Some(&from), &target(164, false)));
        assert!(!is_worth_a_move(0.5, None, &target(164, false)), "nothing is known of the distance");
    }

    #[test]
    fn a_chase_converges_as_long_as_each_pivot_gets_further() {
        let mut chase = Chase::default();
        for share in [0.3, 0.5, 0.7, 0.9] {
            assert_eq!(chase.leave(share), Trend::Converging);
        }
        assert!(!chase.is_futile());
    }

    #[test]
    fn a_chase_without_gain_is_given_up_at_last() {
        let mut chase = Chase::default();
        assert_eq!(chase.leave(0.3), Trend::Converging);
        for _ in 0..FUTILE_MOVES {
            assert!(!chase.is_futile());
            chase.move_on();
            assert_eq!(chase.leave(0.3), Trend::Outrun);
        }
        assert!(chase.is_futile());
        assert_eq!(chase.leave(0.4), Trend::Converging);
        assert!(!chase.is_futile());
    }
}
