//! Each limit's bytes, and how long things take.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{World, batch, body, data, exchange, post, world};
use crate::support::{Limits, Peer, Rate, RateStyle, Speaks};

fn peer(world: &World, limits: Limits) -> Peer {
    Peer::build(&world.memory).limits(limits).start()
}

fn limited(world: &World, rate: Rate) -> Peer {
    peer(world, Limits { rate: Some(rate), ..Limits::default() })
}

/// So many calls for the first root.
fn calls(world: &World, count: usize) -> Vec<(&'static str, Value)> {
    vec![("debug_dbGet", json!([data(world.roots[0])])); count]
}

/// The body of a batch of so many calls for the first root, with ids from 5 on.
fn batch_body(world: &World, count: usize) -> Value {
    let calls = calls(world, count);
    Value::Array((5..).zip(&calls).map(|(id, (method, params))| body(id, method, params)).collect())
}

#[test]
fn a_batch_over_the_limit_gets_one_error_under_its_first_id_and_nothing_is_done() {
    let world = world();
    let peer = peer(&world, Limits { batch_items: 3, ..Limits::default() });
    let expected = r#"[{"jsonrpc":"2.0","id":5,"error":{"code":-32600,"message":"batch too large"}}]"#;
    assert_eq!(exchange(&peer, &batch_body(&world, 4)), (200, expected.into()));
    assert_eq!(peer.served(), 0);
    assert_eq!(batch(&peer, &calls(&world, 3)).len(), 3);
    assert_eq!(peer.served(), 3);
}

#[test]
fn a_batch_over_the_limit_of_another_node_gets_an_object() {
    let world = world();
    let limits = Limits { batch_items: 3, ..Limits::default() };
    let refusals = [
        (Speaks::NethermindHash, 503, -32005, "Batch size limit exceeded"),
        (Speaks::CodesOnly, 200, -32010, "The batch request was too large"),
    ];
    for (speaks, status, code, text) in refusals {
        let peer = Peer::build(&world.memory).speaks(speaks).limits(limits.clone()).start();
        let expected = format!(r#"{{"jsonrpc":"2.0","id":null,"error":{{"code":{code},"message":"{text}"}}}}"#);
        assert_eq!(exchange(&peer, &batch_body(&world, 4)), (status, expected));
    }
}

#[test]
fn geths_own_limit_is_a_thousand_calls() {
    let world = world();
    let peer = Peer::honest(&world.memory);
    let id = ("eth_chainId", json!([]));
    assert_eq!(batch(&peer, &vec![id.clone(); 1_000]).len(), 1_000);
    assert_eq!(batch(&peer, &vec![id; 1_001]).len(), 1);
}

#[test]
fn calls_after_the_one_that_fills_the_reply_are_refused() {
    let world = world();
    let root = data(&world.memory.nodes()[&world.roots[0]]);
    // With the quotes: two results are just within the limit, so that a third is still answered.
    let bytes = root.to_string().len();
    let peer = peer(&world, Limits { batch_response_bytes: 2 * bytes, ..Limits::default() });
    let answers = batch(&peer, &calls(&world, 5));
    assert!(answers[..3].iter().all(|answer| answer["result"] == root));
    let refusal = json!({ "code": -32003, "message": "response too large" });
    assert!(answers[3..].iter().all(|answer| answer["error"] == refusal));
    assert_eq!(answers[4]["id"], 4);
    assert_eq!(peer.served(), 3);
}

#[test]
fn calls_after_the_time_is_over_are_refused() {
    let world = world();
    let peer = peer(&world, Limits { timeout_items: 2, ..Limits::default() });
    let (status, text) = exchange(&peer, &batch_body(&world, 4));
    let end = r#","id":8,"error":{"code":-32002,"message":"request timed out"}}]"#;
    assert_eq!((status, text.matches("request timed out").count(), text.ends_with(end)), (200, 2, true), "{text}");
    assert_eq!(peer.served(), 2);
}

#[test]
fn a_body_over_the_limit_is_refused_by_its_length_or_cut_where_it_has_none() {
    let world = world();
    let peer = peer(&world, Limits { body_bytes: 100, ..Limits::default() });
    let text = batch_body(&world, 2).to_string();
    let expected = format!("content length too large ({}>100)\n", text.len());
    assert_eq!(exchange(&peer, &text), (413, expected));

    let chunk = format!("{:x}\r\n{text}\r\n0\r\n\r\n", text.len());
    let reply = post(&peer, "transfer-encoding: chunked", &chunk).unwrap();
    assert_eq!((reply.status, reply.body.as_str()), (200, PARSE_ERROR));
}

const PARSE_ERROR: &str = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"parse error"}}"#;

#[test]
fn what_is_no_call_gets_an_error() {
    let peer = Peer::honest(&world().memory);
    assert_eq!(exchange(&peer, &"nonsense"), (200, PARSE_ERROR.into()));
    let empty: Value = serde_json::from_str(&exchange(&peer, &"[]").1).unwrap();
    assert_eq!(empty["error"], json!({ "code": -32600, "message": "empty batch" }));
    assert!(empty["id"].is_null());
    let invalid = r#"[{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"invalid request"}}]"#;
    assert_eq!(exchange(&peer, &"[17]"), (200, invalid.into()));
}

#[test]
fn too_many_requests_get_a_status_and_the_seconds_to_wait() {
    let world = world();
    let rate = Rate { per_second: 0, burst: 2, style: RateStyle::Status { retry_after: 100 } };
    let peer = limited(&world, rate);
    for _ in 0..2 {
        assert_eq!(exchange(&peer, &batch_body(&world, 9)).0, 200);
    }
    let text = batch_body(&world, 1).to_string();
    let reply = post(&peer, &format!("content-length: {}", text.len()), &text).unwrap();
    assert_eq!(reply.status, 429);
    assert!(reply.head.split("\r\n").any(|line| line == "retry-after: 100"), "{}", reply.head);
    assert_eq!(peer.served(), 18);

    let counts = peer.counts();
    let waits: Vec<Option<Duration>> =
        counts.arrivals.iter().map(|came| came.wait_until.map(|end| end - came.at)).collect();
    assert_eq!(waits, [None, None, Some(Duration::from_secs(100))]);
    // Whoever does not wait is found out, once the peer cannot take it for one that was on its way.
    while peer.counts().inside_wait == 0 {
        assert_eq!(exchange(&peer, &text).0, 429);
    }
}

#[test]
fn calls_over_the_rate_of_quicknode_get_an_error_each() {
    let world = world();
    let peer = limited(&world, Rate { per_second: 1, burst: 3, style: RateStyle::QuickNode });
    let answers = batch(&peer, &calls(&world, 5));
    assert!(answers[..3].iter().all(|answer| answer["result"].is_string()));
    let refusal = json!({ "code": -32007, "message": "1/second request limit reached - reduce calls per second" });
    assert!(answers[3..].iter().all(|answer| answer["error"] == refusal));
    assert_eq!((peer.served(), peer.counts().inside_wait), (3, 0));
}

#[test]
fn requests_over_the_rate_of_infura_say_how_long_to_wait() {
    let world = world();
    let style = RateStyle::Infura { backoff: Duration::from_millis(30_500) };
    let peer = limited(&world, Rate { per_second: 9, burst: 0, style });
    let answers = batch(&peer, &calls(&world, 2));
    for (id, answer) in answers.iter().enumerate() {
        assert_eq!((answer["id"].as_u64(), &answer["error"]["code"]), (Some(id as u64), &json!(-32005)));
        let told = &answer["error"]["data"]["rate"];
        assert_eq!((&told["backoff_seconds"], &told["allowed_rps"]), (&json!(30.5), &json!(9)));
    }
    assert_eq!(answers.len(), 2);
}

/// Posts the same body so many times at once; how long all of it takes.
fn at_once(peer: &Peer, body: &Value, times: u32) -> Duration {
    let start = Instant::now();
    thread::scope(|scope| {
        (0..times).for_each(|_| drop(scope.spawn(|| assert_eq!(exchange(peer, body).0, 200))));
    });
    start.elapsed()
}

#[test]
fn the_delays_of_replies_do_not_add_up() {
    let world = world();
    let delay = Duration::from_millis(200);
    let peer = peer(&world, Limits { delay, ..Limits::default() });
    let took = at_once(&peer, &batch_body(&world, 5), 30);
    assert!(took >= delay && took < 30 * delay, "{took:?}");
    assert!(peer.counts().most_in_flight > 1);
}

#[test]
fn the_work_of_one_lane_adds_up_and_that_of_many_does_not() {
    let world = world();
    let limits = Limits { per_item: Duration::from_millis(4), lanes: 1, ..Limits::default() };
    let body = batch_body(&world, 5);
    let took = at_once(&peer(&world, limits.clone()), &body, 4);
    assert!(took >= 4 * 5 * limits.per_item, "{took:?}");
    let limits = Limits { per_item: Duration::from_millis(40), lanes: 100, ..limits };
    let took = at_once(&peer(&world, limits.clone()), &body, 30);
    assert!(took >= 5 * limits.per_item && took < 30 * 5 * limits.per_item, "{took:?}");
}
