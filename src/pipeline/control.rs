//! A sync from outside: how it is set up, run, moved to another root and stopped.

use std::sync::Arc;
use std::time::Duration;

use primitive_types::H256;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::core::Message;
use super::driver::Driver;
use super::{Event, Follow, Report, SyncError};
use crate::memory::Memory;
use crate::peers::{Chain, Peer, PoolLimits};
use crate::store::{Block, Store};
use crate::trie::Scope;

/// Messages to the driver that may wait. Producers pause when it is full; the driver never waits for them.
const MESSAGES: usize = 1_024;

/// The time-out of a request by default. geth itself gives up after 30 s; a healthy peer answers in well under one.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// What to sync and within which limits.
#[derive(Clone, Debug)]
pub struct SyncOptions {
    /// The state root.
    pub root: H256,
    /// The block it belongs to, if known; kept in the root's record.
    pub block: Option<Block>,
    /// The part of the state to sync.
    pub scope: Scope,
    /// Limits on what is asked of the peers.
    pub limits: PoolLimits,
    /// How long a request may take before its items are asked of another peer.
    pub request_timeout: Duration,
    /// Memory that the scheduler may use, in bytes.
    pub memory_bytes: usize,
    /// Stop, resumably, after this time.
    pub max_duration: Option<Duration>,
    /// The chain, as far as it is known: a peer that turns out to serve another is not asked.
    pub chain: Chain,
    /// Move to newer states by itself.
    pub follow: Option<Follow>,
}

impl SyncOptions {
    /// The usual limits.
    #[must_use]
    pub fn new(root: H256) -> Self {
        Self {
            root,
            block: None,
            scope: Scope::whole(),
            limits: PoolLimits::default(),
            request_timeout: REQUEST_TIMEOUT,
            memory_bytes: Memory::default().scheduler_bytes,
            max_duration: None,
            chain: Chain::default(),
            follow: None,
        }
    }
}

/// Why a sync was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// By [`Handle::stop`].
    Asked,
    /// The time given to it was over.
    TimeOver,
}

/// A sync, ready to run.
#[derive(Debug)]
pub struct Sync {
    store: Arc<Store>,
    peers: Vec<Peer>,
    options: SyncOptions,
    sender: Sender<Message>,
    receiver: Receiver<Message>,
}

/// A hold on a running sync; clones act on the same one.
#[derive(Clone, Debug)]
pub struct Handle(Sender<Message>);

impl Sync {
    /// Sets up a sync into `store` from `peers`.
    #[must_use]
    pub fn new<P: Into<Peer>>(store: Arc<Store>, peers: Vec<P>, options: SyncOptions) -> Self {
        let (sender, receiver) = channel(MESSAGES);
        let peers = peers.into_iter().map(Into::into).collect();
        Self { store, peers, options, sender, receiver }
    }

    /// A hold on this sync, for another task.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle(self.sender.clone())
    }

    /// Runs until the state, or the part of it that is wanted, is complete, or until it is stopped or cannot go on. Needs a
    /// tokio runtime with time and network. Events go to `listener`, from this task.
    ///
    /// # Errors
    /// Only what prevents a start; a run that failed is a [`Report`] like any other.
    pub async fn run(self, listener: impl FnMut(Event) + Send) -> Result<Report, SyncError> {
        Driver::start(self.store, self.peers, self.options, self.sender, self.receiver, listener)?.run().await
    }
}

impl Handle {
    /// Moves the sync to another root. Requests on their way are waited for, everything that came is kept, and the new
    /// root takes over what it shares. False when the sync has ended.
    pub async fn pivot(&self, root: H256, block: Option<Block>) -> bool {
        self.0.send(Message::Pivot(root, block)).await.is_ok()
    }

    /// Stops the sync: asks nothing more, commits what has come, returns. False when the sync has ended.
    pub async fn stop(&self) -> bool {
        self.0.send(Message::Stop).await.is_ok()
    }
}
