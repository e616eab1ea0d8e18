//! The wall clock decides nothing.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::support::{FailIo, MEDIUM, Peer, Seed, in_memory, state, statesync, statesync_in};

#[test]
fn a_sync_whose_wall_clock_jumps_by_days_completes() {
    let Some(library) = FailIo::build() else { return };
    let seed = Seed::or(36);
    let (memory, [summary]) = in_memory([&state(seed.0, MEDIUM)]);
    let peer = Peer::honest(&memory);
    let dir = TempDir::new().unwrap();
    let (path, url, root) = (dir.path().to_str().unwrap(), peer.url(), format!("{:?}", summary.root));
    let sync = ["sync", "-r", &url, "--root", &root, "--datadir", path, "--json", "--max-duration", "60"];
    let output = statesync_in(&library.jumping_clock().pairs(), &sync).exits(0);
    assert_eq!(output.json()["nodes_fetched"], summary.nodes);
    assert!(output.json()["duration_ms"].as_u64() < Some(60_000));
    statesync(["verify", "--datadir", path]).exits(0);
}

/// Tokens carry the time at which they were made, and a peer may say by a date how long to wait; that wait has a limit.
/// What geth imports says when it was made.
#[test]
fn the_wall_clock_is_read_for_tokens_and_for_dates_in_headers_and_exports_and_for_nothing_else() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut readers = BTreeSet::new();
    let mut dirs = vec![src.clone()];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else if std::fs::read_to_string(&path).unwrap().contains("SystemTime") {
                readers.insert(path.strip_prefix(&src).unwrap().to_owned());
            }
        }
    }
    readers.retain(|path| !path.iter().any(|part| part == "tests"));
    let transports = ["headers", "http", "jwt", "retry_after", "ws"];
    let transports = transports.map(|name| PathBuf::from(format!("peers/transport/{name}.rs")));
    let expected = transports.into_iter().chain([PathBuf::from("export/geth_db.rs")]).collect();
    assert_eq!(readers, expected);
}
