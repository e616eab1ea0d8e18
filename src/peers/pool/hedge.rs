//! The end game: what a slow peer was asked last is asked of an idle one too, and the first good answer counts.

use std::time::{Duration, Instant};

use super::{Ask, Dispatch, Pool, RequestId};
use crate::trie::Scheduler;

/// A request is asked of a second peer when it has taken this many times that peer's usual round trip.
const PATIENCE: u32 = 2;

/// And not before this: below it lies the noise of the machine.
const PATIENCE_MIN: Duration = Duration::from_millis(20);

impl Pool {
    /// Asks idle peers for what others have not answered for long. One such request for each peer at a time, and one
    /// for each original: the load stays small.
    pub(super) fn hedge(&mut self, now: Instant, scheduler: &Scheduler, requests: &mut Vec<Dispatch>) {
        for peer in self.idle_peers() {
            if !self.has_room(peer, now) {
                continue;
            }
            let Some((original, asks)) = self.to_hedge(peer, now, scheduler) else { continue };
            if let Some(sent) = self.in_flight.get_mut(&original) {
                sent.hedged = true;
            }
            self.retries += asks.len() as u64;
            requests.extend(self.send(now, peer, asks, true));
        }
    }

    /// When a request becomes old enough to be asked of a peer that is idle now.
    pub(super) fn hedge_at(&self) -> Option<Instant> {
        if !self.nothing_new {
            return None;
        }
        let times = self.idle_peers().into_iter().filter_map(|peer| {
            let sent = self.in_flight.values().filter(|sent| !sent.hedged && !sent.spare && sent.peer != peer);
            Some(sent.map(|sent| sent.at).min()? + self.patience(peer)?)
        });
        times.min()
    }

    /// Peers with nothing to do whose speed is known.
    fn idle_peers(&self) -> Vec<usize> {
        let busy = |peer: usize| self.in_flight.values().any(|sent| sent.peer == peer);
        let peers = 0..self.peers.len();
        peers.filter(|peer| !busy(*peer) && self.patience(*peer).is_some()).collect()
    }

    /// How old a request has to be before this peer helps out.
    fn patience(&self, peer: usize) -> Option<Duration> {
        let state = self.peers.get(peer).filter(|state| state.is_usable())?;
        Some((state.window.latency()? * PATIENCE).max(PATIENCE_MIN))
    }

    /// The oldest request of another peer, and what of it this peer can be asked for.
    fn to_hedge(&self, peer: usize, now: Instant, scheduler: &Scheduler) -> Option<(RequestId, Vec<Ask>)> {
        let (patience, state) = (self.patience(peer)?, self.peers.get(peer)?);
        let slow = self
            .in_flight
            .iter()
            .filter(|(_, sent)| !sent.hedged && !sent.spare && sent.peer != peer && sent.at + patience <= now);
        let (id, sent) = slow.min_by_key(|(id, sent)| (sent.at, **id))?;
        let can_ask = |ask: &&Ask| {
            let key = &ask.item.key;
            scheduler.is_fetching(key) && state.kinds().contains(key.kind) && self.attempts.may_ask(key, peer, now)
        };
        let asks = sent.asks.iter().filter(can_ask).take(state.window.items()).map(|ask| self.ask(peer, ask.item));
        let asks: Vec<Ask> = asks.collect();
        (!asks.is_empty()).then_some((*id, asks))
    }
}
