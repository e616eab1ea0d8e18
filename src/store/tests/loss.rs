//! What is left after a kill or a loss of power: commits as the database's log has them, and rows as the journal has them.

use super::*;
use crate::store::journal::Mark;
use crate::store::{StoreMemory, journal::Journal};

const ROOT: H256 = H256::repeat_byte(9);

/// Two nodes whose rows are in different files of the journal.
fn apart() -> [(H256, Vec<u8>); 2] {
    let first = item(1);
    let other = (2..100).map(item).find(|(hash, _)| hash.0[0] >> 4 != first.0.0[0] >> 4).unwrap();
    [first, other]
}

fn counting(nodes: u64) -> Checkpoint {
    Checkpoint { root: ROOT, counts: Counts { nodes, ..Counts::default() }, progress: 0.5, scope: None }
}

fn stage(store: &Store, rows: &[(H256, Vec<u8>)], counted: u64, durability: Durability) {
    let marks = Marks { checkpoint: Some(counting(counted)), root: None };
    store.commit(&commit(vec![], rows.to_vec()), &marks, durability).unwrap();
}

fn counted(store: &Store) -> Option<u64> {
    store.checkpoint().unwrap().map(|checkpoint| checkpoint.counts.nodes)
}

fn is_staged(store: &Store, rows: &[(H256, Vec<u8>)]) -> Vec<bool> {
    let presences = rows.iter().map(|(hash, _)| store.presence(&[node_at(*hash)]).unwrap().remove(0));
    presences.map(|presence| matches!(presence, Presence::Staged(_))).collect()
}

/// The file of the journal that has a row.
fn file_of(dir: &Path, hash: &H256) -> std::path::PathBuf {
    dir.join(format!("journal/00000001-{:x}.log", hash.0[0] >> 4))
}

fn cut(path: &Path, length: u64) {
    std::fs::OpenOptions::new().write(true).open(path).unwrap().set_len(length).unwrap();
}

#[test]
fn when_the_journal_has_lost_its_end_the_checkpoint_of_the_last_sync_counts() {
    let (dir, store) = new_store();
    let [first, second] = apart();
    stage(&store, std::slice::from_ref(&first), 1, Durability::Disk);
    stage(&store, std::slice::from_ref(&second), 2, Durability::Log);
    let (copy, store) = killed(&dir, store, StoreMemory::default().round);
    assert_eq!(counted(&store), Some(2), "a kill takes nothing");
    drop(store);
    cut(&file_of(copy.path(), &second.0), 0);
    for time in ["first", "second"] {
        let store = Store::open(copy.path(), Access::Write).unwrap();
        assert_eq!(counted(&store), Some(1), "the {time} time");
        assert_eq!(is_staged(&store, &[first.clone(), second.clone()]), [true, false]);
    }
}

#[test]
fn what_one_file_of_the_journal_has_more_does_not_make_up_for_what_another_lacks() {
    let (dir, store) = new_store();
    let [first, second] = apart();
    stage(&store, &[], 0, Durability::Disk);
    stage(&store, std::slice::from_ref(&first), 1, Durability::Log);
    let copy = copied(dir.path());
    stage(&store, std::slice::from_ref(&second), 2, Durability::Log);
    // The log has the first commit. Of the journal, the first row is lost, and the second is there.
    let file = file_of(copy.path(), &second.0);
    std::fs::copy(file_of(dir.path(), &second.0), &file).unwrap();
    cut(&file_of(copy.path(), &first.0), 0);
    let store = Store::open(copy.path(), Access::Write).unwrap();
    assert_eq!(counted(&store), Some(0));
    assert_eq!(is_staged(&store, &[first, second]), [false, false]);
}

#[test]
fn what_the_log_does_not_tell_of_was_not_committed() {
    let (dir, store) = new_store();
    let rows: Vec<(H256, Vec<u8>)> = (0..64).map(item).collect();
    stage(&store, &rows[..32], 32, Durability::Log);
    let copy = copied(dir.path());
    stage(&store, &rows[32..], 64, Durability::Log);
    let first = journal_files(dir.path());
    store.settle().unwrap();
    stage(&store, &[item(100)], 65, Durability::Log);
    // The journal is ahead of the log, within the round and by one round.
    first.into_iter().chain(journal_files(dir.path())).for_each(|(path, bytes)| {
        std::fs::write(copy.path().join(path.strip_prefix(dir.path()).unwrap()), bytes).unwrap();
    });
    let store = Store::open(copy.path(), Access::Write).unwrap();
    assert_eq!(counted(&store), Some(32));
    assert!(is_staged(&store, &rows[..32]).into_iter().all(|is| is));
    assert!(!is_staged(&store, &rows[32..]).into_iter().any(|is| is));
    assert_eq!((store.staged_nodes().unwrap(), is_staged(&store, &[item(100)])), (32, vec![false]));
    drop(store);
    assert_eq!(Store::open(copy.path(), Access::Read).unwrap().staged_nodes().unwrap(), 32);
}

#[test]
fn when_even_what_was_synced_is_damaged_nothing_is_counted() {
    let (dir, store) = new_store();
    let [first, second] = apart();
    stage(&store, &[first.clone(), second.clone()], 2, Durability::Disk);
    let (copy, store) = killed(&dir, store, StoreMemory::default().round);
    drop(store);
    let file = file_of(copy.path(), &first.0);
    cut(&file, std::fs::metadata(&file).unwrap().len() - 1);
    let store = Store::open(copy.path(), Access::Write).unwrap();
    assert_eq!((counted(&store), is_staged(&store, &[first, second])), (None, vec![false, true]));
}

#[test]
fn wherever_a_file_of_the_journal_is_cut_the_whole_records_before_that_are_kept() {
    let (dir, store) = new_store();
    let rows: Vec<(H256, Vec<u8>)> = (0..24).map(item).collect();
    let codes: Vec<(H256, Vec<u8>)> = (100..104).map(item).collect();
    let complete = codes.iter().map(|(hash, bytes)| complete(code_at(*hash), Some(bytes), false)).collect();
    write(&store, &commit(complete, rows.clone()));
    let mark = journal(&store).mark();
    drop(store);
    for (path, whole) in journal_files(dir.path()) {
        if whole.is_empty() {
            continue;
        }
        // In the order of the file, each with its end.
        let find = |place: usize| rows.iter().chain(&codes).find(|(hash, _)| whole[place..].starts_with(&hash.0));
        let mut ends: Vec<(H256, usize)> = Vec::new();
        while let Some((hash, bytes)) = find(ends.last().map_or(0, |(_, end)| *end) + 5) {
            ends.push((*hash, ends.last().map_or(0, |(_, end)| *end) + 38 + bytes.len()));
            if ends.last().unwrap().1 == whole.len() {
                break;
            }
        }
        for length in 0..=whole.len() {
            for zeros in [false, true] {
                cut(&path, length as u64);
                if zeros {
                    cut(&path, whole.len() as u64);
                }
                let journal = Journal::open(dir.path(), StoreMemory::default().round, &mark).unwrap();
                for (hash, end) in &ends {
                    let is_there = journal.staged(hash).unwrap().is_some() || journal.code(hash).unwrap().is_some();
                    assert_eq!(is_there, *end <= length, "{} cut at {length}", path.display());
                }
                assert!(mark.covers(&journal.mark()));
                assert_eq!(journal.mark().covers(&mark), length == whole.len());
                std::fs::write(&path, &whole).unwrap();
            }
        }
    }
}

#[test]
fn a_store_of_format_2_is_read_as_it_is_and_becomes_one_of_this_format_when_it_is_written() {
    let (dir, store) = new_store();
    let [(staged, rlp), (done, row)] = [1, 2].map(item);
    drop(store);
    let options = rocksdb::Options::default();
    let db = rocksdb::DB::open_cf(&options, dir.path(), ["nodes", "codes", "staging", "meta"]).unwrap();
    let put = |family, key: &[u8], value: &[u8]| db.put_cf(db.cf_handle(family).unwrap(), key, value).unwrap();
    put("meta", b"format", &2_u32.to_be_bytes());
    put("meta", b"checkpoint", &serde_json::to_vec(&counting(2)).unwrap());
    put("staging", &staged.0, &rlp);
    put("nodes", &done.0, &[&[0], row.as_slice()].concat());
    drop(db);
    std::fs::remove_dir_all(dir.path().join("journal")).unwrap();
    let keys = [node_at(staged), node_at(done)];

    let reader = Store::open(dir.path(), Access::Read).unwrap();
    assert_eq!((reader.format().unwrap(), reader.staged_nodes().unwrap(), counted(&reader)), (2, 1, Some(2)));
    assert_eq!(reader.presence(&keys).unwrap(), [Presence::Staged(rlp.clone()), NODE]);
    drop(reader);
    assert!(!dir.path().join("journal").exists(), "reading has made something");

    let store = Store::open(dir.path(), Access::Write).unwrap();
    assert_eq!((store.format().unwrap(), counted(&store)), (3, Some(2)));
    assert_eq!(store.presence(&keys).unwrap(), [Presence::Staged(rlp), NODE]);
    let [third] = [item(3)];
    stage(&store, std::slice::from_ref(&third), 3, Durability::Log);
    let (copy, other) = killed(&dir, store, StoreMemory::default().round);
    drop(other);
    cut(&file_of(copy.path(), &third.0), 0);
    let store = Store::open(copy.path(), Access::Write).unwrap();
    assert_eq!(counted(&store), Some(2), "what it counted when it was of format 2");
    let rows = vec![complete(node_at(staged), None, true)];
    store.commit(&commit(rows, vec![]), &Marks::default(), Durability::Disk).unwrap();
    store.settle().unwrap();
    assert_eq!(store.presence(&keys).unwrap(), [NODE, NODE]);
    assert_eq!(["nodes", "staging"].map(|family| family_rows(&store, family)), [2, 0]);
}

#[test]
fn a_mark_says_nothing_of_a_journal_that_was_never_begun() {
    let dir = TempDir::new().unwrap();
    let journal = Journal::open(dir.path(), StoreMemory::default().round, &Mark::default()).unwrap();
    assert!(journal.is_empty());
    assert!(journal.mark().covers(&Mark::default()));
}

#[test]
fn a_table_that_the_database_refers_to_and_has_lost_is_taken_from_the_journal() {
    let (dir, store) = new_store();
    let rows: Vec<(H256, Vec<u8>)> = (0..20).map(item).collect();
    let complete = rows.iter().map(|(hash, bytes)| complete(node_at(*hash), Some(bytes), false)).collect();
    write(&store, &commit(complete, vec![]));
    let (hash, bytes) = item(100);
    write(&store, &commit(vec![super::complete(code_at(hash), Some(&bytes), false)], vec![]));
    store.settle().unwrap();
    drop(store);
    // As when an ingestion has failed after it was noted: the tables are where they were written, in any order.
    let tables: Vec<String> = content(dir.path())
        .into_keys()
        .filter(|name| Path::new(name).extension().is_some_and(|extension| extension == "sst"))
        .collect();
    let to = |place: usize| dir.path().join(format!("journal/nodes-{place}.sst"));
    let place = |(place, name): (usize, &String)| std::fs::rename(dir.path().join(name), to(place)).unwrap();
    tables.iter().rev().enumerate().for_each(place);
    assert!(tables.len() >= 2, "{tables:?}");
    let read = Store::open(dir.path(), Access::Read);
    assert!(matches!(read, Err(StoreError::Damaged { .. })), "{read:?}");
    let store = Store::open(dir.path(), Access::Write).unwrap();
    assert!(rows.iter().all(|(hash, bytes)| store.node(hash).unwrap().as_ref() == Some(bytes)));
    assert_eq!(store.code(&hash).unwrap(), Some(bytes));
}
