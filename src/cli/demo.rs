//! `statesync demo`: the main job on real data, with nothing but this program.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use serde_json::json;

use super::args::{Cli, DemoArgs};
use super::exit::{Exit, Failure};
use super::report;
use super::serve::in_memory;
use super::signals::{Signals, runtime};
use crate::fixture::{MAINNET_ACCOUNTS, MAINNET_HASH, MAINNET_ROOT, mainnet_genesis};
use crate::peers::{BlockId, Client, Peer};
use crate::pipeline::{Outcome, Report, Sync, SyncOptions};
use crate::pivot::{self, Wish};
use crate::serve::{Options, Server};
use crate::store::{Access, Store, Totals};
use crate::ui::{self, Listener};
use crate::verify::verify;

/// Mainnet's chain id (EIP-155).
const MAINNET_CHAIN_ID: u64 = 1;

pub(super) fn run(cli: &Cli, arguments: &DemoArgs) -> Result<Exit, Failure> {
    let dir = Directory::new(arguments.datadir.as_deref())?;
    let store = Arc::new(Store::open(&dir.path, Access::Create)?);
    store.pin_chain(MAINNET_CHAIN_ID)?;
    let ended = runtime()?.block_on(async {
        let mut signals = Signals::new()?;
        tokio::select! {
            report = sync(cli, store.clone()) => report.map(Ok),
            exit = signals.next() => Ok(Err(exit)),
        }
    })?;
    let report = match ended {
        Ok(report) => report,
        // What was committed stays in a directory that was given; a temporary one goes.
        Err(exit) => return Ok(exit),
    };
    let complete = report.is_complete();
    let printed = if cli.json { report::fields(&report, None) } else { json!(null) };
    if !cli.json {
        report::print(false, &report, None)?;
    }
    if let Outcome::Failed(error) = report.outcome {
        return Err(error.into());
    }
    let verification = verify(store.as_ref(), MAINNET_ROOT, &AtomicU64::new(0))?;
    let expected = complete && verification.is_ok() && verification.totals.accounts == MAINNET_ACCOUNTS;
    if cli.json {
        let mut printed = printed;
        printed["verified"] = expected.into();
        report::document(&printed)?;
    } else {
        report::text(&conclusion(&verification.totals, expected))?;
    }
    if expected {
        return Ok(Exit::Complete);
    }
    Err(Failure::new(Exit::VerificationFailed, "the synced state is not mainnet's genesis state"))
}

/// Serves the genesis state on a free port of this machine, and syncs from there like from any peer.
async fn sync(cli: &Cli, store: Arc<Store>) -> Result<Report, Failure> {
    let state = in_memory(&mainnet_genesis()?)?;
    let failed = |error: &dyn std::fmt::Display| Failure::new(Exit::Failure, error.to_string());
    let server = Server::bind("127.0.0.1:0", Options::default()).await.map_err(|error| failed(&error))?;
    let url = format!("http://{}", server.local_addr());
    tokio::spawn(server.run(Arc::new(state), std::future::pending()));
    if !cli.quiet && !cli.json {
        ui::say(&format!("serving the mainnet genesis state on {url}, and syncing from there"));
    }
    let options = SyncOptions::new(MAINNET_ROOT);
    let client = Client::new(url.parse()?, options.request_timeout).map_err(|error| failed(&error))?;
    let peer = Peer::from(client);
    let wish = Wish { block: BlockId::Hash(MAINNET_HASH), trusted: None, quorum: None };
    let pivot = pivot::resolve(&wish, std::slice::from_ref(&peer)).await?;
    let options = SyncOptions { root: pivot.root, block: pivot.block, ..options };
    let mut listener = Listener::new(cli.display(), &[url]);
    Ok(Sync::new(store, vec![peer], options).run(|event| listener.on(&event)).await?)
}

fn conclusion(totals: &Totals, expected: bool) -> String {
    let verdict = if expected { "verified: it is mainnet's genesis state" } else { "NOT mainnet's genesis state" };
    format!(
        "verified  {} accounts and {} nodes read back and hashed again\nroot      {MAINNET_ROOT:?} {verdict}",
        ui::count(totals.accounts),
        ui::count(totals.nodes),
    )
}

/// The store's directory; a temporary one goes at the end.
struct Directory {
    path: PathBuf,
    temporary: bool,
}

impl Directory {
    fn new(given: Option<&Path>) -> Result<Self, Failure> {
        if let Some(path) = given {
            return Ok(Self { path: path.into(), temporary: false });
        }
        let path = std::env::temp_dir().join(format!("statesync-demo-{}", std::process::id()));
        match std::fs::create_dir(&path) {
            Ok(()) => Ok(Self { path, temporary: true }),
            Err(error) => Err(Failure::new(Exit::Failure, format!("cannot make {}: {error}", path.display()))
                .hint("name a directory with --datadir")),
        }
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if self.temporary {
            // Left over at worst in the system's own directory for such things.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}
