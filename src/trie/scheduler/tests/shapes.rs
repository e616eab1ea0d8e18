//! States of a shape that has broken a sync somewhere, or could.

use std::collections::BTreeMap;

use primitive_types::{H256, U256};

use super::drive::{Strategy, sync, sync_in_every_way};
use super::source::{Body, Source, State};
use super::states::{hashed, key, one_trie, plain, storage, tiny};
use crate::trie::{EMPTY_ROOT, Key, Kind, keccak256};

/// Every shape, for tests of other things.
pub(super) fn all() -> Vec<Source> {
    vec![
        equal_leaves_under_two_paths(),
        equal_children_in_one_branch(),
        equal_subtrees_in_two_storage_tries(),
        code_that_is_a_node(),
        code_of_the_empty_trie(),
        one_storage_trie_of_many_accounts(),
        branch_with_one_hash_and_fifteen_inline_children(),
        extensions_over_inline_branches(),
        accounts_that_part_at_the_last_nibble(),
        a_branch_at_every_depth(),
        an_account_alone(),
    ]
}

fn nodes(source: &Source) -> usize {
    source.own.iter().filter(|key| key.kind != Kind::Code).count()
}

fn state(accounts: impl IntoIterator<Item = (H256, Body)>) -> Source {
    Source::new(accounts.into_iter().collect())
}

fn equal_leaves_under_two_paths() -> Source {
    let equal = Body { storage: storage(1, 5), code: b"equal".to_vec(), ..Body::default() };
    state([
        (key(&[1, 1], 7), equal.clone()),
        (key(&[1, 5], 7), plain(1)),
        (key(&[2, 1], 7), equal),
        (key(&[2, 6], 7), plain(2)),
    ])
}

#[test]
fn equal_leaves_under_two_paths_are_one_node() {
    let source = equal_leaves_under_two_paths();
    let accounts = source.own.iter().filter(|key| key.kind == Kind::AccountNode).count();
    assert_eq!(accounts, 6, "the root, two branches and four leaves, two of them equal");
    sync_in_every_way(&source);
}

fn equal_children_in_one_branch() -> Source {
    let pair = |nibble| [(key(&[nibble, 1], 7), plain(1)), (key(&[nibble, 2], 9), plain(2))];
    state([1, 2, 5].into_iter().flat_map(pair))
}

#[test]
fn equal_children_in_one_branch_are_waited_for_once_each() {
    let source = equal_children_in_one_branch();
    assert_eq!(nodes(&source), 4, "the root, a branch that it names three times, and two leaves");
    sync_in_every_way(&source);
}

fn equal_subtrees_in_two_storage_tries() -> Source {
    let slots = |nibble, own: u64| {
        let common = (0..3).map(move |slot| (key(&[1, slot], 3), U256::MAX - slot));
        common.chain([(key(&[nibble], 4), U256::from(own))]).collect::<BTreeMap<_, _>>()
    };
    let body = |storage| Body { storage, ..Body::default() };
    state([(key(&[1], 1), body(slots(2, 1))), (key(&[2], 1), body(slots(3, 2)))])
}

#[test]
fn equal_subtrees_in_two_storage_tries_arrive_once() {
    let source = equal_subtrees_in_two_storage_tries();
    assert_eq!(nodes(&source), 3 + 2 * 2 + 4, "accounts; roots and own leaves; the common branch and its leaves");
    sync_in_every_way(&source);
}

/// Codes that are nodes of the same state: an account leaf and a storage root, in accounts before and after those nodes.
fn code_that_is_a_node() -> Source {
    let stored = Body { storage: storage(1, 4), ..Body::default() };
    let body = |code: &[u8]| Body { code: code.to_vec(), ..Body::default() };
    let below = state([(key(&[4], 1), stored.clone()), (key(&[5], 1), plain(1))]);
    let leaf = below.things.values().find(|thing| thing.refs.len() == 1 && thing.leaves == 1).unwrap();
    let root = &below.things[&leaf.refs[0].key];
    state([
        (key(&[1], 1), body(&leaf.bytes)),
        (key(&[2], 1), body(&root.bytes)),
        (key(&[4], 1), stored),
        (key(&[5], 1), plain(1)),
        (key(&[7], 1), body(&leaf.bytes)),
        (key(&[8], 1), body(&root.bytes)),
    ])
}

#[test]
fn code_that_equals_a_node_is_fetched_beside_it() {
    let source = code_that_is_a_node();
    for kind in [Kind::AccountNode, Kind::StorageNode] {
        let codes = source.own.iter().filter(|key| key.kind == Kind::Code);
        assert_eq!(codes.filter(|code| source.own.contains(&Key { kind, ..**code })).count(), 1);
    }
    sync_in_every_way(&source);
}

fn code_of_the_empty_trie() -> Source {
    let code = Body { code: vec![0x80], ..Body::default() };
    state([(key(&[1], 1), code), (key(&[2], 1), plain(1))])
}

#[test]
fn code_that_equals_the_empty_trie_is_fetched() {
    let source = code_of_the_empty_trie();
    let code = Key { kind: Kind::Code, hash: EMPTY_ROOT };
    assert!(source.own.contains(&code));
    sync_in_every_way(&source);
    let ended = sync(&source, Strategy::SINGLE, 0);
    assert!(ended.asked.iter().all(|item| item.key == code || item.key.hash != EMPTY_ROOT));
}

fn one_storage_trie_of_many_accounts() -> Source {
    let body = |nonce| Body { nonce, storage: storage(1, 30), code: b"shared".to_vec() };
    state((0..16).map(|nibble| (key(&[nibble], nibble), body(nibble.into()))))
}

#[test]
fn a_storage_trie_of_many_accounts_arrives_once() {
    let source = one_storage_trie_of_many_accounts();
    sync_in_every_way(&source);
    let counts = sync(&source, Strategy::SINGLE, 0).scheduler.counts();
    assert_eq!((counts.nodes_reused, counts.codes_reused), (15, 15), "complete when the later accounts come");
    let counts = sync(&source, Strategy::PLAIN, 0).scheduler.counts();
    assert_eq!((counts.nodes_reused, counts.codes_reused), (0, 0), "on its way when the later accounts come");
}

#[test]
fn a_storage_trie_can_be_complete_for_some_accounts_and_on_its_way_for_others() {
    let early = Body { storage: storage(1, 5), ..Body::default() };
    // The second account's storage is asked for while the first's, which is the same, is not written yet.
    let source =
        state([(key(&[1, 1, 1], 0), early.clone()), (key(&[1, 1, 2], 0), early.clone()), (key(&[2], 0), early)]);
    for commit_every in 1..12 {
        sync(&source, Strategy { commit_every, ..Strategy::SINGLE }, 0);
        sync(&source, Strategy { commit_every, writes_behind: true, ..Strategy::SINGLE }, 0);
    }
}

fn branch_with_one_hash_and_fifteen_inline_children() -> Source {
    let mut storage = tiny(0..16);
    *storage.values_mut().nth(9).unwrap() = U256::MAX;
    one_trie(storage)
}

#[test]
fn a_branch_with_one_hash_and_fifteen_inline_children_waits_for_the_one() {
    let source = branch_with_one_hash_and_fifteen_inline_children();
    let branch = source.things.values().find(|thing| thing.leaves == 15).unwrap();
    assert_eq!(branch.refs.len(), 1);
    sync_in_every_way(&source);
    let ended = sync(&source, Strategy::SINGLE, 0);
    assert!(ended.asked.iter().any(|item| item.path.len() == 64), "a leaf with nothing left of its path");
    assert_eq!(ended.scheduler.counts().slots, 16);
}

/// An extension stored under its hash, one that is inline itself, and one that is a root, each over an inline branch.
fn extensions_over_inline_branches() -> Source {
    let pair = |leading: &[u8]| {
        let mut last = key(leading, 0);
        last.0[31] = 1;
        [(key(leading, 0), U256::from(leading[0])), (last, U256::from(2))]
    };
    let stored = pair(&[1]).into_iter().chain(pair(&[2])).collect();
    let inline = tiny([0x10, 0x11, 0x1000_0010, 0x1000_0011, 0x2000_0000]);
    let body = |storage| Body { storage, ..Body::default() };
    state(
        [stored, inline, tiny([0x10, 0x11])]
            .into_iter()
            .zip(0..)
            .map(|(storage, nibble)| (key(&[nibble], 1), body(storage))),
    )
}

#[test]
fn extensions_over_inline_branches_wait_for_nothing() {
    let source = extensions_over_inline_branches();
    let extensions = source.things.values().filter(|thing| thing.leaves > 1 && thing.refs.is_empty());
    assert!(extensions.count() >= 3);
    sync_in_every_way(&source);
    assert_eq!(sync(&source, Strategy::SINGLE, 0).scheduler.counts().slots, 4 + 5 + 2);
}

fn accounts_that_part_at_the_last_nibble() -> Source {
    let body = |nonce| Body { nonce, storage: storage(nonce, 2), code: vec![1; 40] };
    let account = |nibble: u8| {
        let mut key = H256([0x11; 32]);
        key.0[31] = 0x10 | nibble;
        (key, body(u64::from(nibble)))
    };
    state((0..4).map(account))
}

#[test]
fn accounts_at_a_path_of_64_nibbles_arrive() {
    let source = accounts_that_part_at_the_last_nibble();
    sync_in_every_way(&source);
    let ended = sync(&source, Strategy::SINGLE, 0);
    let deepest = ended.asked.iter().filter(|item| item.key.kind == Kind::AccountNode && item.path.len() == 64);
    assert_eq!(deepest.count(), 4);
}

fn a_branch_at_every_depth() -> Source {
    let account = |depth: u8| {
        let mut leading = vec![0; depth.into()];
        leading.push(1);
        (key(&leading, 0), plain(depth.into()))
    };
    state((0..64).map(account).chain([(H256::zero(), plain(64))]))
}

#[test]
fn a_branch_at_every_depth_arrives_with_exact_progress() {
    let source = a_branch_at_every_depth();
    assert_eq!(nodes(&source), 64 + 65);
    sync_in_every_way(&source);
}

fn an_account_alone() -> Source {
    state([(hashed(1), Body { nonce: 1, storage: tiny([7]), code: vec![0] })])
}

#[test]
fn an_account_alone_is_the_root() {
    let source = an_account_alone();
    assert_eq!(nodes(&source), 2);
    sync_in_every_way(&source);
    let root = source.things[&Key { kind: Kind::AccountNode, hash: source.root }].clone();
    assert_eq!((keccak256(&root.bytes), root.leaves), (source.root, 1));
}

#[test]
fn many_accounts_in_a_large_state_arrive() {
    let body = |number: u64| Body {
        nonce: number,
        storage: storage(number % 10, number % 30),
        code: vec![1; 1 + usize::try_from(number % 7).unwrap()],
    };
    let source = state((0..600).map(|number| (hashed(number), body(number))));
    sync(&source, Strategy { batch: 64, commit_every: 5, ..Strategy::PLAIN }, 0);
}

#[test]
fn the_state_of_no_storage_and_no_code_arrives() {
    sync_in_every_way(&Source::new(State::from([(hashed(1), plain(1)), (hashed(2), plain(1))])));
}
