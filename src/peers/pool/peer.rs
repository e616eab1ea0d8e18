//! What is known of one peer.

use std::time::{Duration, Instant};

use super::pace::Pace;
use super::window::{Trip, Window};
use super::{Ask, PoolLimits, backoff};
use crate::peers::{Dialect, Verdict};
use crate::trie::{Kind, Kinds};

/// Failures in a row from which on a peer counts as out of reach: nobody waits for its word on an absent item, and it
/// is asked anew what it is before it gets work, for it may have become another.
const OUT_OF_REACH_FAILURES: u32 = 3;

/// Wrong answers before a peer can be dismissed, so that one flipped bit does not.
const CORRUPT_MIN: u64 = 16;

/// A peer is dismissed when at least one in this many of its answers is wrong.
const CORRUPT_SHARE: u64 = 4;

/// The weight of the newest reply in the share of items that a peer has.
const HIT_WEIGHT: f64 = 0.1;

/// A peer that has less than this share of what it is asked for gets one request at a time.
const HIT_SHARE: f64 = 0.25;

/// What a peer has done so far, and what is known of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Nodes and codes it delivered that were right.
    pub nodes: u64,
    /// Requests sent to it.
    pub requests: u64,
    /// Requests that failed, ran out of time, or were answered in part.
    pub errors: u64,
    /// Answers that were not what was asked for.
    pub corrupt: u64,
    /// Items that it does not have.
    pub absent: u64,
    /// Items of which it has another version.
    pub stale: u64,
    /// The usual time from a request to its reply.
    pub latency: Option<Duration>,
    /// How it is asked.
    pub dialect: Option<Dialect>,
}

/// One peer.
#[derive(Debug)]
pub(super) struct PeerState {
    /// How it is asked; unknown until it has been probed.
    pub(super) dialect: Option<Dialect>,
    /// Whether the dialect was given, and so is not asked for.
    dialect_is_given: bool,
    pub(super) probing: bool,
    /// Why it is not asked any more, if so.
    pub(super) dismissed: Option<String>,
    /// What it has said that it cannot answer for.
    lacks: Kinds,
    /// Whether it has codes under their bare hashes.
    bare_codes: bool,
    pub(super) window: Window,
    pub(super) pace: Pace,
    failures_in_a_row: u32,
    pub(super) last_failure: Option<String>,
    hits: f64,
    pub(super) stats: Stats,
}

impl PeerState {
    pub(super) fn new(limits: &PoolLimits) -> Self {
        Self {
            dialect: None,
            dialect_is_given: false,
            probing: false,
            dismissed: None,
            lacks: Kinds::NONE,
            bare_codes: false,
            window: Window::new(limits.batch_items, limits.requests_per_peer),
            pace: Pace::new(limits.requests_per_second),
            failures_in_a_row: 0,
            last_failure: None,
            hits: 1.0,
            stats: Stats::default(),
        }
    }

    /// The peer is asked in this dialect from now on.
    pub(super) fn introduce(&mut self, dialect: Dialect, is_given: bool) {
        (self.dialect, self.dialect_is_given, self.probing) = (Some(dialect), is_given, false);
        (self.failures_in_a_row, self.last_failure) = (0, None);
    }

    /// What it may be asked for.
    pub(super) fn kinds(&self) -> Kinds {
        let serves = |kind| self.dialect.is_some_and(|dialect| dialect.serves(kind));
        Kinds { nodes: serves(Kind::AccountNode) && !self.lacks.nodes, codes: serves(Kind::Code) && !self.lacks.codes }
    }

    /// Whether it may be sent a request now, beside those in flight.
    pub(super) fn has_room(&self, now: Instant, requests: usize, bytes: usize) -> bool {
        let careful = self.failures_in_a_row > 0 || self.hits < HIT_SHARE;
        self.is_usable()
            && self.pace.allows(now)
            && if careful { requests == 0 } else { self.window.has_room(requests, bytes) }
    }

    /// Whether it may be asked at all.
    pub(super) fn is_usable(&self) -> bool {
        self.dismissed.is_none() && self.dialect.is_some()
    }

    /// Whether anyone should wait for its word on an absent item of this kind.
    pub(super) fn is_within_reach(&self, kind: Kind) -> bool {
        let could_serve = self.dialect.is_none() || self.kinds().contains(kind);
        self.dismissed.is_none() && self.failures_in_a_row < OUT_OF_REACH_FAILURES && could_serve
    }

    /// Whether it has to be asked what it is.
    pub(super) fn wants_probe(&self, now: Instant) -> bool {
        self.dialect.is_none() && !self.probing && self.dismissed.is_none() && self.pace.allows(now)
    }

    /// Whether to ask it for a code under the bare hash in a round.
    pub(super) fn asks_bare(&self, kind: Kind, round: u32) -> bool {
        // Every second round tries what has not worked so far.
        kind == Kind::Code && self.bare_codes != (round % 2 == 1)
    }

    /// It failed as a whole.
    pub(super) fn failed(&mut self, now: Instant, first_wait: Duration, why: String) {
        self.failures_in_a_row += 1;
        self.last_failure = Some(why);
        self.pace.rest(now + backoff(first_wait, self.failures_in_a_row));
        if self.failures_in_a_row >= OUT_OF_REACH_FAILURES && !self.dialect_is_given {
            self.dialect = None;
        }
    }

    /// A request ran out of time.
    pub(super) fn was_late(&mut self, asked: usize) {
        self.stats.errors += 1;
        self.last_failure = Some("no reply in time".into());
        self.window.ease();
        self.window.shrink(asked);
    }

    /// Draws the conclusions from a reply, or from none. True if it was of any use.
    pub(super) fn judge(
        &mut self,
        now: Instant,
        limits: &PoolLimits,
        asks: &[Ask],
        verdicts: &[Verdict],
        trip: Option<Trip>,
    ) -> bool {
        let tally = Tally::of(verdicts);
        self.stats.nodes += tally.found;
        self.stats.corrupt += tally.corrupt;
        self.stats.absent += tally.absent;
        self.stats.stale += tally.stale;
        self.stats.errors += u64::from(tally.failed);
        if let Some(trip) = trip {
            let all_answered = tally.answered() == asks.len() as u64;
            self.window.replied(asks.len(), trip, all_answered);
        }
        if tally.answered() > 0 {
            (self.failures_in_a_row, self.last_failure) = (0, None);
            self.pace.answered();
            self.hits += HIT_WEIGHT * (tally.hit_share() - self.hits);
        }
        self.learn_code_keys(asks, verdicts);
        self.heed(now, limits, asks, verdicts, tally.answered() > 0);
        if self.stats.corrupt >= CORRUPT_MIN && self.stats.corrupt * CORRUPT_SHARE >= self.stats.nodes {
            self.dismissed = Some(format!("{} of its answers were something else", self.stats.corrupt));
        }
        tally.answered() > 0
    }

    /// What a reply asks for: smaller batches, a rest, or to be left alone.
    fn heed(&mut self, now: Instant, limits: &PoolLimits, asks: &[Ask], verdicts: &[Verdict], answered: bool) {
        let mut failure = None;
        let mut rest = None;
        for (ask, verdict) in asks.iter().zip(verdicts) {
            match verdict {
                Verdict::Refused(why) => self.dismissed = Some(why.clone()),
                Verdict::Unsupported(why) => self.cannot_serve(ask.item.key.kind, why),
                Verdict::RateLimited(wait) => rest = rest.max(Some(*wait)),
                Verdict::Failed(why) => failure = failure.or(Some(why)),
                _ => {}
            }
        }
        let unanswered = verdicts.iter().filter(|verdict| **verdict == Verdict::Unanswered).count();
        if verdicts.contains(&Verdict::Shrink) || unanswered * 2 > asks.len() {
            self.window.shrink(asks.len());
        }
        if let Some(wait) = rest {
            self.last_failure = Some("it limits the rate".into());
            self.pace.refused(now, wait);
        }
        match failure {
            Some(why) if !answered => self.failed(now, limits.failure_delay, why.clone()),
            None if !answered && unanswered > 0 && !verdicts.contains(&Verdict::Shrink) => {
                self.failed(now, limits.failure_delay, "its reply answers nothing".into());
            }
            _ => {}
        }
    }

    /// It does not know how to answer for nodes, or for codes.
    fn cannot_serve(&mut self, kind: Kind, why: &str) {
        self.lacks.nodes |= kind != Kind::Code;
        self.lacks.codes |= kind == Kind::Code;
        if self.kinds() == Kinds::NONE {
            self.dismissed = Some(format!("it serves neither nodes nor codes ({why})"));
        }
    }

    /// Remembers under which of the two keys it has codes.
    fn learn_code_keys(&mut self, asks: &[Ask], verdicts: &[Verdict]) {
        let found = asks
            .iter()
            .zip(verdicts)
            .rfind(|(ask, verdict)| ask.item.key.kind == Kind::Code && **verdict == Verdict::Found);
        if let Some((ask, _)) = found {
            self.bare_codes = ask.bare_code;
        }
    }
}

/// A reply's verdicts, counted.
struct Tally {
    found: u64,
    absent: u64,
    stale: u64,
    corrupt: u64,
    failed: bool,
}

impl Tally {
    fn of(verdicts: &[Verdict]) -> Self {
        let count = |wanted: &Verdict| verdicts.iter().filter(|verdict| *verdict == wanted).count() as u64;
        Self {
            found: count(&Verdict::Found),
            absent: count(&Verdict::Absent),
            stale: count(&Verdict::Stale),
            corrupt: count(&Verdict::Corrupt),
            failed: verdicts.iter().any(Verdict::is_failure),
        }
    }

    /// Items on which the peer gave its word. Wrong bytes are no word.
    fn answered(&self) -> u64 {
        self.found + self.absent + self.stale
    }

    #[expect(clippy::cast_precision_loss, reason = "items of one batch")]
    fn hit_share(&self) -> f64 {
        self.found as f64 / self.answered() as f64
    }
}
