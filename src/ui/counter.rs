//! A count that goes up, for work whose total is unknown.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget};

use super::{Display, bars, count, say, time};

/// How often the end of the work is looked for.
const TICK: Duration = Duration::from_millis(20);

/// Shows a counter until the work is done.
pub(crate) struct Counter<'a> {
    display: Display,
    what: &'static str,
    value: &'a AtomicU64,
}

impl<'a> Counter<'a> {
    /// A display of `value`, which counts things that are `what`.
    pub(crate) fn start(display: Display, what: &'static str, value: &'a AtomicU64) -> Self {
        Self { display, what, value }
    }

    /// Shows the counter until `done` says so.
    pub(crate) fn watch(&self, done: impl Fn() -> bool) {
        let started = Instant::now();
        let mut written = started;
        let bar = self.bar();
        while !done() {
            std::thread::park_timeout(TICK);
            let line = format!("{} {}", count(self.value.load(Ordering::Relaxed)), self.what);
            if let Some(bar) = &bar {
                bar.set_message(line);
                bar.tick();
            } else if !self.display.hidden && written.elapsed() >= self.display.interval {
                written = Instant::now();
                say(&if self.display.json {
                    self.json(started)
                } else {
                    format!("{} {line}", time(started.elapsed()))
                });
            }
        }
        if let Some(bar) = bar {
            bar.finish_and_clear();
        }
    }

    fn json(&self, started: Instant) -> String {
        let (done, elapsed) = (self.value.load(Ordering::Relaxed), started.elapsed().as_secs_f64());
        serde_json::json!({ "v": 1, "message_type": "status", self.what: done, "seconds_elapsed": elapsed }).to_string()
    }

    fn bar(&self) -> Option<ProgressBar> {
        if self.display.hidden || self.display.json || !std::io::stderr().is_terminal() {
            return None;
        }
        bars().set_draw_target(ProgressDrawTarget::stderr());
        Some(bars().add(ProgressBar::new_spinner()))
    }
}
