use std::time::Duration;

use serde_json::{Value, json};

use super::{Peer, call, error, holesky};
use crate::serve::Options;

const PARSE_ERROR: &str = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"parse error"}}"#;

async fn limited(options: Options) -> Peer {
    Peer::start(holesky().0, options).await
}

/// As many calls of `eth_chainId`, whose result takes 8 bytes.
fn chain_ids(count: u64) -> Value {
    (0..count).map(|id| call(id, "eth_chainId", &json!([]))).collect()
}

fn codes(answers: &Value) -> Vec<Option<i64>> {
    answers.as_array().unwrap().iter().map(|answer| answer["error"]["code"].as_i64()).collect()
}

#[tokio::test]
async fn answers_come_in_the_order_of_the_calls_each_with_its_id() {
    let peer = Peer::holesky().await;
    let body = r#"[{"jsonrpc":"2.0","id":"a\u0062","method":"eth_chainId"},
        {"id":1.50,"method":"nothing","jsonrpc":"2.0"},
        {"method":"net_version","params":[],"jsonrpc":"2.0","id":null}]"#;
    let expected = concat!(
        r#"[{"jsonrpc":"2.0","id":"a\u0062","result":"0x4268"},"#,
        r#"{"jsonrpc":"2.0","id":1.50,"error":{"code":-32601,"#,
        r#""message":"the method nothing does not exist/is not available"}},"#,
        r#"{"jsonrpc":"2.0","id":null,"result":"17000"}]"#
    );
    assert_eq!(peer.post(body).await, expected);
    assert_eq!(peer.counters(), [1, 3, 0]);
}

#[tokio::test]
async fn an_empty_batch_is_one_error() {
    let peer = Peer::holesky().await;
    let expected = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"empty batch"}}"#;
    assert_eq!(peer.post(" [ ] ").await, expected);
}

#[tokio::test]
async fn a_batch_over_the_limit_is_one_error_with_the_first_calls_id() {
    let peer = Peer::holesky().await;
    assert_eq!(peer.post_json(&chain_ids(1000)).await.as_array().unwrap().len(), 1000);
    let expected = r#"[{"jsonrpc":"2.0","id":0,"error":{"code":-32600,"message":"batch too large"}}]"#;
    assert_eq!(peer.post(chain_ids(1001).to_string()).await, expected);
    assert_eq!(peer.counters(), [2, 1000, 0]);

    let peer = limited(Options { batch_items: 1, ..Options::default() }).await;
    let body = r#"[3,{"jsonrpc":"2.0","method":"x"},{"jsonrpc":"2.0","id":"first","method":"x"}]"#;
    let expected = r#"[{"jsonrpc":"2.0","id":"first","error":{"code":-32600,"message":"batch too large"}}]"#;
    assert_eq!(peer.post(body).await, expected);
    let expected = r#"[{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"batch too large"}}]"#;
    assert_eq!(peer.post("[1,2]").await, expected);
}

#[tokio::test]
async fn the_answer_that_crosses_the_size_limit_is_kept_and_the_rest_refused() {
    let peer = limited(Options { batch_bytes: 16, ..Options::default() }).await;
    let answers = peer.post_json(&chain_ids(5)).await;
    assert_eq!(codes(&answers), [None, None, None, Some(-32003), Some(-32003)]);
    assert_eq!(answers[4], json!({ "jsonrpc": "2.0", "id": 4, "error": error(-32003, "response too large") }));
}

#[tokio::test]
async fn a_batch_out_of_time_is_refused_call_by_call() {
    let peer = limited(Options { answer_timeout: Duration::ZERO, ..Options::default() }).await;
    let answers = peer.post_json(&chain_ids(2)).await;
    assert_eq!(codes(&answers), [Some(-32002), Some(-32002)]);
    assert_eq!(answers[1], json!({ "jsonrpc": "2.0", "id": 1, "error": error(-32002, "request timed out") }));
}

#[tokio::test]
async fn what_is_not_json_is_a_parse_error() {
    let peer = Peer::holesky().await;
    for body in ["{", "[1,", "not json", "{} {}", "[{]"] {
        assert_eq!(peer.post(body).await, PARSE_ERROR, "{body}");
    }
    let request = peer.client.post(peer.url()).header("content-type", "application/json");
    let reply = request.body(b"[\"\xff\"]".to_vec()).send().await.unwrap();
    assert_eq!(reply.text().await.unwrap(), PARSE_ERROR);
}

#[tokio::test]
async fn what_is_not_a_call_is_an_invalid_request() {
    let peer = Peer::holesky().await;
    let invalid =
        |id: &str| format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32600,"message":"invalid request"}}}}"#);
    assert_eq!(peer.post("5").await, invalid("null"));
    assert_eq!(peer.post("{}").await, invalid("null"));
    assert_eq!(peer.post(r#"{"id":4,"method":"eth_chainId"}"#).await, invalid("4"));
    assert_eq!(peer.post(r#"{"jsonrpc":"1.0","id":4,"method":"eth_chainId"}"#).await, invalid("4"));
    assert_eq!(peer.post(r#"{"jsonrpc":"2.0","id":4,"method":""}"#).await, invalid("4"));
    assert_eq!(peer.post(r#"{"jsonrpc":"2.0","id":4,"method":{}}"#).await, invalid("4"));
    assert_eq!(peer.post(r#"{"jsonrpc":"2.0","id":[4],"method":"eth_chainId"}"#).await, invalid("null"));
    assert_eq!(peer.post(r#"[1,[],{"jsonrpc":"2.0","id":7}]"#).await, {
        format!("[{},{},{}]", invalid("null"), invalid("null"), invalid("7"))
    });
}

#[tokio::test]
async fn notifications_get_no_answer() {
    let peer = Peer::holesky().await;
    let notification = r#"{"jsonrpc":"2.0","method":"eth_chainId"}"#;
    assert_eq!(peer.post(notification).await, "");
    assert_eq!(peer.post(format!("[{notification},{notification}]")).await, "");
    let mixed = format!(r#"[{notification},{{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}},{notification}]"#);
    assert_eq!(peer.post(mixed).await, r#"[{"jsonrpc":"2.0","id":1,"result":"0x4268"}]"#);
}
