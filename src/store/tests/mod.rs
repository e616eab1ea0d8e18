//! What a store promises, on a real database.

mod loss;
mod model;
mod records;
mod rounds;

use std::path::{Path, PathBuf};

use primitive_types::H256;
use tempfile::TempDir;

use super::{
    Access, Block, Checkpoint, Damage, Durability, FORMAT_VERSION, Marks, Presence, RootRecord, RootState, RoundLimits,
    Store, StoreError, StoreMemory, journal::Journal,
};
use crate::trie::{
    Account, Commit, Complete, Counts, EMPTY_CODE_HASH, EMPTY_ROOT, Key, Kind, Level, TrieBuilder, keccak256,
};

fn new_store() -> (TempDir, Store) {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path(), Access::Create).unwrap();
    (dir, store)
}

fn hash(byte: u8) -> H256 {
    H256::repeat_byte(byte)
}

fn node(byte: u8) -> Key {
    Key { kind: Kind::AccountNode, hash: hash(byte) }
}

fn code(byte: u8) -> Key {
    Key { kind: Kind::Code, hash: hash(byte) }
}

fn complete(key: Key, bytes: Option<&[u8]>, staged: bool) -> Complete {
    let level = if key.kind == Kind::Code { Level::CODE } else { LEVEL };
    Complete { key, level, bytes: bytes.map(<[u8]>::to_vec), staged }
}

/// The level that all nodes here have.
const LEVEL: Level = Level::ROOT;
const NODE: Presence = Presence::Complete { level: LEVEL, is_branch: false };
const CODE: Presence = Presence::Complete { level: Level::CODE, is_branch: false };

fn commit(complete: Vec<Complete>, stage: Vec<(H256, Vec<u8>)>) -> Commit {
    Commit { complete, stage, ..Commit::default() }
}

fn write(store: &Store, commit: &Commit) {
    store.commit(commit, &Marks::default(), Durability::Log).unwrap();
}

/// The bytes of every file in a directory, by name.
fn content(dir: &Path) -> std::collections::BTreeMap<String, Vec<u8>> {
    let files = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    files
        .filter(|file| file.metadata().unwrap().is_file())
        .map(|file| (file.file_name().to_string_lossy().into_owned(), std::fs::read(file.path()).unwrap()))
        .collect()
}

/// Bytes under their own hash: others do not outlive the run in the journal.
fn item(number: u32) -> (H256, Vec<u8>) {
    let bytes = format!("item {number}").into_bytes();
    (keccak256(&bytes), bytes)
}

fn node_at(hash: H256) -> Key {
    Key { kind: Kind::AccountNode, hash }
}

fn code_at(hash: H256) -> Key {
    Key { kind: Kind::Code, hash }
}

fn journal(store: &Store) -> &Journal {
    store.journal.as_ref().unwrap()
}

/// Rows of one family of the database.
fn family_rows(store: &Store, family: &str) -> usize {
    store.db.iterator_cf(store.family(family).unwrap(), rocksdb::IteratorMode::Start).count()
}

/// The files of the journal, in order, with their bytes.
fn journal_files(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let files = std::fs::read_dir(dir.join("journal")).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files.map(|path| (path.clone(), std::fs::read(path).unwrap())).collect();
    files.sort();
    files
}

/// A copy of a store, as it is on the disk.
fn copied(dir: &Path) -> TempDir {
    let copy = TempDir::new().unwrap();
    for (name, bytes) in content(dir) {
        std::fs::write(copy.path().join(name), bytes).unwrap();
    }
    std::fs::create_dir(copy.path().join("journal")).unwrap();
    for (path, bytes) in journal_files(dir) {
        std::fs::write(copy.path().join(path.strip_prefix(dir).unwrap()), bytes).unwrap();
    }
    copy
}

/// The usual memory, but for these limits.
fn memory(round: RoundLimits) -> StoreMemory {
    StoreMemory { round, ..StoreMemory::default() }
}

/// What another process finds when the one that has the store open is killed.
fn killed(dir: &TempDir, store: Store, limits: RoundLimits) -> (TempDir, Store) {
    let copy = copied(dir.path());
    drop(store);
    let store = Store::open_with(copy.path(), Access::Write, memory(limits)).unwrap();
    (copy, store)
}

#[test]
fn what_is_committed_is_present_and_nothing_else() {
    let (_dir, store) = new_store();
    write(
        &store,
        &commit(vec![complete(node(1), Some(b"one"), false), complete(code(2), Some(b"two"), false)], vec![]),
    );
    let keys = [node(3), code(2), node(1), code(1), node(2)];
    let expected = [Presence::Absent, CODE, NODE, Presence::Absent, Presence::Absent];
    assert_eq!(store.presence(&keys).unwrap(), expected);
    assert_eq!(store.node(&hash(1)).unwrap().as_deref(), Some(b"one".as_slice()));
    assert_eq!(store.code(&hash(2)).unwrap().as_deref(), Some(b"two".as_slice()));
}

#[test]
fn nodes_that_are_read_together_are_those_that_are_read_one_by_one() {
    let (_dir, store) = new_store();
    write(&store, &commit((0..200).map(|number| complete(node(number), Some(&[number]), false)).collect(), vec![]));
    store.settle().unwrap();
    write(&store, &commit(vec![complete(node(201), Some(b"in the journal"), false)], vec![]));
    let hashes: Vec<H256> = (0..=255).rev().chain([201, 7, 7]).map(hash).chain([EMPTY_ROOT]).collect();
    let one_by_one: Vec<_> = hashes.iter().map(|hash| store.node(hash).unwrap()).collect();
    assert_eq!(one_by_one.iter().flatten().count(), 200 + 1 + 3 + 1);
    assert_eq!(store.nodes(&hashes).unwrap(), one_by_one);
    assert_eq!(store.nodes(&[]).unwrap(), [] as [Option<Vec<u8>>; 0]);
}

#[test]
fn a_staged_node_is_found_as_staged_until_it_is_complete() {
    let (_dir, store) = new_store();
    write(&store, &commit(vec![], vec![(hash(1), b"one".to_vec())]));
    assert_eq!(store.presence(&[node(1)]).unwrap(), [Presence::Staged(b"one".to_vec())]);
    assert_eq!(store.node(&hash(1)).unwrap(), None, "a staged node is not part of any state");
    assert_eq!(store.staged_nodes().unwrap(), 1);
    write(&store, &commit(vec![complete(node(1), None, true)], vec![]));
    assert_eq!(store.presence(&[node(1)]).unwrap(), [NODE]);
    assert_eq!(store.node(&hash(1)).unwrap().as_deref(), Some(b"one".as_slice()));
    assert_eq!(store.staged_nodes().unwrap(), 0);
}

#[test]
fn a_node_that_staging_should_hold_and_does_not_is_corruption_and_writes_nothing() {
    let (_dir, store) = new_store();
    let broken = commit(vec![complete(node(1), Some(b"one"), false), complete(node(2), None, true)], vec![]);
    let result = store.commit(&broken, &Marks::default(), Durability::Log);
    assert!(matches!(result, Err(StoreError::Corrupt { .. })), "{result:?}");
    assert_eq!(store.presence(&[node(1)]).unwrap(), [Presence::Absent]);
}

#[test]
fn code_that_equals_a_node_is_told_from_it() {
    let (_dir, store) = new_store();
    write(&store, &commit(vec![complete(code(1), Some(b"same"), false)], vec![]));
    assert_eq!(store.presence(&[node(1), code(1)]).unwrap(), [Presence::Absent, CODE]);
}

#[test]
fn data_checkpoint_and_record_outlive_the_process_together() {
    let (dir, store) = new_store();
    let root = hash(9);
    let counts = Counts { nodes: 7, ..Counts::default() };
    let checkpoint = Checkpoint { root, counts, progress: 0.25, scope: None };
    let block = Block { number: 17, hash: hash(8), header: Some("0xc0".into()) };
    let record = RootRecord { state: RootState::Complete, ..RootRecord::syncing(root, Some(block)) };
    let marks = Marks { checkpoint: Some(checkpoint.clone()), root: Some(record.clone()) };
    store.commit(&commit(vec![complete(node(9), Some(b"root"), false)], vec![]), &marks, Durability::Disk).unwrap();
    drop(store);
    let store = Store::open(dir.path(), Access::Write).unwrap();
    assert_eq!(store.checkpoint().unwrap(), Some(checkpoint));
    assert_eq!(store.roots().unwrap(), [record]);
    assert_eq!(store.presence(&[node(9)]).unwrap(), [NODE]);
}

#[test]
fn a_new_sync_forgets_roots_that_were_begun_and_keeps_complete_ones() {
    let (_dir, store) = new_store();
    let finished = RootRecord { state: RootState::Complete, ..RootRecord::syncing(hash(1), None) };
    store
        .commit(&Commit::default(), &Marks { root: Some(finished.clone()), checkpoint: None }, Durability::Log)
        .unwrap();
    store.begin_root(&RootRecord::syncing(hash(2), None)).unwrap();
    store.begin_root(&RootRecord::syncing(hash(3), None)).unwrap();
    assert_eq!(store.roots().unwrap(), [finished, RootRecord::syncing(hash(3), None)]);
}

#[test]
fn syncing_a_complete_root_again_keeps_its_record_and_learns_its_block() {
    let (_dir, store) = new_store();
    let finished = RootRecord { state: RootState::Complete, ..RootRecord::syncing(hash(1), None) };
    store
        .commit(&Commit::default(), &Marks { root: Some(finished.clone()), checkpoint: None }, Durability::Log)
        .unwrap();
    let block = Block { number: 5, hash: hash(5), header: None };
    store.begin_root(&RootRecord::syncing(hash(1), Some(block.clone()))).unwrap();
    assert_eq!(store.roots().unwrap(), [RootRecord { block: Some(block), ..finished }]);
}

#[test]
fn staging_can_be_cleared() {
    let (_dir, store) = new_store();
    write(&store, &commit(vec![], vec![(hash(0), vec![1]), (hash(0x80), vec![2]), (hash(0xff), vec![3])]));
    store.clear_staging().unwrap();
    assert_eq!(store.staged_nodes().unwrap(), 0);
}

#[test]
fn the_chain_is_pinned_once() {
    let (dir, store) = new_store();
    assert_eq!(store.chain_id().unwrap(), None);
    store.pin_chain(1).unwrap();
    store.pin_chain(1).unwrap();
    drop(store);
    let store = Store::open(dir.path(), Access::Write).unwrap();
    assert!(matches!(store.pin_chain(5), Err(StoreError::OtherChain { stored: 1, wanted: 5 })));
    assert_eq!(store.chain_id().unwrap(), Some(1));
}

#[test]
fn one_process_writes_while_others_may_read() {
    let (dir, store) = new_store();
    write(&store, &commit(vec![complete(node(1), Some(b"one"), false)], vec![]));
    for access in [Access::Write, Access::Create] {
        assert!(matches!(Store::open(dir.path(), access), Err(StoreError::Locked { .. })), "{access:?}");
    }
    store.settle().unwrap();
    let reader = Store::open(dir.path(), Access::Read).unwrap();
    assert_eq!(reader.presence(&[node(1)]).unwrap(), [NODE]);
}

#[test]
fn where_no_store_is_none_is_made_by_reading() {
    let dir = TempDir::new().unwrap();
    let missing = dir.path().join("missing");
    for access in [Access::Read, Access::Write] {
        assert!(matches!(Store::open(&missing, access), Err(StoreError::Absent { .. })), "{access:?}");
        assert!(matches!(Store::open(dir.path(), access), Err(StoreError::Absent { .. })), "{access:?}");
    }
    assert!(!missing.exists());
}

#[test]
fn a_directory_with_other_files_is_left_alone() {
    let dir = TempDir::new().unwrap();
    std::fs::write(dir.path().join("thesis.txt"), "important").unwrap();
    let before = content(dir.path());
    assert!(matches!(Store::open(dir.path(), Access::Create), Err(StoreError::NotAStore { .. })));
    assert_eq!(content(dir.path()), before);
}

#[test]
fn another_programs_database_is_left_alone() {
    let dir = TempDir::new().unwrap();
    let db = rocksdb::DB::open_default(dir.path()).unwrap();
    db.put(b"key", b"value").unwrap();
    drop(db);
    let opened = Store::open(dir.path(), Access::Create);
    assert!(matches!(opened, Err(StoreError::OtherFormat { .. })), "{opened:?}");
    let db = rocksdb::DB::open_default(dir.path()).unwrap();
    assert_eq!(db.get(b"key").unwrap().as_deref(), Some(b"value".as_slice()));
}

#[test]
fn a_database_of_another_engine_is_refused() {
    let dir = TempDir::new().unwrap();
    std::fs::write(dir.path().join("CURRENT"), "MANIFEST-000004\n").unwrap();
    let before = content(dir.path());
    let opened = Store::open(dir.path(), Access::Create);
    assert!(matches!(opened, Err(StoreError::OtherFormat { .. })), "{opened:?}");
    assert_eq!(content(dir.path()).get("CURRENT"), before.get("CURRENT"));
}

#[test]
fn a_store_of_a_later_format_is_refused() {
    let (dir, store) = new_store();
    drop(store);
    let options = rocksdb::Options::default();
    let db = rocksdb::DB::open_cf(&options, dir.path(), ["nodes", "codes", "staging", "meta"]).unwrap();
    let meta = db.cf_handle("meta").unwrap();
    db.put_cf(meta, b"format", (FORMAT_VERSION + 1).to_be_bytes()).unwrap();
    drop(db);
    let opened = Store::open(dir.path(), Access::Write);
    assert!(matches!(&opened, Err(StoreError::OtherFormat { found, .. }) if found == "format 4"), "{opened:?}");
}

#[test]
fn a_store_whose_making_was_interrupted_is_made_anew() {
    let dir = TempDir::new().unwrap();
    drop(rocksdb::DB::open_default(dir.path()));
    let store = Store::open(dir.path(), Access::Create).unwrap();
    write(&store, &commit(vec![complete(node(1), Some(b"one"), false)], vec![]));
}

#[test]
fn a_record_that_is_no_json_is_reported_with_its_name() {
    let (dir, store) = new_store();
    drop(store);
    let options = rocksdb::Options::default();
    let db = rocksdb::DB::open_cf(&options, dir.path(), ["nodes", "codes", "staging", "meta"]).unwrap();
    db.put_cf(db.cf_handle("meta").unwrap(), b"checkpoint", b"{").unwrap();
    drop(db);
    let store = Store::open(dir.path(), Access::Read).unwrap();
    let error = store.checkpoint().unwrap_err().to_string();
    assert!(error.contains("record checkpoint"), "{error}");
}

#[test]
fn the_records_have_a_fixed_form_on_disk() {
    let checkpoint = Checkpoint { root: hash(0xab), counts: Counts::default(), progress: 0.5, scope: None };
    let record = RootRecord::syncing(hash(0xcd), Some(Block { number: 3, hash: hash(0xef), header: None }));
    let root = |byte: &str| format!("0x{}", byte.repeat(32));
    assert_eq!(
        serde_json::to_value(checkpoint).unwrap(),
        serde_json::json!({
            "root": root("ab"),
            "counts": {
                "accounts": 0, "slots": 0, "codes": 0, "nodes": 0, "bytes": 0,
                "nodes_reused": 0, "codes_reused": 0, "nodes_staged": 0,
            },
            "progress": 0.5,
        })
    );
    assert_eq!(
        serde_json::to_value(record).unwrap(),
        serde_json::json!({
            "root": root("cd"),
            "block": { "number": 3, "hash": root("ef"), "header": null },
            "state": "syncing",
            "totals": null,
        })
    );
}

#[test]
fn a_node_is_stored_with_its_level_and_read_without() {
    let (dir, store) = new_store();
    let at = |key, bytes, staged, level| Complete { level: Level::from_byte(level), ..complete(key, bytes, staged) };
    write(&store, &commit(vec![at(node(1), Some(b"one"), false, 3)], vec![(hash(2), b"two".to_vec())]));
    write(&store, &commit(vec![at(node(2), None, true, 129)], vec![]));
    let level = |level| Presence::Complete { level: Level::from_byte(level), is_branch: false };
    assert_eq!(store.presence(&[node(1), node(2)]).unwrap(), [level(3), level(129)]);
    assert_eq!(store.node(&hash(2)).unwrap().as_deref(), Some(b"two".as_slice()));
    store.settle().unwrap();
    drop(store);
    let options = rocksdb::Options::default();
    let db = rocksdb::DB::open_cf(&options, dir.path(), ["nodes", "codes", "staging", "meta"]).unwrap();
    let row = |byte| db.get_cf(db.cf_handle("nodes").unwrap(), hash(byte)).unwrap().unwrap();
    assert_eq!([row(1), row(2)], [b"\x03one", b"\x81two"]);
}

#[test]
fn a_store_of_format_1_is_refused() {
    let (dir, store) = new_store();
    drop(store);
    let options = rocksdb::Options::default();
    let db = rocksdb::DB::open_cf(&options, dir.path(), ["nodes", "codes", "staging", "meta"]).unwrap();
    db.put_cf(db.cf_handle("meta").unwrap(), b"format", 1_u32.to_be_bytes()).unwrap();
    drop(db);
    let opened = Store::open(dir.path(), Access::Write);
    assert!(matches!(&opened, Err(StoreError::OtherFormat { found, .. }) if found == "format 1"), "{opened:?}");
}

/// A store with two states of two accounts each: of both, the hash of a leaf and that of the root.
fn two_roots() -> (TempDir, Store, [H256; 4]) {
    let (dir, store) = new_store();
    let account = |nonce| Account { nonce, balance: 1.into(), storage_root: EMPTY_ROOT, code_hash: EMPTY_CODE_HASH };
    let mut made = Vec::new();
    for keys in [[0x10, 0x20], [0x01, 0x02]] {
        let mut builder = TrieBuilder::new(|path, hash, rlp: &[u8]| {
            let level = Level::new(Kind::AccountNode, &path);
            let key = Key { kind: Kind::AccountNode, hash };
            made.push(Complete { key, level, bytes: Some(rlp.to_vec()), staged: false });
            Ok::<_, std::convert::Infallible>(())
        });
        keys.iter().for_each(|key| builder.add(hash(*key), &account(u64::from(*key)).encode()).unwrap());
        builder.finish().unwrap();
    }
    let hashes: Vec<H256> = made.iter().map(|complete| complete.key.hash).collect();
    write(&store, &commit(made, vec![]));
    for root in [hashes[2], hashes[hashes.len() - 1]] {
        let record = RootRecord { state: RootState::Complete, ..RootRecord::syncing(root, None) };
        store.commit(&Commit::default(), &Marks { checkpoint: None, root: Some(record) }, Durability::Log).unwrap();
    }
    // Leaf, root over it; the other root's leaf, and that root.
    let picked = [hashes[0], hashes[2], hashes[3], hashes[hashes.len() - 1]];
    (dir, store, picked)
}

#[test]
fn what_is_above_damage_goes_back_to_staging_and_its_root_is_damaged() {
    let (_dir, store, [leaf, root, _, other]) = two_roots();
    let retracted = store.retract(&Damage { nodes: [leaf].into(), ..Damage::default() }).unwrap();
    assert_eq!((retracted.nodes, retracted.roots), (1, vec![root]));
    assert_eq!(store.node(&leaf).unwrap(), None);
    assert_eq!(store.node(&root).unwrap(), None);
    assert_eq!(store.staged_nodes().unwrap(), 1);
    assert_eq!(store.root(&root).unwrap().unwrap().state, RootState::Damaged);
    assert_eq!(store.root(&other).unwrap().unwrap().state, RootState::Complete);
    assert!(store.node(&other).unwrap().is_some(), "what is not above it stays");
}

#[test]
fn a_node_with_a_wrong_level_goes_back_to_staging_itself() {
    let (_dir, store, [leaf, root, ..]) = two_roots();
    let retracted = store.retract(&Damage { levels: [leaf].into(), ..Damage::default() }).unwrap();
    assert_eq!((retracted.nodes, retracted.roots), (2, vec![root]));
    assert_eq!(store.staged_nodes().unwrap(), 2);
}

#[test]
fn staging_is_kept_while_a_root_is_damaged_and_a_new_sync_does_not_forget_it() {
    let (_dir, store, [leaf, root, ..]) = two_roots();
    store.retract(&Damage { nodes: [leaf].into(), ..Damage::default() }).unwrap();
    store.begin_root(&RootRecord::syncing(hash(3), None)).unwrap();
    store.clear_staging().unwrap();
    assert_eq!(store.staged_nodes().unwrap(), 1);
    assert_eq!(store.root(&root).unwrap().unwrap().state, RootState::Damaged);
}
