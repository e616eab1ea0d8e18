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
            code if RATE_CODES.contains(&code) && message.to_lowercase().contains("batch") => Self::Shrink,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn of(code: i64, message: &str) -> Verdict {
        Verdict::of_error(&RpcError { code, message: message.into() })
    }

    #[test]
    fn every_engines_not_found_is_absent() {
        for message in ["pebble: not found", "leveldb: not found", "not found"] {
            assert_eq!(of(-32000, message), Verdict::Absent);
        }
        assert!(matches!(of(-32000, "database closed"), Verdict::Failed(_)));
    }

    #[test]
    fn limits_of_geth_ask_for_less_at_a_time() {
        for (code, message) in [
            (-32600, "batch too large"),
            (-32003, "response too large"),
            (-32002, "request timed out"),
            (-32005, "Number of requests exceeds max batch size"),
            (-32005, "Batch size limit exceeded"),
        ] {
            assert_eq!(of(code, message), Verdict::Shrink, "{code} {message}");
        }
    }

    #[test]
    fn rate_limits_ask_for_a_rest() {
        for code in [-32005, -32007, -32012, -32016, 429] {
            assert_eq!(of(code, "slow down"), Verdict::RateLimited(None), "{code}");
        }
        let status = |code, retry_after| TransportError::Status { code, retry_after, text: String::new() };
        let wait = Some(Duration::from_secs(3));
        assert_eq!(Verdict::of_transport(&status(429, wait)), Verdict::RateLimited(wait));
        assert_eq!(Verdict::of_transport(&status(503, None)), Verdict::RateLimited(None));
        assert_eq!(Verdict::of_transport(&status(413, None)), Verdict::Shrink);
        assert!(matches!(Verdict::of_transport(&status(502, None)), Verdict::Failed(_)));
    }

    #[test]
    fn a_missing_method_or_refused_key_is_for_good() {
        assert!(matches!(of(-32601, "the method debug_dbGet does not exist"), Verdict::Unsupported(_)));
        assert!(matches!(of(-32602, "Key must be 33 bytes, got 32"), Verdict::Unsupported(_)));
    }
}
