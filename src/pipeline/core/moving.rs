//! Moving to another root: when told to, or by itself.

use std::time::Instant;

use super::{Action, Core, Mode};
use crate::pipeline::follow::{Chase, Follow, Target, Trend, is_worth_a_move};
use crate::pipeline::{Event, SyncError};
use crate::store::{Checkpoint, RootRecord};
use crate::trie::Scheduler;

/// Where the search for a newer state is.
#[derive(Debug)]
pub(super) struct Follower {
    chase: Chase,
    asked_at: Instant,
    /// When the source was asked last because the peers do not have the present state any more.
    asked_in_need_at: Option<Instant>,
    /// Whether the source is being asked now, and whether in need.
    asking: bool,
    asking_in_need: bool,
    /// Since when an item is missing that no peer has.
    hopeless_since: Option<Instant>,
}

impl Follower {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            chase: Chase::default(),
            asked_at: now,
            asked_in_need_at: None,
            asking: false,
            asking_in_need: false,
            hopeless_since: None,
        }
    }

    /// How often the sync has moved by itself.
    pub(super) fn moves(&self) -> u32 {
        self.chase.moves
    }

    /// When the source is to be asked again.
    pub(super) fn wake_at(&self, follow: &Follow) -> Option<Instant> {
        (!self.asking).then_some(self.asked_at + follow.interval)
    }

    fn moved(&mut self) {
        (self.asked_in_need_at, self.hopeless_since) = (None, None);
    }
}

impl Core {
    /// Asks for a newer state from time to time, and at once when the present one cannot be had any more.
    pub(super) fn follow(&mut self, now: Instant) {
        let Some(Follow { interval, .. }) = &self.options.follow else { return };
        if self.follower.asking {
            return;
        }
        let is_over = |at: Instant| at + *interval <= now;
        let in_need = (self.pool.pruned(now).is_some() || self.pool.unavailable(now).is_some() || self.pool.is_stuck())
            && self.follower.asked_in_need_at.is_none_or(is_over);
        if !in_need && !is_over(self.follower.asked_at) {
            return;
        }
        (self.follower.asking, self.follower.asking_in_need) = (true, in_need);
        if in_need {
            self.follower.asked_in_need_at = Some(now);
        }
        self.actions.push(Action::AskForNewest);
    }

    /// Whether to wait for a newer state, now that the present one has an item that no peer has.
    pub(super) fn hopes_for_another(&mut self, now: Instant) -> bool {
        let since = *self.follower.hopeless_since.get_or_insert(now);
        self.options.follow.is_some() && now < since + self.options.limits.outage_patience
    }

    /// Decides whether to move to the newest state.
    pub(super) fn consider(&mut self, now: Instant, target: Result<Target, String>) -> Result<(), SyncError> {
        let in_need = std::mem::take(&mut self.follower.asking_in_need);
        (self.follower.asking, self.follower.asked_at) = (false, now);
        if !matches!(self.mode, Mode::Syncing) {
            return Ok(());
        }
        let target = match target {
            Ok(target) => target,
            Err(why) => {
                tracing::debug!(why, "the newest state is not known");
                return Ok(());
            }
        };
        let share = self.share();
        // What nobody has now may come yet, but not from a peer whose only state has moved on.
        let is_gone = self.pool.pruned(now).is_some() || self.pool.unavailable(now).is_some();
        let is_lost = in_need && (is_gone || (target.replaces && self.pool.is_stuck()));
        let is_worth_it = is_lost || is_worth_a_move(share, self.options.block.as_ref(), &target);
        if target.root == self.options.root || !is_worth_it {
            return Ok(());
        }
        let trend = self.follower.chase.leave(share);
        let best = self.follower.chase.best;
        if trend == Trend::Outrun && self.follower.chase.is_futile() {
            return Err(SyncError::Outrun { root: target.root, moves: self.follower.chase.moves, best });
        }
        self.follower.chase.move_on();
        self.tell(Event::Chased { trend, moves: self.follower.chase.moves, share, best });
        self.mode = Mode::Draining(target.root, target.block);
        Ok(())
    }

    /// Begins the sync to the root in the options.
    pub(super) fn begin(&mut self) {
        let root = self.options.root;
        let scope = &self.options.scope;
        let is_ours = |checkpoint: &&Checkpoint| checkpoint.root == root && checkpoint.scope.as_ref() == scope.part();
        let checkpoint = self.checkpoint.as_ref().filter(is_ours);
        (self.before, self.share_before) =
            checkpoint.map_or_else(Default::default, |checkpoint| (checkpoint.counts, checkpoint.progress));
        self.actions.push(Action::Begin(RootRecord::syncing(root, self.options.block.clone()).of_scope(scope)));
    }

    /// Moves to the next root once everything on its way has come in and is committed.
    pub(super) fn switch_root(&mut self) {
        if !matches!(self.mode, Mode::Draining(..)) || self.pool.in_time() > 0 || !self.is_quiet() {
            return;
        }
        let Mode::Draining(root, block) = std::mem::replace(&mut self.mode, Mode::Syncing) else { return };
        let to_block = block.as_ref().map(|block| block.number);
        self.tell(Event::Pivoted { from: self.options.root, to: root, to_block });
        self.left_behind = self.left_behind + self.scheduler.counts();
        (self.options.root, self.options.block) = (root, block);
        self.scheduler =
            Scheduler::with_scope(root, self.options.scope.clone(), self.options.memory_bytes, self.absent.clone());
        self.pool.forget_retries();
        self.early.clear();
        self.follower.moved();
        self.begin();
    }
}
