//! Peers over a WebSocket and over IPC.

use std::fs;
use std::time::Duration;

use statesync::peers::PoolLimits;
use statesync::pipeline::SyncOptions;
use tempfile::TempDir;

use crate::support::{
    Answer, Bridge, KEY, MEDIUM, Peer, SMALL, Seed, in_memory, items, open, options, state, statesync_in, sync,
    verified,
};

#[test]
fn a_state_comes_over_a_websocket_and_an_ipc_socket_as_it_does_over_http() {
    let seed = Seed::or(70);
    let (memory, [summary]) = in_memory([&state(seed.0, SMALL)]);
    let peer = Peer::honest(&memory);
    let dir = TempDir::new().unwrap();
    let (websocket, ipc) = (Bridge::websocket(&peer), Bridge::ipc(&peer, dir.path()));
    for (name, url) in [("ws", format!("ws://{}", websocket.address())), ("ipc", ipc.address().to_owned())] {
        let store = open(&dir.path().join(name));
        let report = sync(&store, std::slice::from_ref(&url), options(summary.root));
        assert!(report.is_complete(), "{:?}", report.outcome);
        assert_eq!(verified(&store, summary.root).nodes, summary.nodes);
        let (shown, stats) = &report.peers[0];
        assert_eq!((shown, stats.nodes, stats.errors, stats.corrupt), (&url, items(&memory), 0, 0));
    }
    // One for each request at a time, and used again and again.
    let most = PoolLimits::default().requests_per_peer as u64;
    for bridge in [&websocket, &ipc] {
        assert!((1..=most).contains(&bridge.connections()), "{}", bridge.connections());
    }
}

#[test]
fn peers_over_all_wires_complete_a_state_together() {
    let seed = Seed::or(71);
    let (memory, [summary]) = in_memory([&state(seed.0, MEDIUM)]);
    // As slow as a network, so that none is done before the others begin.
    let slow = || Peer::new(&memory, |request| Answer::After(Duration::from_millis(5), Box::new(request.honest())));
    let (one, two, three) = (slow(), slow(), slow());
    let dir = TempDir::new().unwrap();
    let (websocket, ipc) = (Bridge::websocket(&two), Bridge::ipc(&three, dir.path()));
    let urls = [one.url(), format!("ws://{}", websocket.address()), ipc.address().to_owned()];
    let store = open(&dir.path().join("store"));
    let options = options(summary.root);
    let limits = PoolLimits { batch_items: 64, ..options.limits };
    let report = sync(&store, &urls, SyncOptions { limits, ..options });
    assert!(report.is_complete(), "{:?}", report.outcome);
    assert_eq!(verified(&store, summary.root).nodes, summary.nodes);
    for (url, stats) in &report.peers {
        assert!(stats.nodes > 0 && stats.errors + stats.corrupt == 0, "{url}: {stats:?}");
    }
}

#[test]
fn a_header_opens_a_peer_that_wants_one_and_is_never_printed() {
    let seed = Seed::or(72);
    let (memory, [summary]) = in_memory([&state(seed.0, SMALL)]);
    let peer = Peer::honest(&memory);
    let bridge = Bridge::locked_websocket(&peer);
    let dir = TempDir::new().unwrap();
    let (root, url) = (format!("{:?}", summary.root), format!("ws://{}", bridge.address()));
    let store = dir.path().join("store");
    let run = |more: &[&str]| {
        let sync = ["sync", "-r", &url, "--root", &root, "--datadir", store.to_str().unwrap(), "-vv"];
        statesync_in(&[("RUST_LOG", "trace")], &[&sync, more].concat())
    };
    let refused = run(&[]);
    assert!(refused.code != Some(0) && refused.stderr.contains("401"), "{refused:#?}");
    let header = format!("{}: {}", KEY.0, KEY.1);
    for output in [run(&["-H", &header, "-n"]).exits(0), run(&["-H", &header]).exits(0)] {
        assert!(!output.stdout.contains(KEY.1) && !output.stderr.contains(KEY.1), "{output:#?}");
    }
}

#[test]
fn bad_headers_and_secrets_exit_with_2_before_anything_is_touched() {
    let dir = TempDir::new().unwrap();
    let (new, file) = (dir.path().join("new"), dir.path().join("jwt.hex"));
    fs::write(&file, "s3cr3t").unwrap();
    let missing = dir.path().join("missing");
    let (file, missing) = (file.to_str().unwrap(), missing.to_str().unwrap());
    for (arguments, said) in [
        (["-H", "s3cr3t"], "-H number 1: there is no colon"),
        (["-H", "x y: s3cr3t"], "not a header's name"),
        (["-H", "content-length: 12"], "content-length is set by the program"),
        (["-H", "x-key:"], "x-key has no value"),
        (["--rpc-jwt-secret", file], file),
        (["--rpc-jwt-secret", missing], missing),
        (["--rpc-compression", "brotli"], "auto, on, off"),
    ] {
        let root = format!("0x{}", "07".repeat(32));
        let sync = ["sync", "-r", "http://127.0.0.1:1", "--root", &root, "--datadir", new.to_str().unwrap()];
        let output = statesync_in(&[], &[&sync[..], &arguments].concat()).exits(2);
        assert!(output.stderr.contains(said) && !output.stderr.contains("s3cr3t"), "{output:#?}");
        assert!(!new.exists());
    }
}
