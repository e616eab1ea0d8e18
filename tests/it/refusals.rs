//! Syncs that cannot go on end, say why, and keep what they have.

use std::sync::Arc;
use std::time::Duration;

use primitive_types::H256;
use statesync::genesis::{StateSink, StateSummary};
use statesync::peers::PoolLimits;
use statesync::pipeline::{Event, Outcome as Ending, Report, SyncError, SyncOptions};
use statesync::serve::MemoryState;
use statesync::store::Store;
use statesync::trie::{Level, keccak256};
use tempfile::TempDir;

use crate::support::{
    Answer, Call, Content, DeadPort, NODES, Peer, Request, SMALL, STAGING, Seed, assert_all_hashes_are_right,
    in_memory, items, open, options, rows, start, state, sync, verified,
};

fn small(seed: &Seed) -> (Arc<MemoryState>, StateSummary) {
    let (memory, [summary]) = in_memory([&state(seed.0, SMALL)]);
    (memory, summary)
}

fn error(report: Report) -> SyncError {
    match report.outcome {
        Ending::Failed(error) => error,
        other => panic!("it did not fail: {other:?}"),
    }
}

/// A sync that gives up soon when nobody is of any use.
fn impatient(root: H256) -> SyncOptions {
    let options = options(root);
    SyncOptions { limits: PoolLimits { outage_patience: Duration::from_millis(300), ..options.limits }, ..options }
}

#[test]
fn a_lone_liar_ends_the_sync_and_nothing_it_said_is_stored() {
    let seed = Seed::or(40);
    let (memory, summary) = small(&seed);
    for percent in [50, 100] {
        let root = summary.root;
        // With half of all answers wrong the root must be right, or nothing else is ever asked for.
        let liar = Peer::new(&memory, move |request: &Request<'_>| match request.calls {
            [call] if percent < 100 && call.hash == root => request.honest(),
            _ => request.lies(40, percent),
        });
        let dir = TempDir::new().unwrap();
        let store = open(dir.path());
        let report = sync(&store, &[liar.url()], options(root));
        assert!(report.peers[0].1.corrupt > 0);
        let error = error(report);
        assert!(matches!(error, SyncError::NoPeers { .. } | SyncError::Unavailable { .. }), "{error}");
        assert!(error.to_string().contains("something else"), "{error}");
        drop(store);
        assert_all_hashes_are_right(dir.path());
        assert!(rows(dir.path(), NODES).len() < memory.nodes().len());
        if percent == 100 {
            assert_eq!(Content::read(dir.path()).rows(), 0);
        }
    }
}

#[test]
fn an_item_that_nobody_has_is_named_and_everything_else_is_kept() {
    let seed = Seed::or(41);
    let (memory, summary) = small(&seed);
    let mut hashes: Vec<H256> = memory.nodes().keys().copied().filter(|hash| *hash != summary.root).collect();
    hashes.sort();
    let gone = hashes[hashes.len() / 2];
    let without = move |request: &Request<'_>| {
        let element = |call: &Call| if call.hash == gone { call.absent() } else { request.element(call) };
        Answer::Batch(request.calls.iter().map(element).collect())
    };
    let peers = [Peer::new(&memory, without), Peer::new(&memory, without)];
    let urls = [peers[0].url(), peers[1].url()];
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    let report = sync(&store, &urls, options(summary.root));
    let kept = report.counts;
    let error = error(report);
    let SyncError::Unavailable { item, root, answers } = &error else { panic!("{error}") };
    assert_eq!((item.key.hash, *root), (gone, summary.root));
    assert!(urls.iter().all(|url| answers.contains(url)) && answers.contains("absent"), "{answers}");
    for part in [format!("{gone:?}"), format!("{:?}", summary.root), format!("\"{}\"", item.path)] {
        assert!(error.to_string().contains(&part), "{error} does not name {part}");
    }
    assert_eq!(kept.nodes + kept.codes, peers.iter().map(Peer::served).sum::<u64>(), "something that came is lost");

    let honest = Peer::honest(&memory);
    let report = sync(&store, &[honest.url()], options(summary.root));
    assert!(report.is_complete());
    assert_eq!(honest.served() + kept.nodes + kept.codes, items(&memory), "something was fetched twice");
    assert_eq!(verified(&store, summary.root).nodes, summary.nodes);
}

#[test]
fn a_peer_without_the_debug_namespace_is_left_at_once() {
    let seed = Seed::or(42);
    let (memory, summary) = small(&seed);
    let (useless, honest) = (Peer::without_debug(&memory), Peer::honest(&memory));
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    let alone = sync(&store, &[useless.url()], options(summary.root));
    assert_eq!(alone.requests, 1);
    assert!(matches!(error(alone), SyncError::NoPeers { reasons } if reasons.contains("debug_dbGet")));

    let running = start(&store, &[useless.url(), honest.url()], options(summary.root));
    let lost = running.until("its end", |event| matches!(event, Event::PeerLost { .. }));
    assert!(matches!(lost, Event::PeerLost { peer, .. } if peer == useless.url()));
    let report = running.end();
    assert!(report.is_complete());
    assert_eq!(report.peers[0].1.requests, 1);
}

#[test]
fn peers_that_are_all_out_of_reach_end_the_sync_when_patience_is_over() {
    let (one, two) = (DeadPort::new(), DeadPort::new());
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    let report = sync(&store, &[one.url(), two.url()], impatient(H256::repeat_byte(7)));
    assert!(report.requests > 2, "they are asked again and again");
    let error = error(report);
    let SyncError::NoPeers { reasons } = &error else { panic!("{error}") };
    assert!(reasons.contains(&one.url()) && reasons.contains(&two.url()), "{reasons}");
}

#[test]
fn replies_without_an_end_are_cut_off_each_time() {
    let seed = Seed::or(43);
    let (memory, summary) = small(&seed);
    let endless = Peer::new(&memory, |_| Answer::Endless);
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    let options = options(summary.root);
    let limits = PoolLimits { absent_rounds: 1, ..options.limits };
    let report = sync(&store, &[endless.url()], SyncOptions { limits, ..options });
    assert!(matches!(error(report), SyncError::Unavailable { answers, .. } if answers.contains("too large")));
}

/// Syncs a state that consists of one root node.
fn of_one_node(node: &[u8], store: &Arc<Store>) -> Report {
    let mut memory = MemoryState::new();
    let Ok(()) = memory.node(Level::ROOT, keccak256(node), node);
    let peer = Peer::honest(&Arc::new(memory));
    sync(store, &[peer.url()], options(keccak256(node)))
}

#[test]
fn a_state_that_breaks_the_rules_is_refused_although_its_hashes_are_right() {
    let branch_of_one_child = [&[0xf1, 0xa0][..], &[7; 32], &[0x80; 16]].concat();
    let no_account = [&[0xe4, 0xa1, 0x20][..], &[9; 32], &[0x81, 0x80]].concat();
    for node in [b"not RLP at all, just some text that is long".as_slice(), &branch_of_one_child, &no_account] {
        let dir = TempDir::new().unwrap();
        let store = open(dir.path());
        let error = error(of_one_node(node, &store));
        assert!(matches!(&error, SyncError::Malformed { .. }), "{error}");
        drop(store);
        assert!(rows(dir.path(), NODES).is_empty() && rows(dir.path(), STAGING).is_empty());
    }
}
