//! Good and bad peers together.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use primitive_types::H256;
use statesync::peers::{PoolLimits, Stats};
use statesync::pipeline::{Event, Report, SyncOptions};
use statesync::serve::MemoryState;
use statesync::store::Totals;
use tempfile::TempDir;

use crate::support::{
    Answer, Call, DeadPort, Faults, Gate, MEDIUM, Peer, Request, SMALL, Seed, assert_all_hashes_are_right, in_memory,
    items, open, options, start, state, sync, verified,
};

fn stats(report: &Report, url: &str) -> Stats {
    report.peers.iter().find(|(peer, _)| peer == url).unwrap().1
}

/// What a state in memory holds, as the program counts it.
fn totals(summary: &statesync::genesis::StateSummary) -> Totals {
    Totals { accounts: summary.accounts, slots: summary.slots, codes: summary.codes, nodes: summary.nodes }
}

#[test]
fn one_dead_one_slow_and_one_lying_peer_beside_an_honest_one_change_nothing() {
    let seed = Seed::or(20);
    let (memory, [summary]) = in_memory([&state(seed.0, MEDIUM)]);
    let (dead, honest) = (DeadPort::new(), Peer::honest(&memory));
    let slow = Peer::new(&memory, |request| Answer::After(Duration::from_millis(40), Box::new(request.honest())));
    let lying = Peer::new(&memory, |request| request.lies(20, 60));
    let urls = [dead.url(), slow.url(), lying.url(), honest.url()];
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    // Small batches, so that everyone is asked often.
    let options = options(summary.root);
    let limits = PoolLimits { batch_items: 64, ..options.limits };
    let running = start(&store, &urls, SyncOptions { limits, ..options });
    let lost = running.until("the end of the liar", |event| matches!(event, Event::PeerLost { .. }));
    assert!(matches!(lost, Event::PeerLost { peer, .. } if peer == lying.url()));
    let report = running.end();
    assert!(report.is_complete(), "{:?}", report.outcome);
    assert_eq!(verified(&store, summary.root), totals(&summary));
    assert_eq!((report.counts.nodes, report.counts.codes), (summary.nodes, summary.codes));
    assert_eq!(report.counts.accounts, summary.accounts);

    let [dead, slow, lying, honest] = urls.map(|url| stats(&report, &url));
    assert_eq!((dead.nodes, dead.corrupt), (0, 0));
    assert!(dead.errors > 0);
    assert!(slow.nodes > 0 && slow.corrupt == 0, "{slow:?}");
    assert!(lying.corrupt >= 16, "{lying:?}");
    assert!(honest.nodes > slow.nodes && honest.errors + honest.corrupt == 0, "{honest:?}");
    let delivered = slow.nodes + lying.nodes + honest.nodes;
    assert!(delivered >= items(&memory), "{delivered}");
    drop(store);
    assert_all_hashes_are_right(dir.path());
}

#[test]
fn two_peers_that_have_half_of_the_state_each_complete_it_together() {
    let seed = Seed::or(21);
    let (memory, [summary]) = in_memory([&state(seed.0, SMALL)]);
    let half = |even: bool| {
        Peer::new(&memory, move |request: &Request<'_>| {
            let has = |call: &&Call| call.hash.as_bytes()[31].is_multiple_of(2) == even;
            let element = |call: &Call| if has(&call) { request.element(call) } else { call.absent() };
            Answer::Batch(request.calls.iter().map(element).collect())
        })
    };
    let peers = [half(true), half(false)];
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    let report = sync(&store, &[peers[0].url(), peers[1].url()], options(summary.root));
    assert!(report.is_complete(), "{:?}", report.outcome);
    assert_eq!(verified(&store, summary.root), totals(&summary));
    let delivered: u64 = report.peers.iter().map(|(_, stats)| stats.nodes).sum();
    assert_eq!(delivered, items(&memory));
    assert!(report.peers.iter().all(|(_, stats)| stats.nodes > 0 && stats.errors + stats.corrupt == 0));
}

#[test]
fn a_lone_peer_that_lies_now_and_then_is_asked_again() {
    let seed = Seed::or(22);
    let (memory, [summary]) = in_memory([&state(seed.0, SMALL)]);
    let lied: Mutex<HashSet<H256>> = Mutex::default();
    let peer = Peer::new(&memory, move |request: &Request<'_>| {
        let mut rng = crate::support::Rng::new(request.number);
        // A tenth of all items, and each of them once: seldom enough not to be dismissed.
        let lie = |call: &Call| call.hash.as_bytes()[31].is_multiple_of(10) && lied.lock().unwrap().insert(call.hash);
        let element = |call: &Call| if lie(call) { request.lie(call, &mut rng) } else { request.element(call) };
        Answer::Batch(request.calls.iter().map(element).collect())
    });
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    let report = sync(&store, &[peer.url()], options(summary.root));
    assert!(report.is_complete(), "{:?}", report.outcome);
    assert_eq!(verified(&store, summary.root), totals(&summary));
    assert!(stats(&report, &peer.url()).corrupt > 0);
    drop(store);
    assert_all_hashes_are_right(dir.path());
}

#[test]
fn peers_that_vanish_and_come_back_complete_the_sync() {
    let seed = Seed::or(23);
    let (memory, [summary]) = in_memory([&state(seed.0, MEDIUM)]);
    let mut peers = [Peer::honest(&memory), Peer::honest(&memory)];
    let urls = [peers[0].url(), peers[1].url()];
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    peers.iter().for_each(|peer| peer.allow(items(&memory) / 4));
    let running = start(&store, &urls, options(summary.root));
    for peer in &mut peers {
        peer.wait_for_limit();
        peer.vanish();
    }
    // Both are gone: every request fails, and the sync goes on trying.
    let failing = |stats: &[Stats]| stats.iter().all(|stats| stats.errors > 2);
    running.until("failures", |event| matches!(event, Event::Progress(progress) if failing(&progress.peers)));
    for peer in &mut peers {
        peer.allow(u64::MAX);
        peer.come_back();
    }
    let report = running.end();
    assert!(report.is_complete(), "{:?}", report.outcome);
    assert_eq!(verified(&store, summary.root), totals(&summary));
    assert_eq!((report.counts.nodes, report.counts.codes), (summary.nodes, summary.codes));
}

/// A peer that answers nothing for ever, once the gate is closed for it.
fn stuck(memory: &Arc<MemoryState>) -> Peer {
    let never = Gate::closed();
    Peer::new(memory, move |request| Answer::When(never.clone(), Box::new(request.honest())))
}

#[test]
fn what_a_stuck_peer_was_asked_is_asked_of_another() {
    let seed = Seed::or(24);
    let (memory, [summary]) = in_memory([&state(seed.0, SMALL)]);
    let (stuck, honest) = (stuck(&memory), Peer::honest(&memory));
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    let options = SyncOptions { request_timeout: Duration::from_millis(150), ..options(summary.root) };
    let report = sync(&store, &[stuck.url(), honest.url()], options);
    assert!(report.is_complete(), "{:?}", report.outcome);
    assert_eq!(verified(&store, summary.root), totals(&summary));
    let figures = stats(&report, &stuck.url());
    assert_eq!(figures.nodes, 0);
    assert!(figures.errors > 0);
    assert!(report.retries > 0);
}

#[test]
fn one_that_lies_now_and_then_one_with_half_the_state_and_one_that_drops_out_complete_it_together() {
    let seed = Seed::or(25);
    let (memory, [summary]) = in_memory([&state(seed.0, MEDIUM)]);
    let asked: Arc<Mutex<HashMap<H256, u32>>> = Arc::default();
    let liar = {
        let (asked, seed) = (asked.clone(), seed.0);
        Peer::new(&memory, move |request| {
            let mut asked = asked.lock().unwrap();
            request.calls.iter().for_each(|call| *asked.entry(call.hash).or_default() += 1);
            request.lies(seed, 1)
        })
    };
    let half = Peer::new(&memory, |request: &Request<'_>| {
        let has = |call: &Call| call.hash.as_bytes()[31].is_multiple_of(2);
        let element = |call: &Call| if has(call) { request.element(call) } else { call.absent() };
        Answer::Batch(request.calls.iter().map(element).collect())
    });
    let dropping = Peer::build(&memory).faults(Faults { drop_every: Some(4), ..Faults::of(&seed) }).start();
    let urls = [liar.url(), half.url(), dropping.url()];
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    let options = options(summary.root);
    let limits = PoolLimits { batch_items: 32, ..options.limits };
    let report = sync(&store, &urls, SyncOptions { limits, ..options });
    assert!(report.is_complete(), "{:?}", report.outcome);
    assert_eq!(verified(&store, summary.root), totals(&summary));
    let [liar, half, dropping] = urls.map(|url| stats(&report, &url));
    assert!(liar.corrupt > 0 && liar.nodes > 10 * liar.corrupt, "{liar:?}");
    assert!(half.absent > 0 && half.nodes > 0 && half.corrupt == 0, "{half:?}");
    assert!(dropping.errors > 0 && dropping.nodes > 0, "{dropping:?}");
    let most = asked.lock().unwrap().values().copied().max();
    assert!(most <= Some(6), "the liar was asked {most:?} times for one item");
    drop(store);
    assert_all_hashes_are_right(dir.path());
}
