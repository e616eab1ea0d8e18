use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::{CLOSE_TIMEOUT, Peer, call, hex, holesky, raw};
use crate::serve::{MemoryState, Options, Source};

/// Times a code is asked for in one batch, so that the reply fills every buffer between the two sides.
const CALLS: u64 = 900;

/// A request whose reply is some megabytes long.
fn long_request(state: &MemoryState) -> String {
    let code = state.codes().keys().next().unwrap();
    let key = format!("0x63{}", faster_hex::hex_string(&code.0));
    let calls: Vec<Value> = (0..CALLS).map(|id| call(id, "debug_dbGet", &json!([key]))).collect();
    let body = Value::from(calls).to_string();
    let length = body.len();
    format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

/// A connection that takes in little ahead of what is read.
async fn narrow(address: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    socket.connect(address.parse().unwrap()).await.unwrap()
}

/// Waits until the server has closed a connection that is never read from.
async fn cut_off(mut stream: TcpStream) -> usize {
    let mut rest = Vec::new();
    let read = async { stream.read_to_end(&mut rest).await.map_or_else(|_| (), |_| ()) };
    tokio::time::timeout(CLOSE_TIMEOUT, read).await.unwrap();
    rest.len()
}

#[tokio::test]
async fn a_client_that_never_reads_its_reply_is_cut_off() {
    let write_timeout = Duration::from_millis(100);
    let peer = Peer::start(holesky().0, Options { write_timeout, connections: 1, ..Options::default() }).await;
    let mut stuck = narrow(&peer.address).await;
    stuck.write_all(long_request(&holesky().0).as_bytes()).await.unwrap();
    // There is room for one connection: this one is answered when the other is closed.
    assert_eq!(peer.call("eth_chainId", json!([])).await, "0x4268");
    let whole = usize::try_from(CALLS).unwrap() * holesky().0.codes().values().next().unwrap().len() * 2;
    assert!(cut_off(stuck).await < whole);
}

#[tokio::test]
async fn a_client_that_reads_all_its_reply_gets_it_whole() {
    let peer = Peer::start(holesky().0, Options { answers: 1, untaken_bytes: 1, ..Options::default() }).await;
    for _ in 0..3 {
        let mut stream = narrow(&peer.address).await;
        stream
            .write_all(long_request(&holesky().0).replace("\r\nHost", "\r\nConnection: close\r\nHost").as_bytes())
            .await
            .unwrap();
        let mut reply = String::new();
        tokio::time::timeout(CLOSE_TIMEOUT, stream.read_to_string(&mut reply)).await.unwrap().unwrap();
        let (head, body) = reply.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}", body.len())), "{head}");
        let answers: Vec<Value> = serde_json::from_str(body).unwrap();
        let code = hex(holesky().0.codes().values().next().unwrap());
        assert!(answers.len() as u64 == CALLS && answers.iter().all(|answer| answer["result"] == code));
    }
}

#[tokio::test]
async fn replies_that_nobody_takes_hold_up_others_only_until_they_are_cut_off() {
    let options =
        Options { write_timeout: Duration::from_millis(100), answers: 1, untaken_bytes: 1, ..Options::default() };
    let peer = Peer::start(holesky().0, options).await;
    let request = long_request(&holesky().0);
    let mut stuck = Vec::new();
    for _ in 0..4 {
        let mut stream = narrow(&peer.address).await;
        stream.write_all(request.as_bytes()).await.unwrap();
        stuck.push(stream);
    }
    assert_eq!(peer.call("eth_chainId", json!([])).await, "0x4268");
    for stream in stuck {
        cut_off(stream).await;
    }
}

#[tokio::test]
async fn heads_and_bodies_that_come_too_slowly_are_cut_off() {
    let limit = Duration::from_millis(50);
    let options = Options { idle_timeout: limit, body_timeout: limit, connections: 1, ..Options::default() };
    let peer = Peer::start(holesky().0, options).await;
    let whole = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n[1,";
    for sent in [0, 10, whole.len() - 3, whole.len()] {
        let reply = raw(&peer.address, &whole.as_bytes()[..sent]).await;
        assert!(reply.is_empty() || reply.starts_with("HTTP/1.1 408 "), "{sent} bytes: {reply}");
    }
    assert_eq!(peer.call("eth_chainId", json!([])).await, "0x4268");
}

#[tokio::test]
async fn no_address_leads_to_a_file_and_no_method_changes_anything() {
    let (state, summary) = holesky();
    let nodes = state.nodes().clone();
    let peer = Peer::start(state, Options::default()).await;
    for path in ["/../../etc/passwd", "//", "/etc/passwd", "/%2e%2e/etc/passwd", "/..", "/a?b", "*", "/\\"] {
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
            let request = format!(
                "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
            );
            let reply = raw(&peer.address, request.as_bytes()).await;
            let refused = ["404", "400", "405"].iter().any(|code| reply.starts_with(&format!("HTTP/1.1 {code}")));
            assert!(refused && !reply.contains("root:"), "{method} {path}: {reply}");
        }
    }
    // A query changes nothing.
    let reply =
        raw(&peer.address, b"GET /?../../etc/passwd HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
    assert!(reply.starts_with("HTTP/1.1 200 ") && reply.ends_with("\r\n\r\n"), "{reply}");
    for method in [
        "debug_dbPut",
        "debug_setHead",
        "debug_chaindbCompact",
        "debug_writeBlockProfile",
        "admin_importChain",
        "eth_sendRawTransaction",
        "personal_importRawKey",
        "debug_dbAncient",
        "DEBUG_DBGET",
        "debug_dbGet ",
    ] {
        let refused = peer.call(method, json!(["/etc/passwd", "0x00"])).await;
        assert_eq!(refused["code"], -32601, "{method}: {refused}");
    }
    let root = peer.call("debug_dbGet", json!([hex(summary.root.as_bytes())])).await;
    assert_eq!(root, hex(&nodes[&summary.root]));
    assert_eq!(peer.call("debug_dbGet", json!(["/etc/passwd"])).await["message"], "pebble: not found");
}

#[tokio::test]
async fn names_that_were_allowed_are_let_in_and_others_are_not() {
    let hosts = vec!["node.example".to_owned()];
    let peer = Peer::start(holesky().0, Options { hosts, ..Options::default() }).await;
    for (host, status) in [("node.example", "200"), ("NODE.example:8545", "200"), ("evil.example", "403"), ("", "403")]
    {
        let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let reply = raw(&peer.address, request.as_bytes()).await;
        assert!(reply.starts_with(&format!("HTTP/1.1 {status} ")), "{host}: {reply}");
    }
}

#[test]
fn a_state_in_memory_has_its_codes() {
    assert!(holesky().0.chain_id().unwrap().is_some() && holesky().0.codes().values().all(|code| code.len() > 1_000));
}
