//! Which nodes and codes of a state are still needed, in which order, and when a subtree is complete.
//!
//! Pure: no I/O, no clock, no threads. The caller carries answers between the scheduler, the peers and the store:
//!
//! ```text
//! lookups ─▶ does the store hold it? ─▶ resolve (present | absent)   or process (found in staging)
//! missing ─▶ ask a peer ──────────────▶ process (verified)
//! commit  ─▶ write to the store ──────▶ committed
//! ```
//!
//! It works like go-ethereum's `trie.Sync` (requests with dependency counts, deepest first), with two differences:
//! whether the store holds a child is asked before the child is wanted and outside the scheduler, and what is verified
//! but not complete is handed over for staging at each commit, so that no download is lost.

mod commit;
mod counts;
mod key_space;
mod links;
mod queue;
mod table;
#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;

use primitive_types::H256;

pub use self::commit::{Commit, Complete, Done};
pub use self::counts::Counts;
use self::key_space::{is_within, share_at};
use self::queue::LevelQueue;
use self::table::{Found, Id, Parents, State, Table};
use super::{EMPTY_ROOT, Item, Key, Kind, Kinds, Nibbles, NodeError, Origin, Scope, Verified, is_branch};

/// Memory of one request in bytes: its table entry, its key in the index, its queue entry, its parents; rounded up.
const REQUEST_BYTES: usize = 384;

/// What may be handed out over the byte budget while nothing is being fetched. Deepest first, a few requests finish
/// subtrees and so free memory; none at all would be a deadlock.
const TRICKLE: usize = 64;

/// Knows of some hashes that the store holds neither a node nor a code of that hash, complete or staged, and never says
/// so of one that has been handed over in a commit.
pub trait SurelyAbsent: std::fmt::Debug + Send + Sync {
    /// Whether the store surely lacks it.
    fn is_surely_absent(&self, hash: &H256) -> bool;
}

/// The scheduler of one state root.
#[derive(Debug)]
pub struct Scheduler {
    root: H256,
    /// The part of the state that is wanted.
    scope: Scope,
    /// Requests that are neither verified nor known to be present: once there are none, nothing more is wanted.
    open: usize,
    /// Who saves look-ups.
    absent: Option<Arc<dyn SurelyAbsent>>,
    table: Table,
    /// Requests nobody has looked up in the store yet; last in, first out keeps the walk narrow.
    unknown: Vec<Id>,
    wanted: LevelQueue,
    fetching: usize,
    /// Verified since the last commit, complete or not.
    fresh: Vec<Id>,
    /// Complete since the last commit, children before parents.
    complete: Vec<Id>,
    root_state: RootState,
    done_share: u64,
    /// Bytes of what is verified and not written.
    held_bytes: usize,
    /// Of these, what no commit has handed over yet.
    fresh_bytes: usize,
    byte_budget: usize,
    counts: Counts,
}

/// How far the root is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RootState {
    Incomplete,
    /// All that is wanted is there.
    Over(End),
    /// The same, and a commit says so.
    Committed(End),
}

/// What is there once nothing more is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The root is complete, and so the whole state.
    Complete,
    /// All of the scope, which is not all of the state.
    Partial,
}

/// What became of a verified node or code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Processed {
    /// It was wanted; its children are scheduled.
    Accepted,
    /// It is known already: a second copy.
    Duplicate,
    /// This root does not want it, or does not yet.
    Unwanted,
}

/// The state cannot be synced, whoever serves it.
#[derive(Debug, thiserror::Error)]
pub enum ScheduleError {
    /// A node is valid where it was asked for and not where this root has it.
    #[error("{item} is malformed: {source}")]
    Malformed {
        /// The node.
        item: Box<Item>,
        /// The rule it breaks.
        source: NodeError,
    },
    /// A subtree's leaves are 64 nibbles from the root, so no subtree can be right at two depths.
    #[error("{item} is also referred to at depth {depth}: no valid trie holds one node at two depths")]
    TwoDepths {
        /// The node, where it was first met.
        item: Box<Item>,
        /// The other depth, in nibbles.
        depth: usize,
    },
    /// On the way to a scope, the keys below a node have to begin with its path. What two paths lead to is below
    /// neither alone; keys are hashes, and no two have all but a few nibbles in common.
    #[error("{item} is also referred to at path \"{path}\": no state holds the same accounts under two paths")]
    TwoPaths {
        /// The node, where it was first met.
        item: Box<Item>,
        /// The other path.
        path: Nibbles,
    },
}

impl Scheduler {
    /// A scheduler for the state at `root` that hands out nothing more while it holds over `byte_budget` bytes.
    #[must_use]
    pub fn new(root: H256, byte_budget: usize) -> Self {
        Self::with_absent(root, byte_budget, None)
    }

    /// The same, with somebody to ask before anything is looked up.
    #[must_use]
    pub fn with_absent(root: H256, byte_budget: usize, absent: Option<Arc<dyn SurelyAbsent>>) -> Self {
        Self::with_scope(root, Scope::whole(), byte_budget, absent)
    }

    /// The same, for a part of the state.
    #[must_use]
    pub fn with_scope(root: H256, scope: Scope, byte_budget: usize, absent: Option<Arc<dyn SurelyAbsent>>) -> Self {
        let mut scheduler = Self {
            root,
            scope,
            open: 0,
            absent,
            table: Table::default(),
            unknown: Vec::new(),
            wanted: LevelQueue::new(),
            fetching: 0,
            fresh: Vec::new(),
            complete: Vec::new(),
            root_state: RootState::Incomplete,
            done_share: 0,
            held_bytes: 0,
            fresh_bytes: 0,
            byte_budget,
            counts: Counts::default(),
        };
        if root == EMPTY_ROOT {
            scheduler.root_state = RootState::Over(End::Complete);
            scheduler.done_share = key_space::WHOLE;
        } else {
            let root = Item::root(root);
            if let Found::New(id) = scheduler.table.find_or_insert(root, None) {
                scheduler.open += 1;
                scheduler.begin(id, &root);
            }
        }
        scheduler
    }

    /// The root it is for.
    #[must_use]
    pub fn root(&self) -> H256 {
        self.root
    }

    /// Up to `max` items whose presence in the store has to be looked up; each is to be answered by
    /// [`resolve`](Self::resolve), or by [`process`](Self::process) with the bytes found in staging.
    pub fn lookups(&mut self, max: usize) -> Vec<Item> {
        let mut items = Vec::with_capacity(max.min(self.unknown.len()));
        while items.len() < max {
            let Some(id) = self.unknown.pop() else { break };
            if let Some(request) = self.table.get_mut(id).filter(|request| request.state == State::Unknown) {
                request.state = State::LookingUp;
                items.push(request.item);
            }
        }
        items
    }

    /// Whether an extension refers to an item that is being looked up, so that a node which is no branch breaks the rules.
    #[must_use]
    pub fn must_be_branch(&self, key: &Key) -> bool {
        let request = self.table.find(key).and_then(|id| self.table.get(id));
        request.is_some_and(|request| request.item.after_extension)
    }

    /// The store's answer to a look-up: whether it holds the item, and with it (presence means completeness) all that
    /// is below. `stale_staging` says that staging holds an unusable row of that hash, to go when the item completes.
    pub fn resolve(&mut self, key: &Key, present: bool, stale_staging: bool) {
        let Some(id) = self.table.find(key) else { return };
        let Some(request) = self.table.get_mut(id).filter(|request| request.state == State::LookingUp) else { return };
        if !present {
            request.staged = stale_staging;
            request.state = State::Wanted;
            self.wanted.push(&request.item, id);
            return;
        }
        let Some(request) = self.table.remove(id) else { return };
        match key.kind {
            Kind::Code => self.counts.codes_reused += 1,
            Kind::AccountNode | Kind::StorageNode => self.counts.nodes_reused += 1,
        }
        let share = share_at(&self.scope, &request.item);
        self.done_share += share_of(share, share, request.parents.len());
        self.release(request.parents);
        self.close();
    }

    /// Up to `max` items to fetch, deepest level first and in path order inside a level. Nothing while the byte
    /// budget is exceeded, but for a trickle when little else is on its way.
    pub fn missing(&mut self, max: usize) -> Vec<Item> {
        self.missing_of(Kinds::ALL, max)
    }

    /// The same, of some kinds only: for a peer that does not serve the others.
    pub fn missing_of(&mut self, kinds: Kinds, max: usize) -> Vec<Item> {
        let within_budget = self.memory_bytes() < self.byte_budget;
        let max = if within_budget { max } else { max.min(TRICKLE.saturating_sub(self.fetching)) };
        let mut items = Vec::new();
        while items.len() < max {
            let Some(id) = self.wanted.pop(kinds) else { break };
            if let Some(request) = self.table.get_mut(id).filter(|request| request.state == State::Wanted) {
                request.state = State::Fetching;
                self.fetching += 1;
                items.push(request.item);
            }
        }
        items
    }

    /// Whether an item that was handed out is still to be fetched.
    #[must_use]
    pub fn is_fetching(&self, key: &Key) -> bool {
        let request = self.table.find(key).and_then(|id| self.table.get(id));
        request.is_some_and(|request| request.state == State::Fetching)
    }

    /// Whether an item is known and the store's answer for it is still to come.
    #[must_use]
    pub fn is_unresolved(&self, key: &Key) -> bool {
        let request = self.table.find(key).and_then(|id| self.table.get(id));
        request.is_some_and(|request| matches!(request.state, State::Unknown | State::LookingUp))
    }

    /// Takes a verified node or code, schedules what it refers to, and completes what it completes.
    ///
    /// # Errors
    /// [`ScheduleError`] when the state itself is malformed.
    pub fn process(&mut self, node: Verified) -> Result<Processed, ScheduleError> {
        let Some(id) = self.table.find(&node.item.key) else { return Ok(Processed::Unwanted) };
        let Some(request) = self.table.get_mut(id) else { return Ok(Processed::Unwanted) };
        match request.state {
            State::Verified | State::Complete => return Ok(Processed::Duplicate),
            State::Fetching => self.fetching -= 1,
            // A reply meant for an earlier root, ahead of the look-up: staging may hold the node. A row under the hash
            // of a code is that of a node with the same bytes.
            State::Unknown | State::LookingUp => request.staged = request.item.key.kind != Kind::Code,
            State::Wanted => {}
        }
        let item = request.item;
        let node = node.moved_to(item).map_err(|source| ScheduleError::Malformed { item: Box::new(item), source })?;
        request.state = State::Verified;
        request.is_branch = item.key.kind != Kind::Code && is_branch(&node.bytes);
        request.share = share_at(&self.scope, &item);
        self.counts.count(&node, &self.scope);
        if node.origin == Origin::Staging {
            // Its bytes stay in staging; the commit that completes it takes them from there.
            request.staged = true;
        } else {
            self.held_bytes += node.bytes.len();
            self.fresh_bytes += node.bytes.len();
            request.bytes = Some(node.bytes);
            self.fresh.push(id);
        }
        self.add_links(id, &item, &node.links)?;
        self.finish(id);
        self.close();
        Ok(Processed::Accepted)
    }

    /// What has to be written now: everything verified since the last commit, complete or to be staged.
    #[must_use]
    pub fn commit(&mut self) -> Commit {
        let (ids, bytes) = (std::mem::take(&mut self.complete), std::mem::take(&mut self.fresh_bytes));
        let mut commit = Commit { counts: self.counts, done: Done { ids, bytes }, ..Commit::default() };
        for id in std::mem::take(&mut self.fresh) {
            let Some(request) = self.table.get_mut(id).filter(|request| request.state == State::Verified) else {
                continue;
            };
            if let Some(bytes) = request.bytes.take() {
                commit.stage.push((request.item.key.hash, bytes));
                request.staged = true;
            }
        }
        for id in &commit.done.ids {
            let Some(request) = self.table.get_mut(*id) else { continue };
            let Item { key, .. } = request.item;
            let (level, bytes, staged) = (request.item.level(), request.bytes.take(), request.staged);
            commit.complete.push(Complete { key, level, bytes, staged });
        }
        if let RootState::Over(end) = self.root_state {
            self.root_state = RootState::Committed(end);
            commit.root_complete = end == End::Complete;
            commit.scope_complete = end == End::Partial;
        }
        commit
    }

    /// Forgets what a commit has made durable: from now on the store answers for it.
    pub fn committed(&mut self, done: Done) {
        self.held_bytes -= done.bytes;
        for id in done.ids {
            self.table.remove(id);
        }
    }

    /// Whether the root is complete and no commit says so yet.
    #[must_use]
    pub fn is_root_complete(&self) -> bool {
        self.root_state == RootState::Over(End::Complete)
    }

    /// Whether all of the scope is there and no commit says so yet.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.root_state, RootState::Over(_))
    }

    /// What is there, once a commit that says so has been handed out.
    #[must_use]
    pub fn ended(&self) -> Option<End> {
        if let RootState::Committed(end) = self.root_state { Some(end) } else { None }
    }

    /// Whether the root is complete and a commit that says so has been handed out.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.root_state == RootState::Committed(End::Complete)
    }

    /// Requests that are not complete, or complete and not written yet. Zero once the commit that completes the root is
    /// written; anything else is a bug.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.table.len()
    }

    /// Of these, those that are in the scope as a whole. Zero once the commit that completes the scope is written, too.
    #[must_use]
    pub fn pending_within(&self) -> usize {
        self.table.requests().filter(|request| is_within(&self.scope, &request.item)).count()
    }

    /// Items handed out and not processed yet.
    #[must_use]
    pub fn fetching(&self) -> usize {
        self.fetching
    }

    /// Nodes and codes verified since the last commit.
    #[must_use]
    pub fn uncommitted(&self) -> usize {
        self.fresh.len().max(self.complete.len())
    }

    /// Memory held, in bytes: requests, and the bytes of what is verified and not written.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.table.len() * REQUEST_BYTES + self.held_bytes
    }

    /// The complete share of the scope, which is the account key space or a part of it, from 0 to 1. It never rounds up
    /// to 1.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a share for display; the sum itself is exact")]
    pub fn progress(&self) -> f64 {
        if self.root_state != RootState::Incomplete {
            return 1.0;
        }
        if self.scope.is_whole() {
            // A double has 53 bits: dropping the lowest keeps anything short of the whole below 1.
            return (self.done_share >> 8) as f64 / (key_space::WHOLE >> 8) as f64;
        }
        let whole = key_space::share_in(&self.scope, &Nibbles::EMPTY).max(1);
        (self.done_share as f64 / whole as f64).min(1.0 - f64::EPSILON)
    }

    /// The counters so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// A new request is looked up, unless the store surely lacks it.
    fn begin(&mut self, id: Id, item: &Item) {
        if self.absent.as_ref().is_some_and(|absent| absent.is_surely_absent(&item.key.hash)) {
            self.want(id, item);
        } else {
            self.unknown.push(id);
        }
    }

    fn want(&mut self, id: Id, item: &Item) {
        if let Some(request) = self.table.get_mut(id) {
            request.state = State::Wanted;
            self.wanted.push(item, id);
        }
    }

    /// One reference less to wait for, for each mention of a parent; completion climbs.
    fn release(&mut self, parents: Parents) {
        if parents.is_empty() {
            self.root_state = RootState::Over(End::Complete);
        }
        for id in parents {
            if let Some(request) = self.table.get_mut(id) {
                request.waits_for -= 1;
            }
            self.finish(id);
        }
    }

    /// Completes a verified request that waits for nothing. The climb recurses at most once for each level.
    fn finish(&mut self, id: Id) {
        let Some(request) = self.table.get_mut(id) else { return };
        if request.state != State::Verified || request.waits_for > 0 {
            return;
        }
        request.state = State::Complete;
        let parents = std::mem::take(&mut request.parents);
        let (own, item) = (request.share, request.item);
        self.done_share += share_of(share_at(&self.scope, &item), own, parents.len());
        self.complete.push(id);
        self.release(parents);
    }

    /// One request less is open. After the last one all of the scope is there: whatever is verified and not complete
    /// waits for something outside of it.
    fn close(&mut self) {
        self.open -= 1;
        if self.open == 0 && self.root_state == RootState::Incomplete && !self.scope.is_whole() {
            self.root_state = RootState::Over(End::Partial);
        }
    }
}

/// The share that completes with an item: its own once, and the whole subtree again for every further reference.
fn share_of(subtree: u64, own: u64, references: usize) -> u64 {
    own + subtree * (references.max(1) as u64 - 1)
}
