//! The fetch stage: one request, from its items to its reply.

use std::time::Duration;

use tokio::sync::mpsc::Sender;

use super::driver::Message;
use crate::peers::{Client, Dispatch, TransportError, wire};

/// The largest reply to a batch. geth stops at 25 MB of results; JSON around them and the one result that crosses the
/// line come on top.
const REPLY_BYTES_MAX: usize = 32 << 20;

/// A late reply is waited for this many times the time-out. Its items are asked of others meanwhile; if it comes first
/// after all, it is used.
const LATE_FACTOR: u32 = 3;

/// Sends a request and reports its reply; reports earlier when it is late.
pub(super) async fn fetch(client: Client, request: Dispatch, timeout: Duration, driver: Sender<Message>) {
    let id = request.id;
    let reply = client.transport().exchange(wire::request(&request.asks), REPLY_BYTES_MAX);
    tokio::pin!(reply);
    let reply = if let Ok(reply) = tokio::time::timeout(timeout, &mut reply).await {
        reply
    } else {
        if driver.send(Message::Late(id)).await.is_err() {
            return;
        }
        let rest = timeout * (LATE_FACTOR - 1);
        tokio::time::timeout(rest, reply).await.unwrap_or(Err(TransportError::TimedOut(timeout * LATE_FACTOR)))
    };
    // The driver is gone only when the sync has ended.
    let _ = driver.send(Message::Reply(id, reply)).await;
}
