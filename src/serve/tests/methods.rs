use serde_json::{Value, json};

use super::{Peer, error, hash, hex, holesky};
use crate::serve::{KnownBlock, MemoryState, Options};
use crate::trie::keccak256;

const ROOT: &str = "0x69d8c9d72f6fa4ad42d4702b433707212f90db395eb54dc20bc85de253788783";
const GENESIS_HASH: &str = "0xb5f7f912443c940f21fd611f12828d75b534364ed9e95ca4e307729a4661bde4";

#[tokio::test]
async fn every_node_of_a_state_is_under_its_hash() {
    let (state, summary) = holesky();
    let peer = Peer::start(state.clone(), Options::default()).await;
    assert_eq!(hex(summary.root.as_bytes()), ROOT);
    let root = peer.call("debug_dbGet", json!([ROOT])).await;
    assert_eq!(root, hex(&state.nodes()[&summary.root]));
    let keys: Vec<_> = state.nodes().keys().collect();
    let calls: Vec<Value> =
        keys.iter().zip(0..).map(|(key, id)| super::call(id, "debug_dbGet", &json!([hex(&key.0)]))).collect();
    let answers = peer.post_json(&json!(calls)).await;
    for (place, answer) in answers.as_array().unwrap().iter().enumerate() {
        assert_eq!(answer["id"], place);
        assert_eq!(answer["result"], hex(&state.nodes()[keys[place]]));
    }
    assert_eq!(peer.counters(), [2, 1 + summary.nodes, 1 + summary.nodes]);
}

#[tokio::test]
async fn a_code_is_under_its_prefixed_and_under_its_bare_hash() {
    let (state, _) = holesky();
    let peer = Peer::start(state.clone(), Options::default()).await;
    let (hash, code) = state.codes().iter().next().unwrap();
    let digits = faster_hex::hex_string(&hash.0);
    assert_eq!(peer.call("debug_dbGet", json!([format!("0x63{digits}")])).await, hex(code));
    assert_eq!(peer.call("debug_dbGet", json!([format!("0x{digits}")])).await, hex(code));
}

#[tokio::test]
async fn a_missing_key_is_an_error_as_in_geth() {
    let peer = Peer::holesky().await;
    let missing = error(-32000, "pebble: not found");
    let (node, code) = (format!("0x{}", "11".repeat(32)), format!("0x63{}", "11".repeat(32)));
    let node_as_code = format!("0x63{}", &ROOT[2..]);
    for key in [&node, &code, &node_as_code, "0x", "0x41", "LastBlock", &ROOT[2..]] {
        assert_eq!(peer.call("debug_dbGet", json!([key])).await, missing, "{key}");
    }
    assert_eq!(peer.counters(), [7, 7, 0]);
}

#[tokio::test]
async fn a_malformed_key_is_refused_with_geths_texts() {
    let peer = Peer::holesky().await;
    assert_eq!(peer.call("debug_dbGet", json!([""])).await, error(-32000, "empty hex string"));
    assert_eq!(peer.call("debug_dbGet", json!(["0xabc"])).await, error(-32000, "hex string of odd length"));
    assert_eq!(peer.call("debug_dbGet", json!(["0xgg"])).await, error(-32000, "invalid hex string"));
}

#[tokio::test]
async fn wrong_parameters_are_refused() {
    let peer = Peer::holesky().await;
    let missing = error(-32602, "missing value for required argument 0");
    assert_eq!(peer.call("debug_dbGet", json!([])).await, missing);
    assert_eq!(peer.call("debug_dbGet", json!(null)).await, missing);
    assert_eq!(peer.call("debug_dbGet", json!([null])).await, missing);
    assert_eq!(peer.call("debug_dbGet", json!([1])).await, error(-32602, "invalid argument 0: not a string"));
    assert_eq!(peer.call("debug_dbGet", json!({ "key": "0x" })).await, error(-32602, "non-array args"));
    let too_many = error(-32602, "too many arguments, want at most 1");
    assert_eq!(peer.call("debug_dbGet", json!(["0x", "0x"])).await, too_many);
    let none_wanted = error(-32602, "too many arguments, want at most 0");
    assert_eq!(peer.call("eth_chainId", json!([1])).await, none_wanted);
    let not_a_number = error(-32602, "invalid argument 0: not a block number or tag");
    for number in ["0x", "1", "0x+1", "newest", "0x10000000000000000"] {
        assert_eq!(peer.call("eth_getBlockByNumber", json!([number, false])).await, not_a_number, "{number}");
    }
    let not_a_hash = error(-32602, "invalid argument 0: not a block hash");
    assert_eq!(peer.call("eth_getBlockByHash", json!(["latest", false])).await, not_a_hash);
}

#[tokio::test]
async fn a_key_may_be_written_with_escapes() {
    let peer = Peer::holesky().await;
    let escaped = ROOT.replacen('6', "\\u0036", 1);
    let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"debug_db\u0047et","params":["{escaped}"]}}"#);
    assert!(peer.post(body).await.starts_with(r#"{"jsonrpc":"2.0","id":1,"result":"0xf9"#));
}

#[tokio::test]
async fn an_unknown_method_is_named() {
    let peer = Peer::holesky().await;
    let text = "the method eth_call does not exist/is not available";
    assert_eq!(peer.call("eth_call", json!(["0x"])).await, error(-32601, text));
    let text = "the method a\"\n\\b does not exist/is not available";
    assert_eq!(peer.call("a\"\n\\b", json!([])).await, error(-32601, text));
}

#[tokio::test]
async fn a_peer_tells_what_it_is() {
    let peer = Peer::holesky().await;
    assert_eq!(peer.call("eth_chainId", json!([])).await, "0x4268");
    assert_eq!(peer.call("net_version", json!([])).await, "17000");
    let version = concat!("statesync/v", env!("CARGO_PKG_VERSION"));
    assert_eq!(peer.call("web3_clientVersion", json!([])).await, version);
    let modules = json!({ "debug": "1.0", "eth": "1.0", "net": "1.0", "rpc": "1.0", "web3": "1.0" });
    assert_eq!(peer.call("rpc_modules", json!([])).await, modules);
}

#[tokio::test]
async fn without_a_chain_the_chain_id_is_an_error() {
    let peer = Peer::start(MemoryState::new(), Options::default()).await;
    let unknown = error(-32000, "the chain id is not known");
    assert_eq!(peer.call("eth_chainId", json!([])).await, unknown);
    assert_eq!(peer.call("net_version", json!([])).await, unknown);
}

#[tokio::test]
async fn a_block_is_told_with_all_fields_of_its_header() {
    let peer = Peer::holesky().await;
    let block = peer.call("eth_getBlockByHash", json!([GENESIS_HASH, false])).await;
    let zero = format!("0x{}", "00".repeat(32));
    let empty_root = hex(crate::trie::EMPTY_ROOT.as_bytes());
    let expected = json!({
        "hash": GENESIS_HASH,
        "parentHash": zero,
        "sha3Uncles": "0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347",
        "miner": format!("0x{}", "00".repeat(20)),
        "stateRoot": ROOT,
        "transactionsRoot": empty_root,
        "receiptsRoot": empty_root,
        "logsBloom": format!("0x{}", "00".repeat(256)),
        "difficulty": "0x1",
        "number": "0x0",
        "gasLimit": "0x17d7840",
        "gasUsed": "0x0",
        "timestamp": "0x65156994",
        "extraData": "0x",
        "mixHash": zero,
        "nonce": "0x0000000000001234",
        "baseFeePerGas": "0x3b9aca00",
        "size": "0x202",
        "transactions": [],
        "uncles": [],
    });
    assert_eq!(block, expected);
    for id in ["latest", "safe", "finalized", "earliest", "0x0", "0x00"] {
        assert_eq!(peer.call("eth_getBlockByNumber", json!([id, false])).await, expected, "{id}");
    }
}

#[tokio::test]
async fn an_unknown_block_is_null() {
    let peer = Peer::holesky().await;
    assert_eq!(peer.call("eth_getBlockByNumber", json!(["0x1", false])).await, Value::Null);
    assert_eq!(peer.call("eth_getBlockByNumber", json!(["pending", false])).await, Value::Null);
    assert_eq!(peer.call("eth_getBlockByHash", json!([ROOT, false])).await, Value::Null);
    let peer = Peer::start(MemoryState::new(), Options::default()).await;
    assert_eq!(peer.call("eth_getBlockByNumber", json!(["latest", false])).await, Value::Null);
}

#[tokio::test]
async fn the_latest_block_is_the_one_with_the_highest_number() {
    let (mut state, summary) = holesky();
    for (number, digit) in [(9, '9'), (12, 'c'), (3, '3')] {
        let hash = hash(&digit.to_string().repeat(64));
        state.add_block(KnownBlock { number, hash, state_root: summary.root, header: None, scope: None });
    }
    let peer = Peer::start(state, Options::default()).await;
    let expected = json!({ "hash": format!("0x{}", "c".repeat(64)), "number": "0xc", "stateRoot": ROOT });
    assert_eq!(peer.call("eth_getBlockByNumber", json!(["latest", true])).await, expected);
    assert_eq!(peer.call("eth_getBlockByNumber", json!(["0xc"])).await, expected);
    assert_eq!(peer.call("eth_getBlockByNumber", json!(["earliest", true])).await["hash"], GENESIS_HASH);
}

#[tokio::test]
async fn a_raw_header_hashes_to_the_block_hash() {
    let peer = Peer::holesky().await;
    let ids = [
        json!("latest"),
        json!("0x0"),
        json!(GENESIS_HASH),
        json!({ "blockHash": GENESIS_HASH, "requireCanonical": true }),
        json!({ "blockNumber": "0x0" }),
    ];
    for id in ids {
        let header = peer.call("debug_getRawHeader", json!([id])).await;
        let header = crate::peers::wire::unhex(header.as_str().unwrap()).unwrap();
        assert_eq!(hex(keccak256(&header).as_bytes()), GENESIS_HASH, "{id}");
    }
}

#[tokio::test]
async fn an_unknown_raw_header_is_empty_by_number_and_an_error_by_hash() {
    let (mut state, summary) = holesky();
    let unseen = format!("0x{}", "77".repeat(32));
    state.add_block(KnownBlock { number: 7, hash: hash(&unseen), state_root: summary.root, header: None, scope: None });
    let peer = Peer::start(state, Options::default()).await;
    for number in ["0x1", "0x7", "pending"] {
        assert_eq!(peer.call("debug_getRawHeader", json!([number])).await, "0x", "{number}");
    }
    for unknown in [unseen.as_str(), ROOT] {
        let expected = error(-32000, &format!("header #{unknown} not found"));
        assert_eq!(peer.call("debug_getRawHeader", json!([unknown])).await, expected);
    }
    let neither = error(-32602, "invalid argument 0: not a block number, tag or hash");
    for id in [json!("0x"), json!(5), json!({}), json!({ "blockHash": ROOT, "blockNumber": "0x1" })] {
        assert_eq!(peer.call("debug_getRawHeader", json!([id])).await, neither, "{id}");
    }
}
