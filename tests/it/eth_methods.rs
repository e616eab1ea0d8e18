//! What a served store answers to the methods that read a state: the same as the geth that it was synced from.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::geth::sync;
use crate::support::{Geth, Served, ask, geth_is_wanted};

/// Questions about an account that have one right answer.
fn questions(address: &Value, block: &Value) -> Vec<(&'static str, Value)> {
    let slots = ["0x0", "1", &format!("0x{:064x}", 1), "0x02", "0xffffffffff"];
    let mut questions = vec![
        ("eth_getBalance", json!([address, block])),
        ("eth_getTransactionCount", json!([address, block])),
        ("eth_getCode", json!([address, block])),
        ("eth_getProof", json!([address, slots, block])),
        ("eth_getProof", json!([address, [], block])),
    ];
    questions.extend(slots.map(|slot| ("eth_getStorageAt", json!([address, slot, block]))));
    questions
}

/// Questions that are refused, each in its own way.
fn mistakes(address: &Value) -> Vec<(&'static str, Value)> {
    let unknown = format!("0x{}", "11".repeat(32));
    vec![
        ("eth_getBalance", json!(["0x12", "latest"])),
        ("eth_getBalance", json!(["zz", "latest"])),
        ("eth_getBalance", json!([5, "latest"])),
        ("eth_getBalance", json!([])),
        ("eth_getBalance", json!([address, "0x64"])),
        ("eth_getBalance", json!([address, unknown])),
        ("eth_getBalance", json!([address, { "blockHash": unknown }])),
        ("eth_getStorageAt", json!([address, "0xzz", "latest"])),
        ("eth_getStorageAt", json!([address, format!("0x{}", "0".repeat(65)), "latest"])),
        ("eth_getStorageAt", json!([address])),
        ("eth_getProof", json!([address, vec!["0x0"; 1_025], "latest"])),
        ("eth_getProof", json!([address, null, "latest"])),
        ("eth_getBlockByNumber", json!(["0x64", false])),
        ("debug_getRawHeader", json!(["0x64"])),
    ]
}

#[test]
fn a_synced_store_answers_as_the_geth_that_it_was_synced_from() {
    if !geth_is_wanted() {
        return;
    }
    let dir = TempDir::new().unwrap();
    let geth = Geth::start(&dir.path().join("node"), &[]);
    let (middle, last, synced) = (geth.block("middle"), geth.block("last"), dir.path().join("synced"));
    sync(&[geth.url()], middle, &synced);
    sync(&[geth.url()], last, &synced);
    let served = Served::start("--datadir", &synced);
    let same = |method: &str, params: Value| {
        let [theirs, ours] = [geth.url(), &served.url].map(|url| ask(url, method, &params));
        assert_eq!(ours, theirs, "{method} {params}");
    };
    let mut addresses: Vec<Value> = geth.chain["addresses"].as_object().unwrap().values().cloned().collect();
    addresses.push(json!("0x00000000000000000000000000000000000000f0"));
    let by_hash = json!({ "blockHash": middle["hash"], "requireCanonical": true });
    for block in [json!("latest"), json!(format!("{:#x}", middle["number"].as_u64().unwrap())), by_hash] {
        for (method, params) in addresses.iter().flat_map(|address| questions(address, &block)) {
            same(method, params);
        }
    }
    for (method, params) in mistakes(&addresses[0]) {
        same(method, params);
    }
    for (method, params) in
        [("eth_blockNumber", json!([])), ("eth_chainId", json!([])), ("debug_getRawHeader", json!(["latest"]))]
    {
        same(method, params);
    }
    for block in [middle, last] {
        let [mut theirs, mut ours] =
            [geth.url(), &served.url].map(|url| ask(url, "eth_getBlockByHash", &json!([block["hash"], false])));
        // All but what is in its body, which is not in the header.
        for field in ["size", "transactions"] {
            assert!(theirs.as_object_mut().unwrap().remove(field).is_some());
            assert!(ours.as_object_mut().unwrap().remove(field).is_some());
        }
        assert_eq!(ours, theirs);
    }
    let history = |url: &str| ask(url, "eth_feeHistory", &json!(["0x1", "latest", []]));
    let (theirs, ours) = (history(geth.url()), history(&served.url));
    for field in ["oldestBlock", "baseFeePerGas", "gasUsedRatio"] {
        assert_eq!(ours[field], theirs[field]);
    }
}
