//! Roots that mean harm: every hash below them is right, and what is below them is no state, or one without an end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use primitive_types::H256;
use statesync::pipeline::{Outcome, SyncError};
use statesync::trie::{EMPTY_CODE_HASH, EMPTY_ROOT};
use tempfile::TempDir;

use crate::support::forge::{Forge, account, branch, branch_with, extension, leaf, list, plain_account, string};
use crate::support::{
    CODES, NODES, Peer, STAGING, Served, assert_all_hashes_are_right, items, open, options, rows, statesync,
    statesync_in, sync, verified,
};

/// Far more than any of this takes; what is without an end takes longer.
const BOUNDED: Duration = Duration::from_secs(60);

/// What a sync of the state says, from a peer that has all of it; it has to end, with nothing stored as complete.
fn refusal(forge: Forge, root: H256) -> String {
    let (peer, dir) = (Peer::honest(&Arc::new(forge.0)), TempDir::new().unwrap());
    let store = open(dir.path());
    let report = sync(&store, &[peer.url()], options(root));
    let Outcome::Failed(error @ SyncError::Malformed { .. }) = report.outcome else { panic!("{:?}", report.outcome) };
    drop(store);
    assert_all_hashes_are_right(dir.path());
    assert!(rows(dir.path(), NODES).iter().all(|(hash, _)| *hash != root));
    error.to_string()
}

#[test]
fn each_rule_of_a_node_is_kept_by_a_whole_sync() {
    let hash = string(&[7; 32]);
    let two = [(0, hash.as_slice()), (1, hash.as_slice())];
    let long = [7; 40];
    let raw = |path: &[u8], value: &[u8]| list(&[&string(path), &string(value)]);
    let (inline_ok, short) = (list(&[&[0x20], &[0x01]]), [0xc1, 0x80]);
    let one_too_long = list(&[&string(&[0x20]), &string(&[1; 29])]);
    let table: Vec<(&str, Vec<u8>, &str)> = vec![
        ("a string", string(&long), "string where a list belongs"),
        ("no RLP", vec![0xf8], "shorter than 32"),
        ("a long header", [&[0xf9, 0, 52][..], &branch(&two)[2..]].concat(), "shorter encoding"),
        ("bytes after it", [&branch(&two)[..], &[0]].concat(), "trailing bytes"),
        ("bytes missing", branch(&two)[..60].to_vec(), "past the end"),
        ("three items", list(&[&hash, &hash, &hash]), "node of 3 items"),
        ("eighteen items", list(&[hash.as_slice(); 18]), "items, not 2 or 17"),
        ("a short node", short.to_vec(), "shorter than 32"),
        ("an embedded node of 32 bytes", branch(&[(0, &one_too_long), (1, &hash)]), "not shorter than 32"),
        ("a reference of 31 bytes", branch(&[(0, &string(&[7; 31])), (1, &hash)]), "child reference of 31 bytes"),
        ("a branch with a value", branch_with(&two, &[1]), "branch with a value"),
        ("a branch of one", branch(&two[..1]), "branch with 1 children"),
        ("an empty extension", raw(&[0x00], &[7; 32]), "empty path"),
        ("a path of no bytes", raw(&[], &[7; 32]), "no bytes"),
        ("a flag of 4", raw(&[0x41], &[7; 32]), "starting with 0x41"),
        ("an even path with a nibble", raw(&[0x05], &[7; 32]), "starting with 0x05"),
        ("an extension to the end", extension(63, &H256::repeat_byte(7)), "path of 64 nibbles"),
        ("an extension past it", extension(64, &H256::repeat_byte(7)), "path of 65 nibbles"),
        ("a leaf short of a key", leaf(62, &plain_account()), "path of 63 nibbles"),
        ("a leaf past a key", leaf(64, &plain_account()), "path of 65 nibbles"),
        ("a leaf of nothing", leaf(63, &[]), "empty value"),
        ("an embedded leaf at a wrong depth", branch(&[(0, &inline_ok), (1, &hash)]), "leaf at a path"),
    ];
    for (name, node, rule) in table {
        let mut forge = Forge::default();
        let root = forge.root_over(&node);
        let said = refusal(forge, root);
        assert!(said.contains(rule) && said.contains("path \"0\""), "{name}: {said}");
    }
}

#[test]
fn each_rule_of_an_account_is_kept_by_a_whole_sync() {
    let (root, code) = (string(&EMPTY_ROOT.0), string(&EMPTY_CODE_HASH.0));
    let table: [(&[&[u8]], &str); 10] = [
        (&[&[1], &[1], &root], "3 fields, not 4"),
        (&[&[1], &[1], &root, &code, &[1]], "5 fields, not 4"),
        (&[&[0x82, 0, 1], &[1], &root, &code], "nonce: integer with a leading zero"),
        (&[&string(&[1; 9]), &[1], &root, &code], "nonce: integer of 9 bytes"),
        (&[&[1], &[0], &root, &code], "balance: integer with a leading zero"),
        (&[&[1], &string(&[1; 33]), &root, &code], "balance: integer of 33 bytes"),
        (&[&[1], &[1], &string(&[1; 31]), &code], "storage root: string of 31 bytes"),
        (&[&[1], &[1], &root, &string(&[1; 33])], "code hash: string of 33 bytes"),
        (&[&[1], &[0xc0], &root, &code], "balance: rlp list"),
        (&[&[0x81, 1], &[1], &root, &code], "shorter encoding"),
    ];
    for (fields, rule) in table {
        let mut forge = Forge::default();
        let root = forge.root_over(&leaf(63, &list(fields)));
        let said = refusal(forge, root);
        assert!(said.contains(rule), "{said} is not for {rule}");
    }
    let mut forge = Forge::default();
    let root = forge.root_over(&leaf(63, &string(&[1; 70])));
    assert!(refusal(forge, root).contains("string where a list belongs"));
}

#[test]
fn each_rule_of_a_slot_is_kept_by_a_whole_sync() {
    for (value, rule) in [
        (string(&[0, 1]), "leading zero"),
        (string(&[1; 33]), "integer of 33 bytes"),
        (vec![0xc0], "list where a string belongs"),
        (vec![0x80], "storage slot: zero"),
        (vec![0x81, 1], "shorter encoding"),
        (vec![1, 1], "trailing bytes"),
    ] {
        let mut forge = Forge::default();
        let storage = forge.node(&leaf(64, &value));
        let root = forge.root_of(&[storage]);
        let said = refusal(forge, root);
        assert!(said.contains(rule) && said.contains("storage node"), "{said} is not for {rule}");
    }
}

#[test]
fn an_extension_leads_to_a_branch_wherever_it_is_met() {
    let mut forge = Forge::default();
    let below = forge.node(&leaf(60, &plain_account()));
    let root = forge.root_over(&extension(3, &below));
    assert!(refusal(forge, root).contains("extension over a leaf"));

    // Seventy of them, one over another.
    let mut forge = Forge::default();
    let mut top = forge.node(&leaf(1, &plain_account()));
    for _ in 0..70 {
        top = forge.node(&extension(1, &top));
    }
    assert!(refusal(forge, top).contains("extension over a leaf or an extension"));
}

#[test]
fn a_path_ends_with_its_64th_nibble() {
    // Pairs of an extension and a branch.
    let mut forge = Forge::default();
    let mut top = forge.node(&leaf(0, &plain_account()));
    for above in (0..35_usize).rev() {
        let beside = forge.node(&leaf(64_usize.saturating_sub(2 * above + 2), &plain_account()));
        let (one, two) = (string(&top.0), string(&beside.0));
        let fork = forge.node(&branch(&[(0, &one), (1, &two)]));
        top = forge.node(&extension(1, &fork));
    }
    assert!(refusal(forge, top).contains("nibbles, longer than a key's 64"));

    // Branches alone: the 65th is one too many.
    let mut forge = Forge::default();
    let root = forge.tower(&leaf(0, &plain_account()), 65);
    assert!(refusal(forge, root).contains("path of 65 nibbles, longer than a key's 64"));
}

#[test]
fn a_storage_root_that_is_an_account_node_is_refused() {
    let mut forge = Forge::default();
    let other = forge.node(&leaf(63, &plain_account()));
    let root = forge.root_of(&[other]);
    let said = refusal(forge, root);
    assert!(said.contains("storage node") && said.contains("leaf at a path of 63 nibbles"), "{said}");
}

#[test]
fn a_code_with_the_bytes_of_a_node_is_stored_as_both() {
    let mut forge = Forge::default();
    let word = leaf(64, &[1]);
    let storage = forge.node(&word);
    assert_eq!(forge.code(&word), storage);
    let both = forge.node(&leaf(63, &account(&storage, &storage)));
    let other = forge.node(&leaf(63, &plain_account()));
    let root = forge.node(&branch(&[(0, &string(&both.0)), (1, &string(&other.0))]));
    let (peer, dir) = (Peer::honest(&Arc::new(forge.0)), TempDir::new().unwrap());
    let store = open(dir.path());
    let report = sync(&store, &[peer.url()], options(root));
    assert!(report.is_complete(), "{:?}", report.outcome);
    let totals = verified(&store, root);
    assert_eq!((totals.accounts, totals.slots, totals.codes, totals.nodes), (2, 1, 1, 4));
    drop(store);
    for family in [NODES, CODES] {
        assert!(rows(dir.path(), family).iter().any(|(hash, _)| *hash == storage), "{family}");
    }
}

#[test]
fn one_storage_trie_of_a_thousand_accounts_is_fetched_once() {
    let mut forge = Forge::default();
    let slots: Vec<Vec<u8>> =
        (0..16).map(|_| leaf(63, &[0x83, 1, 2, 3])).map(|slot| string(&forge.node(&slot).0)).collect();
    let children: Vec<(usize, &[u8])> = slots.iter().map(Vec::as_slice).enumerate().collect();
    let storage = forge.node(&branch(&children));
    let code = forge.code(b"one code for all");
    let mut level: Vec<H256> = Vec::new();
    for number in 0_u16..4_096 {
        let nonce = string(&(number + 300).to_be_bytes());
        let account = list(&[&nonce, &[2], &string(&storage.0), &string(&code.0)]);
        level.push(forge.node(&leaf(61, &account)));
    }
    let root = forge.pyramid(level);
    let all = items(&forge.0);
    let (peer, dir) = (Peer::honest(&Arc::new(forge.0)), TempDir::new().unwrap());
    let store = open(dir.path());
    assert!(sync(&store, &[peer.url()], options(root)).is_complete());
    let counts = peer.counts();
    assert_eq!((counts.by_hash[&storage], counts.by_hash[&code], counts.served), (1, 1, all));
    let totals = verified(&store, root);
    assert_eq!((totals.accounts, totals.slots, totals.codes), (4_096, 4_096 * 16, 1));
}

/// Every key there is has the same account, or the same slot: a state in order, of 65 nodes.
fn endless(of_slots: bool) -> (Forge, H256, u64) {
    let mut forge = Forge::default();
    if of_slots {
        let storage = forge.tower(&leaf(0, &[1]), 64);
        let root = forge.root_of(&[storage, storage]);
        // The leaf is embedded.
        return (forge, root, 64 + 3);
    }
    let root = forge.tower(&leaf(0, &plain_account()), 64);
    (forge, root, 65)
}

#[test]
fn a_state_with_every_key_is_synced_and_counted_without_visiting_them() {
    for of_slots in [false, true] {
        let (forge, root, nodes) = endless(of_slots);
        let (peer, dir) = (Peer::honest(&Arc::new(forge.0)), TempDir::new().unwrap());
        let started = Instant::now();
        let store = open(dir.path());
        let report = sync(&store, &[peer.url()], options(root));
        assert!(report.is_complete(), "{:?}", report.outcome);
        let totals = verified(&store, root);
        let accounts = if of_slots { 3 } else { u64::MAX };
        let slots = if of_slots { u64::MAX } else { 0 };
        assert_eq!((totals.accounts, totals.slots, totals.nodes), (accounts, slots, nodes));
        drop(store);
        // The same by the program: counted by status, checked by verify, served, and synced from there.
        let path = dir.path().to_str().unwrap();
        assert!(statesync(["status", "--datadir", path]).exits(0).stdout.contains("complete"));
        let verified = statesync(["verify", "--datadir", path, "--json"]).exits(0).json();
        assert_eq!(verified["ok"], true);
        let (served, other) = (Served::start("--datadir", dir.path()), TempDir::new().unwrap());
        let (root, path) = (format!("{root:?}"), other.path().to_str().unwrap());
        statesync(["sync", "-r", &served.url, "--root", &root, "--datadir", path]).exits(0);
        assert!(rows(other.path(), STAGING).is_empty());
        assert!(started.elapsed() < BOUNDED);
    }
}

#[test]
fn a_state_with_every_key_is_not_exported() {
    for of_slots in [false, true] {
        let (forge, root, _) = endless(of_slots);
        let (peer, dir) = (Peer::honest(&Arc::new(forge.0)), TempDir::new().unwrap());
        let store = open(&dir.path().join("store"));
        assert!(sync(&store, &[peer.url()], options(root)).is_complete());
        drop(store);
        let started = Instant::now();
        let path = |name| dir.path().join(name).to_str().unwrap().to_owned();
        for format in ["geth-dump", "geth-db", "alloc"] {
            let more = if format == "geth-db" { ["--keys", "hash"].as_slice() } else { &[] };
            let base = ["export", "--datadir", &path("store"), "--format", format, "--out", &path("out")];
            let output = statesync_in(&[], &[&base, more].concat()).exits(4);
            let trie = if of_slots { "the storage of account 0x" } else { "the account trie" };
            let says = |part| output.stderr.contains(part);
            assert!(says(trie) && says("refers to its own nodes again and again"), "{output:?}");
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(started.elapsed() < BOUNDED);
    }
}

#[test]
fn a_survey_of_a_state_with_every_key_ends() {
    let (forge, root, _) = endless(false);
    let peer = Peer::build(&Arc::new(forge.0)).blocks([(0, root), (9, root)]).start();
    let started = Instant::now();
    let found = statesync(["peers", "-r", &peer.url(), "--json"]).exits(0).json();
    assert_eq!(found["peers"][0]["verdict"], "usable", "{found:#}");
    assert!(started.elapsed() < BOUNDED && peer.counts().served < 100_000);
}

#[test]
fn what_is_wrong_below_a_node_that_is_met_often_is_found() {
    // Below a tower that is in order but for its last node.
    let mut forge = Forge::default();
    let root = forge.tower(&leaf(1, &plain_account()), 64);
    assert!(refusal(forge, root).contains("leaf at a path of 65 nibbles"));
}

#[test]
fn a_subtree_that_is_met_often_counts_each_time() {
    // 4,096 keys with one account, three levels below a path of branches that each have another account too.
    let mut forge = Forge::default();
    let words = (0..16).map(|nibble| string(&forge.node(&leaf(62, &string(&[nibble + 1; 20]))).0)).collect::<Vec<_>>();
    let words: Vec<(usize, &[u8])> = words.iter().map(Vec::as_slice).enumerate().collect();
    let shared = string(&forge.node(&branch(&words)).0);
    let storages = [1, 2].map(|own| {
        let own = string(&forge.node(&leaf(63, &string(&[own; 30]))).0);
        forge.node(&branch(&[(3, &shared), (4, &own)]))
    });
    let bottom = leaf(0, &account(&storages[0], &EMPTY_CODE_HASH));
    let mut top = forge.tower(&bottom, 3);
    for depth in (0..61).rev() {
        let storage = if depth == 0 { storages[1] } else { EMPTY_ROOT };
        let beside = forge.node(&leaf(63 - depth, &account(&storage, &EMPTY_CODE_HASH)));
        top = forge.node(&branch(&[(2, &string(&beside.0)), (5, &string(&top.0))]));
    }
    let all = items(&forge.0);
    let (peer, dir) = (Peer::honest(&Arc::new(forge.0)), TempDir::new().unwrap());
    let store = open(dir.path());
    assert!(sync(&store, &[peer.url()], options(top)).is_complete());
    let totals = verified(&store, top);
    assert_eq!((totals.accounts, totals.slots), (4_096 + 61, 4_096 * 17 + 17));
    assert_eq!(totals.nodes, all);
}
