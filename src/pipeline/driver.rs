//! The driver: carries out what the core decides, and brings it what comes of that.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc::{Receiver, Sender};
use tokio::task::JoinSet;

use super::commit::Writer;
use super::core::{Action, Core, Message};
use super::fetch::fetch;
use super::follow::Follow;
use super::lookup::look_up;
use super::verify::check;
use super::{Event, Outcome, Report, SyncError, SyncOptions};
use crate::peers::{Dispatch, Peer, probe};
use crate::store::{Store, StoreError};

/// Messages taken in before the next decisions.
const MESSAGES: usize = 64;

/// A running sync: the core, and the sockets, threads and store around it.
pub(super) struct Driver<L> {
    core: Core,
    store: Arc<Store>,
    peers: Vec<Peer>,
    options: SyncOptions,
    listener: L,
    sender: Sender<Message>,
    // Before the writer, which must not wait for a reader when both go.
    receiver: Receiver<Message>,
    writer: Writer,
    requests: JoinSet<()>,
    /// Stages that run on rayon's threads; each ends with one message.
    computing: usize,
}

impl<L: FnMut(Event) + Send> Driver<L> {
    pub(super) fn start(
        store: Arc<Store>,
        peers: Vec<Peer>,
        options: SyncOptions,
        sender: Sender<Message>,
        receiver: Receiver<Message>,
        listener: L,
    ) -> Result<Self, SyncError> {
        let writer = Writer::start(store.clone(), sender.clone())
            .map_err(|source| StoreError::Io { path: store.dir().into(), source })?;
        let names = peers.iter().map(|peer| peer.client.url().to_string()).collect();
        let mut core = Core::new(options.clone(), names, store.checkpoint()?, store.surely_absent(), Instant::now());
        for (place, peer) in peers.iter().enumerate() {
            if let Some(dialect) = peer.dialect {
                core.introduce(place, dialect, peer.dialect_is_given);
            }
        }
        let requests = JoinSet::new();
        let mut driver =
            Self { core, store, peers, options, listener, writer, sender, receiver, requests, computing: 0 };
        driver.carry_out()?;
        Ok(driver)
    }

    pub(super) async fn run(mut self) -> Result<Report, SyncError> {
        let mut messages = Vec::with_capacity(MESSAGES);
        let outcome = loop {
            self.core.act(Instant::now());
            if let Err(error) = self.carry_out() {
                self.core.fail(error);
            }
            if self.writer.is_gone() {
                self.core.fail(SyncError::Contradiction("the commit thread is gone".into()));
            }
            if let Some(outcome) = self.core.ended() {
                break outcome;
            }
            let wake = tokio::time::sleep_until(self.core.wake_at(Instant::now()).into());
            tokio::select! {
                _ = self.receiver.recv_many(&mut messages, MESSAGES) => {
                    for message in messages.drain(..) {
                        self.computing -= usize::from(message.is_computed());
                        self.core.handle(Instant::now(), message);
                    }
                }
                Some(_) = self.requests.join_next() => {}
                () = wake => {}
            }
        };
        self.requests.abort_all();
        // A stage that still reads the store must not outlive it.
        while self.computing > 0
            && let Some(message) = self.receiver.recv().await
        {
            self.computing -= usize::from(message.is_computed());
        }
        self.finish(outcome)
    }

    fn carry_out(&mut self) -> Result<(), SyncError> {
        for action in self.core.take_actions() {
            match action {
                Action::Probe(place) => self.probe(place),
                Action::Send(request) => self.send(request),
                Action::DropRequests => self.requests.abort_all(),
                Action::Check(sent, reply) => {
                    self.compute(move || {
                        let checked = check(sent.dialect, &sent.asks, &reply);
                        Message::Checked(sent, checked)
                    });
                }
                Action::LookUp(items) => {
                    let store = self.store.clone();
                    self.compute(move || Message::LookedUp(look_up(&store, &items)));
                }
                Action::Commit(job) => {
                    if !self.writer.submit(*job) {
                        return Err(SyncError::Contradiction("the commit thread is gone".into()));
                    }
                }
                Action::Begin(record) => self.store.begin_root(&record)?,
                Action::AskForNewest => self.ask_for_newest(),
                Action::Tell(event) => (self.listener)(event),
            }
        }
        Ok(())
    }

    /// Runs a stage on rayon's threads.
    fn compute(&mut self, stage: impl FnOnce() -> Message + Send + 'static) {
        self.computing += 1;
        let sender = self.sender.clone();
        // The receiver is gone only when the sync has ended.
        rayon::spawn(move || drop(sender.blocking_send(stage())));
    }

    fn probe(&mut self, place: usize) {
        let Some(Peer { client, .. }) = self.peers.get(place) else { return };
        let (client, sender) = (client.clone(), self.sender.clone());
        self.requests.spawn(async move {
            let _ = sender.send(Message::Probed(place, probe(&client, None).await)).await;
        });
    }

    fn send(&mut self, request: Dispatch) {
        let Some(Peer { client, .. }) = self.peers.get(request.peer) else { return };
        tracing::trace!(peer = %client.url(), id = request.id.0, items = request.asks.len(), "request");
        self.requests.spawn(fetch(client.clone(), request, self.options.request_timeout, self.sender.clone()));
    }

    fn ask_for_newest(&mut self) {
        let Some(Follow { source, .. }) = &self.options.follow else { return };
        let (source, sender) = (source.clone(), self.sender.clone());
        self.requests.spawn(async move {
            let newest = source.newest().await;
            let _ = sender.send(Message::Newest(newest)).await;
        });
    }

    fn finish(mut self, outcome: Outcome) -> Result<Report, SyncError> {
        match &outcome {
            Outcome::Complete => {
                // What is left there belongs to roots that were given up.
                self.store.clear_staging()?;
                self.store.sync()?;
            }
            Outcome::Failed(SyncError::Store(_) | SyncError::Contradiction(_)) => {}
            _ => self.store.sync()?,
        }
        (self.listener)(Event::Progress(self.core.progress()));
        let report = self.core.report(Instant::now(), outcome);
        if report.is_complete() {
            (self.listener)(Event::Finished { root: report.root });
        }
        Ok(report)
    }
}
