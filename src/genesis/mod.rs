//! Genesis files in geth's format: the allocation, the state it makes and the block it makes.
//!
//! ```text
//! file ──read──▶ Genesis { alloc, header } ──build──▶ nodes and codes, children first ──▶ root
//!                                      header ──encode(root)──▶ block header RLP ──keccak──▶ block hash
//! ```

mod alloc;
mod header;
mod state;
mod value;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use primitive_types::{H160, H256, U256};
use serde_json::value::RawValue;

pub use alloc::GenesisAccount;
pub use header::{GenesisHeader, HeaderError, HeaderInfo, decode_header};
pub use state::{StateSink, StateSummary};
pub use value::{FieldError, ValueError};

use crate::trie::keccak256;
use value::Object;

/// The largest genesis text read, in bytes. The file is held in memory while it is read, and a
/// few kilobytes of zstd can stand for terabytes of text. The largest public network's genesis
/// is 1 MB; this is room for five million plain accounts.
pub const MAX_GENESIS_BYTES: u64 = 512 << 20;

/// The first four bytes of every zstd frame (RFC 8878, section 3.1.1).
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// A genesis file: the accounts a chain starts with and, where the file says it, its first block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Genesis {
    /// `config.chainId`.
    pub chain_id: Option<u64>,
    /// The genesis block; `None` for a bare allocation or where `gasLimit` or `difficulty`,
    /// which geth requires, is not given.
    pub header: Option<GenesisHeader>,
    /// The accounts by the keccak of their address, which is the order of the account trie.
    pub alloc: BTreeMap<H256, GenesisAccount>,
}

/// Why a genesis file was refused.
#[derive(Debug, thiserror::Error)]
pub enum GenesisError {
    /// The file could not be read or decompressed.
    #[error("genesis file {file}: {source}")]
    Read {
        /// The file's name.
        file: String,
        /// What went wrong.
        source: io::Error,
    },
    /// The text is longer than [`MAX_GENESIS_BYTES`].
    #[error("genesis file {file}: more than {limit} bytes of text")]
    TooLarge {
        /// The file's name.
        file: String,
        /// The most that is read.
        limit: u64,
    },
    /// The text is not one JSON object.
    #[error("genesis file {file}: not JSON: {source}")]
    Json {
        /// The file's name.
        file: String,
        /// Where and why.
        source: serde_json::Error,
    },
    /// One value is not what its field holds.
    #[error("genesis file {file}: {source}")]
    Field {
        /// The file's name.
        file: String,
        /// Where and why.
        source: FieldError,
    },
}

impl Genesis {
    /// Reads a genesis file, plain or compressed with zstd (told by its first bytes).
    ///
    /// # Errors
    /// [`GenesisError`], naming the file and the place in it.
    pub fn read(path: &Path) -> Result<Self, GenesisError> {
        let file = path.display().to_string();
        let bytes = File::open(path).and_then(|source| read_limited(source, MAX_GENESIS_BYTES));
        match bytes {
            Ok(bytes) => Self::parse(&file, &bytes),
            Err(source) => Err(GenesisError::Read { file, source }),
        }
    }

    /// Reads a genesis from `bytes`, plain or compressed; `file` is its name in errors.
    ///
    /// Two shapes are read: geth's whole genesis object, or its `alloc` object alone.
    ///
    /// # Errors
    /// [`GenesisError`], naming the file and the place in it.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Self, GenesisError> {
        Self::parse_limited(file, bytes, MAX_GENESIS_BYTES)
    }

    /// Adds `wei` to the balance at `address`, making the account where there is none.
    /// The balance saturates at 2^256 - 1.
    pub fn credit(&mut self, address: H160, wei: U256) {
        let account = self.alloc.entry(keccak256(address.as_bytes())).or_insert_with(|| GenesisAccount::new(address));
        account.balance = account.balance.saturating_add(wei);
    }

    /// The addresses and slot numbers of an allocation, which its accounts here are known by the hashes of. `file` is its
    /// name in errors.
    ///
    /// # Errors
    /// As with [`parse`](Self::parse).
    pub fn preimages(file: &str, bytes: &[u8]) -> Result<Vec<Vec<u8>>, GenesisError> {
        let field = |source| GenesisError::Field { file: file.to_owned(), source };
        if bytes.len() as u64 > MAX_GENESIS_BYTES {
            return Err(GenesisError::TooLarge { file: file.to_owned(), limit: MAX_GENESIS_BYTES });
        }
        let root: &RawValue =
            serde_json::from_slice(bytes).map_err(|source| GenesisError::Json { file: file.to_owned(), source })?;
        let top = Object::new(root).map_err(|problem| field(problem.at("genesis")))?;
        match top.get("alloc").map_err(field)? {
            Some(alloc) => {
                alloc::preimages(&Object::new(alloc).map_err(|problem| field(problem.at("alloc")))?).map_err(field)
            }
            None => alloc::preimages(&top).map_err(field),
        }
    }

    fn parse_limited(file: &str, bytes: &[u8], limit: u64) -> Result<Self, GenesisError> {
        let name = || file.to_owned();
        let unpacked;
        let text = if bytes.starts_with(&ZSTD_MAGIC) {
            unpacked = zstd::Decoder::new(bytes)
                .and_then(|source| read_limited(source, limit))
                .map_err(|source| GenesisError::Read { file: name(), source })?;
            &unpacked
        } else {
            bytes
        };
        if text.len() as u64 > limit {
            return Err(GenesisError::TooLarge { file: name(), limit });
        }
        let root: &RawValue =
            serde_json::from_slice(text).map_err(|source| GenesisError::Json { file: name(), source })?;
        Self::from_json(root).map_err(|source| GenesisError::Field { file: name(), source })
    }

    fn from_json(root: &RawValue) -> Result<Self, FieldError> {
        let top = Object::new(root).map_err(|problem| problem.at("genesis"))?;
        let Some(alloc) = top.get("alloc")? else {
            // Any of geth's required fields shows that this was meant to be a whole genesis.
            let whole = top.get("gasLimit")?.or(top.get("difficulty")?);
            if top.entries.is_empty() || whole.or(top.get("config")?).is_some() {
                return Err(ValueError::Missing.at("alloc"));
            }
            return Ok(Self { chain_id: None, header: None, alloc: alloc::read(&top)? });
        };
        let config = match top.get("config")? {
            Some(raw) => Object::new(raw).map_err(|problem| problem.at("config"))?,
            None => Object { entries: Vec::new() },
        };
        let alloc = Object::new(alloc).map_err(|problem| problem.at("alloc"))?;
        Ok(Self {
            chain_id: config.read("chainId", value::number).map_err(|error| error.within("config"))?,
            header: header::read(&top, &config)?,
            alloc: alloc::read(&alloc)?,
        })
    }
}

/// Everything from `source`, or one byte more than the limit where there is more.
fn read_limited(source: impl Read, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(limit + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
