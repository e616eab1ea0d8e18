//! `statesync export`: a state in a form that another tool loads.

use std::time::{Duration, Instant};

use primitive_types::H256;
use serde_json::json;

use super::args::{Cli, ExportArgs, ExportFormat};
use super::exit::{Exit, Failure};
use super::signals::until_signal;
use super::verify::{default_root, watched};
use super::{reading, report};
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
        ExportFormat::GethDb => Format::GethDb(arguments.keys.into()),
        ExportFormat::RethInit => Format::RethInit,
        ExportFormat::Alloc => Format::Alloc,
        #[cfg(feature = "parquet")]
        ExportFormat::Parquet => Format::Parquet,
    };
    let started = Instant::now();
    let exported = until_signal("stopped, nothing was written", |stop| {
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

impl From<ExportError> for Failure {
    fn from(error: ExportError) -> Self {
        let message = error.to_string();
        let (exit, hint) = match error {
            ExportError::Store(error) => return error.into(),
            ExportError::UnknownRoot { .. } => (Exit::Usage, "`statesync status` lists the states that are there"),
            ExportError::Incomplete { .. } => {
                (Exit::Incomplete, "run `statesync sync` to its end first, then the same command again")
            }
            ExportError::Partial { .. } => (Exit::Incomplete, reading::WHOLE),
            ExportError::Damaged { .. } => {
                (Exit::Incomplete, "run `statesync repair` to its end first, then the same command again")
            }
            ExportError::NotSound { .. } => (
                Exit::VerificationFailed,
                "run `statesync repair` with a peer that has this state, then the same command again",
            ),
            ExportError::Endless { .. } | ExportError::TooLarge => (
                Exit::VerificationFailed,
                "no chain has such a state, though every hash in it is right: see where its root comes from",
            ),
            ExportError::Preimages { .. } => (
                Exit::Incomplete,
                "get them with `statesync preimages fetch` from a peer or `statesync preimages import` from a file, then run \
                 the same command again; geth-dump, geth-db and parquet need none",
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
