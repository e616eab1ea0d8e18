//! Codec, builder and each other: against two independent tries, and against damage.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use eth_trie::{EthTrie, MemoryDB, Trie};
use primitive_types::{H256, U256};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::encode::{self, Reference};
use super::*;

/// Property tests repeat exactly; `PROPTEST_RNG_SEED` picks other cases.
pub(crate) fn cases() -> ProptestConfig {
    let default = ProptestConfig::default();
    let seed = if let RngSeed::Fixed(chosen) = default.rng_seed { chosen } else { 64 };
    ProptestConfig { cases: 64, failure_persistence: None, rng_seed: RngSeed::Fixed(seed), ..default }
}

/// Encoded leaf values by key.
type Leaves = BTreeMap<H256, Vec<u8>>;

/// Stored nodes by hash.
type Nodes = BTreeMap<H256, Vec<u8>>;

/// Keys that share anything from none to 63 nibbles, so that tries are deep, with extensions and,
/// where values are short, inline nodes.
fn keys() -> impl Strategy<Value = Vec<H256>> {
    let deviation = (prop_oneof![0_usize..8, 0_usize..64, 56_usize..64], any::<[u8; 32]>());
    (any::<[u8; 32]>(), prop::collection::vec(deviation, 1..40)).prop_map(|(base, deviations)| {
        let base = Nibbles::from_key(&H256(base));
        let key = |(shared, other): (usize, [u8; 32])| {
            let tail = Nibbles::from_key(&H256(other)).suffix(shared);
            base.prefix(shared).join(&tail).unwrap().to_key().unwrap()
        };
        deviations.into_iter().map(key).collect()
    })
}

fn slots() -> impl Strategy<Value = Leaves> {
    (keys(), prop::collection::vec(prop_oneof![1..=0x7f_u64, 1..=u64::MAX], 40)).prop_map(|(keys, words)| {
        let value = |word| rlp::encode(&U256::from(word)).to_vec();
        keys.into_iter().zip(words.into_iter().map(value)).collect()
    })
}

fn accounts() -> impl Strategy<Value = Leaves> {
    let account = (any::<u64>(), any::<[u64; 4]>(), any::<[u8; 32]>(), any::<[u8; 32]>());
    (keys(), prop::collection::vec(account, 40)).prop_map(|(keys, accounts)| {
        let value = |(nonce, balance, storage_root, code_hash)| {
            let (storage_root, code_hash) = (H256(storage_root), H256(code_hash));
            Account { nonce, balance: U256(balance), storage_root, code_hash }.encode()
        };
        keys.into_iter().zip(accounts.into_iter().map(value)).collect()
    })
}

/// Leaves of either kind of trie.
fn tries() -> impl Strategy<Value = (TrieKind, Leaves)> {
    prop_oneof![
        slots().prop_map(|leaves| (TrieKind::Storage, leaves)),
        accounts().prop_map(|leaves| (TrieKind::Account, leaves)),
    ]
}

fn build(leaves: &Leaves) -> (H256, Nodes) {
    let mut nodes = Nodes::new();
    let mut builder = TrieBuilder::new(|_, hash, rlp: &[u8]| {
        nodes.insert(hash, rlp.to_vec());
        Ok::<_, Infallible>(())
    });
    for (key, value) in leaves {
        builder.add(*key, value).unwrap();
    }
    let root = builder.finish().unwrap();
    (root, nodes)
}

/// Walks the nodes from the root, as a downloader would, and returns each with its place.
fn places(kind: TrieKind, root: H256, nodes: &Nodes) -> Vec<(Child, Links)> {
    let mut places = Vec::new();
    let mut queue = vec![Child { path: Nibbles::EMPTY, hash: root, after_extension: false }];
    while let Some(at) = queue.pop() {
        let links = decode(kind, &at.path, at.after_extension, &nodes[&at.hash]).unwrap();
        queue.extend(links.children.iter());
        places.push((at, links));
    }
    places
}

fn key_and_value(leaf: &Leaf) -> (H256, Vec<u8>) {
    match leaf {
        Leaf::Account { key, account } => (*key, account.encode()),
        Leaf::Slot { key, value } => (*key, rlp::encode(value).to_vec()),
    }
}

/// What hangs from a node, with the path it hangs at.
#[derive(Clone)]
enum Hanging {
    Child(Child),
    Leaf(Nibbles, Vec<u8>),
}

impl Hanging {
    fn path(&self) -> Nibbles {
        match self {
            Self::Child(child) => child.path,
            Self::Leaf(path, _) => *path,
        }
    }
}

/// Writes the node at `depth` that has these links: recursively, unlike the builder.
fn encode_links(depth: usize, hanging: &[Hanging]) -> Vec<u8> {
    let extension = |from: Nibbles, to: usize, branch| encode::extension(&from.prefix(to).suffix(depth), &branch);
    match hanging {
        [Hanging::Leaf(path, value)] => encode::leaf(&path.suffix(depth), value),
        [Hanging::Child(child)] => extension(child.path, child.path.len(), Reference::Hash(child.hash)),
        _ => {
            let (first, last) = (hanging[0].path(), hanging[hanging.len() - 1].path());
            let fork = first.common_prefix_len(&last);
            let child = |nibble: usize| {
                let below = |link: &&Hanging| link.path().get(fork).map(usize::from) == Some(nibble);
                let below: Vec<_> = hanging.iter().filter(below).cloned().collect();
                match below.as_slice() {
                    [] => None,
                    [Hanging::Child(child)] if !child.after_extension => Some(Reference::Hash(child.hash)),
                    below => Some(Reference::Inline(encode_links(fork + 1, below))),
                }
            };
            let branch = encode::branch(&std::array::from_fn(child));
            if fork == depth { branch } else { extension(first, fork, Reference::Inline(branch)) }
        }
    }
}

/// The only node at `path` with these links.
fn encode_only(path: &Nibbles, links: &Links) -> Vec<u8> {
    let leaf = |leaf: &Leaf| {
        let (key, value) = key_and_value(leaf);
        Hanging::Leaf(Nibbles::from_key(&key), value)
    };
    let children = links.children.iter().copied().map(Hanging::Child);
    let mut hanging: Vec<_> = children.chain(links.leaves.iter().map(leaf)).collect();
    hanging.sort_by_key(Hanging::path);
    encode_links(path.len(), &hanging)
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn the_builder_agrees_with_eth_trie_on_root_and_nodes((_, leaves) in tries()) {
        let mut oracle = EthTrie::new(Arc::new(MemoryDB::new(true)));
        for (key, value) in &leaves {
            oracle.insert(key.as_bytes(), value).unwrap();
        }
        let expected = oracle.root_hash_with_changed_nodes().unwrap();
        let (root, nodes) = build(&leaves);
        prop_assert_eq!(root.0, expected.root.0);
        let expected: Nodes = expected.trie_diff.into_iter().map(|(hash, rlp)| (H256(hash.0), rlp)).collect();
        prop_assert_eq!(nodes, expected);
    }

    #[test]
    fn the_builder_agrees_with_alloy_trie_on_the_root((_, leaves) in tries()) {
        let mut oracle = alloy_trie::HashBuilder::default();
        for (key, value) in &leaves {
            oracle.add_leaf(alloy_trie::Nibbles::unpack(key), value);
        }
        prop_assert_eq!(build(&leaves).0.0, oracle.root().0);
    }

    #[test]
    fn decoding_from_the_root_finds_every_leaf_and_every_node((kind, leaves) in tries()) {
        let (root, nodes) = build(&leaves);
        let places = places(kind, root, &nodes);
        let found: Leaves = places.iter().flat_map(|(_, links)| &links.leaves).map(key_and_value).collect();
        prop_assert_eq!(found, leaves);
        let visited: std::collections::BTreeSet<_> = places.iter().map(|(at, _)| at.hash).collect();
        prop_assert!(visited.iter().eq(nodes.keys()));
    }

    #[test]
    fn links_are_in_path_order((kind, leaves) in tries()) {
        let (root, nodes) = build(&leaves);
        for (_, links) in places(kind, root, &nodes) {
            prop_assert!(links.children.is_sorted_by(|a, b| a.path < b.path));
            prop_assert!(links.leaves.is_sorted_by(|a, b| key_and_value(a).0 < key_and_value(b).0));
        }
    }

    #[test]
    fn a_damaged_node_is_refused_or_is_the_only_encoding_of_what_it_says(
        (kind, leaves) in tries(),
        damage in 1_u8..,
    ) {
        let (root, nodes) = build(&leaves);
        for (at, links) in places(kind, root, &nodes) {
            let whole = &nodes[&at.hash];
            prop_assert_eq!(&encode_only(&at.path, &links), whole);
            for index in 0..whole.len() {
                let mut replaced = whole.clone();
                replaced[index] ^= damage;
                let mut inserted = whole.clone();
                inserted.insert(index, damage);
                let mut removed = whole.clone();
                removed.remove(index);
                for damaged in [replaced, inserted, removed, whole[..index].to_vec()] {
                    if let Ok(links) = decode(kind, &at.path, at.after_extension, &damaged) {
                        prop_assert_eq!(encode_only(&at.path, &links), damaged);
                    }
                }
            }
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..600),
        header in prop_oneof![Just(None), (0xc0_u8..).prop_map(Some)],
        depth in 0_usize..=64,
    ) {
        let bytes: Vec<u8> = header.into_iter().chain(bytes).collect();
        let path = Nibbles::from_key(&H256::zero()).prefix(depth);
        for kind in [TrieKind::Account, TrieKind::Storage] {
            if let Ok(links) = decode(kind, &path, false, &bytes) {
                prop_assert_eq!(encode_only(&path, &links), bytes.clone());
            }
        }
        let _ = Account::decode(&bytes);
    }
}
