//! States that no chain has: every node is what its parent says, and together they are no trie.

use primitive_types::H256;

use super::drive::ALL;
use super::source::Source;
use super::states::{hashed, key, plain};
use crate::trie::encode::{self, Reference};
use crate::trie::{Account, EMPTY_CODE_HASH, Item, Kind, Nibbles, NodeError, Origin, Reject, keccak256};
use crate::trie::{ScheduleError, Scheduler, Verified};

fn path(nibbles: &[u8]) -> Nibbles {
    Nibbles::from_slice(nibbles).unwrap()
}

fn branch(children: &[(usize, H256)]) -> Vec<u8> {
    let child = |nibble| children.iter().find(|(at, _)| *at == nibble).map(|(_, hash)| Reference::Hash(*hash));
    encode::branch(&std::array::from_fn(child))
}

fn extension(nibbles: &[u8], child: H256) -> Vec<u8> {
    encode::extension(&path(nibbles), &Reference::Hash(child))
}

/// A scheduler that wants the state with this root node, which it has been given.
fn start(root: Vec<u8>) -> Scheduler {
    let mut scheduler = Scheduler::new(keccak256(&root), ALL);
    let item = next(&mut scheduler, keccak256(&root));
    deliver(&mut scheduler, item, root).unwrap();
    scheduler
}

/// Asks for everything; the item with this hash.
fn next(scheduler: &mut Scheduler, hash: H256) -> Item {
    scheduler.lookups(ALL).iter().for_each(|item| scheduler.resolve(&item.key, false, false));
    *scheduler.missing(ALL).iter().find(|item| item.key.hash == hash).expect("it is asked for")
}

fn deliver(scheduler: &mut Scheduler, item: Item, bytes: Vec<u8>) -> Result<(), ScheduleError> {
    scheduler.process(Verified::check(item, bytes, Origin::Peer).unwrap()).map(|_| ())
}

fn assert_two_depths(outcome: Result<(), ScheduleError>, hash: H256, first: usize, second: usize) {
    let Err(ScheduleError::TwoDepths { item, depth }) = outcome else { panic!("{outcome:?}") };
    assert_eq!((item.key.hash, item.path.len(), depth), (hash, first, second));
}

#[test]
fn an_account_node_at_two_depths_is_refused() {
    let deep = branch(&[(0, hashed(1)), (5, hashed(2))]);
    let root = branch(&[(0, hashed(1)), (1, keccak256(&deep))]);
    let mut scheduler = start(root);
    let item = next(&mut scheduler, keccak256(&deep));
    assert_two_depths(deliver(&mut scheduler, item, deep), hashed(1), 1, 2);
}

#[test]
fn a_storage_node_at_two_depths_is_refused() {
    let account = |storage_root| {
        let account = Account { nonce: 0, balance: 0.into(), storage_root, code_hash: EMPTY_CODE_HASH };
        encode::leaf(&path(&[3; 63]), &account.encode())
    };
    let storage = branch(&[(0, hashed(1)), (5, hashed(2))]);
    let (outer, inner) = (account(keccak256(&storage)), account(hashed(1)));
    let mut scheduler = start(branch(&[(0, keccak256(&outer)), (1, keccak256(&inner))]));
    let item = next(&mut scheduler, keccak256(&outer));
    deliver(&mut scheduler, item, outer).unwrap();
    let item = next(&mut scheduler, keccak256(&storage));
    deliver(&mut scheduler, item, storage).unwrap();
    // The second account's storage root is a node inside the first account's storage trie.
    let item = Item {
        key: crate::trie::Key { kind: Kind::AccountNode, hash: keccak256(&inner) },
        path: path(&[1]),
        ..Item::root(hashed(0))
    };
    assert_two_depths(deliver(&mut scheduler, item, inner), hashed(1), 1, 0);
}

/// A root over a branch and an extension that both lead to `shared` at depth 2, after the branch has come.
fn under_branch_then_extension(shared: H256) -> (Scheduler, Item, Vec<u8>) {
    let over = branch(&[(0, shared), (5, hashed(2))]);
    let extension = extension(&[7], shared);
    let mut scheduler = start(branch(&[(0, keccak256(&over)), (1, keccak256(&extension))]));
    scheduler.lookups(ALL).iter().for_each(|item| scheduler.resolve(&item.key, false, false));
    let [over_item, extension_item] = scheduler.missing(ALL).try_into().unwrap();
    deliver(&mut scheduler, over_item, over).unwrap();
    (scheduler, extension_item, extension)
}

#[test]
fn an_extension_that_turns_out_to_be_under_another_is_refused() {
    let shared = extension(&[4, 4], hashed(3));
    let (mut scheduler, above, bytes) = under_branch_then_extension(keccak256(&shared));
    let item = next(&mut scheduler, keccak256(&shared));
    assert!(!item.after_extension);
    deliver(&mut scheduler, above, bytes).unwrap();
    let outcome = deliver(&mut scheduler, item, shared);
    let Err(ScheduleError::Malformed { item, source }) = outcome else { panic!("{outcome:?}") };
    assert_eq!((item.path, source), (path(&[0, 0]), NodeError::ExtensionOverNonBranch));
}

#[test]
fn an_extension_that_came_before_it_turned_out_to_be_under_another_is_refused() {
    let shared = extension(&[4, 4], hashed(3));
    let (mut scheduler, above, bytes) = under_branch_then_extension(keccak256(&shared));
    let item = next(&mut scheduler, keccak256(&shared));
    deliver(&mut scheduler, item, shared).unwrap();
    let outcome = deliver(&mut scheduler, above, bytes);
    let Err(ScheduleError::Malformed { item, source }) = outcome else { panic!("{outcome:?}") };
    assert_eq!((item.path, source), (path(&[1, 7]), NodeError::ExtensionOverNonBranch));
}

#[test]
fn a_branch_that_came_before_may_turn_out_to_be_under_an_extension() {
    let shared = branch(&[(3, hashed(3)), (4, hashed(4))]);
    let (mut scheduler, above, bytes) = under_branch_then_extension(keccak256(&shared));
    let item = next(&mut scheduler, keccak256(&shared));
    deliver(&mut scheduler, item, shared).unwrap();
    deliver(&mut scheduler, above, bytes).unwrap();
}

#[test]
fn a_node_that_is_being_looked_up_must_be_a_branch_once_an_extension_refers_to_it() {
    let (mut scheduler, above, bytes) = under_branch_then_extension(hashed(7));
    let item = *scheduler.lookups(ALL).iter().find(|item| item.key.hash == hashed(7)).unwrap();
    assert!(!scheduler.must_be_branch(&item.key));
    deliver(&mut scheduler, above, bytes).unwrap();
    assert!(scheduler.must_be_branch(&item.key));
}

#[test]
fn a_branch_may_be_under_a_branch_and_under_an_extension() {
    let shared = branch(&[(3, hashed(3)), (4, hashed(4))]);
    let (mut scheduler, above, bytes) = under_branch_then_extension(keccak256(&shared));
    let item = next(&mut scheduler, keccak256(&shared));
    deliver(&mut scheduler, above, bytes).unwrap();
    deliver(&mut scheduler, item, shared).unwrap();
}

#[test]
fn an_extension_asked_for_under_an_extension_is_refused_at_once() {
    let shared = extension(&[4, 4], hashed(3));
    let mut scheduler = start(extension(&[7], keccak256(&shared)));
    let item = next(&mut scheduler, keccak256(&shared));
    let refused = Verified::check(item, shared, Origin::Peer);
    assert!(matches!(refused, Err(Reject::Malformed(NodeError::ExtensionOverNonBranch))));
}

#[test]
fn a_late_reply_that_is_malformed_at_its_place_in_the_new_root_is_refused() {
    let old = Source::new([(key(&[1], 1), plain(1)), (key(&[2], 2), plain(2))].into());
    let leaf = old.things.iter().find(|(_, thing)| thing.leaves == 1).unwrap();
    let item = Item { key: *leaf.0, path: path(&[1]), ..Item::root(old.root) };
    // Two nibbles deep, the leaf's path would end past the key.
    let over = branch(&[(0, leaf.0.hash), (5, hashed(2))]);
    let mut scheduler = start(branch(&[(0, keccak256(&over)), (1, hashed(1))]));
    let over_item = next(&mut scheduler, keccak256(&over));
    deliver(&mut scheduler, over_item, over).unwrap();
    let outcome = deliver(&mut scheduler, item, leaf.1.bytes.clone());
    let Err(error @ ScheduleError::Malformed { source: NodeError::LeafPathLength { got: 65 }, .. }) = outcome else {
        panic!("{outcome:?}")
    };
    let message = error.to_string();
    assert!(message.contains("path \"00\"") && message.contains("malformed"), "{message}");
}

#[test]
fn the_empty_trie_below_a_branch_is_no_node() {
    let mut scheduler = start(branch(&[(0, keccak256(&[0x80])), (1, hashed(1))]));
    let item = next(&mut scheduler, keccak256(&[0x80]));
    assert!(matches!(Verified::check(item, vec![0x80], Origin::Peer), Err(Reject::Malformed(_))));
}
