//! A sync through the library, on a thread of its own.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use primitive_types::H256;
use statesync::peers::{self, Client, Dialect, PoolLimits};
use statesync::pipeline::{Event, Handle, Progress, Report, Sync, SyncOptions};
use statesync::store::{Access, Store, Totals};
use statesync::verify::verify;
use tokio::runtime::Runtime;

use super::patience;

/// A running sync.
pub(crate) struct Running {
    handle: Handle,
    events: Receiver<Event>,
    thread: JoinHandle<Report>,
    runtime: Arc<Runtime>,
}

/// Limits with which a failing peer is asked again at once.
pub(crate) fn options(root: H256) -> SyncOptions {
    let limits = PoolLimits {
        absent_delay: Duration::from_millis(1),
        failure_delay: Duration::from_millis(2),
        ..PoolLimits::default()
    };
    // What a test holds back, or a busy machine, must not make a request late.
    SyncOptions { limits, request_timeout: patience(), ..SyncOptions::new(root) }
}

/// A store in `dir`, made if it is not there.
pub(crate) fn open(dir: &Path) -> Arc<Store> {
    Arc::new(Store::open(dir, Access::Create).unwrap())
}

/// Starts a sync from the peers with these addresses, which are asked by hash without asking first what they are.
pub(crate) fn start(store: &Arc<Store>, peers: &[String], options: SyncOptions) -> Running {
    start_from(store, peers, Some(Dialect::Hash), options)
}

/// Starts a sync from peers that are asked in this dialect, or in the one that is found out.
pub(crate) fn start_from(
    store: &Arc<Store>,
    peers: &[String],
    dialect: Option<Dialect>,
    options: SyncOptions,
) -> Running {
    let timeout = options.request_timeout;
    let client = |url: &String| Client::new(url.parse().unwrap(), timeout).unwrap();
    let peer = |client: Client| match dialect {
        Some(dialect) => peers::Peer::speaking(client, dialect),
        None => client.into(),
    };
    let peers: Vec<peers::Peer> = peers.iter().map(client).map(peer).collect();
    let sync = Sync::new(store.clone(), peers, options);
    let handle = sync.handle();
    let (sender, events) = channel();
    let builder = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = Arc::new(builder.unwrap());
    let on = runtime.clone();
    let thread = std::thread::spawn(move || {
        let listener = move |event| drop(sender.send(event));
        on.block_on(sync.run(listener)).unwrap()
    });
    Running { handle, events, thread, runtime }
}

/// Runs a sync to its end.
pub(crate) fn sync(store: &Arc<Store>, peers: &[String], options: SyncOptions) -> Report {
    start(store, peers, options).end()
}

/// What a state holds in the store; fails unless all of it is there and right.
pub(crate) fn verified(store: &Arc<Store>, root: H256) -> Totals {
    let verification = verify(store.as_ref(), root, &AtomicU64::new(0)).unwrap();
    assert!(verification.is_ok(), "{:?}", verification.faults.first());
    verification.totals
}

impl Running {
    /// Waits for an event.
    pub(crate) fn until(&self, what: &str, mut wanted: impl FnMut(&Event) -> bool) -> Event {
        loop {
            match self.events.recv_timeout(patience()) {
                Ok(event) if wanted(&event) => return event,
                Ok(_) => {}
                Err(why) => panic!("waited in vain for {what}: {why}"),
            }
        }
    }

    /// Waits until so many nodes and codes have come in.
    pub(crate) fn until_fetched(&self, items: u64) -> Progress {
        let fetched = |progress: &Progress| progress.counts.nodes + progress.counts.codes;
        let enough = |event: &Event| matches!(event, Event::Progress(progress) if fetched(progress) >= items);
        match self.until("items to come in", enough) {
            Event::Progress(progress) => progress,
            _ => unreachable!("only progress is waited for"),
        }
    }

    pub(crate) fn stop(&self) {
        self.runtime.block_on(self.handle.stop());
    }

    pub(crate) fn pivot(&self, root: H256) {
        assert!(self.runtime.block_on(self.handle.pivot(root, None)), "the sync has ended");
    }

    /// Waits until the sync has ended.
    pub(crate) fn end(self) -> Report {
        // Dropping the events must not be the reason that the sync ends.
        let report = self.thread.join().unwrap();
        drop(self.events);
        report
    }
}
