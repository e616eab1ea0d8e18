//! Who was asked for an item in vain. Kept only for items with a failed attempt, so almost always small.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::trie::{Item, Key};

/// Failed attempts, by item.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    by_key: HashMap<Key, Attempt>,
}

/// The failed attempts at one item. A round is over when every peer that can be asked has refused.
#[derive(Debug)]
struct Attempt {
    round: u32,
    not_before: Option<Instant>,
    refusals: Vec<Refusal>,
}

#[derive(Debug)]
struct Refusal {
    peer: usize,
    round: u32,
    answer: &'static str,
    at: Instant,
}

/// No peer has an item, and all were asked again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unavailable {
    /// The item.
    pub item: Item,
    /// For each peer that was asked: its place in the pool, its last answer, and how long ago that was.
    pub answers: Vec<(usize, &'static str, Duration)>,
}

impl Attempts {
    /// Notes that a peer refused an item.
    pub(super) fn refuse(&mut self, key: Key, peer: usize, answer: &'static str, now: Instant) {
        let attempt =
            self.by_key.entry(key).or_insert_with(|| Attempt { round: 0, not_before: None, refusals: Vec::new() });
        let round = attempt.round;
        attempt.refusals.retain(|refusal| refusal.peer != peer);
        attempt.refusals.push(Refusal { peer, round, answer, at: now });
    }

    /// Whether a peer may be asked for an item now.
    pub(super) fn may_ask(&self, key: &Key, peer: usize, now: Instant) -> bool {
        self.by_key.get(key).is_none_or(|attempt| {
            attempt.not_before.is_none_or(|at| at <= now)
                && !attempt.refusals.iter().any(|refusal| refusal.peer == peer && refusal.round == attempt.round)
        })
    }

    /// How often all peers have refused an item.
    pub(super) fn round(&self, key: &Key) -> u32 {
        self.by_key.get(key).map_or(0, |attempt| attempt.round)
    }

    /// Begins the next round for an item if all of `peers` have refused in this one; `delay` says how long to wait
    /// before it. True if it began.
    pub(super) fn next_round(
        &mut self,
        key: &Key,
        peers: impl Iterator<Item = usize>,
        now: Instant,
        delay: impl Fn(u32) -> Duration,
    ) -> bool {
        let Some(attempt) = self.by_key.get_mut(key) else { return false };
        let refused =
            |peer| attempt.refusals.iter().any(|refusal| refusal.peer == peer && refusal.round == attempt.round);
        let mut peers = peers.peekable();
        let over = peers.peek().is_some() && peers.all(refused);
        if over {
            attempt.round += 1;
            attempt.not_before = Some(now + delay(attempt.round));
        }
        over
    }

    /// When the item may be asked for again, if it has to wait.
    pub(super) fn not_before(&self, key: &Key) -> Option<Instant> {
        self.by_key.get(key)?.not_before
    }

    /// Forgets an item that was found, or that nobody wants any more.
    pub(super) fn forget(&mut self, key: &Key) {
        // Nearly always nothing was refused, and nothing has to be hashed to know that.
        if !self.by_key.is_empty() {
            self.by_key.remove(key);
        }
    }

    /// What each peer said of an item.
    pub(super) fn report(&self, item: Item, now: Instant) -> Unavailable {
        let refusals = self.by_key.get(&item.key).map(|attempt| attempt.refusals.as_slice()).unwrap_or_default();
        let answers = refusals.iter().map(|refusal| (refusal.peer, refusal.answer, now - refusal.at)).collect();
        Unavailable { item, answers }
    }
}
