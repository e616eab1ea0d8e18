//! Items read from one peer, checked, and counted.

use std::time::{Duration, Instant};

use super::gate::{Closed, Gate};
use crate::peers::{Ask, Client, Dialect, TransportError, Verdict, wire};
use crate::pipeline::{Checked, check};
use crate::trie::Item;

/// Reads items from one peer.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) connection: Connection,
    pub(super) gate: Gate,
    pub(super) tally: Tally,
}

/// How one peer is asked for items.
#[derive(Clone, Debug)]
pub(super) struct Connection {
    pub(super) client: Client,
    pub(super) dialect: Dialect,
    pub(super) timeout: Duration,
}

/// What came of all that was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Items that came and are the wanted ones.
    pub found: u64,
    /// Items that the peer does not have.
    pub absent: u64,
    /// Items of which it has another version: its state moved on meanwhile.
    pub stale: u64,
    /// Items in whose place something else came.
    pub corrupt: u64,
    /// What it said to items that it will not serve to anybody.
    pub refusal: Option<String>,
    /// The first thing that went wrong otherwise.
    pub failure: Option<String>,
}

/// A reply, and when it was there.
#[derive(Debug)]
pub(super) struct Reply {
    asks: Vec<Ask>,
    bytes: Result<Vec<u8>, TransportError>,
    pub(super) at: Instant,
}

impl Connection {
    /// Sends one request and waits for its reply.
    pub(super) async fn exchange(self, items: Vec<Item>) -> Reply {
        let asks: Vec<Ask> = items.into_iter().map(|item| Ask { item, bare_code: false }).collect();
        let body = wire::request(self.dialect, &asks);
        let reply = self.client.transport().exchange(body, wire::reply_bytes_max(&asks));
        let reply = tokio::time::timeout(self.timeout, reply).await;
        let bytes = reply.unwrap_or(Err(TransportError::TimedOut(self.timeout)));
        Reply { asks, bytes, at: Instant::now() }
    }
}

impl Reply {
    pub(super) fn bytes(&self) -> usize {
        self.bytes.as_ref().map_or(0, Vec::len)
    }
}

impl Reader {
    /// Reads items in one request; once more after each rest that the peer asks for instead.
    pub(super) async fn read(&mut self, items: Vec<Item>) -> Result<Checked, Closed> {
        loop {
            self.gate.pass().await?;
            let reply = self.connection.clone().exchange(items.clone()).await;
            let checked = self.take(&reply);
            if rest_asked(&checked).is_none() {
                return Ok(checked);
            }
        }
    }

    /// Checks a reply and counts what it brought.
    pub(super) fn take(&mut self, reply: &Reply) -> Checked {
        let checked = match &reply.bytes {
            Ok(bytes) => check(self.connection.dialect, &reply.asks, bytes),
            Err(error) => Checked::all(&reply.asks, &Verdict::of_transport(error)),
        };
        if let Some(verdict) = rest_asked(&checked) {
            self.gate.heed(verdict);
        }
        checked.verdicts.iter().for_each(|verdict| self.tally.count(verdict));
        checked
    }
}

impl Tally {
    fn count(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Found => self.found += 1,
            Verdict::Absent => self.absent += 1,
            Verdict::Stale => self.stale += 1,
            Verdict::Corrupt => self.corrupt += 1,
            Verdict::Unsupported(why) | Verdict::Refused(why) => {
                self.refusal.get_or_insert_with(|| why.clone());
            }
            Verdict::Failed(why) => {
                self.failure.get_or_insert_with(|| why.clone());
            }
            // Limits have their own place in what is reported.
            Verdict::Shrink | Verdict::RateLimited(_) | Verdict::Unanswered => {}
        }
    }
}

/// The verdict in a reply that asks for a rest, if one does: those of one reply are all alike.
fn rest_asked(checked: &Checked) -> Option<&Verdict> {
    checked.verdicts.iter().find(|verdict| matches!(verdict, Verdict::RateLimited(_)))
}
