//! Driving the stages that bring nodes: probe, look-up, fetch, verify.

use std::time::Instant;

use super::{Driver, Message, name};
use crate::peers::{Peer, PeerInfo, ProbeError, RequestId, Sent, TransportError, Verdict, probe};
use crate::pipeline::fetch::{self, Reply};
use crate::pipeline::lookup::{LookedUp, look_up};
use crate::pipeline::plan::{LOOKUP_ITEMS, LOOKUP_JOBS, OUTSTANDING_MAX};
use crate::pipeline::verify::{Checked, check};
use crate::pipeline::{Event, SyncError};
use crate::store::StoreError;
use crate::trie::NodeError;

impl<L: FnMut(Event) + Send> Driver<L> {
    /// Asks peers of which nothing is known what they are.
    pub(super) fn probe(&mut self, now: Instant) {
        for place in self.pool.to_probe(now) {
            let Some(Peer { client, .. }) = self.peers.get(place) else { continue };
            let (client, sender) = (client.clone(), self.sender.clone());
            self.requests.spawn(async move {
                let _ = sender.send(Message::Probed(place, probe(&client, None).await)).await;
            });
        }
    }

    /// Takes a peer in, if it is one of this chain.
    pub(super) fn introduce(&mut self, place: usize, answer: Result<PeerInfo, ProbeError>) {
        match answer {
            Ok(info) if !info.chain.agrees_with(&self.options.chain) => {
                self.pool.dismiss(place, format!("it serves {}, not {}", info.chain, self.options.chain));
            }
            Ok(info) => {
                tracing::info!(peer = %name(&self.peers, place), dialect = %info.dialect, "introduced");
                self.pool.introduce(place, info.dialect, false);
            }
            Err(error) if error.is_transient() => {
                tracing::debug!(peer = %name(&self.peers, place), %error, "probe failed");
                self.pool.probe_failed(Instant::now(), place, error.to_string());
            }
            Err(error) => self.pool.dismiss(place, error.to_string()),
        }
    }

    pub(super) fn look_up(&mut self) {
        while self.looking_up < LOOKUP_JOBS {
            let items = self.scheduler.lookups(LOOKUP_ITEMS);
            if items.is_empty() {
                return;
            }
            self.looking_up += 1;
            let (store, sender) = (self.store.clone(), self.sender.clone());
            rayon::spawn(move || {
                let _ = sender.blocking_send(Message::LookedUp(look_up(&store, &items)));
            });
        }
    }

    pub(super) fn ask(&mut self, now: Instant) {
        let outstanding =
            self.pool.items() + self.verifying + self.scheduler.uncommitted() + self.committing.unwrap_or_default();
        let room = OUTSTANDING_MAX.saturating_sub(outstanding);
        for request in self.pool.assign(now, room, &mut self.scheduler) {
            let Some(Peer { client, .. }) = self.peers.get(request.peer) else { continue };
            tracing::trace!(peer = %client.url(), id = request.id.0, items = request.asks.len(), "request");
            let fetch = fetch::fetch(client.clone(), request, self.options.request_timeout, self.sender.clone());
            self.requests.spawn(fetch);
        }
    }

    /// Whether the peers can still bring what is missing.
    pub(super) fn check_hope(&mut self, now: Instant) -> Result<(), SyncError> {
        for (peer, reason) in self.pool.dismissed() {
            if self.announced.insert(peer) {
                (self.listener)(Event::PeerLost { peer: name(&self.peers, peer), reason: reason.into() });
            }
        }
        if let Some(lost) = self.pool.unavailable(now)
            && !self.hopes_for_another(now)
        {
            return Err(SyncError::unavailable(self.options.root, lost, |peer| name(&self.peers, peer)));
        }
        let waits_for_peers = self.scheduler.fetching() > 0 || (self.looking_up == 0 && self.scheduler.pending() > 0);
        if waits_for_peers && let Some(outage) = self.pool.outage(now) {
            let reasons = outage.reasons.iter().map(|(peer, why)| format!("{}: {why}", name(&self.peers, *peer)));
            return Err(SyncError::NoPeers { reasons: reasons.collect::<Vec<_>>().join("; ") });
        }
        Ok(())
    }

    pub(super) fn verify(&mut self, id: RequestId, reply: Result<Reply, TransportError>) {
        let Some(sent) = self.pool.take(id, reply.as_ref().ok().map(|reply| reply.trip)) else { return };
        match reply {
            Ok(reply) => {
                self.bytes_downloaded += reply.bytes.len() as u64;
                self.verifying += sent.asks.len();
                let sender = self.sender.clone();
                rayon::spawn(move || {
                    let checked = check(sent.dialect, &sent.asks, &reply.bytes);
                    let _ = sender.blocking_send(Message::Checked(sent, checked));
                });
            }
            Err(error) => {
                tracing::debug!(peer = %name(&self.peers, sent.peer), id = id.0, %error, "request failed");
                let checked = Checked::all(&sent.asks, &Verdict::of_transport(&error));
                self.settle(&sent, &checked.verdicts);
            }
        }
    }

    pub(super) fn take_in(&mut self, sent: &Sent, checked: Checked) -> Result<(), SyncError> {
        self.verifying -= sent.asks.len();
        if let Some((item, rule)) = checked.malformed
            && self.scheduler.is_fetching(&item.key)
        {
            return Err(SyncError::malformed(self.options.root, &item, &rule));
        }
        for node in checked.nodes {
            self.process(node)?;
        }
        self.settle(sent, &checked.verdicts);
        Ok(())
    }

    fn settle(&mut self, sent: &Sent, verdicts: &[Verdict]) {
        let scheduler = &self.scheduler;
        self.pool.settle(Instant::now(), sent, verdicts, |key| scheduler.is_fetching(key));
    }

    pub(super) fn resolve(&mut self, answers: Result<LookedUp, StoreError>) -> Result<(), SyncError> {
        self.looking_up -= 1;
        let answers = answers?;
        if let Some((item, rule)) = answers.malformed {
            return Err(SyncError::malformed(self.options.root, &item, &rule));
        }
        for (item, is_branch) in &answers.present {
            if !is_branch && self.scheduler.must_be_branch(&item.key) {
                return Err(SyncError::malformed(self.options.root, item, &NodeError::ExtensionOverNonBranch));
            }
            self.scheduler.resolve(&item.key, true, false);
        }
        answers.absent.iter().for_each(|(key, stale)| self.scheduler.resolve(key, false, *stale));
        answers.staged.into_iter().try_for_each(|node| self.process(node))
    }

    fn process(&mut self, node: crate::trie::Verified) -> Result<(), SyncError> {
        let processed = self.scheduler.process(node);
        processed.map(|_| ()).map_err(|error| SyncError::unschedulable(self.options.root, &error))
    }
}
