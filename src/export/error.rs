//! What can go wrong with an export.

use std::io;
use std::path::PathBuf;

use primitive_types::H256;

use super::bound::LEAVES_MAX;
use crate::store::StoreError;
use crate::trie::{Fault, Scope, Target};

/// Why a state was not exported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nobody has synced this root into the store.
    #[error("the store holds no state {root:?}")]
    UnknownRoot {
        /// The root asked for.
        root: H256,
    },
    /// Its sync has not come to its end.
    #[error("state {root:?} is not complete")]
    Incomplete {
        /// The root asked for.
        root: H256,
    },
    /// Only a part of it was fetched.
    #[error("of state {root:?} there is only a part: {scope}")]
    Partial {
        /// The root asked for.
        root: H256,
        /// The part.
        scope: Scope,
    },
    /// A part of it was taken back by a repair that has not come to its end.
    #[error("state {root:?} is damaged")]
    Damaged {
        /// The root asked for.
        root: H256,
    },
    /// Something that the state refers to is missing or corrupt.
    #[error("{} of the state is {}", what(target), fault.map_or("missing".into(), |fault| format!("corrupt: {fault}")))]
    NotSound {
        /// What.
        target: Box<Target>,
        /// What is wrong with it; `None` when it is missing.
        fault: Option<Fault>,
    },
    /// A trie refers to its own nodes more often than the trie of any chain's state can.
    #[error("{} refers to its own nodes again and again", owner.map_or("the account trie".into(), |owner| format!("the storage of account {owner:?}")))]
    Endless {
        /// Whose storage; `None` for the account trie.
        owner: Option<H256>,
    },
    /// It has more than any chain's state.
    #[error("the state has more than {LEAVES_MAX} accounts and slots")]
    TooLarge,
    /// The format names accounts and slots themselves, and not all of them are known.
    #[error("the preimages of {accounts} of {of_accounts} accounts and of {slots} of {of_slots} slots are missing")]
    Preimages {
        /// Accounts whose address is not known.
        accounts: u64,
        /// All accounts.
        of_accounts: u64,
        /// Slots whose number is not known.
        slots: u64,
        /// All slots.
        of_slots: u64,
    },
    /// There is something under the name of the output.
    #[error("{} exists", path.display())]
    Exists {
        /// The output's path.
        path: PathBuf,
    },
    /// The output's path cannot be one: it has no file name, or the directory is missing.
    #[error("cannot make {}: {source}", path.display())]
    Create {
        /// The output's path.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The output cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The output's path.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// It was stopped from outside.
    #[error("stopped")]
    Stopped,
}

fn what(target: &Target) -> String {
    match target {
        Target::Node(place) => match place.owner {
            None => format!("account node {:?} at path \"{}\"", place.hash, place.path),
            Some(owner) => format!("storage node {:?} at path \"{}\" of account {owner:?}", place.hash, place.path),
        },
        Target::Code { owner, hash } => format!("code {hash:?} of account {owner:?}"),
    }
}
