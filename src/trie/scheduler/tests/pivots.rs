//! From one root to another and back: contents are right each time, and nothing that has come is fetched again.

use std::collections::{BTreeMap, BTreeSet};

use primitive_types::{H256, U256};

use super::drive::{ALL, Answers, Rng, Strategy, Sync, sync};
use super::model::Model;
use super::source::{Body, Source, State};
use super::states::{accounts, hashed, key, one_trie, plain, storage, tiny};
use crate::trie::{Item, Key, Origin, Processed, Scheduler, Verified};

const STRATEGY: Strategy = Strategy { batch: 20, answers: Answers::ShuffledHalf, ..Strategy::PLAIN };

/// A sync that moves between roots.
struct Journey {
    model: Model,
    /// Fetched and written, whatever the root.
    fetched: BTreeSet<Key>,
    /// Asked for and not answered when the root was left.
    late: Vec<Item>,
    rng: Rng,
}

impl Journey {
    fn new(seed: u64) -> Self {
        Self { model: Model::default(), fetched: BTreeSet::new(), late: Vec::new(), rng: Rng(seed) }
    }

    fn begin<'a>(&mut self, source: &'a Source, strategy: Strategy) -> Sync<'a> {
        let mut sync = Sync::new(source, std::mem::take(&mut self.model), strategy, self.rng.next());
        sync.late = std::mem::take(&mut self.late);
        sync
    }

    fn end(&mut self, sync: Sync) {
        for item in &sync.asked {
            assert!(!self.fetched.contains(&item.key), "{item} is asked for again");
        }
        self.fetched.extend(sync.answered);
        self.late.extend(sync.late);
        self.late.extend(sync.on_way);
        self.model = sync.model;
    }

    /// Syncs towards a root for some rounds.
    fn visit(&mut self, source: &Source, strategy: Strategy, rounds: usize) {
        let mut sync = self.begin(source, strategy);
        sync.run_rounds(rounds);
        self.end(sync);
        self.model.assert_closed(source);
    }

    /// Syncs a root to its end.
    fn arrive(&mut self, source: &Source, strategy: Strategy) {
        let sync = self.begin(source, strategy).run();
        self.end(sync);
    }
}

/// A later state: some accounts gone, some changed, some new.
fn later(state: &State, step: u64) -> State {
    let mut later = state.clone();
    for (number, (key, body)) in (0..).zip(state) {
        match (number + step) % 11 {
            0 => drop(later.remove(key)),
            1 => later.get_mut(key).unwrap().nonce += 1,
            2 => later.get_mut(key).unwrap().storage = body.storage.iter().skip(1).map(|(k, v)| (*k, *v)).collect(),
            3 => later.get_mut(key).unwrap().storage.extend(storage(1000 + step, 3)),
            _ => {}
        }
    }
    later.extend((0..5).map(|number| (hashed(10_000 * step + number), plain(number))));
    later
}

/// Sources that all peers hold beside each other.
fn together<const N: usize>(sources: &[Source; N]) -> [Source; N] {
    std::array::from_fn(|index| sources.iter().fold(sources[index].clone(), |all, other| all.beside(other)))
}

#[test]
fn a_moving_target_is_right_each_time_and_going_back_is_free() {
    let state = accounts(96);
    let [first, second] = together(&[Source::new(state.clone()), Source::new(later(&state, 1))]);
    let mut journey = Journey::new(1);
    journey.arrive(&first, STRATEGY);
    assert_eq!(journey.fetched, first.own);
    journey.arrive(&second, STRATEGY);
    assert_eq!(journey.fetched.len(), first.own.union(&second.own).count(), "only the difference");
    journey.arrive(&first, STRATEGY);
    assert_eq!(journey.fetched.len(), first.own.union(&second.own).count(), "nothing");
    assert!(journey.model.staging.is_empty());
}

#[test]
fn roots_that_are_left_half_way_cost_no_second_download() {
    let state = accounts(60);
    let [one, two, three] =
        together(&[Source::new(state.clone()), Source::new(later(&state, 1)), Source::new(later(&state, 2))]);
    for seed in 0..30 {
        let slow = Strategy { lookups: 4, commit_every: 3, writes_behind: true, ..STRATEGY };
        let strategy = if seed % 2 == 0 { STRATEGY } else { slow };
        let mut journey = Journey::new(seed);
        for source in [&one, &two, &one, &three, &two] {
            let rounds = journey.rng.below(25);
            journey.visit(source, strategy, rounds);
        }
        journey.arrive(&one, strategy);
        journey.arrive(&three, strategy);
        journey.arrive(&two, strategy);
    }
}

/// Words that make nodes inline, and words that do not.
fn words() -> [fn(u64) -> U256; 2] {
    [|number| U256::from(number % 100 + 1), |number| U256::MAX - number]
}

/// geth's `TestPivotMove`: what is deleted turns branches into extensions and leaves, and comes back changed.
#[test]
fn branches_that_collapse_and_come_back_are_right_each_time() {
    for word in words() {
        let full: BTreeMap<H256, U256> = tiny((0..64).chain([0x1000, 0x1001, 0x2_0000]))
            .into_keys()
            .chain((0..40).map(hashed))
            .zip(0..)
            .map(|(key, number)| (key, word(number)))
            .collect();
        let collapsed = full.iter().step_by(16).map(|(key, word)| (*key, *word)).collect();
        let again = full.iter().map(|(key, old)| (*key, if old.bit(0) { *old } else { word(77) })).collect();
        let sources = together(&[one_trie(full), one_trie(collapsed), one_trie(again)]);
        for seed in 0..20 {
            let mut journey = Journey::new(seed);
            for source in &sources {
                let rounds = journey.rng.below(8);
                journey.visit(source, STRATEGY, rounds);
            }
            for source in sources.iter().chain(&sources) {
                journey.arrive(source, Strategy { lookups: 3, ..STRATEGY });
            }
        }
    }
}

/// geth's `TestSyncAbort`: everything of the second root is written but the last batch.
#[test]
fn a_root_whose_last_write_is_lost_does_not_spoil_the_next() {
    let state = accounts(40);
    let [first, second, third] = together(&[
        Source::new(state.clone()),
        Source::new(later(&state, 1)),
        Source::new(later(&later(&state, 1), 2)),
    ]);
    for lost in 1..6 {
        let mut journey = Journey::new(lost as u64);
        journey.arrive(&first, STRATEGY);
        journey.arrive(&second, STRATEGY);
        let log = &journey.model.log;
        let model = Model::replay(&log[..log.len() - lost]);
        assert!(!model.nodes.contains_key(&second.root));
        for source in [&third, &first] {
            Sync::new(source, model.clone(), STRATEGY, 0).run().model.assert_closed(source);
        }
        Sync::new(&second, model, STRATEGY, 0).run();
    }
}

/// The first account's storage is taken away and given back: the account's leaf is the old one, and so is the storage.
#[test]
fn storage_that_goes_and_comes_back_is_whole() {
    let full = accounts(30);
    let bare = full.iter().map(|(key, body)| (*key, Body { storage: BTreeMap::new(), ..body.clone() })).collect();
    let [full, bare] = together(&[Source::new(full), Source::new(bare)]);
    for rounds in 0..20 {
        let mut journey = Journey::new(rounds as u64);
        journey.visit(&full, STRATEGY, rounds);
        journey.arrive(&bare, STRATEGY);
        journey.arrive(&full, STRATEGY);
    }
}

/// The same subtree under nibble 1 of the old root and under nibble 2 of the new.
fn moved() -> [Source; 2] {
    let source = |nibble| {
        let body = |nonce| Body { nonce, storage: storage(nonce, 2), code: Vec::new() };
        let moving = [(key(&[nibble, 1], 7), body(1)), (key(&[nibble, 2], 7), body(2))];
        Source::new(moving.into_iter().chain([(key(&[9], 9), plain(9))]).collect())
    };
    together(&[source(1), source(2)])
}

#[test]
fn a_reply_for_the_old_root_is_read_at_its_place_in_the_new_one() {
    let [old, new] = moved();
    let mut before = Sync::new(&old, Model::default(), Strategy::PLAIN, 0);
    before.run_rounds(1);
    let mut after = Sync::new(&new, before.model.clone(), Strategy::PLAIN, 0);
    before.run_rounds(1);
    let branch = *before.asked.iter().find(|item| item.path.to_string() == "1").unwrap();
    assert_eq!(after.deliver(branch), Processed::Unwanted, "not known yet");
    after.run_rounds(1);
    assert_eq!(after.deliver(branch), Processed::Accepted, "wanted, at another place");
    let root = after.asked[0];
    let elsewhere = Item { path: root.path.push(2).unwrap(), ..branch };
    let moved = Verified::check(branch, new.bytes(&branch.key), Origin::Peer).unwrap().moved_to(elsewhere).unwrap();
    assert_eq!(moved.item, elsewhere);
    assert!(moved.links.children.iter().all(|child| child.path.starts_with(&elsewhere.path)));
    let mut paths: Vec<String> = after.scheduler.lookups(ALL).iter().map(|item| item.path.to_string()).collect();
    paths.sort();
    assert_eq!(paths, ["21", "22"]);
}

#[test]
fn replies_for_an_older_root_come_at_any_time() {
    let [old, new] = moved();
    for seed in 0..20 {
        for strategy in Strategy::every().step_by(5) {
            let mut journey = Journey::new(seed);
            let rounds = journey.rng.below(9);
            journey.visit(&old, strategy, rounds);
            let rounds = journey.rng.below(9);
            journey.visit(&new, strategy, rounds);
            journey.arrive(&old, strategy);
            journey.arrive(&new, strategy);
        }
    }
}

#[test]
fn a_reply_for_the_old_root_that_the_new_one_lacks_is_unwanted() {
    let state = accounts(10);
    let (old, new) = (Source::new(state.clone()), Source::new(later(&state, 1)));
    let root = Item::root(old.root);
    let reply = || Verified::check(root, old.bytes(&root.key), Origin::Peer).unwrap();
    let mut scheduler = Scheduler::new(new.root, ALL);
    assert_eq!(scheduler.process(reply()).unwrap(), Processed::Unwanted);
    assert_eq!((scheduler.pending(), scheduler.counts()), (1, sync(&Source::new(State::new()), STRATEGY, 0).tally));
}
