//! `statesync diff`: what changed from one state to another.

use std::collections::{BTreeMap, BTreeSet};

use primitive_types::{H256, U256};
use serde_json::{Value, json};
use statesync::genesis::Genesis;

use crate::support::{MEDIUM, Seed, imported, state, statesync, successor};

fn word(word: Option<&U256>) -> Value {
    word.map_or(Value::Null, |word| format!("0x{}", faster_hex::hex_string(&word.to_big_endian())).into())
}

/// Every slot that differs, as a line tells it, by looking at every one.
fn slots(old: &Genesis, new: &Genesis) -> Vec<Value> {
    let none = BTreeMap::new();
    let keys: BTreeSet<&H256> = old.alloc.keys().chain(new.alloc.keys()).collect();
    let mut lines = Vec::new();
    for key in keys {
        let [before, after] =
            [old, new].map(|genesis| genesis.alloc.get(key).map_or(&none, |account| &account.storage));
        let slots: BTreeSet<&H256> = before.keys().chain(after.keys()).collect();
        for slot in slots.into_iter().filter(|slot| before.get(*slot) != after.get(*slot)) {
            lines.push(json!({ "kind": "slot", "account": format!("{key:?}"), "slot": format!("{slot:?}"),
                "old": word(before.get(slot)), "new": word(after.get(slot)) }));
        }
    }
    lines
}

#[test]
fn every_account_and_slot_that_changed_is_told_and_no_other() {
    let seed = Seed::or(81);
    let old = state(seed.0, MEDIUM);
    let new = successor(&old, seed.0 + 1, 200, MEDIUM);
    let (dir, [before, after]) = imported([&old, &new]);
    let [from, to] = [before, after].map(|summary| format!("{:?}", summary.root));
    let path = dir.path().to_str().unwrap();
    let output = statesync(["diff", &from, &to, "--datadir", path, "--json"]).exits(0);
    let mut lines: Vec<Value> = output.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let summary = lines.pop().unwrap();
    let (accounts, told): (Vec<Value>, Vec<Value>) = lines.into_iter().partition(|line| line["kind"] == "account");
    let expected = slots(&old, &new);
    assert_eq!(told, expected);

    let keys: BTreeSet<&H256> = old.alloc.keys().chain(new.alloc.keys()).collect();
    let changed: Vec<&H256> = keys.into_iter().filter(|key| old.alloc.get(*key) != new.alloc.get(*key)).collect();
    assert_eq!(accounts.len(), changed.len());
    for (line, key) in accounts.iter().zip(&changed) {
        assert_eq!(line["account"], format!("{key:?}"));
        for (side, genesis) in [("old", &old), ("new", &new)] {
            match genesis.alloc.get(*key) {
                None => assert_eq!(line[side], Value::Null),
                Some(account) => {
                    assert_eq!(line[side]["nonce"], account.nonce);
                    assert_eq!(line[side]["balance"], account.balance.to_string());
                }
            }
        }
    }
    let count = |genesis: &Genesis, other: &Genesis| {
        changed.iter().filter(|key| genesis.alloc.contains_key(**key) && !other.alloc.contains_key(**key)).count()
    };
    let (added, removed) = (count(&new, &old), count(&old, &new));
    let kinds = json!({ "added": added, "removed": removed, "changed": changed.len() - added - removed });
    assert_eq!((&summary["kind"], &summary["accounts"]), (&json!("summary"), &kinds));
    let text = statesync(["diff", &from, &to, "--datadir", path]).exits(0).stdout;
    assert!(text.contains(&format!("accounts  {added} added, {removed} removed, ")), "{text}");
}

#[test]
fn the_same_state_twice_differs_in_nothing_and_an_unknown_one_is_refused() {
    let (dir, [summary]) = imported([&state(82, crate::support::SMALL)]);
    let (root, path) = (format!("{:?}", summary.root), dir.path().to_str().unwrap());
    let output = statesync(["diff", &root, &root, "--datadir", path, "--json"]).exits(0);
    let nothing = json!({ "added": 0, "removed": 0, "changed": 0 });
    let summary = output.json();
    assert_eq!((&summary["accounts"], &summary["slots"], &summary["codes"]), (&nothing, &nothing, &json!(0)));
    let unknown = format!("0x{}", "7".repeat(64));
    statesync(["diff", &root, &unknown, "--datadir", path]).exits(10);
}
