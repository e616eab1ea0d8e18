//! A state in a form that another tool loads.
//!
//! ```text
//! store ──Ordered──▶ accounts, codes, slots, in the order of their keys ──Writer──▶ PATH.partial-PID ──rename──▶ PATH
//! ```
//!
//! Everything is hashed again on its way out, and memory holds the siblings along one path and one code, whatever the
//! size of the state or of one contract in it.

mod bound;
#[cfg(feature = "parquet")]
mod directory;
mod error;
mod geth_db;
mod geth_dump;
mod json;
mod keys;
mod names;
mod ordered;
mod output;
#[cfg(feature = "parquet")]
mod parquet;
mod plain;
mod tour;

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64};

use primitive_types::H256;

pub use self::error::ExportError;
use self::geth_db::GethDb;
pub use self::geth_db::Keys;
use self::geth_dump::GethDump;
pub(crate) use self::keys::{each_key, first_accounts};
use self::output::Output;
use self::plain::{Plain, Style};
use self::tour::{Writer, tour};
use crate::store::{RootState, Store};
use crate::trie::EMPTY_ROOT;

/// What an export looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Lines of JSON as `geth snapshot dump` prints them: keyed by hash.
    GethDump,
    /// The rows of geth's own database, for `geth db import`.
    GethDb(Keys),
    /// Lines of JSON for `reth init-state`. Needs the preimages of all accounts and slots.
    RethInit,
    /// A genesis allocation. Needs the preimages of all accounts and slots.
    Alloc,
    /// A directory of tables in Apache Parquet.
    #[cfg(feature = "parquet")]
    Parquet,
}

/// How far an export is, and whether it is to go on.
#[derive(Clone, Copy, Debug)]
pub struct Watch<'a> {
    /// Counts up as accounts and slots are exported.
    pub done: &'a AtomicU64,
    /// Set from outside: the export ends with [`ExportError::Stopped`].
    pub stop: &'a AtomicBool,
}

/// What was exported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exported {
    /// Accounts.
    pub accounts: u64,
    /// Accounts with code.
    pub contracts: u64,
    /// Slots, those of a shared storage trie once for each account that holds it.
    pub slots: u64,
    /// Bytes that were written.
    pub bytes: u64,
}

/// Writes the complete state at `root` to `path`. A file that is there is replaced only with `force`, and only by a
/// whole export: until then all goes to another file beside it, which is removed when the export fails.
///
/// # Errors
/// [`ExportError`]; nothing is under `path` then that was not there before.
pub fn export(
    store: &Store,
    root: H256,
    format: Format,
    path: &Path,
    force: bool,
    watch: Watch<'_>,
) -> Result<Exported, ExportError> {
    check_root(store, root)?;
    let file = |write: &mut dyn FnMut(&mut Output) -> Result<Exported, ExportError>| {
        let mut output = Output::create(path, force)?;
        let counts = write(&mut output)?;
        Ok(Exported { bytes: output.finish()?, ..counts })
    };
    match format {
        Format::GethDump => file(&mut |output| run(store, root, &mut GethDump::new(output), watch)),
        Format::GethDb(keys) => file(&mut |output| run(store, root, &mut GethDb::new(output, keys), watch)),
        Format::RethInit => file(&mut |output| run(store, root, &mut Plain::new(store, output, Style::Lines), watch)),
        Format::Alloc => file(&mut |output| run(store, root, &mut Plain::new(store, output, Style::Alloc), watch)),
        #[cfg(feature = "parquet")]
        Format::Parquet => tables(store, root, path, force, watch),
    }
}

#[cfg(feature = "parquet")]
fn tables(store: &Store, root: H256, path: &Path, force: bool, watch: Watch<'_>) -> Result<Exported, ExportError> {
    let directory = directory::Directory::create(path, force, &parquet::ENTRIES)?;
    let mut tables = parquet::Tables::create(store, &root, &directory, watch)?;
    let counts = run(store, root, &mut tables, watch)?;
    let bytes = tables.finish()?;
    directory.finish()?;
    Ok(Exported { bytes, ..counts })
}

fn run(store: &Store, root: H256, writer: &mut impl Writer, watch: Watch<'_>) -> Result<Exported, ExportError> {
    writer.begin(root)?;
    let counts = tour(store, root, writer, watch)?;
    writer.end()?;
    Ok(counts)
}

/// Fails unless all of the state is there.
fn check_root(store: &Store, root: H256) -> Result<(), ExportError> {
    if root == EMPTY_ROOT || store.node(&root)?.is_some() {
        return Ok(());
    }
    let record = store.root(&root)?;
    Err(match record.as_ref().map(|record| record.state) {
        None => ExportError::UnknownRoot { root },
        Some(RootState::Damaged) => ExportError::Damaged { root },
        Some(RootState::Partial) => {
            ExportError::Partial { root, scope: record.and_then(|record| record.scope).unwrap_or_default() }
        }
        Some(RootState::Syncing | RootState::Complete) => ExportError::Incomplete { root },
    })
}
