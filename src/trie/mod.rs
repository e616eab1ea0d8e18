//! The state trie, purely: paths, the strict node codec, a streaming builder and a walker.
//!
//! Ethereum's state is a secure Merkle Patricia trie (yellow paper, section 4.1 and appendix D):
//! every key is a keccak256 hash, hence 32 bytes, 64 nibbles. The account trie maps
//! `keccak256(address)` to an [`Account`]; each account's own storage trie maps
//! `keccak256(slot)` to a 256-bit word. Nothing here does I/O or reads a clock.

mod account;
mod builder;
mod encode;
mod error;
mod item;
mod keccak;
mod level;
mod nibbles;
mod node;
mod rlp_reader;
mod scheduler;
mod scope;
mod verified;
mod walk;

pub use account::Account;
pub use builder::{BuilderError, TrieBuilder};
pub use error::{AccountError, NodeError, RlpError};
pub use item::{Item, Key, Kind, Kinds};
pub use keccak::{EMPTY_CODE_HASH, EMPTY_ROOT, Keccak, keccak256, keccak256_batch};
pub use level::Level;
pub use nibbles::Nibbles;
pub use node::{Child, Leaf, Links, TrieKind, decode, is_branch};
pub use scheduler::{Commit, Complete, Counts, Done, End, Processed, ScheduleError, Scheduler, SurelyAbsent};
pub use scope::{PrefixError, Scope};
pub use verified::{Origin, Reject, Verified};
pub use walk::{Event, Fault, NodeSource, Place, StoredNode, Target, Walk};

#[cfg(test)]
pub(crate) use scheduler::tests as scheduler_tests;
#[cfg(test)]
pub(crate) mod tests;
