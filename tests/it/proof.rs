//! `statesync proof` and `eth_getProof`: the same proofs, checked by another implementation.

use alloy_trie::Nibbles;
use alloy_trie::proof::verify_proof;
use primitive_types::{H256, U256};
use serde_json::{Value, json};
use statesync::genesis::GenesisAccount;
use statesync::trie::{Account, EMPTY_CODE_HASH, EMPTY_ROOT, keccak256};

use crate::support::{SMALL, Seed, Served, ask, imported, state, statesync_in};

fn hash(value: &Value) -> H256 {
    value.as_str().unwrap().parse().unwrap()
}

fn number(value: &Value) -> U256 {
    U256::from_str_radix(value.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
}

/// Whether the nodes prove that this value, or none, is under the key.
fn proves(root: H256, key: H256, value: Option<Vec<u8>>, nodes: &Value) -> bool {
    let bytes = |node: &Value| {
        let digits = node.as_str().unwrap().strip_prefix("0x").unwrap();
        let mut bytes = vec![0; digits.len() / 2];
        faster_hex::hex_decode(digits.as_bytes(), &mut bytes).unwrap();
        bytes.into()
    };
    let nodes: Vec<_> = nodes.as_array().unwrap().iter().map(bytes).collect();
    verify_proof(root.0.into(), Nibbles::unpack(key.0), value, &nodes).is_ok()
}

/// Checks a proof of one account as someone does who has nothing but the state root.
fn check(root: H256, proof: &Value, slots: &[(H256, U256)]) {
    let account = Account {
        nonce: number(&proof["nonce"]).as_u64(),
        balance: number(&proof["balance"]),
        storage_root: hash(&proof["storageHash"]),
        code_hash: hash(&proof["codeHash"]),
    };
    let is_there = !account.code_hash.is_zero();
    let address: primitive_types::H160 = proof["address"].as_str().unwrap().parse().unwrap();
    let leaf = is_there.then(|| account.encode());
    assert!(proves(root, keccak256(address.as_bytes()), leaf, &proof["accountProof"]), "{proof}");
    let storage_root = if is_there { account.storage_root } else { EMPTY_ROOT };
    for (slot, (name, word)) in proof["storageProof"].as_array().unwrap().iter().zip(slots) {
        assert_eq!((hash_of_slot(&slot["key"]), number(&slot["value"])), (*name, *word));
        let value = (!word.is_zero()).then(|| rlp::encode(word).to_vec());
        assert!(proves(storage_root, *name, value, &slot["proof"]), "{slot}");
    }
}

fn hash_of_slot(name: &Value) -> H256 {
    keccak256(&number(name).to_big_endian())
}

#[test]
fn the_command_and_the_server_prove_the_same_to_another_implementation() {
    let seed = Seed::or(71);
    let mut genesis = state(seed.0, SMALL);
    // A header makes the state that of a block, so that a server can be asked for it.
    let header = statesync::fixture::mainnet_genesis().unwrap().header;
    genesis.header = header;
    let contract = genesis.alloc.values_mut().find(|account| account.storage.len() > 2).unwrap();
    let words: Vec<(u64, U256)> = (0..9).map(|slot| (slot, U256::from(slot * slot))).collect();
    let keyed = |(slot, word): &(u64, U256)| (keccak256(&U256::from(*slot).to_big_endian()), *word);
    contract.storage.extend(words.iter().map(keyed).filter(|(_, word)| !word.is_zero()));
    let (contract, nobody) = (contract.clone(), GenesisAccount::new(primitive_types::H160::repeat_byte(0xf0)));
    let plain = genesis.alloc.values().find(|account| account.storage.is_empty()).unwrap().clone();
    let (dir, [summary]) = imported([&genesis]);
    let served = Served::start("--datadir", dir.path());
    for (account, holds) in [(&contract, true), (&plain, false), (&nobody, false)] {
        let address = format!("{:?}", account.address);
        let names: Vec<String> = words.iter().map(|(slot, _)| format!("0x{slot:x}")).collect();
        let mut command = vec!["proof", &address, "--datadir", dir.path().to_str().unwrap()];
        command.extend(names.iter().map(String::as_str));
        let proof = statesync_in(&[], &command).exits(0).json();
        assert_eq!(ask(&served.url, "eth_getProof", &json!([address, names, "latest"])), proof);
        let slots: Vec<_> =
            words.iter().map(keyed).map(|(key, word)| (key, if holds { word } else { U256::zero() })).collect();
        check(summary.root, &proof, &slots);
        assert_eq!(proof["storageProof"].as_array().unwrap().len(), words.len());
    }
    let proof = ask(&served.url, "eth_getProof", &json!([format!("{:?}", plain.address), [], "latest"]));
    assert_eq!(hash(&proof["storageHash"]), EMPTY_ROOT);
    assert_eq!(hash(&proof["codeHash"]) == EMPTY_CODE_HASH, plain.code.is_empty());
}
