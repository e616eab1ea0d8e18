//! The cheapest server that will do: HTTP/1.1 and JSON-RPC as the programs that are measured write them, a thread for
//! each connection. What is asked in another way than theirs gets no answer worth having.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use memchr::memmem;

use super::table::Table;

/// What all connections together have answered; `bench_stats` tells.
#[derive(Default)]
struct Stats {
    requests: AtomicU64,
    items: AtomicU64,
    received: AtomicU64,
    sent: AtomicU64,
}

/// Room for the head before a reply's body, so that both are sent at once.
const HEAD: usize = 128;

pub(crate) fn serve(listener: TcpListener, table: Arc<Table>, delay: Duration) {
    let stats = Arc::new(Stats::default());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (table, stats) = (table.clone(), stats.clone());
            std::thread::spawn(move || {
                // A client that goes away is done.
                let _ = connection(stream.unwrap(), &table, delay, &stats);
            });
        }
    });
}

fn connection(mut stream: TcpStream, table: &Table, delay: Duration, stats: &Stats) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut request, mut reply) = (Vec::new(), Vec::new());
    loop {
        let Some(body) = read(&mut stream, &mut request)? else { return Ok(()) };
        reply.clear();
        reply.resize(HEAD, 0);
        answer(table, &request[body..], &mut reply, stats);
        let length = reply.len() - HEAD;
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n");
        let start = HEAD - head.len();
        reply[start..HEAD].copy_from_slice(head.as_bytes());
        stats.requests.fetch_add(1, Relaxed);
        stats.received.fetch_add(request.len() as u64, Relaxed);
        stats.sent.fetch_add((reply.len() - start) as u64, Relaxed);
        if !delay.is_zero() {
            std::thread::sleep(delay);
        }
        stream.write_all(&reply[start..])?;
    }
}

/// Reads one request and says where its body starts; nothing at the end of the connection.
pub(crate) fn read(stream: &mut TcpStream, message: &mut Vec<u8>) -> std::io::Result<Option<usize>> {
    message.clear();
    let mut piece = [0; 16 << 10];
    let body = loop {
        let read = stream.read(&mut piece)?;
        if read == 0 {
            return Ok(None);
        }
        message.extend_from_slice(&piece[..read]);
        if let Some(end) = memmem::find(message, b"\r\n\r\n") {
            break end + 4;
        }
    };
    let head = String::from_utf8_lossy(&message[..body]).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")).unwrap_or("0");
    let length: usize = length.trim().parse().unwrap();
    let have = message.len();
    message.resize(body + length, 0);
    stream.read_exact(&mut message[have..])?;
    Ok(Some(body))
}

/// The reply to a call or a batch: an `id`, a `method` and `params` for each call, in this order.
fn answer(table: &Table, body: &[u8], out: &mut Vec<u8>, stats: &Stats) {
    let (id_is, method_is) = (memmem::Finder::new(br#""id":"#), memmem::Finder::new(br#""method":""#));
    let params_are = memmem::Finder::new(br#""params":["#);
    let batch = body.first() == Some(&b'[');
    let mut rest = body;
    let mut items = 0;
    while let Some(at) = id_is.find(rest) {
        rest = &rest[at + id_is.needle().len()..];
        let id = until(rest, b',');
        rest = &rest[method_is.find(rest).unwrap() + method_is.needle().len()..];
        let method = until(rest, b'"');
        rest = &rest[params_are.find(rest).unwrap() + params_are.needle().len()..];
        let params = until(rest, b']');
        out.extend_from_slice(match (batch, items) {
            (true, 0) => br#"[{"jsonrpc":"2.0","id":"#,
            (true, _) => br#",{"jsonrpc":"2.0","id":"#,
            (false, _) => br#"{"jsonrpc":"2.0","id":"#,
        });
        out.extend_from_slice(id);
        result(table, method, params, out, stats);
        out.push(b'}');
        items += 1;
    }
    if batch {
        out.push(b']');
    }
    stats.items.fetch_add(items, Relaxed);
}

fn until(text: &[u8], end: u8) -> &[u8] {
    memchr::memchr(end, text).map_or(text, |at| &text[..at])
}

fn result(table: &Table, method: &[u8], params: &[u8], out: &mut Vec<u8>, stats: &Stats) {
    let [requests, items, received, sent] =
        [&stats.requests, &stats.items, &stats.received, &stats.sent].map(|count| count.load(Relaxed));
    match method {
        b"debug_dbGet" => match value(table, params) {
            Some(value) => {
                out.extend_from_slice(br#","result":"0x"#);
                let start = out.len();
                out.resize(start + 2 * value.len(), 0);
                faster_hex::hex_encode(value, &mut out[start..]).unwrap();
                out.push(b'"');
            }
            None => out.extend_from_slice(br#","error":{"code":-32000,"message":"not found"}"#),
        },
        b"eth_chainId" => out.extend_from_slice(br#","result":"0x539""#),
        b"bench_stats" => out.extend_from_slice(
            format!(r#","result":{{"requests":{requests},"items":{items},"received":{received},"sent":{sent}}}"#)
                .as_bytes(),
        ),
        _ => out.extend_from_slice(br#","error":{"code":-32601,"message":"the method does not exist"}"#),
    }
}

/// The value under a key of 32 bytes, or of a code's prefix and 32.
fn value<'a>(table: &'a Table, params: &[u8]) -> Option<&'a [u8]> {
    let digits = params.strip_prefix(br#""0x"#)?.strip_suffix(br#"""#)?;
    let digits = if digits.len() == 66 { digits.strip_prefix(b"63")? } else { digits };
    let mut hash = [0; 32];
    faster_hex::hex_decode(digits, &mut hash).ok()?;
    table.get(&hash)
}
