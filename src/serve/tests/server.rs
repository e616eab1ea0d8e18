use std::borrow::Cow;
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::sync::mpsc;

use primitive_types::H256;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Peer, call, error, hash, hex, holesky};
use crate::serve::{KnownBlock, Options, Server, Source, SourceError};
use crate::store::{Access, Block, Durability, Marks, RootRecord, RootState, Store};
use crate::trie::{Commit, Complete, Key, Kind, Level};

/// A source that answers once it is told to, or fails when there is no one left to tell it.
struct Gate {
    entered: mpsc::Sender<()>,
    open: Mutex<mpsc::Receiver<()>>,
}

impl Gate {
    /// The gate, the end that hears of reads, and the end that lets them go on.
    fn new() -> (Self, mpsc::Receiver<()>, mpsc::Sender<()>) {
        let (entered, reads) = mpsc::channel();
        let (go, open) = mpsc::channel();
        (Self { entered, open: Mutex::new(open) }, reads, go)
    }
}

impl Source for Gate {
    fn node(&self, _: &H256) -> Result<Option<Cow<'_, [u8]>>, SourceError> {
        self.entered.send(()).map_err(SourceError::new)?;
        self.open.lock().unwrap().recv().map_err(|_| SourceError::new("no one is there"))?;
        Ok(Some(Cow::Borrowed(&[0xc0])))
    }

    fn code(&self, _: &H256) -> Result<Option<Cow<'_, [u8]>>, SourceError> {
        Ok(None)
    }

    fn chain_id(&self) -> Result<Option<u64>, SourceError> {
        Ok(Some(1))
    }

    fn blocks(&self) -> Result<Vec<KnownBlock>, SourceError> {
        Ok(Vec::new())
    }
}

fn any_key() -> serde_json::Value {
    json!([format!("0x{}", "11".repeat(32))])
}

#[tokio::test]
async fn a_source_that_cannot_be_read_is_not_an_absent_key() {
    let (gate, _reads, go) = Gate::new();
    drop(go);
    let peer = Peer::start(gate, Options::default()).await;
    let expected = error(-32000, "the state cannot be read: no one is there");
    assert_eq!(peer.call("debug_dbGet", any_key()).await, expected);
}

#[tokio::test]
async fn a_connection_serves_many_requests() {
    let peer = Peer::holesky().await;
    for _ in 0..10 {
        peer.call("eth_chainId", json!([])).await;
    }
    assert_eq!(peer.counters(), [10, 10, 0]);
    assert_eq!(peer.stats.connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_slow_read_holds_up_no_other_request() {
    let (gate, reads, go) = Gate::new();
    let peer = Peer::start(gate, Options::default()).await;
    let request = peer.client.post(peer.url()).header("content-type", "application/json");
    let slow = tokio::spawn(request.body(call(1, "debug_dbGet", &any_key()).to_string()).send());
    // The test's runtime has one thread, so this also shows that reads are not made on it.
    let reads = tokio::task::spawn_blocking(move || reads.recv().map(|()| reads)).await.unwrap().unwrap();
    assert_eq!(peer.call("eth_chainId", json!([])).await, "0x1");
    go.send(()).unwrap();
    assert!(slow.await.unwrap().unwrap().text().await.unwrap().contains("0xc0"));
    drop(reads);
}

#[tokio::test]
async fn a_shutdown_lets_the_requests_in_flight_end() {
    let (gate, reads, go) = Gate::new();
    let peer = Peer::start(gate, Options::default()).await;
    let idle = TcpStream::connect(&peer.address).await.unwrap();
    let request = peer.client.post(peer.url()).header("content-type", "application/json");
    let slow = tokio::spawn(request.body(call(1, "debug_dbGet", &any_key()).to_string()).send());
    let _reads = tokio::task::spawn_blocking(move || reads.recv().map(|()| reads)).await.unwrap().unwrap();
    let address = peer.address.clone();
    peer.stop.send(()).unwrap();
    // Once the idle connection is closed, the server has seen the shutdown.
    closed(idle).await;
    assert!(TcpStream::connect(&address).await.is_err());
    assert!(!peer.task.is_finished());
    go.send(()).unwrap();
    assert!(slow.await.unwrap().unwrap().text().await.unwrap().contains("0xc0"));
    peer.task.await.unwrap();
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_ever() {
    let options = Options { shutdown_timeout: std::time::Duration::from_millis(20), ..Options::default() };
    let peer = Peer::start(holesky().0, options).await;
    let mut stuck = TcpStream::connect(&peer.address).await.unwrap();
    let head = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n[";
    stuck.write_all(head.as_bytes()).await.unwrap();
    // An answer on another connection: by then the first one is taken.
    peer.call("eth_chainId", json!([])).await;
    peer.stop().await;
    closed(stuck).await;
}

/// Reads until the other side closes or resets the connection.
async fn closed(mut stream: TcpStream) {
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
}

#[tokio::test]
async fn connections_over_the_limit_wait_for_their_turn() {
    let peer = Peer::start(holesky().0, Options { connections: 1, ..Options::default() }).await;
    let request = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 47\r\n\r\n\
        {\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_chainId\"}";
    let mut first = TcpStream::connect(&peer.address).await.unwrap();
    let mut second = TcpStream::connect(&peer.address).await.unwrap();
    second.write_all(request.as_bytes()).await.unwrap();
    for _ in 0..3 {
        first.write_all(request.as_bytes()).await.unwrap();
        read_answer(&mut first).await;
    }
    assert_eq!(peer.counters(), [3, 3, 0]);
    assert_eq!(peer.stats.connections.load(Ordering::Relaxed), 1);
    drop(first);
    read_answer(&mut second).await;
    assert_eq!(peer.counters(), [4, 4, 0]);
}

async fn read_answer(stream: &mut TcpStream) {
    let mut reply = Vec::new();
    while !reply.ends_with(br#""result":"0x4268"}"#) {
        let mut some = [0; 512];
        let read = stream.read(&mut some).await.unwrap();
        assert_ne!(read, 0, "closed after {}", String::from_utf8_lossy(&reply));
        reply.extend_from_slice(&some[..read]);
    }
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let first = Server::bind("127.0.0.1:0", Options::default()).await.unwrap();
    let address = first.local_addr().to_string();
    let refused = Server::bind(&address, Options::default()).await.unwrap_err();
    assert!(refused.to_string().starts_with(&format!("cannot listen on {address}: ")), "{refused}");
    assert!(Server::bind("nonsense", Options::default()).await.is_err());
}

#[tokio::test]
async fn a_store_serves_its_complete_roots_only() {
    let (state, summary) = holesky();
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), Access::Create).unwrap();
    store.pin_chain(17000).unwrap();
    let known = state.blocks().unwrap().remove(0);
    let block = Block { number: 0, hash: known.hash, header: Some(hex(&known.header.unwrap())) };
    let record = RootRecord { state: RootState::Complete, ..RootRecord::syncing(summary.root, Some(block)) };
    store.commit(&whole(&state), &Marks { checkpoint: None, root: Some(record) }, Durability::Log).unwrap();
    let later = Block { number: 9, hash: hash(&"99".repeat(32)), header: None };
    store.begin_root(&RootRecord::syncing(hash(&"88".repeat(32)), Some(later))).unwrap();

    let peer = Peer::start(store, Options::default()).await;
    assert_eq!(peer.call("eth_chainId", json!([])).await, "0x4268");
    let block = peer.call("eth_getBlockByNumber", json!(["latest", false])).await;
    assert_eq!(block["hash"], hex(known.hash.as_bytes()));
    assert_eq!(block["stateRoot"], hex(summary.root.as_bytes()));
    let root = peer.call("debug_dbGet", json!([hex(summary.root.as_bytes())])).await;
    assert_eq!(root, hex(&state.nodes()[&summary.root]));
    let (code_hash, code) = state.codes().iter().next().unwrap();
    let digits = faster_hex::hex_string(&code_hash.0);
    for key in [format!("0x63{digits}"), format!("0x{digits}")] {
        assert_eq!(peer.call("debug_dbGet", json!([key])).await, hex(code));
    }
}

/// A commit of all of a state.
fn whole(state: &crate::serve::MemoryState) -> Commit {
    let complete = |kind, (hash, bytes): (&H256, &Vec<u8>)| Complete {
        key: Key { kind, hash: *hash },
        level: Level::ROOT,
        bytes: Some(bytes.clone()),
        staged: false,
    };
    let nodes = state.nodes().iter().map(|entry| complete(Kind::AccountNode, entry));
    let codes = state.codes().iter().map(|entry| complete(Kind::Code, entry));
    Commit { complete: nodes.chain(codes).collect(), root_complete: true, ..Commit::default() }
}
