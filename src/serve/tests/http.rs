use std::time::Duration;

use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HOST};

use super::{Peer, holesky, raw};
use crate::serve::Options;

const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}"#;

/// The status and the text of a reply.
async fn send(request: reqwest::RequestBuilder) -> (u16, String) {
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

/// What a call addressed to `host` gets.
async fn addressed_to(peer: &Peer, host: &str) -> u16 {
    let request = peer.client.post(peer.url()).header(CONTENT_TYPE, "application/json").header(HOST, host);
    let (status, text) = send(request.body(CALL)).await;
    assert!(status == 200 || text == "invalid host specified", "{text}");
    status
}

#[tokio::test]
async fn an_empty_get_is_a_sign_of_life() {
    let peer = Peer::holesky().await;
    assert_eq!(send(peer.client.get(peer.url())).await, (200, String::new()));
}

#[tokio::test]
async fn an_empty_body_gets_an_empty_reply() {
    let peer = Peer::holesky().await;
    assert_eq!(peer.post("").await, "");
    assert_eq!(peer.post(" \n").await, "");
}

#[tokio::test]
async fn only_post_is_answered() {
    let peer = Peer::holesky().await;
    for method in [Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS] {
        let request = peer.client.request(method, peer.url()).header(CONTENT_TYPE, "application/json").body(CALL);
        assert_eq!(send(request).await, (405, "method not allowed".into()));
    }
}

#[tokio::test]
async fn only_the_root_path_is_there() {
    let peer = Peer::holesky().await;
    let request = peer.client.post(format!("{}rpc", peer.url())).header(CONTENT_TYPE, "application/json").body(CALL);
    assert_eq!(send(request).await.0, 404);
}

#[tokio::test]
async fn only_json_is_read() {
    let peer = Peer::holesky().await;
    let refused = (415, "invalid content type, only application/json is supported".into());
    assert_eq!(send(peer.client.post(peer.url()).body(CALL)).await, refused);
    for media_type in ["text/plain", "application/jsonx", "application/x-www-form-urlencoded", ""] {
        assert_eq!(send(peer.client.post(peer.url()).header(CONTENT_TYPE, media_type).body(CALL)).await, refused);
    }
    for media_type in ["application/json; charset=utf-8", "Application/JSON", "application/json-rpc"] {
        assert_eq!(send(peer.client.post(peer.url()).header(CONTENT_TYPE, media_type).body(CALL)).await.0, 200);
    }
}

#[tokio::test]
async fn names_of_other_hosts_are_refused() {
    let peer = Peer::holesky().await;
    for host in ["127.0.0.1:8545", "10.1.2.3", "[::1]:8545", "[::1]", "localhost", "LOCALHOST:1"] {
        assert_eq!(addressed_to(&peer, host).await, 200, "{host}");
    }
    for host in ["example.com", "example.com:8545", "localhost.example.com", "127.0.0.1.example.com", "geth"] {
        assert_eq!(addressed_to(&peer, host).await, 403, "{host}");
    }
    let from_elsewhere = peer.client.get(peer.url()).header(HOST, "example.com");
    assert_eq!(send(from_elsewhere).await.0, 403);
}

#[tokio::test]
async fn names_can_be_allowed() {
    let hosts = vec!["Statesync.internal".to_owned()];
    let peer = Peer::start(holesky().0, Options { hosts, ..Options::default() }).await;
    assert_eq!(addressed_to(&peer, "statesync.internal:8545").await, 200);
    assert_eq!(addressed_to(&peer, "example.com").await, 403);
    let peer = Peer::start(holesky().0, Options { hosts: vec!["*".into()], ..Options::default() }).await;
    assert_eq!(addressed_to(&peer, "example.com").await, 200);
}

#[tokio::test]
async fn a_request_without_a_host_is_answered() {
    let peer = Peer::holesky().await;
    let request =
        format!("POST / HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", CALL.len());
    let reply = raw(&peer.address, format!("{request}{CALL}").as_bytes()).await;
    assert!(reply.ends_with(r#""result":"0x4268"}"#), "{reply}");
}

#[tokio::test]
async fn a_body_announced_too_large_is_refused_before_it_is_sent() {
    let peer = Peer::holesky().await;
    let head =
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 5242881\r\n\r\n";
    let reply = raw(&peer.address, head.as_bytes()).await;
    assert!(reply.starts_with("HTTP/1.1 413 "), "{reply}");
    assert!(reply.ends_with("content length too large (5242881>5242880)"), "{reply}");
}

#[tokio::test]
async fn a_chunked_body_is_cut_off_at_the_limit() {
    let peer = Peer::start(holesky().0, Options { body_bytes: 64, ..Options::default() }).await;
    let head = "POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
        Transfer-Encoding: chunked\r\n\r\n";
    let whole = format!("{head}{:x}\r\n{CALL}\r\n0\r\n\r\n", CALL.len());
    let reply = raw(&peer.address, whole.as_bytes()).await;
    assert!(reply.ends_with(r#""result":"0x4268"}"#), "{reply}");
    let reply = raw(&peer.address, format!("{head}41\r\n{}\r\n", " ".repeat(65)).as_bytes()).await;
    assert!(reply.starts_with("HTTP/1.1 413 "), "{reply}");
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let body_timeout = Duration::from_millis(20);
    let peer = Peer::start(holesky().0, Options { body_timeout, ..Options::default() }).await;
    let head = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n[";
    assert!(raw(&peer.address, head.as_bytes()).await.starts_with("HTTP/1.1 408 "));
}

#[tokio::test]
async fn a_head_that_does_not_come_is_not_waited_for() {
    let idle_timeout = Duration::from_millis(20);
    let peer = Peer::start(holesky().0, Options { idle_timeout, ..Options::default() }).await;
    // That it ends at all is the point: the server closes first.
    let reply = raw(&peer.address, b"POST / HTTP/1.1\r\nHost: local").await;
    assert!(!reply.contains("200"), "{reply}");
    raw(&peer.address, b"").await;
}
