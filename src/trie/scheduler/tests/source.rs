//! What a peer holds: states built by `eth_trie`, and taken apart without the code under test.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use eth_trie::{EthTrie, MemoryDB, Trie};
use primitive_types::{H256, U256};
use rlp::{Rlp, RlpStream};

use crate::trie::{Counts, EMPTY_CODE_HASH, EMPTY_ROOT, Key, Kind, keccak256};

/// An account with all it holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Body {
    pub(crate) nonce: u64,
    pub(crate) storage: BTreeMap<H256, U256>,
    pub(crate) code: Vec<u8>,
}

/// Accounts by their trie keys.
pub(crate) type State = BTreeMap<H256, Body>;

/// A node or code, and what is below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Thing {
    pub(crate) bytes: Vec<u8>,
    pub(crate) refs: Vec<Ref>,
    /// Leaves in the node.
    pub(crate) leaves: u64,
}

/// A reference to another thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ref {
    pub(crate) key: Key,
    /// Nibbles from the place of the node to that of its child; 0 for what an account leaf refers to.
    pub(crate) below: usize,
}

/// One state as a peer holds it, perhaps beside others.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) root: H256,
    pub(crate) state: State,
    /// What belongs to this state.
    pub(crate) own: BTreeSet<Key>,
    /// What belongs to it or to a state beside it.
    pub(crate) things: BTreeMap<Key, Thing>,
}

impl Source {
    pub(crate) fn new(state: State) -> Self {
        let mut things = BTreeMap::new();
        let mut accounts = Vec::new();
        for (key, body) in &state {
            let slots = body.storage.iter().map(|(slot, word)| (*slot, rlp::encode(word).to_vec()));
            let storage_root = add_trie(Kind::StorageNode, slots, &mut things);
            let code_hash = keccak256(&body.code);
            if code_hash != EMPTY_CODE_HASH {
                let code = Thing { bytes: body.code.clone(), ..Thing::default() };
                things.insert(Key { kind: Kind::Code, hash: code_hash }, code);
            }
            let mut account = RlpStream::new_list(4);
            account.append(&body.nonce).append(&U256::from(5)).append(&storage_root).append(&code_hash);
            accounts.push((*key, account.out().to_vec()));
        }
        let root = add_trie(Kind::AccountNode, accounts.into_iter(), &mut things);
        Self { root, state, own: things.keys().copied().collect(), things }
    }

    /// The same state, served by a peer that holds another one too.
    pub(crate) fn beside(&self, other: &Self) -> Self {
        let mut both = self.clone();
        both.things.extend(other.things.iter().map(|(key, thing)| (*key, thing.clone())));
        both
    }

    /// Whether the peer holds this state only.
    pub(crate) fn is_alone(&self) -> bool {
        self.own.len() == self.things.len()
    }

    pub(crate) fn bytes(&self, key: &Key) -> Vec<u8> {
        self.things[key].bytes.clone()
    }

    /// What a sync of this state into an empty store counts.
    pub(crate) fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        self.own.iter().for_each(|key| self.count(key, &mut counts));
        counts
    }

    /// Counts one thing as fetched.
    pub(crate) fn count(&self, key: &Key, counts: &mut Counts) {
        let thing = &self.things[key];
        counts.bytes += thing.bytes.len() as u64;
        match key.kind {
            Kind::Code => counts.codes += 1,
            Kind::AccountNode => (counts.nodes, counts.accounts) = (counts.nodes + 1, counts.accounts + thing.leaves),
            Kind::StorageNode => (counts.nodes, counts.slots) = (counts.nodes + 1, counts.slots + thing.leaves),
        }
    }

    /// Reads the whole state back with `eth_trie`, from these nodes and codes only.
    pub(crate) fn assert_reads_back(&self, nodes: &BTreeMap<H256, Vec<u8>>, codes: &BTreeMap<H256, Vec<u8>>) {
        if self.root == EMPTY_ROOT {
            assert!(self.state.is_empty());
            return;
        }
        let db = Arc::new(MemoryDB::new(true));
        for (hash, rlp) in nodes {
            eth_trie::DB::insert(&*db, hash.as_bytes(), rlp.clone()).unwrap();
        }
        let accounts = EthTrie::from(db.clone(), self.root.0.into()).unwrap();
        for (key, body) in &self.state {
            let account = accounts.get(key.as_bytes()).unwrap().expect("the account");
            let account = Rlp::new(&account);
            let (root, code): (H256, H256) = (account.val_at(2).unwrap(), account.val_at(3).unwrap());
            assert_eq!(account.val_at::<u64>(0).unwrap(), body.nonce);
            if code != EMPTY_CODE_HASH {
                assert_eq!(codes[&code], body.code);
            }
            if body.storage.is_empty() {
                assert_eq!(root, EMPTY_ROOT);
                continue;
            }
            let storage = EthTrie::from(db.clone(), root.0.into()).unwrap();
            for (slot, word) in &body.storage {
                let value = storage.get(slot.as_bytes()).unwrap().expect("the slot");
                assert_eq!(rlp::decode::<U256>(&value).unwrap(), *word);
            }
        }
    }
}

/// Builds a trie with `eth_trie`, adds its nodes, and returns its root.
fn add_trie(
    kind: Kind,
    leaves: impl ExactSizeIterator<Item = (H256, Vec<u8>)>,
    things: &mut BTreeMap<Key, Thing>,
) -> H256 {
    if leaves.len() == 0 {
        return EMPTY_ROOT;
    }
    let mut trie = EthTrie::new(Arc::new(MemoryDB::new(true)));
    for (key, value) in leaves {
        trie.insert(key.as_bytes(), &value).unwrap();
    }
    let built = trie.root_hash_with_changed_nodes().unwrap();
    for (hash, bytes) in built.trie_diff {
        let mut thing = Thing::default();
        read_node(kind, &Rlp::new(&bytes), 0, &mut thing);
        thing.bytes = bytes;
        things.insert(Key { kind, hash: H256(hash.0) }, thing);
    }
    H256(built.root.0)
}

/// Reads the references of a node, with those of the nodes inside it.
fn read_node(kind: Kind, node: &Rlp, below: usize, thing: &mut Thing) {
    if node.item_count().unwrap() == 17 {
        (0..16).for_each(|slot| read_child(kind, &node.at(slot).unwrap(), below + 1, thing));
        return;
    }
    let path = node.at(0).unwrap().data().unwrap();
    let nibbles = 2 * (path.len() - 1) + usize::from(path[0] & 0x10 != 0);
    if path[0] & 0x20 == 0 {
        read_child(kind, &node.at(1).unwrap(), below + nibbles, thing);
        return;
    }
    thing.leaves += 1;
    if kind == Kind::AccountNode {
        let account = node.at(1).unwrap().data().unwrap();
        let hash = |field| Rlp::new(account).val_at::<H256>(field).unwrap();
        let named = [(Kind::StorageNode, hash(2), EMPTY_ROOT), (Kind::Code, hash(3), EMPTY_CODE_HASH)];
        let refs = named.into_iter().filter(|(_, hash, nothing)| hash != nothing);
        thing.refs.extend(refs.map(|(kind, hash, _)| Ref { key: Key { kind, hash }, below: 0 }));
    }
}

fn read_child(kind: Kind, child: &Rlp, below: usize, thing: &mut Thing) {
    if child.is_list() {
        read_node(kind, child, below, thing);
    } else if !child.is_empty() {
        thing.refs.push(Ref { key: Key { kind, hash: child.as_val().unwrap() }, below });
    }
}
