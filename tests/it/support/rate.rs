//! How often a peer may be asked, and what it says to those who ask too often.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::answer::{Answer, Element, Outcome};

/// A rate as a token bucket: `burst` at once, and `per_second` more in each second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    pub(crate) per_second: u64,
    pub(crate) burst: u64,
    pub(crate) style: RateStyle,
}

/// What is counted and what is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RateStyle {
    /// Requests; HTTP's own status, with these seconds in `Retry-After`.
    Status { retry_after: u64 },
    /// Calls; those that are too many get an error each.
    QuickNode,
    /// Requests; all calls of one get an error that says how long to wait.
    Infura { backoff: Duration },
}

/// How long after a refusal a request may still come that was on its way before: this, or a part of the wait if that
/// is less. The peer cannot see when its refusal is read.
const ON_ITS_WAY: Duration = Duration::from_millis(200);
const ON_ITS_WAY_PART: u32 = 3;

/// What a request that comes too soon gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Only the first so many calls are answered.
    Rest { answered: usize, per_second: u64 },
    /// All of it is refused.
    Whole(Rate),
}

/// Counts requests or calls.
#[derive(Debug)]
pub(super) struct Rates {
    rate: Option<Rate>,
    /// How long a refusal is on its way.
    delay: Duration,
    bucket: Mutex<Bucket>,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    filled: Instant,
    /// From when to when nobody should ask.
    rest: Option<(Instant, Instant)>,
}

impl RateStyle {
    /// How long the refusal says to wait, if it says so.
    fn wait(self) -> Option<Duration> {
        match self {
            Self::Status { retry_after } => Some(Duration::from_secs(retry_after)),
            Self::QuickNode => None,
            Self::Infura { backoff } => Some(backoff),
        }
    }
}

impl Rates {
    pub(super) fn new(rate: Option<Rate>, delay: Duration) -> Self {
        let tokens = rate.map_or(0.0, |rate| float(rate.burst));
        let bucket = Mutex::new(Bucket { tokens, filled: Instant::now(), rest: None });
        Self { rate, delay, bucket }
    }

    /// Takes what a request of so many calls costs.
    pub(super) fn take(&self, items: usize, now: Instant) -> Result<(), Refusal> {
        let Some(rate) = self.rate else { return Ok(()) };
        let mut bucket = self.bucket.lock().unwrap();
        let since = now.saturating_duration_since(bucket.filled).as_secs_f64();
        bucket.tokens = (bucket.tokens + since * float(rate.per_second)).min(float(rate.burst));
        bucket.filled = now;
        let cost = if rate.style == RateStyle::QuickNode { items } else { 1 };
        let mut paid = 0;
        while paid < cost && bucket.tokens >= 1.0 {
            bucket.tokens -= 1.0;
            paid += 1;
        }
        if paid == cost {
            return Ok(());
        }
        if let Some(wait) = rate.style.wait() {
            bucket.ask_for_rest(now, wait, self.delay);
        }
        Err(match rate.style {
            RateStyle::QuickNode => Refusal::Rest { answered: paid, per_second: rate.per_second },
            _ => Refusal::Whole(rate),
        })
    }

    pub(super) fn is_resting(&self, now: Instant) -> bool {
        self.bucket.lock().unwrap().rest.is_some_and(|(from, to)| from <= now && now < to)
    }
}

impl Bucket {
    fn ask_for_rest(&mut self, now: Instant, wait: Duration, delay: Duration) {
        let end = now + wait;
        let on_its_way = ON_ITS_WAY.min(wait / ON_ITS_WAY_PART);
        self.rest = Some(match self.rest {
            // Whoever was asked before knows it by now.
            Some((from, to)) if now < to => (from, to.max(end)),
            _ => (now + delay + on_its_way, end),
        });
    }
}

impl Refusal {
    /// How long it says to wait.
    pub(super) fn wait(self) -> Option<Duration> {
        if let Self::Whole(rate) = self { rate.style.wait() } else { None }
    }

    /// How many calls are answered all the same.
    pub(super) fn answered(self) -> usize {
        match self {
            Self::Rest { answered, .. } => answered,
            Self::Whole(_) => 0,
        }
    }

    /// What the calls get that are not answered.
    pub(super) fn answer(self, messages: &[Value]) -> Answer {
        let rate = match self {
            Self::Rest { per_second, .. } => {
                let text = format!("{per_second}/second request limit reached - reduce calls per second");
                return errors(messages, &json!({ "code": -32007, "message": text }));
            }
            Self::Whole(rate) => rate,
        };
        let wait = self.wait().unwrap_or_default();
        if matches!(rate.style, RateStyle::Status { .. }) {
            return Answer::status(429, Some(&wait.as_secs().to_string()), "Too Many Requests");
        }
        let told = json!({
            "allowed_rps": rate.per_second,
            "backoff_seconds": wait.as_secs_f64(),
            "current_rps": float(rate.per_second) + 0.5,
        });
        let text = "project ID request rate exceeded";
        errors(messages, &json!({ "code": -32005, "message": text, "data": { "rate": told } }))
    }
}

fn errors(messages: &[Value], error: &Value) -> Answer {
    let element = |message: &Value| Element { id: message["id"].clone(), result: Outcome::Failure(error.clone()) };
    Answer::Batch(messages.iter().map(element).collect())
}

/// A number of calls: far below where a float is no longer exact.
#[expect(clippy::cast_precision_loss, reason = "rates are small")]
fn float(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(start: Instant, millis: u64) -> Instant {
        start + Duration::from_millis(millis)
    }

    #[test]
    fn a_bucket_fills_up_to_its_burst() {
        let rate = Rate { per_second: 2, burst: 3, style: RateStyle::Status { retry_after: 1 } };
        let rates = Rates::new(Some(rate), Duration::ZERO);
        let start = Instant::now();
        let taken = |millis| rates.take(7, at(start, millis)).is_ok();
        assert_eq!([0, 0, 0, 0].map(taken), [true, true, true, false]);
        assert_eq!([600, 600].map(taken), [true, false]);
        assert_eq!([60_000, 60_000, 60_000, 60_000].map(taken), [true, true, true, false]);
        assert!((0..100).all(|_| Rates::new(None, Duration::ZERO).take(1, start).is_ok()));
    }

    #[test]
    fn a_rest_begins_when_the_refusal_must_have_been_read_and_ends_when_it_said() {
        let rate = Rate { per_second: 0, burst: 0, style: RateStyle::Infura { backoff: Duration::from_millis(900) } };
        let rates = Rates::new(Some(rate), Duration::from_millis(50));
        let start = Instant::now();
        assert!(!rates.is_resting(start));
        rates.take(1, start).unwrap_err();
        let resting = |millis| rates.is_resting(at(start, millis));
        assert_eq!([0, 249, 250, 899, 900].map(resting), [false, false, true, true, false]);
        // One more refusal makes the rest longer; it does not begin anew.
        rates.take(1, at(start, 800)).unwrap_err();
        assert_eq!([249, 250, 900, 1_699, 1_700].map(resting), [false, true, true, true, false]);
        rates.take(1, at(start, 5_000)).unwrap_err();
        assert_eq!([5_249, 5_250, 5_899, 5_900].map(resting), [false, true, true, false]);
    }
}
