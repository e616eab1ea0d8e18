//! Downloads the Ethereum world state at one block, node by node and by hash, from JSON-RPC peers, verifies every byte,
//! and stores it in `RocksDB`.

pub mod cli;
pub mod fixture;
pub mod genesis;
pub mod import;
pub mod peers;
pub mod pipeline;
pub mod pivot;
pub mod serve;
pub mod store;
pub mod trie;
mod ui;
pub mod verify;
