//! The methods that read the state. That their answers are geth's is tested beside a real one.

use primitive_types::{H256, U256};
use serde_json::{Value, json};

use super::{Peer, error, hash, hex, holesky};
use crate::genesis::{Genesis, GenesisAccount};
use crate::serve::{KnownBlock, MemoryState, Options};

/// Who has code and storage in holesky's genesis.
fn contract() -> GenesisAccount {
    let genesis = Genesis::parse("holesky", include_bytes!("../../../fixtures/holesky.json.zst")).unwrap();
    genesis.alloc.into_values().find(|account| !account.storage.is_empty()).unwrap()
}

const NOBODY: &str = "0x000000000000000000000000000000000000f0f0";
const GENESIS_HASH: &str = "0xb5f7f912443c940f21fd611f12828d75b534364ed9e95ca4e307729a4661bde4";

#[tokio::test]
async fn values_of_an_account_are_told_for_any_name_of_the_block() {
    let (peer, contract) = (Peer::holesky().await, contract());
    let address = hex(contract.address.as_bytes());
    let ids = [
        json!("latest"),
        json!("safe"),
        json!("pending"),
        json!("earliest"),
        json!("0x0"),
        json!(GENESIS_HASH),
        json!({ "blockHash": GENESIS_HASH, "requireCanonical": true }),
        json!({ "blockNumber": "0x0" }),
        Value::Null,
    ];
    for id in ids {
        let balance = peer.call("eth_getBalance", json!([address, id])).await;
        assert_eq!(balance, format!("{:#x}", contract.balance), "{id}");
        assert_eq!(peer.call("eth_getCode", json!([address, id])).await, hex(&contract.code), "{id}");
        let nonce = peer.call("eth_getTransactionCount", json!([address, id])).await;
        assert_eq!(nonce, format!("{:#x}", contract.nonce), "{id}");
        // From there on the deposit contract has the roots of trees of zeros.
        let slot = peer.call("eth_getStorageAt", json!([address, "0x22", id])).await;
        let key = crate::trie::keccak256(&U256::from(0x22).to_big_endian());
        assert_eq!(slot, hex(&contract.storage[&key].to_big_endian()), "{id}");
    }
    let info = peer.call("eth_getAccountInfo", json!([address])).await;
    let balance = format!("{:#x}", contract.balance);
    let nonce = format!("{:#x}", contract.nonce);
    assert_eq!(info, json!({ "balance": balance, "nonce": nonce, "code": hex(&contract.code) }));
    let code_hash = hex(crate::trie::keccak256(&contract.code).as_bytes());
    assert_eq!(peer.call("debug_codeByHash", json!([code_hash])).await, hex(&contract.code));
    assert_eq!(peer.call("debug_codeByHash", json!([GENESIS_HASH, "latest"])).await, Value::Null);
}

#[tokio::test]
async fn an_account_that_is_not_there_has_nothing_and_its_absence_is_proved() {
    let peer = Peer::holesky().await;
    assert_eq!(peer.call("eth_getBalance", json!([NOBODY])).await, "0x0");
    assert_eq!(peer.call("eth_getTransactionCount", json!([NOBODY])).await, "0x0");
    assert_eq!(peer.call("eth_getCode", json!([NOBODY])).await, "0x");
    let zero = hex(&[0; 32]);
    assert_eq!(peer.call("eth_getStorageAt", json!([NOBODY, "0x1"])).await, zero);
    let proof = peer.call("eth_getProof", json!([NOBODY, ["0x1"], "latest"])).await;
    assert_eq!((&proof["codeHash"], &proof["storageHash"]), (&json!(zero), &json!(zero)));
    assert!(proof["accountProof"].as_array().unwrap().len() > 1, "{proof}");
    assert_eq!(proof["storageProof"], json!([{ "key": "0x1", "value": "0x0", "proof": [] }]));
}

#[tokio::test]
async fn what_is_no_address_slot_or_block_is_refused_with_geths_texts() {
    let peer = Peer::holesky().await;
    let refused = |what: &str| error(-32602, &format!("invalid argument 0: {what}"));
    let balance = async |address: Value| peer.call("eth_getBalance", json!([address, "latest"])).await;
    assert_eq!(balance(json!("0x12")).await, refused("hex string has length 2, want 40 for common.Address"));
    let no_prefix = "json: cannot unmarshal hex string without 0x prefix into Go value of type common.Address";
    assert_eq!(balance(json!("zz")).await, refused(no_prefix));
    let no_text = "json: cannot unmarshal non-string into Go value of type common.Address";
    assert_eq!(balance(json!(5)).await, refused(no_text));
    let slot = async |slot: &str| peer.call("eth_getStorageAt", json!([NOBODY, slot, "latest"])).await;
    for zero in ["", "0x", "0", "0x0"] {
        assert_eq!(slot(zero).await, hex(&[0; 32]), "{zero}");
    }
    assert_eq!(slot("0xzz").await, error(-32602, "invalid hex in storage key: \"0xzz\""));
    let long = format!("0x{}", "0".repeat(65));
    let text = format!("storage key too long (want at most 32 bytes): {long:?}");
    assert_eq!(slot(&long).await, error(-32602, &text));
    let many = peer.call("eth_getProof", json!([NOBODY, vec!["0x0"; 1_025], "latest"])).await;
    assert_eq!(many, error(-32602, "too many storage keys requested (max 1024, got 1025)"));
    let missing = error(-32602, "missing value for required argument 1");
    assert_eq!(peer.call("eth_getStorageAt", json!([NOBODY])).await, missing);

    let at = async |id: Value| peer.call("eth_getBalance", json!([NOBODY, id])).await;
    assert_eq!(at(json!("0x64")).await, error(-32000, "header not found"));
    let unknown = hex(&[0x11; 32]);
    assert_eq!(at(json!(unknown)).await, error(-32000, "header for hash not found"));
    assert_eq!(at(json!({ "blockHash": unknown })).await, error(-32000, "header for hash not found"));
    let neither = error(-32602, "invalid argument 1: not a block number, tag or hash");
    assert_eq!(at(json!("newest")).await, neither);
}

#[tokio::test]
async fn a_transaction_is_unknown_and_no_mistake() {
    let peer = Peer::holesky().await;
    for method in ["eth_getTransactionByHash", "eth_getTransactionReceipt"] {
        assert_eq!(peer.call(method, json!([GENESIS_HASH])).await, Value::Null);
        assert_eq!(
            peer.call(method, json!(["0x1"])).await,
            error(-32602, "invalid argument 0: not a transaction hash")
        );
    }
}

#[tokio::test]
async fn what_a_header_says_of_fees_is_told() {
    let peer = Peer::holesky().await;
    assert_eq!(peer.call("eth_blockNumber", json!([])).await, "0x0");
    assert_eq!(peer.call("eth_gasPrice", json!([])).await, "0x3b9aca00");
    assert_eq!(peer.call("eth_syncing", json!([])).await, false);
    // Nothing used of it: an eighth less.
    let history = json!({ "oldestBlock": "0x0", "baseFeePerGas": ["0x3b9aca00", "0x342770c0"], "gasUsedRatio": [0.0] });
    assert_eq!(peer.call("eth_feeHistory", json!(["0xa", "latest", [20.0]])).await, history);
}

#[tokio::test]
async fn a_state_of_an_unknown_block_is_not_the_latest_and_one_without_a_header_is_read_all_the_same() {
    let (mut state, summary) = holesky();
    let number = 7;
    state.add_block(KnownBlock {
        number,
        hash: hash(&"7".repeat(64)),
        state_root: summary.root,
        header: None,
        scope: None,
    });
    let peer = Peer::start(state, Options::default()).await;
    assert_eq!(peer.call("eth_blockNumber", json!([])).await, "0x7");
    let address = hex(contract().address.as_bytes());
    assert_eq!(peer.call("eth_getCode", json!([address, "0x7"])).await, hex(&contract().code));
    let unknown = error(-32000, "header not found: of block 7 only the number and the hash are known");
    assert_eq!(peer.call("eth_gasPrice", json!([])).await, unknown);

    let peer = Peer::start(MemoryState::new(), Options::default()).await;
    let text =
        "header not found: no state here belongs to a known block; sync with --block instead of --root to have it";
    assert_eq!(peer.call("eth_getBalance", json!([NOBODY, "latest"])).await, error(-32000, text));
    assert_eq!(peer.call("eth_blockNumber", json!([])).await, error(-32000, text));
}

#[tokio::test]
async fn a_state_that_lacks_a_node_says_which() {
    let mut state = MemoryState::new();
    let root = H256::repeat_byte(1);
    state.add_block(KnownBlock { number: 1, hash: H256::repeat_byte(2), state_root: root, header: None, scope: None });
    let peer = Peer::start(state, Options::default()).await;
    let text = format!("the state is partial or damaged: account node {root:?} at path \"\" is missing");
    assert_eq!(peer.call("eth_getBalance", json!([NOBODY])).await, error(-32000, &text));
}
