//! Any small state, where much is shared and much is inline, in any way.

use std::collections::BTreeMap;

use primitive_types::{H256, U256};
use proptest::prelude::*;

use super::drive::{ALL, Answers, Rng, Strategy as Way, Sync, sync};
use super::model::Model;
use super::source::{Body, Source, State};
use super::states::{key, one_trie};
use crate::trie::Counts;
use crate::trie::tests::cases;

/// Keys that differ in a few leading nibbles and in the last two, and else are filled with one of two nibbles: subtrees
/// of the same suffixes come about all the time.
fn keys() -> impl Strategy<Value = H256> {
    let leading = prop::collection::vec(0_u8..3, 1..4);
    (leading, 7_u8..9, prop::bool::weighted(0.3), 0_u8..4).prop_map(|(leading, fill, deep, last)| {
        let mut key = key(&leading, fill);
        if deep {
            key.0[31] = last;
        }
        key
    })
}

/// Small words make inline leaves.
fn storages() -> impl Strategy<Value = BTreeMap<H256, U256>> {
    let word = prop_oneof![3 => (1_u64..3).prop_map(U256::from), 1 => Just(U256::MAX)];
    prop::collection::btree_map(keys(), word, 0..12)
}

/// Bodies drawn from a few, so that storage tries, codes and whole accounts are shared.
fn states() -> impl Strategy<Value = State> {
    let storages = prop::collection::vec(storages(), 3);
    let accounts = prop::collection::btree_map(keys(), (0_u64..2, 0_usize..4, 0_usize..5), 0..24);
    (storages, accounts).prop_map(|(storages, accounts)| {
        let body = |(nonce, storage, code): (u64, usize, usize)| {
            let storage = storages.get(storage).cloned().unwrap_or_default();
            let code = match code {
                0 => Vec::new(),
                1 => vec![0x80],
                2 => node_below(&storages),
                other => vec![1; 20 * other],
            };
            Body { nonce, storage, code }
        };
        accounts.into_iter().map(|(key, account)| (key, body(account))).collect()
    })
}

/// The bytes of some node of these storage tries.
fn node_below(storages: &[BTreeMap<H256, U256>]) -> Vec<u8> {
    let source = one_trie(storages[0].clone());
    source.things.into_values().next().map_or_else(Vec::new, |thing| thing.bytes)
}

fn ways() -> impl Strategy<Value = Way> {
    let batch = prop_oneof![Just(1), 2_usize..8, Just(100), Just(ALL)];
    let lookups = prop_oneof![Just(ALL), 1_usize..5];
    let answers =
        prop_oneof![Just(Answers::All), Just(Answers::Half), Just(Answers::Shuffled), Just(Answers::ShuffledHalf),];
    let byte_budget = prop_oneof![2 => Just(ALL), 1 => 0_usize..20_000];
    (batch, answers, lookups, 1_usize..6, any::<bool>(), byte_budget).prop_map(
        |(batch, answers, lookups, commit_every, writes_behind, byte_budget)| Way {
            batch,
            answers,
            lookups,
            commit_every,
            writes_behind,
            byte_budget,
        },
    )
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn any_state_arrives_in_any_way(state in states(), ways in prop::collection::vec(ways(), 4), seed: u64) {
        let source = Source::new(state);
        for way in ways {
            sync(&source, way, seed);
        }
    }

    #[test]
    fn any_state_arrives_through_any_crashes(
        state in states(),
        ways in prop::collection::vec((ways(), any::<prop::sample::Index>()), 5),
        seed: u64,
    ) {
        let source = Source::new(state);
        let (mut model, mut counts) = (Model::default(), Counts::default());
        for (way, cut) in ways {
            let before = model.log.len();
            let ended = Sync::new(&source, model, way, seed).run();
            ended.model.assert_is(&source);
            let log = ended.model.log;
            // The crash comes after the writes of the runs before.
            let writes = before + cut.index(log.len() - before + 1);
            model = Model::replay(&log[..writes]);
            if writes > before {
                counts = counts + log[writes - 1].counts;
            }
        }
        let ended = Sync::new(&source, model, Way::PLAIN, seed).run();
        counts = counts + ended.scheduler.counts();
        let fetched = Counts { nodes_reused: 0, codes_reused: 0, nodes_staged: 0, ..counts };
        prop_assert_eq!(fetched, source.counts());
    }

    #[test]
    fn any_two_roots_can_be_moved_between(
        states in (states(), states()),
        visits in prop::collection::vec((any::<bool>(), 0_usize..12, ways()), 1..8),
        seed: u64,
    ) {
        let (one, two) = (Source::new(states.0), Source::new(states.1));
        let (one, two) = (one.beside(&two), two.beside(&one));
        let mut rng = Rng(seed);
        let mut model = Model::default();
        let mut late = Vec::new();
        let ends = [(true, ALL, Way::PLAIN), (false, ALL, Way::PLAIN)];
        for (first, rounds, way) in visits.into_iter().chain(ends) {
            let source = if first { &one } else { &two };
            let mut visit = Sync::new(source, model, way, rng.next());
            visit.late = late;
            visit.run_rounds(rounds);
            visit.model.assert_closed(source);
            let Sync { model: left, late: still_late, on_way, .. } = visit;
            (model, late) = (left, still_late);
            late.extend(on_way);
        }
        model.assert_holds(&one);
        model.assert_holds(&two);
    }
}
