//! One run: the core under a clock of its own, among peers, a store and crashes that a seed decides.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use primitive_types::H256;

use super::check::{self, Violation};
use super::peer::SimPeer;
use super::rng::Rng;
use super::store::SimStore;
use super::world::{Part, World};
use crate::peers::{Dispatch, PoolLimits, TransportError, Trip};
use crate::pipeline::commit::{Job, Written};
use crate::pipeline::core::{Action, Core, Message};
use crate::pipeline::fetch::Reply;
use crate::pipeline::lookup::classify;
use crate::pipeline::verify::check as verify;
use crate::pipeline::{Follow, Outcome, PivotSource, SyncOptions, Target};
use crate::trie::scheduler_tests::states::hashed;
use crate::trie::{Item, Key, Kind, Nibbles, Scope};

/// A run that takes longer has a sync that does not end.
const STEPS_MAX: u32 = 400_000;
const TIME_MAX: Duration = Duration::from_secs(3_600);

/// How long a request may take, and how often that it is waited for in all: as in the fetch stage.
const TIMEOUT: Duration = Duration::from_secs(10);
const LATE_FACTOR: u32 = 3;

/// How often the writer syncs.
const SYNC_INTERVAL: Duration = Duration::from_secs(3);

/// Out of a hundred commits, after how many a round of the store's journal is full.
const FULL_ROUNDS: u64 = 5;

/// Something that will happen.
#[derive(Debug)]
enum Coming {
    /// To the sync that runs; a crash takes it away.
    Message(Box<Message>),
    /// The store is written, and the sync hears of it later.
    Write(Box<Job>),
    /// The store is read.
    Read(Vec<Item>),
    /// To a peer.
    Life(usize),
    Pivot,
    Crash,
}

/// What a run was: its log, and what it ended with.
#[derive(Debug)]
pub(super) struct Ran {
    pub(super) log: String,
    pub(super) crashes: u32,
    pub(super) commits: u32,
}

struct Run {
    rng: Rng,
    world: World,
    peers: Vec<SimPeer>,
    store: SimStore,
    start: Instant,
    now: Instant,
    synced_at: Instant,
    coming: BTreeMap<(Instant, u64), Coming>,
    order: u64,
    core: Option<Core>,
    /// The state that is wanted.
    target: usize,
    /// The part of it that is wanted first; after it, the whole.
    scope: Scope,
    /// What was committed and must not be lost: whether codes, and hashes.
    kept: HashSet<(bool, H256)>,
    /// Whether a loss of power has left rows and not the checkpoint that counts them, or that of a part has counted them.
    has_lost_counts: bool,
    log: String,
    crashes: u32,
    commits: u32,
}

/// Runs a sync by a seed.
pub(super) fn run(seed: u64) -> Result<Ran, Violation> {
    let mut run = Run::new(seed);
    run.begin();
    for _ in 0..STEPS_MAX {
        if run.step()? {
            check::everything(&run.world, &run.store)?;
            return Ok(Ran { log: run.log, crashes: run.crashes, commits: run.commits });
        }
        if run.now > run.start + TIME_MAX {
            return Err(format!("it has not ended after {TIME_MAX:?}:\n{}", run.tail()));
        }
    }
    Err(format!("it has not ended after {STEPS_MAX} steps:\n{}", run.tail()))
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let world = World::new(&mut rng);
        let mut peers: Vec<SimPeer> = (0..rng.below(4)).map(|_| SimPeer::faulty(&world, &mut rng)).collect();
        peers.push(SimPeer::honest(&world, &mut rng));
        let start = Instant::now();
        let target = rng.index(world.states.len());
        let mut run = Self {
            peers,
            store: SimStore::default(),
            start,
            now: start,
            synced_at: start,
            coming: BTreeMap::new(),
            order: 0,
            core: None,
            target,
            scope: scope(seed),
            kept: HashSet::new(),
            has_lost_counts: !scope(seed).is_whole(),
            log: String::new(),
            crashes: 0,
            commits: 0,
            world,
            rng,
        };
        run.foretell();
        run
    }

    /// What will befall the run.
    fn foretell(&mut self) {
        // Some syncs are over in a tenth of a second, some take minutes.
        let within = *self.rng.pick(&[100, 500, 2_000, 20_000]);
        for _ in 0..self.rng.below(6) {
            let peer = self.rng.index(self.peers.len());
            // The last one is the honest one, and stays so.
            if peer + 1 < self.peers.len() {
                self.will(1, within, Coming::Life(peer));
            }
        }
        for _ in 0..self.rng.below(5) {
            self.will(1, within, Coming::Pivot);
        }
        for _ in 0..self.rng.below(5) {
            self.will(1, within, Coming::Crash);
        }
    }

    fn will(&mut self, from: u64, to: u64, coming: Coming) {
        let after = self.rng.millis(from, to);
        self.at(self.now + after, coming);
    }

    fn at(&mut self, at: Instant, coming: Coming) {
        self.order += 1;
        self.coming.insert((at, self.order), coming);
    }

    fn say(&mut self, what: std::fmt::Arguments<'_>) {
        let at = self.now.duration_since(self.start).as_millis();
        let _ = writeln!(self.log, "{at:>8} {what}");
    }

    fn tail(&self) -> String {
        let lines: Vec<&str> = self.log.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    /// Starts a sync, as a process does.
    fn begin(&mut self) {
        let one = Duration::from_millis(1);
        let limits = PoolLimits {
            batch_items: 1 + self.rng.index(40),
            requests_per_peer: 1 + self.rng.index(4),
            absent_delay: one * 20,
            failure_delay: one * 50,
            absent_rounds: 1_000,
            outage_patience: TIME_MAX,
            ..PoolLimits::default()
        };
        let follow = self.rng.chance(30).then(|| Follow { source: Arc::new(Asked), interval: Duration::from_secs(2) });
        let root = self.world.states[self.target].root;
        let memory_bytes = *self.rng.pick(&[2_000, 20_000, 1 << 30]);
        let scope = self.scope.clone();
        let options = SyncOptions { scope: scope.clone(), limits, memory_bytes, follow, ..SyncOptions::new(root) };
        let names = (0..self.peers.len()).map(|peer| format!("peer {peer}")).collect();
        self.say(format_args!("begin {root:?}, {scope}, with {limits:?}"));
        let absent = self.store.surely_absent();
        self.core = Some(Core::new(options, names, self.store.now.checkpoint.clone(), absent, self.now));
    }

    /// One decision and one event. True at the end.
    fn step(&mut self) -> Result<bool, Violation> {
        let Some(mut core) = self.core.take() else { return Ok(true) };
        core.act(self.now);
        for action in core.take_actions() {
            self.carry_out(action)?;
        }
        if let Some(outcome) = core.ended() {
            return self.end(&core, outcome);
        }
        let wake = core.wake_at(self.now);
        let next = self.coming.first_key_value().map(|((at, _), _)| *at);
        if next.is_none_or(|at| wake < at) {
            self.now = self.now.max(wake);
            self.core = Some(core);
            return Ok(false);
        }
        let Some(((at, _), coming)) = self.coming.pop_first() else { return Ok(false) };
        self.now = self.now.max(at);
        match coming {
            Coming::Message(message) => core.handle(self.now, *message),
            Coming::Write(job) => self.write(*job)?,
            Coming::Read(items) => self.read(&items),
            Coming::Life(peer) => {
                let what = self.peers[peer].live(&self.world, &mut self.rng);
                self.say(format_args!("peer {peer}: {what}"));
            }
            Coming::Pivot => {
                let target = self.rng.index(self.world.states.len());
                self.target = target;
                self.say(format_args!("pivot to state {target}"));
                core.handle(self.now, Message::Pivot(self.world.states[self.target].root, None));
            }
            Coming::Crash => {
                self.crash()?;
                return Ok(false);
            }
        }
        self.core = Some(core);
        Ok(false)
    }

    fn carry_out(&mut self, action: Action) -> Result<(), Violation> {
        match action {
            Action::Probe(peer) => {
                let answer = self.peers[peer].probe();
                self.will(1, 200, told(Message::Probed(peer, answer)));
            }
            Action::Send(request) => self.send(&request)?,
            Action::Check(sent, reply) => {
                let checked = verify(sent.dialect, &sent.asks, &reply);
                self.will(0, 20, told(Message::Checked(sent, checked)));
            }
            // Before or after a commit that is on its way: the store is read at some moment from now on.
            Action::LookUp(items) => self.will(0, 30, Coming::Read(items)),
            Action::Commit(job) => self.will(0, 100, Coming::Write(job)),
            Action::Begin(record) => self.store.begin_root(&record),
            Action::AskForNewest => {
                let root = self.world.states[self.target].root;
                let target = Target { root, block: None, replaces: false };
                self.will(1, 500, told(Message::Newest(Ok(target))));
            }
            Action::DropRequests | Action::Tell(_) => {}
        }
        Ok(())
    }

    fn send(&mut self, request: &Dispatch) -> Result<(), Violation> {
        let again = request.asks.iter().find(|ask| self.kept.contains(&kept(ask.item.key)));
        if let Some(ask) = again {
            return Err(format!("{:?} is asked for although it was committed:\n{}", ask.item.key, self.tail()));
        }
        let fate = self.peers[request.peer].answer(&self.world, &mut self.rng, request);
        let (id, items, last) = (request.id, request.asks.len(), TIMEOUT * LATE_FACTOR);
        self.say(format_args!("send {} to {} for {items} items, reply after {:?}", id.0, request.peer, fate.after));
        let late = request.late_after.map_or(TIMEOUT, |late| late.min(TIMEOUT));
        if fate.after > late {
            self.at(self.now + late, told(Message::Late(id)));
        }
        let (after, reply) =
            if fate.after > last { (last, Err(TransportError::TimedOut(last))) } else { (fate.after, fate.reply) };
        let reply = reply.map(|bytes| Reply { trip: Trip { bytes: bytes.len(), time: after }, bytes });
        self.at(self.now + after, told(Message::Reply(id, reply)));
        Ok(())
    }

    fn read(&mut self, items: &[Item]) {
        let presences = items.iter().map(|item| self.store.presence(&item.key)).collect();
        self.will(0, 30, told(Message::LookedUp(Ok(classify(items, presences)))));
    }

    fn write(&mut self, job: Job) -> Result<(), Violation> {
        let is_end = job.commit.root_complete || job.commit.scope_complete;
        let due = job.last || is_end || self.synced_at + SYNC_INTERVAL <= self.now;
        self.store.commit(&job, due)?;
        if due {
            self.synced_at = self.now;
        }
        self.commits += 1;
        if self.rng.chance(FULL_ROUNDS) {
            self.say(format_args!("settle"));
            self.store.settle();
        }
        self.kept.extend(job.commit.stage.iter().map(|(hash, _)| (false, *hash)));
        self.kept.extend(job.commit.complete.iter().map(|complete| kept(complete.key)));
        let (complete, staged) = (job.commit.complete.len(), job.commit.stage.len());
        self.say(format_args!("commit {complete} complete, {staged} staged, synced {due}"));
        check::commit(&self.world, &self.store, &job).map_err(|why| format!("{why}\n{}", self.tail()))?;
        self.will(0, 50, told(Message::Committed(Ok(Written { commit: job.commit }))));
        Ok(())
    }

    /// The process dies, or the power goes; then it is started again, perhaps for another block.
    fn crash(&mut self) -> Result<(), Violation> {
        self.crashes += 1;
        let power = self.rng.chance(40);
        if power {
            let left = self.rng.index(self.store.unsynced() + 1);
            let percent = *self.rng.pick(&[0, 50, 90, 100]);
            self.has_lost_counts |= self.store.lose_power(left, || self.rng.chance(percent));
            self.keep_what_is_there();
        } else {
            self.store.die();
        }
        self.coming.retain(|_, coming| matches!(coming, Coming::Life(_) | Coming::Pivot | Coming::Crash));
        self.say(format_args!("crash, power {power}"));
        check::everything(&self.world, &self.store).map_err(|why| format!("{why}\n{}", self.tail()))?;
        if self.rng.chance(30) {
            self.target = self.rng.index(self.world.states.len());
        }
        self.begin();
        Ok(())
    }

    fn keep_what_is_there(&mut self) {
        let content = &self.store.now;
        let nodes = content.nodes.keys().chain(content.staging.keys()).map(|hash| (false, *hash));
        self.kept = nodes.chain(content.codes.keys().map(|hash| (true, *hash))).collect();
    }

    fn end(&mut self, core: &Core, outcome: Outcome) -> Result<bool, Violation> {
        self.say(format_args!("end {outcome:?}"));
        let root = core.root();
        match outcome {
            Outcome::Complete => {
                self.clear_staging();
                self.keep_what_is_there();
                check::state(&self.world, &self.store, root)?;
                self.counted(root)?;
                let is_wanted: H256 = self.world.states[self.target].root;
                if root != is_wanted {
                    // It was complete before it heard of the pivot.
                    self.begin();
                    return Ok(false);
                }
                Ok(true)
            }
            Outcome::Partial => {
                check::everything(&self.world, &self.store)?;
                check::part(&self.world, &self.store, root, &self.scope)?;
                // Now and then another part first.
                self.scope = if self.rng.chance(30) { scope(self.rng.next()) } else { Scope::whole() };
                self.begin();
                Ok(false)
            }
            other => Err(format!("an honest peer is there, and it ends with {other:?}:\n{}", self.tail())),
        }
    }

    fn clear_staging(&mut self) {
        let mut needed = HashSet::new();
        for record in self.store.now.roots.values() {
            if let Some(scope) = record.clone().into_partial() {
                needed.extend(Part::of(&self.world.states[self.world.state(record.root)], &scope).above);
            }
        }
        self.store.clear_staging(|hash| needed.iter().any(|key| key.hash == *hash));
    }

    /// The record of a complete root says so; and where no other state was ever begun, the counters are the state's.
    fn counted(&self, root: H256) -> Result<(), Violation> {
        let record = self.store.now.roots.get(&root);
        if record.is_none_or(|record| record.state != crate::store::RootState::Complete) {
            return Err(format!("{root:?} is complete and its record is {record:?}"));
        }
        let state = &self.world.states[self.world.state(root)];
        let held = self.store.now.nodes.len() + self.store.now.codes.len();
        let Some(checkpoint) = self.store.now.checkpoint.as_ref().filter(|checkpoint| checkpoint.root == root) else {
            return Ok(());
        };
        let counts = checkpoint.counts;
        if self.world.states.len() == 1 && held == state.own.len() {
            let counted = counts.nodes + counts.codes;
            if self.has_lost_counts && counted < held as u64 {
                return Ok(());
            }
            if counted != held as u64 || counts.accounts != state.state.len() as u64 {
                return Err(format!(
                    "{counted} nodes and codes are counted, {held} are there: {counts:?}\n{}",
                    self.tail()
                ));
            }
        }
        Ok(())
    }
}

/// For one seed in three, a part of the states.
fn scope(seed: u64) -> Scope {
    let mut rng = Rng::new(!seed);
    if !rng.chance(33) {
        return Scope::whole();
    }
    Scope::of((0..=rng.below(3)).map(|_| match rng.below(3) {
        // An account of all states, as likely as one of none.
        0 => Nibbles::from_key(&hashed(rng.below(80))),
        digits => Nibbles::from_key(&hashed(rng.next())).prefix(if digits == 1 { 1 } else { 2 }),
    }))
}

fn told(message: Message) -> Coming {
    Coming::Message(Box::new(message))
}

fn kept(key: Key) -> (bool, H256) {
    (key.kind == Kind::Code, key.hash)
}

/// Asked through the core; the run answers itself.
#[derive(Debug)]
struct Asked;

impl PivotSource for Asked {
    fn newest(&self) -> BoxFuture<'_, Result<Target, String>> {
        std::future::ready(Err("the run answers".into())).boxed()
    }
}
