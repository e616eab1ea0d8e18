//! Differences, compared with those of maps.

use proptest::prelude::*;

use super::super::{Change, Diff};
use super::*;
use crate::trie::tests::cases;

/// What a difference has to be, by looking at every key.
fn expected(memory: &mut Memory, old: &Accounts, new: &Accounts) -> Vec<Change> {
    let mut changes = Vec::new();
    let keys: std::collections::BTreeSet<_> = old.keys().chain(new.keys()).copied().collect();
    for key in keys {
        let (before, after) = (old.get(&key), new.get(&key));
        if before == after {
            continue;
        }
        let [old, new] = [before, after].map(|content| content.map(|content| memory.account(content)));
        changes.push(Change::Account { key, old, new });
        let [before, after] = [before, after].map(|content| content.map(|it| it.slots.clone()).unwrap_or_default());
        let slots: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).copied().collect();
        for slot in slots {
            let (old, new) = (before.get(&slot).copied(), after.get(&slot).copied());
            if old != new {
                changes.push(Change::Slot { account: key, key: slot, old, new });
            }
        }
    }
    changes
}

/// A state, and one with some of it removed, changed and added.
fn two_states() -> impl Strategy<Value = (Accounts, Accounts)> {
    let edit = (any::<prop::sample::Index>(), 0..4, content(), key(), word());
    (accounts(), prop::collection::vec(edit, 0..8)).prop_map(|(old, edits)| {
        let mut new = old.clone();
        for (index, kind, content, key, word) in edits {
            let some = (!new.is_empty()).then(|| *new.keys().nth(index.index(new.len())).unwrap());
            match (kind, some) {
                (0, Some(some)) => drop(new.remove(&some)),
                (1, Some(some)) => drop(new.get_mut(&some).unwrap().slots.insert(key, word)),
                (2, Some(some)) => drop(new.get_mut(&some).unwrap().slots.pop_first()),
                _ => drop(new.insert(key, content)),
            }
        }
        (old, new)
    })
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn a_difference_is_that_of_the_maps_in_the_order_of_keys((old, new) in two_states()) {
        let mut memory = Memory::default();
        let (before, after) = (memory.state(&old), memory.state(&new));
        for (from, to, old, new) in [(before, after, &old, &new), (after, before, &new, &old)] {
            let changes: Vec<Change> = Diff::new(&memory, from, to).map(Result::unwrap).collect();
            let expected = expected(&mut memory, old, new);
            prop_assert_eq!(changes, expected);
        }
    }
}

#[test]
fn what_both_states_share_is_not_read() {
    let content = |nonce| Content { nonce, ..Content::default() };
    let old: Accounts = (0..2_000_u64).map(|n| (keccak256(&n.to_be_bytes()), content(n))).collect();
    let mut new = old.clone();
    *new.values_mut().nth(1_000).unwrap() = content(7_777);
    let mut memory = Memory::default();
    let (before, after) = (memory.state(&old), memory.state(&new));
    assert_eq!(Diff::new(&memory, before, after).count(), 1);
    let reads = memory.reads.get();
    assert!(reads < 20, "{reads} nodes read for one account");
    assert_eq!(Diff::new(&memory, after, after).count(), 0);
    assert_eq!(memory.reads.get(), reads);
}

#[test]
fn a_missing_node_ends_a_difference_after_what_was_found_before_it() {
    let key = |byte| H256::repeat_byte(byte);
    let content = |nonce| Content { nonce, ..Content::default() };
    let old: Accounts = [(key(0x10), content(1)), (key(0x20), content(1))].into();
    let new: Accounts = [(key(0x10), content(2)), (key(0x20), content(2))].into();
    let mut memory = Memory::default();
    let (before, after) = (memory.state(&old), memory.state(&new));
    let leaf = keccak256(&State::at(&memory, after).proof(&key(0x20), &[]).unwrap().nodes[1]);
    memory.nodes.remove(&leaf);
    let changes: Vec<_> = Diff::new(&memory, before, after).collect();
    assert_eq!(changes.len(), 2);
    assert!(matches!(&changes[0], Ok(Change::Account { .. })));
    assert!(matches!(&changes[1], Err(StateError::MissingNode { place }) if place.hash == leaf));
}
