use rlp::RlpStream;

use super::*;
use crate::trie::encode::{self, Reference};
use crate::trie::error::{AccountError, RlpError};
use crate::trie::keccak::{EMPTY_CODE_HASH, EMPTY_ROOT};

const KEY: H256 = H256([0xab; 32]);
const HASH: H256 = H256([0x77; 32]);
const EMPTY: &[u8] = &[0x80];

/// The first `len` nibbles of `KEY`.
fn path(len: usize) -> Nibbles {
    Nibbles::from_key(&KEY).prefix(len)
}

/// The nibbles of `KEY` from `from` on.
fn suffix(from: usize) -> Nibbles {
    Nibbles::from_key(&KEY).suffix(from)
}

/// A list of items that are encoded already.
fn list<T: AsRef<[u8]>>(items: &[T]) -> Vec<u8> {
    let mut list = RlpStream::new_list(items.len());
    for item in items {
        list.append_raw(item.as_ref(), 1);
    }
    list.out().into()
}

fn string(content: &[u8]) -> Vec<u8> {
    rlp::encode(&content).into()
}

/// A branch with these child references, encoded already, and this value.
fn branch(children: &[(usize, &[u8])], value: &[u8]) -> Vec<u8> {
    let mut items = [EMPTY; 17];
    for &(nibble, child) in children {
        items[nibble] = child;
    }
    items[16] = value;
    list(&items)
}

fn pair(path: &[u8], target: &[u8]) -> Vec<u8> {
    list(&[string(path).as_slice(), target])
}

fn hash() -> Vec<u8> {
    string(HASH.as_bytes())
}

fn account() -> Account {
    let (storage_root, code_hash) = (EMPTY_ROOT, EMPTY_CODE_HASH);
    Account { nonce: 1, balance: U256::from(1000), storage_root, code_hash }
}

fn slot_at(len: usize, rlp: &[u8]) -> Result<Links, NodeError> {
    decode(TrieKind::Storage, &path(len), false, rlp)
}

fn account_at(len: usize, rlp: &[u8]) -> Result<Links, NodeError> {
    decode(TrieKind::Account, &path(len), false, rlp)
}

fn hashes(paths: &[Nibbles]) -> Links {
    let child = |path| Child { path, hash: HASH, after_extension: false };
    Links { children: paths.iter().copied().map(child).collect(), leaves: Vec::new() }
}

fn one_slot(value: u64) -> Links {
    let leaf = Leaf::Slot { key: KEY, value: value.into() };
    Links { children: Vec::new(), leaves: vec![leaf] }
}

/// A storage leaf at nibble `KEY[depth]` of a branch at `depth`, with a one-byte value.
fn short_leaf(depth: usize) -> Vec<u8> {
    encode::leaf(&suffix(depth + 1), &[5])
}

#[test]
fn a_branch_links_its_children_in_path_order() {
    let at = path(3);
    let node = branch(&[(15, &hash()), (0, &hash())], EMPTY);
    let expected = hashes(&[at.push(0).unwrap(), at.push(15).unwrap()]);
    assert_eq!(slot_at(3, &node), Ok(expected.clone()));
    assert_eq!(account_at(3, &node), Ok(expected));
}

#[test]
fn a_branch_of_hashes_reads_the_same_either_way() {
    let references: Vec<_> = (0..16).map(|nibble| string(&[nibble; 32])).collect();
    let all: Vec<_> = references.iter().map(Vec::as_slice).enumerate().collect();
    for (count, depth) in (2..=16).flat_map(|count| [0, 1, 62, 63].map(|depth| (count, depth))) {
        let node = branch(&all[16 - count..], EMPTY);
        let payload = single_list(&node).unwrap();
        let mut slow = Decoder { kind: TrieKind::Account, links: Links::default() };
        slow.node(path(depth), false, payload).unwrap();
        let fast = hash_branch(&path(depth), payload).unwrap();
        assert_eq!((fast.len(), fast.capacity()), (count, count));
        assert_eq!(fast, slow.links.children);
        assert_eq!(account_at(depth, &node), Ok(slow.links));
    }
}

#[test]
fn a_branch_has_no_value() {
    let children = [(1, hash()), (2, hash())];
    let children = children.each_ref().map(|(nibble, child)| (*nibble, child.as_slice()));
    assert!(slot_at(0, &branch(&children, EMPTY)).is_ok());
    for value in [&[0x05][..], &string(b"value"), &[0xc0]] {
        assert_eq!(slot_at(0, &branch(&children, value)), Err(NodeError::BranchValue));
    }
}

#[test]
fn a_branch_has_at_least_two_children() {
    let one = branch(&[(1, &hash())], EMPTY);
    assert_eq!(slot_at(0, &one), Err(NodeError::TooFewChildren { got: 1 }));
    let none = branch(&[], EMPTY);
    assert_eq!(slot_at(0, &none), Err(NodeError::TooFewChildren { got: 0 }));
}

#[test]
fn a_reference_is_a_whole_hash() {
    for content in [&[1][..], &[1; 31], &[1; 33]] {
        let got = content.len();
        let wrong = Err(NodeError::BadChildReference { got });
        assert_eq!(slot_at(0, &branch(&[(1, &string(content)), (2, &hash())], EMPTY)), wrong);
        assert_eq!(slot_at(0, &pair(&[0x11], &string(content))), wrong);
    }
    let nothing = pair(&[0x11], EMPTY);
    assert_eq!(slot_at(0, &nothing), Err(NodeError::BadChildReference { got: 0 }));
}

#[test]
fn an_extension_leads_to_a_branch() {
    let at = path(2).join(&Nibbles::from_slice(&[1, 2, 3]).unwrap()).unwrap();
    let child = Child { path: at, hash: HASH, after_extension: true };
    let expected = Links { children: vec![child], leaves: Vec::new() };
    assert_eq!(slot_at(2, &pair(&[0x11, 0x23], &hash())), Ok(expected));
    let empty = pair(&[0x00], &hash());
    assert_eq!(slot_at(2, &empty), Err(NodeError::EmptyPath));
}

#[test]
fn what_an_extension_leads_to_is_refused_unless_it_is_a_branch() {
    let below = |node: &[u8]| decode(TrieKind::Storage, &path(8), true, node);
    assert!(below(&branch(&[(1, &hash()), (2, &hash())], EMPTY)).is_ok());
    let leaf = encode::leaf(&suffix(8), &string(&[9; 32]));
    assert!(slot_at(8, &leaf).is_ok());
    assert_eq!(below(&leaf), Err(NodeError::ExtensionOverNonBranch));
    assert_eq!(below(&pair(&[0x11], &hash())), Err(NodeError::ExtensionOverNonBranch));
}

#[test]
fn inline_nodes_are_descended_into() {
    // A stored branch, an inline extension, an inline branch, two inline leaves: the deepest there is.
    let bottom = branch(&[(0xa, &short_leaf(62)), (0xb, &short_leaf(62))], EMPTY);
    let extension = encode::extension(&suffix(61).prefix(1), &Reference::Inline(bottom));
    assert!(extension.len() < INLINE_LIMIT);
    let node = branch(&[(0, &hash()), (0xa, &extension)], EMPTY);
    let links = slot_at(60, &node).unwrap();
    assert_eq!(links.children, hashes(&[path(60).push(0).unwrap()]).children);
    let keys: Vec<_> = links.leaves.iter().map(|leaf| matches!(leaf, Leaf::Slot { key, .. } if *key == KEY)).collect();
    assert_eq!(keys, [true, false]);
}

#[test]
fn an_inline_node_is_shorter_than_a_hash() {
    let leaf_of = |len: usize| encode::leaf(&suffix(60), &string(&vec![0x99; len]));
    let (longest, too_long) = (leaf_of(24), leaf_of(25));
    assert_eq!((longest.len(), too_long.len()), (31, 32));
    let node = |leaf: &[u8]| branch(&[(0xb, leaf), (1, &hash())], EMPTY);
    assert_eq!(slot_at(59, &node(&longest)).unwrap().leaves.len(), 1);
    let refused = Err(NodeError::InlineTooLong { payload: 31 });
    assert_eq!(slot_at(59, &node(&too_long)), refused);
}

#[test]
fn an_extension_over_an_inline_node_leads_to_a_branch() {
    let inline = branch(&[(0xa, &short_leaf(62)), (0xb, &short_leaf(62))], EMPTY);
    assert_eq!(slot_at(0, &encode::extension(&path(62), &Reference::Inline(inline))).unwrap().leaves.len(), 2);
    let over = |inline| slot_at(0, &encode::extension(&path(62), &Reference::Inline(inline)));
    assert_eq!(over(encode::leaf(&suffix(62), &[5])), Err(NodeError::ExtensionOverNonBranch));
    assert_eq!(over(vec![0xc0]), Err(NodeError::WrongItemCount { got: 0 }));
    let nested = (0..25).fold(vec![0x05], |inner, _| list(&[[0x11].as_slice(), &inner]));
    assert!(slot_at(0, &nested).is_err());
}

#[test]
fn a_stored_node_below_the_root_is_not_short() {
    let leaf = encode::leaf(&suffix(40), &[5]);
    let inline = branch(&[(0xa, &short_leaf(62)), (0xb, &short_leaf(62))], EMPTY);
    for (depth, node) in [(40, leaf), (62, inline)] {
        assert!(node.len() < INLINE_LIMIT);
        assert_eq!(slot_at(depth, &node), Err(NodeError::StoredTooShort { got: node.len() }));
    }
    let longest = encode::leaf(&suffix(60), &string(&[0x99; 24]));
    assert_eq!(slot_at(60, &longest), Err(NodeError::StoredTooShort { got: 31 }));
    let shortest = encode::leaf(&suffix(60), &string(&[0x99; 25]));
    assert_eq!(shortest.len(), INLINE_LIMIT);
    assert!(slot_at(60, &shortest).is_ok());
}

#[test]
fn a_leaf_ends_at_a_whole_key() {
    let value = string(&[9; 32]);
    let word = Leaf::Slot { key: KEY, value: U256::from_big_endian(&[9; 32]) };
    for depth in [0, 1, 30, 63, 64] {
        let links = slot_at(depth, &encode::leaf(&suffix(depth), &value)).unwrap();
        assert_eq!(links.leaves, [word]);
    }
    let short = encode::leaf(&suffix(11), &value);
    assert_eq!(slot_at(10, &short), Err(NodeError::LeafPathLength { got: 63 }));
    assert_eq!(slot_at(12, &short), Err(NodeError::LeafPathLength { got: 65 }));
}

#[test]
fn nothing_but_a_leaf_sits_where_a_key_ends() {
    let children = branch(&[(1, &hash()), (2, &hash())], EMPTY);
    let bottom = path(63);
    let expected = hashes(&[bottom.push(1).unwrap(), bottom.push(2).unwrap()]);
    assert_eq!(slot_at(63, &children), Ok(expected));
    assert_eq!(slot_at(64, &children), Err(NodeError::PathTooLong { got: 65 }));
    let extension = pair(&[0x11], &hash());
    assert!(slot_at(62, &extension).is_ok());
    assert_eq!(slot_at(63, &extension), Err(NodeError::PathTooLong { got: 64 }));
    assert_eq!(slot_at(64, &extension), Err(NodeError::PathTooLong { got: 65 }));
}

#[test]
fn a_slot_is_a_canonical_word_other_than_zero() {
    let leaf = |value: &[u8]| slot_at(0, &encode::leaf(&suffix(0), value));
    assert_eq!(leaf(&[0x7f]), Ok(one_slot(0x7f)));
    assert_eq!(leaf(&[0x81, 0x80]), Ok(one_slot(0x80)));
    assert!(leaf(&string(&[0xff; 32])).is_ok());
    assert_eq!(leaf(&[]), Err(NodeError::EmptyLeafValue));
    assert_eq!(leaf(&[0x80]), Err(NodeError::ZeroSlot));
    let bad = |error| Err(NodeError::BadSlot(error));
    assert_eq!(leaf(&[0x00]), bad(RlpError::LeadingZero));
    assert_eq!(leaf(&[0x82, 0x00, 0x80]), bad(RlpError::LeadingZero));
    assert_eq!(leaf(&[0x81, 0x7f]), bad(RlpError::NonCanonical { header: 0x81 }));
    assert_eq!(leaf(&[0x05, 0x05]), bad(RlpError::TrailingBytes { extra: 1 }));
    assert_eq!(leaf(&[0xc1, 0x05]), bad(RlpError::NotAString));
    assert_eq!(leaf(&string(&[1; 33])), bad(RlpError::IntegerTooLong { got: 33, max: 32 }));
}

#[test]
fn a_leaf_value_is_a_string_of_its_own_kind() {
    let leaf = encode::leaf(&suffix(0), &account().encode());
    let expected = Leaf::Account { key: KEY, account: account() };
    assert_eq!(account_at(0, &leaf).unwrap().leaves, [expected]);
    assert_eq!(slot_at(0, &leaf), Err(NodeError::BadSlot(RlpError::NotAString)));
    let slot = encode::leaf(&suffix(0), &[5]);
    let not_account = AccountError::Rlp(RlpError::NotAList);
    assert_eq!(account_at(0, &slot), Err(NodeError::BadAccount(not_account)));
    let bare = pair(&suffix(0).hex_prefix_encode(true), &account().encode());
    assert_eq!(account_at(0, &bare), Err(NodeError::Rlp(RlpError::NotAString)));
}

#[test]
fn a_node_has_2_or_17_items() {
    for got in [0, 1, 3, 16, 18, 40] {
        let mut items = vec![hash(); got];
        assert_eq!(slot_at(0, &list(&items)), Err(NodeError::WrongItemCount { got }));
        // Ends as a branch does.
        items.splice(items.len().saturating_sub(1).., [EMPTY.to_vec()]);
        let got = items.len();
        assert_eq!(slot_at(0, &list(&items)), Err(NodeError::WrongItemCount { got }));
    }
}

#[test]
fn a_path_is_a_strict_hex_prefix_string() {
    let extension = |path: &[u8]| slot_at(0, &pair(path, &hash()));
    assert!(extension(&[0x00, 0x12]).is_ok());
    assert_eq!(extension(&[0x40, 0x12]), Err(NodeError::BadFlags { got: 0x40 }));
    assert_eq!(extension(&[0x01, 0x12]), Err(NodeError::BadFlags { got: 0x01 }));
    assert_eq!(extension(&[]), Err(NodeError::NoFlags));
    assert_eq!(extension(&[0x00; 34]), Err(NodeError::PathTooLong { got: 66 }));
    let nested = list(&[[0xc0].as_slice(), &hash()]);
    assert_eq!(slot_at(0, &nested), Err(NodeError::Rlp(RlpError::NotAString)));
}

#[test]
fn a_node_is_one_canonical_list() {
    let node = pair(&[0x11], &hash());
    assert!(slot_at(0, &node).is_ok());
    let refused = |bytes: &[u8]| match slot_at(0, bytes) {
        Err(NodeError::Rlp(error)) => error,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(&[]), RlpError::Truncated);
    assert_eq!(refused(&[0x80]), RlpError::NotAList);
    assert_eq!(refused(&node[..node.len() - 1]), RlpError::Truncated);
    assert_eq!(refused(&[&node[..], &[0]].concat()), RlpError::TrailingBytes { extra: 1 });
    let long_form = [&[0xf8, node[0] - 0xc0], &node[1..]].concat();
    assert_eq!(refused(&long_form), RlpError::NonCanonical { header: 0xf8 });
    let leading_zero = [&[0xf9, 0x00, node[0] - 0xc0], &node[1..]].concat();
    assert_eq!(refused(&leading_zero), RlpError::NonCanonical { header: 0xf9 });
    let long = branch(&[(1, &hash()), (2, &hash())], EMPTY);
    assert_eq!(long[0], 0xf8);
    let leading_zero = [&[0xf9, 0x00], &long[1..]].concat();
    assert_eq!(refused(&leading_zero), RlpError::NonCanonical { header: 0xf9 });
    assert_eq!(refused(&[0xff; 40]), RlpError::Truncated);
    let wrapped_byte = list(&[[0x81, 0x11].as_slice(), &hash()]);
    assert_eq!(refused(&wrapped_byte), RlpError::NonCanonical { header: 0x81 });
    let long_string = list(&[&[0x11][..], &[&[0xb8, 32], HASH.as_bytes()].concat()]);
    assert_eq!(refused(&long_string), RlpError::NonCanonical { header: 0xb8 });
}
