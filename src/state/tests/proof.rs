//! Proofs, each checked by an independent verifier.

use alloy_trie::proof::verify_proof;
use primitive_types::H160;
use proptest::prelude::*;
use serde_json::json;

use super::super::{ProofDocument, Slot};
use super::*;
use crate::trie::tests::cases;

/// Whether the nodes prove to someone else that this value, or none, is under the key.
fn proves(root: H256, key: H256, value: Option<Vec<u8>>, nodes: &[Vec<u8>]) -> bool {
    let nodes: Vec<_> = nodes.iter().map(|node| node.clone().into()).collect();
    verify_proof(root.0.into(), alloy_trie::Nibbles::unpack(key.0), value, &nodes).is_ok()
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn whatever_is_or_is_not_there_is_proved_to_another_implementation(
        accounts in accounts(),
        strangers in prop::collection::vec(key(), 4),
    ) {
        let mut memory = Memory::default();
        let root = memory.state(&accounts);
        let keys: Vec<H256> = accounts.keys().chain(&strangers).copied().collect();
        for key in &keys {
            let content = accounts.get(key);
            let slots: Vec<H256> =
                content.iter().flat_map(|content| content.slots.keys()).chain(&strangers).copied().collect();
            let proof = State::at(&memory, root).proof(key, &slots).unwrap();
            let account = content.map(|content| memory.account(content));
            prop_assert_eq!(proof.account, account);
            prop_assert!(proves(root, *key, account.map(|account| account.encode()), &proof.nodes), "{:?}", key);
            let storage_root = account.map_or(EMPTY_ROOT, |account| account.storage_root);
            for (key, slot) in slots.iter().zip(&proof.slots) {
                let word = content.and_then(|content| content.slots.get(key));
                prop_assert_eq!((slot.key, slot.value), (*key, word.copied().unwrap_or_default()));
                let value = word.map(|word| rlp::encode(word).to_vec());
                prop_assert!(proves(storage_root, *key, value, &slot.nodes), "{:?}", key);
            }
        }
    }
}

#[test]
fn a_proof_has_no_inline_nodes_of_their_own_and_none_for_an_empty_storage() {
    let mut memory = Memory::default();
    let key = |last: u64| H256(U256::from(last).to_big_endian());
    // Keys that part at the last nibble: both leaves are in the branch, and that is in the extension, the root.
    let slots: Slots = [(key(0x10), U256::one()), (key(0x11), U256::one())].into();
    let accounts: Accounts = [(key(1), Content { slots, ..Content::default() }), (key(2), Content::default())].into();
    let root = memory.state(&accounts);
    let state = State::at(&memory, root);
    let proof = state.proof(&key(1), &[key(0x10), key(0x12), key(0xff)]).unwrap();
    let counts: Vec<_> = proof.slots.iter().map(|slot| (slot.value.as_u64(), slot.nodes.len())).collect();
    assert_eq!(counts, [(1, 1), (0, 1), (0, 1)]);
    let proof = state.proof(&key(2), &[key(0x10)]).unwrap();
    assert_eq!((proof.slots[0].value, proof.slots[0].nodes.len()), (U256::zero(), 0));
}

#[test]
fn a_proof_is_told_as_geth_tells_it() {
    let address = H160::repeat_byte(0x11);
    let slots: Vec<Slot> = ["1", &format!("0x{:064x}", 1), "0x02"].map(|slot| slot.parse().unwrap()).into();
    let keys: Vec<H256> = slots.iter().map(Slot::key).collect();
    let content = Content { nonce: 3, balance: 10.into(), code: vec![1], slots: [(keys[0], 0xab.into())].into() };
    let mut memory = Memory::default();
    let key = keccak256(address.as_bytes());
    let root = memory.state(&[(key, content.clone())].into());
    let document = |key: &H256| {
        let proof = State::at(&memory, root).proof(key, &keys).unwrap();
        serde_json::to_value(ProofDocument::new(address, &slots, &proof)).unwrap()
    };
    let node = |hash: &H256| format!("0x{}", faster_hex::hex_string(&memory.nodes[hash]));
    let storage_root = *memory.nodes.keys().find(|hash| **hash != root).unwrap();
    let proved = node(&storage_root);
    let expected = json!({
        "address": "0x1111111111111111111111111111111111111111",
        "accountProof": [node(&root)],
        "balance": "0xa",
        "codeHash": format!("{:?}", keccak256(&[1])),
        "nonce": "0x3",
        "storageHash": format!("{storage_root:?}"),
        "storageProof": [
            { "key": "0x1", "value": "0xab", "proof": [proved] },
            { "key": format!("0x{:064x}", 1), "value": "0xab", "proof": [proved] },
            { "key": "0x2", "value": "0x0", "proof": [proved] },
        ],
    });
    assert_eq!(document(&key), expected);
    let zero = format!("{:?}", H256::zero());
    let absent = document(&H256::zero());
    assert_eq!((&absent["codeHash"], &absent["storageHash"]), (&json!(zero), &json!(zero)));
    assert_eq!((&absent["balance"], &absent["nonce"]), (&json!("0x0"), &json!("0x0")));
    assert_eq!(absent["storageProof"][1], json!({ "key": format!("0x{:064x}", 1), "value": "0x0", "proof": [] }));
}
