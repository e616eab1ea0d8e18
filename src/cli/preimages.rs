//! `statesync preimages`: addresses and slot numbers, for the exports that need them.

use serde_json::json;

use super::args::{Cli, FetchArgs, ImportPreimagesArgs, PreimagesArgs, PreimagesCommand};
use super::connect::{clients, connect, pin};
use super::exit::{Exit, Failure};
use super::report;
use super::signals::{runtime, until_signal};
use super::verify::{default_root, watched};
use crate::export::{ExportError, Watch};
use crate::peers::Client;
use crate::preimages::{PreimageError, Share, fetch, import, share};
use crate::store::{PreimageCounts, RootState, Store};
use crate::ui;

pub(super) fn run(cli: &Cli, arguments: &PreimagesArgs) -> Result<Exit, Failure> {
    match &arguments.command {
        PreimagesCommand::Import(arguments) => import_file(cli, arguments),
        PreimagesCommand::Fetch(arguments) => fetch_from_peers(cli, arguments),
    }
}

fn import_file(cli: &Cli, arguments: &ImportPreimagesArgs) -> Result<Exit, Failure> {
    let store = Store::open_for_preimages(&arguments.datadir)?;
    let format = arguments.format.file_format();
    let imported = until_signal("stopped: what was imported is kept", |stop| {
        watched(cli, "imported", |done| import(&store, &arguments.from, format, Watch { done, stop }))
    })?;
    let added = imported.added;
    if cli.json {
        report::document(&json!({
            "found": imported.found,
            "addresses_added": added.addresses,
            "slots_added": added.slots,
            "skipped": imported.skipped,
            "wrong": imported.wrong,
        }))?;
    } else {
        report::text(&format!(
            "found     {} addresses and slots, {} other items\n{}",
            ui::count(imported.found),
            ui::count(imported.skipped),
            added_and_known(&store, added)?
        ))?;
    }
    if imported.wrong == 0 {
        return Ok(Exit::Complete);
    }
    let wrong = ui::count(imported.wrong);
    Err(Failure::new(Exit::VerificationFailed, format!("{wrong} preimages do not hash to what the file says"))
        .hint("they were left out; make the file anew: it is damaged"))
}

fn fetch_from_peers(cli: &Cli, arguments: &FetchArgs) -> Result<Exit, Failure> {
    // Arguments are checked before anything is touched.
    clients(&arguments.peers)?;
    let store = Store::open_for_preimages(&arguments.datadir)?;
    let root = match arguments.root {
        Some(root) => root,
        None => default_root(&store)?,
    };
    let runtime = runtime()?;
    let connected = runtime.block_on(connect(&arguments.peers, Some(&store)))?;
    pin(&store, &connected.chain)?;
    let peers: Vec<Client> = connected.peers.into_iter().map(|peer| peer.client).collect();
    let fetched = until_signal("stopped: what was fetched is kept", |stop| {
        watched(cli, "looked up", |done| fetch(&store, root, &peers, runtime.handle(), Watch { done, stop }))
    })?;
    let added = fetched.added;
    if cli.json {
        report::document(&json!({
            "root": format!("{root:?}"),
            "addresses_added": added.addresses,
            "slots_added": added.slots,
            "absent": fetched.absent,
            "wrong": fetched.wrong,
        }))?;
    } else {
        report::text(&added_and_known(&store, added)?)?;
    }
    if fetched.absent == 0 {
        return Ok(Exit::Complete);
    }
    let absent = ui::count(fetched.absent);
    Err(Failure::new(Exit::Incomplete, format!("no peer has the preimages of {absent} accounts and slots")).hint(
        "add a peer that has executed all blocks with --gcmode archive or --cache.preimages, or take a file: \
         `statesync preimages import`",
    ))
}

fn added_and_known(store: &Store, added: PreimageCounts) -> Result<String, Failure> {
    let all = store.preimage_counts()?;
    let counts = |counts: PreimageCounts| {
        format!("{} addresses, {} slots", ui::count(counts.addresses), ui::count(counts.slots))
    };
    let mut lines = vec![format!("added     {}", counts(added)), format!("known     {}", counts(all))];
    for record in store.roots()?.into_iter().filter(|record| record.state == RootState::Complete) {
        lines.push(format!("root      {:?}: {}", record.root, in_words(share(store, record.root)?)));
    }
    Ok(lines.join("\n"))
}

/// What share of a state's accounts is known by address, in words.
fn in_words(share: Share) -> String {
    format!(
        "addresses of {} of the accounts known, by {} looked up",
        ui::percent(share.ratio()),
        ui::count(share.sample)
    )
}

impl From<PreimageError> for Failure {
    fn from(error: PreimageError) -> Self {
        let message = error.to_string();
        match error {
            PreimageError::Store(error) => error.into(),
            PreimageError::State(error) => error.into(),
            PreimageError::Alloc(error) => error.into(),
            PreimageError::Read { .. } => Self::new(Exit::Usage, message).hint("check the file, and that it is whole"),
            PreimageError::NotOne { .. } => Self::new(Exit::Usage, message)
                .hint("say with --format what it is, and check that it is whole; what came before is kept"),
            PreimageError::Peers(_) | PreimageError::Unanswered { .. } => Self::new(Exit::Incomplete, message)
                .hint("run the same command again when they are back: what was fetched is kept"),
            PreimageError::Stopped => ExportError::Stopped.into(),
        }
    }
}
