use std::collections::BTreeMap;
use std::convert::Infallible;

use primitive_types::U256;
use rlp::RlpStream;

use super::*;
use crate::trie::scheduler_tests::source::{Body, Source, State};
use crate::trie::scheduler_tests::states::{accounts, hashed, plain, storage, tiny};
use crate::trie::{EMPTY_CODE_HASH, EMPTY_ROOT, Level, Nibbles, NodeError, StoredNode, keccak256};

/// A store, which may be read in order or node by node only.
#[derive(Clone, Default)]
struct Stored {
    nodes: BTreeMap<H256, (Level, Vec<u8>)>,
    codes: BTreeMap<H256, Vec<u8>>,
    is_ordered: bool,
}

impl Stored {
    /// All of a state.
    fn of(source: &Source) -> Self {
        let mut stored = Self { is_ordered: true, ..Self::default() };
        for event in Walk::new(source, Place::root(None, source.root), |_| true) {
            match event.unwrap() {
                Event::Node { place, rlp, .. } => drop(stored.nodes.insert(place.hash, (place.level(), rlp))),
                Event::Code { hash, bytes, .. } => drop(stored.codes.insert(hash, bytes)),
                other => panic!("{other:?}"),
            }
        }
        stored
    }

    fn put(&mut self, level: u8, rlp: Vec<u8>) -> H256 {
        let hash = keccak256(&rlp);
        self.nodes.insert(hash, (Level::from_byte(level), rlp));
        hash
    }

    /// What a sweep finds.
    fn swept(&self, root: H256) -> Option<Totals> {
        sweep::sweep(self, root, &AtomicU64::new(0))
    }

    /// What the whole check finds, and the walk alone.
    fn verified(&self, root: H256) -> (Verification, Verification) {
        let walked = Self { is_ordered: false, ..self.clone() };
        let [whole, walked] = [self, &walked].map(|stored| verify(stored, root, &AtomicU64::new(0)).unwrap());
        (whole, walked)
    }

    /// The sweep sees that not all is well, and the walk tells what. How often something shared is reported depends on
    /// which thread meets it first.
    fn assert_unsound(&self, root: H256) -> Verification {
        assert_eq!(self.swept(root), None);
        let (whole, walked) = self.verified(root);
        assert!(!whole.is_ok());
        assert_eq!((whole.missing > 0, whole.corrupt > 0), (walked.missing > 0, walked.corrupt > 0));
        whole
    }

    /// The sweep and the walk count the same.
    fn assert_sound(&self, root: H256) -> Totals {
        let (whole, walked) = self.verified(root);
        assert!(whole.is_ok() && walked.is_ok(), "{:?}", walked.faults);
        assert_eq!(self.swept(root), Some(walked.totals));
        assert_eq!(whole.totals, walked.totals);
        walked.totals
    }
}

impl NodeSource for Stored {
    type Error = Infallible;

    fn node(&self, hash: &H256) -> Result<Option<StoredNode>, Infallible> {
        Ok(self.nodes.get(hash).map(|(level, rlp)| StoredNode { level: Some(*level), rlp: rlp.clone() }))
    }

    fn code(&self, hash: &H256) -> Result<Option<Vec<u8>>, Infallible> {
        Ok(self.codes.get(hash).cloned())
    }

    fn scan(&self, first: u8, take: &mut dyn FnMut(H256, Level, &[u8])) -> Result<bool, Infallible> {
        let here = self.nodes.iter().filter(|(hash, _)| hash.0[0] == first);
        here.for_each(|(hash, (level, rlp))| take(*hash, *level, rlp));
        Ok(self.is_ordered)
    }
}

/// Accounts that share storage tries, parts of some, and codes; and nodes with others inside them.
fn mixed(count: u64) -> Source {
    let mut state = accounts(count);
    for number in 0..5 {
        let code = vec![7; 100];
        let shared = storage(number % 2, 30);
        state.insert(hashed(1_000 + number), Body { nonce: number, storage: shared, code: code.clone() });
        let alike = storage(9, 20).into_iter().chain([(hashed(number), U256::from(number + 1))]).collect();
        state.insert(hashed(2_000 + number), Body { nonce: number, storage: alike, code });
        state.insert(hashed(3_000 + number), Body { nonce: number, storage: tiny(0..=number * 5), code: Vec::new() });
    }
    Source::new(state)
}

#[test]
fn a_sound_state_is_counted_alike_in_order_and_by_a_walk() {
    for count in [0, 1, 2, 40, 2_000] {
        let source = mixed(count);
        let totals = Stored::of(&source).assert_sound(source.root);
        assert_eq!(totals.accounts, source.state.len() as u64);
        assert_eq!(totals.slots, source.state.values().map(|body| body.storage.len() as u64).sum::<u64>());
        assert_eq!(totals.nodes + totals.codes, source.own.len() as u64);
    }
    for state in [State::new(), State::from([(hashed(1), plain(1))])] {
        let source = Source::new(state);
        Stored::of(&source).assert_sound(source.root);
    }
    assert_eq!(Stored::default().swept(EMPTY_ROOT), Some(Totals::default()));
}

#[test]
fn what_the_root_does_not_lead_to_does_not_matter() {
    let source = mixed(50);
    let mut stored = Stored::of(&source);
    let totals = stored.assert_sound(source.root);
    let other = Stored::of(&Source::new(accounts(80)));
    stored.nodes.extend(other.nodes.iter().skip(3).map(|(hash, node)| (*hash, node.clone())));
    stored.nodes.insert(hashed(1), (Level::ROOT, b"not the bytes of this hash".to_vec()));
    stored.put(255, b"no node, at no level".to_vec());
    assert_eq!(stored.assert_sound(source.root), totals);
}

#[test]
fn anything_missing_or_wrong_is_left_to_the_walk() {
    let source = mixed(20);
    let stored = Stored::of(&source);
    for hash in stored.nodes.keys() {
        let mut missing = stored.clone();
        missing.nodes.remove(hash);
        assert!(missing.assert_unsound(source.root).missing > 0);

        let mut corrupt = stored.clone();
        corrupt.nodes.get_mut(hash).unwrap().1[5] ^= 1;
        assert!(corrupt.assert_unsound(source.root).corrupt > 0);

        let mut misplaced = stored.clone();
        let level = &mut misplaced.nodes.get_mut(hash).unwrap().0;
        *level = Level::from_byte(level.byte() ^ 1);
        assert!(misplaced.assert_unsound(source.root).corrupt > 0);
    }
    for hash in stored.codes.keys() {
        let mut missing = stored.clone();
        missing.codes.remove(hash);
        assert!(missing.assert_unsound(source.root).missing > 0);

        let mut corrupt = stored.clone();
        corrupt.codes.get_mut(hash).unwrap().push(0);
        assert!(corrupt.assert_unsound(source.root).corrupt > 0);
    }
    assert!(stored.assert_unsound(hashed(1)).missing > 0);
}

/// A leaf whose path has so many nibbles, all zero.
fn leaf(nibbles: usize, value: &[u8]) -> Vec<u8> {
    let path = crate::trie::Nibbles::zeros(nibbles).unwrap().hex_prefix_encode(true);
    let mut node = RlpStream::new_list(2);
    node.append(&path).append(&value);
    node.out().to_vec()
}

/// A branch that refers to one node in two places.
fn twice(child: H256) -> Vec<u8> {
    let mut node = RlpStream::new_list(17);
    node.append(&child).append(&child);
    for _ in 2..17 {
        node.append_empty_data();
    }
    node.out().to_vec()
}

fn account(storage_root: H256) -> Vec<u8> {
    crate::trie::Account { nonce: 1, balance: U256::one(), storage_root, code_hash: EMPTY_CODE_HASH }.encode()
}

/// A trie of branches that refer to one node twice each, over a leaf; the lowest branch is at this depth.
fn doubled(stored: &mut Stored, first_level: u8, depth: u8, value: &[u8]) -> H256 {
    let mut hash = stored.put(first_level + depth + 1, leaf(63 - usize::from(depth), value));
    for depth in (0..=depth).rev() {
        hash = stored.put(first_level + depth, twice(hash));
    }
    hash
}

#[test]
fn a_subtree_that_is_held_countless_times_is_counted_alike() {
    for (account_depth, storage_depth) in [(0, 0), (3, 5), (40, 50), (60, 60)] {
        let mut stored = Stored { is_ordered: true, ..Stored::default() };
        let storage = doubled(&mut stored, Level::STORAGE_ROOT.byte(), storage_depth, &rlp::encode(&U256::MAX));
        let root = doubled(&mut stored, 0, account_depth, &account(storage));
        let totals = stored.assert_sound(root);
        let accounts = 1_u64 << (account_depth + 1);
        assert_eq!((totals.accounts, totals.nodes), (accounts, u64::from(account_depth + storage_depth) + 4));
        assert_eq!(totals.slots, accounts.saturating_mul(1 << (storage_depth + 1)));
    }
}

fn part(stored: &Stored, root: H256, scope: &Scope) -> Verification {
    verify_part(stored, root, scope, &AtomicU64::new(0), FAULTS_LISTED).unwrap()
}

fn scope(prefixes: &[&[u8]]) -> Scope {
    Scope::of(prefixes.iter().map(|prefix| Nibbles::from_slice(prefix).unwrap()))
}

#[test]
fn a_part_is_counted_without_what_is_beside_it() {
    let source = mixed(200);
    let stored = Stored::of(&source);
    let whole = stored.assert_sound(source.root);
    for prefixes in [&[&[3_u8][..], &[4, 5]][..], &[&[0xf]], &[&[1, 2, 3, 4, 5, 6]], &[&[]]] {
        let scope = scope(prefixes);
        let found = part(&stored, source.root, &scope);
        assert!(found.is_ok(), "{:?}", found.faults);
        let inside: Vec<&Body> = source.state.iter().filter(|(key, _)| scope.has(key)).map(|(_, body)| body).collect();
        assert_eq!(found.totals.accounts, inside.len() as u64);
        assert_eq!(found.totals.slots, inside.iter().map(|body| body.storage.len() as u64).sum::<u64>());
        assert!(found.totals.nodes <= whole.nodes && (found.totals.nodes < whole.nodes || scope.is_whole()));
    }
}

#[test]
fn what_is_missing_beside_a_part_is_not_missed_and_in_it_is() {
    let source = mixed(60);
    let stored = Stored::of(&source);
    let (scope, rest) = (
        scope(&[&[2]]),
        Scope::of((0..16).filter(|nibble| *nibble != 2).map(|nibble| Nibbles::from_slice(&[nibble]).unwrap())),
    );
    for hash in stored.nodes.keys().filter(|hash| **hash != source.root) {
        let mut missing = stored.clone();
        missing.nodes.remove(hash);
        let [in_part, in_rest] = [&scope, &rest].map(|scope| !part(&missing, source.root, scope).is_ok());
        assert!(in_part || in_rest, "{hash:?} is nowhere");
    }
    let mut missing = stored;
    missing.nodes.remove(&source.root);
    assert_eq!(part(&missing, source.root, &scope).missing, 1);
}

/// No state has the same keys under two paths, but somebody may make one.
#[test]
fn a_node_that_is_both_in_a_part_and_on_the_way_to_it_is_walked_for_each() {
    let mut stored = Stored { is_ordered: true, ..Stored::default() };
    let root = doubled(&mut stored, 0, 3, &account(EMPTY_ROOT));
    let scope = scope(&[&[0, 0, 0, 0], &[1]]);
    let found = part(&stored, root, &scope);
    assert!(found.is_ok(), "{:?}", found.faults);
    assert_eq!(found.totals.accounts, 1 + 8);
}

#[test]
fn an_extension_over_a_leaf_is_left_to_the_walk() {
    let mut stored = Stored { is_ordered: true, ..Stored::default() };
    let leaf = stored.put(2, leaf(62, &account(EMPTY_ROOT)));
    let mut extension = RlpStream::new_list(2);
    extension.append(&[0_u8, 0].as_slice()).append(&leaf);
    let root = stored.put(0, extension.out().to_vec());
    let found = stored.assert_unsound(root);
    assert_eq!(found.faults[0].fault, Some(Fault::Node(NodeError::ExtensionOverNonBranch)));
}
