//! `statesync sync`: the main job.

use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use super::args::{Cli, ScopeArgs, SyncArgs};
use super::connect::{Connected, clients, connect, limits, pin};
use super::exit::{Exit, Failure};
use super::report;
use super::signals::{Signals, runtime};
use super::target::{self, Goal, goal};
use crate::pipeline::{Outcome, Report, StopReason, Sync, SyncOptions};
use crate::pivot::Trust;
use crate::state::State;
use crate::store::{Access, RootRecord, RootState, Store, StoreError, WithStaging};
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
        let (report, signal) = sync(cli, store.clone(), connected, options, signals).await?;
        let trust = goal.trust_in(&report.root);
        let absent = absent(&store, &arguments.scope, &report)?;
        finish(cli, arguments, report, (trust, absent), signal)
    })
}

/// Finds the peers and the root.
async fn prepare(cli: &Cli, arguments: &SyncArgs, store: &Store) -> Result<(Connected, SyncOptions, Goal), Failure> {
    let connected = connect(&arguments.peers, Some(store)).await?;
    let goal = goal(arguments, &connected).await?;
    let record = store.root(&goal.root)?.filter(|record| record.state == RootState::Damaged);
    if record.is_some_and(|record| record.scope.is_none()) && !arguments.scope.scope().is_whole() {
        return Err(Failure::new(Exit::VerificationFailed, format!("state {:?} is damaged", goal.root))
            .hint("run `statesync repair` to its end first: it was here as a whole"));
    }
    if let Some(said) = goal.said.as_ref().filter(|_| !cli.quiet && !cli.json) {
        ui::say(said);
    }
    let options = SyncOptions {
        block: goal.block.clone(),
        scope: arguments.scope.scope(),
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

/// The accounts asked for that are proved not to be in the state, as they were given.
fn absent(store: &Store, wanted: &ScopeArgs, report: &Report) -> Result<Vec<String>, Failure> {
    let mut absent = Vec::new();
    if matches!(report.outcome, Outcome::Complete | Outcome::Partial) {
        let source = WithStaging(store);
        let state = State::at(&source, report.root);
        for account in &wanted.account {
            if state.account(&account.key())?.is_none() {
                absent.push(account.to_string());
            }
        }
    }
    Ok(absent)
}

/// Prints the result and picks the exit code.
fn finish(
    cli: &Cli,
    arguments: &SyncArgs,
    report: Report,
    (trust, absent): (Option<Trust>, Vec<String>),
    signal: Option<Exit>,
) -> Result<Exit, Failure> {
    if !cli.quiet {
        absent.iter().for_each(|account| ui::say(&format!("no account {account} in this state")));
    }
    if cli.json {
        let mut fields = report::fields(&report, trust);
        if !absent.is_empty() {
            fields["accounts_absent"] = json!(absent);
        }
        report::document(&fields)?;
    } else {
        report::print(false, &report, trust)?;
    }
    conclude(report.outcome, &arguments.datadir, signal)
}

/// The exit code of a sync that ended so.
pub(super) fn conclude(outcome: Outcome, datadir: &Path, signal: Option<Exit>) -> Result<Exit, Failure> {
    let resume = format!("run the same command again to resume: {} holds what was fetched", datadir.display());
    match outcome {
        // All that was asked for is there and verified.
        Outcome::Complete | Outcome::Partial => Ok(Exit::Complete),
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
    let scope = arguments.scope.scope();
    let is_here = |record: &RootRecord| record.scope.as_ref().is_some_and(|here| here.contains(&scope));
    let action = match (&store, record.as_ref().map(|record| record.state)) {
        (_, Some(RootState::Complete)) => "nothing: the state is complete",
        (_, Some(RootState::Partial)) if record.as_ref().is_some_and(is_here) => "nothing: this part is here",
        (_, Some(RootState::Partial)) if scope.is_whole() => "fetch the rest of the state",
        (_, Some(RootState::Partial)) => "fetch this part of the state beside the one that is here",
        (_, Some(RootState::Syncing | RootState::Damaged)) => "resume",
        (Some(_), None) => "fetch what differs from what the store holds",
        (None, None) if scope.is_whole() => "fetch the whole state into a new store",
        (None, None) => "fetch this part of the state into a new store",
    };
    let peers: Vec<String> = connected.peers.iter().map(|peer| peer.client.url().to_string()).collect();
    if cli.json {
        let mut fields = json!({
            "root": format!("{root:?}"),
            "block_number": block.as_ref().map(|block| block.number),
            "trust": trust.map(|trust| trust.name()),
            "action": action,
            "peers": peers,
        });
        if let Some(scope) = scope.part() {
            fields["scope"] = json!(scope);
        }
        return report::document(&fields);
    }
    let part = scope.part().map(|scope| format!("part    {scope}\n")).unwrap_or_default();
    let block = said.map(|said| format!("block   {said}\n")).unwrap_or_default();
    report::text(&format!("{block}state   {root:?}\n{part}action  {action}\npeers   {}", peers.join(", ")))
}
