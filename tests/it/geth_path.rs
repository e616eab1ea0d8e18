//! A real geth as it is by default, with one state on its disk.

use std::path::Path;

use primitive_types::H256;
use serde_json::Value;
use statesync::trie::{Event, Place, Walk};
use tempfile::TempDir;

use crate::geth::sync;
use crate::support::{Geth, geth_is_wanted, open};

/// Keys of a request: half of what geth takes.
const BATCH: usize = 500;

/// A node's key in geth's path scheme, in hex: a prefix, the account of a storage trie, and a byte for each nibble.
fn key(place: &Place) -> String {
    let nibbles = hex(&place.path.iter().collect::<Vec<u8>>());
    match place.owner {
        Some(owner) => format!("0x4f{}{nibbles}", hex(owner.as_bytes())),
        None => format!("0x41{nibbles}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    faster_hex::hex_string(bytes)
}

fn root_of(block: &Value) -> H256 {
    block["state_root"].as_str().unwrap().parse().unwrap()
}

/// Every node of a block's state with its place, as it comes from the archive.
fn nodes_of(archive: &Geth, block: &Value, dir: &Path) -> Vec<(Place, Vec<u8>)> {
    sync(&[archive.url()], block, dir);
    let store = open(dir);
    let mut nodes = Vec::new();
    for event in Walk::new(store.as_ref(), Place::root(None, root_of(block)), |_| true) {
        if let Event::Node { place, .. } = event.unwrap() {
            nodes.push((place, store.node(&place.hash).unwrap().unwrap()));
        }
    }
    nodes
}

/// How many of the nodes are under their paths on the node's disk, byte for byte.
fn found(geth: &Geth, nodes: &[(Place, Vec<u8>)]) -> usize {
    let count = |nodes: &[(Place, Vec<u8>)]| {
        let values = geth.read(&nodes.iter().map(|(place, _)| key(place)).collect::<Vec<_>>());
        let same = |(value, (_, rlp)): &(Option<String>, &(Place, Vec<u8>))| *value == Some(format!("0x{}", hex(rlp)));
        values.into_iter().zip(nodes).filter(same).count()
    };
    nodes.chunks(BATCH).map(count).sum()
}

#[test]
fn a_path_node_has_an_archives_nodes_under_their_paths_for_one_block_that_moves() {
    if !geth_is_wanted() {
        return;
    }
    let dir = TempDir::new().unwrap();
    let archive = Geth::start(&dir.path().join("archive"), &["--blocks", "138"]);
    let path = Geth::start(&dir.path().join("path"), &["--scheme", "path"]);
    for same in ["blocks", "head"] {
        assert_eq!(archive.chain[same], path.chain[same], "{same}");
    }

    let before = archive.block("last");
    assert_eq!(path.chain["disk_root"], before["state_root"]);
    assert_eq!(&path.state("disk"), before);
    let nodes_before = nodes_of(&archive, before, &dir.path().join("before"));
    assert_eq!(found(&path, &nodes_before), nodes_before.len());
    // By their hashes it has none.
    let hashes: Vec<String> = nodes_before.iter().take(BATCH).map(|(place, _)| format!("{:?}", place.hash)).collect();
    assert!(path.read(&hashes).iter().all(Option::is_none));
    assert!(archive.read(&hashes).iter().all(Option::is_some));

    let (grown, as_archive) = (path.grow(20), archive.grow(20));
    for same in ["blocks", "head"] {
        assert_eq!(grown[same], as_archive[same], "{same}");
    }
    let moved = |state: &Value, by: u64| state["last_state_id"].as_u64().unwrap() + by;
    assert_eq!(moved(&grown, 0), moved(&path.chain, 20));
    let after = archive.state(&grown["disk_block"].to_string());
    assert_eq!(grown["disk_root"], after["state_root"]);
    assert_eq!(path.state("disk"), after);
    let nodes_after = nodes_of(&archive, &after, &dir.path().join("after"));
    assert_eq!(found(&path, &nodes_after), nodes_after.len());
    let left = found(&path, &nodes_before);
    assert!(left < nodes_before.len() && left > nodes_before.len() / 2, "{left} of {}", nodes_before.len());
    eprintln!("{left} of {} nodes are what they were 20 blocks ago", nodes_before.len());
}
