//! The peer that the other tests ask is itself right: byte for byte what a node of its kind says.

mod blocks;
mod deep;
mod dialects;
mod faults;
mod limits;

use std::fmt::Display;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use primitive_types::H256;
use serde_json::{Value, json};
use statesync::serve::MemoryState;

use crate::support::{Peer, SMALL, Seed, in_memory, state, successor};

/// Two states, the second a few changes after the first.
struct World {
    memory: Arc<MemoryState>,
    roots: [H256; 2],
    /// Nodes of each.
    nodes: [u64; 2],
    seed: Seed,
}

fn world() -> World {
    let seed = Seed::or(60);
    let first = state(seed.0, SMALL);
    let second = successor(&first, seed.0 + 1, 40, SMALL);
    let (memory, [first, second]) = in_memory([&first, &second]);
    World { memory, roots: [first.root, second.root], nodes: [first.nodes, second.nodes], seed }
}

/// A reply: its status, its head and its body.
struct Reply {
    status: u16,
    head: String,
    body: String,
}

/// What a peer says to a request that is written by hand; `None` if the reply breaks off.
fn post(peer: &Peer, head: &str, body: &str) -> Option<Reply> {
    let mut stream = TcpStream::connect(peer.url().strip_prefix("http://").unwrap()).unwrap();
    let head = format!("POST / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{head}\r\n\r\n");
    stream.write_all((head + body).as_bytes()).unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).ok()?;
    let (head, body) = reply.split_once("\r\n\r\n")?;
    let head = head.to_ascii_lowercase();
    let length: usize = head.split("\r\n").find_map(|line| line.strip_prefix("content-length: "))?.parse().unwrap();
    let status = head.strip_prefix("http/1.1 ").unwrap()[..3].parse().unwrap();
    (body.len() == length).then(|| Reply { status, body: body.into(), head })
}

/// What a peer says to a body: its status and its bytes.
fn exchange(peer: &Peer, body: &impl Display) -> (u16, String) {
    let body = body.to_string();
    let reply = post(peer, &format!("content-length: {}", body.len()), &body).unwrap();
    (reply.status, reply.body)
}

/// One call's whole answer.
fn call(peer: &Peer, method: &str, params: &Value) -> String {
    let (status, text) = exchange(peer, &json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params }));
    assert_eq!(status, 200, "{text}");
    text
}

/// One call's result or error, whichever there is.
fn ask(peer: &Peer, method: &str, params: &Value) -> Value {
    let reply: Value = serde_json::from_str(&call(peer, method, params)).unwrap();
    assert_eq!((&reply["id"], &reply["jsonrpc"]), (&json!(7), &json!("2.0")));
    reply.get("result").or(reply.get("error")).unwrap().clone()
}

/// The elements of a batch's reply.
fn batch(peer: &Peer, calls: &[(&str, Value)]) -> Vec<Value> {
    let calls = (0..).zip(calls).map(|(id, (method, params))| body(id, method, params));
    let (status, text) = exchange(peer, &Value::Array(calls.collect()));
    assert_eq!(status, 200, "{text}");
    serde_json::from_str(&text).unwrap()
}

fn body(id: u64, method: &str, params: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

/// What `debug_dbGet` says of the key with these hexadecimal digits.
fn db_get(peer: &Peer, digits: &str) -> Value {
    ask(peer, "debug_dbGet", &json!([format!("0x{digits}")]))
}

fn hex(bytes: impl AsRef<[u8]>) -> String {
    faster_hex::hex_string(bytes.as_ref())
}

fn data(bytes: impl AsRef<[u8]>) -> Value {
    json!(format!("0x{}", hex(bytes)))
}

fn not_found() -> Value {
    json!({ "code": -32000, "message": "pebble: not found" })
}
