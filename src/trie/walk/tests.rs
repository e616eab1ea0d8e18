use std::collections::{HashMap, HashSet};
use std::convert::Infallible;

use primitive_types::U256;

use super::*;
use crate::trie::{Account, EMPTY_CODE_HASH, TrieBuilder};

const CODE: &[u8] = b"code";

#[derive(Default)]
struct Source {
    nodes: HashMap<H256, Vec<u8>>,
    codes: HashMap<H256, Vec<u8>>,
}

impl NodeSource for Source {
    type Error = Infallible;

    fn node(&self, hash: &H256) -> Result<Option<StoredNode>, Infallible> {
        Ok(self.nodes.get(hash).cloned().map(Into::into))
    }

    fn code(&self, hash: &H256) -> Result<Option<Vec<u8>>, Infallible> {
        Ok(self.codes.get(hash).cloned())
    }
}

impl Source {
    fn trie(&mut self, leaves: impl Iterator<Item = (H256, Vec<u8>)>) -> H256 {
        let mut builder = TrieBuilder::new(|_, hash, rlp: &[u8]| {
            self.nodes.insert(hash, rlp.to_vec());
            Ok::<_, Infallible>(())
        });
        for (key, value) in leaves {
            builder.add(key, &value).unwrap();
        }
        builder.finish().unwrap()
    }

    /// Ten accounts in five pairs. All with code share it; all with storage share one trie of
    /// nine nodes.
    fn state(&mut self) -> H256 {
        let code_hash = keccak256(CODE);
        self.codes.insert(code_hash, CODE.to_vec());
        let word = rlp::encode(&U256::MAX).to_vec();
        let storage_root = self.trie((0..8).map(|n| (H256::repeat_byte(n << 4), word.clone())));
        let account = |n: u8| {
            let storage_root = if n.is_multiple_of(2) { storage_root } else { EMPTY_ROOT };
            let code_hash = if n < 4 { code_hash } else { EMPTY_CODE_HASH };
            Account { nonce: n.into(), balance: U256::one(), storage_root, code_hash }.encode()
        };
        let key = |n: u8| H256::repeat_byte((n / 2) * 16 + n % 2);
        self.trie((0..10).map(|n| (key(n), account(n))))
    }

    fn walk(&self, start: Place, enter: impl FnMut(&Target) -> bool) -> Vec<Event> {
        Walk::new(self, start, enter).map(Result::unwrap).collect()
    }
}

fn fixture() -> (Source, Place) {
    let mut source = Source::default();
    let root = source.state();
    (source, Place::root(None, root))
}

/// Where an event is in the state: account path, code before storage, storage path.
fn position(event: &Event) -> (Nibbles, u8, Nibbles) {
    let of_owner = |owner: &H256, rank, path| (Nibbles::from_key(owner), rank, path);
    let of_target = |target: &Target| match target {
        Target::Code { owner, .. } => of_owner(owner, 1, Nibbles::EMPTY),
        Target::Node(Place { owner: Some(owner), path, .. }) => of_owner(owner, 2, *path),
        Target::Node(place) => (place.path, 0, Nibbles::EMPTY),
    };
    match event {
        Event::Node { place, .. } => of_target(&Target::Node(*place)),
        Event::Code { owner, hash, .. } => of_target(&Target::Code { owner: *owner, hash: *hash }),
        Event::Missing(target) | Event::Corrupt { target, .. } => of_target(target),
    }
}

fn nodes(events: &[Event], kind: TrieKind) -> usize {
    let of_kind = |event: &&Event| matches!(event, Event::Node { place, .. } if place.kind() == kind);
    events.iter().filter(of_kind).count()
}

fn codes(events: &[Event]) -> usize {
    events.iter().filter(|event| matches!(event, Event::Code { .. })).count()
}

fn faults(events: Vec<Event>) -> Vec<Event> {
    let sound = |event: &Event| matches!(event, Event::Node { .. } | Event::Code { .. });
    events.into_iter().filter(|event| !sound(event)).collect()
}

#[test]
fn a_walk_visits_everything_once_for_each_account_in_path_order() {
    let (source, root) = fixture();
    let events = source.walk(root, |_| true);
    // The root, five pairs (a branch each; below it, a leaf each).
    assert_eq!(nodes(&events, TrieKind::Account), 1 + 5 + 10);
    assert_eq!(nodes(&events, TrieKind::Storage), 5 * 9);
    assert_eq!(codes(&events), 4);
    assert_eq!(events.len(), 16 + 45 + 4);
    assert!(events.is_sorted_by_key(position));
}

#[test]
fn a_walk_of_an_empty_trie_visits_nothing() {
    let source = Source::default();
    assert_eq!(source.walk(Place::root(None, EMPTY_ROOT), |_| true), []);
}

#[test]
fn shared_tries_and_codes_are_visited_once_when_the_caller_remembers_them() {
    let (source, root) = fixture();
    let mut seen = HashSet::new();
    let events = source.walk(root, |target| match target {
        Target::Node(place) if place.owner.is_some() && place.is_root() => seen.insert(place.hash),
        Target::Node(_) => true,
        Target::Code { hash, .. } => seen.insert(*hash),
    });
    assert_eq!(nodes(&events, TrieKind::Account), 16);
    assert_eq!(nodes(&events, TrieKind::Storage), 9);
    assert_eq!(codes(&events), 1);
}

#[test]
fn a_split_walk_visits_what_a_whole_one_does() {
    let (source, root) = fixture();
    let mut starts = Vec::new();
    let mut events = source.walk(root, |target| match target {
        Target::Node(place) if place.kind() == TrieKind::Account && !place.is_root() => {
            starts.push(*place);
            false
        }
        _ => true,
    });
    assert_eq!((events.len(), starts.len()), (1, 5));
    events.extend(starts.iter().flat_map(|start| source.walk(*start, |_| true)));
    assert_eq!(events, source.walk(root, |_| true));
}

#[test]
fn a_missing_node_is_reported_and_the_rest_visited() {
    let (mut source, root) = fixture();
    let whole = source.walk(root, |_| true);
    let Event::Node { place: gone, .. } = whole[1] else { panic!("{:?}", whole[1]) };
    source.nodes.remove(&gone.hash);
    let events = source.walk(root, |_| true);
    // Its pair of accounts: two leaves, one storage trie, two codes.
    assert_eq!(events.len(), whole.len() - 2 - 9 - 2);
    assert_eq!(faults(events), [Event::Missing(Target::Node(gone))]);
}

#[test]
fn a_missing_code_is_reported_for_each_account() {
    let (mut source, root) = fixture();
    source.codes.clear();
    let events = faults(source.walk(root, |_| true));
    assert_eq!(events.len(), 4);
    let missing = |event: &Event| matches!(event, Event::Missing(Target::Code { .. }));
    assert!(events.iter().all(missing));
}

#[test]
fn bytes_that_are_not_their_name_are_corrupt() {
    let (mut source, root) = fixture();
    let damaged = source.nodes.get_mut(&root.hash).unwrap();
    *damaged.last_mut().unwrap() ^= 1;
    let got = keccak256(damaged);
    let target = Target::Node(root);
    assert_eq!(source.walk(root, |_| true), [Event::Corrupt { target, fault: Fault::Hash { got } }]);
    source.codes.insert(keccak256(CODE), b"edoc".to_vec());
    let (whole, _) = fixture();
    source.nodes = whole.nodes;
    assert_eq!(faults(source.walk(root, |_| true)).len(), 4);
}

#[test]
fn bytes_that_are_no_node_are_corrupt_even_under_their_own_name() {
    let mut source = Source::default();
    let root = keccak256(b"no node");
    source.nodes.insert(root, b"no node".to_vec());
    let start = Place::root(None, root);
    let events = source.walk(start, |_| true);
    let [Event::Corrupt { target: Target::Node(place), fault: Fault::Node(_) }] = events[..] else {
        panic!("{events:?}");
    };
    assert_eq!(place, start);
}

#[test]
fn a_failed_read_is_an_error_and_the_walk_goes_on() {
    struct NoCodes(Source);
    impl NodeSource for NoCodes {
        type Error = &'static str;

        fn node(&self, hash: &H256) -> Result<Option<StoredNode>, Self::Error> {
            Ok(self.0.nodes.get(hash).cloned().map(Into::into))
        }

        fn code(&self, _: &H256) -> Result<Option<Vec<u8>>, Self::Error> {
            Err("no codes")
        }
    }
    let (source, root) = fixture();
    let source = NoCodes(source);
    let (sound, failed): (Vec<_>, Vec<_>) = Walk::new(&source, root, |_| true).partition(Result::is_ok);
    assert_eq!((sound.len(), failed.len()), (61, 4));
}

#[test]
fn a_wrong_level_is_reported_and_what_is_below_is_visited() {
    struct Leveled(Source, Level);
    impl NodeSource for Leveled {
        type Error = Infallible;

        fn node(&self, hash: &H256) -> Result<Option<StoredNode>, Infallible> {
            Ok(self.0.nodes.get(hash).map(|rlp| StoredNode { level: Some(self.1), rlp: rlp.clone() }))
        }

        fn code(&self, hash: &H256) -> Result<Option<Vec<u8>>, Infallible> {
            Ok(self.0.codes.get(hash).cloned())
        }
    }
    let (source, root) = fixture();
    let whole = source.walk(root, |_| true).len();
    let source = Leveled(source, Level::ROOT);
    let events: Vec<Event> = Walk::new(&source, root, |_| true).map(Result::unwrap).collect();
    assert_eq!(events.len(), whole);
    assert!(matches!(events[0], Event::Node { place, .. } if place == root), "the root's level is right");
    let fault = Fault::Level { stored: Level::ROOT };
    let wrong = events.iter().filter(|event| matches!(event, Event::Corrupt { fault: found, .. } if *found == fault));
    let codes = events.iter().filter(|event| matches!(event, Event::Code { .. })).count();
    assert_eq!(wrong.count() + codes + 1, whole);
}
