//! A JSON-RPC peer on a real socket whose behaviour a test chooses.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use primitive_types::H256;
use serde_json::Value;
use statesync::serve::MemoryState;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::answer::{Answer, Call, Element, Request, reads_a_key};
use super::builder::{Behaviour, Builder};
use super::chain::Block;
use super::node::Node;
use super::patience;

/// A running peer.
pub(crate) struct Peer {
    inner: Arc<Inner>,
    address: SocketAddr,
    runtime: Option<Runtime>,
}

struct Inner {
    node: Node,
    behaviour: Behaviour,
    counts: Mutex<Counts>,
    changed: Condvar,
    limit: watch::Sender<u64>,
}

/// What a peer has done.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    /// Batches in which keys are read that came.
    pub(crate) requests: u64,
    /// Items of the batches that were let in.
    pub(crate) admitted: u64,
    /// Right values in the answers.
    pub(crate) served: u64,
    /// The same by hash.
    pub(crate) by_hash: HashMap<H256, u32>,
    /// Calls by method, in batches or alone.
    pub(crate) methods: HashMap<String, u64>,
}

impl Peer {
    /// A peer that has `content` and answers as it should.
    pub(crate) fn honest(content: &Arc<MemoryState>) -> Self {
        Self::new(content, |request| Answer::Batch(request.elements()))
    }

    /// A peer that answers each batch as `behaviour` says.
    pub(crate) fn new(
        content: &Arc<MemoryState>,
        behaviour: impl Fn(&Request<'_>) -> Answer + Send + Sync + 'static,
    ) -> Self {
        Self::build(content).behaves(behaviour).start()
    }

    /// A peer without the debug namespace.
    pub(crate) fn without_debug(content: &Arc<MemoryState>) -> Self {
        Self::build(content).without_debug().start()
    }

    /// A peer that is yet to be described, as honest as [`Self::honest`] and without blocks.
    pub(crate) fn build(content: &Arc<MemoryState>) -> Builder {
        Builder::new(content)
    }

    pub(super) fn start(node: Node, behaviour: Behaviour) -> Self {
        let inner = Inner {
            node,
            behaviour,
            counts: Mutex::default(),
            changed: Condvar::new(),
            limit: watch::Sender::new(u64::MAX),
        };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut peer = Self { inner: Arc::new(inner), address: listener.local_addr().unwrap(), runtime: None };
        peer.listen(listener);
        peer
    }

    fn listen(&mut self, listener: TcpListener) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let router = Router::new().route("/", post(answer)).layer(DefaultBodyLimit::disable());
        let router = router.with_state(self.inner.clone());
        listener.set_nonblocking(true).unwrap();
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            axum::serve(listener, router).await.unwrap();
        });
        self.runtime = Some(runtime);
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its block with this number, also one that it has not got to yet.
    pub(crate) fn block(&self, number: u64) -> Block {
        self.inner.node.chain.block(number).unwrap().clone()
    }

    /// Gets to this block, or falls back to it.
    pub(crate) fn set_head(&self, number: u64) {
        self.inner.node.chain.set_head(number);
    }

    /// Swaps what a path peer has on its disk for the state at `root`.
    pub(crate) fn flush(&self, root: H256) {
        self.inner.node.flush(root, 0);
    }

    /// The same once `reads` more keys have been read, be it in the middle of a batch.
    pub(crate) fn flush_after(&self, reads: u64, root: H256) {
        self.inner.node.flush(root, reads);
    }

    /// Loses the nodes that only the states at these roots have, of all its blocks.
    pub(crate) fn prune(&self, roots: &[H256]) {
        self.inner.node.prune(roots);
    }

    /// Goes away, with all its connections.
    pub(crate) fn vanish(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(10));
        }
    }

    /// Comes back under the same address.
    pub(crate) fn come_back(&mut self) {
        self.listen(TcpListener::bind(self.address).unwrap());
    }

    /// Lets in `items` more; what comes after that is held until more are allowed.
    pub(crate) fn allow(&self, items: u64) {
        let limit = self.counts().admitted.saturating_add(items);
        self.inner.limit.send_replace(limit);
    }

    /// Waits until what was allowed has been used up.
    pub(crate) fn wait_for_limit(&self) -> Counts {
        let limit = *self.inner.limit.borrow();
        self.wait("the limit", |counts| counts.admitted >= limit)
    }

    /// Waits for something that the peer has done.
    pub(crate) fn wait(&self, what: &str, done: impl Fn(&Counts) -> bool) -> Counts {
        let counts = self.inner.lock();
        let (counts, timeout) =
            self.inner.changed.wait_timeout_while(counts, patience(), |counts| !done(counts)).unwrap();
        assert!(!timeout.timed_out(), "waited in vain for {what}; so far {} items", counts.admitted);
        counts.clone()
    }

    pub(crate) fn counts(&self) -> Counts {
        self.inner.lock().clone()
    }

    /// The right values in all answers.
    pub(crate) fn served(&self) -> u64 {
        self.inner.lock().served
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap()
    }

    /// What the behaviour makes of a batch, as soon as it is let in.
    async fn admit(&self, messages: &[Value]) -> Answer {
        if !messages.iter().any(reads_a_key) {
            let calls = messages.iter().map(|message| Call::read(message, &self.node));
            return Answer::Batch(calls.map(|call| call.says(self.node.answer(&call))).collect());
        }
        let mut limit = self.limit.subscribe();
        let number = {
            let mut counts = self.lock();
            counts.requests += 1;
            self.changed.notify_all();
            counts.requests - 1
        };
        loop {
            {
                // One step: whoever sees the limit reached sees all that was served up to it.
                let mut counts = self.lock();
                if counts.admitted < *limit.borrow_and_update() {
                    let calls: Vec<Call> = messages.iter().map(|message| Call::read(message, &self.node)).collect();
                    let answer = (self.behaviour)(&Request { number, calls: &calls, node: &self.node });
                    counts.admitted += calls.len() as u64;
                    for hash in answer.values() {
                        counts.served += 1;
                        *counts.by_hash.entry(hash).or_default() += 1;
                    }
                    self.changed.notify_all();
                    return answer;
                }
            }
            limit.changed().await.unwrap();
        }
    }

    /// A call that is not in a batch: answered at once and as it should be, whatever the behaviour.
    fn one(&self, message: &Value) -> Element {
        let call = Call::read(message, &self.node);
        call.says(self.node.answer(&call))
    }

    fn count_methods(&self, messages: &[Value]) {
        let mut counts = self.lock();
        for message in messages {
            let method = message["method"].as_str().unwrap_or_default();
            *counts.methods.entry(method.into()).or_default() += 1;
        }
        self.changed.notify_all();
    }
}

async fn answer(State(peer): State<Arc<Inner>>, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap();
    let Value::Array(messages) = body else {
        peer.count_methods(std::slice::from_ref(&body));
        return peer.one(&body).to_string().into_response();
    };
    peer.count_methods(&messages);
    let mut answer = peer.admit(&messages).await;
    loop {
        answer = match answer {
            Answer::Batch(elements) => {
                let elements: Vec<String> = elements.iter().map(ToString::to_string).collect();
                return format!("[{}]", elements.join(",")).into_response();
            }
            Answer::Raw(response) => return response.into_response(),
            Answer::Drop => return broken(),
            Answer::Endless => return endless(),
            Answer::After(delay, answer) => {
                tokio::time::sleep(delay).await;
                *answer
            }
            Answer::When(gate, answer) => {
                gate.opened().await;
                *answer
            }
        }
    }
}

/// A reply that breaks off after its head.
fn broken() -> Response {
    let cut = futures_util::stream::iter([Err::<Bytes, _>(io::Error::other("cut"))]);
    Body::from_stream(cut).into_response()
}

/// A reply that never ends.
fn endless() -> Response {
    let spaces = Bytes::from(vec![b' '; 1 << 16]);
    let stream = futures_util::stream::repeat_with(move || Ok::<_, io::Error>(spaces.clone()));
    Body::from_stream(stream).into_response()
}
