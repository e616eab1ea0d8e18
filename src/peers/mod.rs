//! The peers: who is asked for what, in which dialect, over which wire, and what an answer means.
//!
//! [`Pool`] decides and is pure: time comes in as an argument, and it touches no socket. [`Client`] and its [`Transport`]
//! do the I/O, [`wire`] turns items into JSON-RPC and back, a [`Dialect`] says what a peer's database calls an item.

mod batch;
mod block;
mod client;
mod dialect;
mod hex;
mod outcome;
mod peer;
mod pool;
mod probe;
mod reply;
mod scan;
mod transport;
mod url;
pub mod wire;
mod words;

pub(crate) use self::block::HEADERS_AT_ONCE;
pub use self::block::{BlockId, Header, NotABlock, header, headers};
pub use self::client::{CallError, Client};
pub(crate) use self::dialect::LAST_STATE_ID;
pub use self::dialect::{CODE_PREFIX, Dialect};
pub use self::outcome::Verdict;
pub use self::peer::Peer;
pub use self::pool::{Ask, Dispatch, Outage, Pool, PoolLimits, RequestId, Sent, Stats, Trip, Unavailable};
pub use self::probe::{About, Chain, PeerInfo, ProbeError, probe};
pub(crate) use self::probe::{about, find_dialect};
pub use self::reply::RpcError;
pub use self::transport::{
    Compression, ConnectOptions, HeaderError, JwtError, JwtSecret, NotACompression, Transport, TransportError,
};
pub use self::url::{PeerUrl, UrlError};
