//! Downloads the Ethereum world state at one block, node by node and by hash, from JSON-RPC peers, verifies every byte,
//! and stores it in `RocksDB`.
//!
//! The state is content-addressed: `keccak256(value) == key` makes every byte of every peer checkable the moment it
//! arrives, in any order, early or late. On disk one invariant carries everything: *presence means completeness*. A
//! node is stored only with its whole subtree, storage tries and codes; so a sync that was interrupted, or that moves
//! to a newer root, starts at the root and skips what is present.
//!
//! ```text
//! block ─pivot─▶ root ─▶ scheduler ─▶ fetch (tokio) ─▶ verify (rayon) ─▶ scheduler ─▶ commit (one writer)
//!                            └────▶ look-up: does the store hold it? ──────▲
//! ```
//!
//! [`pipeline::Sync`] is the sync; [`store::Store`] is where it writes; [`peers`] is whom it asks; [`trie`] holds the
//! pure parts: the strict node codec, the scheduler, the builder and the walker. [`serve`] answers other syncs,
//! [`verify`] checks a stored state, [`state`] reads one, [`export`] writes one for other tools, [`prune`] drops what is no longer wanted, [`survey`] looks peers
//! over before a sync, [`cli`] is the program.
//!
//! # The whole life of a state
//! ```
//! use std::sync::Arc;
//! use std::sync::atomic::AtomicU64;
//! use std::time::Duration;
//!
//! use statesync::fixture::{MAINNET_ROOT, mainnet_genesis};
//! use statesync::peers::Client;
//! use statesync::pipeline::{Sync, SyncOptions};
//! use statesync::serve::{MemoryState, Options, Server};
//! use statesync::store::{Access, Store};
//! use statesync::verify::verify;
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // A peer: here one in this process, with mainnet's genesis state; usually a geth.
//! let mut state = MemoryState::new();
//! state.add(&mainnet_genesis()?)?;
//! let server = Server::bind("127.0.0.1:0", Options::default()).await?;
//! let url = format!("http://{}", server.local_addr()).parse()?;
//! tokio::spawn(server.run(Arc::new(state), std::future::pending()));
//!
//! // The sync. Stopped at any moment, even by SIGKILL, the same call resumes it.
//! let dir = tempfile::tempdir()?;
//! let store = Arc::new(Store::open(dir.path(), Access::Create)?);
//! let peer = Client::new(url, Duration::from_secs(10))?;
//! let sync = Sync::new(store.clone(), vec![peer], SyncOptions::new(MAINNET_ROOT));
//! let report = sync.run(|_event| {}).await?;
//! assert!(report.is_complete());
//!
//! // Everything read back and hashed again.
//! let verification = verify(store.as_ref(), MAINNET_ROOT, &AtomicU64::new(0))?;
//! assert!(verification.is_ok());
//! assert_eq!(verification.totals.accounts, 8_893);
//! # Ok(())
//! # }
//! ```

pub mod cli;
pub mod export;
pub mod fixture;
pub mod genesis;
pub mod import;
mod lists;
mod lock;
pub mod memory;
pub mod peers;
pub mod pipeline;
pub mod pivot;
pub mod preimages;
pub mod prune;
pub mod serve;
pub mod state;
pub mod store;
pub mod survey;
pub mod trie;
mod ui;
pub mod verify;
