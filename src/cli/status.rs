//! `statesync status`: what a store holds; also while a sync runs.

use serde_json::{Value, json};

use super::args::{Cli, StatusArgs};
use super::exit::{Exit, Failure};
use super::report;
use super::verify::watched;
use crate::preimages::share;
use crate::store::{Access, Checkpoint, PreimageCounts, RootRecord, RootState, Store, Totals, WithStaging};
use crate::ui;
use crate::verify::{verify, verify_part};

pub(super) fn run(cli: &Cli, arguments: &StatusArgs) -> Result<Exit, Failure> {
    let store = Store::open(&arguments.datadir, Access::Read)?;
    let status = Status::read(cli, &store)?;
    if cli.json { report::document(&status.fields()) } else { report::text(&status.summary()) }
}

struct Status {
    format: u32,
    chain_id: Option<u64>,
    roots: Vec<(RootRecord, Totals)>,
    progress: f64,
    staged_nodes: u64,
    disk_bytes: u64,
    preimages: PreimageCounts,
    /// What share of the accounts is known by address, for each root in their order; none where the state is not complete.
    known: Vec<Option<f64>>,
}

impl Status {
    fn read(cli: &Cli, store: &Store) -> Result<Self, Failure> {
        let checkpoint = store.checkpoint()?;
        let mut roots = Vec::new();
        for record in store.roots()? {
            let totals = totals(cli, store, &record, checkpoint.as_ref())?;
            roots.push((record, totals));
        }
        roots.sort_by_key(|(record, _)| record.block.as_ref().map(|block| block.number));
        let is_in = |states: &[RootState]| roots.iter().any(|(record, _)| states.contains(&record.state));
        let syncing = is_in(&[RootState::Syncing, RootState::Damaged]);
        let progress = match checkpoint {
            Some(checkpoint) if syncing => checkpoint.progress,
            _ if roots.is_empty() || syncing => 0.0,
            _ if is_in(&[RootState::Complete]) => 1.0,
            // Nothing is being fetched, and no state is there as a whole.
            _ => roots.iter().filter_map(|(record, _)| Some(record.scope.as_ref()?.share())).fold(0.0, f64::max),
        };
        let (staged_nodes, disk_bytes) = (store.staged_nodes()?, store.disk_bytes()?);
        let preimages = store.preimage_counts()?;
        let mut known = Vec::new();
        for (record, _) in &roots {
            known.push(match record.state {
                RootState::Complete if preimages.addresses > 0 => Some(share(store, record.root)?.ratio()),
                RootState::Complete => Some(0.0),
                RootState::Syncing | RootState::Partial | RootState::Damaged => None,
            });
        }
        Ok(Self {
            format: store.format()?,
            chain_id: store.chain_id()?,
            roots,
            progress,
            staged_nodes,
            disk_bytes,
            preimages,
            known,
        })
    }

    fn fields(&self) -> Value {
        let roots = self.roots.iter().zip(&self.known).map(|((record, totals), known)| {
            let mut fields = json!({
                "root": format!("{:?}", record.root),
                "block_number": record.block.as_ref().map(|block| block.number),
                "state": name(record.state),
                "accounts": totals.accounts,
                "slots": totals.slots,
                "codes": totals.codes,
                "nodes": totals.nodes,
                "addresses_known": known,
            });
            if let Some(scope) = &record.scope {
                fields["scope"] = json!(scope);
            }
            fields
        });
        json!({
            "format_version": self.format,
            "chain_id": self.chain_id,
            "roots": roots.collect::<Vec<_>>(),
            "progress": self.progress,
            "staged_nodes": self.staged_nodes,
            "disk_bytes": self.disk_bytes,
            "preimage_addresses": self.preimages.addresses,
            "preimage_slots": self.preimages.slots,
        })
    }

    fn summary(&self) -> String {
        let chain = self.chain_id.map_or("unknown".into(), |chain_id| chain_id.to_string());
        let mut lines = vec![
            format!("store     format {}, chain {chain}, {} on disk", self.format, ui::bytes(self.disk_bytes)),
            format!("progress  {}, {} nodes staged", ui::percent(self.progress), ui::count(self.staged_nodes)),
        ];
        if self.preimages != PreimageCounts::default() {
            let PreimageCounts { addresses, slots } = self.preimages;
            lines.push(format!("preimages {} addresses, {} slots", ui::count(addresses), ui::count(slots)));
        }
        for ((record, totals), known) in self.roots.iter().zip(&self.known) {
            let block = record.block.as_ref().map_or(String::new(), |block| format!(" block {}", block.number));
            let (root, state, totals) = (record.root, name(record.state), ui::totals(totals));
            let part = record.scope.as_ref().map(|scope| format!(" of {scope}")).unwrap_or_default();
            let known = known.filter(|known| *known > 0.0);
            let known = known.map_or(String::new(), |known| format!("; addresses of {} known", ui::percent(known)));
            lines.push(format!("root      {root:?}{block} {state}{part}: {totals}{known}"));
        }
        lines.join("\n")
    }
}

/// What a root holds: as recorded, as far as its sync is, or, for a complete or partial one nobody has counted yet, by a
/// walk.
fn totals(cli: &Cli, store: &Store, record: &RootRecord, checkpoint: Option<&Checkpoint>) -> Result<Totals, Failure> {
    if let Some(totals) = record.totals {
        return Ok(totals);
    }
    if record.state == RootState::Complete {
        tracing::info!(root = ?record.root, "counting; `statesync verify` notes the result for good");
        return Ok(watched(cli, "counted", |visited| verify(store, record.root, visited))?.totals);
    }
    if let Some(scope) = record.clone().into_partial() {
        let count = |visited: &_| verify_part(&WithStaging(store), record.root, &scope, visited, 0);
        return Ok(watched(cli, "counted", count)?.totals);
    }
    let counts = checkpoint.filter(|checkpoint| checkpoint.root == record.root).map(|checkpoint| checkpoint.counts);
    let counts = counts.unwrap_or_default();
    Ok(Totals { accounts: counts.accounts, slots: counts.slots, codes: counts.codes, nodes: counts.nodes })
}

fn name(state: RootState) -> &'static str {
    match state {
        RootState::Syncing => "syncing",
        RootState::Complete => "complete",
        RootState::Partial => "partial",
        RootState::Damaged => "damaged",
    }
}
