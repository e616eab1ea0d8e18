//! A disk that fails: the sync ends and says so, and what was committed before is whole.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use primitive_types::H256;
use rustix::process::Signal;
use statesync::genesis::StateSummary;
use statesync::serve::MemoryState;
use statesync::store::{Access, Durability, Marks, RootRecord, Store, StoreError};
use statesync::trie::{Commit, Complete, Key, Kind, Level, keccak256};
use tempfile::TempDir;

use crate::support::{
    CODES, Content, DiskFailure, DiskFault, FailIo, MEDIUM, NODES, Output, Peer, References, SMALL, Seed, Shape,
    Traced, Watched, copy, end_by, in_memory, items, open, options, rows, spawn, state, statesync, statesync_in, sync,
    verified,
};

/// What a sync does with files: far more than it does of each kind.
const OPERATIONS_MAX: u64 = 200;

const OPERATIONS: [&str; 7] = ["write", "sync", "rename", "create", "remove", "link", "cut"];

/// A state, a peer that has it, and what has to be true of a store of it.
struct Scene {
    memory: Arc<MemoryState>,
    summary: StateSummary,
    references: References,
    peer: Peer,
}

impl Scene {
    fn new(seed: &Seed, shape: Shape) -> Self {
        let (memory, [summary]) = in_memory([&state(seed.0, shape)]);
        let references = References::of(&memory, &[summary.root]);
        let peer = Peer::honest(&memory);
        Self { memory, summary, references, peer }
    }

    fn arguments(&self, dir: &Path) -> Vec<String> {
        let (url, root, dir) = (self.peer.url(), format!("{:?}", self.summary.root), dir.to_str().unwrap());
        let arguments = ["sync", "-r", &url, "--root", &root, "--datadir", dir, "--json", "--no-progress"];
        arguments.map(str::to_owned).to_vec()
    }

    /// Stops a sync halfway, and leaves what it has committed in the write log.
    fn half_synced(&self, dir: &Path) {
        self.peer.allow(items(&self.memory) / 2);
        let arguments = self.arguments(dir);
        let child = spawn(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        self.peer.wait_for_limit();
        end_by(Signal::INT, child).exits(130);
        self.peer.allow(u64::MAX);
    }

    /// Lets a sync run into each failure there is. `begin` makes the directory.
    fn fail_everywhere(&self, library: &FailIo, begin: impl Fn(&Path)) {
        let (mut runs, mut failed, mut hit) = (0, 0, Vec::new());
        for op in OPERATIONS {
            for at in 1..OPERATIONS_MAX {
                // Every failure comes for the first time at each operation; whether it stays varies.
                let how = if at % 2 == 0 { DiskFailure::Full } else { DiskFailure::Broken };
                let fault = DiskFault { op, at, how, sticky: at % 4 < 2 };
                let dir = TempDir::new().unwrap();
                let dir = dir.path().join("store");
                begin(&dir);
                let output = self.run(library, &dir, fault);
                if !output.stderr.contains("fail_io") {
                    output.exits(0);
                    break;
                }
                runs += 1;
                hit.extend(
                    output.stderr.lines().find(|line| line.contains("fail_io")).map(|line| (op, line.to_owned())),
                );
                failed += u64::from(output.code == Some(1));
                assert_ends_well(&output, &dir, fault);
                self.assert_whole(&dir, fault);
            }
        }
        eprintln!("{runs} failures of the disk, {failed} of which ended the sync");
        assert!(runs >= 100 && failed >= 80, "{runs} {failed}");
        let was_hit = |op, dir: &str, ending: &str| {
            let is_it = |line: &str| line.contains(dir) && line.contains(&format!("{ending}\""));
            assert!(hit.iter().any(|(of, line)| *of == op && is_it(line)), "no {op} of {dir}*{ending}");
        };
        ["write", "sync", "create", "remove"].iter().for_each(|op| was_hit(*op, "/journal/", ".log"));
        ["write", "sync", "create"].iter().for_each(|op| was_hit(*op, "/journal/", ".sst"));
        was_hit("link", "/store/", ".sst");
    }

    fn run(&self, library: &FailIo, dir: &Path, fault: DiskFault) -> Output {
        let arguments = self.arguments(dir);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        statesync_in(&library.fault(dir, fault).pairs(), &arguments)
    }

    /// Nothing is stored that should not be, and the next sync completes.
    fn assert_whole(&self, dir: &Path, fault: DiskFault) {
        match Store::open(dir, Access::Read) {
            Ok(store) => {
                drop(store);
                self.references.assert_presence_means_completeness(dir);
            }
            // It failed while the store was being made, and nothing is in it.
            Err(why) => assert!(matches!(why, StoreError::Absent { .. }), "{fault:?}: {why}"),
        }
        let store = open(dir);
        let report = sync(&store, &[self.peer.url()], options(self.summary.root));
        assert!(report.is_complete(), "{fault:?}: {:?}", report.outcome);
        assert_eq!(verified(&store, self.summary.root).nodes, self.summary.nodes);
    }
}

/// Either nothing was lost by the failure, or the sync failed and names the disk.
fn assert_ends_well(output: &Output, dir: &Path, fault: DiskFault) {
    match output.code {
        Some(0) => assert_eq!(output.json()["complete"], true, "{fault:?}"),
        Some(1) => {
            let error = output.stderr.lines().find(|line| line.starts_with("error: ")).unwrap_or_default();
            let dir = dir.to_str().unwrap();
            assert!(error.contains(&format!("the disk of {dir} failed")) && error.contains(" free: "), "{output:#?}");
            let hint = |line: &str| line.starts_with("hint: ") && line.contains("disk") && line.contains("run again");
            assert!(output.stderr.lines().any(hint), "{output:#?}");
        }
        _ => panic!("{fault:?}: {output:#?}"),
    }
}

#[test]
fn a_disk_that_fails_at_any_moment_of_a_first_sync_ends_it_and_the_next_one_completes() {
    let Some(library) = FailIo::build() else { return };
    Scene::new(&Seed::or(31), SMALL).fail_everywhere(library, |_| {});
}

#[test]
fn a_disk_that_fails_at_any_moment_of_a_resume_ends_it_and_the_next_one_completes() {
    let Some(library) = FailIo::build() else { return };
    let scene = Scene::new(&Seed::or(32), SMALL);
    let half = TempDir::new().unwrap();
    scene.half_synced(half.path());
    scene.fail_everywhere(library, |dir| copy(half.path(), dir));
}

#[test]
fn a_lock_file_that_cannot_be_made_is_not_mistaken_for_another_process() {
    let Some(library) = FailIo::build() else { return };
    let scene = Scene::new(&Seed::or(33), SMALL);
    let dir = TempDir::new().unwrap();
    // LOG comes before it.
    let fault = DiskFault { op: "create", at: 2, how: DiskFailure::Broken, sticky: false };
    let output = scene.run(library, dir.path(), fault).exits(1);
    assert!(output.stderr.contains("/LOCK\"}"), "{}", output.stderr);
    assert!(!output.stderr.contains("in use"), "{}", output.stderr);
}

#[test]
fn after_a_failed_sync_of_the_log_nothing_is_written_to_it() {
    let Some(library) = FailIo::build() else { return };
    let seed = Seed::or(34);
    let scene = Scene::new(&seed, MEDIUM);
    for at in 1..OPERATIONS_MAX {
        let (dir, traces) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let trace = traces.path().join("trace");
        let fault = DiskFault { op: "sync", at, how: DiskFailure::Broken, sticky: false };
        let environment = [library.fault(dir.path(), fault), library.trace(dir.path(), &trace)];
        let environment: Vec<_> = environment.iter().flat_map(|set| set.pairs()).collect();
        let arguments = scene.arguments(dir.path());
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let output = statesync_in(&environment, &arguments);
        if !output.stderr.contains("fail_io") {
            assert!(at > 10, "only {at} syncs");
            return;
        }
        let trace = Traced::read(&trace);
        let failed = trace.iter().position(|line| line.failed && line.is_of_log());
        let after = failed.map(|place| &trace[place + 1..]).unwrap_or_default();
        let written = after.iter().find(|line| line.is_of_log() && line.op == "write");
        assert_eq!(written, None, "{fault:?}");
        assert!(failed.is_none() || output.code == Some(1), "{fault:?}: {output:#?}");
    }
}

/// A process whose disk fails can only be another one: this test starts itself again.
#[test]
fn a_store_whose_disk_failed_once_takes_nothing_more_until_it_is_opened_again() {
    const NAME: &str = "disk_faults::a_store_whose_disk_failed_once_takes_nothing_more_until_it_is_opened_again";
    if let Some(dir) = std::env::var_os("FAIL_IO_DIR") {
        commit_until_it_fails(Path::new(&dir));
        return;
    }
    let Some(library) = FailIo::build() else { return };
    for (op, at, how) in [
        ("sync", 30, DiskFailure::Broken),
        ("sync", 30, DiskFailure::Full),
        ("write", 60, DiskFailure::Broken),
        ("write", 60, DiskFailure::Full),
    ] {
        let dir = TempDir::new().unwrap();
        let fault = DiskFault { op, at, how, sticky: false };
        let mut again = Command::new(std::env::current_exe().unwrap());
        again.args(["--exact", NAME, "--nocapture"]).envs(library.fault(dir.path(), fault).pairs());
        let output = again.output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && text.contains("fail_io"), "{fault:?}: {text}");
        // Those before it are there, those after it are not. Of the one that failed nobody knows.
        let committed = text.lines().filter(|line| line.contains("committed ")).count();
        let there = rows(dir.path(), CODES).len();
        assert!(there == committed || there == committed + 1, "{there} rows of {committed} commits");
        let store = open(dir.path());
        store.commit(&one_code(0xff), &Marks::default(), Durability::Disk).unwrap();
        drop(store);
        assert_eq!(rows(dir.path(), CODES).len(), there + 1);
        assert!(rows(dir.path(), NODES).is_empty());
    }
}

fn one_code(byte: u8) -> Commit {
    let bytes = vec![byte; 3];
    let key = Key { kind: Kind::Code, hash: keccak256(&bytes) };
    Commit {
        complete: vec![Complete { key, level: Level::CODE, bytes: Some(bytes), staged: false }],
        ..Commit::default()
    }
}

fn commit_until_it_fails(dir: &Path) {
    let store = Store::open(dir, Access::Create).unwrap();
    let mut numbers = 0..0xfe_u8;
    for number in numbers.by_ref() {
        match store.commit(&one_code(number), &Marks::default(), Durability::Disk) {
            Ok(()) => eprintln!("committed {number}"),
            Err(_) => break,
        }
    }
    for number in numbers.by_ref().take(3) {
        store.commit(&one_code(number), &Marks::default(), Durability::Log).unwrap_err();
    }
    let error = store.sync().unwrap_err().to_string();
    assert!(error.contains("failed before"), "{error}");
    store.clear_staging().unwrap_err();
    store.pin_chain(1).unwrap_err();
    store.begin_root(&RootRecord::syncing(H256::zero(), None)).unwrap_err();
}

fn is_table(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "sst")
}

#[test]
fn a_second_signal_ends_a_sync_whose_disk_hangs_and_what_was_committed_is_kept() {
    let Some(library) = FailIo::build() else { return };
    let scene = Scene::new(&Seed::or(35), MEDIUM);
    let dir = TempDir::new().unwrap();
    scene.half_synced(dir.path());
    let before = Content::read(dir.path());
    // How many syncs there are until what is complete becomes a table.
    let traces = TempDir::new().unwrap();
    let trial = traces.path().join("store");
    copy(dir.path(), &trial);
    let trace = traces.path().join("trace");
    let arguments = scene.arguments(&trial);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    statesync_in(&library.trace(&trial, &trace).pairs(), &arguments).exits(0);
    let trace = Traced::read(&trace);
    let mut syncs = trace.iter().filter(|line| line.op == "sync");
    let at = 1 + syncs
        .position(|line| line.path.parent().unwrap().ends_with("journal") && is_table(&line.path))
        .unwrap() as u64;

    let arguments = scene.arguments(dir.path());
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let fault = DiskFault { op: "sync", at, how: DiskFailure::Hangs, sticky: false };
    let mut run = Watched::start_in(&library.fault(dir.path(), fault).pairs(), &arguments);
    run.until("the disk hangs", |message| message["fail_io"] == "sync");
    run.signal(Signal::INT);
    run.until_said("once more to end at once");
    run.signal(Signal::TERM);
    let output = run.end().exits(143);
    assert!(!output.stderr.contains("error: "), "{}", output.stderr);
    assert!(before.hashes().is_subset(&Content::read(dir.path()).hashes()));
    scene.assert_whole(dir.path(), fault);
    statesync(["verify", "--datadir", dir.path().to_str().unwrap()]).exits(0);
}
