//! Peers that answer only so much at a time, or so often.

use std::sync::Arc;
use std::time::Duration;

use statesync::genesis::StateSummary;
use statesync::peers::{PoolLimits, Stats};
use statesync::pipeline::{Report, SyncOptions};
use statesync::serve::MemoryState;
use tempfile::TempDir;

use crate::support::{
    Counts, Limits, MEDIUM, Peer, Rate, RateStyle, SMALL, Seed, Shape, in_memory, items, open, options, state, sync,
    verified,
};

struct World {
    memory: Arc<MemoryState>,
    summary: StateSummary,
    _seed: Seed,
}

impl World {
    fn new(seed: u64, shape: Shape) -> Self {
        let seed = Seed::or(seed);
        let (memory, [summary]) = in_memory([&state(seed.0, shape)]);
        Self { memory, summary, _seed: seed }
    }

    /// Syncs from peers with these limits, and checks that the whole state came.
    fn syncs(&self, peers: &[Limits], pool: PoolLimits) -> (Report, Vec<Counts>) {
        let peers: Vec<Peer> =
            peers.iter().map(|limits| Peer::build(&self.memory).limits(limits.clone()).start()).collect();
        let urls: Vec<String> = peers.iter().map(Peer::url).collect();
        let dir = TempDir::new().unwrap();
        let store = open(dir.path());
        let options = SyncOptions { limits: pool, ..options(self.summary.root) };
        let report = sync(&store, &urls, options);
        assert!(report.is_complete(), "{:?}", report.outcome);
        assert_eq!(verified(&store, self.summary.root).nodes, self.summary.nodes);
        assert_eq!(report.counts.nodes + report.counts.codes, items(&self.memory));
        (report, peers.iter().map(Peer::counts).collect())
    }
}

fn pool() -> PoolLimits {
    let one = Duration::from_millis(1);
    PoolLimits { absent_delay: one, failure_delay: one, ..PoolLimits::default() }
}

fn rated(per_second: u64, burst: u64, style: RateStyle) -> Limits {
    Limits { rate: Some(Rate { per_second, burst, style }), ..Limits::default() }
}

#[test]
fn every_limit_of_geth_on_a_batch_is_found_and_kept() {
    let world = World::new(90, SMALL);
    let full = Limits::default();
    for limits in [
        Limits { batch_items: 20, ..full.clone() },
        Limits { batch_response_bytes: 20_000, ..full.clone() },
        Limits { body_bytes: 4_000, ..full.clone() },
        Limits { timeout_items: 7, ..full.clone() },
    ] {
        let (report, _) = world.syncs(std::slice::from_ref(&limits), pool());
        assert!(report.retries > 0, "{limits:?}");
        let Stats { errors, corrupt, .. } = report.peers[0].1;
        assert_eq!((errors, corrupt), (0, 0), "to ask for too much is not the peer's fault: {limits:?}");
    }
}

#[test]
fn no_request_is_sent_inside_a_wait_that_was_asked_for() {
    let world = World::new(91, MEDIUM);
    // Batches so small that there is something to limit, and so large that it is soon over.
    let pool = PoolLimits { batch_items: 100, ..pool() };
    let backoff = Duration::from_millis(600);
    for style in [RateStyle::Status { retry_after: 1 }, RateStyle::Infura { backoff }] {
        let (report, counts) = world.syncs(&[rated(20, 5, style)], pool);
        assert_eq!(counts[0].inside_wait, 0, "{style:?}");
        assert!(report.peers[0].1.errors > 0, "{style:?}: the limit was met");
    }
}

#[test]
fn what_fits_under_a_limit_on_calls_is_kept_and_the_rest_asked_later() {
    let world = World::new(92, MEDIUM);
    let (report, counts) = world.syncs(&[rated(8_000, 4_000, RateStyle::QuickNode)], pool());
    assert_eq!(counts[0].inside_wait, 0);
    assert!(report.duration < Duration::from_secs(20), "{:?}", report.duration);
}

#[test]
fn a_pace_that_is_given_is_kept_from_the_start() {
    let world = World::new(93, SMALL);
    let pool = PoolLimits { requests_per_second: Some(30.0), batch_items: 64, ..pool() };
    let (report, counts) = world.syncs(&[rated(40, 2, RateStyle::Status { retry_after: 1 })], pool);
    assert_eq!((report.peers[0].1.errors, report.retries), (0, 0), "the peer's own limit is never met");
    let arrivals = &counts[0].arrivals;
    let time = arrivals[arrivals.len() - 1].at - arrivals[0].at;
    let slots = u32::try_from(arrivals.len() - 1).unwrap();
    assert!(time >= Duration::from_secs(1) * slots / 31, "{slots} requests after the first in {time:?}");
}

#[test]
fn no_more_requests_are_in_flight_than_the_user_allows() {
    let world = World::new(94, MEDIUM);
    let slow = Limits { delay: Duration::from_millis(5), ..Limits::default() };
    let pool = PoolLimits { requests_per_peer: 3, batch_items: 50, ..pool() };
    let (_, counts) = world.syncs(&[slow], pool);
    assert_eq!(counts[0].most_in_flight, 3, "and all of that is used");
}

#[test]
fn a_slow_peer_is_not_waited_for_at_the_end() {
    let world = World::new(95, MEDIUM);
    let fast = Limits { delay: Duration::from_millis(2), ..Limits::default() };
    // What it is asked last would take it seconds.
    let slow = Limits { delay: Duration::from_secs(3), ..Limits::default() };
    let (report, counts) = world.syncs(&[fast.clone(), fast, slow], pool());
    assert!(report.duration < Duration::from_millis(2_900), "{:?}", report.duration);
    assert!(counts[2].admitted > 0, "it was asked");
    assert!(report.retries > 0, "and others for the same");
}
