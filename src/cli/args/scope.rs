//! The arguments that name a part of a state.

use clap::Args;

use crate::cli::read_args::Whom;
use crate::trie::{Nibbles, Scope};

// No limit on how many: the system has one on the length of a command line, some 30,000 accounts.
#[derive(Debug, Args)]
pub(in crate::cli) struct ScopeArgs {
    /// Sync this account only, with its storage and its code: an address (20 bytes), or the address' keccak-256 hash (32
    /// bytes). Repeat it for more
    #[arg(long, value_name = "ADDR|HASH")]
    pub(in crate::cli) account: Vec<Whom>,

    /// Sync the accounts whose keys (the keccak-256 hashes of their addresses) begin with these 1 to 64 hex digits. Repeat
    /// it for more, also beside --account. What is synced is verified by the path from the root, and marked as partial:
    /// exit code 0 says then that all that was asked for is there. Without either, the whole state
    #[arg(long, value_name = "0xDIGITS", value_parser = prefix)]
    pub(in crate::cli) prefix: Vec<Nibbles>,
}

impl ScopeArgs {
    /// The part that they name; without any, all of a state.
    pub(in crate::cli) fn scope(&self) -> Scope {
        if self.account.is_empty() && self.prefix.is_empty() {
            return Scope::whole();
        }
        let accounts = self.account.iter().map(|account| Nibbles::from_key(&account.key()));
        Scope::of(accounts.chain(self.prefix.iter().copied()))
    }
}

fn prefix(text: &str) -> Result<Nibbles, String> {
    Scope::prefix(text).map_err(|error| error.to_string())
}
