//! Tables in Apache Parquet, for whatever queries such: accounts, slots and codes.
//!
//! Names and types of the columns are those that tools for Ethereum data have made usual, with the hashes beside what
//! they are the hashes of: a row is there also where only its hash is known.

mod table;

use std::io;
use std::path::{Path, PathBuf};

use parquet::schema::types::TypePtr;
use primitive_types::{H256, U256};

use self::table::{Cell, Table, schema};
use super::directory::Directory;
use super::tour::{Entry, Writer};
use super::{ExportError, Watch};
use crate::lists::Lists;
use crate::store::{Store, StoreError};
use crate::trie::keccak256;

/// What is in the directory.
pub(super) const ENTRIES: [&str; 3] = [ACCOUNTS, SLOTS, CODES];
const ACCOUNTS: &str = "accounts";
const SLOTS: &str = "slots";
const CODES: &str = "codes";

/// Where the hashes of codes are that do not fit into memory, until they are written.
const LISTS: &str = "hashes";

/// Hashes of codes in memory: 8 MiB. Mainnet's are some ten times as many.
const IN_MEMORY: usize = 1 << 18;

/// The kind of lists that there is.
const CODE: u8 = 0;

/// A number of 256 bits is there three times, as in other tools' files: no type is wide enough and easy at once.
const ACCOUNT_COLUMNS: &str = "message accounts {
    optional int32 block_number (INTEGER(32, false));
    required fixed_len_byte_array(32) address_hash;
    optional fixed_len_byte_array(20) address;
    required int64 nonce (INTEGER(64, false));
    required fixed_len_byte_array(32) balance_binary;
    required binary balance_string (UTF8);
    required double balance_f64;
    required fixed_len_byte_array(32) storage_root;
    required fixed_len_byte_array(32) code_hash;
    optional int64 chain_id (INTEGER(64, false));
}";
const SLOT_COLUMNS: &str = "message slots {
    optional int32 block_number (INTEGER(32, false));
    required fixed_len_byte_array(32) address_hash;
    optional fixed_len_byte_array(20) address;
    required fixed_len_byte_array(32) slot_hash;
    optional fixed_len_byte_array(32) slot;
    required fixed_len_byte_array(32) value;
    optional int64 chain_id (INTEGER(64, false));
}";
const CODE_COLUMNS: &str = "message codes {
    required fixed_len_byte_array(32) code_hash;
    required binary code;
    optional int64 chain_id (INTEGER(64, false));
}";

/// Writes the three tables. Those of accounts and slots are a file for each first digit of the accounts' keys. That of
/// codes comes last, when it is known which there are. Memory: a group of rows of each, whatever the state has.
pub(super) struct Tables<'a> {
    store: &'a Store,
    dir: PathBuf,
    accounts: Partitioned,
    slots: Partitioned,
    /// Those of the accounts that came.
    codes: Lists,
    watch: Watch<'a>,
    block_number: Cell,
    chain_id: Cell,
    /// Of the account that came last.
    owner: (H256, Cell),
    bytes: u64,
}

/// A table of which one part is open.
struct Partitioned {
    name: &'static str,
    schema: TypePtr,
    open: Option<(u8, Table)>,
}

impl<'a> Tables<'a> {
    pub(super) fn create(
        store: &'a Store,
        root: &H256,
        directory: &Directory,
        watch: Watch<'a>,
    ) -> Result<Self, ExportError> {
        let dir = directory.partial().to_owned();
        let number = store.root(root)?.and_then(|record| record.block).map(|block| block.number);
        // The usual type has 32 bits; no chain is near them.
        let number = number.and_then(|number| u32::try_from(number).ok());
        Ok(Self {
            store,
            accounts: Partitioned { name: ACCOUNTS, schema: schema(ACCOUNT_COLUMNS)?, open: None },
            slots: Partitioned { name: SLOTS, schema: schema(SLOT_COLUMNS)?, open: None },
            codes: Lists::create(dir.join(LISTS), IN_MEMORY).map_err(|source| write_failed(&dir, source))?,
            watch,
            dir,
            block_number: Cell::Int32(number.map(u32::cast_signed)),
            chain_id: Cell::Int64(store.chain_id()?.map(u64::cast_signed)),
            owner: (H256::zero(), Cell::Bytes(None)),
            bytes: 0,
        })
    }

    /// Ends all files; how many bytes they have.
    pub(super) fn finish(self) -> Result<u64, ExportError> {
        let mut bytes = self.bytes;
        for partitioned in [self.accounts, self.slots] {
            make(&self.dir.join(partitioned.name))?;
            if let Some((_, table)) = partitioned.open {
                bytes += table.finish()?;
            }
        }
        bytes += write_codes(self.store, &self.dir, &self.codes, &self.chain_id, self.watch)?;
        // Before the directory gets its name.
        drop(self.codes);
        for name in ENTRIES {
            sync(&self.dir.join(name))?;
        }
        Ok(bytes)
    }

    fn preimage(&self, hash: &H256) -> Result<Cell, StoreError> {
        Ok(Cell::Bytes(self.store.preimage(hash)?))
    }
}

impl Partitioned {
    /// Adds a row to the part that an account with this key is in; the bytes of a part that is done with it.
    fn add(&mut self, dir: &Path, key: &H256, row: Vec<Cell>) -> Result<u64, ExportError> {
        let [first, ..] = key.0;
        let digit = first >> 4;
        let mut bytes = 0;
        if self.open.as_ref().is_none_or(|(open, _)| *open != digit) {
            if let Some((_, done)) = self.open.take() {
                bytes = done.finish()?;
            }
            let part = dir.join(self.name).join(format!("prefix={digit:x}"));
            make(&part)?;
            self.open = Some((digit, Table::create(&part.join("data.parquet"), &self.schema)?));
        }
        if let Some((_, table)) = &mut self.open {
            table.add(row)?;
        }
        Ok(bytes)
    }
}

impl Writer for Tables<'_> {
    fn account(&mut self, entry: &Entry) -> Result<(), ExportError> {
        let account = &entry.account;
        let address = self.preimage(&entry.key)?;
        let balance = account.balance.to_string();
        let row = vec![
            self.block_number.clone(),
            hash(&entry.key),
            address.clone(),
            Cell::Int64(Some(account.nonce.cast_signed())),
            word(account.balance),
            Cell::Bytes(Some(balance.clone().into_bytes())),
            Cell::Double(balance.parse().unwrap_or(f64::INFINITY)),
            hash(&account.storage_root),
            hash(&account.code_hash),
            self.chain_id.clone(),
        ];
        self.bytes += self.accounts.add(&self.dir, &entry.key, row)?;
        self.owner = (entry.key, address);
        if entry.code.is_empty() {
            return Ok(());
        }
        self.codes.add([(CODE, account.code_hash)]).map_err(|source| write_failed(&self.dir, source))
    }

    fn slot(&mut self, key: H256, value: U256) -> Result<(), ExportError> {
        let (owner, address) = self.owner.clone();
        let slot = self.preimage(&key)?;
        let row = vec![
            self.block_number.clone(),
            hash(&owner),
            address,
            hash(&key),
            slot,
            word(value),
            self.chain_id.clone(),
        ];
        self.bytes += self.slots.add(&self.dir, &owner, row)?;
        Ok(())
    }
}

/// Writes each code once, in the order of their hashes; how many bytes the table has.
fn write_codes(
    store: &Store,
    dir: &Path,
    hashes: &Lists,
    chain_id: &Cell,
    watch: Watch<'_>,
) -> Result<u64, ExportError> {
    let dir = dir.join(CODES);
    make(&dir)?;
    let mut table = Table::create(&dir.join("data.parquet"), &schema(CODE_COLUMNS)?)?;
    for first in 0..=u8::MAX {
        for code_hash in hashes.take(CODE, first).map_err(|source| write_failed(&dir, source))? {
            watch.check()?;
            // It was there and right when its account came.
            let code = store.code(&code_hash)?.filter(|code| keccak256(code) == code_hash);
            let code =
                code.ok_or_else(|| StoreError::Corrupt { what: format!("code {code_hash:?} is not read twice") })?;
            table.add(vec![hash(&code_hash), Cell::Bytes(Some(code)), chain_id.clone()])?;
        }
    }
    table.finish()
}

fn hash(hash: &H256) -> Cell {
    Cell::Bytes(Some(hash.as_bytes().to_vec()))
}

fn word(word: U256) -> Cell {
    Cell::Bytes(Some(word.to_big_endian().to_vec()))
}

fn make(dir: &Path) -> Result<(), ExportError> {
    std::fs::create_dir_all(dir).map_err(|source| write_failed(dir, source))
}

fn write_failed(path: &Path, source: io::Error) -> ExportError {
    ExportError::Write { path: path.into(), source }
}

/// The names in a directory, and in those below it, to the disk.
fn sync(dir: &Path) -> Result<(), ExportError> {
    let failed = |source| write_failed(dir, source);
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() {
            sync(&path)?;
        }
    }
    std::fs::File::open(dir).and_then(|dir| dir.sync_all()).map_err(failed)
}

#[cfg(test)]
mod tests;
