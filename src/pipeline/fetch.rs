//! The fetch stage: one request, from its items to its reply.

use std::time::{Duration, Instant};

use tokio::sync::mpsc::Sender;

use super::core::Message;
use crate::peers::{Client, Dispatch, TransportError, Trip, wire};

/// A late reply is waited for this many times the time-out. Its items are asked of others meanwhile; if it comes first
/// after all, it is used.
const LATE_FACTOR: u32 = 3;

/// A reply's bytes, and how the network brought them.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) bytes: Vec<u8>,
    pub(super) trip: Trip,
}

/// Sends a request and reports its reply; reports earlier when it is late.
pub(super) async fn fetch(client: Client, request: Dispatch, timeout: Duration, driver: Sender<Message>) {
    let id = request.id;
    let late_after = request.late_after.map_or(timeout, |late| late.min(timeout));
    let body = wire::request(request.dialect, &request.asks);
    let started = Instant::now();
    let post = client.transport().exchange(body, wire::reply_bytes_max(&request.asks));
    tokio::pin!(post);
    let reply = if let Ok(reply) = tokio::time::timeout(late_after, &mut post).await {
        reply
    } else {
        if driver.send(Message::Late(id)).await.is_err() {
            return;
        }
        let rest = (timeout * LATE_FACTOR).saturating_sub(late_after);
        tokio::time::timeout(rest, post).await.unwrap_or(Err(TransportError::TimedOut(timeout * LATE_FACTOR)))
    };
    // Before it queues for the driver: what waits there is not the peer's doing.
    let time = started.elapsed();
    let reply = reply.map(|bytes| Reply { trip: Trip { bytes: bytes.len(), time }, bytes });
    // The driver is gone only when the sync has ended.
    let _ = driver.send(Message::Reply(id, reply)).await;
}
