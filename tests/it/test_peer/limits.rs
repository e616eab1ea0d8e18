//! Each limit's bytes, and how long things take.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
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

/// The whole reply to a request written by hand, as it is on the wire.
fn raw(peer: &Peer, head: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(peer.url().strip_prefix("http://").unwrap()).unwrap();
    let head = format!("POST / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{head}\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body.as_bytes()).unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    reply
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
    let reply = raw(&peer, "transfer-encoding: chunked", &chunk);
    assert!(reply.starts_with("HTTP/1.1 200 OK\r\n"), "{reply}");
    assert!(reply.ends_with(PARSE_ERROR), "{reply}");
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
    let reply = raw(&peer, &format!("content-length: {}", text.len()), &text).to_lowercase();
    assert!(reply.starts_with("http/1.1 429 too many requests\r\n"), "{reply}");
    assert!(reply.contains("\r\nretry-after: 100\r\n"), "{reply}");
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
fn at_once(peer: &Peer, body: &str, times: usize) -> Duration {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let start = Instant::now();
    let replies = runtime.block_on(join_all((0..times).map(|_| post(peer, body.to_owned()))));
    assert!(replies.iter().all(|(status, _)| *status == 200));
    start.elapsed()
}

#[test]
fn a_replys_delay_is_its_own_and_a_lanes_work_is_not() {
    let world = world();
    let body = batch_body(&world, 5).to_string();
    let far = peer(&world, Limits { delay: Duration::from_millis(50), ..Limits::default() });
    let took = at_once(&far, &body, 40);
    assert!(took >= Duration::from_millis(50) && took < Duration::from_secs(2), "{took:?}");

    let limits = Limits { per_item: Duration::from_millis(4), lanes: 1, ..Limits::default() };
    let slow = peer(&world, limits.clone());
    let took = at_once(&slow, &body, 4);
    assert!(took >= Duration::from_millis(4 * 5 * 4), "{took:?}");
    let counts = slow.counts();
    assert!((1..=4).contains(&counts.most_in_flight), "{}", counts.most_in_flight);
    let wide = peer(&world, Limits { lanes: 100, ..limits });
    let took = at_once(&wide, &body, 100);
    assert!(took >= Duration::from_millis(5 * 4) && took < Duration::from_secs(2), "{took:?}");
}
