//! The driver: the one owner of scheduler and peer pool. It waits for messages and decides what happens next.

mod asking;
mod ending;
mod moving;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use primitive_types::H256;
use tokio::sync::mpsc::{Receiver, Sender};
use tokio::task::JoinSet;

use self::moving::Follower;
use super::commit::{Job, Writer, Written};
use super::fetch::Reply;
use super::follow::Target;
use super::lookup::LookedUp;
use super::plan::{COMMIT_INTERVAL, COMMIT_ITEMS, PROGRESS_INTERVAL};
use super::verify::Checked;
use super::{Event, Outcome, Report, StopReason, SyncError, SyncOptions};
use crate::peers::{Peer, PeerInfo, Pool, ProbeError, RequestId, Sent, TransportError};
use crate::store::{Block, Checkpoint, Marks, RootRecord, RootState, Store, StoreError};
use crate::trie::{Commit, Counts, Scheduler};

/// What stages and handles tell the driver.
#[derive(Debug)]
pub(super) enum Message {
    /// A request is out of time, and still waited for.
    Late(RequestId),
    /// A request is over.
    Reply(RequestId, Result<Reply, TransportError>),
    /// A peer, by its place, has said what it is.
    Probed(usize, Result<PeerInfo, ProbeError>),
    /// The newest state that the peers can serve.
    Newest(Result<Target, String>),
    /// A reply is verified.
    Checked(Sent, Checked),
    /// A look-up is done.
    LookedUp(Result<LookedUp, StoreError>),
    /// A commit is written, or failed.
    Committed(Result<Written, StoreError>),
    /// Another root is wanted.
    Pivot(H256, Option<Block>),
    /// Enough.
    Stop,
}

/// What the driver is about.
#[derive(Debug)]
enum Mode {
    Syncing,
    /// Waits for what is on its way before it moves to another root.
    Draining(H256, Option<Block>),
    /// Waits for what has come before it ends.
    Ending(Outcome),
}

pub(super) struct Driver<L> {
    store: Arc<Store>,
    peers: Vec<Peer>,
    options: SyncOptions,
    listener: L,
    scheduler: Scheduler,
    pool: Pool,
    writer: Writer,
    sender: Sender<Message>,
    receiver: Receiver<Message>,
    requests: JoinSet<()>,
    mode: Mode,
    /// Items in replies that are being verified.
    verifying: usize,
    /// Look-ups being made.
    looking_up: usize,
    /// Items in the commit that is being written.
    committing: Option<usize>,
    /// Counted for this root by earlier runs.
    before: Counts,
    /// The share that earlier runs for this root have completed; it counts until the walk has come past all of it.
    share_before: f64,
    /// Counted by this run for roots that it has left.
    left_behind: Counts,
    bytes_downloaded: u64,
    started: Instant,
    committed_at: Instant,
    progress_at: Instant,
    announced: BTreeSet<usize>,
    follower: Follower,
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
        let now = Instant::now();
        let writer = Writer::start(store.clone(), sender.clone())
            .map_err(|source| StoreError::Io { path: store.dir().into(), source })?;
        let mut driver = Self {
            scheduler: Scheduler::new(options.root, options.memory_bytes),
            pool: Pool::new(peers.len(), options.limits, now),
            store,
            peers,
            writer,
            sender,
            receiver,
            listener,
            requests: JoinSet::new(),
            mode: Mode::Syncing,
            verifying: 0,
            looking_up: 0,
            committing: None,
            before: Counts::default(),
            share_before: 0.0,
            left_behind: Counts::default(),
            bytes_downloaded: 0,
            started: now,
            committed_at: now,
            progress_at: now,
            announced: BTreeSet::new(),
            follower: Follower::new(now),
            options,
        };
        for (place, peer) in driver.peers.iter().enumerate() {
            if let Some(dialect) = peer.dialect {
                driver.pool.introduce(place, dialect, peer.dialect_is_given);
            }
        }
        driver.begin()?;
        Ok(driver)
    }

    pub(super) async fn run(mut self) -> Result<Report, SyncError> {
        let mut messages = Vec::with_capacity(64);
        let outcome = loop {
            if let Err(error) = self.act() {
                self.fail(error);
            }
            if let Some(outcome) = self.ended() {
                break outcome;
            }
            let wake = tokio::time::sleep_until(self.wake_at().into());
            tokio::select! {
                _ = self.receiver.recv_many(&mut messages, 64) => {
                    for message in messages.drain(..) {
                        if let Err(error) = self.handle(message) {
                            self.fail(error);
                        }
                    }
                }
                Some(_) = self.requests.join_next() => {}
                () = wake => {}
            }
        };
        self.finish(outcome)
    }

    /// Everything that can be done now without waiting.
    fn act(&mut self) -> Result<(), SyncError> {
        if self.has_store_failed() {
            return Ok(());
        }
        let now = Instant::now();
        if matches!(self.mode, Mode::Syncing) {
            if self.options.max_duration.is_some_and(|limit| self.started + limit <= now) {
                self.end(Outcome::Stopped(StopReason::TimeOver));
                return Ok(());
            }
            self.probe(now);
            self.look_up();
            self.ask(now);
            self.follow(now);
            self.check_hope(now)?;
        }
        self.commit(now)?;
        if self.progress_at + PROGRESS_INTERVAL <= now {
            self.progress_at = now;
            let progress = self.progress();
            (self.listener)(Event::Progress(progress));
        }
        self.switch_root()
    }

    fn commit(&mut self, now: Instant) -> Result<(), SyncError> {
        if self.committing.is_some() {
            if self.writer.is_gone() {
                self.committing = None;
                return Err(SyncError::Contradiction("the commit thread is gone".into()));
            }
            return Ok(());
        }
        let uncommitted = self.scheduler.uncommitted();
        let idle = !matches!(self.mode, Mode::Syncing) && self.verifying == 0 && self.looking_up == 0;
        let due = uncommitted >= COMMIT_ITEMS
            || self.scheduler.is_root_complete()
            || (uncommitted > 0 && (idle || self.committed_at + COMMIT_INTERVAL <= now));
        if !due {
            return Ok(());
        }
        let commit = self.scheduler.commit();
        if commit.is_empty() {
            return Ok(());
        }
        let job = Job { marks: self.marks(&commit)?, commit, last: matches!(self.mode, Mode::Ending(_)) };
        if !self.writer.submit(job) {
            return Err(SyncError::Contradiction("the commit thread is gone".into()));
        }
        self.committing = Some(uncommitted);
        Ok(())
    }

    /// What a commit makes true.
    fn marks(&self, commit: &Commit) -> Result<Marks, StoreError> {
        let root = self.options.root;
        let counts = self.before + commit.counts;
        let checkpoint = Some(Checkpoint { root, counts, progress: self.share() });
        if !commit.root_complete {
            return Ok(Marks { checkpoint, root: None });
        }
        let record = self.store.root(&root)?.unwrap_or_else(|| RootRecord::syncing(root, self.options.block.clone()));
        Ok(Marks { checkpoint, root: Some(RootRecord { state: RootState::Complete, ..record }) })
    }

    fn handle(&mut self, message: Message) -> Result<(), SyncError> {
        match message {
            Message::Late(id) => self.pool.give_up(id),
            Message::Reply(id, reply) => self.verify(id, reply),
            Message::Probed(peer, answer) => self.introduce(peer, answer),
            Message::Newest(target) => self.consider(target)?,
            Message::Checked(sent, checked) => self.take_in(&sent, checked)?,
            Message::LookedUp(answers) => self.resolve(answers)?,
            Message::Committed(written) => self.forget(written)?,
            Message::Pivot(root, block) => {
                if !matches!(self.mode, Mode::Ending(_)) {
                    self.mode = Mode::Draining(root, block);
                }
            }
            Message::Stop => self.end(Outcome::Stopped(StopReason::Asked)),
        }
        Ok(())
    }

    fn forget(&mut self, written: Result<Written, StoreError>) -> Result<(), SyncError> {
        self.committing = None;
        self.committed_at = Instant::now();
        let Written { commit } = written?;
        let (complete, staged) = (commit.complete.len(), commit.stage.len());
        tracing::debug!(complete, staged, pending = self.scheduler.pending(), "committed");
        self.scheduler.committed(commit.done);
        (self.listener)(Event::Committed { complete, staged });
        Ok(())
    }

    /// Nothing is on its way and nothing waits to be written.
    fn is_quiet(&self) -> bool {
        self.verifying == 0 && self.looking_up == 0 && self.committing.is_none() && self.scheduler.uncommitted() == 0
    }

    /// When there is something to do although no message comes.
    fn wake_at(&self) -> Instant {
        let now = Instant::now();
        let uncommitted = self.committing.is_none() && self.scheduler.uncommitted() > 0;
        let commit = uncommitted.then_some(self.committed_at + COMMIT_INTERVAL);
        let over = self.options.max_duration.map(|limit| self.started + limit);
        let follow = self.options.follow.as_ref().and_then(|follow| self.follower.wake_at(follow));
        let times = [Some(self.progress_at + PROGRESS_INTERVAL), commit, over, follow, self.pool.wake_at(now)];
        times.into_iter().flatten().min().unwrap_or(now + PROGRESS_INTERVAL).max(now + Duration::from_millis(1))
    }
}

impl Mode {
    fn into_outcome(self) -> Outcome {
        match self {
            Self::Ending(outcome) => outcome,
            Self::Syncing | Self::Draining(..) => Outcome::Stopped(StopReason::Asked),
        }
    }
}

fn name(peers: &[Peer], place: usize) -> String {
    peers.get(place).map_or_else(|| format!("peer {place}"), |peer| peer.client.url().to_string())
}
