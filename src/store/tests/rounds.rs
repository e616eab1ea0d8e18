//! Rounds of the journal: full ones become tables while all that is in them is found, and kills leave any number.

use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::store::RoundLimits;

/// Rounds so small that a few commits fill one.
const SMALL: RoundLimits = RoundLimits { rows: 40, bytes: 1 << 20 };

/// What the thread that looks things up may know: how many commits there were.
const COMMITS: u32 = 60;

/// Nodes and codes of one commit.
const EACH: u32 = 8;

fn open_small(dir: &Path) -> Store {
    Store::open_with(dir, Access::Create, memory(SMALL)).unwrap()
}

#[test]
fn what_is_committed_is_found_before_while_and_after_its_round_is_sorted() {
    let dir = TempDir::new().unwrap();
    let store = open_small(dir.path());
    let committed = AtomicU32::new(0);
    // Of each commit: nodes that are complete at once, nodes that the next one completes, codes.
    let items = |commit: u32, kind: u32| (0..EACH).map(move |number| item(1_000 * commit + 100 * kind + number));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..COMMITS {
                let (at_once, codes) = (items(number, 0), items(number, 2));
                let mut rows: Vec<Complete> =
                    at_once.map(|(hash, bytes)| complete(node_at(hash), Some(&bytes), false)).collect();
                rows.extend(codes.map(|(hash, bytes)| complete(code_at(hash), Some(&bytes), false)));
                if let Some(before) = number.checked_sub(1) {
                    rows.extend(items(before, 1).map(|(hash, _)| complete(node_at(hash), None, true)));
                }
                let durability = if number % 3 == 0 { Durability::Disk } else { Durability::Log };
                store.commit(&commit(rows, items(number, 1).collect()), &Marks::default(), durability).unwrap();
                committed.store(number + 1, Ordering::Release);
            }
        });
        let mut seen = 0;
        while seen < COMMITS {
            seen = committed.load(Ordering::Acquire);
            for number in 0..seen {
                let keys = |kind: u32| items(number, kind).map(|(hash, _)| node_at(hash)).collect::<Vec<_>>();
                let codes: Vec<Key> = items(number, 2).map(|(hash, _)| code_at(hash)).collect();
                assert!(store.presence(&keys(0)).unwrap().iter().all(|presence| *presence == NODE));
                assert!(store.presence(&codes).unwrap().iter().all(|presence| *presence == CODE));
                for ((hash, bytes), presence) in items(number, 1).zip(store.presence(&keys(1)).unwrap()) {
                    let is_staged = presence == Presence::Staged(bytes);
                    let completed = number + 1 < seen;
                    assert!(presence == NODE || (is_staged && !completed), "{hash:?} of {number}: {presence:?}");
                }
                let (hash, bytes) = items(number, 0).next().unwrap();
                assert_eq!(store.node(&hash).unwrap(), Some(bytes));
            }
        }
    });
    assert!(journal(&store).mark().round > 10, "{:?}", journal(&store).mark());
}

#[test]
fn rounds_that_a_kill_has_left_become_tables_together() {
    let dir = TempDir::new().unwrap();
    let store = open_small(dir.path());
    let [(parent, above), (child, below), (code, bytes)] = [1, 2, 3].map(item);
    let first = commit(vec![complete(code_at(code), Some(&bytes), false)], vec![(parent, above.clone())]);
    store.commit(&first, &Marks::default(), Durability::Log).unwrap();
    // The kill comes when the round is full and nothing is sorted.
    drop(store.rotate(journal(&store)).unwrap());
    store.commit(&commit(vec![], vec![(child, below.clone())]), &Marks::default(), Durability::Log).unwrap();
    let (_copy, store) = killed(&dir, store, SMALL);
    let keys = [node_at(parent), node_at(child), code_at(code)];
    assert_eq!(store.presence(&keys).unwrap(), [Presence::Staged(above), Presence::Staged(below), CODE]);
    let rows = [child, parent].map(|hash| complete(node_at(hash), None, true));
    store.commit(&commit(rows.into(), vec![]), &Marks::default(), Durability::Log).unwrap();
    store.settle().unwrap();
    assert_eq!(store.presence(&keys).unwrap(), [NODE, NODE, CODE]);
    assert_eq!(["nodes", "codes", "staging"].map(|family| family_rows(&store, family)), [2, 1, 0]);
    assert_eq!(store.staged_nodes().unwrap(), 0);
}

#[test]
fn what_a_killed_run_had_given_to_the_database_is_not_staged_again() {
    let dir = TempDir::new().unwrap();
    let store = open_small(dir.path());
    let (hash, bytes) = item(1);
    let rows = vec![complete(node_at(hash), Some(&bytes), false)];
    store.commit(&commit(rows, vec![]), &Marks::default(), Durability::Log).unwrap();
    let files = journal_files(dir.path());
    store.settle().unwrap();
    // It was killed before it had deleted them.
    files.iter().for_each(|(path, bytes)| std::fs::write(path, bytes).unwrap());
    let (_copy, store) = killed(&dir, store, SMALL);
    assert_eq!(store.presence(&[node_at(hash)]).unwrap(), [NODE]);
    store.settle().unwrap();
    assert_eq!(family_rows(&store, "staging"), 0);
    assert_eq!(store.presence(&[node_at(hash)]).unwrap(), [NODE]);
}

#[test]
fn what_a_round_leaves_staged_moves_to_staging_and_completes_from_there() {
    let dir = TempDir::new().unwrap();
    let store = open_small(dir.path());
    let staged: Vec<(H256, Vec<u8>)> = (0..40).map(item).collect();
    store.commit(&commit(vec![], staged.clone()), &Marks::default(), Durability::Log).unwrap();
    assert_eq!((journal(&store).mark().round, family_rows(&store, "staging")), (2, 40), "the round was not full");
    for (hash, bytes) in &staged {
        assert_eq!(store.presence(&[node_at(*hash)]).unwrap(), [Presence::Staged(bytes.clone())]);
    }
    let rows = staged.iter().take(10).map(|(hash, _)| complete(node_at(*hash), None, true)).collect();
    store.commit(&commit(rows, vec![]), &Marks::default(), Durability::Log).unwrap();
    for (number, (hash, bytes)) in staged.iter().enumerate() {
        let expected = if number < 10 { NODE } else { Presence::Staged(bytes.clone()) };
        assert_eq!(store.presence(&[node_at(*hash)]).unwrap(), [expected]);
    }
    assert_eq!(family_rows(&store, "staging"), 40, "a loss of power could take the other copies");
    store.commit(&Commit::default(), &Marks::default(), Durability::Disk).unwrap();
    assert_eq!(family_rows(&store, "staging"), 30);
}

#[test]
fn a_row_that_a_kill_has_left_in_staging_and_in_the_journal_goes_when_it_is_complete() {
    let dir = TempDir::new().unwrap();
    let store = open_small(dir.path());
    let (hash, bytes) = item(1);
    store.commit(&commit(vec![], vec![(hash, bytes)]), &Marks::default(), Durability::Log).unwrap();
    store.settle().unwrap();
    let rows = || vec![complete(node_at(hash), None, true)];
    store.commit(&commit(rows(), vec![]), &Marks::default(), Durability::Log).unwrap();
    let (_copy, store) = killed(&dir, store, SMALL);
    assert_eq!(family_rows(&store, "staging"), 1);
    store.commit(&commit(rows(), vec![]), &Marks::default(), Durability::Disk).unwrap();
    assert_eq!(family_rows(&store, "staging"), 0);
    assert_eq!(store.presence(&[node_at(hash)]).unwrap(), [NODE]);
}

#[test]
fn a_commit_that_fails_takes_nothing_out_of_staging() {
    let (_dir, store) = new_store();
    let [(staged, bytes), (missing, _)] = [1, 2].map(item);
    write(&store, &commit(vec![], vec![(staged, bytes.clone())]));
    store.settle().unwrap();
    let rows = [staged, missing].map(|hash| complete(node_at(hash), None, true));
    let failed = store.commit(&commit(rows.into(), vec![]), &Marks::default(), Durability::Log);
    assert!(matches!(failed, Err(StoreError::Corrupt { .. })), "{failed:?}");
    store.commit(&Commit::default(), &Marks::default(), Durability::Disk).unwrap();
    assert_eq!(store.presence(&[node_at(staged)]).unwrap(), [Presence::Staged(bytes)]);
}

#[test]
fn what_is_complete_stays_so_when_it_is_staged_again() {
    let (_dir, store) = new_store();
    let (hash, bytes) = item(1);
    write(&store, &commit(vec![complete(node_at(hash), Some(&bytes), false)], vec![]));
    write(&store, &commit(vec![], vec![(hash, bytes)]));
    assert_eq!(store.presence(&[node_at(hash)]).unwrap(), [NODE]);
}

#[test]
fn a_round_that_cannot_be_sorted_is_heard_of_at_the_next_commit_and_nothing_is_lost() {
    let dir = TempDir::new().unwrap();
    let store = open_small(dir.path());
    // Where the table is to be.
    let obstacle = dir.path().join("journal/nodes-0.sst");
    std::fs::create_dir(&obstacle).unwrap();
    let rows =
        |from: u32| (from..from + 40).map(item).map(|(hash, bytes)| complete(node_at(hash), Some(&bytes), false));
    store.commit(&commit(rows(0).collect(), vec![]), &Marks::default(), Durability::Log).unwrap();
    let next = || store.commit(&Commit::default(), &Marks::default(), Durability::Log);
    let error = loop {
        match next() {
            Ok(()) => std::thread::yield_now(),
            Err(error) => break error,
        }
    };
    let text = error.to_string();
    assert!(text.starts_with(&format!("the disk of {} failed, ", dir.path().display())), "{text}");
    assert!(matches!(next(), Err(StoreError::FailedBefore { .. })));
    assert!(matches!(store.sync(), Err(StoreError::FailedBefore { .. })));
    let keys: Vec<Key> = rows(0).map(|complete| complete.key).collect();
    assert!(store.presence(&keys).unwrap().iter().all(|presence| *presence == NODE));
    drop(store);
    std::fs::remove_dir(&obstacle).unwrap();
    let store = open_small(dir.path());
    assert!(store.presence(&keys).unwrap().iter().all(|presence| matches!(presence, Presence::Staged(_))));
}
