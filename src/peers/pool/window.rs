//! How much one peer is asked at once, learnt from its answers.

use std::time::Duration;

/// Requests in flight to a peer that has not answered yet. Enough to use a link of 100 ms from the start, little enough
/// that a weak peer gets through it.
const FIRST_REQUESTS: f64 = 4.0;

/// A reply should not take the peer longer than this beyond the round trip: a slow peer gets small batches, so that
/// little waits for it. A fast one serves a full batch in a tenth of it.
const REPLY_TIME: f64 = 0.5;

/// The bounds of what one reply should bring, in bytes of JSON. The lower one is a full code; the upper one is large
/// enough that a round trip does not count.
const REPLY_BYTES_MIN: f64 = 65_536.0;
const REPLY_BYTES_MAX: f64 = 4_194_304.0;

/// Bytes asked of one peer at once, at most. A link of 1 Gbit/s and 100 ms holds 12.5 MB.
const BYTES_IN_FLIGHT: usize = 16 << 20;

/// Latency holds while a reply takes no longer than this many times what it takes at best.
const HOLDS: f64 = 2.0;
/// Beyond this many times, requests queue at the peer and fewer do as well.
const CONGESTED: f64 = 4.0;
/// What a congested peer keeps of its window.
const EASE: f64 = 0.85;

/// Differences below this are the noise of this machine, not the peer's.
const NOISE: f64 = 0.010;

/// How much of what is known at best is forgotten with each reply to a request that was alone in flight: nothing can
/// have queued before it, so if it took longer the route or the peer has become slower for good.
const FORGET: f64 = 1.1;

/// The weight of the newest round trip in the running mean, and in its deviation (RFC 6298).
const MEAN_WEIGHT: f64 = 0.125;
const DEVIATION_WEIGHT: f64 = 0.25;

/// A reply is late when it takes this many times longer than usual, and never before the least.
const LATE_FACTOR: f64 = 4.0;
const LATE_MIN: Duration = Duration::from_secs(2);

/// From this many items on, a reply tells what an item costs.
const TELLING_ITEMS: usize = 32;

/// One peer's window: how many items a request may have and how many requests may be in flight.
#[derive(Clone, Debug)]
pub(super) struct Window {
    most_items: f64,
    most_requests: f64,
    items: f64,
    requests: f64,
    /// Until latency gives way for the first time, the window doubles with each round trip.
    starting: bool,
    /// The shortest round trip, in seconds: what the route costs.
    base: Option<f64>,
    /// The least time for one item beyond that.
    item_at_best: Option<f64>,
    /// The usual time for one item, and bytes in a second.
    item_usually: Option<f64>,
    bytes_per_second: Option<f64>,
    /// The running mean of round trips and its deviation.
    mean: Option<(f64, f64)>,
}

/// A reply, as far as the network knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trip {
    /// Bytes of the reply.
    pub bytes: usize,
    /// From the first byte sent to the last one received; no time in our own queues.
    pub time: Duration,
}

impl Window {
    /// The window of a peer that is not known yet, with the user's upper limits.
    pub(super) fn new(most_items: usize, most_requests: usize) -> Self {
        let (most_items, most_requests) = (float(most_items.max(1)), float(most_requests.max(1)));
        Self {
            most_items,
            most_requests,
            items: most_items,
            requests: FIRST_REQUESTS.min(most_requests),
            starting: true,
            base: None,
            item_at_best: None,
            item_usually: None,
            bytes_per_second: None,
            mean: None,
        }
    }

    /// Items in the next request, at most.
    pub(super) fn items(&self) -> usize {
        let in_time = self.item_usually.map_or(f64::INFINITY, |item| REPLY_TIME / item.max(f64::EPSILON));
        whole(self.items.min(in_time.max(1.0)))
    }

    /// Bytes that the next reply should bring, at most.
    pub(super) fn reply_bytes(&self) -> usize {
        let in_time = self.bytes_per_second.unwrap_or(REPLY_BYTES_MAX);
        whole(in_time.clamp(REPLY_BYTES_MIN, REPLY_BYTES_MAX))
    }

    /// Whether one more request fits beside `requests` in flight that will bring about `bytes`.
    pub(super) fn has_room(&self, requests: usize, bytes: usize) -> bool {
        requests < whole(self.requests) && (requests == 0 || bytes < BYTES_IN_FLIGHT)
    }

    /// When a reply for so many items is late, once anything is known of the peer.
    pub(super) fn late_after(&self, items: usize) -> Option<Duration> {
        let (mean, deviation) = self.mean?;
        let expected = self.at_best(items).max(mean + LATE_FACTOR * deviation);
        Some(Duration::try_from_secs_f64(LATE_FACTOR * expected).ok()?.max(LATE_MIN))
    }

    /// The usual round trip.
    pub(super) fn latency(&self) -> Option<Duration> {
        self.mean.and_then(|(mean, _)| Duration::try_from_secs_f64(mean).ok())
    }

    /// Learns from a reply to `asked` items; the window grows if `all_answered` and latency holds, and shrinks if requests queue up.
    pub(super) fn replied(&mut self, asked: usize, trip: Trip, all_answered: bool) {
        let time = trip.time.as_secs_f64();
        let best = self.at_best(asked);
        self.learn(asked, trip, time);
        if !all_answered {
            return;
        }
        if time <= best * HOLDS + NOISE || best == 0.0 {
            let growth = if self.starting { 1.0 } else { 1.0 / self.requests };
            self.requests = (self.requests + growth).min(self.most_requests);
            self.items = (self.items + self.items / 8.0 + 1.0).min(self.most_items);
        } else {
            self.starting = false;
            if time > best * CONGESTED + NOISE {
                // Spread over the window's replies, so that one round trip eases it once.
                self.requests = (self.requests * EASE.powf(1.0 / self.requests)).max(1.0);
            }
        }
    }

    /// The peer did not answer in time, or asks for smaller requests.
    pub(super) fn shrink(&mut self, asked: usize) {
        self.starting = false;
        self.items = (float(asked) / 2.0).floor().clamp(1.0, self.items);
    }

    /// A reply did not come in time: less at once.
    pub(super) fn ease(&mut self) {
        self.starting = false;
        self.requests = (self.requests / 2.0).max(1.0);
    }

    fn at_best(&self, items: usize) -> f64 {
        self.base.unwrap_or_default() + self.item_at_best.unwrap_or_default() * float(items)
    }

    fn learn(&mut self, asked: usize, trip: Trip, time: f64) {
        let forget = if self.requests < 2.0 { FORGET } else { 1.0 };
        let base = self.base.map_or(time, |base| time.min(base * forget));
        self.base = Some(base);
        let (mean, deviation) = self.mean.unwrap_or((time, time / 2.0));
        let deviation = deviation + DEVIATION_WEIGHT * ((time - mean).abs() - deviation);
        self.mean = Some((mean + MEAN_WEIGHT * (time - mean), deviation));
        if asked >= TELLING_ITEMS {
            let item = (time - base).max(0.0) / float(asked);
            self.item_at_best = Some(self.item_at_best.map_or(item, |best| item.min(best * forget)));
            self.item_usually = Some(mix(self.item_usually, item));
            let rate = float(trip.bytes) / time.max(f64::EPSILON);
            self.bytes_per_second = Some(mix(self.bytes_per_second, rate));
        }
    }
}

fn mix(usual: Option<f64>, newest: f64) -> f64 {
    usual.map_or(newest, |usual| usual + MEAN_WEIGHT * (newest - usual))
}

#[expect(clippy::cast_precision_loss, reason = "counts and sizes far below 2^52")]
fn float(number: usize) -> f64 {
    number as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive and bounded by its callers")]
fn whole(number: f64) -> usize {
    number as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(window: &mut Window, items: usize, milliseconds: u64) {
        window.replied(items, Trip { bytes: items * 500, time: Duration::from_millis(milliseconds) }, true);
    }

    fn fits(window: &Window) -> usize {
        (0..100).find(|requests| !window.has_room(*requests, 0)).unwrap()
    }

    #[test]
    fn a_long_link_is_filled_within_few_round_trips() {
        let mut window = Window::new(384, 16);
        assert_eq!((window.items(), fits(&window)), (384, 4));
        let mut round_trips = 0;
        while fits(&window) < 16 {
            for _ in 0..fits(&window) {
                reply(&mut window, 384, 100);
            }
            round_trips += 1;
        }
        assert_eq!(round_trips, 2, "it doubles");
        assert_eq!(window.items(), 384);
    }

    #[test]
    fn requests_that_queue_up_at_a_peer_are_not_sent() {
        let mut window = Window::new(384, 16);
        reply(&mut window, 1, 1);
        reply(&mut window, 384, 11);
        for _ in 0..200 {
            // It works on one request at a time: each waits for those before it.
            let queue = fits(&window) as u64;
            reply(&mut window, 384, 10 * queue + 1);
        }
        assert!((2..=5).contains(&fits(&window)), "{}", fits(&window));
    }

    #[test]
    fn a_route_that_became_slower_is_learnt() {
        let mut window = Window::new(384, 8);
        for _ in 0..10 {
            reply(&mut window, 384, 20);
        }
        for _ in 0..400 {
            reply(&mut window, 384, 200);
        }
        assert_eq!(fits(&window), 8);
    }

    #[test]
    fn a_slow_peer_gets_small_batches() {
        let mut window = Window::new(384, 8);
        reply(&mut window, 1, 1);
        for _ in 0..20 {
            let items = window.items();
            reply(&mut window, items, 5 * items as u64);
        }
        assert!((50..=150).contains(&window.items()), "{}", window.items());
    }

    #[test]
    fn a_reply_is_late_by_the_peers_own_measure() {
        let mut window = Window::new(384, 8);
        assert_eq!(window.late_after(384), None, "nothing is known yet");
        for _ in 0..50 {
            reply(&mut window, 384, 20);
        }
        assert_eq!(window.late_after(384), Some(LATE_MIN));
        for _ in 0..50 {
            reply(&mut window, 384, 1_000);
        }
        let late = window.late_after(384).unwrap();
        assert!(late > Duration::from_secs(3) && late < Duration::from_secs(10), "{late:?}");
    }

    #[test]
    fn what_is_too_much_is_halved_and_grows_back() {
        let mut window = Window::new(384, 8);
        window.shrink(384);
        assert_eq!(window.items(), 192);
        window.shrink(1);
        assert_eq!(window.items(), 1, "never less than one");
        for _ in 0..100 {
            let items = window.items();
            reply(&mut window, items, 10);
        }
        assert_eq!(window.items(), 384);
        window.ease();
        assert_eq!(fits(&window), 4);
    }

    #[test]
    fn bytes_bound_what_is_in_flight_and_what_one_reply_brings() {
        let mut window = Window::new(384, 8);
        assert!(window.has_room(0, usize::MAX), "one request always fits");
        assert!(!window.has_room(1, BYTES_IN_FLIGHT));
        window.replied(100, Trip { bytes: 50_000, time: Duration::from_secs(1) }, true);
        assert_eq!(window.reply_bytes(), 65_536, "a slow link gets small replies");
    }
}
