//! What a peer refuses to do, in geth's words and those of the providers, and how long it takes for the rest.

use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::answer::{Answer, Element, Outcome};
use super::content::Speaks;
use super::rate::{Rate, Rates, Refusal};

/// Limits, by default geth's.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// Calls in a batch; geth's `--rpc.batch-request-limit`.
    pub(crate) batch_items: usize,
    /// Bytes of results and errors in a batch's reply; geth's `--rpc.batch-response-max-size`.
    pub(crate) batch_response_bytes: usize,
    /// Bytes of a request's body; geth's `--rpc.http-body-limit`.
    pub(crate) body_bytes: usize,
    /// After so many calls of a batch its time is over.
    pub(crate) timeout_items: usize,
    /// How often it may be asked.
    pub(crate) rate: Option<Rate>,
    /// How long each reply is on its way.
    pub(crate) delay: Duration,
    /// How long each call takes; a batch's one after the other.
    pub(crate) per_item: Duration,
    /// How many requests are worked on at once; the others wait for their turn.
    pub(crate) lanes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            batch_items: 1_000,
            batch_response_bytes: 25_000_000,
            body_bytes: 5 << 20,
            timeout_items: usize::MAX,
            rate: None,
            delay: Duration::ZERO,
            per_item: Duration::ZERO,
            lanes: Semaphore::MAX_PERMITS,
        }
    }
}

/// The limits at work.
#[derive(Debug)]
pub(super) struct Limiter {
    pub(super) limits: Limits,
    rates: Rates,
    lanes: Semaphore,
}

impl Limiter {
    pub(super) fn new(limits: Limits) -> Self {
        let rates = Rates::new(limits.rate, limits.delay);
        let lanes = Semaphore::new(limits.lanes);
        Self { limits, rates, lanes }
    }

    /// The refusal of a batch that is too long, of which nothing is executed. geth's is an array of one element, under
    /// the first call's id; the others' is no array at all.
    pub(super) fn too_long(&self, speaks: Speaks, messages: &[Value]) -> Option<Answer> {
        let over = messages.len() > self.limits.batch_items;
        over.then(|| match speaks {
            Speaks::Hash | Speaks::Path => {
                let id = messages.iter().map(|message| message["id"].clone()).find(|id| !id.is_null());
                let result = Outcome::Error(-32600, "batch too large");
                Answer::Batch(vec![Element { id: id.unwrap_or_default(), result }])
            }
            Speaks::HalfPath | Speaks::NethermindHash => refused(503, -32005, "Batch size limit exceeded"),
            Speaks::CodesOnly => refused(200, -32010, "The batch request was too large"),
        })
    }

    /// Whether so many calls may come now.
    pub(super) fn take(&self, items: usize, now: Instant) -> Result<(), Refusal> {
        self.rates.take(items, now)
    }

    /// Whether one comes while the peer has asked for a rest.
    pub(super) fn is_resting(&self, now: Instant) -> bool {
        self.rates.is_resting(now)
    }

    /// Waits for a lane, and then as long as the calls take.
    pub(super) async fn work(&self, items: usize) -> SemaphorePermit<'_> {
        let lane = self.lanes.acquire().await.unwrap();
        sleep(self.limits.per_item * u32::try_from(items).unwrap()).await;
        lane
    }

    /// Waits as long as a reply is on its way.
    pub(super) async fn travel(&self) {
        sleep(self.limits.delay).await;
    }

    /// Refuses what comes after the time or the bytes of a batch are used up.
    pub(super) fn cut(&self, elements: &mut [Element]) {
        let mut bytes = 0;
        for (place, element) in elements.iter_mut().enumerate() {
            if bytes > self.limits.batch_response_bytes {
                element.result = Outcome::Error(-32003, "response too large");
            } else if place >= self.limits.timeout_items {
                element.result = Outcome::Error(-32002, "request timed out");
            }
            bytes += element.result.member().1.len();
        }
    }

    /// The refusal of a body of this length.
    pub(super) fn body_too_large(&self, length: u64) -> Answer {
        let limit = self.limits.body_bytes;
        Answer::status(413, None, &format!("content length too large ({length}>{limit})\n"))
    }
}

/// The answer to something that has no id.
pub(super) fn refused(status: u16, code: i64, text: &'static str) -> Answer {
    let element = Element { id: Value::Null, result: Outcome::Error(code, text) };
    Answer::status(status, None, &element.to_string())
}

/// Nothing for no time at all: even the shortest sleep takes a millisecond.
async fn sleep(time: Duration) {
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}
