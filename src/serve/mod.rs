//! A JSON-RPC peer over a state: what `statesync serve` and `statesync demo` run, and what the tests sync from.
//!
//! ```text
//! socket ──server──▶ HTTP request ──http──▶ body ──rpc──▶ calls ──methods──▶ Source (store, or memory)
//! ```
//!
//! It speaks as go-ethereum's HTTP endpoint does, down to error codes and texts, so that a client cannot tell the
//! difference for the methods it has: those of a database that can be read, and those that read the state of a block. All reading is done on tokio's blocking threads, one job for each body.

mod block;
mod fees;
mod http;
mod key;
mod memory;
mod message;
mod methods;
mod options;
mod outgoing;
mod params;
mod patient;
mod reply;
mod rpc;
mod server;
mod source;
mod state;
#[cfg(test)]
mod tests;

pub use self::memory::MemoryState;
pub use self::options::Options;
pub use self::rpc::ServeStats;
pub use self::server::{BindError, Server};
pub use self::source::{KnownBlock, Source, SourceError};
