//! One line of progress now and then, for logs and journals.

use std::time::{Duration, Instant};

use super::{count, percent, say, time};
use crate::pipeline::{Event, Progress, Trend};

/// Writes a line at most once an interval.
pub(crate) struct Lines {
    interval: Duration,
    started: Instant,
    written: Instant,
    /// What the share is of.
    of: &'static str,
}

impl Lines {
    pub(super) fn new(interval: Duration) -> Self {
        let now = Instant::now();
        Self { interval, started: now, written: now, of: "of the key space" }
    }

    pub(super) fn on(&mut self, event: &Event) {
        if let Event::Progress(progress) = event {
            if self.written.elapsed() >= self.interval {
                self.written = Instant::now();
                say(&format!("{} {}", time(self.started.elapsed()), summary(progress, self.of)));
            }
            return;
        }
        if let Event::Started { scope: Some(_), .. } = event {
            self.of = "of this part";
        }
        if let Some(line) = notice(event) {
            say(&line);
        }
    }
}

/// Progress in one line. What is left below the pending items is unknown, so no total is made up.
pub(super) fn summary(progress: &Progress, of: &str) -> String {
    let counts = &progress.counts;
    format!(
        "{} {of}, {} nodes and {} codes fetched, {} reused, {} pending, {} in flight",
        percent(progress.share),
        count(counts.nodes),
        count(counts.codes),
        count(counts.nodes_reused + counts.nodes_staged + counts.codes_reused),
        count(progress.pending as u64),
        count(progress.in_flight as u64),
    )
}

/// What is worth a line of its own.
pub(super) fn notice(event: &Event) -> Option<String> {
    match event {
        Event::Started { root, scope, before } => {
            let part = scope.as_ref().map(|scope| format!(", the part {scope}")).unwrap_or_default();
            Some(match before.nodes + before.codes {
                0 => format!("syncing state {root:?}{part}"),
                here => format!("resuming state {root:?}{part}: {} nodes and codes are here", count(here)),
            })
        }
        Event::Pivoted { from, to, to_block } => {
            let block = to_block.map(|block| format!(" of block {block}")).unwrap_or_default();
            Some(format!("moving from state {from:?} to {to:?}{block}"))
        }
        Event::Chased { trend, moves, share, best } => Some(format!(
            "move {moves}: the peers have moved on with {} of the key space complete, {} at best so far; {}",
            percent(*share),
            percent(*best),
            match trend {
                Trend::Converging => "converging",
                Trend::Outrun => "warning: more changes between two moves than is fetched",
            }
        )),
        Event::PeerLost { peer, reason } => Some(format!("warning: {peer} is not asked any more: {reason}")),
        Event::Progress(_) | Event::Committed { .. } | Event::Finished { .. } => None,
    }
}
