//! Everything a lone peer may say on the wire without keeping the sync from its end.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use primitive_types::H256;
use serde_json::json;
use statesync::genesis::StateSummary;
use statesync::pipeline::Report;
use statesync::serve::MemoryState;
use tempfile::TempDir;

use crate::support::{
    Answer, Call, Element, Outcome, Peer, Request, SMALL, Seed, assert_all_hashes_are_right, in_memory, items, open,
    options, state, sync, verified,
};

struct World {
    memory: Arc<MemoryState>,
    summary: StateSummary,
    _seed: Seed,
}

fn world() -> World {
    let seed = Seed::or(30);
    let (memory, [summary]) = in_memory([&state(seed.0, SMALL)]);
    World { memory, summary, _seed: seed }
}

/// Syncs from one peer that behaves so, and checks that the state is complete and right.
fn completes(world: &World, behaviour: impl Fn(&Request<'_>) -> Answer + Send + Sync + 'static) -> Report {
    let peer = Peer::new(&world.memory, behaviour);
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    let report = sync(&store, &[peer.url()], options(world.summary.root));
    assert!(report.is_complete(), "{:?}", report.outcome);
    let held = verified(&store, world.summary.root);
    let StateSummary { accounts, slots, codes, nodes, .. } = world.summary;
    assert_eq!((held.accounts, held.slots, held.codes, held.nodes), (accounts, slots, codes, nodes));
    assert_eq!(report.counts.nodes + report.counts.codes, items(&world.memory));
    drop(store);
    assert_all_hashes_are_right(dir.path());
    report
}

/// The honest answer, changed.
fn changed(change: impl Fn(Vec<Element>) -> Vec<Element>) -> impl Fn(&Request<'_>) -> Answer {
    move |request| Answer::Batch(change(request.elements()))
}

/// The first answer to each item is something else.
fn at_first(first: impl Fn(&Call) -> Element) -> impl Fn(&Request<'_>) -> Answer {
    let asked: Mutex<HashSet<H256>> = Mutex::default();
    move |request| {
        let element = |call: &Call| {
            if asked.lock().unwrap().insert(call.hash) { first(call) } else { request.element(call) }
        };
        Answer::Batch(request.calls.iter().map(element).collect())
    }
}

/// Every third request, from the first on, gets another answer.
fn every_third(answer: impl Fn() -> Answer) -> impl Fn(&Request<'_>) -> Answer {
    move |request| if request.number.is_multiple_of(3) { answer() } else { request.honest() }
}

/// Requests of more than `most` items get another answer.
fn over(most: usize, answer: impl Fn(&Request<'_>) -> Answer) -> impl Fn(&Request<'_>) -> Answer {
    move |request| if request.calls.len() > most { answer(request) } else { request.honest() }
}

#[test]
fn absent_once_is_not_the_end() {
    let report = completes(&world(), at_first(Call::absent));
    assert!(report.retries >= report.counts.nodes);
}

#[test]
fn null_once_is_not_the_end() {
    completes(&world(), at_first(|call| call.says(Outcome::Result("null"))));
}

#[test]
fn results_that_are_no_hex_are_asked_again() {
    for nonsense in [r#""0x1""#, r#""zz""#, r#""""#, r#"{"a":1}"#, "17", "true"] {
        // Once in a while: a peer that does little else is dismissed.
        let asked: Mutex<HashSet<H256>> = Mutex::default();
        completes(&world(), move |request| {
            let bad =
                |call: &Call| call.hash.as_bytes()[31].is_multiple_of(10) && asked.lock().unwrap().insert(call.hash);
            let element = |call: &Call| {
                if bad(call) { call.says(Outcome::Result(nonsense)) } else { request.element(call) }
            };
            Answer::Batch(request.calls.iter().map(element).collect())
        });
    }
}

#[test]
fn elements_may_come_in_any_order() {
    let report = completes(&world(), changed(|elements| elements.into_iter().rev().collect()));
    assert_eq!(report.retries, 0);
}

#[test]
fn of_two_elements_with_one_id_the_first_counts() {
    let twice = |element: Element| {
        let lie = Element { result: Outcome::Lie(vec![1, 2, 3]), ..element.clone() };
        [element, lie]
    };
    let report = completes(&world(), changed(move |elements| elements.into_iter().flat_map(twice).collect()));
    assert_eq!(report.peers[0].1.corrupt, 0);
}

#[test]
fn elements_that_nobody_asked_for_are_passed_over() {
    let foreign = [json!(100_000), json!("abc"), json!(null), json!(-1), json!(1.5), json!(u64::MAX)];
    let report = completes(
        &world(),
        changed(move |elements| {
            let strangers = foreign.iter().map(|id| Element { id: id.clone(), result: Outcome::Lie(vec![7; 40]) });
            strangers.chain(elements).collect()
        }),
    );
    assert_eq!((report.retries, report.peers[0].1.corrupt), (0, 0));
}

#[test]
fn ids_may_come_back_as_strings() {
    let text = |element: Element| Element { id: element.id.to_string().into(), ..element };
    let report = completes(&world(), changed(move |elements| elements.into_iter().map(text).collect()));
    assert_eq!(report.retries, 0);
}

#[test]
fn elements_that_are_left_out_are_asked_again() {
    let report = completes(&world(), changed(|elements| elements.into_iter().step_by(2).collect()));
    assert!(report.retries > 0);
}

#[test]
fn an_over_long_batch_that_gets_one_error_is_sent_again_smaller() {
    // geth's answer: one element, under the id of the first call.
    let too_large =
        |request: &Request<'_>| Answer::Batch(vec![request.calls[0].says(Outcome::Error(-32600, "batch too large"))]);
    let report = completes(&world(), over(20, too_large));
    assert!(report.retries > 0);
    assert_eq!(report.peers[0].1.errors, 0, "to ask for too much is not the peer's fault");
}

#[test]
fn an_over_long_batch_that_gets_one_error_object_is_sent_again_smaller() {
    let body = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32005,"message":"batch limit exceeded"}}"#;
    completes(&world(), over(20, |_| Answer::status(200, None, body)));
}

#[test]
fn the_rest_of_a_batch_that_grew_too_large_or_took_too_long_is_asked_again() {
    for (code, text) in [(-32003, "response too large"), (-32002, "request timed out")] {
        let cut = move |elements: Vec<Element>| {
            let mut elements = elements;
            elements.iter_mut().skip(5).for_each(|element| element.result = Outcome::Error(code, text));
            elements
        };
        let report = completes(&world(), changed(cut));
        assert_eq!(report.peers[0].1.errors, 0);
    }
}

#[test]
fn a_body_over_the_servers_limit_is_sent_again_smaller() {
    completes(&world(), over(20, |_| Answer::status(413, None, "content length too large")));
}

#[test]
fn a_peer_that_limits_the_rate_gets_its_rest() {
    for code in [429, 503] {
        completes(&world(), every_third(move || Answer::status(code, Some("0"), "slow down")));
    }
    let first = |request: &Request<'_>| match request.number {
        0 => Answer::status(429, None, "slow down"),
        1 => request.errors(-32005, "limit exceeded"),
        _ => request.honest(),
    };
    let report = completes(&world(), first);
    assert!(report.duration.as_secs() >= 2, "a rest of a second each: {:?}", report.duration);
}

#[test]
fn server_errors_error_pages_and_broken_connections_are_survived() {
    let answers: [fn() -> Answer; 6] = [
        || Answer::status(500, None, "internal error"),
        || Answer::status(404, None, "not found"),
        || Answer::status(200, None, "<html><body>502 Bad Gateway</body></html>"),
        || Answer::status(200, None, r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32603,"message":"internal"}}"#),
        || Answer::status(200, None, ""),
        || Answer::Drop,
    ];
    for answer in answers {
        let report = completes(&world(), every_third(answer));
        assert!(report.peers[0].1.errors > 0);
    }
}

#[test]
fn a_reply_without_an_end_is_cut_off_and_its_items_are_asked_again() {
    let report = completes(&world(), |request: &Request<'_>| match request.number {
        1 => Answer::Endless,
        _ => request.honest(),
    });
    assert!(report.retries > 0);
}

#[test]
fn codes_are_found_under_the_bare_hash_of_old_databases() {
    let old = |request: &Request<'_>| {
        let element = |call: &Call| if call.code { call.absent() } else { request.element(call) };
        Answer::Batch(request.calls.iter().map(element).collect())
    };
    let report = completes(&world(), old);
    assert!(report.counts.codes > 0);
}
