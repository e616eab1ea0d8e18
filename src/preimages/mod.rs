//! Addresses and slot numbers from files and peers. The state is keyed by their hashes; a tool that wants them itself
//! needs them beside it. Nothing of it has to be believed: each is stored under its own hash.

mod asked;
mod error;
mod fetch;
mod file;
mod input;
mod share;

use std::path::Path;

pub use self::error::PreimageError;
pub use self::fetch::{Fetched, fetch};
pub use self::file::FileFormat;
use self::file::Found;
pub use self::share::{Share, share};
use crate::export::Watch;
use crate::store::{PreimageCounts, Store};
use crate::trie::keccak256;

/// Preimages written at a time; from some hundred on the cost of a row is flat.
const BATCH: usize = 4_096;

/// Bytes of an address and of a slot number.
const LENGTHS: [usize; 2] = [20, 32];

/// What a file held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Addresses and slot numbers that were not known.
    pub added: PreimageCounts,
    /// Addresses and slot numbers in the file.
    pub found: u64,
    /// Other things in it: preimages of another length, or rows of a database that are no preimages.
    pub skipped: u64,
    /// Preimages that do not hash to what the file says.
    pub wrong: u64,
}

/// Adds the preimages that a file holds. The store must be [opened for it](Store::open_for_preimages).
///
/// # Errors
/// [`PreimageError`]; what was read before stays.
pub fn import(
    store: &Store,
    path: &Path,
    format: Option<FileFormat>,
    watch: Watch<'_>,
) -> Result<Imported, PreimageError> {
    let (mut imported, mut batch) = (Imported::default(), Vec::new());
    file::read(path, format, &mut |found| {
        let preimage = match found {
            Found::Keyed(hash, bytes) if keccak256(&bytes) != hash => {
                imported.wrong += 1;
                return Ok(());
            }
            Found::Preimage(bytes) | Found::Keyed(_, bytes) if LENGTHS.contains(&bytes.len()) => bytes,
            Found::Preimage(_) | Found::Keyed(..) | Found::Other => {
                imported.skipped += 1;
                return Ok(());
            }
        };
        imported.found += 1;
        watch.tick().map_err(|_| PreimageError::Stopped)?;
        batch.push(preimage);
        if batch.len() == BATCH {
            imported.added = imported.added.and(store.add_preimages(&std::mem::take(&mut batch))?);
        }
        Ok(())
    })?;
    imported.added = imported.added.and(store.add_preimages(&batch)?);
    store.sync()?;
    Ok(imported)
}

impl PreimageCounts {
    fn and(self, other: Self) -> Self {
        Self { addresses: self.addresses + other.addresses, slots: self.slots + other.slots }
    }
}
