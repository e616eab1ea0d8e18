//! Blocks, and what a node says of itself.

use primitive_types::H256;
use serde_json::{Value, json};
use statesync::genesis::decode_header;
use statesync::trie::keccak256;

use super::{ask, batch, data, db_get, hex, not_found, world};
use crate::support::{Peer, Speaks};

#[test]
fn blocks_are_linked_and_told_by_number_tag_and_hash() {
    let world = world();
    let [first, second] = world.roots;
    let peer = Peer::build(&world.memory).blocks([(0, first), (4, second), (6, first)]).finality(2).start();
    let roots = [first, first, first, first, second, second, first];
    for (number, root) in (0..).zip(roots) {
        let block = peer.block(number);
        let info = decode_header(&block.header).unwrap();
        assert_eq!((info.number, info.state_root, block.root), (number, root, root));
        assert_eq!(keccak256(&block.header), block.hash);
        let parent = if number == 0 { H256::zero() } else { peer.block(number - 1).hash };
        assert_eq!(info.parent_hash, parent);

        let object = ask(&peer, "eth_getBlockByNumber", &json!([format!("{number:#x}"), false]));
        let expected = [data(block.hash), json!(format!("{number:#x}")), data(parent), data(root)];
        assert_eq!(["hash", "number", "parentHash", "stateRoot"].map(|name| object[name].clone()), expected);
        assert_eq!(ask(&peer, "eth_getBlockByHash", &json!([data(block.hash), false])), object);
        for which in [json!(format!("{number:#x}")), data(block.hash), json!({ "blockHash": data(block.hash) })] {
            assert_eq!(ask(&peer, "debug_getRawHeader", &json!([which])), data(&block.header));
        }
    }
    for (tag, number) in [("latest", "0x6"), ("safe", "0x4"), ("finalized", "0x4"), ("earliest", "0x0")] {
        assert_eq!(ask(&peer, "eth_getBlockByNumber", &json!([tag, false]))["number"], number, "{tag}");
    }
}

#[test]
fn the_genesis_block_is_the_real_one_where_it_is_known() {
    let genesis = statesync::fixture::mainnet_genesis().unwrap();
    let (memory, [summary]) = crate::support::in_memory([&genesis]);
    let peer = Peer::build(&memory).blocks([(0, summary.root), (1, summary.root)]).start();
    let mainnet = "d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3";
    assert_eq!(hex(peer.block(0).hash), mainnet);
    assert_eq!(decode_header(&peer.block(1).header).unwrap().parent_hash, peer.block(0).hash);
}

#[test]
fn blocks_after_the_head_are_not_there_yet() {
    let world = world();
    let peer = Peer::build(&world.memory).blocks([(0, world.roots[0]), (9, world.roots[1])]).start();
    assert_eq!(ask(&peer, "eth_blockNumber", &json!([])), json!("0x9"));
    peer.set_head(8);
    assert_eq!(ask(&peer, "eth_blockNumber", &json!([])), json!("0x8"));
    let hash = data(peer.block(9).hash);
    assert_eq!(ask(&peer, "eth_getBlockByNumber", &json!(["0x9", false])), Value::Null);
    assert_eq!(ask(&peer, "eth_getBlockByNumber", &json!(["pending", false])), Value::Null);
    assert_eq!(ask(&peer, "eth_getBlockByHash", &json!([hash, false])), Value::Null);
    assert_eq!(ask(&peer, "debug_getRawHeader", &json!(["0x9"])), json!("0x"));
    let text = format!("header #{} not found", hash.as_str().unwrap());
    assert_eq!(ask(&peer, "debug_getRawHeader", &json!([hash])), json!({ "code": -32000, "message": text }));
}

#[test]
fn a_batch_may_mix_methods() {
    let world = world();
    let peer = Peer::build(&world.memory).blocks([(0, world.roots[0]), (2, world.roots[1])]).start();
    let calls = [
        ("debug_getRawHeader", json!(["0x0"])),
        ("debug_dbGet", json!([data(world.roots[0])])),
        ("debug_getRawHeader", json!(["0x1"])),
        ("eth_blockNumber", json!([])),
        ("eth_mining", json!([])),
    ];
    let answers = batch(&peer, &calls);
    let expected = [
        ("result", data(peer.block(0).header)),
        ("result", data(&world.memory.nodes()[&world.roots[0]])),
        ("result", data(peer.block(1).header)),
        ("result", json!("0x2")),
        ("error", json!({ "code": -32601, "message": "the method eth_mining does not exist/is not available" })),
    ];
    for (id, (answer, (name, value))) in answers.iter().zip(expected).enumerate() {
        assert_eq!(*answer, json!({ "jsonrpc": "2.0", "id": id, name: value }));
    }
    assert_eq!(batch(&peer, &calls[..1]).len(), 1);
    assert_eq!(peer.counts().requests, 1, "headers alone are no request for the state");
}

#[test]
fn only_what_no_kept_block_has_is_pruned() {
    let world = world();
    let [first, second] = world.roots;
    let peer = Peer::build(&world.memory).blocks([(0, first), (3, second)]).start();
    let accessible = |from: &str, to: &str| ask(&peer, "debug_getAccessibleState", &json!([from, to]));
    assert_eq!(accessible("0x0", "0x4"), json!(0));
    assert_eq!(accessible("latest", "0x0"), json!(3));
    peer.prune(&[first]);
    assert_eq!(accessible("0x0", "0x4"), json!(3));
    assert_eq!(accessible("0x4", "0x9"), json!({ "code": -32000, "message": "missing header 4" }));
    assert_eq!(accessible("0x0", "0x3"), json!({ "code": -32000, "message": "no state found" }));
    assert_eq!(accessible("0x3", "0x0"), json!(3));
    assert_eq!(db_get(&peer, &hex(first)), not_found());
    let left = world.memory.nodes().keys().filter(|hash| db_get(&peer, &hex(hash)).is_string()).count() as u64;
    assert_eq!(left, world.nodes[1], "those of the second state");
    assert!(left < world.memory.nodes().len() as u64);
    assert_eq!(db_get(&peer, &hex(second)), data(&world.memory.nodes()[&second]));
}

#[test]
fn a_path_peer_has_no_history_of_states() {
    let world = world();
    let peer = Peer::build(&world.memory).speaks(Speaks::Path).blocks([(3, world.roots[0])]).start();
    let expected = json!({ "code": -32000, "message": "state history is not yet available in path-based scheme" });
    assert_eq!(ask(&peer, "debug_getAccessibleState", &json!(["0x0", "0x3"])), expected);
}

#[test]
fn a_node_says_what_it_is() {
    let world = world();
    let names = [
        (Speaks::Hash, "Geth/v1.17.10"),
        (Speaks::Path, "Geth/v1.17.10"),
        (Speaks::HalfPath, "Nethermind/v1.39"),
        (Speaks::NethermindHash, "Nethermind/v1.39"),
        (Speaks::CodesOnly, "reth/v2.5"),
    ];
    for (speaks, name) in names {
        let peer = Peer::build(&world.memory).speaks(speaks).blocks([(1, world.roots[0])]).start();
        let client = ask(&peer, "web3_clientVersion", &json!([]));
        assert!(client.as_str().unwrap().starts_with(name), "{client}");
        assert_eq!(ask(&peer, "eth_chainId", &json!([])), json!("0x1"));
        assert_eq!(ask(&peer, "net_version", &json!([])), json!("1"));
        assert_eq!(ask(&peer, "eth_syncing", &json!([])), json!(false));
    }
    let peer = Peer::build(&world.memory).client("Geth/custom").without_raw_headers().start();
    assert_eq!(ask(&peer, "web3_clientVersion", &json!([])), json!("Geth/custom"));
    assert_eq!(ask(&peer, "debug_getRawHeader", &json!(["0x0"]))["code"], -32601);
}

#[test]
fn raw_headers_and_the_debug_namespace_can_be_left_out() {
    let world = world();
    let blocks = [(0, world.roots[0])];
    let peer = Peer::build(&world.memory).blocks(blocks).without_raw_headers().start();
    let expected =
        |method| json!({ "code": -32601, "message": format!("the method {method} does not exist/is not available") });
    assert_eq!(ask(&peer, "debug_getRawHeader", &json!(["0x0"])), expected("debug_getRawHeader"));
    assert!(db_get(&peer, &hex(world.roots[0])).is_string());
    let peer = Peer::build(&world.memory).blocks(blocks).without_debug().start();
    assert_eq!(ask(&peer, "debug_getRawHeader", &json!(["0x0"])), expected("debug_getRawHeader"));
    assert_eq!(db_get(&peer, &hex(world.roots[0])), expected("debug_dbGet"));
    assert_eq!(ask(&peer, "eth_getBlockByNumber", &json!(["0x0", false]))["number"], "0x0");
}
