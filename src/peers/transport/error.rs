//! Why a request brought no usable reply.

use std::time::Duration;

use super::super::words::tame;

/// How much of an error page is worth showing.
pub(super) const ERROR_TEXT_BYTES: usize = 200;

/// Why a request brought no usable reply.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The server answered with another status than 200, or than 101 to a handshake.
    #[error("HTTP status {code}: {text}")]
    Status {
        /// The status.
        code: u16,
        /// How long the server asks to wait.
        retry_after: Option<Duration>,
        /// The beginning of the body.
        text: String,
    },
    /// The reply is longer than any honest one.
    #[error("the reply is longer than {limit} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// No reply in time.
    #[error("no reply within {0:?}")]
    TimedOut(Duration),
    /// The peer ended a WebSocket instead of replying.
    #[error("the peer closed the WebSocket with code {code}: {reason}")]
    Closed {
        /// The code of RFC 6455, section 7.4; 1005 when the peer gave none.
        code: u16,
        /// The peer's words.
        reason: String,
    },
    /// The reply is a binary WebSocket message; JSON is text.
    #[error("the peer sent a binary message, not JSON")]
    Binary,
    /// The connection could not be made or broke.
    #[error("{0}")]
    Connection(String),
}

impl TransportError {
    pub(super) fn connection(error: &(dyn std::error::Error + 'static)) -> Self {
        Self::Connection(tame(&innermost(error).to_string()))
    }
}

/// The innermost cause: the outer ones may repeat the URL, which may hold credentials.
pub(super) fn innermost<'a>(error: &'a (dyn std::error::Error + 'static)) -> &'a (dyn std::error::Error + 'static) {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause
}
