//! Peers that want to do harm: beside an honest one they change nothing, alone they bring an error and nothing else.

use std::fs;
use std::process::Child;
use std::sync::Arc;
use std::time::Duration;

use primitive_types::H256;
use statesync::genesis::StateSummary;
use statesync::peers::{Client, Compression, ConnectOptions, PoolLimits};
use statesync::pipeline::{Outcome, SyncError, SyncOptions};
use statesync::serve::MemoryState;
use tempfile::TempDir;

use crate::hostile::{Body, Harm, Head, Hostile};
use crate::support::{
    Answer, Content, Peer, SMALL, Seed, assert_all_hashes_are_right, in_memory, open, options, patience, spawn, state,
    sync, verified,
};

/// What the program may hold while it is harmed: far less than what the peers would have it hold. The state is small,
/// so the scheduler's budget is not used.
const PEAK_BYTES_MAX: u64 = 320 << 20;

fn small(seed: u64) -> (Arc<MemoryState>, StateSummary) {
    let (memory, [summary]) = in_memory([&state(Seed::or(seed).0, SMALL)]);
    (memory, summary)
}

/// Limits with which what is slow is given up soon.
fn impatient(root: H256) -> SyncOptions {
    let options = options(root);
    let limits = PoolLimits { outage_patience: Duration::from_millis(400), absent_rounds: 1, ..options.limits };
    SyncOptions { limits, request_timeout: Duration::from_millis(200), ..options }
}

/// Runs a check for every harm, some at a time.
fn for_each_harm(check: impl Fn(Harm) + Sync) {
    let harms = Harm::all();
    std::thread::scope(|scope| {
        for part in harms.chunks(harms.len().div_ceil(4)) {
            scope.spawn(|| part.iter().for_each(|harm| check(*harm)));
        }
    });
}

#[test]
fn beside_an_honest_peer_no_harm_is_done() {
    let (memory, summary) = small(80);
    for_each_harm(|harm| {
        let dir = TempDir::new().unwrap();
        let hostile = Hostile::start(harm, 80, true, dir.path());
        // Slow enough that the other is asked too.
        let honest = Peer::new(&memory, |request| Answer::After(Duration::from_millis(4), request.honest().into()));
        let store = open(&dir.path().join("store"));
        let options = impatient(summary.root);
        let limits = PoolLimits { batch_items: 32, ..options.limits };
        let urls = [hostile.url().to_owned(), honest.url()];
        let report = sync(&store, &urls, SyncOptions { limits, ..options });
        assert!(report.is_complete(), "{harm:?}: {:?}", report.outcome);
        assert_eq!(verified(&store, summary.root).nodes, summary.nodes, "{harm:?}");
        assert!(hostile.harmed() > 0, "{harm:?} was not met");
        assert_eq!((report.peers[0].1.nodes, hostile.trapped()), (0, 0), "{harm:?}");
        drop(store);
        assert_all_hashes_are_right(&dir.path().join("store"));
    });
}

#[test]
fn alone_each_harm_ends_with_an_error_that_can_be_read_and_nothing_is_stored() {
    let root = H256::repeat_byte(0x80);
    for_each_harm(|harm| {
        let dir = TempDir::new().unwrap();
        let hostile = Hostile::start(harm, 81, true, dir.path());
        let store = open(&dir.path().join("store"));
        let report = sync(&store, &[hostile.url().to_owned()], impatient(root));
        let Outcome::Failed(error) = report.outcome else { panic!("{harm:?}: {:?}", report.outcome) };
        assert!(matches!(error, SyncError::NoPeers { .. } | SyncError::Unavailable { .. }), "{harm:?}: {error}");
        let said = error.to_string();
        assert!(said.len() < 1_000 && said.chars().all(|character| !character.is_control()), "{harm:?}: {said:?}");
        assert!(hostile.harmed() > 0 && hostile.trapped() == 0, "{harm:?}");
        drop(store);
        assert_eq!(Content::read(&dir.path().join("store")).rows(), 0, "{harm:?}");
    });
}

#[test]
fn a_bomb_is_defused_where_replies_may_be_packed() {
    let dir = TempDir::new().unwrap();
    let bomb = Hostile::start(Harm::Http(Body::GzipBomb), 82, false, dir.path());
    let options = ConnectOptions { compression: Compression::On, ..ConnectOptions::default() };
    let client = Client::with_options(bomb.url().parse().unwrap(), patience(), &options).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let error = runtime.block_on(client.call("eth_chainId", serde_json::json!([]))).unwrap_err();
    assert!(error.to_string().contains("longer than"), "{error}");
}

#[test]
fn the_program_stays_small_and_finishes_with_every_harm_at_once() {
    let (memory, summary) = small(83);
    let dir = TempDir::new().unwrap();
    for polite in [true, false] {
        let start = |harm| Hostile::start(harm, 83, polite, dir.path());
        let hostile: Vec<Hostile> = Harm::all().into_iter().map(start).collect();
        let honest = Peer::new(&memory, |request| Answer::After(Duration::from_millis(5), request.honest().into()));
        let (root, store) = (format!("{:?}", summary.root), dir.path().join(format!("store-{polite}")));
        let mut arguments = vec!["sync", "--root", &root, "--datadir", store.to_str().unwrap(), "--rpc-timeout", "0.3"];
        arguments.extend(["--dialect", "hash", "--rpc-compression", "on", "--batch-size", "16"]);
        let honest_url = honest.url();
        arguments.extend(["-r", &honest_url]);
        hostile.iter().for_each(|peer| arguments.extend(["-r", peer.url()]));
        let (peak, output) = watch(spawn(&arguments));
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.chars().all(|character| character == '\n' || !character.is_control()), "{said:?}");
        assert!(said.len() < 64 << 10, "{} bytes were said", said.len());
        assert!(peak < PEAK_BYTES_MAX, "{} MiB at the peak", peak >> 20);
        eprintln!("polite {polite}: {} MiB at the peak", peak >> 20);
        assert!(hostile.iter().all(|peer| peer.trapped() == 0));
        assert_eq!(verified(&open(&store), summary.root).nodes, summary.nodes);
        assert_all_hashes_are_right(&store);
    }
}

#[test]
fn redirects_are_not_followed() {
    let dir = TempDir::new().unwrap();
    let elsewhere = Hostile::start(Harm::Head(Head::Redirect), 84, false, dir.path());
    let client = Client::new(elsewhere.url().parse().unwrap(), patience()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let error = runtime.block_on(client.call("eth_chainId", serde_json::json!([]))).unwrap_err();
    assert!(error.to_string().contains("HTTP status 307"), "{error}");
    assert_eq!(elsewhere.trapped(), 0);
}

/// Waits for the end of a program, and says how much memory it had at most.
fn watch(mut child: Child) -> (u64, std::process::Output) {
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let line = fs::read_to_string(&status).ok();
        let line = line.as_deref().and_then(|text| text.lines().find_map(|line| line.strip_prefix("VmHWM:")));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
        peak = peak.max(kib.unwrap_or_default() << 10);
        std::thread::sleep(Duration::from_millis(2));
    }
    (peak, child.wait_with_output().unwrap())
}
