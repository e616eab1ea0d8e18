//! What brings nodes: probes, look-ups, requests, and what comes of replies.

use std::time::Instant;

use super::{Action, Core};
use crate::peers::{PeerInfo, ProbeError, RequestId, Sent, TransportError, Verdict};
use crate::pipeline::fetch::Reply;
use crate::pipeline::lookup::LookedUp;
use crate::pipeline::plan::{LOOKUP_ITEMS, LOOKUP_JOBS, OUTSTANDING_MAX};
use crate::pipeline::verify::Checked;
use crate::pipeline::{Event, SyncError};
use crate::store::StoreError;
use crate::trie::{Key, NodeError, Verified};

impl Core {
    /// Asks peers of which nothing is known what they are.
    pub(super) fn probe(&mut self, now: Instant) {
        self.actions.extend(self.pool.to_probe(now).into_iter().map(Action::Probe));
    }

    /// Takes a peer in, if it is one of this chain.
    pub(super) fn get_to_know(&mut self, now: Instant, place: usize, answer: Result<PeerInfo, ProbeError>) {
        match answer {
            Ok(info) if !info.chain.agrees_with(&self.options.chain) => {
                self.pool.dismiss(place, format!("it serves {}, not {}", info.chain, self.options.chain));
            }
            Ok(info) => {
                tracing::info!(peer = %self.name(place), dialect = %info.dialect, "introduced");
                self.pool.introduce(place, info.dialect, false);
            }
            Err(error) if error.is_transient() => {
                tracing::debug!(peer = %self.name(place), %error, "probe failed");
                self.pool.probe_failed(now, place, error.to_string());
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
            self.actions.push(Action::LookUp(items));
        }
    }

    pub(super) fn ask(&mut self, now: Instant) {
        let committing = self.committing.as_ref().map_or(0, |(items, _)| *items);
        let outstanding = self.pool.items() + self.verifying + self.scheduler.uncommitted() + committing;
        let room = OUTSTANDING_MAX.saturating_sub(outstanding);
        let requests = self.pool.assign(now, room, &mut self.scheduler);
        self.actions.extend(requests.into_iter().map(Action::Send));
    }

    /// Whether the peers can still bring what is missing.
    pub(super) fn check_hope(&mut self, now: Instant) -> Result<(), SyncError> {
        let dismissed = self.pool.dismissed().filter(|(peer, _)| !self.announced.contains(peer));
        let lost: Vec<(usize, String)> = dismissed.map(|(peer, reason)| (peer, reason.to_owned())).collect();
        for (peer, reason) in lost {
            self.announced.insert(peer);
            self.tell(Event::PeerLost { peer: self.name(peer), reason });
        }
        if let Some(lost) = self.pool.unavailable(now)
            && !self.hopes_for_another(now)
        {
            return Err(SyncError::unavailable(self.options.root, lost, |peer| self.name(peer)));
        }
        let is_wanted = !self.scheduler.is_over() && self.scheduler.ended().is_none() && self.scheduler.pending() > 0;
        let waits_for_peers = self.scheduler.fetching() > 0 || (self.looking_up == 0 && is_wanted);
        if waits_for_peers && let Some(outage) = self.pool.outage(now) {
            let reasons = outage.reasons.iter().map(|(peer, why)| format!("{}: {why}", self.name(*peer)));
            return Err(SyncError::NoPeers { reasons: reasons.collect::<Vec<_>>().join("; ") });
        }
        Ok(())
    }

    pub(super) fn verify(&mut self, now: Instant, id: RequestId, reply: Result<Reply, TransportError>) {
        let Some(sent) = self.pool.take(id, reply.as_ref().ok().map(|reply| reply.trip)) else { return };
        match reply {
            Ok(reply) => {
                self.bytes_downloaded += reply.bytes.len() as u64;
                self.verifying += sent.asks.len();
                self.actions.push(Action::Check(sent, reply.bytes));
            }
            Err(error) => {
                tracing::debug!(peer = %self.name(sent.peer), id = id.0, %error, "request failed");
                let checked = Checked::all(&sent.asks, &Verdict::of_transport(&error));
                self.settle(now, &sent, &checked.verdicts);
            }
        }
    }

    pub(super) fn take_in(&mut self, now: Instant, sent: &Sent, checked: Checked) -> Result<(), SyncError> {
        self.verifying -= sent.asks.len();
        if let Some((item, rule)) = checked.malformed
            && self.scheduler.is_fetching(&item.key)
        {
            return Err(SyncError::malformed(self.options.root, &item, &rule));
        }
        // All at once first: the table is larger than the caches, and look-ups that do not wait for one another share
        // the time that memory takes.
        let unresolved = checked.nodes.iter().filter(|node| self.scheduler.is_unresolved(&node.item.key)).count();
        tracing::trace!(nodes = checked.nodes.len(), unresolved, "verified");
        for node in checked.nodes {
            if self.scheduler.is_unresolved(&node.item.key) {
                // A late reply to what an earlier root asked for: the store may hold it already.
                self.early.insert(node.item.key, node);
            } else {
                self.process(node)?;
            }
        }
        self.settle(now, sent, &checked.verdicts);
        Ok(())
    }

    fn settle(&mut self, now: Instant, sent: &Sent, verdicts: &[Verdict]) {
        let scheduler = &self.scheduler;
        self.pool.settle(now, sent, verdicts, |key| scheduler.is_fetching(key));
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
            self.forget_early(&item.key);
        }
        for (key, stale) in &answers.absent {
            self.scheduler.resolve(key, false, *stale);
            if let Some(node) = self.forget_early(key) {
                self.process(node)?;
            }
        }
        for node in answers.staged {
            self.forget_early(&node.item.key);
            self.process(node)?;
        }
        Ok(())
    }

    /// Nearly always there is none, and nothing has to be hashed to know that.
    fn forget_early(&mut self, key: &Key) -> Option<Verified> {
        if self.early.is_empty() { None } else { self.early.remove(key) }
    }

    fn process(&mut self, node: Verified) -> Result<(), SyncError> {
        let processed = self.scheduler.process(node);
        processed.map(|_| ()).map_err(|error| SyncError::unschedulable(self.options.root, &error))
    }

    /// A peer's address.
    pub(super) fn name(&self, place: usize) -> String {
        self.names.get(place).cloned().unwrap_or_else(|| format!("peer {place}"))
    }
}
