//! `statesync verify`: the offline check of everything a root reaches.

use std::sync::atomic::AtomicU64;
use std::time::Instant;

use primitive_types::H256;
use serde_json::{Value, json};

use super::args::{Cli, VerifyArgs};
use super::exit::{Exit, Failure};
use super::{reading, report};
use crate::store::{Access, Durability, Marks, RootRecord, RootState, Store, WithStaging};
use crate::trie::{Commit, Scope, Target};
use crate::ui;
use crate::verify::{FAULTS_LISTED, Finding, Verification, verify, verify_part};

pub(super) fn run(cli: &Cli, arguments: &VerifyArgs) -> Result<Exit, Failure> {
    let store = Store::open(&arguments.datadir, Access::Write)?;
    let root = match arguments.root {
        Some(root) => root,
        None => default_root(&store)?,
    };
    let scope = reading::scope(&store, root)?;
    let started = Instant::now();
    let verification = watched(cli, "verified", |visited| match &scope {
        None => verify(&store, root, visited),
        Some(scope) => verify_part(&WithStaging(&store), root, scope, visited, FAULTS_LISTED),
    })?;
    note(&store, root, &verification)?;
    if cli.json {
        let duration = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        report::document(&fields(root, scope.as_ref(), &verification, duration))?;
    } else {
        report::text(&summary(root, scope.as_ref(), &verification, started.elapsed()))?;
    }
    if verification.is_ok() {
        return Ok(Exit::Complete);
    }
    let what = format!("{} missing, {} corrupt", verification.missing, verification.corrupt);
    Err(Failure::new(Exit::VerificationFailed, format!("state {root:?} is not sound: {what}")).hint(
        "run `statesync repair` with a peer that has this state: it fetches what is missing or corrupt, and no more",
    ))
}

/// The complete root of the highest block; without blocks, the only complete root.
pub(super) fn default_root(store: &Store) -> Result<H256, Failure> {
    if let Some(root) = newest(store, RootState::Complete)? {
        return Ok(root);
    }
    let message = "the store holds no complete state";
    let partial = store.roots()?.into_iter().find(|record| record.state == RootState::Partial);
    Err(match partial.and_then(|record| Some((record.root, record.into_partial()?))) {
        Some((root, scope)) => Failure::new(Exit::Incomplete, format!("{message}, only a part of {root:?}: {scope}"))
            .hint(format!("{}; with --root {root:?} the part is verified or repaired", reading::WHOLE)),
        None => Failure::new(Exit::Incomplete, message)
            .hint("run `statesync sync` to its end first, or name a root with --root"),
    })
}

/// The root in this state of the highest block; without blocks, the only one.
pub(super) fn newest(store: &Store, state: RootState) -> Result<Option<H256>, Failure> {
    let mut records: Vec<RootRecord> = store.roots()?.into_iter().filter(|record| record.state == state).collect();
    records.sort_by_key(|record| record.block.as_ref().map(|block| block.number));
    if records.len() > 1 && records.iter().all(|record| record.block.is_none()) {
        return Err(Failure::new(Exit::Usage, "the store holds several roots")
            .hint("name one with --root; `statesync status` lists them"));
    }
    Ok(records.pop().map(|record| record.root))
}

pub(super) fn result(verification: &Verification) -> &'static str {
    if verification.is_ok() { "sound: every node and code is there and hashes to its key" } else { "NOT SOUND" }
}

/// Does work on another thread and shows how far it is; `what` is what is done to the things it counts.
pub(super) fn watched<T: Send, E: Send + Into<Failure>>(
    cli: &Cli,
    what: &'static str,
    work: impl FnOnce(&AtomicU64) -> Result<T, E> + Send,
) -> Result<T, Failure> {
    let visited = AtomicU64::new(0);
    let counter = ui::Counter::start(cli.display(), what, &visited);
    let result = std::thread::scope(|scope| {
        let worker = scope.spawn(|| work(&visited));
        counter.watch(|| worker.is_finished());
        worker.join()
    });
    match result {
        Ok(result) => result.map_err(Into::into),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// A sound state's totals are noted in its record, for `status`.
pub(super) fn note(store: &Store, root: H256, verification: &Verification) -> Result<(), Failure> {
    if !verification.is_ok() {
        return Ok(());
    }
    if let Some(record) = store.root(&root)?.filter(|record| record.totals != Some(verification.totals)) {
        let root = Some(RootRecord { totals: Some(verification.totals), ..record });
        store.commit(&Commit::default(), &Marks { checkpoint: None, root }, Durability::Disk)?;
    }
    Ok(())
}

fn fields(root: H256, scope: Option<&Scope>, verification: &Verification, duration_ms: u64) -> Value {
    let totals = &verification.totals;
    let mut fields = json!({
        "root": format!("{root:?}"),
        "ok": verification.is_ok(),
        "nodes": totals.nodes,
        "accounts": totals.accounts,
        "slots": totals.slots,
        "codes": totals.codes,
        "missing": verification.missing,
        "corrupt": verification.corrupt,
        "duration_ms": duration_ms,
        "faults": faults(&verification.faults),
        "partial": scope.is_some(),
    });
    if let Some(scope) = scope {
        fields["scope"] = json!(scope);
    }
    fields
}

/// What is wrong, and where.
pub(super) fn faults(findings: &[Finding]) -> Value {
    let faults = findings.iter().map(|finding| {
        let (owner, path) = match finding.target {
            Target::Node(place) => (place.owner, Some(place.path.to_string())),
            Target::Code { owner, .. } => (Some(owner), None),
        };
        json!({
            "kind": if path.is_some() { "node" } else { "code" },
            "hash": format!("{:?}", finding.target.hash()),
            "account": owner.map(|owner| format!("{owner:?}")),
            "path": path,
            "fault": finding.fault.map_or("missing".to_owned(), |fault| fault.to_string()),
        })
    });
    Value::Array(faults.collect())
}

fn summary(root: H256, scope: Option<&Scope>, verification: &Verification, duration: std::time::Duration) -> String {
    let mut lines = vec![format!("state     {root:?}")];
    lines.extend(scope.map(|scope| format!("partial   {scope}")));
    lines.extend([
        format!("result    {}", result(verification)),
        format!("holds     {}", ui::totals(&verification.totals)),
        format!("took      {}", ui::time(duration)),
    ]);
    lines.extend(verification.faults.iter().map(line));
    lines.join("\n")
}

pub(super) fn line(finding: &Finding) -> String {
    let what = match finding.target {
        Target::Node(place) => match place.owner {
            None => format!("account node {:?} at path \"{}\"", place.hash, place.path),
            Some(owner) => format!("storage node {:?} at path \"{}\" of account {owner:?}", place.hash, place.path),
        },
        Target::Code { owner, hash } => format!("code {hash:?} of account {owner:?}"),
    };
    match finding.fault {
        None => format!("missing   {what}"),
        Some(fault) => format!("corrupt   {what}: {fault}"),
    }
}
