//! Another root takes over what the one before has brought.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use primitive_types::H256;
use statesync::genesis::StateSummary;
use statesync::peers::PoolLimits;
use statesync::pipeline::{Event, SyncOptions};
use statesync::serve::MemoryState;
use statesync::store::RootState;
use tempfile::TempDir;

use crate::support::{
    Answer, Counts, Gate, MEDIUM, Peer, References, Request, SMALL, Seed, Shape, in_memory, items, open, options,
    start, state, successor, sync, verified,
};

/// A state and one some blocks later, in one memory.
fn two_states(seed: &Seed, shape: Shape, changes: u64) -> (Arc<MemoryState>, [StateSummary; 2]) {
    let before = state(seed.0, shape);
    let after = successor(&before, seed.0 + 1, changes, shape);
    let (memory, summaries) = in_memory([&before, &after]);
    assert_ne!(summaries[0].root, summaries[1].root);
    (memory, summaries)
}

fn assert_nothing_came_twice(counts: &Counts) {
    let twice = counts.by_hash.values().filter(|times| **times > 1).count();
    assert_eq!(twice, 0, "items fetched more than once");
}

#[test]
fn a_new_root_at_the_start_keeps_what_an_unfinished_one_has_brought() {
    let seed = Seed::or(10);
    let (memory, [a, b]) = two_states(&seed, MEDIUM, 300);
    let references = References::of(&memory, &[a.root, b.root]);
    let peer = Peer::honest(&memory);
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    peer.allow(items(&memory) / 2);
    let running = start(&store, &[peer.url()], options(a.root));
    peer.wait_for_limit();
    running.until_fetched(peer.served());
    running.stop();
    let first = running.end();
    let brought: HashSet<H256> = peer.counts().by_hash.into_keys().collect();

    peer.allow(u64::MAX);
    let report = sync(&store, &[peer.url()], options(b.root));
    assert!(report.is_complete());
    assert_nothing_came_twice(&peer.counts());
    let counts = verified(&store, b.root);
    assert_eq!((counts.accounts, counts.slots, counts.nodes), (b.accounts, b.slots, b.nodes));
    assert_eq!(report.counts.nodes + report.counts.codes, peer.served() - brought.len() as u64);
    assert_eq!(first.counts.nodes + first.counts.codes, brought.len() as u64);
    let roots: Vec<_> = store.roots().unwrap().into_iter().map(|record| (record.root, record.state)).collect();
    assert_eq!(roots, [(b.root, RootState::Complete)], "a root that was given up is forgotten");
    drop(store);
    references.assert_presence_means_completeness(dir.path());
}

#[test]
fn a_running_sync_moves_to_another_root_and_keeps_everything_that_came() {
    let seed = Seed::or(11);
    let (memory, [a, b]) = two_states(&seed, MEDIUM, 300);
    let peer = Peer::honest(&memory);
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    peer.allow(items(&memory) / 3);
    let running = start(&store, &[peer.url()], options(a.root));
    peer.wait_for_limit();
    running.until_fetched(peer.served());
    // All that was let in is here, and the requests that the peer holds are in flight.
    running.pivot(b.root);
    let mut signs_of_life = 0;
    running.until("signs of life", |event| {
        assert!(!matches!(event, Event::Pivoted { .. }), "it has not waited for what is in flight");
        signs_of_life += u32::from(matches!(event, Event::Progress(_)));
        signs_of_life == 4
    });
    peer.allow(u64::MAX);
    let moved = running.until("the move", |event| matches!(event, Event::Pivoted { .. }));
    assert_eq!(moved, Event::Pivoted { from: a.root, to: b.root, to_block: None });
    let report = running.end();
    assert!(report.is_complete());
    assert_eq!(report.root, b.root);
    assert_nothing_came_twice(&peer.counts());
    assert_eq!(report.counts.nodes + report.counts.codes, peer.served(), "something that came was thrown away");
    let counts = verified(&store, b.root);
    assert_eq!((counts.accounts, counts.slots, counts.codes), (b.accounts, b.slots, b.codes));
}

#[test]
fn a_sync_that_moves_away_and_back_fetches_nothing_twice() {
    let seed = Seed::or(12);
    let (memory, [a, b]) = two_states(&seed, MEDIUM, 1_000);
    let references = References::of(&memory, &[a.root, b.root]);
    let peer = Peer::honest(&memory);
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    let step = items(&memory) / 5;
    peer.allow(step);
    // So few in flight that all of it is let in with the next half step: a move waits for what is on its way.
    let options_of_a = options(a.root);
    let limits = PoolLimits { requests_per_peer: 3, ..options_of_a.limits };
    let running = start(&store, &[peer.url()], SyncOptions { limits, ..options_of_a });
    for root in [b.root, a.root, b.root, a.root] {
        peer.wait_for_limit();
        running.pivot(root);
        peer.allow(step / 2);
        let to_it = |event: &Event| matches!(event, Event::Pivoted { to, .. } if *to == root);
        running.until("the move", to_it);
    }
    peer.allow(u64::MAX);
    let report = running.end();
    assert!(report.is_complete());
    assert_eq!(report.root, a.root);
    assert_nothing_came_twice(&peer.counts());
    let counts = verified(&store, a.root);
    assert_eq!((counts.accounts, counts.slots, counts.nodes), (a.accounts, a.slots, a.nodes));

    let report = sync(&store, &[peer.url()], options(b.root));
    assert!(report.is_complete());
    assert_eq!(verified(&store, b.root).nodes, b.nodes);
    assert_eq!(verified(&store, a.root).nodes, a.nodes, "the first root is still whole");
    drop(store);
    references.assert_presence_means_completeness(dir.path());
}

#[test]
fn a_move_to_the_root_that_is_being_synced_changes_nothing() {
    let seed = Seed::or(13);
    let (memory, [a]) = in_memory([&state(seed.0, MEDIUM)]);
    let peer = Peer::honest(&memory);
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    peer.allow(items(&memory) / 2);
    let running = start(&store, &[peer.url()], options(a.root));
    peer.wait_for_limit();
    running.pivot(a.root);
    peer.allow(u64::MAX);
    let report = running.end();
    assert!(report.is_complete());
    assert_nothing_came_twice(&peer.counts());
    assert_eq!(report.counts.nodes, a.nodes);
    assert_eq!(verified(&store, a.root).accounts, a.accounts);
}

/// One item a request, so that a test can follow every single one; and a time-out that is soon over.
fn one_by_one(root: H256) -> SyncOptions {
    let options = options(root);
    let limits = PoolLimits { batch_items: 1, requests_per_peer: 4, ..options.limits };
    // Replies are waited for three times as long.
    SyncOptions { limits, request_timeout: Duration::from_secs(1), ..options }
}

/// A peer that holds every answer with `held` until the gate opens: the first asker gets it, later ones wait for ever.
fn holding(memory: &Arc<MemoryState>, held: H256, gate: &Gate) -> Peer {
    let (gate, never, asked) = (gate.clone(), Gate::closed(), AtomicBool::new(false));
    Peer::new(memory, move |request: &Request<'_>| {
        if request.calls.iter().all(|call| call.hash != held) {
            return request.honest();
        }
        let first = !asked.swap(true, Ordering::SeqCst);
        Answer::When(if first { gate.clone() } else { never.clone() }, Box::new(request.honest()))
    })
}

#[test]
fn a_reply_after_the_time_out_is_used_when_it_comes_first() {
    let seed = Seed::or(14);
    let (memory, [a]) = in_memory([&state(seed.0, SMALL)]);
    let gate = Gate::closed();
    let peer = holding(&memory, a.root, &gate);
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    let running = start(&store, &[peer.url()], one_by_one(a.root));
    // The root is asked for a second time when the first request is out of time, and only the first is ever answered.
    peer.wait("the second request", |counts| counts.requests == 2);
    gate.open();
    let report = running.end();
    assert!(report.is_complete());
    assert_eq!(report.retries, 1);
    assert_eq!(report.peers[0].1.errors, 1, "the time-out shows");
    assert_eq!(verified(&store, a.root).accounts, a.accounts);
}

#[test]
fn a_reply_that_comes_after_a_move_is_used_for_the_new_root() {
    let seed = Seed::or(15);
    let (memory, [a, b]) = two_states(&seed, SMALL, 3);
    let shared = shared_child(&memory, a.root, b.root);
    let gate = Gate::closed();
    let peer = holding(&memory, shared, &gate);
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    let running = start(&store, &[peer.url()], one_by_one(a.root));
    let times = |counts: &Counts| counts.by_hash.get(&shared).copied().unwrap_or_default();
    peer.wait("the held item", |counts| times(counts) == 1);
    running.pivot(b.root);
    // In flight when the sync is told to move: waited for until it is out of time, and then no longer.
    running.until("the move", |event| matches!(event, Event::Pivoted { .. }));
    peer.wait("the held item again", |counts| times(counts) == 2);
    gate.open();
    let report = running.end();
    assert!(report.is_complete());
    assert_eq!(report.root, b.root);
    assert_eq!(verified(&store, b.root).nodes, b.nodes);
}

/// A node that both roots refer to.
fn shared_child(memory: &MemoryState, one: H256, other: H256) -> H256 {
    let children = |root: H256| -> Vec<H256> {
        let node = rlp::Rlp::new(&memory.nodes()[&root]);
        node.iter()
            .filter_map(|child| child.data().ok())
            .filter(|child| child.len() == 32)
            .map(H256::from_slice)
            .collect()
    };
    let others: HashSet<H256> = children(other).into_iter().collect();
    children(one).into_iter().find(|child| others.contains(child)).expect("the roots share no child")
}
