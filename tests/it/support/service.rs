//! A peer's work on one request, from its body to its reply.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use axum::extract::{Request as HttpRequest, State};
use axum::response::Response;
use serde_json::Value;
use tokio::sync::watch;

use super::answer::{Answer, Call, Request, reads_a_key};
use super::builder::Behaviour;
use super::faults::{Mishap, Plan};
use super::limits::{Limiter, refused};
use super::node::Node;
use super::peer::{Arrival, Counts};
use super::rate::Refusal;
use super::reply;

/// What a peer is made of, behind its socket.
pub(super) struct Service {
    pub(super) node: Node,
    pub(super) behaviour: Behaviour,
    pub(super) limiter: Limiter,
    pub(super) faults: Option<Plan>,
    pub(super) counts: Mutex<Counts>,
    pub(super) changed: Condvar,
    /// How many items of batches may be let in, all in all.
    pub(super) limit: watch::Sender<u64>,
}

/// Answers one request.
pub(super) async fn answer(State(service): State<Arc<Service>>, request: HttpRequest) -> Response {
    let now = Instant::now();
    let _at_once = service.begin();
    let response = match reply::read_body(request, service.limiter.limits.body_bytes).await {
        Ok(body) => service.body(&body, now).await,
        Err(length) => reply::make(service.limiter.body_too_large(length), false).await,
    };
    service.limiter.travel().await;
    response
}

impl Service {
    pub(super) fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap()
    }

    /// Counts a request until the guard is dropped.
    fn begin(&self) -> impl Drop {
        let mut counts = self.lock();
        counts.in_flight += 1;
        counts.most_in_flight = counts.most_in_flight.max(counts.in_flight);
        InFlight(self)
    }

    async fn body(&self, body: &[u8], now: Instant) -> Response {
        let Ok(body) = serde_json::from_slice(body) else {
            return reply::make(refused(200, -32700, "parse error"), false).await;
        };
        let (messages, is_batch) = match body {
            Value::Array(messages) => (messages, true),
            one => (vec![one], false),
        };
        if messages.is_empty() {
            return reply::make(refused(200, -32600, "empty batch"), false).await;
        }
        let refusal = self.arrive(&messages, now);
        reply::make(self.messages(&messages, is_batch, refusal).await, is_batch).await
    }

    async fn messages(&self, messages: &[Value], is_batch: bool, refusal: Option<Refusal>) -> Answer {
        let (now, later) = messages.split_at(refusal.map_or(messages.len(), Refusal::answered));
        let rest = refusal.map(|refusal| refusal.answer(later));
        if let (Some(rest), []) = (&rest, now) {
            return rest.clone();
        }
        let mishap = self.faults.as_ref().and_then(|plan| plan.mishap(messages));
        if let Some(mishap @ (Mishap::Drop | Mishap::Html)) = mishap {
            return mishap.answer("");
        }
        if let Some(answer) = self.limiter.too_long(self.node.setup.speaks, messages).filter(|_| is_batch) {
            return answer;
        }
        let lane = self.limiter.work(now.len()).await;
        let cut = mishap == Some(Mishap::Truncate);
        let answer = if is_batch { self.admit(now, cut).await } else { self.alone(now, cut) };
        drop(lane);
        match (answer, rest) {
            (Answer::Batch(mut elements), Some(Answer::Batch(rest))) => {
                elements.extend(rest);
                Answer::Batch(elements)
            }
            (answer, _) => answer,
        }
    }

    /// Notes that a request came, and refuses what is too much of it for the rate.
    fn arrive(&self, messages: &[Value], now: Instant) -> Option<Refusal> {
        let mut counts = self.lock();
        for message in messages {
            let method = message["method"].as_str().unwrap_or_default();
            *counts.methods.entry(method.into()).or_default() += 1;
        }
        counts.inside_wait += u64::from(self.limiter.is_resting(now));
        let refusal = self.limiter.take(messages.len(), now).err();
        let wait_until = refusal.and_then(Refusal::wait).map(|wait| now + wait);
        counts.arrivals.push(Arrival { at: now, wait_until });
        self.changed.notify_all();
        refusal
    }

    /// What the behaviour makes of a batch, as soon as it is let in.
    async fn admit(&self, messages: &[Value], cut: bool) -> Answer {
        if !messages.iter().any(reads_a_key) {
            return self.alone(messages, cut);
        }
        let mut limit = self.limit.subscribe();
        let number = {
            let mut counts = self.lock();
            counts.requests += 1;
            self.changed.notify_all();
            counts.requests - 1
        };
        loop {
            {
                // One step: whoever sees the limit reached sees all that was served up to it.
                let mut counts = self.lock();
                if counts.admitted < *limit.borrow_and_update() {
                    let calls = self.calls(messages);
                    let request = Request { number, calls: &calls, node: &self.node };
                    let answer = self.finish(&request, (self.behaviour)(&request), cut);
                    counts.admitted += calls.len() as u64;
                    for hash in answer.values() {
                        counts.served += 1;
                        *counts.by_hash.entry(hash).or_default() += 1;
                    }
                    self.changed.notify_all();
                    return answer;
                }
            }
            limit.changed().await.unwrap();
        }
    }

    /// Calls that are not in a batch, or read no keys: answered at once and as it should be, whatever the behaviour.
    fn alone(&self, messages: &[Value], cut: bool) -> Answer {
        let calls = self.calls(messages);
        let request = Request { number: 0, calls: &calls, node: &self.node };
        self.finish(&request, request.honest(), cut)
    }

    fn calls(&self, messages: &[Value]) -> Vec<Call> {
        messages.iter().map(|message| Call::read(message, &self.node)).collect()
    }

    /// What the limits and the faults make of an answer.
    fn finish(&self, request: &Request<'_>, answer: Answer, cut: bool) -> Answer {
        match answer {
            Answer::Batch(mut elements) => {
                if let Some(faults) = &self.faults {
                    faults.spoil(request, &mut elements);
                }
                self.limiter.cut(&mut elements);
                if let Some(faults) = &self.faults {
                    faults.shuffle(&mut elements);
                }
                if cut { Mishap::Truncate.answer(&reply::text(&elements, true)) } else { Answer::Batch(elements) }
            }
            Answer::After(delay, answer) => Answer::After(delay, Box::new(self.finish(request, *answer, cut))),
            Answer::When(gate, answer) => Answer::When(gate, Box::new(self.finish(request, *answer, cut))),
            answer => answer,
        }
    }
}

/// A request that has come and is not answered yet, be it that its client has gone.
struct InFlight<'a>(&'a Service);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        // A behaviour may have failed its test while it held the lock; to fail again here would end all tests.
        self.0.counts.lock().unwrap_or_else(PoisonError::into_inner).in_flight -= 1;
    }
}
