//! `statesync sync`: the main job.

use std::sync::Arc;

use primitive_types::H256;
use serde_json::json;

use super::args::{Cli, SyncArgs};
use super::connect::{self, Connected, connect};
use super::exit::{Exit, Failure};
use super::report;
use super::signals::{Signals, runtime};
use crate::peers::PoolLimits;
use crate::pipeline::{Outcome, Report, StopReason, Sync, SyncOptions};
use crate::pivot::{self, Pivot};
use crate::store::{Access, Block, Store, StoreError};
use crate::ui::{self, Listener};

pub(super) fn run(cli: &Cli, arguments: &SyncArgs) -> Result<Exit, Failure> {
    // What leads to the peers is checked before anything is touched.
    connect::urls(&arguments.peers)?;
    connect::options(&arguments.peers)?;
    runtime()?.block_on(async {
        let mut signals = Signals::new()?;
        if arguments.dry_run {
            return plan(cli, arguments).await;
        }
        let store = Arc::new(Store::open(&arguments.datadir, Access::Create)?);
        let (connected, options) = tokio::select! {
            prepared = prepare(cli, arguments, &store) => prepared?,
            exit = signals.next() => return Ok(exit),
        };
        store.pin_chain(connected.chain_id)?;
        let (report, signal) = sync(cli, store, connected, options, signals).await?;
        finish(cli, arguments, report, signal)
    })
}

/// Finds the peers and the root.
async fn prepare(cli: &Cli, arguments: &SyncArgs, store: &Store) -> Result<(Connected, SyncOptions), Failure> {
    let connected = connect(&arguments.peers, Some(store)).await?;
    let (root, block) = target(cli, arguments, &connected).await?;
    let limits = PoolLimits {
        batch_items: arguments.peers.batch_size,
        requests_per_peer: arguments.peers.max_concurrent_requests,
        ..PoolLimits::default()
    };
    let options = SyncOptions {
        block,
        limits,
        request_timeout: arguments.peers.rpc_timeout,
        max_duration: arguments.max_duration,
        ..SyncOptions::new(root)
    };
    Ok((connected, options))
}

/// The root to sync and, where the user gave a block, that block.
async fn target(cli: &Cli, arguments: &SyncArgs, connected: &Connected) -> Result<(H256, Option<Block>), Failure> {
    match (arguments.root, &arguments.block) {
        (Some(root), _) => Ok((root, None)),
        (None, Some(block)) => {
            let Pivot { root, block, peer } = pivot::resolve(block, &connected.peers).await?;
            if !cli.quiet && !cli.json {
                ui::say(&format!("block {} {:?} has state {root:?}, says {peer}", block.number, block.hash));
            }
            Ok((root, Some(block)))
        }
        (None, None) => Err(Failure::new(Exit::Usage, "give --root or --block")),
    }
}

/// Runs a sync until it ends; the first signal stops it, the second ends the process.
#[expect(clippy::exit, reason = "the second signal asks for just that")]
async fn sync(
    cli: &Cli,
    store: Arc<Store>,
    connected: Connected,
    options: SyncOptions,
    mut signals: Signals,
) -> Result<(Report, Option<Exit>), Failure> {
    let names: Vec<String> = connected.peers.iter().map(|peer| peer.url().to_string()).collect();
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
fn finish(cli: &Cli, arguments: &SyncArgs, report: Report, signal: Option<Exit>) -> Result<Exit, Failure> {
    report::print(cli.json, &report)?;
    let resume =
        format!("run the same command again to resume: {} holds what was fetched", arguments.datadir.display());
    match report.outcome {
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
    let (root, block) = target(cli, arguments, &connected).await?;
    let record = store.as_ref().map(|store| store.root(&root)).transpose()?.flatten();
    let action = match (&store, record.map(|record| record.state)) {
        (_, Some(crate::store::RootState::Complete)) => "nothing: the state is complete",
        (_, Some(crate::store::RootState::Syncing)) => "resume",
        (Some(_), None) => "fetch what differs from what the store holds",
        (None, None) => "fetch the whole state into a new store",
    };
    let peers: Vec<String> = connected.peers.iter().map(|peer| peer.url().to_string()).collect();
    if cli.json {
        let number = block.as_ref().map(|block| block.number);
        let plan = json!({ "root": format!("{root:?}"), "block_number": number, "action": action, "peers": peers });
        return report::document(&plan);
    }
    report::text(&format!("state   {root:?}\naction  {action}\npeers   {}", peers.join(", ")))
}
