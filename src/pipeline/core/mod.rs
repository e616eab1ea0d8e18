//! The core: the one owner of scheduler and peer pool. Messages come in, decisions go out as actions. Pure: it reads no
//! clock, touches neither socket nor store, and starts no thread, so a whole sync can be run in a simulation.

mod asking;
mod ending;
mod moving;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use primitive_types::H256;

use self::moving::Follower;
use super::commit::{Job, Written};
use super::fetch::Reply;
use super::follow::Target;
use super::lookup::LookedUp;
use super::plan::{COMMIT_INTERVAL, COMMIT_ITEMS, PROGRESS_INTERVAL};
use super::verify::Checked;
use super::{Event, Outcome, StopReason, SyncError, SyncOptions};
use crate::peers::{Dialect, Dispatch, PeerInfo, Pool, ProbeError, RequestId, Sent, TransportError};
use crate::store::{Block, Checkpoint, Marks, RootRecord, RootState, StoreError};
use crate::trie::{Commit, Counts, Item, Key, Scheduler, SurelyAbsent, Verified};

/// What stages and handles tell the core.
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

impl Message {
    /// Whether it comes from a stage that computes.
    pub(super) fn is_computed(&self) -> bool {
        matches!(self, Self::Checked(..) | Self::LookedUp(_))
    }
}

/// What the core wants done. All of it is answered by a message, but for `DropRequests`, `Begin` and
/// `Tell`.
#[derive(Debug)]
pub(super) enum Action {
    /// Ask a peer, by its place, what it is.
    Probe(usize),
    /// Send a request.
    Send(Dispatch),
    /// Drop all requests: nobody waits for their replies.
    DropRequests,
    /// Verify a reply.
    Check(Sent, Vec<u8>),
    /// Look up which items the store holds.
    LookUp(Vec<Item>),
    /// Write a commit.
    Commit(Box<Job>),
    /// Note in the store that a sync to a root begins.
    Begin(RootRecord),
    /// Ask for the newest state that the peers can serve.
    AskForNewest,
    /// Tell whoever listens.
    Tell(Event),
}

/// What the core is about.
#[derive(Debug)]
enum Mode {
    Syncing,
    /// Waits for what is on its way before it moves to another root.
    Draining(H256, Option<Block>),
    /// Waits for what has come before it ends.
    Ending(Outcome),
}

pub(super) struct Core {
    options: SyncOptions,
    /// The peers' addresses, without credentials.
    names: Vec<String>,
    scheduler: Scheduler,
    absent: Option<Arc<dyn SurelyAbsent>>,
    pool: Pool,
    mode: Mode,
    actions: Vec<Action>,
    /// Items in replies that are being verified.
    verifying: usize,
    /// Look-ups being made.
    looking_up: usize,
    /// Nodes that came before it was looked up whether the store holds them.
    early: HashMap<Key, Verified>,
    /// Items in the commit that is being written, and the checkpoint in it.
    committing: Option<(usize, Checkpoint)>,
    /// The newest checkpoint in the store.
    checkpoint: Option<Checkpoint>,
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

impl Core {
    /// A sync to the root in the options, from the peers with these names, into a store with this checkpoint, of which
    /// somebody may know what it lacks.
    pub(super) fn new(
        options: SyncOptions,
        names: Vec<String>,
        checkpoint: Option<Checkpoint>,
        absent: Option<Arc<dyn SurelyAbsent>>,
        now: Instant,
    ) -> Self {
        let mut core = Self {
            scheduler: Scheduler::with_scope(options.root, options.scope.clone(), options.memory_bytes, absent.clone()),
            absent,
            pool: Pool::new(names.len(), options.limits, now),
            names,
            mode: Mode::Syncing,
            actions: Vec::new(),
            verifying: 0,
            looking_up: 0,
            early: HashMap::new(),
            committing: None,
            checkpoint,
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
        core.begin();
        core.tell(Event::Started {
            root: core.options.root,
            scope: core.options.scope.part().cloned(),
            before: core.before,
        });
        core
    }

    /// The peer at this place is asked in this dialect, which was given or found out.
    pub(super) fn introduce(&mut self, place: usize, dialect: Dialect, is_given: bool) {
        self.pool.introduce(place, dialect, is_given);
    }

    /// The root that is being synced.
    #[cfg(test)]
    pub(super) fn root(&self) -> H256 {
        self.options.root
    }

    /// What there is to do, in this order.
    pub(super) fn take_actions(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    /// Decides on everything that can be decided now.
    pub(super) fn act(&mut self, now: Instant) {
        if let Err(error) = self.try_to_act(now) {
            self.fail(error);
        }
    }

    /// Takes a message in.
    pub(super) fn handle(&mut self, now: Instant, message: Message) {
        if let Err(error) = self.try_to_handle(now, message) {
            self.fail(error);
        }
    }

    fn tell(&mut self, event: Event) {
        self.actions.push(Action::Tell(event));
    }

    /// Everything that can be done now without waiting.
    fn try_to_act(&mut self, now: Instant) -> Result<(), SyncError> {
        if self.has_to_stop() {
            return Ok(());
        }
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
        self.commit(now);
        if self.progress_at + PROGRESS_INTERVAL <= now {
            self.progress_at = now;
            let progress = self.progress();
            self.tell(Event::Progress(progress));
        }
        self.switch_root();
        Ok(())
    }

    fn commit(&mut self, now: Instant) {
        if self.committing.is_some() || self.is_malformed() {
            return;
        }
        let uncommitted = self.scheduler.uncommitted();
        let idle = !matches!(self.mode, Mode::Syncing) && self.verifying == 0 && self.looking_up == 0;
        let due = uncommitted >= COMMIT_ITEMS
            || self.scheduler.is_over()
            || (uncommitted > 0 && (idle || self.committed_at + COMMIT_INTERVAL <= now));
        if !due {
            return;
        }
        let commit = self.scheduler.commit();
        if commit.is_empty() {
            return;
        }
        let root = self.options.root;
        let (counts, scope) = (self.before + commit.counts, self.options.scope.part().cloned());
        let checkpoint = Checkpoint { root, counts, progress: self.share(), scope };
        let marks = Marks { checkpoint: Some(checkpoint.clone()), root: self.mark(&commit) };
        self.committing = Some((uncommitted, checkpoint));
        let last = matches!(self.mode, Mode::Ending(_));
        self.actions.push(Action::Commit(Box::new(Job { commit, marks, last })));
    }

    /// The record of a root that a commit makes complete, or partial.
    fn mark(&self, commit: &Commit) -> Option<RootRecord> {
        let record = RootRecord::syncing(self.options.root, self.options.block.clone());
        if commit.scope_complete {
            return Some(RootRecord { state: RootState::Partial, ..record.of_scope(&self.options.scope) });
        }
        commit.root_complete.then_some(RootRecord { state: RootState::Complete, ..record })
    }

    fn try_to_handle(&mut self, now: Instant, message: Message) -> Result<(), SyncError> {
        match message {
            Message::Late(id) => self.pool.give_up(id),
            Message::Reply(id, reply) => self.verify(now, id, reply),
            Message::Probed(peer, answer) => self.get_to_know(now, peer, answer),
            Message::Newest(target) => self.consider(now, target)?,
            Message::Checked(sent, checked) => self.take_in(now, &sent, checked)?,
            Message::LookedUp(answers) => self.resolve(answers)?,
            Message::Committed(written) => self.forget(now, written)?,
            Message::Pivot(root, block) => {
                if !matches!(self.mode, Mode::Ending(_)) {
                    self.mode = Mode::Draining(root, block);
                }
            }
            Message::Stop => self.end(Outcome::Stopped(StopReason::Asked)),
        }
        Ok(())
    }

    fn forget(&mut self, now: Instant, written: Result<Written, StoreError>) -> Result<(), SyncError> {
        let committed = self.committing.take();
        self.committed_at = now;
        let Written { commit } = written?;
        self.checkpoint = committed.map(|(_, checkpoint)| checkpoint);
        let (complete, staged) = (commit.complete.len(), commit.stage.len());
        tracing::debug!(complete, staged, pending = self.scheduler.pending(), "committed");
        self.scheduler.committed(commit.done);
        self.tell(Event::Committed { complete, staged });
        Ok(())
    }

    /// Nothing is on its way and nothing waits to be written.
    fn is_quiet(&self) -> bool {
        let is_written = self.scheduler.uncommitted() == 0 || self.is_malformed();
        self.verifying == 0 && self.looking_up == 0 && self.committing.is_none() && is_written
    }

    /// When there is something to do although no message comes.
    pub(super) fn wake_at(&self, now: Instant) -> Instant {
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
