//! Reading a state: one value or its proof by a walk down from the root, or what differs between two roots.
//!
//! Nothing here trusts its source: every node is hashed and decoded strictly on the way, so that what comes out follows
//! from the root alone. Keys are hashed ones, as in the tries; an address or a slot is hashed by the caller.
//!
//! ```
//! use std::convert::Infallible;
//!
//! use statesync::serve::MemoryState;
//! use statesync::state::State;
//! use statesync::trie::{NodeSource, StoredNode, keccak256};
//!
//! struct Memory(MemoryState);
//!
//! impl NodeSource for Memory {
//!     type Error = Infallible;
//!
//!     fn node(&self, hash: &primitive_types::H256) -> Result<Option<StoredNode>, Infallible> {
//!         Ok(self.0.nodes().get(hash).cloned().map(Into::into))
//!     }
//!
//!     fn code(&self, hash: &primitive_types::H256) -> Result<Option<Vec<u8>>, Infallible> {
//!         Ok(self.0.codes().get(hash).cloned())
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut memory = MemoryState::new();
//! let root = memory.add(&statesync::fixture::mainnet_genesis()?)?.root;
//! let memory = Memory(memory);
//! let state = State::at(&memory, root);
//! let address: primitive_types::H160 = "0x000d836201318ec6899a67540690382780743280".parse()?;
//! let account = state.account(&keccak256(address.as_bytes()))?;
//! assert_eq!(account.map(|account| account.balance), Some(200_000_000_000_000_000_000_u128.into()));
//! # Ok(())
//! # }
//! ```

mod diff;
mod document;
mod error;
mod merge;
mod proof;
mod reader;
mod slot;
#[cfg(test)]
mod tests;

pub use self::diff::{Change, Diff};
pub use self::document::ProofDocument;
pub use self::error::StateError;
pub use self::proof::{AccountProof, SlotProof};
pub use self::reader::State;
pub use self::slot::{Slot, SlotError};
