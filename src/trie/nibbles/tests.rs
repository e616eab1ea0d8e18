use std::cmp::Ordering;

use proptest::prelude::*;

use super::*;
use crate::trie::tests::cases;

fn path(digits: &str) -> Nibbles {
    digits.chars().fold(Nibbles::EMPTY, |path, digit| {
        let nibble = u8::from_str_radix(&digit.to_string(), 16).unwrap();
        path.push(nibble).unwrap()
    })
}

/// A path as one byte a nibble: what every operation is compared with.
fn plain() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(0_u8..16, 0..=64)
}

/// Two paths that share a prefix of any length.
fn related() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    (plain(), plain(), 0_usize..=64).prop_map(|(a, b, shared)| {
        let shared = shared.min(a.len()).min(b.len());
        let joined = a[..shared].iter().chain(&b[shared..]).copied().collect();
        (a, joined)
    })
}

fn of(nibbles: &[u8]) -> Nibbles {
    Nibbles::from_slice(nibbles).unwrap()
}

#[test]
fn a_path_is_shown_as_one_digit_a_nibble() {
    assert_eq!(path("0a1f").to_string(), "0a1f");
    assert_eq!(format!("{:?}", path("0a1f")), "0a1f");
    assert_eq!(Nibbles::EMPTY.to_string(), "");
}

#[test]
fn a_prefix_sorts_before_what_it_starts_even_when_zeros_follow() {
    let sorted = ["", "0", "00", "001", "01", "0f", "1", "10", "f"].map(path);
    assert!(sorted.is_sorted());
    assert_eq!(path("0").cmp(&path("00")), Ordering::Less);
}

#[test]
fn a_key_and_its_path_hold_the_same_bytes() {
    let key = H256(*b"the thirty-two bytes of some key");
    let path = Nibbles::from_key(&key);
    assert_eq!(path.len(), 64);
    assert_eq!(path.to_key(), Some(key));
    assert_eq!(path.prefix(63).to_key(), None);
}

#[test]
fn a_path_never_grows_past_a_key() {
    let full = Nibbles::from_key(&H256::repeat_byte(0xff));
    assert_eq!(full.push(0), None);
    assert_eq!(full.join(&path("0")), None);
    assert_eq!(full.join(&Nibbles::EMPTY), Some(full));
    assert_eq!(full.prefix(63).push(0xf), Some(full));
    assert_eq!(Nibbles::from_slice(&[0; 65]), None);
}

#[test]
fn a_nibble_over_fifteen_is_refused() {
    assert_eq!(Nibbles::EMPTY.push(16), None);
    assert_eq!(Nibbles::from_slice(&[1, 16]), None);
}

#[test]
fn hex_prefix_agrees_with_the_yellow_paper() {
    let vectors: [(&str, bool, &[u8]); 6] = [
        ("", false, &[0x00]),
        ("", true, &[0x20]),
        ("1", false, &[0x11]),
        ("f", true, &[0x3f]),
        ("12345", false, &[0x11, 0x23, 0x45]),
        ("0f1cb8", true, &[0x20, 0x0f, 0x1c, 0xb8]),
    ];
    for (digits, leaf, encoded) in vectors {
        assert_eq!(path(digits).hex_prefix_encode(leaf), encoded);
        assert_eq!(Nibbles::hex_prefix_decode(encoded), Ok((path(digits), leaf)));
    }
}

#[test]
fn hex_prefix_refuses_what_it_would_not_write() {
    let bad = |got| Err(NodeError::BadFlags { got });
    assert_eq!(Nibbles::hex_prefix_decode(&[]), Err(NodeError::NoFlags));
    assert_eq!(Nibbles::hex_prefix_decode(&[0x01]), bad(0x01));
    assert_eq!(Nibbles::hex_prefix_decode(&[0x2f, 0xaa]), bad(0x2f));
    assert_eq!(Nibbles::hex_prefix_decode(&[0x40]), bad(0x40));
    assert_eq!(Nibbles::hex_prefix_decode(&[0x80]), bad(0x80));
    assert_eq!(Nibbles::hex_prefix_decode(&[0x10; 33]), Err(NodeError::PathTooLong { got: 65 }));
    assert_eq!(Nibbles::hex_prefix_decode(&[0x00; 34]), Err(NodeError::PathTooLong { got: 66 }));
    assert_eq!(Nibbles::hex_prefix_decode(&[0x00; 33]), Ok((of(&[0; 64]), false)));
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn a_path_holds_its_nibbles((a, _) in related()) {
        let path = of(&a);
        prop_assert_eq!(path.len(), a.len());
        prop_assert_eq!(path.is_empty(), a.is_empty());
        prop_assert_eq!(path.iter().collect::<Vec<_>>(), a.clone());
        prop_assert_eq!(path.get(a.len()), None);
    }

    #[test]
    fn two_paths_compare_as_their_nibbles_do((a, b) in related()) {
        prop_assert_eq!(of(&a).cmp(&of(&b)), a.cmp(&b));
        prop_assert_eq!(of(&a).starts_with(&of(&b)), a.starts_with(&b));
        let shared = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
        prop_assert_eq!(of(&a).common_prefix_len(&of(&b)), shared);
    }

    #[test]
    fn cutting_and_joining_are_inverse((a, _) in related(), cut in 0_usize..=65) {
        let path = of(&a);
        let (head, tail) = a.split_at(cut.min(a.len()));
        prop_assert_eq!(path.prefix(cut), of(head));
        prop_assert_eq!(path.suffix(cut), of(tail));
        prop_assert_eq!(path.prefix(cut).join(&path.suffix(cut)), Some(path));
    }

    #[test]
    fn hex_prefix_reads_back_what_it_writes((a, _) in related(), leaf: bool) {
        let encoded = of(&a).hex_prefix_encode(leaf);
        prop_assert_eq!(Nibbles::hex_prefix_decode(&encoded), Ok((of(&a), leaf)));
    }

    #[test]
    fn hex_prefix_accepts_one_encoding_of_a_path(bytes in prop::collection::vec(any::<u8>(), 0..36)) {
        if let Ok((path, leaf)) = Nibbles::hex_prefix_decode(&bytes) {
            prop_assert_eq!(path.hex_prefix_encode(leaf), bytes);
        }
    }
}
