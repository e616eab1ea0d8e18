//! A loss of power: what was not synced to the disk is gone.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use statesync::pipeline::COMMIT_ITEMS;
use tempfile::TempDir;

use crate::support::{
    Content, FailIo, MEDIUM, Peer, References, Rng, Seed, Traced, copy, end_by, files, in_memory, items, open,
    patience, spawn_in, state, statesync,
};

/// Moments at which the power goes.
const LOSSES: u64 = 12;

/// What is left of what was not synced.
#[derive(Clone, Copy, Debug)]
enum Left {
    /// Nothing: files that never were synced are gone.
    Nothing,
    /// Nothing: files that never were synced are empty.
    Names,
    /// Of each log and each file of the journal as much as it happens, of other files nothing.
    Some,
}

/// Cuts every file to the length that it had when it was last synced, or to one since.
fn lose_power(dir: &Path, trace: &Path, left: Left, rng: &mut Rng) {
    let synced = synced(trace);
    for path in files(dir) {
        let metadata = std::fs::metadata(&path).unwrap();
        let size = synced.get(&metadata.ino()).copied();
        let is_log = path.extension().is_some_and(|extension| extension == "log");
        match (left, size) {
            (Left::Some, size) if is_log => {
                let size = size.unwrap_or(0);
                let unsynced = metadata.len().saturating_sub(size);
                let kept = if rng.chance(30) { unsynced } else { rng.below(unsynced + 1) };
                cut(&path, size + kept);
            }
            (_, Some(size)) => cut(&path, size),
            (Left::Names, None) => cut(&path, 0),
            (_, None) => std::fs::remove_file(&path).unwrap(),
        }
    }
}

/// The sizes at the last sync, by inode.
fn synced(trace: &Path) -> HashMap<u64, u64> {
    let mut sizes = HashMap::new();
    for line in Traced::read(trace) {
        match line.op.as_str() {
            // An inode may have been another file's before.
            "create" => drop(sizes.remove(&line.inode)),
            "sync" => drop(sizes.insert(line.inode, line.size)),
            _ => {}
        }
    }
    sizes
}

fn cut(path: &Path, size: u64) {
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    if file.metadata().unwrap().len() > size {
        file.set_len(size).unwrap();
    }
}

fn counted(dir: &Path) -> u64 {
    // Opened for writing, which is when a loss is noticed: a copy, since what this process writes is in no trace.
    let copied = TempDir::new().unwrap();
    copy(dir, copied.path());
    let store = open(copied.path());
    let counts = store.checkpoint().unwrap().map(|checkpoint| checkpoint.counts).unwrap_or_default();
    counts.nodes + counts.codes
}

/// Whether the write log's last write has been synced.
fn log_is_synced(trace: &Path) -> bool {
    let of_log = Traced::read(trace).into_iter().filter(Traced::is_of_log);
    let (mut written, mut synced) = (HashMap::new(), HashMap::new());
    for line in of_log {
        match line.op.as_str() {
            "sync" => drop(synced.insert(line.inode, line.size)),
            "write" => drop(written.insert(line.inode, line.size)),
            _ => {}
        }
    }
    written.iter().all(|(inode, size)| synced.get(inode) >= Some(size))
}

#[test]
fn a_loss_of_power_at_any_moment_leaves_a_store_that_is_whole_and_resumes() {
    let Some(library) = FailIo::build() else { return };
    let seed = Seed::or(39);
    let mut rng = seed.rng();
    let (memory, [summary]) = in_memory([&state(seed.0, MEDIUM)]);
    let references = References::of(&memory, &[summary.root]);
    let peer = Peer::honest(&memory);
    let dir = TempDir::new().unwrap();
    let traces = TempDir::new().unwrap();
    let trace = traces.path().join("trace");
    let path = dir.path().join("store");
    let (text, url, root) = (path.to_str().unwrap(), peer.url(), format!("{:?}", summary.root));
    let sync = ["sync", "-r", &url, "--root", &root, "--datadir", text, "--json", "--no-progress"];
    let environment = library.trace(&path, &trace);
    let (mut lost, mut losses_of_commits) = (0, 0);
    for loss in 0..LOSSES {
        peer.allow(1 + rng.below(items(&memory) / LOSSES * 2));
        let child = spawn_in(&environment.pairs(), &sync);
        if loss % 3 == 2 {
            // Also right after it has begun, while the store is being made or opened.
            std::thread::sleep(Duration::from_millis(rng.below(40)));
        } else {
            peer.wait_for_limit();
            std::thread::sleep(Duration::from_millis(300 + rng.below(600)));
        }
        end_by(Signal::KILL, child);
        let readable = || statesync(["status", "--datadir", text]).code == Some(0);
        let before = if readable() { Content::read(&path) } else { Content::default() };
        let left = [Left::Nothing, Left::Some, Left::Names, Left::Some][usize::try_from(loss % 4).unwrap()];
        lose_power(&path, &trace, left, &mut rng);
        if readable() {
            let counted = counted(&path);
            let after = Content::read(&path);
            references.assert_complete(&after);
            assert!(after.hashes().is_subset(&before.hashes()), "there is more than before");
            assert!(counted <= after.rows(), "{left:?}: {counted} are counted, {} are there", after.rows());
            lost += before.rows() - after.rows();
            losses_of_commits += u64::from(after.rows() < before.rows());
        } else {
            assert_eq!(before.rows(), 0, "the store is gone");
        }
    }
    eprintln!("{LOSSES} losses of power, {losses_of_commits} of which cost commits: {lost} items");
    assert!(losses_of_commits > 0, "the log was synced at each of them");

    peer.allow(u64::MAX);
    statesync(sync).exits(0);
    let verified = statesync(["verify", "--datadir", text, "--json"]).exits(0).json();
    assert_eq!((&verified["nodes"], &verified["codes"]), (&summary.nodes.into(), &summary.codes.into()));
}

#[test]
fn what_was_committed_is_synced_soon_even_when_nothing_more_comes() {
    let Some(library) = FailIo::build() else { return };
    let seed = Seed::or(40);
    let (memory, [summary]) = in_memory([&state(seed.0, MEDIUM)]);
    let peer = Peer::honest(&memory);
    let dir = TempDir::new().unwrap();
    let traces = TempDir::new().unwrap();
    let trace = traces.path().join("trace");
    let (text, url, root) = (dir.path().to_str().unwrap(), peer.url(), format!("{:?}", summary.root));
    let sync = ["sync", "-r", &url, "--root", &root, "--datadir", text, "--rpc-timeout", "1000"];
    let allowed = COMMIT_ITEMS as u64 + 100;
    peer.allow(allowed);
    let child = spawn_in(&library.trace(dir.path(), &trace).pairs(), &sync);
    // From here on the peer is stuck, and so is the sync; what has come is committed and has to become safe.
    let begun = Instant::now();
    peer.wait_for_limit();
    // The root has been read more than once, to find out what the peer speaks.
    let served = peer.counts().by_hash.len() as u64;
    while !(committed(dir.path(), served) && log_is_synced(&trace)) {
        assert!(begun.elapsed() < patience(), "it was not synced");
        std::thread::sleep(Duration::from_millis(20));
    }
    end_by(Signal::KILL, child);
    let (before, counted_before) = (Content::read(dir.path()), counted(dir.path()));
    lose_power(dir.path(), &trace, Left::Names, &mut seed.rng());
    assert_eq!(counted(dir.path()), counted_before);
    assert!(Content::read(dir.path()) == before, "something was lost");
}

/// Whether all that came is in the store.
fn committed(dir: &Path, items: u64) -> bool {
    let status = statesync(["status", "--datadir", dir.to_str().unwrap(), "--json"]).exits(0).json();
    let root = &status["roots"][0];
    root["nodes"].as_u64().unwrap() + root["codes"].as_u64().unwrap() >= items
}
