//! A JSON-RPC peer on a real socket whose behaviour a test chooses.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::post;
use primitive_types::H256;
use statesync::serve::MemoryState;
use tokio::runtime::Runtime;

use super::answer::{Answer, Request};
use super::builder::Builder;
use super::chain::Block;
use super::patience;
use super::service::{Service, answer};

/// A running peer.
pub(crate) struct Peer {
    inner: Arc<Service>,
    address: SocketAddr,
    runtime: Option<Runtime>,
}

/// What a peer has done.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    /// Batches in which keys are read, but for those that the limits or a fault turned away.
    pub(crate) requests: u64,
    /// Items of the batches that were let in.
    pub(crate) admitted: u64,
    /// Right values in the answers.
    pub(crate) served: u64,
    /// The same by hash.
    pub(crate) by_hash: HashMap<H256, u32>,
    /// Calls by method, in batches or alone.
    pub(crate) methods: HashMap<String, u64>,
    /// Requests of any kind, in the order in which they came.
    pub(crate) arrivals: Vec<Arrival>,
    /// Requests that are not answered yet, and the most that there have been of them.
    pub(crate) in_flight: u64,
    pub(crate) most_in_flight: u64,
    /// Requests that came while the peer had asked for a rest, and had not been on their way before.
    pub(crate) inside_wait: u64,
}

/// A request that came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    pub(crate) at: Instant,
    /// The end of the wait that it was answered with.
    pub(crate) wait_until: Option<Instant>,
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

    pub(super) fn start(service: Service) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut peer = Self { inner: Arc::new(service), address: listener.local_addr().unwrap(), runtime: None };
        peer.listen(listener);
        peer
    }

    fn listen(&mut self, listener: TcpListener) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let router = Router::new().route("/", post(answer)).with_state(self.inner.clone());
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

    /// Whether what was allowed has been used up.
    pub(crate) fn is_at_limit(&self) -> bool {
        self.counts().admitted >= *self.inner.limit.borrow()
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
