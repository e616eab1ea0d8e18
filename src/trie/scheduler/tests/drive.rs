//! A driver that carries answers between scheduler, source and store model, and checks everything on the way.

use std::cmp::Reverse;
use std::collections::{BTreeSet, VecDeque};

use primitive_types::H256;

use super::super::Scheduler;
use super::model::{Model, Presence};
use super::source::Source;
use crate::trie::{Commit, Counts, Item, Key, Kind, Nibbles, Origin, Processed, Scope, Verified};

/// No limit.
pub(super) const ALL: usize = usize::MAX;

/// How a sync is driven.
#[derive(Clone, Copy, Debug)]
pub(super) struct Strategy {
    /// Items on their way at most.
    pub(super) batch: usize,
    pub(super) answers: Answers,
    /// Look-ups a round. Unless they are all made, answers to them come a round later.
    pub(super) lookups: usize,
    /// Rounds from one commit to the next.
    pub(super) commit_every: usize,
    /// Whether a commit is written only when the next is due.
    pub(super) writes_behind: bool,
    pub(super) byte_budget: usize,
}

/// Which of the items on their way are answered in a round, and in which order.
#[derive(Clone, Copy, Debug)]
pub(super) enum Answers {
    All,
    Half,
    Shuffled,
    ShuffledHalf,
}

impl Strategy {
    /// Everything at once and at once written.
    pub(super) const PLAIN: Self = Self {
        batch: ALL,
        answers: Answers::All,
        lookups: ALL,
        commit_every: 1,
        writes_behind: false,
        byte_budget: ALL,
    };

    /// One node at a time, each in its own commit.
    pub(super) const SINGLE: Self = Self { batch: 1, ..Self::PLAIN };

    /// Every mix of batch size, order of answers, look-ups and commits.
    pub(super) fn every() -> impl Iterator<Item = Self> {
        let answers = [Answers::All, Answers::Half, Answers::Shuffled, Answers::ShuffledHalf];
        let fetches = [1, 100, ALL].into_iter().flat_map(move |batch| answers.map(|answers| (batch, answers)));
        let commits = [(1, false), (7, false), (2, true)];
        fetches.flat_map(move |(batch, answers)| {
            [ALL, 3].into_iter().flat_map(move |lookups| {
                commits.map(|(commit_every, writes_behind)| Self {
                    batch,
                    answers,
                    lookups,
                    commit_every,
                    writes_behind,
                    byte_budget: ALL,
                })
            })
        })
    }
}

/// Splitmix64: the same numbers for the same seed.
#[derive(Debug)]
pub(super) struct Rng(pub(super) u64);

impl Rng {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`.
    pub(super) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap()
    }

    fn shuffle<T>(&mut self, list: &mut [T]) {
        (1..list.len()).rev().for_each(|last| list.swap(last, self.below(last + 1)));
    }
}

/// The order in which wanted things are to be asked for: codes, deepest storage nodes, deepest account nodes; path
/// order inside a level.
type Place = (Reverse<(u8, usize)>, H256, Nibbles, Key);

/// What of a place the order depends on: two that only differ after eight bytes are taken in any order.
fn rank(place: &Place) -> (Reverse<(u8, usize)>, &[u8], Vec<u8>) {
    let (level, owner, path, _) = place;
    (*level, &owner.as_bytes()[..8], path.iter().take(16).collect())
}

fn place(item: &Item) -> Place {
    let rank = match item.key.kind {
        Kind::AccountNode => 0,
        Kind::StorageNode => 1,
        Kind::Code => 2,
    };
    (Reverse((rank, item.path.len())), item.owner, item.path, item.key)
}

/// A commit that has been handed out and is not written, with the progress and coverage at that moment.
#[derive(Debug)]
struct Handed {
    commit: Commit,
    progress: f64,
}

/// A sync from a source into a store.
#[derive(Debug)]
pub(super) struct Sync<'a> {
    source: &'a Source,
    is_whole: bool,
    pub(super) model: Model,
    pub(super) scheduler: Scheduler,
    strategy: Strategy,
    rng: Rng,
    /// Asked for, in order.
    pub(super) asked: Vec<Item>,
    asked_keys: BTreeSet<Key>,
    /// Answered.
    pub(super) answered: BTreeSet<Key>,
    /// Asked for and not answered.
    pub(super) on_way: Vec<Item>,
    /// Asked for an earlier root; may come at any time.
    pub(super) late: Vec<Item>,
    /// Look-ups to be answered in the next round.
    looking_up: Vec<Item>,
    /// Of these, those that a late reply has brought meanwhile.
    overtaken: BTreeSet<Key>,
    wanted: BTreeSet<Place>,
    handed: VecDeque<Handed>,
    /// What the scheduler should have counted.
    pub(super) tally: Counts,
    pub(super) peak_memory: usize,
    progress: f64,
    rounds: usize,
    /// Whether the store began without anything of another state.
    single: bool,
    #[expect(dead_code, reason = "it speaks when it is dropped")]
    label: Label,
}

/// Says which sync was running when a test failed.
#[derive(Debug)]
struct Label(String);

impl Drop for Label {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{}", self.0);
        }
    }
}

impl<'a> Sync<'a> {
    pub(super) fn new(source: &'a Source, model: Model, strategy: Strategy, seed: u64) -> Self {
        Self::scoped(source, &Scope::whole(), model, strategy, seed)
    }

    /// A sync of a part of the state.
    pub(super) fn scoped(source: &'a Source, scope: &Scope, model: Model, strategy: Strategy, seed: u64) -> Self {
        Self {
            label: Label(format!("sync to {:?}, {scope}: {strategy:?}, seed {seed}", source.root)),
            source,
            is_whole: scope.is_whole(),
            model,
            scheduler: Scheduler::with_scope(source.root, scope.clone(), strategy.byte_budget, None),
            strategy,
            rng: Rng(seed),
            asked: Vec::new(),
            asked_keys: BTreeSet::new(),
            answered: BTreeSet::new(),
            on_way: Vec::new(),
            late: Vec::new(),
            looking_up: Vec::new(),
            overtaken: BTreeSet::new(),
            wanted: BTreeSet::new(),
            handed: VecDeque::new(),
            tally: Counts::default(),
            peak_memory: 0,
            progress: 0.0,
            rounds: 0,
            single: source.is_alone(),
        }
    }

    /// Drives it to the end.
    pub(super) fn run(mut self) -> Self {
        while !self.scheduler.is_complete() {
            self.round();
        }
        self.write_all();
        assert_eq!((self.scheduler.pending(), self.scheduler.fetching(), self.scheduler.uncommitted()), (0, 0, 0));
        assert_eq!(self.scheduler.memory_bytes(), 0);
        assert!(self.scheduler.lookups(ALL).is_empty() && self.scheduler.missing(ALL).is_empty());
        assert!(self.scheduler.commit().is_empty());
        assert!(self.model.log.last().is_some_and(|write| write.root_complete));
        self.model.assert_closed(self.source);
        self.model.assert_holds(self.source);
        self
    }

    /// Drives it to the end of its scope, which need not be all of the state.
    pub(super) fn run_scope(mut self) -> Self {
        while self.scheduler.ended().is_none() {
            self.round();
        }
        self.write_all();
        assert_eq!(
            (self.scheduler.pending_within(), self.scheduler.fetching(), self.scheduler.uncommitted()),
            (0, 0, 0)
        );
        assert!(self.scheduler.lookups(ALL).is_empty() && self.scheduler.missing(ALL).is_empty());
        assert!(self.scheduler.commit().is_empty());
        self.model.assert_closed(self.source);
        self
    }

    /// Gives the root up after some rounds, with what has come in written; returns whether it was complete.
    pub(super) fn run_rounds(&mut self, rounds: usize) {
        for _ in 0..rounds {
            if self.scheduler.ended().is_some() {
                break;
            }
            self.round();
        }
        let left = std::mem::take(&mut self.looking_up);
        left.iter().for_each(|item| self.answer_lookup(item));
        self.commit();
        self.write_all();
    }

    fn round(&mut self) {
        self.rounds += 1;
        assert!(self.rounds < 1000 + 50 * self.source.things.len(), "it goes on and on");
        self.look_up();
        self.ask();
        self.answer();
        self.answer_late();
        self.peak_memory = self.peak_memory.max(self.scheduler.memory_bytes());
        if self.rounds.is_multiple_of(self.strategy.commit_every) || self.scheduler.is_over() {
            self.commit();
        }
    }

    /// Whether all look-ups are answered before anything else happens, so that the scheduler knows what the store knows.
    fn knows_all(&self) -> bool {
        self.strategy.lookups == ALL
    }

    fn look_up(&mut self) {
        if self.knows_all() {
            loop {
                let items = self.scheduler.lookups(5);
                if items.is_empty() {
                    return;
                }
                items.iter().for_each(|item| self.answer_lookup(item));
            }
        }
        let mut items = std::mem::take(&mut self.looking_up);
        self.looking_up = self.scheduler.lookups(self.strategy.lookups);
        assert!(self.looking_up.len() <= self.strategy.lookups);
        self.rng.shuffle(&mut items);
        items.iter().for_each(|item| self.answer_lookup(item));
    }

    fn answer_lookup(&mut self, item: &Item) {
        assert!(!self.scheduler.is_fetching(&item.key));
        let open = !self.overtaken.remove(&item.key);
        match self.model.presence(&item.key) {
            Presence::Complete => {
                self.scheduler.resolve(&item.key, true, false);
                if open {
                    let code = item.key.kind == Kind::Code;
                    let counter = if code { &mut self.tally.codes_reused } else { &mut self.tally.nodes_reused };
                    *counter += 1;
                }
            }
            Presence::Staged(bytes) => {
                let node = Verified::check(*item, bytes, Origin::Staging).unwrap();
                let expected = if open { Processed::Accepted } else { Processed::Duplicate };
                assert_eq!(self.scheduler.process(node).unwrap(), expected);
                self.tally.nodes_staged += u64::from(open);
            }
            Presence::Absent => {
                self.scheduler.resolve(&item.key, false, false);
                if open {
                    assert!(self.wanted.insert(place(item)), "{item} is wanted twice");
                }
            }
        }
        self.check_progress();
    }

    fn ask(&mut self) {
        let room = self.strategy.batch.saturating_sub(self.on_way.len());
        let items = self.scheduler.missing(room);
        if self.strategy.byte_budget == ALL {
            assert_eq!(items.len(), room.min(self.wanted.len()));
        }
        for item in items {
            assert!(self.wanted.remove(&place(&item)), "{item} is not wanted");
            assert!(self.wanted.first().is_none_or(|next| rank(next) >= rank(&place(&item))), "not the next in order");
            assert!(self.asked_keys.insert(item.key), "{item} is asked for twice");
            assert!(matches!(self.model.presence(&item.key), Presence::Absent), "{item} is in the store");
            assert!(self.scheduler.is_fetching(&item.key));
            self.asked.push(item);
            self.on_way.push(item);
        }
        assert!(self.scheduler.fetching() <= self.on_way.len());
    }

    fn answer(&mut self) {
        let half = self.on_way.len().div_ceil(2);
        let count = match self.strategy.answers {
            Answers::All | Answers::Shuffled => self.on_way.len(),
            Answers::Half | Answers::ShuffledHalf => half,
        };
        if matches!(self.strategy.answers, Answers::Shuffled | Answers::ShuffledHalf) {
            self.rng.shuffle(&mut self.on_way);
        }
        let items: Vec<Item> = self.on_way.drain(..count).collect();
        for item in items {
            let expected = self.scheduler.is_fetching(&item.key);
            let accepted = self.deliver(item) == Processed::Accepted;
            assert_eq!(accepted, expected, "{item}");
        }
    }

    /// Now and then a reply that was meant for another root.
    fn answer_late(&mut self) {
        if !self.late.is_empty() && self.rng.below(2) == 0 {
            let chosen = self.rng.below(self.late.len());
            let item = self.late.swap_remove(chosen);
            self.deliver(item);
        }
    }

    /// A peer's answer.
    pub(super) fn deliver(&mut self, item: Item) -> Processed {
        let fetching = self.scheduler.is_fetching(&item.key);
        let node = Verified::check(item, self.source.bytes(&item.key), Origin::Peer).unwrap();
        let processed = self.scheduler.process(node).unwrap();
        if processed == Processed::Accepted {
            self.source.count(&item.key, &mut self.tally);
            self.answered.insert(item.key);
            if !fetching {
                self.wanted.retain(|(.., key)| *key != item.key);
                if self.looking_up.iter().any(|other| other.key == item.key) {
                    self.overtaken.insert(item.key);
                }
            }
        }
        assert!(!self.scheduler.is_fetching(&item.key));
        self.check_progress();
        processed
    }

    /// Progress never goes back, and is whole exactly when the root is complete.
    fn check_progress(&mut self) {
        let progress = self.scheduler.progress();
        assert!(progress >= self.progress, "{progress} after {}", self.progress);
        assert!((0.0..=1.0).contains(&progress));
        let complete = self.scheduler.is_over() || self.scheduler.ended().is_some();
        assert_eq!(progress.to_bits() == 1.0_f64.to_bits(), complete);
        self.progress = progress;
    }

    fn commit(&mut self) {
        if self.knows_all() {
            self.look_up();
        }
        let commit = self.scheduler.commit();
        // The tally counts an account that is met on the way to where another would be.
        let accounts = if self.is_whole { commit.counts.accounts } else { self.tally.accounts };
        assert_eq!(Counts { accounts, ..commit.counts }, self.tally);
        assert_eq!(self.scheduler.uncommitted(), 0);
        assert!(self.scheduler.commit().is_empty(), "handed out twice");
        self.assert_children_first(&commit);
        if self.strategy.writes_behind || commit.is_empty() {
            self.write_all();
        }
        if commit.is_empty() {
            return;
        }
        self.handed.push_back(Handed { commit, progress: self.scheduler.progress() });
        if !self.strategy.writes_behind {
            self.write_all();
        }
    }

    /// A child that is in the store already may come again after its parent: a late reply brings it a second time.
    fn assert_children_first(&self, commit: &Commit) {
        let mut later: BTreeSet<Key> = commit.complete.iter().map(|complete| complete.key).collect();
        assert_eq!(later.len(), commit.complete.len());
        for complete in &commit.complete {
            later.remove(&complete.key);
            let mut refs = self.source.things[&complete.key].refs.iter().map(|reference| reference.key);
            assert!(refs.all(|key| !later.contains(&key) || self.model.holds(&key)), "a parent before its child");
        }
    }

    fn write_all(&mut self) {
        while let Some(Handed { commit, progress }) = self.handed.pop_front() {
            self.model.commit(&commit);
            self.scheduler.committed(commit.done);
            self.check_write(progress);
        }
    }

    fn check_write(&self, progress: f64) {
        if !self.is_whole {
            // The coverage is that of the whole state.
            return self.model.assert_closed(self.source);
        }
        // All of a large store only now and then: that is quadratic.
        let things = self.source.things.len();
        if things < 100 || self.model.log.len().is_multiple_of(things / 8) {
            self.model.assert_closed(self.source);
        }
        let covered = share(self.model.covered(self.source));
        assert!(progress <= covered, "{progress} of {covered} covered");
        if self.knows_all() {
            assert_eq!(progress.to_bits(), covered.to_bits(), "{progress} of {covered} covered");
            if self.single {
                self.model.assert_staged_nodes_wait(self.source);
            }
        }
    }
}

/// Units of 16^-15 as a share, rounded down.
#[expect(clippy::cast_precision_loss, reason = "52 bits fit")]
pub(super) fn share(units: u64) -> f64 {
    (units >> 8) as f64 / (1_u64 << 52) as f64
}

/// A sync into an empty store, checked to bring the state and nothing else, each thing once.
pub(super) fn sync(source: &Source, strategy: Strategy, seed: u64) -> Sync<'_> {
    let ended = Sync::new(source, Model::default(), strategy, seed).run();
    ended.model.assert_is(source);
    let asked: BTreeSet<Key> = ended.asked.iter().map(|item| item.key).collect();
    assert_eq!(asked, source.own);
    let reused = ended.tally;
    let fetched = Counts { nodes_reused: reused.nodes_reused, codes_reused: reused.codes_reused, ..source.counts() };
    assert_eq!(ended.scheduler.counts(), fetched);
    ended
}

/// The same in every way there is.
pub(super) fn sync_in_every_way(source: &Source) {
    for (seed, strategy) in (0..).zip(Strategy::every()) {
        sync(source, strategy, seed);
    }
}
