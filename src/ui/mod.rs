//! What a person or a script sees while a command runs: everything here goes to standard error, and listens only.

mod bars;
mod counter;
mod format;
mod lines;
mod ndjson;

use std::io::IsTerminal;
use std::sync::OnceLock;
use std::time::Duration;

use indicatif::MultiProgress;

pub(crate) use self::counter::Counter;
pub(crate) use self::format::{bytes, count, percent, time, totals};
use crate::pipeline::Event;

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Display {
    /// NDJSON instead of text.
    pub(crate) json: bool,
    /// No progress at all.
    pub(crate) hidden: bool,
    /// How often a line is written where no terminal is.
    pub(crate) interval: Duration,
}

/// A listener to the pipeline's events.
pub(crate) enum Listener {
    Bars(bars::Bars),
    Lines(lines::Lines),
    Ndjson(ndjson::Ndjson),
    Hidden,
}

impl Listener {
    /// The listener that fits: NDJSON when asked for, bars on a terminal, lines elsewhere.
    pub(crate) fn new(display: Display, peers: &[String]) -> Self {
        match display {
            Display { hidden: true, .. } => Self::Hidden,
            Display { json: true, interval, .. } => Self::Ndjson(ndjson::Ndjson::new(interval)),
            _ if std::io::stderr().is_terminal() => Self::Bars(bars::Bars::new(peers)),
            Display { interval, .. } => Self::Lines(lines::Lines::new(interval)),
        }
    }

    /// Shows an event.
    pub(crate) fn on(&mut self, event: &Event) {
        match self {
            Self::Bars(bars) => bars.on(event),
            Self::Lines(lines) => lines.on(event),
            Self::Ndjson(ndjson) => ndjson.on(event),
            Self::Hidden => {}
        }
    }
}

/// The bars on the terminal, if any; every other line has to go around them.
pub(crate) fn bars() -> &'static MultiProgress {
    static BARS: OnceLock<MultiProgress> = OnceLock::new();
    BARS.get_or_init(MultiProgress::new)
}

/// Writes a line to standard error, above the bars.
#[expect(clippy::print_stderr, reason = "the one place that does")]
pub(crate) fn say(line: &str) {
    bars().suspend(|| eprintln!("{line}"));
}

/// A writer for logs that does not tear the bars.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LogWriter;

impl std::io::Write for LogWriter {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        bars().suspend(|| std::io::stderr().write(text))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}
