//! `statesync sync`: the main job.

use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use super::args::{Cli, SyncArgs};
use super::connect::{Connected, clients, connect, limits, pin};
use super::exit::{Exit, Failure};
use super::report;
use super::signals::{Signals, runtime};
use super::target::{self, Goal, goal};
use crate::pipeline::{Outcome, Report, StopReason, Sync, SyncOptions};
use crate::pivot::Trust;
use crate::store::{Access, Store, StoreError};
use crate::ui::{self, Listener};

pub(super) fn run(cli: &Cli, arguments: &SyncArgs) -> Result<Exit, Failure> {
    // Arguments are checked before anything is touched.
    clients(&arguments.peers)?;
    target::check(arguments)?;
    runtime()?.block_on(async {
        let mut signals = Signals::new()?;
        if arguments.dry_run {
            return plan(cli, arguments).await;
        }
        let store = Arc::new(Store::open_with(&arguments.datadir, Access::Create, arguments.memory.store)?);
        let (connected, options, goal) = tokio::select! {
            prepared = prepare(cli, arguments, &store) => prepared?,
            exit = signals.next() => return Ok(exit),
        };
        pin(&store, &connected.chain)?;
        let (report, signal) = sync(cli, store, connected, options, signals).await?;
        let trust = goal.trust_in(&report.root);
        finish(cli, arguments, report, trust, signal)
    })
}

/// Finds the peers and the root.
async fn prepare(cli: &Cli, arguments: &SyncArgs, store: &Store) -> Result<(Connected, SyncOptions, Goal), Failure> {
    let connected = connect(&arguments.peers, Some(store)).await?;
    let goal = goal(arguments, &connected).await?;
    if let Some(said) = goal.said.as_ref().filter(|_| !cli.quiet && !cli.json) {
        ui::say(said);
    }
    let options = SyncOptions {
        block: goal.block.clone(),
        limits: limits(&arguments.peers),
        request_timeout: arguments.peers.rpc_timeout,
        max_duration: arguments.max_duration,
        chain: connected.chain,
        follow: goal.follow.clone(),
        memory_bytes: arguments.memory.scheduler_bytes,
        ..SyncOptions::new(goal.root)
    };
    Ok((connected, options, goal))
}

/// Runs a sync until it ends; the first signal stops it, the second ends the process.
#[expect(clippy::exit, reason = "the second signal asks for just that")]
pub(super) async fn sync(
    cli: &Cli,
    store: Arc<Store>,
    connected: Connected,
    options: SyncOptions,
    mut signals: Signals,
) -> Result<(Report, Option<Exit>), Failure> {
    let names: Vec<String> = connected.peers.iter().map(|peer| peer.client.url().to_string()).collect();
    let mut listener = Listener::new(cli.display(), &names);
    let sync = Sync::new(store, connected.peers, options);
    let handle = sync.handle();
    let run = sync.run(|event| listener.on(&event));
    tokio::pin!(run);
    let mut stopped_by = None;
    let report = loop {
        tokio::select! {
            report = &mut run => break report?,
            exit = signals.next() => {
                if stopped_by.is_some() {
                    // Every commit is in the store's log already.
                    std::process::exit(exit as i32);
                }
                ui::say("stopping: committing what has come; once more to end at once");
                stopped_by = Some(exit);
                handle.stop().await;
            }
        }
    };
    Ok((report, stopped_by))
}

/// Prints the result and picks the exit code.
fn finish(
    cli: &Cli,
    arguments: &SyncArgs,
    report: Report,
    trust: Option<Trust>,
    signal: Option<Exit>,
) -> Result<Exit, Failure> {
    report::print(cli.json, &report, trust)?;
    conclude(report.outcome, &arguments.datadir, signal)
}

/// The exit code of a sync that ended so.
pub(super) fn conclude(outcome: Outcome, datadir: &Path, signal: Option<Exit>) -> Result<Exit, Failure> {
    let resume = format!("run the same command again to resume: {} holds what was fetched", datadir.display());
    match outcome {
        Outcome::Complete => Ok(Exit::Complete),
        Outcome::Failed(error) => Err(error.into()),
        Outcome::Stopped(StopReason::TimeOver) => {
            Err(Failure::new(Exit::Incomplete, "the time is over, the state is incomplete").hint(resume))
        }
        Outcome::Stopped(StopReason::Asked) => {
            let exit = signal.unwrap_or(Exit::Incomplete);
            Err(Failure::new(exit, "stopped, the state is incomplete").hint(resume))
        }
    }
}

/// `--dry-run`: what would be done.
async fn plan(cli: &Cli, arguments: &SyncArgs) -> Result<Exit, Failure> {
    let store = match Store::open(&arguments.datadir, Access::Read) {
        Ok(store) => Some(store),
        Err(StoreError::Absent { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let connected = connect(&arguments.peers, store.as_ref()).await?;
    let Goal { root, block, trust, said, .. } = goal(arguments, &connected).await?;
    let record = store.as_ref().map(|store| store.root(&root)).transpose()?.flatten();
    let action = match (&store, record.map(|record| record.state)) {
        (_, Some(crate::store::RootState::Complete)) => "nothing: the state is complete",
        (_, Some(crate::store::RootState::Syncing | crate::store::RootState::Damaged)) => "resume",
        (Some(_), None) => "fetch what differs from what the store holds",
        (None, None) => "fetch the whole state into a new store",
    };
    let peers: Vec<String> = connected.peers.iter().map(|peer| peer.client.url().to_string()).collect();
    if cli.json {
        return report::document(&json!({
            "root": format!("{root:?}"),
            "block_number": block.as_ref().map(|block| block.number),
            "trust": trust.map(|trust| trust.name()),
            "action": action,
            "peers": peers,
        }));
    }
    let block = said.map(|said| format!("block   {said}\n")).unwrap_or_default();
    report::text(&format!("{block}state   {root:?}\naction  {action}\npeers   {}", peers.join(", ")))
}
