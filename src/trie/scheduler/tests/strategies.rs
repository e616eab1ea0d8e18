//! Whatever the batch size, the order of the answers, the delays and the commits: the state arrives, each thing once.

use super::drive::{ALL, Answers, Strategy, Sync, sync, sync_in_every_way};
use super::source::{Source, State};
use super::states::{accounts, one_trie, plain, storage};
use crate::trie::{EMPTY_ROOT, Kind};

/// geth's state: 96 accounts, every third with code, every fifth with storage.
fn geth_state() -> Source {
    Source::new(accounts(96))
}

#[test]
fn the_empty_state_is_complete_without_asking_for_anything() {
    let source = Source::new(State::new());
    assert_eq!(source.root, EMPTY_ROOT);
    for strategy in Strategy::every() {
        let ended = sync(&source, strategy, 0);
        assert!(ended.asked.is_empty());
        assert_eq!(ended.model.log.len(), 1, "the commit that says that the root is complete");
    }
}

#[test]
fn one_node_at_a_time_brings_the_state() {
    sync(&geth_state(), Strategy::SINGLE, 0);
    sync(&one_trie(storage(1, 300)), Strategy::SINGLE, 0);
}

#[test]
fn batches_bring_the_state() {
    for batch in [2, 100, ALL] {
        sync(&geth_state(), Strategy { batch, ..Strategy::PLAIN }, 0);
        sync(&one_trie(storage(1, 300)), Strategy { batch, ..Strategy::PLAIN }, 0);
    }
}

#[test]
fn answers_of_half_of_what_is_asked_bring_the_state() {
    for batch in [2, 100, ALL] {
        sync(&geth_state(), Strategy { batch, answers: Answers::Half, ..Strategy::PLAIN }, 0);
    }
}

#[test]
fn answers_in_random_order_bring_the_state() {
    for (seed, batch) in (0..).zip([2, 100, ALL]) {
        sync(&geth_state(), Strategy { batch, answers: Answers::Shuffled, ..Strategy::PLAIN }, seed);
    }
}

#[test]
fn random_halves_in_random_order_bring_the_state() {
    for (seed, batch) in (0..).zip([2, 100, ALL]) {
        sync(&geth_state(), Strategy { batch, answers: Answers::ShuffledHalf, ..Strategy::PLAIN }, seed);
    }
}

#[test]
fn slow_look_ups_and_late_writes_change_nothing() {
    for (seed, lookups) in (0..).zip([1, 4, 64]) {
        for (commit_every, writes_behind) in [(1, true), (3, true), (50, false), (ALL, false)] {
            let fetches = Strategy { batch: 20, answers: Answers::ShuffledHalf, ..Strategy::PLAIN };
            sync(&geth_state(), Strategy { lookups, commit_every, writes_behind, ..fetches }, seed);
        }
    }
}

#[test]
fn a_small_state_arrives_in_every_way() {
    sync_in_every_way(&Source::new(accounts(12)));
}

/// [`Sync`] checks it at each request; this state has much that is shared.
#[test]
fn nothing_is_asked_for_twice() {
    let mut state = accounts(40);
    for (number, body) in (0..).zip(state.values_mut()) {
        body.code = vec![1 + number % 3];
        body.storage = storage(u64::from(number % 4), 20);
    }
    let source = Source::new(state);
    assert_eq!(source.own.iter().filter(|key| key.kind == Kind::Code).count(), 3);
    sync_in_every_way(&source);
}

#[test]
fn one_at_a_time_a_trie_is_asked_for_in_path_order() {
    let state = Source::new(accounts(96).into_iter().map(|(key, body)| (key, plain(body.nonce))).collect());
    for (source, kind) in [(state, Kind::AccountNode), (one_trie(storage(1, 300)), Kind::StorageNode)] {
        let ended = sync(&source, Strategy::SINGLE, 0);
        let paths: Vec<_> = ended.asked.iter().filter(|item| item.key.kind == kind).map(|item| item.path).collect();
        assert!(paths.len() > 100);
        assert!(paths.is_sorted_by(|one, next| one < next), "a node comes before what is below it, lower paths first");
    }
}

#[test]
fn what_is_below_an_account_comes_before_the_next_account() {
    let source = geth_state();
    let ended = sync(&source, Strategy::SINGLE, 0);
    let owners: Vec<_> = ended.asked.iter().filter(|item| !item.owner.is_zero()).map(|item| item.owner).collect();
    assert!(owners.is_sorted());
}

#[test]
fn a_complete_state_is_asked_for_nothing() {
    let source = geth_state();
    let model = sync(&source, Strategy::PLAIN, 0).model;
    let again = Sync::new(&source, model, Strategy::PLAIN, 0).run();
    assert!(again.asked.is_empty());
    assert_eq!(again.scheduler.counts().nodes_reused, 1);
}
