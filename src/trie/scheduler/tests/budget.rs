//! Memory stays near the byte budget, and a budget that is too small slows the sync down and does not stop it.

use super::super::{REQUEST_BYTES, TRICKLE};
use super::drive::{ALL, Answers, Strategy, sync};
use super::source::{Body, Source};
use super::states::{hashed, storage};
use crate::trie::{Origin, Scheduler, Verified};

/// A state of four levels of accounts and two or three of storage; 1,000 accounts are some 10,000 nodes.
fn source(accounts: u64) -> Source {
    let body = |number: u64| {
        let code = vec![1; usize::try_from(number % 3).unwrap()];
        Body { nonce: number, storage: storage(number, number % 20), code }
    };
    Source::new((0..accounts).map(|number| (hashed(number), body(number))).collect())
}

/// Items on their way at most, and what one of them brings: 16 requests and its bytes.
const BATCH: usize = 256;
const BROUGHT: usize = 16 * REQUEST_BYTES + 600;

/// What can come in over the budget: what a batch brings that was asked for just before, and then what the trickle
/// brings on each of seven levels. Nothing more, because the trickle is deepest first: a level is opened only when the
/// deeper ones are done.
const SLACK: usize = (BATCH + 7 * TRICKLE) * BROUGHT;

#[test]
fn memory_stays_near_the_budget() {
    let source = source(1000);
    let unlimited = sync(&source, Strategy::PLAIN, 0).peak_memory;
    for answers in [Answers::All, Answers::ShuffledHalf] {
        for byte_budget in [100_000, 400_000] {
            let strategy = Strategy { byte_budget, answers, batch: BATCH, ..Strategy::PLAIN };
            let peak = sync(&source, strategy, 0).peak_memory;
            assert!(peak < byte_budget + SLACK);
            let strategy = Strategy { batch: ALL, ..strategy };
            let peak_of_any_batch = sync(&source, strategy, 0).peak_memory;
            println!("{byte_budget} {peak} {peak_of_any_batch} of {unlimited}");
            assert!(peak.max(peak_of_any_batch) * 3 < unlimited);
        }
    }
}

#[test]
fn over_the_budget_only_a_trickle_is_on_its_way() {
    let source = source(300);
    let mut scheduler = Scheduler::new(source.root, 0);
    while scheduler.pending() < 2 * TRICKLE {
        let items = scheduler.lookups(ALL);
        items.iter().for_each(|item| scheduler.resolve(&item.key, false, false));
        for item in scheduler.missing(ALL) {
            let node = Verified::check(item, source.bytes(&item.key), Origin::Peer).unwrap();
            scheduler.process(node).unwrap();
        }
    }
    let items = scheduler.lookups(ALL);
    items.iter().for_each(|item| scheduler.resolve(&item.key, false, false));
    assert_eq!(scheduler.missing(10).len(), 10);
    assert_eq!(scheduler.missing(ALL).len(), TRICKLE - 10);
    assert!(scheduler.missing(ALL).is_empty());
}

#[test]
fn what_a_commit_hands_over_is_held_until_it_is_written() {
    let source = source(300);
    let mut scheduler = Scheduler::new(source.root, ALL);
    let root = scheduler.lookups(ALL)[0];
    let requests = scheduler.memory_bytes();
    let bytes = source.bytes(&root.key);
    let length = bytes.len();
    scheduler.process(Verified::check(root, bytes, Origin::Peer).unwrap()).unwrap();
    let requests = 17 * requests;
    assert_eq!(scheduler.memory_bytes(), requests + length);
    let commit = scheduler.commit();
    assert_eq!(scheduler.memory_bytes(), requests + length, "the writer has the bytes");
    scheduler.committed(commit.done);
    assert_eq!(scheduler.memory_bytes(), requests);
}

#[test]
fn a_budget_of_nothing_completes() {
    let source = source(300);
    for (batch, answers) in [(1, Answers::All), (100, Answers::ShuffledHalf), (ALL, Answers::Half)] {
        let strategy = Strategy { byte_budget: 0, batch, answers, lookups: 50, commit_every: 3, ..Strategy::PLAIN };
        sync(&source, strategy, 7);
    }
}
