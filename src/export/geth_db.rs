//! The rows that geth's own database has, as the stream that `geth db import` loads.

use std::collections::HashSet;
use std::time::{SystemTime, UNIX_EPOCH};

use primitive_types::H256;
use rlp::RlpStream;

use super::ExportError;
use super::output::Output;
use super::tour::{Entry, Writer};
use crate::trie::Place;

/// What a dump says that it is. geth does not look at the kind.
const MAGIC: &[u8] = b"gethdbdump";
const VERSION: u8 = 0;
const KIND: &[u8] = b"state";

/// Operations: a row that is put, and one that is deleted.
const PUT: u8 = 0;
const DELETE: u8 = 1;

/// What keys of codes, and in the path scheme of nodes, begin with.
const CODE_PREFIX: u8 = b'c';
const ACCOUNT_PREFIX: u8 = b'A';
const STORAGE_PREFIX: u8 = b'O';

/// Of geth's flat copy of the state: which state it is of, and how far it has been made.
const FLAT_ROOT: &[u8] = b"SnapshotRoot";
const FLAT_PROGRESS: &[u8] = b"SnapshotGenerator";

/// Hashes that are remembered as written. Most repetitions are near, or of a few codes and storage tries that very many
/// accounts share; a row that is written once more does no harm. As many as a table of 2^20 places takes: 35 MiB.
const REMEMBERED: usize = (1 << 20) / 8 * 7;

/// How geth names nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// By their hash: `--state.scheme hash`.
    Hash,
    /// By their place in the state: `--state.scheme path`, geth's default.
    Path,
}

/// Writes the rows.
pub(super) struct GethDb<'a> {
    output: &'a mut Output,
    keys: Keys,
    written: HashSet<H256>,
}

impl<'a> GethDb<'a> {
    pub(super) fn new(output: &'a mut Output, keys: Keys) -> Self {
        Self { output, keys, written: HashSet::new() }
    }

    fn row(&mut self, operation: u8, key: &[u8], value: &[u8]) -> Result<(), ExportError> {
        let mut row = RlpStream::new();
        row.append(&operation).append(&key).append(&value);
        self.output.put(&row.out())
    }

    /// Whether this was not written, as far as it is remembered.
    fn is_new(&mut self, hash: H256) -> bool {
        if self.written.len() == REMEMBERED {
            self.written.clear();
        }
        self.written.insert(hash)
    }
}

impl Writer for GethDb<'_> {
    fn begin(&mut self, _root: H256) -> Result<(), ExportError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut header = RlpStream::new_list(4);
        header.append(&MAGIC).append(&VERSION).append(&KIND).append(&now);
        self.output.put(&header.out())?;
        // What geth has made of another state before is none of this one: it makes it anew from the nodes. The number of
        // the state on the disk stays: it has to be that of the newest state in geth's history, whatever that is.
        self.row(DELETE, FLAT_ROOT, &[])?;
        self.row(DELETE, FLAT_PROGRESS, &[])
    }

    fn node(&mut self, place: &Place, rlp: &[u8]) -> Result<(), ExportError> {
        match (self.keys, place.owner) {
            (Keys::Hash, _) if !self.is_new(place.hash) => Ok(()),
            (Keys::Hash, _) => self.row(PUT, place.hash.as_bytes(), rlp),
            (Keys::Path, None) => self.row(PUT, &path_key(&[ACCOUNT_PREFIX], place), rlp),
            (Keys::Path, Some(owner)) => {
                self.row(PUT, &path_key(&[&[STORAGE_PREFIX], owner.as_bytes()].concat(), place), rlp)
            }
        }
    }

    fn account(&mut self, entry: &Entry) -> Result<(), ExportError> {
        if entry.code.is_empty() || !self.is_new(entry.account.code_hash) {
            return Ok(());
        }
        self.row(PUT, &[&[CODE_PREFIX], entry.account.code_hash.as_bytes()].concat(), &entry.code)
    }
}

/// A byte for each nibble.
fn path_key(prefix: &[u8], place: &Place) -> Vec<u8> {
    prefix.iter().copied().chain(place.path.iter()).collect()
}
