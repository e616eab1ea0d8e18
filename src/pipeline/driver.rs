//! The driver: the one owner of scheduler and peer pool. It waits for messages and decides what happens next.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use primitive_types::H256;
use tokio::sync::mpsc::{Receiver, Sender};
use tokio::task::JoinSet;

use super::commit::{Job, Writer, Written};
use super::lookup::{LookedUp, look_up};
use super::plan::{COMMIT_INTERVAL, COMMIT_ITEMS, LOOKUP_ITEMS, LOOKUP_JOBS, OUTSTANDING_MAX, PROGRESS_INTERVAL};
use super::verify::{Checked, check};
use super::{Event, Outcome, Progress, Report, StopReason, SyncError, SyncOptions, fetch};
use crate::peers::{Client, Pool, RequestId, Sent, Stats, TransportError, Verdict};
use crate::store::{Block, Checkpoint, Marks, RootRecord, RootState, Store, StoreError};
use crate::trie::{Commit, Counts, Scheduler};

/// What stages and handles tell the driver.
#[derive(Debug)]
pub(super) enum Message {
    /// A request is out of time, and still waited for.
    Late(RequestId),
    /// A request is over.
    Reply(RequestId, Result<Vec<u8>, TransportError>),
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
    clients: Vec<Client>,
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
}

impl<L: FnMut(Event) + Send> Driver<L> {
    pub(super) fn start(
        store: Arc<Store>,
        clients: Vec<Client>,
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
            pool: Pool::new(clients.len(), options.limits, now),
            store,
            clients,
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
            options,
        };
        driver.begin()?;
        Ok(driver)
    }

    /// Begins the sync to the root in the options.
    fn begin(&mut self) -> Result<(), SyncError> {
        let root = self.options.root;
        let checkpoint = self.store.checkpoint()?.filter(|checkpoint| checkpoint.root == root);
        (self.before, self.share_before) =
            checkpoint.map_or_else(Default::default, |checkpoint| (checkpoint.counts, checkpoint.progress));
        self.store.begin_root(&RootRecord::syncing(root, self.options.block.clone()))?;
        (self.listener)(Event::Started { root, before: self.before });
        Ok(())
    }

    pub(super) async fn run(mut self) -> Result<Report, SyncError> {
        let mut messages = Vec::with_capacity(64);
        let outcome = loop {
            if let Err(error) = self.act() {
                self.mode = Mode::Ending(Outcome::Failed(error));
                self.requests.abort_all();
            }
            if let Some(outcome) = self.ended() {
                break outcome;
            }
            let wake = tokio::time::sleep_until(self.wake_at().into());
            tokio::select! {
                _ = self.receiver.recv_many(&mut messages, 64) => {
                    for message in messages.drain(..) {
                        if let Err(error) = self.handle(message) {
                            self.mode = Mode::Ending(Outcome::Failed(error));
                            self.requests.abort_all();
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
        let now = Instant::now();
        if matches!(self.mode, Mode::Syncing) {
            if self.options.max_duration.is_some_and(|limit| self.started + limit <= now) {
                self.end(Outcome::Stopped(StopReason::TimeOver));
                return Ok(());
            }
            self.look_up();
            self.ask(now);
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

    fn look_up(&mut self) {
        while self.looking_up < LOOKUP_JOBS {
            let items = self.scheduler.lookups(LOOKUP_ITEMS);
            if items.is_empty() {
                return;
            }
            self.looking_up += 1;
            let (store, sender) = (self.store.clone(), self.sender.clone());
            rayon::spawn(move || {
                let _ = sender.blocking_send(Message::LookedUp(look_up(&store, &items)));
            });
        }
    }

    fn ask(&mut self, now: Instant) {
        let outstanding =
            self.pool.items() + self.verifying + self.scheduler.uncommitted() + self.committing.unwrap_or_default();
        let room = OUTSTANDING_MAX.saturating_sub(outstanding);
        for request in self.pool.assign(now, room, &mut self.scheduler) {
            let Some(client) = self.clients.get(request.peer) else { continue };
            tracing::trace!(peer = %client.url(), id = request.id.0, items = request.asks.len(), "request");
            let fetch = fetch::fetch(client.clone(), request, self.options.request_timeout, self.sender.clone());
            self.requests.spawn(fetch);
        }
    }

    /// Whether the peers can still bring what is missing.
    fn check_hope(&mut self, now: Instant) -> Result<(), SyncError> {
        for (peer, reason) in self.pool.dismissed() {
            if self.announced.insert(peer) {
                (self.listener)(Event::PeerLost { peer: name(&self.clients, peer), reason: reason.into() });
            }
        }
        if let Some(lost) = self.pool.unavailable(now) {
            return Err(SyncError::unavailable(self.options.root, lost, |peer| name(&self.clients, peer)));
        }
        if self.scheduler.fetching() > 0
            && let Some(outage) = self.pool.outage(now)
        {
            let reasons = outage.reasons.iter().map(|(peer, why)| format!("{}: {why}", name(&self.clients, *peer)));
            return Err(SyncError::NoPeers { reasons: reasons.collect::<Vec<_>>().join("; ") });
        }
        Ok(())
    }

    fn commit(&mut self, now: Instant) -> Result<(), SyncError> {
        if self.committing.is_some() {
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
        self.committing = Some(uncommitted);
        let job = Job { marks: self.marks(&commit)?, commit, last: matches!(self.mode, Mode::Ending(_)) };
        if self.writer.submit(job) { Ok(()) } else { Err(SyncError::Contradiction("the commit thread is gone".into())) }
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

    fn verify(&mut self, id: RequestId, reply: Result<Vec<u8>, TransportError>) {
        let Some(sent) = self.pool.take(id) else { return };
        match reply {
            Ok(reply) => {
                self.bytes_downloaded += reply.len() as u64;
                self.verifying += sent.asks.len();
                let sender = self.sender.clone();
                rayon::spawn(move || {
                    let checked = check(&sent.asks, &reply);
                    let _ = sender.blocking_send(Message::Checked(sent, checked));
                });
            }
            Err(error) => {
                tracing::debug!(peer = %name(&self.clients, sent.peer), id = id.0, %error, "request failed");
                let checked = Checked::all(&sent.asks, &Verdict::of_transport(&error));
                self.settle(&sent, &checked.verdicts);
            }
        }
    }

    fn take_in(&mut self, sent: &Sent, checked: Checked) -> Result<(), SyncError> {
        self.verifying -= sent.asks.len();
        if let Some((item, rule)) = checked.malformed
            && self.scheduler.is_fetching(&item.key)
        {
            return Err(SyncError::malformed(self.options.root, &item, &rule));
        }
        for node in checked.nodes {
            self.process(node)?;
        }
        self.settle(sent, &checked.verdicts);
        Ok(())
    }

    fn settle(&mut self, sent: &Sent, verdicts: &[Verdict]) {
        let scheduler = &self.scheduler;
        self.pool.settle(Instant::now(), sent, verdicts, |key| scheduler.is_fetching(key));
    }

    fn resolve(&mut self, answers: Result<LookedUp, StoreError>) -> Result<(), SyncError> {
        self.looking_up -= 1;
        let answers = answers?;
        if let Some((item, rule)) = answers.malformed {
            return Err(SyncError::malformed(self.options.root, &item, &rule));
        }
        answers.present.iter().for_each(|key| self.scheduler.resolve(key, true, false));
        answers.absent.iter().for_each(|(key, stale)| self.scheduler.resolve(key, false, *stale));
        answers.staged.into_iter().try_for_each(|node| self.process(node))
    }

    fn process(&mut self, node: crate::trie::Verified) -> Result<(), SyncError> {
        let processed = self.scheduler.process(node);
        processed.map(|_| ()).map_err(|error| SyncError::unschedulable(self.options.root, &error))
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

    /// Moves to the next root once everything on its way has come in and is committed.
    fn switch_root(&mut self) -> Result<(), SyncError> {
        if !matches!(self.mode, Mode::Draining(..)) || self.pool.in_time() > 0 || !self.is_quiet() {
            return Ok(());
        }
        let Mode::Draining(root, block) = std::mem::replace(&mut self.mode, Mode::Syncing) else { return Ok(()) };
        (self.listener)(Event::Pivoted { from: self.options.root, to: root });
        self.left_behind = self.left_behind + self.scheduler.counts();
        (self.options.root, self.options.block) = (root, block);
        self.scheduler = Scheduler::new(root, self.options.memory_bytes);
        self.pool.forget_retries();
        self.begin()
    }

    fn end(&mut self, outcome: Outcome) {
        if !matches!(self.mode, Mode::Ending(_)) {
            self.mode = Mode::Ending(outcome);
            self.requests.abort_all();
        }
    }

    /// How the sync ended, once it has.
    fn ended(&mut self) -> Option<Outcome> {
        if matches!(self.mode, Mode::Ending(Outcome::Failed(SyncError::Store(_)))) {
            // A store that failed takes no more.
            return Some(std::mem::replace(&mut self.mode, Mode::Syncing).into_outcome());
        }
        if !self.is_quiet() {
            return None;
        }
        match self.mode {
            // A root that completes while it is being left is not the end.
            Mode::Syncing | Mode::Ending(_) if self.scheduler.is_complete() => Some(Outcome::Complete),
            Mode::Ending(_) => Some(std::mem::replace(&mut self.mode, Mode::Syncing).into_outcome()),
            Mode::Syncing | Mode::Draining(..) => None,
        }
    }

    fn finish(mut self, outcome: Outcome) -> Result<Report, SyncError> {
        self.requests.abort_all();
        let outcome = match outcome {
            Outcome::Complete => self.close()?,
            failed @ Outcome::Failed(SyncError::Store(_)) => failed,
            other => {
                self.store.sync()?;
                other
            }
        };
        let progress = self.progress();
        let share = progress.share;
        (self.listener)(Event::Progress(progress));
        if matches!(outcome, Outcome::Complete) {
            (self.listener)(Event::Finished { root: self.options.root });
        }
        let stats: Vec<Stats> = self.pool.stats();
        self.writer.stop();
        Ok(Report {
            root: self.options.root,
            block: self.options.block,
            outcome,
            counts: self.left_behind + self.scheduler.counts(),
            share,
            bytes_downloaded: self.bytes_downloaded,
            requests: stats.iter().map(|stats| stats.requests).sum(),
            retries: self.pool.retries(),
            duration: self.started.elapsed(),
            peers: (0..).map(|peer| name(&self.clients, peer)).zip(stats).collect(),
        })
    }

    /// The last checks and the tidying up of a complete state.
    fn close(&self) -> Result<Outcome, SyncError> {
        if self.scheduler.pending() > 0 {
            let left = format!("the root is complete and {} requests are not", self.scheduler.pending());
            return Ok(Outcome::Failed(SyncError::Contradiction(left)));
        }
        // What is left there belongs to roots that were given up.
        self.store.clear_staging()?;
        self.store.sync()?;
        Ok(Outcome::Complete)
    }

    /// The complete share of the key space. What was complete once stays so, although the walk has yet to find it.
    fn share(&self) -> f64 {
        self.scheduler.progress().max(self.share_before)
    }

    fn progress(&self) -> Progress {
        Progress {
            share: self.share(),
            counts: self.left_behind + self.scheduler.counts(),
            pending: self.scheduler.pending(),
            in_flight: self.pool.items(),
            memory_bytes: self.scheduler.memory_bytes(),
            peers: self.pool.stats(),
        }
    }

    /// When there is something to do although no message comes.
    fn wake_at(&self) -> Instant {
        let now = Instant::now();
        let uncommitted = self.committing.is_none() && self.scheduler.uncommitted() > 0;
        let commit = uncommitted.then_some(self.committed_at + COMMIT_INTERVAL);
        let over = self.options.max_duration.map(|limit| self.started + limit);
        let times = [Some(self.progress_at + PROGRESS_INTERVAL), commit, over, self.pool.wake_at(now)];
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

fn name(clients: &[Client], peer: usize) -> String {
    clients.get(peer).map_or_else(|| format!("peer {peer}"), |client| client.url().to_string())
}
