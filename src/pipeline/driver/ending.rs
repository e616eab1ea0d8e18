//! How a sync ends, and what it says of itself until then.

use super::{Driver, Mode, name};
use crate::peers::Stats;
use crate::pipeline::{Event, Outcome, Progress, Report, SyncError};

impl<L: FnMut(Event) + Send> Driver<L> {
    pub(super) fn end(&mut self, outcome: Outcome) {
        if !matches!(self.mode, Mode::Ending(_)) {
            self.mode = Mode::Ending(outcome);
            self.requests.abort_all();
        }
    }

    /// Ends with an error. The first one counts: what comes after it may come of it.
    pub(super) fn fail(&mut self, error: SyncError) {
        if !matches!(self.mode, Mode::Ending(Outcome::Failed(_))) {
            self.mode = Mode::Ending(Outcome::Failed(error));
            self.requests.abort_all();
        }
    }

    pub(super) fn has_store_failed(&self) -> bool {
        matches!(self.mode, Mode::Ending(Outcome::Failed(SyncError::Store(_))))
    }

    /// How the sync ended, once it has.
    pub(super) fn ended(&mut self) -> Option<Outcome> {
        if self.has_store_failed() {
            // A store that failed takes no more.
            return Some(std::mem::replace(&mut self.mode, Mode::Syncing).into_outcome());
        }
        if !self.is_quiet() {
            return None;
        }
        match self.mode {
            // A root that completes while it is being left is not the end.
            Mode::Syncing | Mode::Ending(_) if self.scheduler.is_complete() => Some(Outcome::Complete),
            Mode::Ending(_) => Some(std::mem::replace(&mut self.mode, Mode::Syncing).into_outcome()),
            Mode::Syncing | Mode::Draining(..) => None,
        }
    }

    pub(super) fn finish(mut self, outcome: Outcome) -> Result<Report, SyncError> {
        self.requests.abort_all();
        let outcome = match outcome {
            Outcome::Complete => self.close()?,
            failed @ Outcome::Failed(SyncError::Store(_)) => failed,
            other => {
                self.store.sync()?;
                other
            }
        };
        let progress = self.progress();
        let share = progress.share;
        (self.listener)(Event::Progress(progress));
        if matches!(outcome, Outcome::Complete) {
            (self.listener)(Event::Finished { root: self.options.root });
        }
        let stats: Vec<Stats> = self.pool.stats();
        // A writer that still has something to say must not wait for a reader.
        self.receiver.close();
        self.writer.stop();
        Ok(Report {
            root: self.options.root,
            block: self.options.block,
            outcome,
            counts: self.left_behind + self.scheduler.counts(),
            share,
            bytes_downloaded: self.bytes_downloaded,
            requests: stats.iter().map(|stats| stats.requests).sum(),
            retries: self.pool.retries(),
            moves: self.follower.moves(),
            duration: self.started.elapsed(),
            peers: (0..).map(|peer| name(&self.peers, peer)).zip(stats).collect(),
        })
    }

    /// The last checks and the tidying up of a complete state.
    fn close(&self) -> Result<Outcome, SyncError> {
        if self.scheduler.pending() > 0 {
            let left = format!("the root is complete and {} requests are not", self.scheduler.pending());
            return Ok(Outcome::Failed(SyncError::Contradiction(left)));
        }
        // What is left there belongs to roots that were given up.
        self.store.clear_staging()?;
        self.store.sync()?;
        Ok(Outcome::Complete)
    }

    /// The complete share of the key space. What was complete once stays so, although the walk has yet to find it.
    pub(super) fn share(&self) -> f64 {
        self.scheduler.progress().max(self.share_before)
    }

    pub(super) fn progress(&self) -> Progress {
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
