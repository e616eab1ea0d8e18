//! The plan of faults.

use std::collections::HashSet;

use primitive_types::H256;
use serde_json::{Value, json};
use statesync::trie::keccak256;

use super::{World, batch, body, data, db_get, exchange, not_found, post, world};
use crate::support::{Faults, Peer, Speaks};

fn peer(world: &World, faults: Faults) -> Peer {
    Peer::build(&world.memory).faults(faults).start()
}

fn no_faults(world: &World) -> Faults {
    Faults::of(&world.seed)
}

/// Some hashes of nodes in a fixed order.
fn hashes(world: &World) -> Vec<H256> {
    let mut hashes: Vec<H256> = world.memory.nodes().keys().copied().collect();
    hashes.sort_unstable();
    hashes.truncate(100);
    hashes
}

fn calls(hashes: &[H256]) -> Vec<(&'static str, Value)> {
    hashes.iter().map(|hash| ("debug_dbGet", json!([data(hash)]))).collect()
}

/// Whether an element holds what the hash stands for.
fn is_right(element: &Value, hash: &H256) -> bool {
    let digits = element["result"].as_str().and_then(|text| text.strip_prefix("0x"));
    digits.is_some_and(|digits| {
        let mut bytes = vec![0; digits.len() / 2];
        faster_hex::hex_decode(digits.as_bytes(), &mut bytes).unwrap();
        keccak256(&bytes) == *hash
    })
}

#[test]
fn one_seed_makes_the_same_faults_in_whatever_order_things_are_asked() {
    let world = world();
    let faults = Faults { lie_percent: 30, absent_percent: 20, null_percent: 10, ..no_faults(&world) };
    let [one, other] = [peer(&world, faults.clone()), peer(&world, faults.clone())];
    let third = peer(&world, Faults { seed: faults.seed + 1, ..faults });
    let hashes = hashes(&world);
    let backwards: Vec<H256> = hashes.iter().rev().copied().collect();
    let results = |peer: &Peer, hashes: &[H256]| {
        let (start, end) = hashes.split_at(hashes.len() / 2);
        let elements = [batch(peer, &calls(start)), batch(peer, &calls(end))].concat();
        elements.into_iter().map(|element| element.get("result").cloned()).collect::<Vec<_>>()
    };
    let (mut last, mut different) = (Vec::new(), 0);
    for _ in 0..3 {
        let mut again = results(&other, &backwards);
        again.reverse();
        let forwards = results(&one, &hashes);
        assert_eq!(forwards, again);
        different += usize::from(forwards != last);
        last = forwards;
    }
    assert_eq!(different, 3, "each time the dice are thrown anew");
    results(&third, &hashes);
    results(&third, &hashes);
    assert_ne!(results(&third, &hashes), last);
}

#[test]
fn every_key_gets_its_value_in_the_end() {
    let world = world();
    let faults = Faults { lie_percent: 20, absent_percent: 20, null_percent: 20, ..no_faults(&world) };
    let peer = peer(&world, faults);
    let mut left: HashSet<H256> = hashes(&world).into_iter().collect();
    let count = left.len() as u64;
    let mut rounds = 0;
    while !left.is_empty() {
        let asked: Vec<H256> = left.iter().copied().collect();
        let answers = batch(&peer, &calls(&asked));
        let right = asked.iter().zip(&answers).filter(|(hash, answer)| is_right(answer, hash));
        right.for_each(|(hash, _)| assert!(left.remove(hash)));
        rounds += 1;
    }
    assert!(rounds > 2, "{rounds}");
    assert_eq!(peer.served(), count);
}

#[test]
fn each_kind_of_fault_is_what_it_says() {
    let world = world();
    let hashes = hashes(&world);
    let all = |faults: Faults| batch(&peer(&world, faults), &calls(&hashes));
    let lies = all(Faults { lie_percent: 100, ..no_faults(&world) });
    assert!(hashes.iter().zip(&lies).all(|(hash, lie)| lie["result"].is_string() && !is_right(lie, hash)));
    let absent = all(Faults { absent_percent: 100, ..no_faults(&world) });
    assert!(absent.iter().all(|element| element["error"] == not_found()));
    let nulls = all(Faults { null_percent: 100, ..no_faults(&world) });
    assert!(nulls.iter().all(|element| element.as_object().unwrap()["result"].is_null()));
    let some = all(Faults { lie_percent: 50, ..no_faults(&world) });
    let lies = hashes.iter().zip(&some).filter(|(hash, element)| !is_right(element, hash)).count();
    assert!((30..70).contains(&lies), "{lies}");
    // What is no key is never spoiled.
    let peer = peer(&world, Faults { lie_percent: 100, ..no_faults(&world) });
    assert_eq!(batch(&peer, &[("eth_chainId", json!([]))])[0]["result"], "0x1");
}

#[test]
fn elements_come_in_any_order_twice_and_unasked() {
    let world = world();
    let hashes = hashes(&world);
    let ids = |faults: Faults| -> Vec<Value> {
        batch(&peer(&world, faults), &calls(&hashes)).iter().map(|element| element["id"].clone()).collect()
    };
    let in_order: Vec<Value> = (0..hashes.len()).map(Value::from).collect();
    let mixed = ids(Faults { reorder: true, ..no_faults(&world) });
    assert_ne!(mixed, in_order);
    assert_eq!(in_order.iter().filter(|id| mixed.contains(id)).count(), mixed.len());
    let twice = ids(Faults { duplicate_ids: true, ..no_faults(&world) });
    let expected: Vec<Value> = in_order.iter().flat_map(|id| [id.clone(), id.clone()]).collect();
    assert_eq!(twice, expected);
    let with_strangers = ids(Faults { foreign_ids: true, ..no_faults(&world) });
    assert_eq!(with_strangers.len(), in_order.len() + 5);
    let known: Vec<Value> = with_strangers.into_iter().filter(|id| in_order.contains(id)).collect();
    assert_eq!(known, in_order);
}

#[test]
fn what_was_there_before_the_last_flush_comes_stale() {
    let world = world();
    let [first, second] = world.roots;
    let faults = Faults { stale_percent: 100, ..no_faults(&world) };
    let peer = Peer::build(&world.memory).speaks(Speaks::Path).blocks([(0, first), (1, second)]).disk(first);
    let peer = peer.faults(faults).start();
    assert_eq!(db_get(&peer, "41"), data(&world.memory.nodes()[&first]), "before the first flush nothing is stale");
    peer.flush(second);
    assert_eq!(db_get(&peer, "41"), data(&world.memory.nodes()[&first]));
    peer.flush(second);
    assert_eq!(db_get(&peer, "41"), data(&world.memory.nodes()[&second]));
}

#[test]
fn whole_requests_go_wrong_too() {
    let world = world();
    let root = body(1, "debug_dbGet", &json!([data(world.roots[0])]));
    let whole = Value::Array(vec![root.clone(), root]).to_string();
    let page = peer(&world, Faults { html_percent: 100, ..no_faults(&world) });
    let (status, text) = exchange(&page, &whole);
    assert!(status == 200 && text.starts_with("<html>"), "{text}");

    let (_, right) = exchange(&Peer::honest(&world.memory), &whole);
    let cut = peer(&world, Faults { truncate_percent: 100, ..no_faults(&world) });
    assert_eq!(exchange(&cut, &whole), (200, right[..right.len() / 2].to_owned()));
    assert_eq!((page.served(), cut.served()), (0, 0));
}

#[test]
fn every_so_many_requests_the_connection_breaks() {
    let world = world();
    let peer = peer(&world, Faults { drop_every: Some(3), ..no_faults(&world) });
    let text = body(1, "debug_dbGet", &json!([data(world.roots[0])])).to_string();
    let head = format!("content-length: {}", text.len());
    let whole = |_| post(&peer, &head, &text).is_some();
    let replies: Vec<bool> = (0..6).map(whole).collect();
    assert_eq!(replies, [true, true, false, true, true, false]);
}
