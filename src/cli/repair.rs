//! `statesync repair`: verifies, then fetches only what is missing or corrupt.

use std::collections::HashSet;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use primitive_types::H256;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::args::{Cli, RepairArgs};
use super::connect::{clients, connect, limits, pin};
use super::exit::{Exit, Failure};
use super::signals::{Signals, runtime};
use super::sync::{conclude, sync};
use super::{report, verify};
use crate::pipeline::{Report, SyncOptions};
use crate::store::{Access, RootRecord, RootState, Store, WithStaging};
use crate::trie::{Level, NodeSource, Scope, StoredNode};
use crate::ui;
use crate::verify::{FAULTS_LISTED, Finding, Verification, verify_part};

/// Faults that are repaired at a time; further ones are found again by the next verification. What is taken back for so
/// many, a dozen nodes for each at worst, is one batch of some 300 MB.
const FAULTS_AT_A_TIME: usize = 50_000;

pub(super) fn run(cli: &Cli, arguments: &RepairArgs) -> Result<Exit, Failure> {
    // Arguments are checked before anything is touched.
    clients(&arguments.peers)?;
    let store = Arc::new(Store::open(&arguments.datadir, Access::Write)?);
    let damaged = next_damaged(&store)?;
    let root = match arguments.root.or(damaged) {
        Some(root) => root,
        None => verify::default_root(&store)?,
    };
    let started = Instant::now();
    let repair = Repair { cli, arguments, store, runtime: runtime()? };
    let mut healed = Vec::new();
    let mut result = repair.heal(root, &mut healed);
    // What was taken back for this root may have belonged to others too: with the same fetched, they are complete again.
    while result.is_ok()
        && let Some(other) = next_damaged(&repair.store)?
    {
        result = repair.heal(other, &mut healed);
    }
    let milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    if let Some((first, others)) = healed.split_first() {
        if cli.json {
            let mut document = first.fields();
            document["others"] = others.iter().map(Healed::fields).collect();
            document["duration_ms"] = milliseconds.into();
            report::document(&document)?;
        } else {
            let parts: Vec<String> = healed.iter().map(Healed::summary).collect();
            report::text(&format!("{}\ntook      {}", parts.join("\n"), ui::time(started.elapsed())))?;
        }
    }
    result.map(|()| Exit::Complete)
}

/// The damaged root of the highest block.
fn next_damaged(store: &Store) -> Result<Option<H256>, Failure> {
    let damaged = store.roots()?.into_iter().filter(|record| record.state == RootState::Damaged);
    let newest = damaged.max_by_key(|record| record.block.as_ref().map(|block| block.number));
    Ok(newest.map(|record| record.root))
}

struct Repair<'a> {
    cli: &'a Cli,
    arguments: &'a RepairArgs,
    store: Arc<Store>,
    runtime: Runtime,
}

/// What was found wrong with one state and what was done about it.
#[derive(Debug, Default)]
struct Healed {
    root: H256,
    /// The part of it that is to be there.
    scope: Scope,
    missing: u64,
    corrupt: u64,
    /// The first [`FAULTS_LISTED`] of both.
    faults: Vec<Finding>,
    nodes_set_back: u64,
    nodes_fetched: u64,
    codes_fetched: u64,
    bytes_downloaded: u64,
    requests: u64,
    /// The last one.
    verification: Option<Verification>,
}

impl Repair<'_> {
    /// Verifies and repairs until nothing is wrong. What is below something missing shows only once that is there.
    fn heal(&self, root: H256, all: &mut Vec<Healed>) -> Result<(), Failure> {
        all.push(Healed { root, ..Healed::default() });
        let Some(healed) = all.last_mut() else { return Ok(()) };
        let record = self.store.root(&root)?;
        let is_there = |record: &RootRecord| matches!(record.state, RootState::Complete | RootState::Partial);
        let is_begun = record.as_ref().is_some_and(|record| !is_there(record));
        healed.scope = record.and_then(|record| record.scope).unwrap_or_default();
        let scope = healed.scope.clone();
        if is_begun {
            self.fetch(healed)?;
        }
        let mut repaired = HashSet::new();
        loop {
            let verification = self.verify(root, &scope)?;
            verify::note(&self.store, root, &verification)?;
            let faults = healed.note(verification);
            if faults.is_empty() {
                return Ok(());
            }
            if faults.iter().any(|hash| !repaired.insert(*hash)) {
                return Err(Failure::new(Exit::VerificationFailed, "what was repaired is wrong again")
                    .hint("the disk does not keep what is written to it: sync into a --datadir on another one"));
            }
            if let Some(verification) = &healed.verification {
                let retracted = self.store.retract(&verification.damage())?;
                healed.nodes_set_back += retracted.nodes;
            }
            self.fetch(healed)?;
        }
    }

    /// The offline check. Signals end it: the first sync has taken them over.
    fn verify(&self, root: H256, scope: &Scope) -> Result<Verification, Failure> {
        let stopped = Arc::new(OnceLock::new());
        let mut signals = {
            let _context = self.runtime.enter();
            Signals::new()?
        };
        let stop = stopped.clone();
        let listening = self.runtime.spawn(async move { stop.set(signals.next().await) });
        let source = Interruptible { store: &self.store, stopped: &stopped, is_whole: scope.is_whole() };
        let verify = |visited: &_| verify_part(&source, root, scope, visited, FAULTS_AT_A_TIME);
        let verification = verify::watched(self.cli, "verified", verify);
        listening.abort();
        verification
    }

    /// The usual sync, for which all that is there and right is present or staged.
    fn fetch(&self, healed: &mut Healed) -> Result<(), Failure> {
        let (report, signal) = self.runtime.block_on(self.sync(healed))?;
        healed.nodes_fetched += report.counts.nodes;
        healed.codes_fetched += report.counts.codes;
        healed.bytes_downloaded += report.bytes_downloaded;
        healed.requests += report.requests;
        conclude(report.outcome, &self.arguments.datadir, signal).map(|_| ())
    }

    async fn sync(&self, healed: &Healed) -> Result<(Report, Option<Exit>), Failure> {
        let root = healed.root;
        let peers = &self.arguments.peers;
        let mut signals = Signals::new()?;
        let connected = tokio::select! {
            connected = connect(peers, Some(&self.store)) => connected?,
            exit = signals.next() => return Err(Failure::new(exit, "stopped before anything was fetched")),
        };
        pin(&self.store, &connected.chain)?;
        let options = SyncOptions {
            block: self.store.root(&root)?.and_then(|record| record.block),
            scope: healed.scope.clone(),
            limits: limits(peers),
            request_timeout: peers.rpc_timeout,
            chain: connected.chain,
            ..SyncOptions::new(root)
        };
        sync(self.cli, self.store.clone(), connected, options, signals).await
    }
}

impl Healed {
    /// Notes what a verification has found; the hashes of what is wrong.
    fn note(&mut self, verification: Verification) -> HashSet<H256> {
        // Those that are repaired now; what is beyond is found again.
        let corrupt = verification.faults.iter().filter(|finding| finding.fault.is_some()).count() as u64;
        self.corrupt += corrupt;
        self.missing += verification.faults.len() as u64 - corrupt;
        let room = FAULTS_LISTED.saturating_sub(self.faults.len());
        self.faults.extend(verification.faults.iter().take(room).cloned());
        let hashes = verification.faults.iter().map(|finding| finding.target.hash()).collect();
        self.verification = Some(verification);
        hashes
    }

    fn is_ok(&self) -> bool {
        self.verification.as_ref().is_some_and(Verification::is_ok)
    }

    fn fields(&self) -> Value {
        let totals = self.verification.as_ref().map(|verification| verification.totals).unwrap_or_default();
        let mut fields = json!({
            "root": format!("{:?}", self.root),
            "ok": self.is_ok(),
            "missing": self.missing,
            "corrupt": self.corrupt,
            "faults": verify::faults(&self.faults),
            "nodes_set_back": self.nodes_set_back,
            "nodes_fetched": self.nodes_fetched,
            "codes_fetched": self.codes_fetched,
            "bytes_downloaded": self.bytes_downloaded,
            "requests": self.requests,
            "nodes": totals.nodes,
            "accounts": totals.accounts,
            "slots": totals.slots,
            "codes": totals.codes,
        });
        if let Some(scope) = self.scope.part() {
            fields["scope"] = json!(scope);
        }
        fields
    }

    fn summary(&self) -> String {
        let found = match (self.missing, self.corrupt) {
            (0, 0) => "nothing missing or corrupt".to_owned(),
            (missing, corrupt) => format!("{} missing, {} corrupt", ui::count(missing), ui::count(corrupt)),
        };
        let mut lines = vec![format!("state     {:?}", self.root)];
        lines.extend(self.scope.part().map(|scope| format!("partial   {scope}")));
        lines.push(format!("found     {found}"));
        lines.extend(self.faults.iter().map(verify::line));
        if self.requests > 0 {
            lines.push(format!(
                "fetched   {} nodes, {} codes, {} in {} requests",
                ui::count(self.nodes_fetched),
                ui::count(self.codes_fetched),
                ui::bytes(self.bytes_downloaded),
                ui::count(self.requests)
            ));
        }
        if let Some(verification) = &self.verification {
            lines.push(format!("result    {}", verify::result(verification)));
            lines.push(format!("holds     {}", ui::totals(&verification.totals)));
        }
        lines.join("\n")
    }
}

/// A store that is not read any more after a signal.
struct Interruptible<'a> {
    store: &'a Store,
    stopped: &'a OnceLock<Exit>,
    /// Whether what is staged is of no interest.
    is_whole: bool,
}

impl Interruptible<'_> {
    fn check(&self) -> Result<&Store, Failure> {
        match self.stopped.get() {
            None => Ok(self.store),
            Some(exit) => {
                Err(Failure::new(*exit, "stopped, the state is not verified").hint("run the same command again"))
            }
        }
    }
}

impl NodeSource for Interruptible<'_> {
    type Error = Failure;

    fn node(&self, hash: &H256) -> Result<Option<StoredNode>, Failure> {
        let store = self.check()?;
        Ok(if self.is_whole { NodeSource::node(store, hash)? } else { WithStaging(store).node(hash)? })
    }

    fn code(&self, hash: &H256) -> Result<Option<Vec<u8>>, Failure> {
        Ok(self.check()?.code(hash)?)
    }

    fn scan(&self, first: u8, take: &mut dyn FnMut(H256, Level, &[u8])) -> Result<bool, Failure> {
        Ok(self.check()?.scan(first, take)?)
    }
}
