//! What one element of a reply means for the item, and for the peer.

use std::time::Duration;

use serde_json::Value;

use super::{RpcError, TransportError};

/// What became of one asked item. The item itself, when found, goes to the scheduler; the pool needs only this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The bytes came and are the wanted ones.
    Found,
    /// The peer does not have it.
    Absent,
    /// The peer has another version of the node at that path: it keeps another state. Nobody's fault.
    Stale,
    /// The peer sent other bytes under a key that names the content.
    Corrupt,
    /// The peer cannot answer for items of this kind.
    Unsupported(String),
    /// The peer cannot be asked at all.
    Refused(String),
    /// The question or its answer was too big: ask for less at a time.
    Shrink,
    /// The peer asks to be left alone, for as long as it says.
    RateLimited(Option<Duration>),
    /// The reply has no element for the item.
    Unanswered,
    /// The question or the answer was lost, or the answer makes no sense.
    Failed(String),
}

/// geth's error for a call that a batch's total reply size or its time did not allow any more.
const RESPONSE_TOO_LARGE: i64 = -32003;
const REQUEST_TIMED_OUT: i64 = -32002;
/// The same from jsonrpsee, which reth uses: the batch's reply or the request is over its limit.
const OVERSIZED: [i64; 3] = [-32008, -32010, -32011];
/// JSON-RPC 2.0: invalid request. Requests here are valid, so it is their size: geth and Erigon answer an over-long batch
/// with it, anvil an over-long body.
const INVALID_REQUEST: i64 = -32600;
pub(super) const METHOD_NOT_FOUND: i64 = -32601;
pub(super) const INVALID_PARAMS: i64 = -32602;
/// geth's code for any plain error, "not found" among them.
const SERVER_ERROR: i64 = -32000;
/// Codes that providers use for "too many requests"; Besu and Nethermind use the first for over-long batches too.
const RATE_CODES: [i64; 10] = [-32005, -32007, -32012, -32016, -32029, -32055, -32097, 429, 1008, -33200];
/// What providers write under any code when they limit the rate.
const RATE_TEXTS: [&str; 7] = [
    "rate limit",
    "rate exceeded",
    "too many requests",
    "request limit",
    "credits limited",
    "maximum number of concurrent requests",
    "server overloaded",
];

/// The longest wait that a peer's hint is believed.
const HINT_MAX: Duration = Duration::from_secs(300);

impl Verdict {
    /// The meaning of an error object in place of a result.
    #[must_use]
    pub fn of_error(error: &RpcError) -> Self {
        let message = error.message.as_str();
        let lower = message.to_lowercase();
        match error.code {
            // The text before depends on geth's database engine: "pebble: not found", "leveldb: not found".
            SERVER_ERROR if message.ends_with("not found") => Self::Absent,
            RESPONSE_TOO_LARGE | REQUEST_TIMED_OUT => Self::Shrink,
            code if OVERSIZED.contains(&code) => Self::Shrink,
            INVALID_REQUEST => Self::Shrink,
            METHOD_NOT_FOUND => Self::Refused(format!("it does not offer what is asked: {message}")),
            INVALID_PARAMS => Self::Unsupported(message.into()),
            code if RATE_CODES.contains(&code) && lower.contains("batch") => Self::Shrink,
            code if RATE_CODES.contains(&code) || RATE_TEXTS.iter().any(|text| lower.contains(text)) => {
                Self::RateLimited(wait_of(error))
            }
            code => Self::Failed(format!("error {code}: {message}")),
        }
    }

    /// The meaning of a request that brought no reply, for all its items.
    #[must_use]
    pub fn of_transport(error: &TransportError) -> Self {
        match error {
            // 1009 of RFC 6455: message too big.
            TransportError::Status { code: 413, .. }
            | TransportError::TooLarge { .. }
            | TransportError::Closed { code: 1009, .. } => Self::Shrink,
            // Nethermind answers an over-long batch with 503 and an error object.
            TransportError::Status { code: 503, text, .. } if text.to_lowercase().contains("batch") => Self::Shrink,
            TransportError::Status { code: 429 | 503, retry_after, .. } => Self::RateLimited(*retry_after),
            // Policy violation, and try again later.
            TransportError::Closed { code: 1008 | 1013, .. } => Self::RateLimited(None),
            TransportError::Status { code: 401..=403, .. } => Self::Refused(error.to_string()),
            other => Self::Failed(other.to_string()),
        }
    }

    /// Whether the peer gave its word on the item.
    #[must_use]
    pub fn is_answer(&self) -> bool {
        matches!(self, Self::Found | Self::Absent | Self::Stale)
    }

    /// Whether something went wrong with the request, other than that it asked for too much.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        !self.is_answer() && !matches!(self, Self::Corrupt | Self::Shrink)
    }

    /// What to note when a peer will not serve an item; `None` when it may on another try. An item `alone` in its
    /// request that is too big for the peer, or that it fails on, is one that it will not serve; so is one that it
    /// fails on while it is `healthy` and answers for the others.
    #[must_use]
    pub fn refusal(&self, alone: bool, healthy: bool) -> Option<&'static str> {
        match self {
            Self::Absent => Some("absent"),
            Self::Stale => Some("another version"),
            Self::Corrupt => Some("something else"),
            Self::Unsupported(_) => Some("not supported"),
            Self::Shrink if alone => Some("too large"),
            Self::Unanswered if alone => Some("nothing"),
            Self::Failed(_) if alone || healthy => Some("an error"),
            _ => None,
        }
    }
}

/// How long an error object says to wait: Infura's `data.rate.backoff_seconds`, or a text like "try again in 4ms".
fn wait_of(error: &RpcError) -> Option<Duration> {
    let data = error.data.as_ref();
    let seconds = data
        .and_then(|data| data.pointer("/rate/backoff_seconds").or(data.get("backoff_seconds")).and_then(Value::as_f64));
    let wait = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    wait.or_else(|| wait_of_text(&error.message)).map(|wait| wait.min(HINT_MAX))
}

fn wait_of_text(message: &str) -> Option<Duration> {
    let lower = message.to_lowercase();
    let (_, rest) = lower.split_once("try again in ").or_else(|| lower.split_once("retry in "))?;
    let digits = rest.find(|character: char| !character.is_ascii_digit() && character != '.').unwrap_or(rest.len());
    let (number, unit) = rest.split_at(digits);
    let number: f64 = number.parse().ok()?;
    let seconds = match unit.trim_start() {
        unit if unit.starts_with("ms") || unit.starts_with("milli") => number / 1_000.0,
        unit if unit.starts_with('m') => number * 60.0,
        unit if unit.starts_with('s') => number,
        _ => return None,
    };
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(code: i64, message: &str) -> Verdict {
        Verdict::of_error(&RpcError { code, message: message.into(), data: None })
    }

    fn status(code: u16, retry_after: Option<Duration>, text: &str) -> TransportError {
        TransportError::Status { code, retry_after, text: text.into() }
    }

    #[test]
    fn every_engines_not_found_is_absent() {
        for message in ["pebble: not found", "leveldb: not found", "not found"] {
            assert_eq!(of(-32000, message), Verdict::Absent);
        }
        assert!(matches!(of(-32000, "database closed"), Verdict::Failed(_)));
    }

    #[test]
    fn limits_of_nodes_ask_for_less_at_a_time() {
        for (code, message) in [
            (-32600, "batch too large"),
            (-32600, "batch limit 100 exceeded (can increase by --rpc.batch.limit)"),
            (-32600, "Invalid request"),
            (-32003, "response too large"),
            (-32002, "request timed out"),
            (-32005, "Number of requests exceeds max batch size"),
            (-32005, "Batch size limit exceeded"),
            (-32011, "The batch response was too large"),
            (-32010, "The batch request was too large"),
        ] {
            assert_eq!(of(code, message), Verdict::Shrink, "{code} {message}");
        }
        let over_long = r#"{"error":{"code":-32005,"message":"Batch size limit exceeded"}}"#;
        assert_eq!(Verdict::of_transport(&status(503, None, over_long)), Verdict::Shrink);
        assert_eq!(Verdict::of_transport(&status(413, None, "")), Verdict::Shrink);
    }

    #[test]
    fn rate_limits_ask_for_a_rest() {
        for code in RATE_CODES {
            assert_eq!(of(code, "slow down"), Verdict::RateLimited(None), "{code}");
        }
        assert_eq!(of(-32000, "Too many requests, slow down"), Verdict::RateLimited(None));
        let wait = Some(Duration::from_secs(3));
        assert_eq!(Verdict::of_transport(&status(429, wait, "")), Verdict::RateLimited(wait));
        assert_eq!(Verdict::of_transport(&status(503, None, "server overloaded")), Verdict::RateLimited(None));
        assert!(matches!(Verdict::of_transport(&status(502, None, "")), Verdict::Failed(_)));
    }

    #[test]
    fn hints_say_how_long_to_rest() {
        let infura = |data: Value| RpcError { code: -32005, message: "limited".into(), data: Some(data) };
        for data in [json!({ "rate": { "backoff_seconds": 2.5 } }), json!({ "backoff_seconds": 2.5 })] {
            let wait = Some(Duration::from_millis(2_500));
            assert_eq!(Verdict::of_error(&infura(data)), Verdict::RateLimited(wait));
        }
        for (text, milliseconds) in
            [("try again in 4ms", 4), ("Try again in 1.5s.", 1_500), ("retry in 2 minutes", 120_000)]
        {
            assert_eq!(wait_of_text(text), Some(Duration::from_millis(milliseconds)), "{text}");
        }
        assert_eq!(of(429, "try again in 99999999s"), Verdict::RateLimited(Some(HINT_MAX)));
        assert_eq!(of(429, "try again in -1s"), Verdict::RateLimited(None));
        assert_eq!(Verdict::of_error(&infura(json!({ "backoff_seconds": -1 }))), Verdict::RateLimited(None));
    }

    #[test]
    fn what_a_peer_cannot_do_it_cannot_do_for_good() {
        assert!(matches!(of(-32601, "the method debug_dbGet does not exist"), Verdict::Refused(_)));
        assert!(matches!(of(-32602, "Key must be 33 bytes, got 32"), Verdict::Unsupported(_)));
        for code in [401, 402, 403] {
            assert!(matches!(Verdict::of_transport(&status(code, None, "no")), Verdict::Refused(_)));
        }
    }

    #[test]
    fn an_item_that_a_healthy_peer_fails_on_is_refused() {
        let failed = Verdict::Failed(String::new());
        assert_eq!(failed.refusal(false, false), None, "the peer as a whole failed");
        assert!(failed.refusal(false, true).is_some() && failed.refusal(true, false).is_some());
        assert_eq!(Verdict::Unanswered.refusal(false, true), None, "it may cap its replies");
        assert_eq!(Verdict::RateLimited(None).refusal(true, true), None);
    }
}
