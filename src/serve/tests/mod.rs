//! Every rule, over real sockets.

mod batch;
mod http;
mod limits;
mod methods;
mod server;
mod state;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use primitive_types::H256;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::{MemoryState, Options, ServeStats, Server, Source};
use crate::genesis::{Genesis, StateSummary};

/// A running server and a client of it.
struct Peer {
    address: String,
    stats: Arc<ServeStats>,
    client: reqwest::Client,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Peer {
    async fn start(source: impl Source, options: Options) -> Self {
        let server = Server::bind("127.0.0.1:0", options).await.unwrap();
        let (address, stats) = (server.local_addr().to_string(), server.stats());
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(server.run(Arc::new(source), async move { stopped.await.unwrap() }));
        Self { address, stats, client: reqwest::Client::new(), stop, task }
    }

    /// One that serves holesky's genesis.
    async fn holesky() -> Self {
        Self::start(holesky().0, Options::default()).await
    }

    fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Sends a body as it should be sent; gives back the reply's text.
    async fn post(&self, body: impl Into<String>) -> String {
        let request = self.client.post(self.url()).header(CONTENT_TYPE, "application/json").body(body.into());
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
        response.text().await.unwrap()
    }

    async fn post_json(&self, body: &Value) -> Value {
        serde_json::from_str(&self.post(body.to_string()).await).unwrap()
    }

    /// Calls a method; gives back its result or its error object.
    async fn call(&self, method: &str, params: Value) -> Value {
        let mut answer = self.post_json(&call(7, method, &params)).await;
        assert_eq!((&answer["jsonrpc"], &answer["id"]), (&json!("2.0"), &json!(7)));
        let answer = answer.as_object_mut().unwrap();
        assert_eq!(answer.len(), 3);
        answer.remove("result").or_else(|| answer.remove("error")).unwrap()
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        self.task.await.unwrap();
    }

    fn counters(&self) -> [u64; 3] {
        let ServeStats { requests, items, found, .. } = &*self.stats;
        [requests, items, found].map(|counter| counter.load(Ordering::Relaxed))
    }
}

/// Holesky's genesis state: 317 accounts, one of them with code and storage.
fn holesky() -> (MemoryState, StateSummary) {
    let genesis = include_bytes!("../../../fixtures/holesky.json.zst");
    let genesis = Genesis::parse("holesky", genesis).unwrap();
    let mut state = MemoryState::new();
    let summary = state.add(&genesis).unwrap();
    (state, summary)
}

/// One JSON-RPC call.
fn call(id: u64, method: &str, params: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

fn error(code: i32, message: &str) -> Value {
    json!({ "code": code, "message": message })
}

fn hex(bytes: &[u8]) -> String {
    format!("0x{}", faster_hex::hex_string(bytes))
}

fn hash(text: &str) -> H256 {
    text.parse().unwrap()
}

/// Far longer than the limits that tests set, and shorter than any default that a server could fall back to.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// Sends bytes on a connection of their own and reads until the server closes it.
async fn raw(address: &str, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut reply = String::new();
    let read = stream.read_to_string(&mut reply);
    tokio::time::timeout(CLOSE_TIMEOUT, read).await.unwrap().unwrap();
    reply
}
