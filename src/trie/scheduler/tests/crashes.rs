//! Killed at any moment, a sync goes on from what was written, and asks for nothing that was.
//!
//! A write is one atomic batch, so a crash leaves the writes up to some point: a torn batch is none.

use std::collections::BTreeSet;

use super::drive::{ALL, Answers, Strategy, Sync, share, sync};
use super::model::{Model, Write};
use super::shapes;
use super::source::Source;
use super::states::accounts;
use crate::trie::{Counts, Key, Kind};

/// Few on their way, out of order, looked up and written late.
const SLOW: Strategy = Strategy {
    batch: 6,
    answers: Answers::ShuffledHalf,
    lookups: 3,
    commit_every: 2,
    writes_behind: true,
    byte_budget: ALL,
};

fn sources() -> impl Iterator<Item = Source> {
    shapes::all().into_iter().chain([Source::new(accounts(12))])
}

/// Fetched by both runs together.
fn fetched(counts: Counts) -> Counts {
    Counts { nodes_reused: 0, codes_reused: 0, nodes_staged: 0, ..counts }
}

/// What of a state the store has, complete or not.
fn held(model: &Model, source: &Source) -> BTreeSet<Key> {
    let staged = |key: &Key| key.kind != Kind::Code && model.staging.contains_key(&key.hash);
    source.own.iter().filter(|key| model.holds(key) || staged(key)).copied().collect()
}

/// Goes on after a crash that came after these writes, up to the end.
fn resume<'a>(source: &'a Source, log: &[Write], strategy: Strategy, seed: u64) -> Sync<'a> {
    let model = Model::replay(log);
    let held = held(&model, source);
    let before = log.last().map_or_else(Counts::default, |write| write.counts);
    let ended = Sync::new(source, model, strategy, seed).run();
    ended.model.assert_is(source);
    let asked: BTreeSet<Key> = ended.asked.iter().map(|item| item.key).collect();
    let missing: BTreeSet<Key> = source.own.difference(&held).copied().collect();
    assert_eq!(asked, missing, "after {} writes", log.len());
    assert_eq!(fetched(before + ended.scheduler.counts()), source.counts());
    ended
}

#[test]
fn a_crash_after_any_write_loses_nothing_that_was_written() {
    for source in sources() {
        for (first, second) in [(Strategy::SINGLE, Strategy::PLAIN), (SLOW, Strategy::SINGLE), (SLOW, SLOW)] {
            let log = sync(&source, first, 1).model.log;
            for writes in 0..=log.len() {
                resume(&source, &log[..writes], second, writes as u64);
            }
        }
    }
}

#[test]
fn a_crash_after_any_write_of_a_resumed_sync_loses_nothing() {
    for source in sources() {
        let log = sync(&source, SLOW, 2).model.log;
        let half = Model::replay(&log[..log.len() / 2]);
        let counts = half.log.last().map_or_else(Counts::default, |write| write.counts);
        let resumed = Sync::new(&source, half.clone(), SLOW, 3).run().model.log;
        for writes in half.log.len()..=resumed.len() {
            let again = Model::replay(&resumed[..writes]);
            let between = if writes > half.log.len() { again.log[writes - 1].counts } else { Counts::default() };
            let held = held(&again, &source);
            let ended = Sync::new(&source, again, Strategy::PLAIN, 4).run();
            ended.model.assert_is(&source);
            assert_eq!(ended.asked.len(), source.own.len() - held.len());
            assert_eq!(fetched(counts + between + ended.scheduler.counts()), source.counts());
        }
    }
}

#[test]
fn a_resumed_sync_knows_at_once_how_far_it_was() {
    for source in sources() {
        let log = sync(&source, Strategy { batch: 5, ..Strategy::PLAIN }, 0).model.log;
        for writes in 0..=log.len() {
            let model = Model::replay(&log[..writes]);
            let covered = share(model.covered(&source));
            let mut resumed = Sync::new(&source, model, Strategy::PLAIN, 0);
            resumed.run_rounds(0);
            assert_eq!(resumed.scheduler.progress().to_bits(), covered.to_bits());
            assert_eq!(resumed.scheduler.counts().nodes, 0);
        }
    }
}

#[test]
fn a_crash_in_a_large_state_loses_nothing_that_was_written() {
    let source = Source::new(accounts(96));
    let log = sync(&source, SLOW, 5).model.log;
    for writes in (0..log.len()).step_by(17) {
        resume(&source, &log[..writes], SLOW, writes as u64);
    }
}
