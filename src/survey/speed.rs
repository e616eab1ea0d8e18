//! How fast a peer is: its latency, and how many nodes it gives in a second.

use std::time::{Duration, Instant};

use primitive_types::H256;
use serde_json::json;
use tokio::task::JoinSet;

use super::gate::{Closed, Gate};
use super::reader::{Reader, Reply};
use crate::peers::{CallError, Client, Verdict};
use crate::trie::{Item, Key, Kind, Verified};

/// Calls whose median is the latency.
const LATENCY_CALLS: usize = 5;

/// Requests to get from the root to nodes enough for the measurement. Full batches reach the third level of any large
/// state in three.
const DESCENT_REQUESTS: usize = 8;

/// Requests of one measurement, unless more may be sent at once: the more there are, the less the first one matters.
const REQUESTS_MAX: usize = 16;

/// How long one measurement goes on sending: what a slow peer has shown by then is enough.
const SENDING_TIME: Duration = Duration::from_secs(5);

/// How fast a peer gives nodes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speed {
    /// With one request at a time.
    pub one_at_a_time: Rate,
    /// With several at the same time; nothing where one is all there may be.
    pub side_by_side: Option<Rate>,
    /// How many those are.
    pub requests_at_once: usize,
}

/// Nodes and bytes in a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// Nodes, as asked for and checked.
    pub items_per_second: f64,
    /// Bytes of the replies, before they are compressed.
    pub bytes_per_second: f64,
    /// Nodes that the measurement is based on.
    pub items: u64,
}

/// The median time of some small calls, one after the other.
pub(super) async fn latency(client: &Client, gate: &mut Gate) -> Option<Duration> {
    let mut times = Vec::new();
    for _ in 0..LATENCY_CALLS {
        gate.pass().await.ok()?;
        let started = Instant::now();
        match client.call("eth_chainId", json!([])).await {
            // A peer that does not know the method takes as long to say so.
            Ok(_) | Err(CallError::Rpc(_) | CallError::Garbage { .. }) => times.push(started.elapsed()),
            Err(error @ CallError::Transport(_)) => {
                gate.failed(&error);
                break;
            }
        }
    }
    times.sort_unstable();
    times.get(times.len() / 2).copied()
}

/// Measures at the nodes below a root: up to `items` of them, in requests of up to `batch`, first one and then up to
/// `at_once` at a time.
pub(super) async fn speed(
    reader: &mut Reader,
    root: H256,
    items: usize,
    batch: usize,
    at_once: usize,
) -> Option<Speed> {
    let mut nodes = Nodes { known: vec![Item::root(root)], next: 0, most: items };
    let read = nodes.descend(reader, items, batch).await.ok()?;
    let left = items.saturating_sub(read).max(1);
    let alone = left.div_ceil(3);
    let one_at_a_time = measure(reader, nodes.batches(alone, batch.min(alone), 1), 1).await?;
    let together = left.saturating_sub(alone);
    // As many as fit side by side, be they smaller for that.
    let batches = nodes.batches(together, batch.min(together.div_ceil(at_once)), at_once);
    let side_by_side = if at_once > 1 { measure(reader, batches, at_once).await } else { None };
    Some(Speed { one_at_a_time, side_by_side, requests_at_once: at_once })
}

/// Sends requests, up to `at_once` at a time, and gives the rate at which items came; nothing if none came.
async fn measure(reader: &mut Reader, batches: Vec<Vec<Item>>, at_once: usize) -> Option<Rate> {
    let mut running: JoinSet<Reply> = JoinSet::new();
    let mut batches = batches.into_iter();
    let (mut started, mut ended) = (None, Instant::now());
    let (mut items, mut bytes, mut goes_on) = (0, 0, true);
    loop {
        let sending = |started: Option<Instant>| started.is_none_or(|started| started.elapsed() < SENDING_TIME);
        while goes_on && running.len() < at_once && sending(started) {
            let Some(batch) = batches.next() else { break };
            if reader.gate.pass().await.is_err() {
                break;
            }
            // From the first request on: a rest before it is not the peer's slowness.
            started.get_or_insert_with(Instant::now);
            running.spawn(reader.connection.clone().exchange(batch));
        }
        let Some(reply) = running.join_next().await else { break };
        // A task only fails when the runtime ends.
        let Ok(reply) = reply else { break };
        let checked = reader.take(&reply);
        // Whatever went wrong, more of the same does not tell more.
        goes_on &= !checked.verdicts.iter().any(Verdict::is_failure);
        ended = ended.max(reply.at);
        items += checked.nodes.len();
        bytes += reply.bytes();
    }
    let seconds = ended.duration_since(started?).as_secs_f64().max(f64::EPSILON);
    let (items_per_second, bytes_per_second) = (float(items) / seconds, float(bytes) / seconds);
    (items > 0).then_some(Rate { items_per_second, bytes_per_second, items: items as u64 })
}

/// Nodes of one account trie, level by level.
#[derive(Debug)]
struct Nodes {
    known: Vec<Item>,
    /// The next of them to be read.
    next: usize,
    /// How many are remembered.
    most: usize,
}

impl Nodes {
    /// Reads from the root down until enough nodes are known, but half of the items at most.
    async fn descend(&mut self, reader: &mut Reader, items: usize, batch: usize) -> Result<usize, Closed> {
        let mut read = 0;
        for _ in 0..DESCENT_REQUESTS {
            let least = items.div_ceil(2).saturating_sub(read);
            let asked: Vec<Item> = self.known.iter().skip(self.next).take(batch.min(least)).copied().collect();
            if self.known.len() >= items || asked.is_empty() {
                break;
            }
            (self.next, read) = (self.next + asked.len(), read + asked.len());
            let checked = reader.read(asked).await?;
            self.learn(&checked.nodes);
        }
        Ok(read)
    }

    fn learn(&mut self, nodes: &[Verified]) {
        let children = nodes.iter().flat_map(|node| &node.links.children);
        let items = children.map(|child| Item {
            key: Key { kind: Kind::AccountNode, hash: child.hash },
            owner: H256::zero(),
            path: child.path,
            after_extension: child.after_extension,
        });
        let room = self.most.saturating_sub(self.known.len());
        self.known.extend(items.take(room));
    }

    /// The next `items`, in batches of `size`, to be sent `at_once`. A small state begins again at its root.
    fn batches(&mut self, items: usize, size: usize, at_once: usize) -> Vec<Vec<Item>> {
        let size = size.clamp(1, self.known.len().max(1));
        let count = items.div_ceil(size).min(REQUESTS_MAX.max(at_once));
        let mut left = items;
        let mut batches = Vec::with_capacity(count);
        for _ in 0..count {
            let items: Vec<Item> = self.known.iter().cycle().skip(self.next).take(size.min(left)).copied().collect();
            self.next = (self.next + items.len()) % self.known.len().max(1);
            left -= items.len();
            batches.push(items);
        }
        batches
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts and sizes far below 2^52")]
fn float(number: usize) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(known: u8) -> Nodes {
        let item = |byte| Item::root(H256::repeat_byte(byte));
        Nodes { known: (0..known).map(item).collect(), next: 0, most: 100 }
    }

    fn sizes(batches: &[Vec<Item>]) -> Vec<usize> {
        batches.iter().map(Vec::len).collect()
    }

    #[test]
    fn batches_go_on_where_the_last_ones_ended() {
        let mut nodes = nodes(100);
        let (first, second) = (nodes.batches(25, 10, 1), nodes.batches(20, 10, 1));
        assert_eq!((sizes(&first), sizes(&second)), (vec![10, 10, 5], vec![10, 10]));
        let read: Vec<Item> = first.into_iter().chain(second).flatten().collect();
        assert_eq!(read, nodes.known.get(..45).unwrap());
    }

    #[test]
    fn a_small_state_is_read_again_but_no_batch_has_an_item_twice() {
        let batches = nodes(3).batches(8, 10, 1);
        assert_eq!(sizes(&batches), [3, 3, 2]);
        assert_eq!(batches.first(), batches.get(1));
    }

    #[test]
    fn the_requests_of_a_measurement_have_a_limit() {
        assert_eq!(nodes(100).batches(1_000_000, 1, 8).len(), REQUESTS_MAX);
        assert_eq!(nodes(100).batches(1_000_000, 1, 64).len(), 64, "unless more may be sent at once");
    }
}
