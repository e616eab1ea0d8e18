//! A reply on its way out.

use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use futures_util::stream::unfold;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

/// Bytes that are handed over at once. The connection takes more when it has sent them, so that of a long reply to a
/// slow reader little is held twice.
const PIECE: usize = 64 << 10;

struct Outgoing {
    reply: Vec<u8>,
    sent: usize,
    deadline: Instant,
    /// Held while the reply is in memory.
    _permit: Option<OwnedSemaphorePermit>,
}

/// The reply as a response, which breaks off when it has not been taken in time.
pub(super) fn response(reply: Vec<u8>, within: Duration, permit: Option<OwnedSemaphorePermit>) -> Response {
    let length = HeaderValue::from(reply.len());
    let outgoing = Outgoing { reply, sent: 0, deadline: Instant::now() + within, _permit: permit };
    let pieces = unfold(outgoing, |mut outgoing| async {
        let piece = outgoing.next()?;
        Some((piece, outgoing))
    });
    let headers = [(CONTENT_TYPE, HeaderValue::from_static("application/json")), (CONTENT_LENGTH, length)];
    (headers, Body::from_stream(pieces)).into_response()
}

impl Outgoing {
    fn next(&mut self) -> Option<io::Result<Bytes>> {
        let rest = self.reply.get(self.sent..).filter(|rest| !rest.is_empty())?;
        if self.sent > 0 && Instant::now() >= self.deadline {
            return Some(Err(io::ErrorKind::TimedOut.into()));
        }
        let piece = rest.get(..PIECE).unwrap_or(rest);
        self.sent += piece.len();
        Some(Ok(Bytes::copy_from_slice(piece)))
    }
}
