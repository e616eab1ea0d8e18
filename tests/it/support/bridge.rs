//! Other ways to a peer that speaks HTTP: a WebSocket and an IPC socket.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::runtime::Runtime;
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::Peer;

/// A header that a bridge wants of its guests, and its value.
pub(crate) const KEY: (&str, &str) = ("x-api-key", "s3cr3t");

/// Passes on what comes over another wire to a peer, and back what the peer says.
pub(crate) struct Bridge {
    address: String,
    connections: Arc<AtomicU64>,
    runtime: Option<Runtime>,
}

impl Bridge {
    /// A WebSocket that lets in everyone.
    pub(crate) fn websocket(peer: &Peer) -> Self {
        Self::open_websocket(peer, None)
    }

    /// A WebSocket that lets in who has the [`KEY`].
    pub(crate) fn locked_websocket(peer: &Peer) -> Self {
        Self::open_websocket(peer, Some(KEY))
    }

    fn open_websocket(peer: &Peer, key: Option<(&'static str, &'static str)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (bridge, url) = (Self::new(address), peer.url());
        let connections = bridge.connections.clone();
        bridge.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(over_websocket(stream, url.clone(), key));
            }
        });
        bridge
    }

    /// A Unix socket in `dir`.
    pub(crate) fn ipc(peer: &Peer, dir: &Path) -> Self {
        let path: PathBuf = dir.join("node.ipc");
        let (bridge, url) = (Self::new(path.to_str().unwrap().to_owned()), peer.url());
        let connections = bridge.connections.clone();
        let ready = Arc::new(std::sync::Barrier::new(2));
        let bound = ready.clone();
        bridge.spawn(async move {
            let listener = UnixListener::bind(path).unwrap();
            bound.wait();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(over_ipc(stream, url.clone()));
            }
        });
        ready.wait();
        bridge
    }

    fn new(address: String) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        Self { address, connections: Arc::default(), runtime: Some(runtime) }
    }

    fn spawn(&self, listen: impl Future<Output = ()> + Send + 'static) {
        self.runtime.as_ref().unwrap().spawn(listen);
    }

    /// Its host and port, or its path.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// How many have connected.
    pub(crate) fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Serves one guest until it goes.
async fn over_websocket(stream: TcpStream, url: String, key: Option<(&str, &str)>) -> Result<(), Error> {
    #[expect(clippy::result_large_err, reason = "the library's type")]
    let check = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
        match key {
            Some((name, value)) if request.headers().get(name).is_none_or(|given| given != value) => {
                Err(Response::builder().status(401).body(Some("who are you?".into())).unwrap())
            }
            _ => Ok(response),
        }
    };
    let mut stream = accept_hdr_async(stream, check).await?;
    let client = reqwest::Client::new();
    while let Some(message) = stream.next().await {
        if let Message::Text(request) = message? {
            stream.send(Message::text(pass_on(&client, &url, request.to_string()).await)).await?;
        }
    }
    Ok(())
}

async fn over_ipc(stream: UnixStream, url: String) -> Result<(), std::io::Error> {
    let client = reqwest::Client::new();
    let (read, mut write) = stream.into_split();
    let mut requests = BufReader::new(read).lines();
    while let Some(request) = requests.next_line().await? {
        let reply = pass_on(&client, &url, request).await;
        write.write_all(format!("{reply}\n").as_bytes()).await?;
    }
    Ok(())
}

async fn pass_on(client: &reqwest::Client, url: &str, request: String) -> String {
    client.post(url).body(request).send().await.unwrap().text().await.unwrap()
}
