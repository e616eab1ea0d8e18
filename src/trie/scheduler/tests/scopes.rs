//! A part of a state: what is on the way to it and below it is fetched, and nothing else.

use std::collections::BTreeSet;

use primitive_types::H256;
use proptest::prelude::*;

use super::super::{End, ScheduleError};
use super::drive::{ALL, Rng, Strategy as Way, Sync};
use super::model::Model;
use super::source::{Body, Source, State};
use super::states::{accounts, hashed, key, plain, storage};
use crate::trie::tests::cases;
use crate::trie::{Key, Kind, Nibbles, Origin, Place, Scheduler, Scope, Target, Verified, Walk};

/// What a part of a state is, by its definition: nodes at paths that begin with a prefix or that a prefix begins with,
/// and the storage and codes of the accounts whose keys begin with one.
fn oracle(source: &Source, prefixes: &[Nibbles]) -> BTreeSet<Key> {
    let begins = |key: &Nibbles| prefixes.iter().any(|prefix| key.starts_with(prefix));
    let is_in = |owner: &H256| begins(&Nibbles::from_key(owner));
    let mut keys = BTreeSet::new();
    let walk = Walk::new(source, Place::root(None, source.root), |target| {
        let (is_wanted, kind) = match target {
            Target::Code { owner, .. } => (is_in(owner), Kind::Code),
            Target::Node(Place { owner: Some(owner), .. }) => (is_in(owner), Kind::StorageNode),
            Target::Node(Place { path, .. }) => {
                let is_above = prefixes.iter().any(|prefix| prefix.starts_with(path));
                (is_above || begins(path), Kind::AccountNode)
            }
        };
        if is_wanted {
            keys.insert(Key { kind, hash: target.hash() });
        }
        is_wanted
    });
    assert!(walk.count() > 0 || source.state.is_empty());
    keys
}

/// Syncs a part into a store; what it asked for.
fn fetch(source: &Source, scope: &Scope, model: Model, way: Way, seed: u64) -> (BTreeSet<Key>, Model) {
    let ended = Sync::scoped(source, scope, model, way, seed).run_scope();
    (ended.asked.iter().map(|item| item.key).collect(), ended.model)
}

/// What is in the scope is complete, and the rest of what was fetched is staged.
fn assert_settled(source: &Source, scope: &Scope, keys: &BTreeSet<Key>, model: &Model) {
    for key in keys {
        assert!(model.holds(key) || model.staging.contains_key(&key.hash), "{key:?} is lost");
    }
    let below = scope.prefixes().to_vec();
    for key in oracle(source, &below) {
        assert!(
            keys.contains(&key) || model.holds(&key) || model.staging.contains_key(&key.hash),
            "{key:?} is missing"
        );
    }
    for (account, body) in source.state.iter().filter(|(key, _)| scope.has(key)) {
        assert!(body.code.is_empty() || model.codes.values().any(|code| *code == body.code), "code of {account:?}");
    }
}

#[test]
fn one_account_takes_the_nodes_on_its_path_and_all_that_it_holds() {
    let source = Source::new(accounts(200));
    for number in [0, 3, 15, 45] {
        let scope = Scope::of([Nibbles::from_key(&hashed(number))]);
        let (asked, model) = fetch(&source, &scope, Model::default(), Way::PLAIN, number);
        assert_eq!(asked, oracle(&source, scope.prefixes()));
        assert_eq!(model.codes.len(), usize::from(number.is_multiple_of(3)));
        assert!(!model.nodes.contains_key(&source.root) && model.staging.contains_key(&source.root));
        assert_settled(&source, &scope, &asked, &model);
    }
}

#[test]
fn an_account_that_is_not_there_takes_its_path_only() {
    let source = Source::new(accounts(100));
    let scope = Scope::of([Nibbles::from_key(&hashed(1_000_000))]);
    let (asked, model) = fetch(&source, &scope, Model::default(), Way::PLAIN, 1);
    assert_eq!(asked, oracle(&source, scope.prefixes()));
    assert_eq!((model.nodes.len(), model.codes.len(), model.staging.len()), (0, 0, asked.len()));
}

#[test]
fn a_scope_that_leaves_nothing_out_completes_the_root() {
    for (state, prefix) in [(accounts(60), vec![]), (State::from([(key(&[1, 2], 3), plain(1))]), vec![1])] {
        let source = Source::new(state);
        let scope = Scope::of([Nibbles::from_slice(&prefix).unwrap()]);
        let ended = Sync::scoped(&source, &scope, Model::default(), Way::PLAIN, 1).run_scope();
        assert_eq!(ended.scheduler.ended(), Some(End::Complete));
        ended.model.assert_is(&source);
    }
    let every = Scope::of((0..16).map(|nibble| Nibbles::from_slice(&[nibble]).unwrap()));
    let source = Source::new(accounts(60));
    let ended = Sync::scoped(&source, &every, Model::default(), Way::PLAIN, 1).run_scope();
    assert_eq!(ended.scheduler.ended(), Some(End::Complete));
}

#[test]
fn progress_is_the_share_of_the_scope() {
    let source = Source::new(accounts(300));
    let scope = Scope::of([Nibbles::from_slice(&[3]).unwrap(), Nibbles::from_key(&hashed(5))]);
    let mut sync = Sync::scoped(&source, &scope, Model::default(), Way::SINGLE, 1);
    // The driver checks after each answer that it never goes back, and is whole at the end only.
    sync.run_rounds(15);
    assert!((0.1..0.95).contains(&sync.scheduler.progress()), "{}", sync.scheduler.progress());
    sync.run_scope();
}

#[test]
fn a_node_on_the_way_that_two_paths_lead_to_is_no_state_s() {
    // Two accounts alike but for the first nibble of their keys: one leaf for both.
    let source = Source::new([(key(&[1], 7), plain(1)), (key(&[2], 7), plain(1))].into());
    let paths = [key(&[1], 7), key(&[2], 7)].map(|key| Nibbles::from_key(&key));
    let mut scheduler = Scheduler::with_scope(source.root, Scope::of(paths), ALL, None);
    let root = scheduler.lookups(ALL)[0];
    let node = Verified::check(root, source.bytes(&root.key), Origin::Peer).unwrap();
    assert!(matches!(scheduler.process(node), Err(ScheduleError::TwoPaths { .. })));
}

#[test]
fn a_present_root_ends_it_at_once() {
    let source = Source::new(accounts(50));
    let model = Sync::new(&source, Model::default(), Way::PLAIN, 0).run().model;
    let scope = Scope::of([Nibbles::from_slice(&[1]).unwrap()]);
    let ended = Sync::scoped(&source, &scope, model, Way::PLAIN, 0).run_scope();
    assert_eq!((ended.scheduler.ended(), ended.asked.len()), (Some(End::Complete), 0));
}

/// Keys that begin alike; a suffix of their own each, as hashes have it.
fn states() -> impl Strategy<Value = State> {
    let account = (prop::collection::vec(0_u8..3, 1..5), 0_u64..4, 0_u64..3);
    prop::collection::vec(account, 0..24).prop_map(|accounts| {
        let account = |(number, (leading, slots, code)): (u64, (Vec<u8>, u64, u64))| {
            let mut key = key(&leading, 7);
            key.0[8..].copy_from_slice(&hashed(number).0[8..]);
            let code = vec![7; usize::try_from(30 * code).unwrap()];
            (key, Body { nonce: number, storage: storage(slots % 3, 4 * slots), code })
        };
        (0..).zip(accounts).map(account).collect()
    })
}

fn scopes() -> impl Strategy<Value = Vec<Nibbles>> {
    let prefix = prop::collection::vec(0_u8..3, 1..6).prop_map(|nibbles| Nibbles::from_slice(&nibbles).unwrap());
    let account = (prop::collection::vec(0_u8..3, 1..5), 0_u64..24).prop_map(|(leading, number)| {
        let mut key = key(&leading, 7);
        key.0[8..].copy_from_slice(&hashed(number).0[8..]);
        Nibbles::from_key(&key)
    });
    prop::collection::vec(prop_oneof![prefix, account], 1..4)
}

fn ways() -> impl Strategy<Value = Way> {
    (0_usize..72).prop_map(|place| Way::every().nth(place).unwrap())
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn any_scope_takes_exactly_what_is_on_its_paths_and_below(
        state in states(),
        scopes in prop::collection::vec(scopes(), 1..4),
        way in ways(),
        seed: u64,
    ) {
        let source = Source::new(state);
        let (mut model, mut had, mut union) = (Model::default(), BTreeSet::new(), Scope::of([]));
        for prefixes in scopes {
            let scope = Scope::of(prefixes.iter().copied());
            let (asked, next) = fetch(&source, &scope, model, way, seed);
            let expected: BTreeSet<Key> = oracle(&source, &prefixes).difference(&had).copied().collect();
            prop_assert_eq!(&asked, &expected);
            had.extend(asked);
            union = union.and(&scope);
            assert_settled(&source, &union, &had, &next);
            model = next;
        }
        // The whole state over it takes the rest.
        let ended = Sync::new(&source, model, way, seed).run();
        ended.model.assert_is(&source);
        let asked: BTreeSet<Key> = ended.asked.iter().map(|item| item.key).collect();
        prop_assert_eq!(asked, source.own.difference(&had).copied().collect::<BTreeSet<Key>>());
    }

    #[test]
    fn any_scope_survives_any_crash(state in states(), prefixes in scopes(), way in ways(), seed: u64) {
        let source = Source::new(state);
        let scope = Scope::of(prefixes.iter().copied());
        let (_, ended) = fetch(&source, &scope, Model::default(), way, seed);
        let mut rng = Rng(seed);
        let kept = Model::replay(&ended.log[..rng.below(ended.log.len() + 1)]);
        let (asked, again) = fetch(&source, &scope, kept.clone(), way, seed);
        let held = |key: &Key| kept.holds(key) || (key.kind != Kind::Code && kept.staging.contains_key(&key.hash));
        prop_assert!(!asked.iter().any(held));
        prop_assert_eq!((&again.nodes, &again.codes, &again.staging), (&ended.nodes, &ended.codes, &ended.staging));
    }
}
