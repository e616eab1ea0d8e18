//! Progress for programs: one JSON object a line.

use std::time::{Duration, Instant};

use serde_json::json;

use super::say;
use crate::pipeline::{Event, Trend};

/// The version of the lines' layout; new fields do not change it.
const VERSION: u32 = 1;

/// Writes a `status` line at most once an interval, and one line for each turn of events.
pub(crate) struct Ndjson {
    interval: Duration,
    started: Instant,
    written: Option<Instant>,
}

impl Ndjson {
    pub(super) fn new(interval: Duration) -> Self {
        Self { interval, started: Instant::now(), written: None }
    }

    pub(super) fn on(&mut self, event: &Event) {
        let line = match event {
            Event::Started { root, scope, before } => {
                let root = format!("{root:?}");
                let mut line = json!({ "message_type": "started", "root": root, "nodes_before": before.nodes });
                if let Some(scope) = scope {
                    line["scope"] = json!(scope);
                }
                line
            }
            Event::Progress(progress) => {
                if self.written.is_some_and(|written| written.elapsed() < self.interval) {
                    return;
                }
                self.written = Some(Instant::now());
                json!({
                    "message_type": "status",
                    "percent_done": progress.share,
                    "nodes_fetched": progress.counts.nodes,
                    "codes_fetched": progress.counts.codes,
                    "nodes_reused": progress.counts.nodes_reused,
                    "nodes_staged": progress.counts.nodes_staged,
                    "pending": progress.pending,
                    "in_flight": progress.in_flight,
                    "memory_bytes": progress.memory_bytes,
                })
            }
            Event::Pivoted { from, to, to_block } => json!({
                "message_type": "pivoted",
                "from": format!("{from:?}"),
                "to": format!("{to:?}"),
                "to_block": to_block,
            }),
            Event::Chased { trend, moves, share, best } => json!({
                "message_type": "chased",
                "verdict": match trend {
                    Trend::Converging => "converging",
                    Trend::Outrun => "churn exceeds rate",
                },
                "moves": moves,
                "percent_done": share,
                "percent_done_best": best,
            }),
            Event::PeerLost { peer, reason } => {
                json!({ "message_type": "peer_lost", "peer": peer, "reason": reason })
            }
            Event::Finished { root } => json!({ "message_type": "finished", "root": format!("{root:?}") }),
            Event::Committed { .. } => return,
        };
        let mut line = line;
        line["v"] = VERSION.into();
        line["seconds_elapsed"] = self.started.elapsed().as_secs_f64().into();
        say(&line.to_string());
    }
}
