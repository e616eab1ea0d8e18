//! Roots that mean harm: every hash below them is right, and what is below them is no state, or one without an end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use primitive_types::H256;
use rlp::RlpStream;
use statesync::genesis::StateSink;
use statesync::pipeline::{Outcome, SyncError};
use statesync::serve::MemoryState;
use statesync::trie::{EMPTY_CODE_HASH, EMPTY_ROOT, Level, keccak256};
use tempfile::TempDir;

use crate::support::{
    CODES, NODES, Peer, STAGING, Served, assert_all_hashes_are_right, items, open, options, rows, statesync, sync,
    verified,
};

/// Far more than any of this takes; what is without an end takes longer.
const BOUNDED: Duration = Duration::from_secs(60);

/// Nodes and codes made by hand.
#[derive(Default)]
struct Forge(MemoryState);

impl Forge {
    fn node(&mut self, rlp: &[u8]) -> H256 {
        let Ok(()) = StateSink::node(&mut self.0, Level::ROOT, keccak256(rlp), rlp);
        keccak256(rlp)
    }

    fn code(&mut self, code: &[u8]) -> H256 {
        let Ok(()) = StateSink::code(&mut self.0, keccak256(code), code);
        keccak256(code)
    }

    /// A root whose first child is this node, and whose second is an account.
    fn root_over(&mut self, node: &[u8]) -> H256 {
        let (child, other) = (self.node(node), self.node(&leaf(63, &plain_account())));
        self.node(&branch(&[(0, &string(&child.0)), (1, &string(&other.0))]))
    }

    /// A root whose only accounts have these storage roots.
    fn root_of(&mut self, storage_roots: &[H256]) -> H256 {
        let leaves: Vec<Vec<u8>> = storage_roots
            .iter()
            .map(|storage| string(&self.node(&leaf(63, &account(storage, &EMPTY_CODE_HASH))).0))
            .collect();
        let other = string(&self.node(&leaf(63, &plain_account())).0);
        let children: Vec<(usize, &[u8])> = (0..).zip(leaves.iter().map(Vec::as_slice)).collect();
        self.node(&branch(&[children.as_slice(), &[(15, &other)]].concat()))
    }

    /// Branches above a node at this depth, each with the next one for all of its children: 16 to the power of the
    /// depth places hold the node.
    fn tower(&mut self, node: &[u8], depth: usize) -> H256 {
        let reference = |rlp: &[u8]| if rlp.len() < 32 { rlp.to_vec() } else { string(&keccak256(rlp).0) };
        let mut top = node.to_vec();
        for _ in 0..depth {
            self.node(&top);
            let child = reference(&top);
            top = branch(&std::array::from_fn::<_, 16, _>(|nibble| (nibble, child.as_slice())));
        }
        self.node(&top)
    }
}

fn string(bytes: &[u8]) -> Vec<u8> {
    rlp::encode(&bytes).to_vec()
}

/// A list of items that are RLP already.
fn list(items: &[&[u8]]) -> Vec<u8> {
    let mut stream = RlpStream::new_list(items.len());
    for item in items {
        stream.append_raw(item, 1);
    }
    stream.out().to_vec()
}

/// A path as it stands in a leaf or an extension.
fn hex_prefix(nibbles: &[u8], leaf: bool) -> Vec<u8> {
    let flag = if leaf { 2 } else { 0 };
    let (first, rest) = match nibbles.split_first() {
        Some((first, rest)) if nibbles.len() % 2 == 1 => ((flag + 1) << 4 | first, rest),
        _ => (flag << 4, nibbles),
    };
    [&[first][..], &rest.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect::<Vec<_>>()].concat()
}

/// A leaf with so many nibbles left.
fn leaf(nibbles: usize, value: &[u8]) -> Vec<u8> {
    list(&[&string(&hex_prefix(&vec![7; nibbles], true)), &string(value)])
}

fn extension(nibbles: usize, child: &H256) -> Vec<u8> {
    list(&[&string(&hex_prefix(&vec![7; nibbles], false)), &string(&child.0)])
}

/// A branch with these children, which are RLP already.
fn branch(children: &[(usize, &[u8])]) -> Vec<u8> {
    branch_with(children, &[0x80])
}

fn branch_with(children: &[(usize, &[u8])], value: &[u8]) -> Vec<u8> {
    let mut all = [[0x80].as_slice(); 17];
    children.iter().for_each(|(nibble, child)| all[*nibble] = child);
    all[16] = value;
    list(&all)
}

fn account(storage_root: &H256, code_hash: &H256) -> Vec<u8> {
    list(&[&[0x01], &[0x02], &string(&storage_root.0), &string(&code_hash.0)])
}

fn plain_account() -> Vec<u8> {
    account(&EMPTY_ROOT, &EMPTY_CODE_HASH)
}

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
    while level.len() > 1 {
        let hashes: Vec<Vec<u8>> = level.iter().map(|hash| string(&hash.0)).collect();
        let parent = |children: &[Vec<u8>]| {
            let children: Vec<(usize, &[u8])> = children.iter().map(Vec::as_slice).enumerate().collect();
            branch(&children)
        };
        level = hashes.chunks(16).map(|children| forge.node(&parent(children))).collect();
    }
    let (root, all) = (level[0], items(&forge.0));
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
