//! What a root's record becomes when a sync begins and when it has reached its end.

use super::{hash, new_store};
use crate::store::{Block, RootRecord, RootState, Totals};
use crate::trie::Scope;

fn scope(prefixes: &[&str]) -> Scope {
    Scope::of(prefixes.iter().map(|prefix| Scope::prefix(prefix).unwrap()))
}

fn record(state: RootState, prefixes: &[&str]) -> RootRecord {
    let record = RootRecord { state, totals: Some(Totals::default()), ..RootRecord::syncing(hash(1), None) };
    if prefixes.is_empty() { record } else { record.of_scope(&scope(prefixes)) }
}

/// The state and the scope after a sync that has reached its end.
fn reached(new: RootRecord, known: RootRecord) -> (RootState, Option<Scope>) {
    let record = new.reached_after(known);
    (record.state, record.scope)
}

#[test]
fn a_part_is_added_to_the_part_that_was_there() {
    use RootState::{Complete, Damaged, Partial, Syncing};
    let new = || record(Partial, &["0x1", "0x2a"]);
    let both = Some(scope(&["0x1", "0x2a", "0x3"]));
    assert_eq!(reached(new(), record(Partial, &["0x3", "0x2ab"])), (Partial, both));
    assert_eq!(reached(new(), record(Syncing, &["0x3"])), (Partial, new().scope));
    assert_eq!(reached(new(), record(Syncing, &[])), (Partial, new().scope));
    assert_eq!(reached(new(), record(Complete, &[])), (Complete, None));
    // What is damaged may be outside of the part.
    assert_eq!(reached(new(), record(Damaged, &[])), (Damaged, None));
    assert_eq!(reached(new(), record(Damaged, &["0x3"])), (Damaged, Some(scope(&["0x3"]))));
    assert_eq!(reached(new(), record(Damaged, &["0x12"])), (Partial, new().scope));
    for known in [record(Partial, &["0x3"]), record(Damaged, &["0x3"]), record(Damaged, &[]), record(Syncing, &["0x3"])]
    {
        assert_eq!(reached(record(Complete, &[]), known), (Complete, None));
    }
}

#[test]
fn totals_are_kept_only_for_what_they_were_counted_for() {
    use RootState::{Complete, Partial};
    let known = record(Partial, &["0x3"]);
    assert!(record(Partial, &["0x34"]).reached_after(known.clone()).totals.is_some());
    assert!(record(Partial, &["0x4"]).reached_after(known.clone()).totals.is_none());
    assert!(record(Complete, &[]).reached_after(known).totals.is_none());
    assert!(record(Complete, &[]).reached_after(record(Complete, &[])).totals.is_some());
}

#[test]
fn while_a_sync_runs_what_was_there_before_stays_so() {
    let (_dir, store) = new_store();
    let block = Block { number: 7, hash: hash(7), header: None };
    let begin = |record: RootRecord| {
        store.begin_root(&record).unwrap();
        let record = store.root(&record.root).unwrap().unwrap();
        (record.state, record.scope, record.block.map(|block| block.number))
    };
    let syncing = |prefixes: &[&str]| record(RootState::Syncing, prefixes);
    let [first, second] = [&["0x1"][..], &["0x2"]].map(scope);
    assert_eq!(begin(syncing(&["0x1"])), (RootState::Syncing, Some(first), None));
    // It was never there, so nothing is lost with it.
    assert_eq!(begin(syncing(&["0x2"])), (RootState::Syncing, Some(second.clone()), None));
    let marks = crate::store::Marks { checkpoint: None, root: Some(record(RootState::Partial, &["0x2"])) };
    store.commit(&crate::trie::Commit::default(), &marks, crate::store::Durability::Log).unwrap();
    let whole = RootRecord { block: Some(block), ..syncing(&[]) };
    assert_eq!(begin(whole), (RootState::Partial, Some(second), Some(7)));
    // Another root's sync forgets what was only begun, and no part.
    begin(RootRecord::syncing(hash(2), None));
    begin(RootRecord::syncing(hash(3), None));
    let roots: Vec<_> = store.roots().unwrap().into_iter().map(|record| record.root).collect();
    assert_eq!(roots, [hash(1), hash(3)]);
}

#[test]
fn a_record_of_a_whole_state_has_no_scope_on_the_disk() {
    let whole = serde_json::to_value(record(RootState::Complete, &[])).unwrap();
    assert!(whole.get("scope").is_none());
    let part = serde_json::to_value(record(RootState::Partial, &["0xab3", "0x1"])).unwrap();
    assert_eq!((&part["state"], &part["scope"]), (&"partial".into(), &serde_json::json!(["0x1", "0xab3"])));
    assert_eq!(serde_json::from_value::<RootRecord>(part).unwrap(), record(RootState::Partial, &["0xab3", "0x1"]));
}
