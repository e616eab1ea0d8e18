//! JSON-RPC 2.0: one call or a batch in, its reply out. The rules beyond the standard are geth's (`rpc/handler.go`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::params::text;
use super::reply::{NO_ID, Refusal, push_answer, push_refusal};
use super::{Options, Source, methods};

/// Answers bodies from a source.
pub(super) struct Rpc {
    source: Arc<dyn Source>,
    options: Options,
    stats: Arc<ServeStats>,
    turns: Arc<Semaphore>,
    /// A permit for each [`UNIT`] of replies that may be in memory.
    room: Arc<Semaphore>,
}

/// Bytes that room for replies is counted in.
const UNIT: usize = 1 << 10;

/// What a server has done so far. Counters only grow and are exact once the requests counted have been answered.
#[derive(Debug, Default)]
pub struct ServeStats {
    /// Bodies answered, each one call or one batch.
    pub requests: AtomicU64,
    /// Calls answered, in batches or alone, those that were refused too.
    pub items: AtomicU64,
    /// Calls of `debug_dbGet` that were answered with a value.
    pub found: AtomicU64,
    /// Connections accepted.
    pub connections: AtomicU64,
}

/// One element of a body.
enum Message<'a> {
    /// A call; its id is raw JSON.
    Call { id: &'a str, method: &'a RawValue, params: Option<&'a RawValue> },
    /// A call without an id, which gets no answer; no method does anything but answer.
    Notification,
    /// Something else, answered under its id if it has one.
    Invalid { id: &'a str },
}

impl Rpc {
    pub(super) fn new(source: Arc<dyn Source>, options: Options, stats: Arc<ServeStats>) -> Self {
        let turns = Arc::new(Semaphore::new(options.answers));
        let room = Arc::new(Semaphore::new((options.untaken_bytes / UNIT).max(1)));
        Self { source, options, stats, turns, room }
    }

    /// Waits until one more reply may be made; the permit is to be held until there is [`room`](Self::room) for it.
    pub(super) async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        // Fails only when the semaphore is closed, which it never is.
        Arc::clone(&self.turns).acquire_owned().await.ok()
    }

    /// Waits until there is room for a reply; the permit is to be held until it has been taken.
    pub(super) async fn room(&self, reply: &[u8]) -> Option<OwnedSemaphorePermit> {
        let most = self.options.untaken_bytes / UNIT;
        let units = u32::try_from(reply.len().div_ceil(UNIT).min(most.max(1))).ok()?;
        Arc::clone(&self.room).acquire_many_owned(units).await.ok()
    }

    pub(super) fn options(&self) -> &Options {
        &self.options
    }

    /// The reply to one body; nothing if the body asks for nothing.
    pub(super) fn answer(&self, body: &[u8]) -> Vec<u8> {
        count(&self.stats.requests, 1);
        let mut out = Vec::new();
        if body.trim_ascii().is_empty() {
            return out;
        }
        match serde_json::from_slice::<&RawValue>(body) {
            Ok(json) if json.get().starts_with('[') => self.answer_batch(json, &mut out),
            Ok(json) => {
                self.answer_one(&Message::read(json), &mut out);
            }
            Err(_) => {
                push_refusal(&mut out, NO_ID, Refusal::PARSE_ERROR);
            }
        }
        out
    }

    fn answer_batch(&self, json: &RawValue, out: &mut Vec<u8>) {
        let deadline = Instant::now() + self.options.answer_timeout;
        let Ok(elements) = serde_json::from_str::<Vec<&RawValue>>(json.get()) else {
            push_refusal(out, NO_ID, Refusal::PARSE_ERROR);
            return;
        };
        if elements.is_empty() {
            push_refusal(out, NO_ID, Refusal::EMPTY_BATCH);
            return;
        }
        let mut messages = elements.into_iter().map(Message::read);
        if messages.len() > self.options.batch_items {
            let first_call = messages.find_map(|message| message.call_id());
            out.push(b'[');
            push_refusal(out, first_call.unwrap_or(NO_ID), Refusal::BATCH_TOO_LARGE);
            out.push(b']');
            return;
        }
        let mut payload = 0;
        for message in messages {
            let start = out.len();
            out.push(if start == 0 { b'[' } else { b',' });
            let bytes = match message.call_id() {
                Some(id) if payload > self.options.batch_bytes => self.refuse(id, Refusal::RESPONSE_TOO_LARGE, out),
                Some(id) if Instant::now() >= deadline => self.refuse(id, Refusal::TIMED_OUT, out),
                _ => self.answer_one(&message, out),
            };
            if bytes == 0 {
                out.truncate(start);
            }
            payload += bytes;
        }
        if !out.is_empty() {
            out.push(b']');
        }
    }

    /// Writes the answer to one message, if it gets one. Returns how many bytes its result or error takes.
    fn answer_one(&self, message: &Message<'_>, out: &mut Vec<u8>) -> usize {
        match message {
            Message::Notification => 0,
            Message::Invalid { id } => self.refuse(id, Refusal::INVALID_REQUEST, out),
            Message::Call { id, method, params } => {
                count(&self.stats.items, 1);
                push_answer(out, id, |out| {
                    let method = text(method).ok_or(Refusal::INVALID_REQUEST)?;
                    let call = methods::Call { source: &*self.source, method: &method, params: *params };
                    let found = methods::run(call, out)?;
                    count(&self.stats.found, u64::from(found));
                    Ok(())
                })
            }
        }
    }

    fn refuse(&self, id: &str, refusal: Refusal, out: &mut Vec<u8>) -> usize {
        count(&self.stats.items, 1);
        push_refusal(out, id, refusal)
    }
}

impl<'a> Message<'a> {
    fn read(json: &'a RawValue) -> Self {
        #[derive(Deserialize)]
        struct Fields<'a> {
            #[serde(borrow)]
            jsonrpc: Option<&'a RawValue>,
            // `"id": null` is an id.
            #[serde(borrow, default, deserialize_with = "present")]
            id: Option<&'a RawValue>,
            #[serde(borrow)]
            method: Option<&'a RawValue>,
            #[serde(borrow)]
            params: Option<&'a RawValue>,
        }
        let Ok(Fields { jsonrpc, id, method, params }) = serde_json::from_str(json.get()) else {
            return Self::Invalid { id: NO_ID };
        };
        let id = id.map(RawValue::get);
        let scalar = id.filter(|id| !id.starts_with(['{', '[']));
        let method = method.filter(|method| method.get().starts_with('"') && method.get() != r#""""#);
        let version = jsonrpc.filter(|version| version.get() == r#""2.0""#);
        match (version.and(method), scalar) {
            (Some(method), Some(id)) => Self::Call { id, method, params },
            (Some(_), None) if id.is_none() => Self::Notification,
            _ => Self::Invalid { id: scalar.unwrap_or(NO_ID) },
        }
    }

    fn call_id(&self) -> Option<&'a str> {
        if let Self::Call { id, .. } = self { Some(id) } else { None }
    }
}

/// Tells `null` from nothing.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

fn count(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}
