use proptest::prelude::*;

use super::*;
use crate::trie::tests::cases;

fn path(digits: &str) -> Nibbles {
    nibbles(&format!("0x{digits}")).unwrap()
}

fn scope(prefixes: &[&str]) -> Scope {
    Scope::of(prefixes.iter().map(|digits| path(digits)))
}

#[test]
fn prefixes_are_sorted_and_those_under_another_are_dropped() {
    let messy = scope(&["ab", "1", "abc", "ab", "12", "f0", "1f"]);
    assert_eq!(messy, scope(&["1", "ab", "f0"]));
    assert_eq!(messy.texts().collect::<Vec<_>>(), ["0x1", "0xab", "0xf0"]);
    assert_eq!(scope(&["ab", ""]), Scope::whole());
    assert!(Scope::whole().is_whole() && !messy.is_whole() && !scope(&[]).is_whole());
}

#[test]
fn a_path_is_covered_below_a_prefix_and_leads_to_it_above() {
    let scope = scope(&["ab3", "c"]);
    for (digits, covers, leads_to) in [
        ("", false, true),
        ("a", false, true),
        ("ab", false, true),
        ("ab3", true, true),
        ("ab35", true, true),
        ("ab4", false, false),
        ("b", false, false),
        ("c", true, true),
        ("cdef", true, true),
        ("d", false, false),
    ] {
        assert_eq!((scope.covers(&path(digits)), scope.leads_to(&path(digits))), (covers, leads_to), "{digits}");
    }
    assert!(Scope::whole().covers(&Nibbles::EMPTY) && Scope::whole().covers(&path("0")));
    assert!(!Scope::of([]).leads_to(&Nibbles::EMPTY));
}

#[test]
fn a_prefix_is_read_from_1_to_64_digits_in_any_case() {
    assert_eq!(Scope::prefix("0xAb3"), Ok(path("ab3")));
    let key = "7".repeat(64);
    assert_eq!(Scope::prefix(&format!("0x{key}")), Ok(path(&key)));
    for bad in ["", "0x", "ab", "0xg", "0x+1", "0x 1", "0xä", &format!("0x{key}7")] {
        assert_eq!(Scope::prefix(bad), Err(PrefixError), "{bad}");
    }
}

#[test]
fn a_scope_is_kept_as_a_list_of_texts_and_shown_in_short() {
    let five = scope(&["5", "4", "3", "2", "1a"]);
    let json = serde_json::to_string(&five).unwrap();
    assert_eq!(json, r#"["0x1a","0x2","0x3","0x4","0x5"]"#);
    assert_eq!(serde_json::from_str::<Scope>(&json).unwrap(), five);
    assert_eq!(serde_json::from_str::<Scope>(r#"["0x"]"#).unwrap(), Scope::whole());
    assert!(serde_json::from_str::<Scope>(r#"["1"]"#).is_err());
    assert_eq!(five.to_string(), "0x1a, 0x2, 0x3, 0x4 and 1 more");
    assert_eq!(scope(&["ab"]).to_string(), "0xab");
}

/// Paths of few and alike nibbles, so that one often begins with another.
fn paths() -> impl Strategy<Value = Nibbles> {
    prop::collection::vec(0_u8..3, 0..6).prop_map(|nibbles| Nibbles::from_slice(&nibbles).unwrap())
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn any_scope_says_what_its_prefixes_say_one_by_one(
        prefixes in prop::collection::vec(paths(), 0..6),
        others in prop::collection::vec(paths(), 0..4),
        path in paths(),
    ) {
        let [one, other] = [&prefixes, &others].map(|prefixes| Scope::of(prefixes.iter().copied()));
        let covers = |prefixes: &[Nibbles], path: &Nibbles| prefixes.iter().any(|prefix| path.starts_with(prefix));
        prop_assert_eq!(one.covers(&path), covers(&prefixes, &path));
        let above = prefixes.iter().any(|prefix| prefix.starts_with(&path));
        prop_assert_eq!(one.leads_to(&path), above || covers(&prefixes, &path));
        prop_assert_eq!(one.and(&other).covers(&path), covers(&prefixes, &path) || covers(&others, &path));
        prop_assert_eq!(one.contains(&other), others.iter().all(|prefix| covers(&prefixes, prefix)));
        prop_assert_eq!(one.is_whole(), prefixes.contains(&Nibbles::EMPTY));
        // Normal form: the same whatever the order, and without a prefix too many.
        prop_assert_eq!(&Scope::of(prefixes.iter().rev().copied()), &one);
        prop_assert_eq!(&Scope::of(one.prefixes().iter().copied()), &one);
        for (place, prefix) in one.prefixes().iter().enumerate() {
            let rest = [&one.prefixes()[..place], &one.prefixes()[place + 1..]].concat();
            prop_assert!(!covers(&rest, prefix));
        }
    }
}
