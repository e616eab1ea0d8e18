//! Real genesis states: imported, served, synced, verified; and a second root that reuses the first.

use std::collections::HashSet;
use std::path::Path;

use primitive_types::H256;
use rlp::Rlp;
use serde_json::{Value, json};
use statesync::fixture::{MAINNET_BLOCK1_ROOT, MAINNET_ROOT, mainnet_block1, mainnet_genesis};
use tempfile::TempDir;

use crate::support::{Output, Peer, SMALL, Seed, Served, fixture, in_memory, oracle, state, statesync, successor};

/// A network's genesis state, by its public facts.
struct Network {
    name: &'static str,
    chain_id: u64,
    root: &'static str,
    hash: &'static str,
    accounts: u64,
    slots: u64,
    codes: u64,
}

const NETWORKS: [Network; 3] = [
    Network {
        name: "sepolia",
        chain_id: 11_155_111,
        root: "0x5eb6e371a698b8d68f665192350ffcecbbbf322916f4b51bd79bb6887da3f494",
        hash: "0x25a5cc106eea7138acab33231d7160d69cb777ee0c2c553fcddf5138993e6dd9",
        accounts: 15,
        slots: 0,
        codes: 0,
    },
    Network {
        name: "holesky",
        chain_id: 17_000,
        root: "0x69d8c9d72f6fa4ad42d4702b433707212f90db395eb54dc20bc85de253788783",
        hash: "0xb5f7f912443c940f21fd611f12828d75b534364ed9e95ca4e307729a4661bde4",
        accounts: 317,
        slots: 31,
        codes: 1,
    },
    Network {
        name: "hoodi",
        chain_id: 560_048,
        root: "0xda87d7f5f91c51508791bbcbd4aa5baf04917830b86985eeb9ad3d5bfb657576",
        hash: "0xbbe312868b376a3001692a646dd2d7d1e4406380dfd86b98aa8a34d1557c971b",
        accounts: 335,
        slots: 33,
        codes: 5,
    },
];

fn sync(url: &str, target: &str, value: &str, dir: &Path) -> Output {
    statesync(["sync", "-r", url, target, value, "--datadir", dir.to_str().unwrap(), "--json"]).exits(0)
}

fn verify(dir: &Path, root: &str) -> Value {
    statesync(["verify", "--datadir", dir.to_str().unwrap(), "--root", root, "--json"]).exits(0).json()
}

#[test]
fn test_networks_are_imported_served_synced_and_verified() {
    for network in NETWORKS {
        let Network { name, root, hash, accounts, slots, codes, .. } = network;
        let (imported, synced, copied) = (TempDir::new().unwrap(), TempDir::new().unwrap(), TempDir::new().unwrap());
        let file = fixture(name);
        let import =
            ["import", "--genesis", file.to_str().unwrap(), "--datadir", imported.path().to_str().unwrap(), "--json"];
        let summary = statesync(import).exits(0).json();
        let nodes = summary["nodes"].as_u64().unwrap();
        let holds = json!({ "root": root, "accounts": accounts, "slots": slots, "codes": codes, "nodes": nodes });
        assert_eq!(summary, holds, "{name}");

        let from_file = Served::start("--genesis", &file);
        let report = sync(&from_file.url, "--block", "0", synced.path()).json();
        assert_eq!((&report["root"], &report["block_hash"]), (&json!(root), &json!(hash)), "{name}");
        assert_eq!((&report["nodes_fetched"], &report["codes_fetched"]), (&json!(nodes), &json!(codes)), "{name}");
        assert_eq!(report["accounts"], accounts, "{name}");

        let from_store = Served::start("--datadir", imported.path());
        let copy = sync(&from_store.url, "--block", hash, copied.path()).json();
        assert_eq!(copy["nodes_fetched"], nodes, "{name}");

        for dir in [imported.path(), synced.path(), copied.path()] {
            let verified = verify(dir, root);
            for (field, count) in [("accounts", accounts), ("slots", slots), ("codes", codes), ("nodes", nodes)] {
                assert_eq!(verified[field], count, "{name}: {field}");
            }
            let status = statesync(["status", "--datadir", dir.to_str().unwrap(), "--json"]).exits(0).json();
            assert_eq!(status["chain_id"], network.chain_id, "{name}");
            assert_eq!(status["roots"][0]["state"], "complete", "{name}");
        }
    }
}

/// Subtrees of the first state that nodes which are only in the second refer to.
fn reused(first: &HashSet<H256>, second: &std::collections::HashMap<H256, Vec<u8>>) -> usize {
    let mut reused = HashSet::new();
    for (_, rlp) in second.iter().filter(|(hash, _)| !first.contains(*hash)) {
        let node = Rlp::new(rlp);
        if node.item_count().unwrap() == 17 {
            let children = node.iter().filter_map(|child| child.data().ok());
            let hashes = children.filter(|child| child.len() == 32).map(H256::from_slice);
            reused.extend(hashes.filter(|hash| first.contains(hash)));
        }
    }
    reused.len()
}

#[test]
fn mainnet_block_1_costs_only_what_differs_from_mainnet_genesis() {
    let (genesis, block1) = (mainnet_genesis().unwrap(), mainnet_block1().unwrap());
    let (first, second) = (oracle(&genesis), oracle(&block1));
    assert_eq!((first.root, second.root), (MAINNET_ROOT, MAINNET_BLOCK1_ROOT));
    let had: HashSet<H256> = first.nodes.keys().copied().collect();
    let differing: HashSet<H256> = second.nodes.keys().filter(|hash| !had.contains(*hash)).copied().collect();

    let (memory, _) = in_memory([&genesis, &block1]);
    let peer = Peer::honest(&memory);
    let dir = TempDir::new().unwrap();
    let [root, next] = [first.root, second.root].map(|root| format!("{root:?}"));
    let report = sync(&peer.url(), "--root", &root, dir.path()).json();
    assert_eq!((&report["nodes_fetched"], &report["nodes_reused"]), (&json!(first.nodes.len()), &json!(0)));
    assert_eq!(report["accounts"], 8_893);
    let served: HashSet<H256> = peer.counts().by_hash.into_keys().collect();
    assert_eq!(served, had);

    let report = sync(&peer.url(), "--root", &next, dir.path()).json();
    let all: HashSet<H256> = peer.counts().by_hash.into_keys().collect();
    let served: HashSet<H256> = all.difference(&served).copied().collect();
    assert_eq!(served, differing);
    assert!(peer.counts().by_hash.values().all(|times| *times == 1), "something was fetched twice");
    assert_eq!(report["nodes_fetched"], differing.len());
    assert_eq!(report["nodes_reused"], reused(&had, &second.nodes));
    eprintln!("block 1: {} of {} nodes fetched", differing.len(), second.nodes.len());

    for (root, accounts, nodes) in [(&root, 8_893, first.nodes.len()), (&next, 8_894, second.nodes.len())] {
        let verified = verify(dir.path(), root);
        assert_eq!((&verified["accounts"], &verified["nodes"]), (&json!(accounts), &json!(nodes)));
    }
    let status = statesync(["status", "--datadir", dir.path().to_str().unwrap(), "--json"]).exits(0).json();
    let roots = status["roots"].as_array().unwrap();
    for (root, accounts, nodes) in [(&root, 8_893, first.nodes.len()), (&next, 8_894, second.nodes.len())] {
        let shown = roots.iter().find(|shown| shown["root"] == **root).unwrap();
        let holds = [("accounts", accounts), ("nodes", nodes as u64), ("slots", 0), ("codes", 0)];
        holds.iter().for_each(|(field, count)| assert_eq!(shown[field], *count, "{field}"));
        assert_eq!(shown["state"], "complete");
    }
    assert_eq!((&status["progress"], &status["staged_nodes"]), (&json!(1.0), &json!(0)));
}

#[test]
fn a_made_up_state_is_what_another_implementation_makes_of_it() {
    let seed = Seed::or(1);
    let before = state(seed.0, SMALL);
    let after = successor(&before, seed.0, 100, SMALL);
    for state in [before, after] {
        let (memory, [summary]) = in_memory([&state]);
        let expected = oracle(&state);
        assert_eq!(summary.root, expected.root);
        assert_eq!(memory.nodes(), &expected.nodes);
        assert!(summary.slots > 100 && summary.codes > 10, "a state without contracts tests nothing: {summary:?}");
    }
}
