//! Which peer is asked for what, and what follows from its answer. Pure: time is an argument, sockets are elsewhere.

mod absences;
mod attempts;
mod batch;
mod hedge;
mod limits;
mod pace;
mod peer;
#[cfg(test)]
mod tests;
mod window;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::absences::Absences;
use self::attempts::Attempts;
pub use self::attempts::Unavailable;
use self::batch::{Batch, reply_bytes};
pub use self::limits::PoolLimits;
use self::limits::backoff;
use self::peer::PeerState;
pub use self::peer::Stats;
pub use self::window::Trip;
use super::{Dialect, Verdict};
use crate::trie::{Item, Key, Kind, Scheduler};

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
    /// How the peer is asked.
    pub dialect: Dialect,
    /// What it asks for.
    pub asks: Arc<[Ask]>,
    /// After which time its items are asked of others, by the peer's own measure; only where there are others.
    pub late_after: Option<Duration>,
}

/// A request that has been answered, or never will be.
#[derive(Clone, Debug)]
pub struct Sent {
    /// The peer's place in the pool.
    pub peer: usize,
    /// How the peer was asked.
    pub dialect: Dialect,
    /// What was asked.
    pub asks: Arc<[Ask]>,
    /// Whether its items are asked of others too, so that nothing depends on it: it ran out of time, or was sent
    /// because another peer was slow.
    pub spare: bool,
    /// The reply, as the network saw it.
    pub trip: Option<Trip>,
    /// Whether another peer has been asked for the same because this one is slow.
    hedged: bool,
    at: Instant,
    bytes: usize,
}

/// No peer can be asked any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outage {
    /// For each peer, by its place in the pool, why.
    pub reasons: Vec<(usize, String)>,
}

/// The peers and everything that is asked of them.
#[derive(Debug)]
pub struct Pool {
    limits: PoolLimits,
    peers: Vec<PeerState>,
    /// The one table from which it follows which peer is busy with what.
    in_flight: HashMap<RequestId, Sent>,
    /// Handed out by the scheduler and to be asked of somebody again.
    retry: VecDeque<Item>,
    attempts: Attempts,
    absences: Absences,
    hopeless: Option<Item>,
    turn: usize,
    next_id: u64,
    retries: u64,
    useful_at: Instant,
    /// Whether the last round of assignments left nothing to hand out.
    nothing_new: bool,
}

impl Pool {
    /// A pool of `peers` peers, none of which is asked before it is introduced.
    #[must_use]
    pub fn new(peers: usize, limits: PoolLimits, now: Instant) -> Self {
        Self {
            limits,
            peers: (0..peers).map(|_| PeerState::new(&limits)).collect(),
            in_flight: HashMap::new(),
            retry: VecDeque::new(),
            attempts: Attempts::default(),
            absences: Absences::default(),
            hopeless: None,
            turn: 0,
            next_id: 0,
            retries: 0,
            useful_at: now,
            nothing_new: false,
        }
    }

    /// A peer is asked in this dialect from now on. If that was `given` and not found out, it is never asked what it is.
    pub fn introduce(&mut self, peer: usize, dialect: Dialect, given: bool) {
        if let Some(state) = self.peers.get_mut(peer) {
            state.introduce(dialect, given);
        }
    }

    /// The peers that have to be asked what they are; each is named once until it has been introduced or failed.
    pub fn to_probe(&mut self, now: Instant) -> Vec<usize> {
        let peers = self.peers.iter_mut().enumerate().filter(|(_, state)| state.wants_probe(now));
        peers
            .map(|(peer, state)| {
                state.probing = true;
                state.pace.sent(now);
                peer
            })
            .collect()
    }

    /// A peer did not say what it is; it is asked again later.
    pub fn probe_failed(&mut self, now: Instant, peer: usize, why: String) {
        if let Some(state) = self.peers.get_mut(peer) {
            state.probing = false;
            state.stats.errors += 1;
            state.failed(now, self.limits.failure_delay, why);
        }
    }

    /// A peer is not asked any more.
    pub fn dismiss(&mut self, peer: usize, why: String) {
        if let Some(state) = self.peers.get_mut(peer) {
            (state.probing, state.dismissed) = (false, Some(why));
        }
    }

    /// Gives work to peers with room, in turn: first what has to be asked again, then up to `room` new items. Near the
    /// end, when nothing is left to hand out, idle peers are asked for what others are slow to answer.
    pub fn assign(&mut self, now: Instant, mut room: usize, scheduler: &mut Scheduler) -> Vec<Dispatch> {
        let mut requests = Vec::new();
        let mut passed_over = 0;
        self.nothing_new = false;
        while passed_over < self.peers.len() {
            let peer = self.turn;
            self.turn = (self.turn + 1) % self.peers.len();
            let asks = if self.has_room(peer, now) {
                let asks = self.batch(peer, now, &mut room, scheduler);
                self.nothing_new |= asks.is_empty() && room > 0;
                asks
            } else {
                Vec::new()
            };
            if asks.is_empty() {
                passed_over += 1;
                continue;
            }
            passed_over = 0;
            requests.extend(self.send(now, peer, asks, false));
        }
        if self.nothing_new {
            self.hedge(now, scheduler, &mut requests);
        }
        requests
    }

    fn has_room(&self, peer: usize, now: Instant) -> bool {
        let Some(state) = self.peers.get(peer) else { return false };
        let mine = || self.in_flight.values().filter(|sent| sent.peer == peer);
        state.has_room(now, mine().count(), mine().map(|sent| sent.bytes).sum())
    }

    fn batch(&mut self, peer: usize, now: Instant, room: &mut usize, scheduler: &mut Scheduler) -> Vec<Ask> {
        let Some(state) = self.peers.get(peer) else { return Vec::new() };
        let kinds = state.kinds();
        let mut batch = Batch::new(state.window.items(), state.window.reply_bytes());
        for _ in 0..self.retry.len().min(RETRY_SCAN) {
            if batch.is_full() {
                break;
            }
            let Some(item) = self.retry.pop_front() else { break };
            if !scheduler.is_fetching(&item.key) {
                // Somebody's late reply has brought it.
                self.attempts.forget(&item.key);
            } else if kinds.contains(item.key.kind) && self.attempts.may_ask(&item.key, peer, now) {
                self.retries += 1;
                batch.push(self.ask(peer, item));
            } else {
                // The last peer that had not refused it may have gone.
                self.look_for_hope(item, now);
                self.retry.push_back(item);
            }
        }
        while !batch.is_full() && *room > 0 {
            // Small steps, so that a batch that meets codes does not take more than it can carry.
            let items = scheduler.missing_of(kinds, batch.step().min(*room));
            if items.is_empty() {
                break;
            }
            *room -= items.len();
            for item in items {
                batch.push(self.ask(peer, item));
            }
        }
        batch.asks
    }

    fn ask(&self, peer: usize, item: Item) -> Ask {
        let round = self.attempts.round(&item.key);
        Ask { item, bare_code: self.peers.get(peer).is_some_and(|state| state.asks_bare(item.key.kind, round)) }
    }

    fn send(&mut self, now: Instant, peer: usize, asks: Vec<Ask>, spare: bool) -> Option<Dispatch> {
        let has_others = self.peers.iter().enumerate().any(|(other, state)| other != peer && state.is_usable());
        let state = self.peers.get_mut(peer)?;
        let dialect = state.dialect?;
        let (id, asks): (_, Arc<[Ask]>) = (RequestId(self.next_id), asks.into());
        self.next_id += 1;
        state.stats.requests += 1;
        state.pace.sent(now);
        // Without another peer to ask, impatience would only ask the same one twice.
        let late_after = if has_others { state.window.late_after(asks.len()) } else { None };
        let bytes = reply_bytes(&asks);
        let sent = Sent { peer, dialect, asks: asks.clone(), spare, trip: None, hedged: spare, at: now, bytes };
        self.in_flight.insert(id, sent);
        Some(Dispatch { id, peer, dialect, asks, late_after })
    }

    /// A request has run out of time: its items are asked of others. It still holds its place with the peer, and a
    /// late reply is welcome.
    pub fn give_up(&mut self, id: RequestId) {
        let Some(sent) = self.in_flight.get_mut(&id) else { return };
        let was_spare = std::mem::replace(&mut sent.spare, true);
        let (peer, asks) = (sent.peer, sent.asks.clone());
        if !was_spare {
            self.retry.extend(asks.iter().map(|ask| ask.item));
        }
        if let Some(state) = self.peers.get_mut(peer) {
            state.was_late(asks.len());
        }
    }

    /// A request is over, with a reply or without; its verdicts follow by [`settle`](Self::settle).
    pub fn take(&mut self, id: RequestId, trip: Option<Trip>) -> Option<Sent> {
        let sent = self.in_flight.remove(&id)?;
        Some(Sent { trip, ..sent })
    }

    /// Draws the consequences of a reply, or of none: one verdict for each item asked.
    pub fn settle(&mut self, now: Instant, sent: &Sent, verdicts: &[Verdict], still_wanted: impl Fn(&Key) -> bool) {
        if let Some(state) = self.peers.get_mut(sent.peer) {
            if state.judge(now, &self.limits, &sent.asks, verdicts, sent.trip) {
                self.useful_at = now;
            }
            // Patience with a peer that asked for a rest begins after the rest.
            if verdicts.iter().any(|verdict| matches!(verdict, Verdict::RateLimited(Some(_)))) {
                self.useful_at = self.useful_at.max(state.pace.ready_at().unwrap_or(now));
            }
        }
        let healthy = verdicts.iter().any(Verdict::is_answer);
        for (ask, verdict) in sent.asks.iter().zip(verdicts) {
            let key = ask.item.key;
            if *verdict == Verdict::Found || !still_wanted(&key) {
                self.absences.found(now, u64::from(*verdict == Verdict::Found));
                self.attempts.forget(&key);
                continue;
            }
            if !sent.spare {
                self.retry.push_back(ask.item);
            }
            if let Some(answer) = verdict.refusal(sent.asks.len() == 1, healthy) {
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

    /// The share of items that every peer has refused of late, if it is such that the state must be gone.
    #[must_use]
    pub fn pruned(&self, now: Instant) -> Option<f64> {
        self.absences.pruned(now)
    }

    /// Whether nothing is on its way, and all that is wanted has been refused by every peer and waits to be asked again.
    #[must_use]
    pub fn is_stuck(&self) -> bool {
        let refused = |item: &Item| self.attempts.round(&item.key) > 0;
        self.nothing_new && self.in_time() == 0 && !self.retry.is_empty() && self.retry.iter().all(refused)
    }

    /// Moves an item to its next round when all peers within reach have refused it; after the last there is no hope.
    fn look_for_hope(&mut self, item: Item, now: Instant) {
        let kind = item.key.kind;
        let peers = self.peers.iter().enumerate().filter(|(_, state)| state.is_within_reach(kind));
        let peers = peers.map(|(peer, _)| peer);
        let first = self.limits.absent_delay;
        // A code's second round asks by another key and need not wait.
        let at_once = u32::from(kind == Kind::Code);
        let delay = |round: u32| if round <= at_once { Duration::ZERO } else { backoff(first, round - at_once) };
        if self.attempts.next_round(&item.key, peers, now, delay) {
            self.absences.refused(now);
        }
        if self.attempts.round(&item.key) > self.limits.absent_rounds {
            self.hopeless = Some(item);
        }
    }

    /// Requests that can still bring what they were sent for in time; those that nothing depends on are not waited for.
    #[must_use]
    pub fn in_time(&self) -> usize {
        self.in_flight.values().filter(|sent| !sent.spare).count()
    }

    /// Items in flight or waiting to be asked again.
    #[must_use]
    pub fn items(&self) -> usize {
        let in_flight: usize = self.in_flight.values().filter(|sent| !sent.spare).map(|sent| sent.asks.len()).sum();
        in_flight + self.retry.len()
    }

    /// Forgets everything that waits to be asked again: a new root will ask for what it still wants.
    pub fn forget_retries(&mut self) {
        self.retry.clear();
        self.attempts = Attempts::default();
        self.absences = Absences::default();
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
        let nobody_has_nodes = self.peers.iter().all(|state| state.is_usable() && !state.kinds().nodes);
        let over = all_dismissed || nobody_has_nodes || (failing && patience_ends);
        if !over {
            return None;
        }
        let why = |state: &PeerState| {
            let why = state.dismissed.clone().or(state.last_failure.clone());
            why.unwrap_or_else(|| "it serves codes only".into())
        };
        Some(Outage { reasons: self.peers.iter().map(why).enumerate().collect() })
    }

    /// When to look again although nothing has happened: a rest is over or an item may be asked for again.
    #[must_use]
    pub fn wake_at(&self, now: Instant) -> Option<Instant> {
        let rests = self.peers.iter().filter_map(|state| state.pace.ready_at());
        let waits = self.retry.iter().take(RETRY_SCAN).filter_map(|item| self.attempts.not_before(&item.key));
        rests.chain(waits).chain(self.hedge_at()).filter(|at| *at > now).min()
    }

    /// What each peer has done, and what is known of it.
    #[must_use]
    pub fn stats(&self) -> Vec<Stats> {
        let known =
            |state: &PeerState| Stats { latency: state.window.latency(), dialect: state.dialect, ..state.stats };
        self.peers.iter().map(known).collect()
    }

    /// Items that were asked for more than once.
    #[must_use]
    pub fn retries(&self) -> u64 {
        self.retries
    }
}
