//! The peers: who is asked for what, over which wire, and what an answer means.
//!
//! [`Pool`] decides and is pure: time comes in as an argument, and it touches no socket. [`Client`] and its
//! [`Transport`] do the I/O, [`wire`] turns items into JSON-RPC and back.

mod attempts;
mod client;
mod outcome;
mod pool;
#[cfg(test)]
mod pool_tests;
mod probe;
mod transport;
mod url;
pub mod wire;

pub use self::attempts::Unavailable;
pub use self::client::{CallError, Client, RpcError};
pub use self::outcome::Verdict;
pub use self::pool::{Ask, Dispatch, Outage, Pool, PoolLimits, RequestId, Sent, Stats};
pub use self::probe::{PeerInfo, ProbeError, probe};
pub use self::transport::{
    Compression, ConnectOptions, HeaderError, JwtError, JwtSecret, NotACompression, Transport, TransportError,
};
pub use self::url::{PeerUrl, UrlError};
