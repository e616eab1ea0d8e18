//! JSON-RPC 2.0: one call or a batch in, its reply out. The rules beyond the standard are geth's (`rpc/handler.go`).

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use primitive_types::H256;
use serde_json::value::RawValue;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::message::Message;
use super::params::text;
use super::reply::{NO_ID, Refusal, push_answer, push_data, push_refusal};
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

/// Nodes of a batch that are read together, and are in memory then: 600 kB at most.
const READ_TOGETHER: usize = 1_000;

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
        if body.trim_ascii_start().starts_with(b"[") {
            self.answer_batch(body, &mut out);
            return out;
        }
        match serde_json::from_slice(body) {
            Ok(json) => {
                self.answer_one(&Message::read(json), None, &mut out);
            }
            Err(_) => {
                push_refusal(&mut out, NO_ID, Refusal::PARSE_ERROR);
            }
        }
        out
    }

    fn answer_batch(&self, body: &[u8], out: &mut Vec<u8>) {
        let deadline = Instant::now() + self.options.answer_timeout;
        let Ok(elements) = serde_json::from_slice::<Vec<&RawValue>>(body) else {
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
        let messages: Vec<Message<'_>> = messages.collect();
        let mut payload = 0;
        for messages in messages.chunks(READ_TOGETHER) {
            let is_over = payload > self.options.batch_bytes || Instant::now() >= deadline;
            let mut nodes = if is_over { HashMap::new() } else { self.nodes(messages) };
            for (place, message) in messages.iter().enumerate() {
                let start = out.len();
                out.push(if start == 0 { b'[' } else { b',' });
                let bytes = match message.call_id() {
                    Some(id) if payload > self.options.batch_bytes => self.refuse(id, Refusal::RESPONSE_TOO_LARGE, out),
                    Some(id) if Instant::now() >= deadline => self.refuse(id, Refusal::TIMED_OUT, out),
                    _ => self.answer_one(message, nodes.remove(&place), out),
                };
                if bytes == 0 {
                    out.truncate(start);
                }
                payload += bytes;
            }
        }
        if !out.is_empty() {
            out.push(b']');
        }
    }
    /// The nodes that messages ask for, by the messages' places, as far as they are there. A read that fails is not
    /// noted: who asks for one alone hears of it.
    fn nodes(&self, messages: &[Message<'_>]) -> HashMap<usize, Cow<'_, [u8]>> {
        let asked = messages.iter().enumerate().filter_map(|(place, message)| Some((place, message.node()?)));
        let (places, hashes): (Vec<usize>, Vec<H256>) = asked.unzip();
        let found = self.source.nodes(&hashes).unwrap_or_default();
        places.into_iter().zip(found).filter_map(|(place, node)| Some((place, node?))).collect()
    }

    /// Writes the answer to one message, if it gets one: the node that it asks for, if that has been read. Returns how
    /// many bytes its result or error takes.
    fn answer_one(&self, message: &Message<'_>, node: Option<Cow<'_, [u8]>>, out: &mut Vec<u8>) -> usize {
        match message {
            Message::Notification => 0,
            Message::Invalid { id } => self.refuse(id, Refusal::INVALID_REQUEST, out),
            Message::Call { id, method, params } => {
                count(&self.stats.items, 1);
                push_answer(out, id, |out| {
                    let found = if let Some(node) = node {
                        push_data(out, &node);
                        true
                    } else {
                        let method = text(method).ok_or(Refusal::INVALID_REQUEST)?;
                        let call = methods::Call { source: &*self.source, method: &method, params: *params };
                        methods::run(call, out)?
                    };
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

fn count(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}
