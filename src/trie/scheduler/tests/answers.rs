//! Answers that come twice, early, late, or for nothing.

use super::super::table::{Found, Table};
use super::drive::{ALL, Strategy, Sync};
use super::model::Model;
use super::source::{Body, Source};
use super::states::{accounts, hashed, key, plain, storage};
use crate::trie::{Counts, Item, Key, Kind, Origin, Processed, Reject, Scheduler, Verified, keccak256};

/// A branch with two leaves, one of which has a code.
fn source() -> Source {
    let coded = Body { code: b"code".to_vec(), ..Body::default() };
    Source::new([(key(&[1], 1), coded), (key(&[2], 2), plain(1))].into())
}

fn verified(source: &Source, item: Item, origin: Origin) -> Verified {
    Verified::check(item, source.bytes(&item.key), origin).unwrap()
}

/// Looks everything up in an empty store and asks for all of it.
fn ask(scheduler: &mut Scheduler) -> Vec<Item> {
    scheduler.lookups(ALL).iter().for_each(|item| scheduler.resolve(&item.key, false, false));
    scheduler.missing(ALL)
}

#[test]
fn a_reply_with_one_item_twice_counts_once() {
    let source = source();
    let mut scheduler = Scheduler::new(source.root, ALL);
    for expected in [1, 2, 1] {
        let items = ask(&mut scheduler);
        assert_eq!(items.len(), expected);
        for item in items {
            assert_eq!(scheduler.process(verified(&source, item, Origin::Peer)).unwrap(), Processed::Accepted);
            let before = (scheduler.counts(), scheduler.pending(), scheduler.uncommitted());
            assert_eq!(scheduler.process(verified(&source, item, Origin::Peer)).unwrap(), Processed::Duplicate);
            assert_eq!((scheduler.counts(), scheduler.pending(), scheduler.uncommitted()), before);
        }
    }
    assert_eq!(scheduler.counts(), source.counts());
    assert_eq!(scheduler.commit().complete.len(), source.own.len());
}

#[test]
fn a_second_copy_is_a_duplicate_until_the_commit_is_written_and_unwanted_after() {
    let source = source();
    let mut scheduler = Scheduler::new(source.root, ALL);
    let mut code = None;
    for _ in 0..3 {
        for item in ask(&mut scheduler) {
            scheduler.process(verified(&source, item, Origin::Peer)).unwrap();
            code = Some(item).filter(|item| item.key.kind == Kind::Code);
        }
    }
    let again = || verified(&source, code.unwrap(), Origin::Peer);
    let commit = scheduler.commit();
    assert_eq!(scheduler.process(again()).unwrap(), Processed::Duplicate);
    scheduler.committed(commit.done);
    assert_eq!(scheduler.process(again()).unwrap(), Processed::Unwanted);
    assert!(scheduler.commit().is_empty());
}

/// What can happen to a request before a reply that nobody waits for any more brings it.
#[test]
fn a_reply_may_come_before_the_item_is_looked_up_or_asked_for() {
    let source = source();
    let root = Item::root(source.root);
    let reply = || verified(&source, root, Origin::Peer);
    for stage in 0..4 {
        let mut scheduler = Scheduler::new(source.root, ALL);
        if stage > 0 {
            assert_eq!(scheduler.lookups(ALL), [root]);
        }
        if stage > 1 {
            scheduler.resolve(&root.key, false, false);
        }
        if stage > 2 {
            assert_eq!(scheduler.missing(ALL), [root]);
        }
        assert_eq!(scheduler.process(reply()).unwrap(), Processed::Accepted);
        assert_eq!(scheduler.fetching(), 0);
        // The store's answer comes too late to say anything.
        scheduler.resolve(&root.key, true, false);
        scheduler.resolve(&root.key, false, true);
        let staged = verified(&source, root, Origin::Staging);
        assert_eq!(scheduler.process(staged).unwrap(), Processed::Duplicate);
        assert!(!scheduler.is_root_complete());
        assert!(scheduler.missing(ALL).is_empty(), "it is not asked for any more");
        assert_eq!(scheduler.lookups(ALL).len(), 2, "only its children are looked up");
        assert_eq!((scheduler.counts().nodes, scheduler.counts().nodes_reused), (1, 0));
    }
}

/// A reply of an earlier root can overtake the look-up that would have found the item in staging.
#[test]
fn an_item_that_overtakes_its_look_up_leaves_staging_when_it_completes() {
    let source = source();
    let mut model = Model::default();
    let root = Item::root(source.root);
    model.staging.insert(root.key.hash, source.bytes(&root.key));
    for looked_up in [false, true] {
        let mut sync = Sync::new(&source, model.clone(), Strategy { commit_every: ALL, ..Strategy::PLAIN }, 0);
        if looked_up {
            assert_eq!(sync.scheduler.lookups(ALL), [root]);
        }
        assert_eq!(sync.deliver(root), Processed::Accepted);
        assert!(sync.run().model.staging.is_empty());
    }
}

/// Codes are never staged: the row of that hash is the node's.
#[test]
fn a_code_that_overtakes_its_look_up_leaves_the_staged_node_of_the_same_bytes() {
    let stored = Body { storage: storage(1, 9), ..Body::default() };
    let below = Source::new([(key(&[1], 1), stored.clone())].into());
    let leaf = below.things.values().find(|thing| thing.refs.len() == 1 && thing.leaves == 1).unwrap();
    let root = leaf.refs[0].key.hash;
    let code = below.bytes(&leaf.refs[0].key);
    let source = Source::new([(key(&[1], 1), stored), (key(&[2], 2), Body { code, ..Body::default() })].into());
    let code = Item { key: Key { kind: Kind::Code, hash: root }, owner: key(&[2], 2), ..Item::root(root) };
    for (seed, commit_every) in (0..24).zip((1..5).cycle()) {
        let strategy = Strategy { commit_every, ..Strategy::PLAIN };
        let mut sync = Sync::new(&source, Model::default(), strategy, seed);
        sync.late = vec![code; 100];
        sync.run().model.assert_is(&source);
    }
}

#[test]
fn an_unusable_row_in_staging_is_replaced_and_goes_when_the_item_completes() {
    let source = source();
    for commit_every in [1, ALL] {
        let mut model = Model::default();
        model.staging.insert(source.root, b"damaged".to_vec());
        let mut sync = Sync::new(&source, model, Strategy { commit_every, ..Strategy::PLAIN }, 0);
        let root = sync.scheduler.lookups(ALL)[0];
        assert!(Verified::check(root, sync.model.staging[&source.root].clone(), Origin::Staging).is_err());
        sync.scheduler.resolve(&root.key, false, true);
        assert_eq!(sync.scheduler.missing(ALL), [root]);
        assert_eq!(sync.deliver(root), Processed::Accepted);
        assert!(sync.run().model.staging.is_empty());
    }
}

#[test]
fn answers_to_look_ups_that_nobody_made_say_nothing() {
    let source = source();
    let root = Item::root(source.root);
    let mut scheduler = Scheduler::new(source.root, ALL);
    let stranger = Key { kind: Kind::Code, hash: source.root };
    for present in [true, false] {
        scheduler.resolve(&root.key, present, false);
        scheduler.resolve(&stranger, present, false);
    }
    assert!(!scheduler.is_root_complete() && scheduler.missing(ALL).is_empty());
    assert_eq!(scheduler.lookups(ALL), [root]);
    scheduler.resolve(&root.key, false, false);
    scheduler.resolve(&root.key, true, false);
    assert_eq!((scheduler.is_root_complete(), scheduler.missing(ALL).len()), (false, 1));
    scheduler.resolve(&root.key, true, false);
    assert!(scheduler.is_fetching(&root.key));
    assert_eq!(scheduler.counts(), Counts::default());
}

#[test]
fn bytes_of_something_else_are_refused() {
    let source = source();
    let root = Item::root(source.root);
    let leaf = source.things.values().find(|thing| thing.leaves == 1).unwrap();
    for bytes in [leaf.bytes.clone(), b"something else".to_vec(), Vec::new()] {
        for kind in [Kind::AccountNode, Kind::StorageNode, Kind::Code] {
            let item = Item { key: Key { kind, ..root.key }, ..root };
            assert!(matches!(Verified::check(item, bytes.clone(), Origin::Peer), Err(Reject::WrongHash)));
        }
    }
    let code = Item { key: Key { kind: Kind::Code, hash: keccak256(&source.bytes(&root.key)) }, ..root };
    let code = Verified::check(code, source.bytes(&root.key), Origin::Peer).unwrap();
    assert!(code.links.children.is_empty(), "as a code it is only bytes");
    let mut scheduler = Scheduler::new(source.root, ALL);
    assert_eq!(scheduler.process(code).unwrap(), Processed::Unwanted);
}

#[test]
fn a_commit_that_is_not_written_yet_answers_for_what_it_completes() {
    let source = Source::new(accounts(30));
    let mut scheduler = Scheduler::new(source.root, ALL);
    let mut commits = Vec::new();
    let mut model = Model::default();
    while !scheduler.is_complete() {
        for item in ask(&mut scheduler) {
            scheduler.process(verified(&source, item, Origin::Peer)).unwrap();
        }
        commits.push(scheduler.commit());
    }
    assert!(scheduler.pending() > 0);
    for commit in commits {
        model.commit(&commit);
        scheduler.committed(commit.done);
        model.assert_closed(&source);
    }
    assert_eq!(scheduler.pending(), 0);
    model.assert_is(&source);
}

#[test]
fn an_id_is_of_no_use_to_the_next_tenant_of_its_place() {
    let mut table = Table::default();
    let insert = |table: &mut Table, number| match table.find_or_insert(Item::root(hashed(number)), None) {
        Found::New(id) => id,
        Found::Known(id) => panic!("{id:?} is not new"),
    };
    let first = insert(&mut table, 1);
    assert!(table.remove(first).is_some() && table.remove(first).is_none());
    let second = insert(&mut table, 2);
    assert!(table.get(first).is_none() && table.get_mut(first).is_none() && table.remove(first).is_none());
    assert_eq!(table.get(second).map(|request| request.item.key.hash), Some(hashed(2)));
    let places = format!("{first:?}, {second:?}");
    assert_eq!(places, "Id { place: 0, generation: 0 }, Id { place: 0, generation: 1 }", "places are used again");
    assert_eq!((table.len(), table.find(&Item::root(hashed(1)).key)), (1, None));
}

#[test]
fn look_ups_go_deep_before_they_go_wide() {
    let source = Source::new(accounts(40));
    let mut scheduler = Scheduler::new(source.root, ALL);
    let (mut paths, mut deepest) = (Vec::new(), 0);
    for _ in 0..3 {
        let [item] = scheduler.lookups(1).try_into().unwrap();
        scheduler.process(verified(&source, item, Origin::Staging)).unwrap();
        paths.push(item.path);
        deepest = item.path.len();
    }
    assert_eq!(deepest, 2);
    assert!(paths.is_sorted_by(|above, below| below.starts_with(above)));
}
