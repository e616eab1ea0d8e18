//! Load for a server that has the state: the same items from the same connections, whoever it is.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use memchr::memmem;
use serde_json::{Value, json};

use super::dice::dice;
use super::http::read;
use super::table::Table;

/// Different requests of each connection, made before the clock runs: no server has all that they ask for in a cache
/// of its own because it was just asked for it.
const REQUESTS: usize = 200;

/// Asks over and over, and says how many items came.
pub(crate) fn run(table: &Table, address: &str, connections: usize, batch: usize, time: Duration) -> Value {
    // Nodes only: geth has codes under keys of their own.
    let hashes = table.iter().map(|(hash, _)| hash).filter(|hash| !table.is_code(hash));
    let hashes: Vec<&[u8; 32]> = hashes.collect();
    let requests = |connection: usize| -> Vec<Vec<u8>> {
        let pick = |item: usize| hashes[dice(connection as u64, item as u64) as usize % hashes.len()];
        (0..REQUESTS).map(|number| request(address, batch, |item| pick(number * batch + item))).collect()
    };
    let clients: Vec<Vec<Vec<u8>>> = (0..connections).map(requests).collect();
    let started = Instant::now();
    let totals = std::thread::scope(|scope| {
        let clients = clients.iter().map(|requests| scope.spawn(|| client(address, requests, started, time)));
        let clients: Vec<_> = clients.collect();
        clients
            .into_iter()
            .map(|client| client.join().unwrap())
            .fold((0, 0, 0), |(items, lost, bytes), one| (items + one.0, lost + one.1, bytes + one.2))
    });
    let (items, lost, bytes) = totals;
    json!({ "items": items, "not_answered": lost, "bytes": bytes, "seconds": started.elapsed().as_secs_f64() })
}

fn request<'a>(address: &str, batch: usize, hash: impl Fn(usize) -> &'a [u8; 32]) -> Vec<u8> {
    let call = |id: usize| {
        let hash = faster_hex::hex_string(hash(id));
        format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"debug_dbGet","params":["0x{hash}"]}}"#)
    };
    let body = format!("[{}]", (0..batch).map(call).collect::<Vec<_>>().join(","));
    let head = format!(
        "POST / HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    (head + &body).into_bytes()
}

/// The items that were answered with a value, those that were not, and the bytes of the replies.
fn client(address: &str, requests: &[Vec<u8>], started: Instant, time: Duration) -> (usize, usize, usize) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    let (found, missing) = (memmem::Finder::new(br#""result":"0x"#), memmem::Finder::new(br#""error":"#));
    let (mut items, mut lost, mut bytes) = (0, 0, 0);
    let mut reply = Vec::new();
    for request in requests.iter().cycle() {
        stream.write_all(request).unwrap();
        let body = read(&mut stream, &mut reply).unwrap().unwrap();
        items += found.find_iter(&reply[body..]).count();
        lost += missing.find_iter(&reply[body..]).count();
        bytes += reply.len();
        if started.elapsed() >= time {
            break;
        }
    }
    (items, lost, bytes)
}
