//! When a peer may be asked again.

use std::time::{Duration, Instant};

use crate::peers::{CallError, Verdict};

/// The longest rest that is waited out. A sync is patient; somebody who looks a peer over wants to know why it takes
/// long instead.
const REST_MAX: Duration = Duration::from_secs(5);

/// The rest for a peer that says "too often" and not for how long: as long as a window of one second.
const REST_UNSAID: Duration = Duration::from_secs(1);

/// Rests in one survey. A peer that needs more has a limit that a measurement only runs into again and again.
const RESTS_MAX: u32 = 3;

/// A peer said that it is asked too often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// How often it said so.
    pub times: u32,
    /// The longest rest that it asked for, if it said one.
    pub wait: Option<Duration>,
    /// Whether the survey was cut short by it.
    pub cut_short: bool,
}

/// Lets requests to one peer out.
#[derive(Debug)]
pub(super) struct Gate {
    interval: Duration,
    /// Nothing goes out before.
    next: Instant,
    limit: Option<RateLimit>,
    closed: Option<Closed>,
}

/// Why nothing goes out any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Closed {
    #[error("it asks for a rest of {} s", .0.as_secs_f64().ceil())]
    LongRest(Duration),
    #[error("it asked for {RESTS_MAX} rests")]
    ManyRests,
    #[error("at so few requests a second it takes too long")]
    LowRate,
}

impl Gate {
    /// A gate that lets so many requests out in a second.
    pub(super) fn new(per_second: Option<f64>) -> Self {
        let interval = per_second.and_then(|rate| Duration::try_from_secs_f64(1.0 / rate).ok()).unwrap_or_default();
        Self { interval, next: Instant::now(), limit: None, closed: None }
    }

    /// Waits until a request may go out.
    pub(super) async fn pass(&mut self) -> Result<(), Closed> {
        if let Some(closed) = self.closed {
            return Err(closed);
        }
        let now = Instant::now();
        if self.next.saturating_duration_since(now) > REST_MAX {
            // A rest closes the gate at once, so it is the rate.
            return Err(self.close(Closed::LowRate));
        }
        tokio::time::sleep_until(self.next.into()).await;
        self.next = self.next.max(now) + self.interval;
        Ok(())
    }

    fn rest(&mut self, wait: Option<Duration>) {
        let limit = self.limit.get_or_insert(RateLimit { times: 0, wait: None, cut_short: false });
        limit.times += 1;
        limit.wait = limit.wait.max(wait);
        let rest = wait.unwrap_or(REST_UNSAID);
        self.next = self.next.max(Instant::now() + rest);
        if rest > REST_MAX {
            self.close(Closed::LongRest(rest));
        } else if self.limit.is_some_and(|limit| limit.times > RESTS_MAX) {
            self.close(Closed::ManyRests);
        }
    }

    /// The peer said this; perhaps that it needs a rest.
    pub(super) fn heed(&mut self, verdict: &Verdict) {
        if let Verdict::RateLimited(wait) = verdict {
            self.rest(*wait);
        }
    }

    /// A call failed; perhaps because the peer needs a rest.
    pub(super) fn failed(&mut self, error: &CallError) {
        match error {
            CallError::Transport(error) => self.heed(&Verdict::of_transport(error)),
            CallError::Rpc(error) => self.heed(&Verdict::of_error(error)),
            CallError::Garbage { .. } => {}
        }
    }

    /// The peer's words on being asked too often.
    pub(super) fn limit(&self) -> Option<RateLimit> {
        self.limit
    }

    /// Why nothing goes out any more.
    pub(super) fn closed(&self) -> Option<Closed> {
        self.closed
    }

    fn close(&mut self, why: Closed) -> Closed {
        if let Some(limit) = &mut self.limit {
            limit.cut_short |= why != Closed::LowRate;
        }
        *self.closed.get_or_insert(why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_short_rest_is_waited_out() {
        let mut gate = Gate::new(None);
        let started = Instant::now();
        gate.rest(Some(Duration::from_millis(20)));
        gate.pass().await.unwrap();
        assert!(started.elapsed() >= Duration::from_millis(20));
        assert_eq!(gate.limit().map(|limit| (limit.times, limit.cut_short)), Some((1, false)));
    }

    #[tokio::test]
    async fn a_long_rest_and_one_rest_too_many_are_the_end() {
        let mut gate = Gate::new(None);
        gate.rest(Some(Duration::from_secs(6)));
        assert_eq!(gate.pass().await, Err(Closed::LongRest(Duration::from_secs(6))));
        assert!(gate.limit().is_some_and(|limit| limit.cut_short));
        let mut gate = Gate::new(None);
        (0..=RESTS_MAX).for_each(|_| gate.rest(Some(Duration::ZERO)));
        assert_eq!(gate.pass().await, Err(Closed::ManyRests));
    }

    #[tokio::test]
    async fn the_users_rate_spaces_requests_out() {
        let mut gate = Gate::new(Some(100.0));
        let started = Instant::now();
        for _ in 0..3 {
            gate.pass().await.unwrap();
        }
        assert!(started.elapsed() >= Duration::from_millis(20));
        let mut gate = Gate::new(Some(0.1));
        gate.pass().await.unwrap();
        assert_eq!(gate.pass().await, Err(Closed::LowRate));
    }
}
