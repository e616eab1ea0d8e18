//! Which peer is asked for what, and what follows from its answer. Pure: time is an argument, sockets are elsewhere.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Verdict;
use super::attempts::{Attempts, Unavailable};
use crate::trie::{Item, Key, Kind, Scheduler};

/// What is asked of a peer at once: limits that keep it polite and every reply small.
#[derive(Clone, Copy, Debug)]
pub struct PoolLimits {
    /// Items in one batch, at most. From 250 on the cost of a request no longer shows; geth allows 1000.
    pub batch_items: usize,
    /// Requests in flight to one peer, at most.
    pub requests_per_peer: usize,
    /// How often an item is asked for again after every peer has refused it.
    pub absent_rounds: u32,
    /// The wait before the second round; it doubles with each.
    pub absent_delay: Duration,
    /// The wait after a peer's first failure; it doubles with each further one in a row.
    pub failure_delay: Duration,
    /// How long no peer may be of any use before the sync gives up.
    pub outage_patience: Duration,
}

impl Default for PoolLimits {
    fn default() -> Self {
        Self {
            batch_items: 384,
            requests_per_peer: 4,
            absent_rounds: 5,
            absent_delay: Duration::from_millis(250),
            failure_delay: Duration::from_millis(250),
            outage_patience: Duration::from_secs(60),
        }
    }
}

/// What one reply should not exceed by much, in bytes of JSON. Large enough that the round trip does not count, small
/// enough that a slow link delivers it within the time-out.
const REPLY_BYTES_TARGET: usize = 4 << 20;

/// JSON bytes of a full branch node, the largest common node: 532 bytes as hex, and its envelope.
const NODE_REPLY_BYTES: usize = 1_200;

/// JSON bytes of a code at mainnet's size limit (EIP-170: 24,576 bytes).
const CODE_REPLY_BYTES: usize = 49_300;

/// The longest rest after failures in a row.
const REST_MAX: Duration = Duration::from_secs(15);

/// Failures in a row from which on a peer counts as out of reach: nobody waits for its word on an absent item.
const OUT_OF_REACH_FAILURES: u32 = 3;

/// The rest when a peer asks for one and does not say how long.
const RATE_LIMIT_REST: Duration = Duration::from_secs(1);

/// Wrong answers before a peer can be dismissed, so that one flipped bit does not.
const CORRUPT_MIN: u64 = 16;

/// A peer is dismissed when at least one in this many of its answers is wrong.
const CORRUPT_SHARE: u64 = 4;

/// How many retries are looked through for one batch; the rest waits for the next.
const RETRY_SCAN: usize = 2_048;

/// Identifies one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// One item in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The item.
    pub item: Item,
    /// For a code: ask by the bare hash, as old databases have it.
    pub bare_code: bool,
}

/// A request to be sent.
#[derive(Clone, Debug)]
pub struct Dispatch {
    /// Its id.
    pub id: RequestId,
    /// The peer's place in the pool.
    pub peer: usize,
    /// What it asks for.
    pub asks: Arc<[Ask]>,
}

/// A request that has been answered, or never will be.
#[derive(Clone, Debug)]
pub struct Sent {
    /// The peer's place in the pool.
    pub peer: usize,
    /// What was asked.
    pub asks: Arc<[Ask]>,
    /// Whether the request ran out of time before, and its items were given to others.
    pub given_up: bool,
}

/// What a peer has done so far.
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
}

/// No peer can be asked any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outage {
    /// For each peer, by its place in the pool, why.
    pub reasons: Vec<(usize, String)>,
}

#[derive(Debug)]
struct Peer {
    /// Why it is not asked any more, if so.
    dismissed: Option<String>,
    batch_items: usize,
    failures_in_a_row: u32,
    last_failure: Option<String>,
    rests_until: Option<Instant>,
    stats: Stats,
}

/// The peers and everything that is asked of them.
#[derive(Debug)]
pub struct Pool {
    limits: PoolLimits,
    peers: Vec<Peer>,
    /// The one table from which it follows which peer is busy with what.
    in_flight: HashMap<RequestId, Sent>,
    /// Handed out by the scheduler and to be asked of somebody again.
    retry: VecDeque<Item>,
    attempts: Attempts,
    hopeless: Option<Item>,
    turn: usize,
    next_id: u64,
    retries: u64,
    useful_at: Instant,
}

impl Pool {
    /// A pool of `peers` peers, all idle.
    #[must_use]
    pub fn new(peers: usize, limits: PoolLimits, now: Instant) -> Self {
        let peer = |_| Peer {
            dismissed: None,
            batch_items: limits.batch_items,
            failures_in_a_row: 0,
            last_failure: None,
            rests_until: None,
            stats: Stats::default(),
        };
        Self {
            limits,
            peers: (0..peers).map(peer).collect(),
            in_flight: HashMap::new(),
            retry: VecDeque::new(),
            attempts: Attempts::default(),
            hopeless: None,
            turn: 0,
            next_id: 0,
            retries: 0,
            useful_at: now,
        }
    }

    /// Gives work to peers with room, in turn: first what has to be asked again, then up to `room` new items.
    pub fn assign(&mut self, now: Instant, mut room: usize, scheduler: &mut Scheduler) -> Vec<Dispatch> {
        let mut requests = Vec::new();
        let mut passed_over = 0;
        while passed_over < self.peers.len() {
            let peer = self.turn;
            self.turn = (self.turn + 1) % self.peers.len();
            let asks = if self.has_room(peer, now) { self.batch(peer, now, &mut room, scheduler) } else { Vec::new() };
            if asks.is_empty() {
                passed_over += 1;
                continue;
            }
            passed_over = 0;
            requests.push(self.send(peer, asks));
        }
        requests
    }

    fn has_room(&self, peer: usize, now: Instant) -> bool {
        let Some(state) = self.peers.get(peer) else { return false };
        let busy = self.in_flight.values().filter(|sent| sent.peer == peer).count();
        let limit = if state.failures_in_a_row > 0 { 1 } else { self.limits.requests_per_peer };
        state.dismissed.is_none() && state.rests_until.is_none_or(|until| until <= now) && busy < limit
    }

    fn batch(&mut self, peer: usize, now: Instant, room: &mut usize, scheduler: &mut Scheduler) -> Vec<Ask> {
        let most = self.peers.get(peer).map_or(0, |state| state.batch_items);
        let mut batch = Batch { asks: Vec::with_capacity(most), most, bytes: 0 };
        for _ in 0..self.retry.len().min(RETRY_SCAN) {
            if batch.is_full() {
                break;
            }
            let Some(item) = self.retry.pop_front() else { break };
            if !scheduler.is_fetching(&item.key) {
                // Somebody's late reply has brought it.
                self.attempts.forget(&item.key);
            } else if self.attempts.may_ask(&item.key, peer, now) {
                self.retries += 1;
                batch.push(self.ask(item));
            } else {
                // The last peer that had not refused it may have gone.
                self.look_for_hope(item, now);
                self.retry.push_back(item);
            }
        }
        while !batch.is_full() && *room > 0 {
            // Small steps, so that a batch that meets codes does not take more than it can carry.
            let items = scheduler.missing(batch.step().min(*room));
            if items.is_empty() {
                break;
            }
            *room -= items.len();
            for item in items {
                batch.push(Ask { item, bare_code: false });
            }
        }
        batch.asks
    }

    /// Every second round asks for a code the old way.
    fn ask(&self, item: Item) -> Ask {
        Ask { item, bare_code: item.key.kind == Kind::Code && self.attempts.round(&item.key) % 2 == 1 }
    }

    fn send(&mut self, peer: usize, asks: Vec<Ask>) -> Dispatch {
        let (id, asks): (_, Arc<[Ask]>) = (RequestId(self.next_id), asks.into());
        self.next_id += 1;
        self.in_flight.insert(id, Sent { peer, asks: asks.clone(), given_up: false });
        if let Some(state) = self.peers.get_mut(peer) {
            state.stats.requests += 1;
        }
        Dispatch { id, peer, asks }
    }

    /// A request has run out of time: its items are asked of others. It still holds its place with the peer, and a
    /// late reply is welcome.
    pub fn give_up(&mut self, id: RequestId) {
        let Some(sent) = self.in_flight.get_mut(&id).filter(|sent| !sent.given_up) else { return };
        sent.given_up = true;
        let sent = sent.clone();
        self.retry.extend(sent.asks.iter().map(|ask| ask.item));
        if let Some(state) = self.peers.get_mut(sent.peer) {
            state.stats.errors += 1;
            state.last_failure = Some("no reply in time".into());
            state.batch_items = (sent.asks.len() / 2).clamp(1, state.batch_items);
        }
    }

    /// A request is over, with or without a reply; its verdicts follow by [`settle`](Self::settle).
    pub fn take(&mut self, id: RequestId) -> Option<Sent> {
        self.in_flight.remove(&id)
    }

    /// Draws the consequences of a reply, or of none: one verdict for each item asked.
    pub fn settle(&mut self, now: Instant, sent: &Sent, verdicts: &[Verdict], still_wanted: impl Fn(&Key) -> bool) {
        self.judge(now, sent, verdicts);
        for (ask, verdict) in sent.asks.iter().zip(verdicts) {
            let key = ask.item.key;
            if *verdict == Verdict::Found || !still_wanted(&key) {
                self.attempts.forget(&key);
                continue;
            }
            if !sent.given_up {
                self.retry.push_back(ask.item);
            }
            if let Some(answer) = refusal(verdict, sent.asks.len()) {
                self.attempts.refuse(key, sent.peer, answer, now);
                self.look_for_hope(ask.item, now);
            }
        }
    }

    /// An item that no peer has, although all were asked again and again.
    #[must_use]
    pub fn unavailable(&self, now: Instant) -> Option<Unavailable> {
        self.hopeless.map(|item| self.attempts.report(item, now))
    }

    /// Moves an item to its next round when all peers within reach have refused it; after the last there is no hope.
    fn look_for_hope(&mut self, item: Item, now: Instant) {
        let within_reach = |state: &Peer| state.dismissed.is_none() && state.failures_in_a_row < OUT_OF_REACH_FAILURES;
        let peers = self.peers.iter().enumerate().filter(|(_, state)| within_reach(state)).map(|(peer, _)| peer);
        let first = self.limits.absent_delay;
        // A code's second round asks by another key and need not wait.
        let at_once = u32::from(item.key.kind == Kind::Code);
        let delay = |round: u32| if round <= at_once { Duration::ZERO } else { backoff(first, round - at_once) };
        self.attempts.next_round(&item.key, peers, now, delay);
        if self.attempts.round(&item.key) > self.limits.absent_rounds {
            self.hopeless = Some(item);
        }
    }

    /// What a reply says of the peer.
    fn judge(&mut self, now: Instant, sent: &Sent, verdicts: &[Verdict]) {
        let (limits, Some(state)) = (self.limits, self.peers.get_mut(sent.peer)) else { return };
        let count = |what: fn(&Verdict) -> bool| verdicts.iter().filter(|verdict| what(verdict)).count() as u64;
        let found = count(|verdict| *verdict == Verdict::Found);
        let answered = found + count(|verdict| matches!(verdict, Verdict::Absent));
        state.stats.nodes += found;
        state.stats.corrupt += count(|verdict| *verdict == Verdict::Corrupt);
        let failed = |v: &Verdict| !matches!(v, Verdict::Found | Verdict::Absent | Verdict::Corrupt | Verdict::Shrink);
        state.stats.errors += u64::from(verdicts.iter().any(failed));
        if answered > 0 {
            (state.failures_in_a_row, state.last_failure) = (0, None);
            self.useful_at = now;
        }
        if let Some(Verdict::Unsupported(why)) = verdicts.iter().find(|v| matches!(v, Verdict::Unsupported(_))) {
            state.dismissed = Some(format!("it does not offer debug_dbGet ({why})"));
        }
        if state.stats.corrupt >= CORRUPT_MIN && state.stats.corrupt * CORRUPT_SHARE >= state.stats.nodes {
            state.dismissed = Some(format!("{} of its answers were something else", state.stats.corrupt));
        }
        if let Some(Verdict::RateLimited(wait)) = verdicts.iter().find(|v| matches!(v, Verdict::RateLimited(_))) {
            let rests_until = now + wait.unwrap_or(RATE_LIMIT_REST);
            (state.rests_until, state.last_failure) = (Some(rests_until), Some("it limits the rate".into()));
            // Patience with a peer that asked for a rest begins after the rest.
            self.useful_at = self.useful_at.max(if wait.is_some() { rests_until } else { self.useful_at });
        }
        let failure = verdicts.iter().find_map(|v| if let Verdict::Failed(why) = v { Some(why.clone()) } else { None });
        if let (Some(why), 0) = (failure, answered) {
            state.failures_in_a_row += 1;
            state.last_failure = Some(why);
            state.rests_until = Some(now + backoff(limits.failure_delay, state.failures_in_a_row));
        }
        if verdicts.contains(&Verdict::Shrink) {
            state.batch_items = (sent.asks.len() / 2).clamp(1, state.batch_items);
        } else if found == sent.asks.len() as u64 && !sent.given_up {
            state.batch_items = (state.batch_items + state.batch_items / 8 + 1).min(limits.batch_items);
        }
    }

    /// Requests that can still bring what they were sent for in time; those given up are not waited for.
    #[must_use]
    pub fn in_time(&self) -> usize {
        self.in_flight.values().filter(|sent| !sent.given_up).count()
    }

    /// Items in flight or waiting to be asked again.
    #[must_use]
    pub fn items(&self) -> usize {
        let in_flight: usize = self.in_flight.values().filter(|sent| !sent.given_up).map(|sent| sent.asks.len()).sum();
        in_flight + self.retry.len()
    }

    /// Forgets everything that waits to be asked again: a new root will ask for what it still wants.
    pub fn forget_retries(&mut self) {
        self.retry.clear();
        self.attempts = Attempts::default();
        self.hopeless = None;
    }

    /// The peers that are not asked any more, and why.
    pub fn dismissed(&self) -> impl Iterator<Item = (usize, &str)> {
        let reasons = self.peers.iter().enumerate();
        reasons.filter_map(|(peer, state)| state.dismissed.as_deref().map(|reason| (peer, reason)))
    }

    /// Whether no peer is of any use and none will be, or none has been for longer than patience lasts.
    #[must_use]
    pub fn outage(&self, now: Instant) -> Option<Outage> {
        let all_dismissed = self.peers.iter().all(|state| state.dismissed.is_some());
        let failing = self.peers.iter().all(|state| state.dismissed.is_some() || state.last_failure.is_some());
        let patience_ends = self.useful_at + self.limits.outage_patience <= now;
        let over = all_dismissed || (failing && patience_ends);
        if !over {
            return None;
        }
        let why = |state: &Peer| state.dismissed.clone().or(state.last_failure.clone()).unwrap_or_default();
        Some(Outage { reasons: self.peers.iter().map(why).enumerate().collect() })
    }

    /// When to look again although nothing has happened: a rest is over or an item may be asked for again.
    #[must_use]
    pub fn wake_at(&self, now: Instant) -> Option<Instant> {
        let rests = self.peers.iter().filter_map(|state| state.rests_until);
        let waits = self.retry.iter().take(RETRY_SCAN).filter_map(|item| self.attempts.not_before(&item.key));
        rests.chain(waits).filter(|at| *at > now).min()
    }

    /// What each peer has done.
    #[must_use]
    pub fn stats(&self) -> Vec<Stats> {
        self.peers.iter().map(|state| state.stats).collect()
    }

    /// Items that were asked for more than once.
    #[must_use]
    pub fn retries(&self) -> u64 {
        self.retries
    }
}

/// A batch being filled, up to a number of items and an estimate of the reply's size.
struct Batch {
    asks: Vec<Ask>,
    most: usize,
    bytes: usize,
}

impl Batch {
    fn push(&mut self, ask: Ask) {
        self.bytes += if ask.item.key.kind == Kind::Code { CODE_REPLY_BYTES } else { NODE_REPLY_BYTES };
        self.asks.push(ask);
    }

    fn is_full(&self) -> bool {
        self.step() == 0
    }

    /// How many items fit in any case.
    fn step(&self) -> usize {
        let by_bytes = REPLY_BYTES_TARGET.saturating_sub(self.bytes) / CODE_REPLY_BYTES;
        self.most.saturating_sub(self.asks.len()).min(by_bytes)
    }
}

/// The answer to note when a peer will not serve an item; `None` when it may on another try. One item alone that is too
/// big for the peer, or that it fails on, is one that it will not serve.
fn refusal(verdict: &Verdict, asked: usize) -> Option<&'static str> {
    match verdict {
        Verdict::Absent => Some("absent"),
        Verdict::Corrupt => Some("something else"),
        Verdict::Shrink if asked == 1 => Some("too large"),
        Verdict::Failed(_) if asked == 1 => Some("an error"),
        _ => None,
    }
}

fn backoff(first: Duration, times: u32) -> Duration {
    first.saturating_mul(2u32.saturating_pow(times.saturating_sub(1))).min(REST_MAX)
}
