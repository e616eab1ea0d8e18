//! `statesync export`: a state in a form that another tool loads.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use primitive_types::H256;
use serde_json::json;

use super::args::{Cli, ExportArgs, ExportFormat};
use super::exit::{Exit, Failure};
use super::report;
use super::signals::{Signals, runtime};
use super::verify::{default_root, watched};
use crate::export::{ExportError, Exported, Format, Watch, export};
use crate::store::{Access, Store};
use crate::ui;

pub(super) fn run(cli: &Cli, arguments: &ExportArgs) -> Result<Exit, Failure> {
    let store = Store::open(&arguments.datadir, Access::Read)?;
    let root = match arguments.root {
        Some(root) => root,
        None => default_root(&store)?,
    };
    let format = match arguments.format {
        ExportFormat::GethDump => Format::GethDump,
    };
    let started = Instant::now();
    let exported = until_signal(|stop| {
        watched(cli, "exported", |done| {
            export(&store, root, format, &arguments.out, arguments.force, Watch { done, stop })
        })
    })?;
    let took = started.elapsed();
    if cli.json {
        return report::document(&fields(arguments, root, &exported, took));
    }
    let Exported { accounts, contracts, slots, bytes } = exported;
    report::text(&format!(
        "state     {root:?}\nexported  {} accounts, {} with code, {} slots\nwrote     {}, {}\ntook      {}",
        ui::count(accounts),
        ui::count(contracts),
        ui::count(slots),
        arguments.out.display(),
        ui::bytes(bytes),
        ui::time(took)
    ))
}

fn fields(arguments: &ExportArgs, root: H256, exported: &Exported, took: Duration) -> serde_json::Value {
    json!({
        "root": format!("{root:?}"),
        "format": arguments.format.name(),
        "out": arguments.out.display().to_string(),
        "accounts": exported.accounts,
        "contracts": exported.contracts,
        "slots": exported.slots,
        "bytes": exported.bytes,
        "duration_ms": u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
    })
}

/// Does work that a signal stops.
fn until_signal<T>(work: impl FnOnce(&AtomicBool) -> Result<T, Failure>) -> Result<T, Failure> {
    let runtime = runtime()?;
    let mut signals = {
        let _context = runtime.enter();
        Signals::new()?
    };
    let stopped = Arc::new((AtomicBool::new(false), OnceLock::new()));
    let by = stopped.clone();
    runtime.spawn(async move {
        let _ = by.1.set(signals.next().await);
        by.0.store(true, Ordering::Relaxed);
    });
    let result = work(&stopped.0);
    match stopped.1.get() {
        Some(exit) if result.is_err() => {
            Err(Failure::new(*exit, "stopped, nothing was written").hint("run the same command again"))
        }
        _ => result,
    }
}

impl From<ExportError> for Failure {
    fn from(error: ExportError) -> Self {
        let message = error.to_string();
        let (exit, hint) = match error {
            ExportError::Store(error) => return error.into(),
            ExportError::UnknownRoot { .. } => (Exit::Usage, "`statesync status` lists the states that are there"),
            ExportError::Incomplete { .. } => {
                (Exit::Incomplete, "run `statesync sync` to its end first, then the same command again")
            }
            ExportError::Damaged { .. } => {
                (Exit::Incomplete, "run `statesync repair` to its end first, then the same command again")
            }
            ExportError::NotSound { .. } => (
                Exit::VerificationFailed,
                "run `statesync repair` with a peer that has this state, then the same command again",
            ),
            ExportError::Exists { .. } => (Exit::Usage, "name another --out, or replace it with --force"),
            ExportError::Create { .. } => (Exit::Usage, "name a file in a directory that is there and can be written"),
            ExportError::Write { .. } => (
                Exit::Failure,
                "free space on the disk, or check it and the limits on files (quota, ulimit -f), then run again: \
                 nothing was left behind",
            ),
            ExportError::Stopped => (Exit::Incomplete, "run the same command again"),
        };
        Self::new(exit, message).hint(hint)
    }
}
