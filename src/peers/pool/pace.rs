//! When a peer may be sent the next request.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The rest when a peer asks for one and does not say how long; it doubles with each further one in a row.
const REST: Duration = Duration::from_secs(1);

/// What is kept of the rate at which a peer began to refuse.
const SLOW_DOWN: f64 = 0.8;

/// How much faster it gets with each answer: fast as long as it is well below the pace that was last refused, and slowly
/// beyond that, so that a limit once found is touched some times a minute and not some times a second.
const SPEED_UP: f64 = 1.05;
const FEEL_AHEAD: f64 = 1.0005;
const WELL_BELOW: f64 = 0.95;

/// The slowest pace that is learnt, in requests a second: a rest does the remainder.
const SLOWEST: f64 = 0.5;

/// The span over which the present rate is measured, and the most requests looked at.
const SPAN: Duration = Duration::from_secs(1);
const SPAN_REQUESTS: usize = 1_024;

/// One peer's pace: the user's limit, what its refusals taught, and the rest it asked for.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    /// Requests a second at most, if the user set a limit.
    limit: Option<f64>,
    /// Requests a second at most, learnt from refusals.
    learnt: Option<f64>,
    /// The learnt pace that was refused last.
    refused_at: Option<f64>,
    /// When the last requests were sent.
    sent: VecDeque<Instant>,
    next: Option<Instant>,
    rests_until: Option<Instant>,
    refusals_in_a_row: u32,
}

impl Pace {
    pub(super) fn new(limit: Option<f64>) -> Self {
        Self {
            limit,
            learnt: None,
            refused_at: None,
            sent: VecDeque::new(),
            next: None,
            rests_until: None,
            refusals_in_a_row: 0,
        }
    }

    /// Whether a request may be sent now.
    pub(super) fn allows(&self, now: Instant) -> bool {
        self.ready_at().is_none_or(|at| at <= now)
    }

    /// From when on a request may be sent.
    pub(super) fn ready_at(&self) -> Option<Instant> {
        self.rests_until.max(self.next)
    }

    /// A request is sent.
    pub(super) fn sent(&mut self, now: Instant) {
        while self.sent.len() >= SPAN_REQUESTS || self.sent.front().is_some_and(|at| *at + SPAN <= now) {
            self.sent.pop_front();
        }
        self.sent.push_back(now);
        let rate = [self.limit, self.learnt].into_iter().flatten().fold(f64::INFINITY, f64::min);
        self.next = rate.is_finite().then(|| now + Duration::from_secs_f64(1.0 / rate));
    }

    /// The peer refused, and said how long to wait or not.
    pub(super) fn refused(&mut self, now: Instant, wait: Option<Duration>) {
        let wait = wait.unwrap_or(super::backoff(REST, self.refusals_in_a_row + 1));
        // What was sent together is refused together, and is one refusal.
        if self.rests_until.is_none_or(|until| until <= now) {
            self.refusals_in_a_row += 1;
            // The first time, a burst was refused, and what the peer bears in the long run is not known yet.
            self.refused_at = self.learnt;
            let burst = self.sent.iter().filter(|at| **at + SPAN > now).count().max(1);
            let pace = self.learnt.unwrap_or(f64::from(u32::try_from(burst).unwrap_or(u32::MAX)));
            self.learnt = Some((SLOW_DOWN * pace).max(SLOWEST));
        }
        self.rest(now + wait);
    }

    /// Nothing is sent before `until`.
    pub(super) fn rest(&mut self, until: Instant) {
        self.rests_until = self.rests_until.max(Some(until));
    }

    /// The peer answered.
    pub(super) fn answered(&mut self) {
        self.refusals_in_a_row = 0;
        if let Some(learnt) = &mut self.learnt {
            let is_well_below = self.refused_at.is_none_or(|refused| *learnt < WELL_BELOW * refused);
            *learnt *= if is_well_below { SPEED_UP } else { FEEL_AHEAD };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn a_limit_spaces_requests_evenly() {
        let (mut pace, now) = (Pace::new(Some(4.0)), Instant::now());
        assert!(pace.allows(now));
        pace.sent(now);
        assert!(!pace.allows(now + ms(249)) && pace.allows(now + ms(250)));
        assert!(Pace::new(None).allows(now));
    }

    #[test]
    fn nothing_is_sent_inside_a_wait_that_was_asked_for() {
        let (mut pace, now) = (Pace::new(None), Instant::now());
        pace.sent(now);
        pace.refused(now, Some(ms(3_000)));
        // A shorter one does not cut it.
        pace.refused(now + ms(1), Some(ms(10)));
        assert!(!pace.allows(now + ms(2_999)) && pace.allows(now + ms(3_000)));
        assert_eq!(pace.ready_at(), Some(now + ms(3_000)));
    }

    #[test]
    fn refusals_teach_a_pace_and_good_replies_raise_it() {
        let (mut pace, start) = (Pace::new(None), Instant::now());
        (0..30).for_each(|turn| pace.sent(start + ms(turn * 10)));
        let now = start + ms(300);
        pace.refused(now, Some(ms(100)));
        pace.refused(now, Some(ms(100)));
        assert_eq!(pace.learnt, Some(24.0), "what was sent together counts once");
        (0..40).for_each(|_| pace.answered());
        assert!(pace.learnt.unwrap() > 100.0, "no pace has been refused yet");
        let later = now + ms(5_000);
        let refused = pace.learnt.unwrap();
        pace.refused(later, Some(ms(100)));
        (0..40).for_each(|_| pace.answered());
        let learnt = pace.learnt.unwrap();
        assert!((0.95 * refused..refused).contains(&learnt), "{learnt} after {refused}: it feels its way");
    }

    #[test]
    fn rests_of_unknown_length_grow() {
        let (mut pace, now) = (Pace::new(None), Instant::now());
        pace.refused(now, None);
        assert_eq!(pace.ready_at(), Some(now + ms(1_000)));
        let later = now + ms(1_000);
        pace.refused(later, None);
        assert_eq!(pace.ready_at(), Some(later + ms(2_000)));
        assert!(pace.learnt.unwrap() >= SLOWEST);
    }
}
