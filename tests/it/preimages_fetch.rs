//! Addresses and slot numbers from peers that give them at once, late, in another way, or not at all.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use primitive_types::H256;
use serde_json::{Value, json};
use statesync::trie::keccak256;

use crate::export::Exporter;
use crate::preimages::{named, status};
use crate::support::{Answer, Call, Element, Outcome, Output, Peer, Request, Seed, in_memory, statesync_in};

type Names = Arc<HashMap<H256, Vec<u8>>>;

fn setup(seed: u64) -> (Exporter, Names) {
    let (exporter, names) = named(seed);
    (exporter, Arc::new(names.into_iter().map(|name| (keccak256(&name), name)).collect()))
}

/// Whether a call asks for a preimage.
fn asks_for_one(call: &Call) -> bool {
    let row = format!("0x{}", faster_hex::hex_string(b"secure-key-"));
    call.method == "debug_preimage" || call.params[0].as_str().is_some_and(|key| key.starts_with(&row))
}

/// What an archive says.
fn given(names: &Names, call: &Call) -> Element {
    match names.get(&call.hash) {
        Some(name) => call.says(Outcome::Bytes(name.clone())),
        None if call.method == "debug_preimage" => call.says(Outcome::Error(-32000, "unknown preimage")),
        None => call.absent(),
    }
}

/// A peer with the state that says this where it is asked for preimages.
fn peer(exporter: &Exporter, says: impl Fn(&Request<'_>) -> Answer + Send + Sync + 'static) -> Peer {
    let (memory, [summary]) = in_memory([&exporter.genesis]);
    let behaviour = move |request: &Request<'_>| {
        if request.calls.iter().any(asks_for_one) { says(request) } else { request.honest() }
    };
    Peer::build(&memory).blocks([(0, summary.root)]).behaves(behaviour).start()
}

/// An archive.
fn archive(exporter: &Exporter, names: &Names) -> Peer {
    let names = names.clone();
    peer(exporter, move |request| Answer::Batch(request.calls.iter().map(|call| given(&names, call)).collect()))
}

/// A peer that has the state and no preimages.
fn without(exporter: &Exporter) -> Peer {
    archive(exporter, &Names::default())
}

fn fetch(exporter: &Exporter, peers: &[&Peer]) -> Output {
    let (store, peers) = (exporter.store(), peers.iter().map(|peer| peer.url()).collect::<Vec<_>>().join(","));
    let arguments = ["preimages", "fetch", "--datadir", store.to_str().unwrap(), "--json", "--no-progress"];
    statesync_in(&[("ETH_RPC_URL", &peers)], &arguments)
}

fn known(exporter: &Exporter) -> u64 {
    let status = status(exporter);
    status["preimage_addresses"].as_u64().unwrap() + status["preimage_slots"].as_u64().unwrap()
}

fn assert_brings_all(fetched: &Value, exporter: &Exporter, names: &Names) {
    assert_eq!((&fetched["absent"], &fetched["wrong"]), (&json!(0), &json!(0)));
    assert_eq!(known(exporter), names.len() as u64);
}

#[test]
fn an_archives_preimages_are_fetched_and_those_that_nobody_has_are_told() {
    let (exporter, names) = setup(Seed::or(81).0);
    let nobody = fetch(&exporter, &[&without(&exporter)]).exits(3);
    assert_eq!(nobody.json()["absent"], names.len());
    let fetched = fetch(&exporter, &[&without(&exporter), &archive(&exporter, &names)]).exits(0).json();
    assert_brings_all(&fetched, &exporter, &names);
}

#[test]
fn a_peer_whose_database_does_not_have_them_by_key_is_asked_by_the_method_for_it() {
    let (exporter, names) = setup(Seed::or(82).0);
    let has = names.clone();
    let peer = peer(&exporter, move |request| {
        let says = |call: &Call| match call.method.as_str() {
            "debug_preimage" => given(&has, call),
            _ => call.says(Outcome::Error(-32601, "the method debug_dbGet does not exist/is not available")),
        };
        Answer::Batch(request.calls.iter().map(says).collect())
    });
    assert_brings_all(&fetch(&exporter, &[&peer]).exits(0).json(), &exporter, &names);
    assert_eq!(peer.counts().methods["debug_preimage"], names.len() as u64);
    // What it does not have it says in other words there.
    let other = setup(Seed::or(82).0).0;
    let has = Names::default();
    let peer = self::peer(&other, move |request| {
        let says = |call: &Call| match call.method.as_str() {
            "debug_preimage" => given(&has, call),
            _ => call.says(Outcome::Error(-32602, "invalid length 43, expected 33 bytes")),
        };
        Answer::Batch(request.calls.iter().map(says).collect())
    });
    assert_eq!(fetch(&other, &[&peer]).exits(3).json()["absent"], names.len());
}

#[test]
fn a_peer_that_fails_twice_and_then_answers_gives_all() {
    let (exporter, names) = setup(Seed::or(83).0);
    let (has, requests) = (names.clone(), AtomicU64::new(0));
    let peer = peer(&exporter, move |request| match requests.fetch_add(1, Ordering::Relaxed) {
        0 => Answer::status(429, Some("0"), "slow down"),
        1 => Answer::status(500, None, "out of order"),
        // Some are left out, some have an error of their own.
        2 => Answer::Batch(request.calls.iter().step_by(2).map(|call| given(&has, call)).collect()),
        3 => request.errors(-32002, "request timed out"),
        _ => Answer::Batch(request.calls.iter().map(|call| given(&has, call)).collect()),
    });
    assert_brings_all(&fetch(&exporter, &[&peer]).exits(0).json(), &exporter, &names);
}

#[test]
fn a_peer_that_takes_few_at_a_time_is_asked_for_few() {
    const MOST: usize = 40;
    let (exporter, names) = setup(Seed::or(84).0);
    let has = names.clone();
    let peer = peer(&exporter, move |request| {
        if request.calls.len() > MOST {
            return Answer::status(413, None, "too large");
        }
        Answer::Batch(request.calls.iter().map(|call| given(&has, call)).collect())
    });
    assert_brings_all(&fetch(&exporter, &[&peer]).exits(0).json(), &exporter, &names);
}

#[test]
fn a_peer_that_fails_for_good_is_named_and_what_came_before_stays() {
    let (exporter, names) = setup(Seed::or(85).0);
    let (has, answered) = (names.clone(), AtomicU64::new(0));
    let few = names.len() as u64 / 3;
    let peer = peer(&exporter, move |request| {
        let elements: Vec<Element> = request.calls.iter().map(|call| given(&has, call)).collect();
        let room = few.saturating_sub(answered.fetch_add(elements.len() as u64, Ordering::Relaxed));
        match usize::try_from(room).unwrap() {
            0 => Answer::status(429, Some("0"), "slow down"),
            room => Answer::Batch(elements.into_iter().take(room).collect()),
        }
    });
    let failed = fetch(&exporter, &[&peer]).exits(3);
    assert!(failed.stderr.contains(&peer.url()) && failed.stderr.contains("limits how often"), "{failed:?}");
    assert_eq!(known(&exporter), few);

    // That nobody has the others is not known, be it that another peer says so for itself.
    let failed = fetch(&exporter, &[&peer, &without(&exporter)]).exits(3);
    let open = names.len() as u64 - few;
    assert!(failed.stderr.contains(&format!("{open} accounts and slots were not answered for")), "{failed:?}");
    assert!(failed.stderr.contains(&peer.url()), "{failed:?}");
    // And one that has them will do.
    let fetched = fetch(&exporter, &[&peer, &archive(&exporter, &names)]).exits(0).json();
    assert_brings_all(&fetched, &exporter, &names);
}
