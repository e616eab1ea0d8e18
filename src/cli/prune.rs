//! `statesync prune`: drops what no kept root reaches.

use std::time::{Duration, Instant};

use primitive_types::H256;
use serde_json::json;

use super::args::{Cli, PruneArgs};
use super::exit::{Exit, Failure};
use super::reading;
use super::report;
use super::verify::watched;
use crate::prune::{PruneError, Pruned, prune};
use crate::store::{Access, Store};
use crate::ui;

pub(super) fn run(cli: &Cli, arguments: &PruneArgs) -> Result<Exit, Failure> {
    let PruneArgs { datadir, keep, dry_run } = arguments;
    let access = if *dry_run { Access::Read } else { Access::Write };
    let store = Store::open(datadir, access)?;
    keep.iter().try_for_each(|root| reading::part(&store, *root).map(|_| ()))?;
    let (started, before) = (Instant::now(), store.disk_bytes()?);
    let pruned = watched(cli, "marked", |marked| prune(&store, keep, *dry_run, marked))?;
    let result =
        Outcome { keep, pruned, before, after: store.disk_bytes()?, dry_run: *dry_run, took: started.elapsed() };
    if cli.json { report::document(&result.fields()) } else { report::text(&result.summary()) }
}

struct Outcome<'a> {
    keep: &'a [H256],
    pruned: Pruned,
    before: u64,
    after: u64,
    dry_run: bool,
    took: Duration,
}

impl Outcome<'_> {
    fn fields(&self) -> serde_json::Value {
        let Pruned { dropped, nodes, codes, staged } = &self.pruned;
        let texts = |roots: &[H256]| roots.iter().map(|root| format!("{root:?}")).collect::<Vec<_>>();
        json!({
            "kept": texts(self.keep),
            "dropped": texts(dropped),
            "nodes_kept": nodes.kept,
            "nodes_removed": nodes.removed,
            "codes_kept": codes.kept,
            "codes_removed": codes.removed,
            "staged_removed": staged,
            "disk_bytes_before": self.before,
            "disk_bytes": self.after,
            "dry_run": self.dry_run,
            "duration_ms": u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX),
        })
    }

    fn summary(&self) -> String {
        let Pruned { dropped, nodes, codes, staged } = &self.pruned;
        let number = ui::count;
        let mut lines: Vec<String> = self.keep.iter().map(|root| format!("keeps     {root:?}")).collect();
        let goes = if self.dry_run { "would go " } else { "dropped  " };
        lines.extend(dropped.iter().map(|root| format!("{goes} {root:?}")));
        lines.push(format!("stay      {} nodes, {} codes", number(nodes.kept), number(codes.kept)));
        let staged = if *staged == 0 { String::new() } else { format!(", {} staged", number(*staged)) };
        lines.push(format!("{goes} {} nodes, {} codes{staged}", number(nodes.removed), number(codes.removed)));
        if !self.dry_run {
            lines.push(format!("disk      {}, before {}", ui::bytes(self.after), ui::bytes(self.before)));
        }
        lines.push(format!("took      {}", ui::time(self.took)));
        lines.join("\n")
    }
}

impl From<PruneError> for Failure {
    fn from(error: PruneError) -> Self {
        match error {
            PruneError::Store(error) => error.into(),
            PruneError::NotComplete { .. } => Self::new(Exit::Incomplete, error.to_string())
                .hint("run its `statesync sync` to its end first, or `statesync repair` if it is damaged"),
            PruneError::Unsound { .. } => Self::new(Exit::VerificationFailed, error.to_string()).hint(reading::REPAIR),
            PruneError::Scratch { .. } => Self::new(Exit::Failure, error.to_string())
                .hint("free space on the disk, or check it, then run again: nothing was dropped"),
        }
    }
}
