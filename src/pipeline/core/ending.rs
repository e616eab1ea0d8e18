//! How a sync ends, and what it says of itself until then.

use std::time::Instant;

use super::{Action, Core, Mode};
use crate::peers::Stats;
use crate::pipeline::{Outcome, Progress, Report, SyncError};
use crate::trie::End;

impl Core {
    pub(super) fn end(&mut self, outcome: Outcome) {
        if !matches!(self.mode, Mode::Ending(_)) {
            self.mode = Mode::Ending(outcome);
            self.actions.push(Action::DropRequests);
        }
    }

    /// Ends with an error. The first one counts: what comes after it may come of it.
    pub(in crate::pipeline) fn fail(&mut self, error: SyncError) {
        if !matches!(self.mode, Mode::Ending(Outcome::Failed(_))) {
            self.mode = Mode::Ending(Outcome::Failed(error));
            self.actions.push(Action::DropRequests);
        }
    }

    /// A store that failed takes no more, and a contradiction is not built upon.
    pub(super) fn has_to_stop(&self) -> bool {
        matches!(self.mode, Mode::Ending(Outcome::Failed(SyncError::Store(_) | SyncError::Contradiction(_))))
    }

    /// How the sync ended, once it has.
    pub(in crate::pipeline) fn ended(&mut self) -> Option<Outcome> {
        if self.has_to_stop() {
            return Some(std::mem::replace(&mut self.mode, Mode::Syncing).into_outcome());
        }
        if !self.is_quiet() {
            return None;
        }
        match self.mode {
            // A root that completes while it is being left is not the end.
            Mode::Syncing | Mode::Ending(_) if let Some(end) = self.scheduler.ended() => Some(self.complete(end)),
            Mode::Ending(_) => Some(std::mem::replace(&mut self.mode, Mode::Syncing).into_outcome()),
            Mode::Syncing | Mode::Draining(..) => None,
        }
    }

    /// Whether the root turned out to be no valid state's: what came of it and is not written never will be.
    pub(super) fn is_malformed(&self) -> bool {
        matches!(self.mode, Mode::Ending(Outcome::Failed(SyncError::Malformed { .. })))
    }

    /// The last check of a complete state, or of a complete part.
    fn complete(&self, end: End) -> Outcome {
        let (outcome, left) = match end {
            End::Complete => (Outcome::Complete, self.scheduler.pending()),
            End::Partial => (Outcome::Partial, self.scheduler.pending_within()),
        };
        if left == 0 {
            return outcome;
        }
        Outcome::Failed(SyncError::Contradiction(format!("all that is wanted is complete and {left} requests are not")))
    }

    /// What the run did, now that it has ended so.
    pub(in crate::pipeline) fn report(self, now: Instant, outcome: Outcome) -> Report {
        let stats: Vec<Stats> = self.pool.stats();
        Report {
            share: self.share(),
            counts: self.left_behind + self.scheduler.counts(),
            root: self.options.root,
            scope: self.options.scope,
            block: self.options.block,
            outcome,
            bytes_downloaded: self.bytes_downloaded,
            requests: stats.iter().map(|stats| stats.requests).sum(),
            retries: self.pool.retries(),
            moves: self.follower.moves(),
            duration: now.saturating_duration_since(self.started),
            peers: self.names.into_iter().zip(stats).collect(),
        }
    }

    /// The complete share of the key space. What was complete once stays so, although the walk has yet to find it.
    pub(super) fn share(&self) -> f64 {
        self.scheduler.progress().max(self.share_before)
    }

    pub(in crate::pipeline) fn progress(&self) -> Progress {
        Progress {
            share: self.share(),
            counts: self.left_behind + self.scheduler.counts(),
            pending: self.scheduler.pending(),
            in_flight: self.pool.items(),
            memory_bytes: self.scheduler.memory_bytes(),
            peers: self.pool.stats(),
        }
    }
}
