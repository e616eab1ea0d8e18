//! `statesync get`: one value of a state in a store.

use primitive_types::{H256, U256};
use serde_json::{Value, json};
use statesync::genesis::GenesisAccount;
use statesync::trie::{EMPTY_CODE_HASH, keccak256};

use crate::support::{NODES, Output, SMALL, Seed, fixture, imported, replace, state, statesync, statesync_in};

fn get(what: &[&str], dir: &tempfile::TempDir) -> Output {
    statesync_in(&[], &[&["get"], what, &["--datadir", dir.path().to_str().unwrap()]].concat())
}

fn hex(bytes: &[u8]) -> String {
    format!("0x{}", faster_hex::hex_string(bytes))
}

#[test]
fn every_value_of_a_state_is_found_by_address_and_by_key() {
    let seed = Seed::or(61);
    let genesis = state(seed.0, SMALL);
    let (dir, [summary]) = imported([&genesis]);
    let is_contract = |account: &&GenesisAccount| !account.storage.is_empty() && !account.code.is_empty();
    let contracts = genesis.alloc.values().filter(is_contract).take(2);
    for account in contracts.chain(genesis.alloc.values().filter(|account| account.code.is_empty()).take(1)) {
        let (address, key) = (hex(account.address.as_bytes()), keccak256(account.address.as_bytes()));
        let key = format!("{key:?}");
        let said = get(&["account", &address, "--json"], &dir).exits(0).json();
        let balance = account.balance.to_string();
        let fields = ["root", "account", "exists", "nonce", "balance", "code_hash"].map(|field| said[field].clone());
        let code_hash = format!("{:?}", keccak256(&account.code));
        let expected = json!([format!("{:?}", summary.root), key, true, account.nonce, balance, code_hash]);
        assert_eq!(json!(fields), expected);
        assert_eq!(get(&["account", &key, "--json"], &dir).json(), said);
        let text = get(&["account", &address], &dir).exits(0).stdout;
        assert!(text.contains(&format!("balance   {balance} wei\n")), "{text}");

        assert_eq!(get(&["code", &address], &dir).exits(0).stdout.trim(), hex(&account.code));
        assert_eq!(get(&["code", &key], &dir).exits(0).stdout.trim(), hex(&account.code));
        for (slot, word) in account.storage.iter().take(3) {
            let slot = format!("{slot:?}");
            let said = get(&["storage", &address, &slot, "--hashed"], &dir).exits(0);
            assert_eq!(said.stdout.trim(), hex(&word.to_big_endian()));
        }
    }
}

#[test]
fn a_slot_is_given_by_its_number_in_any_form() {
    let mut genesis = state(62, SMALL);
    let account = genesis.alloc.values_mut().next().unwrap();
    let word = U256::from(0xabcd);
    account.storage.insert(keccak256(&U256::from(300).to_big_endian()), word);
    let address = hex(account.address.as_bytes());
    let (dir, _) = imported([&genesis]);
    for slot in ["300", "0x12c", "0x012c", &format!("0x{:064x}", 300)] {
        assert_eq!(
            get(&["storage", &address, slot], &dir).exits(0).stdout.trim(),
            hex(&word.to_big_endian()),
            "{slot}"
        );
    }
    for bad in ["0x", "ten", &format!("0x1{}", "0".repeat(64))] {
        assert!(get(&["storage", &address, bad], &dir).exits(2).stderr.contains("error: slot"), "{bad}");
    }
    assert!(get(&["storage", &address, "300", "--hashed"], &dir).exits(2).stderr.contains("error: slot"));
}

#[test]
fn what_is_absent_is_a_result_and_no_error() {
    let (dir, _) = imported([&state(63, SMALL)]);
    let nobody = hex(&[0xf0; 20]);
    let said = get(&["account", &nobody, "--json"], &dir).exits(0).json();
    assert_eq!((&said["exists"], &said["nonce"], &said["balance"]), (&json!(false), &Value::Null, &Value::Null));
    assert!(get(&["account", &nobody], &dir).exits(0).stdout.contains("is not in the state"));
    assert_eq!(get(&["code", &nobody], &dir).exits(0).stdout, "0x\n");
    assert_eq!(get(&["code", &nobody, "--json"], &dir).exits(0).json()["exists"], false);
    assert_eq!(get(&["storage", &nobody, "1"], &dir).exits(0).stdout, format!("0x{}\n", "0".repeat(64)));
}

#[test]
fn a_code_is_found_by_its_own_hash_too() {
    let genesis = state(64, SMALL);
    let code = genesis.alloc.values().map(|account| &account.code).find(|code| !code.is_empty()).unwrap();
    let (dir, _) = imported([&genesis]);
    let said = get(&["code", &format!("{:?}", keccak256(code)), "--json"], &dir).exits(0).json();
    assert_eq!((&said["account"], &said["code"]), (&Value::Null, &json!(hex(code))));
    assert_eq!(get(&["code", &format!("{EMPTY_CODE_HASH:?}")], &dir).exits(0).stdout, "0x\n");
}

#[test]
fn a_root_that_is_not_there_is_told_from_a_store_that_is_not_and_from_a_damaged_state() {
    let genesis = state(65, SMALL);
    let (dir, [summary]) = imported([&genesis]);
    let address = hex(genesis.alloc.values().next().unwrap().address.as_bytes());
    let unknown = hex(&[7; 32]);
    let output = get(&["account", &address, "--root", &unknown], &dir).exits(10);
    assert!(output.stderr.contains(&format!("the store has no state with the root {unknown}")), "{output:?}");
    assert!(output.stderr.contains("hint: `statesync status` lists the roots"), "{output:?}");
    statesync(["get", "account", &address, "--datadir", "/nowhere"]).exits(10);

    let first = genesis.alloc.keys().next().unwrap();
    let leaf = leaf_of(&genesis, *first);
    replace(dir.path(), NODES, leaf, None);
    let output = get(&["account", &address], &dir).exits(4);
    assert!(output.stderr.contains(&format!("account node {leaf:?} at path ")), "{output:?}");
    assert!(output.stderr.contains("statesync repair"), "{output:?}");
    replace(dir.path(), NODES, summary.root, None);
    get(&["account", &address], &dir).exits(4);
}

/// The hash of the last node on the way to an account.
fn leaf_of(genesis: &statesync::genesis::Genesis, key: H256) -> H256 {
    let (memory, [summary]) = crate::support::in_memory([genesis]);
    let source = crate::support::InMemory(&memory);
    let proof = statesync::state::State::at(&source, summary.root).proof(&key, &[]).unwrap();
    keccak256(proof.nodes.last().unwrap())
}

#[test]
fn a_real_genesis_is_read_by_its_addresses() {
    let dir = tempfile::TempDir::new().unwrap();
    let (file, path) = (fixture("mainnet"), dir.path().to_str().unwrap());
    statesync(["import", "--genesis", file.to_str().unwrap(), "--datadir", path]).exits(0);
    let said = get(&["account", "0x000d836201318ec6899a67540690382780743280", "--json"], &dir).exits(0).json();
    assert_eq!(said["balance"], "200000000000000000000");
}
