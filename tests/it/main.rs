//! What the program can do, seen from outside: over real sockets, on real directories, mostly through the real binary.
//!
//! One binary, because linking `RocksDB` takes long. Each module is one capability.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![expect(clippy::print_stderr, reason = "a test says what it left out, and its seed when it fails")]

#[path = "../hostile/mod.rs"]
mod hostile;
mod support;
#[expect(unreachable_pub, reason = "the fuzzer takes it as a library")]
#[path = "../../fuzz/src/lib.rs"]
mod targets;

mod bad_input;
mod block;
mod cli;
mod clock;
mod corruption;
mod dialects;
mod diff;
mod disk_faults;
mod docs_commands;
#[cfg(feature = "parquet")]
mod duckdb;
mod eth_methods;
mod export;
mod export_ends;
mod foundry;
mod full_disk;
mod fuzz_corpus;
mod genesis;
mod get;
mod geth;
mod geth_export;
mod geth_moves;
mod geth_path;
mod golden;
mod hostile_peers;
mod hostile_roots;
mod kill;
mod levels;
mod limits;
mod outcomes;
mod peers;
mod peers_command;
mod pivot;
mod power;
mod preimages;
mod preimages_fetch;
mod proof;
mod prune;
mod refusals;
mod resume;
mod scope;
mod serving;
mod test_peer;
mod torn;
mod transports;
mod wire;
