//! The arguments of the commands that read a state.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Subcommand};
use primitive_types::{H160, H256};

use super::args::hash;
use crate::state::Slot;
use crate::trie::keccak256;

#[derive(Debug, Args)]
pub(super) struct GetArgs {
    #[command(subcommand)]
    pub(super) what: Get,
}

#[derive(Debug, Subcommand)]
pub(super) enum Get {
    /// An account: its nonce, its balance in wei, its storage root and the hash of its code
    Account {
        /// The account: an address (20 bytes), or the address' keccak-256 hash (32 bytes)
        #[arg(value_name = "ADDR|HASH")]
        account: Whom,

        #[command(flatten)]
        from: ReadArgs,
    },
    /// The word in one slot of an account's storage; zero where nothing is stored
    Storage {
        /// The account: an address (20 bytes), or the address' keccak-256 hash (32 bytes)
        #[arg(value_name = "ADDR|HASH")]
        account: Whom,

        /// The slot: a number in decimal, or in hex up to the 32 bytes of a mapping's slot
        #[arg(value_name = "SLOT|HASH")]
        slot: String,

        /// The slot is given by its keccak-256 hash (32 bytes)
        #[arg(long)]
        hashed: bool,

        #[command(flatten)]
        from: ReadArgs,
    },
    /// An account's code in hex; 0x where there is none
    Code {
        /// The account: an address (20 bytes), or the address' keccak-256 hash (32 bytes). A hash of no account is taken
        /// for that of the code itself
        #[arg(value_name = "ADDR|HASH")]
        account: Whom,

        #[command(flatten)]
        from: ReadArgs,
    },
}

#[derive(Debug, Args)]
pub(super) struct ProofArgs {
    /// The account's address
    #[arg(value_name = "ADDR", value_parser = address)]
    pub(super) address: H160,

    /// Slots to prove with it: numbers in decimal, or in hex up to the 32 bytes of a mapping's slot
    #[arg(value_name = "SLOT")]
    pub(super) slots: Vec<Slot>,

    #[command(flatten)]
    pub(super) from: ReadArgs,
}

#[derive(Debug, Args)]
pub(super) struct DiffArgs {
    /// The root of the older state
    #[arg(value_name = "OLD", value_parser = hash)]
    pub(super) old: H256,

    /// The root of the newer state
    #[arg(value_name = "NEW", value_parser = hash)]
    pub(super) new: H256,

    /// The store's directory
    #[arg(long, value_name = "DIR")]
    pub(super) datadir: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct ReadArgs {
    /// The store's directory
    #[arg(long, value_name = "DIR")]
    pub(super) datadir: PathBuf,

    /// The root of the state to read. Default: the complete root of the highest block, or without any the partial one
    #[arg(long, value_name = "HASH", value_parser = hash)]
    pub(super) root: Option<H256>,
}

/// An account by its address or by its key.
#[derive(Clone, Copy, Debug)]
pub(super) enum Whom {
    Address(H160),
    Key(H256),
}

impl Whom {
    pub(super) fn key(self) -> H256 {
        match self {
            Self::Address(address) => keccak256(address.as_bytes()),
            Self::Key(key) => key,
        }
    }
}

impl fmt::Display for Whom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "{address:?}"),
            Self::Key(key) => write!(f, "{key:?}"),
        }
    }
}

impl FromStr for Whom {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let address = address(text).map(Self::Address);
        address.or_else(|_| hash(text).map(Self::Key)).map_err(|_| "not a 0x-prefixed address or 32-byte hash".into())
    }
}

fn address(text: &str) -> Result<H160, String> {
    let digits = text.strip_prefix("0x").filter(|digits| digits.len() == 2 * H160::len_bytes());
    digits.and_then(|digits| digits.parse().ok()).ok_or("not a 0x-prefixed 20-byte address".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_named_by_20_bytes_or_by_the_32_of_its_key() {
        let address = format!("0x{}", "Ab".repeat(20));
        let key = format!("{:?}", keccak256(&[0xab; 20]));
        let [by_address, by_key] = [address.as_str(), &key].map(|text| text.parse::<Whom>().unwrap().key());
        assert_eq!(by_address, by_key);
        for bad in ["", "0x", &address[2..], &format!("{address}00"), &key[..65], &address.replace('A', "g")] {
            assert!(bad.parse::<Whom>().is_err(), "{bad}");
        }
    }
}
