//! The server at its limits and beyond them: `scripts/bench serve`. Prints figures; fails if it does not answer any
//! more.
//!
//! `statesync serve` runs as a process of its own over mainnet's genesis. Its clients send batches of as many calls as
//! one may have, over ever more connections: up to the most that it takes, and then twice as many.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a measurement: it prints figures, and ends where something fails"
)]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use reqwest::header::CONTENT_TYPE;
use statesync::genesis::Genesis;
use statesync::serve::{MemoryState, Options};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// How long each step is measured.
const STEP: Duration = Duration::from_secs(5);

/// The longest that a client waits for one reply: with twice the connections, for others to leave first.
const PATIENCE: Duration = Duration::from_secs(180);

#[tokio::main]
async fn main() {
    let limits = Options::default();
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/mainnet.json.zst");
    let mut state = MemoryState::new();
    state.add(&Genesis::read(file.as_ref()).unwrap()).unwrap();
    let (server, url) = serve(file);
    let body = body(&state, limits.batch_items);
    println!("{} items in a batch, a request of {} KB", limits.batch_items, body.len() / 1_000);
    for connections in [1, 4, 16, 64, limits.connections, 2 * limits.connections] {
        measure(&server, &url, &body, connections).await;
    }
    // Those that never read, and those that never finish asking.
    let address = url.trim_start_matches("http://").to_owned();
    let mut idlers = Vec::new();
    for number in 0..limits.connections / 2 {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        let head = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        if number.is_multiple_of(2) {
            stream.write_all(format!("Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes()).await.unwrap();
        }
        idlers.push(stream);
    }
    print!("beside {} clients that never read or never finish: ", idlers.len());
    measure(&server, &url, &body, 16).await;
    drop(idlers);
    let after = reqwest::Client::new().post(&url).header(CONTENT_TYPE, "application/json");
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[]}"#;
    let reply = tokio::time::timeout(PATIENCE, after.body(call).send()).await.unwrap().unwrap();
    println!("afterwards: {}", reply.text().await.unwrap());
    println!("{} MiB at the peak", peak(&server.0));
}

/// The server's process.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn serve(file: &str) -> (Server, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_statesync"));
    command.args(["serve", "--listen", "127.0.0.1:0", "--genesis", file]).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
    (Server(child), line.trim().rsplit(' ').next().unwrap().to_owned())
}

fn body(state: &MemoryState, items: usize) -> String {
    let call = |(id, hash): (usize, &primitive_types::H256)| {
        format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"debug_dbGet","params":["{hash:?}"]}}"#)
    };
    let calls: Vec<String> = state.nodes().keys().take(items).enumerate().map(call).collect();
    format!("[{}]", calls.join(","))
}

/// What came of a step.
#[derive(Default)]
struct Counters {
    replies: AtomicU64,
    bytes: AtomicU64,
    slowest: AtomicU64,
    turned_away: AtomicU64,
}

async fn measure(server: &Server, url: &str, body: &str, connections: usize) {
    let counters = Arc::new(Counters::default());
    // One connection each, which goes when the client does: then another has its turn. Made before the clock runs, for
    // each reads the system's certificates.
    let client = |_| reqwest::Client::builder().pool_max_idle_per_host(1).build().unwrap();
    let clients: Vec<reqwest::Client> = (0..connections).map(client).collect();
    let started = Instant::now();
    let clients: Vec<_> = clients
        .into_iter()
        .map(|client| {
            let (url, body, counters) = (url.to_owned(), body.to_owned(), counters.clone());
            tokio::spawn(async move {
                loop {
                    let asked = Instant::now();
                    let request = client.post(&url).header(CONTENT_TYPE, "application/json").body(body.clone());
                    // The system turns away those for whom there is no place in its queue.
                    if let Ok(reply) = tokio::time::timeout(PATIENCE, request.send()).await.unwrap() {
                        let length = reply.bytes().await.unwrap().len() as u64;
                        let waited = u64::try_from(asked.elapsed().as_millis()).unwrap();
                        counters.replies.fetch_add(1, Ordering::Relaxed);
                        counters.bytes.fetch_add(length, Ordering::Relaxed);
                        counters.slowest.fetch_max(waited, Ordering::Relaxed);
                    } else {
                        counters.turned_away.fetch_add(1, Ordering::Relaxed);
                    }
                    if started.elapsed() > STEP {
                        return;
                    }
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    let time = started.elapsed().as_secs_f64();
    let Counters { replies, bytes, slowest, turned_away } = &*counters;
    let [replies, bytes, slowest, turned_away] =
        [replies, bytes, slowest, turned_away].map(|count| count.load(Ordering::Relaxed));
    println!(
        "{connections:>4} connections: {:>7.0} batches/s, {:>6.0} MB/s, slowest reply {slowest:>6} ms, \
         {turned_away} turned away, {} MiB",
        replies as f64 / time,
        bytes as f64 / time / 1e6,
        peak(&server.0)
    );
}

/// The most memory that a process has had, in MiB.
fn peak(child: &Child) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or_default() >> 10
}
