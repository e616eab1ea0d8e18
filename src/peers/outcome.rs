//! What one element of a reply means for the item, and for the peer.

use std::time::Duration;

use super::{RpcError, TransportError};

/// What became of one asked item. The item itself, when found, goes to the scheduler; the pool needs only this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The bytes came and are the wanted ones.
    Found,
    /// The peer does not have it.
    Absent,
    /// The peer sent other bytes.
    Corrupt,
    /// The peer cannot answer such a question at all.
    Unsupported(String),
    /// The question or its answer was too big: ask for less at a time.
    Shrink,
    /// The peer asks to be left alone, for as long as it says.
    RateLimited(Option<Duration>),
    /// The question or the answer was lost, or the answer makes no sense.
    Failed(String),
}

/// geth's error for a call that a batch's total reply size or its time did not allow any more.
const RESPONSE_TOO_LARGE: i64 = -32003;
const REQUEST_TIMED_OUT: i64 = -32002;
/// JSON-RPC 2.0: invalid request; geth answers an over-long batch with it.
const INVALID_REQUEST: i64 = -32600;
const METHOD_NOT_FOUND: i64 = -32601;
const INVALID_PARAMS: i64 = -32602;
/// geth's code for any plain error, "not found" among them.
const SERVER_ERROR: i64 = -32000;
/// Codes that providers use for "too many requests"; Besu and Nethermind use the first for over-long batches too.
const RATE_CODES: [i64; 5] = [-32005, -32007, -32012, -32016, 429];

impl Verdict {
    /// The meaning of an error object in place of a result.
    #[must_use]
    pub fn of_error(error: &RpcError) -> Self {
        let message = error.message.as_str();
        match error.code {
            // The text before depends on geth's database engine: "pebble: not found", "leveldb: not found".
            SERVER_ERROR if message.ends_with("not found") => Self::Absent,
            RESPONSE_TOO_LARGE | REQUEST_TIMED_OUT => Self::Shrink,
            INVALID_REQUEST if message.contains("batch") => Self::Shrink,
            METHOD_NOT_FOUND | INVALID_PARAMS => Self::Unsupported(message.into()),
            code if RATE_CODES.contains(&code) && message.contains("batch") => Self::Shrink,
            code if RATE_CODES.contains(&code) => Self::RateLimited(None),
            code => Self::Failed(format!("error {code}: {message}")),
        }
    }

    /// The meaning of a request that brought no reply, for all its items.
    #[must_use]
    pub fn of_transport(error: &TransportError) -> Self {
        match error {
            TransportError::Status { code: 413, .. } | TransportError::TooLarge { .. } => Self::Shrink,
            TransportError::Status { code: 429 | 503, retry_after, .. } => Self::RateLimited(*retry_after),
            other => Self::Failed(other.to_string()),
        }
    }
}
