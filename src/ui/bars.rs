//! Bars on a terminal: the key space, and one line for each peer.

use std::time::Instant;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{bars, count, lines, percent, say, time};
use crate::pipeline::{Event, Progress};

/// Steps of the bar: hundredths of a percent.
const STEPS: u64 = 10_000;

/// No forecast before this share is done: the first moments say nothing of the rest.
const FORECAST_FROM: f64 = 0.01;

/// Bars for one sync.
pub(crate) struct Bars {
    space: ProgressBar,
    peers: Vec<(String, ProgressBar)>,
    started: Instant,
}

impl Bars {
    pub(super) fn new(peers: &[String]) -> Self {
        let all = bars();
        all.set_draw_target(ProgressDrawTarget::stderr());
        let space = all.add(ProgressBar::new(STEPS));
        space.set_style(style("{bar:24} {wide_msg}"));
        let line = |peer: &String| {
            let bar = all.add(ProgressBar::new_spinner());
            bar.set_style(style("{spinner} {wide_msg}"));
            (peer.clone(), bar)
        };
        Self { space, peers: peers.iter().map(line).collect(), started: Instant::now() }
    }

    pub(super) fn on(&mut self, event: &Event) {
        match event {
            Event::Progress(progress) => self.show(progress),
            Event::Finished { .. } => self.clear(),
            other => {
                if let Some(line) = lines::notice(other) {
                    say(&line);
                }
            }
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "a share of 1 times the steps, and rates for display"
    )]
    fn show(&self, progress: &Progress) {
        self.space.set_position((progress.share * STEPS as f64) as u64);
        let elapsed = self.started.elapsed();
        let left = (progress.share >= FORECAST_FROM && progress.share < 1.0)
            .then(|| elapsed.mul_f64((1.0 - progress.share) / progress.share))
            .map_or(String::new(), |left| format!(", about {} left", time(left)));
        let counts = &progress.counts;
        self.space.set_message(format!(
            "{}  {} nodes, {} codes, {} pending{left}",
            percent(progress.share),
            count(counts.nodes),
            count(counts.codes),
            count(progress.pending as u64)
        ));
        for ((peer, bar), stats) in self.peers.iter().zip(&progress.peers) {
            let rate = stats.nodes as f64 / elapsed.as_secs_f64().max(0.001);
            let (nodes, rate) = (count(stats.nodes), count(rate as u64));
            bar.set_message(format!("{peer}  {nodes} delivered, {rate}/s, {} errors", stats.errors + stats.corrupt));
            bar.tick();
        }
    }

    fn clear(&self) {
        self.space.finish_and_clear();
        self.peers.iter().for_each(|(_, bar)| bar.finish_and_clear());
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        self.clear();
    }
}

/// A style from a template; the templates are constants, so the fallback is never seen.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
