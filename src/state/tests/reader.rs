//! What is missing or wrong on the way down.

use super::*;
use crate::trie::Fault;

fn key(byte: u8) -> H256 {
    H256::repeat_byte(byte)
}

/// Two accounts, the first with code and two slots, all nodes of which are stored ones.
fn memory() -> (Memory, H256) {
    let slots: Slots = [(key(1), U256::MAX), (key(0x20), U256::MAX)].into();
    let contract = Content { nonce: 1, balance: 5.into(), code: b"code".to_vec(), slots };
    let mut memory = Memory::default();
    let root = memory.state(&[(key(0x10), contract), (key(0x22), Content::default())].into());
    (memory, root)
}

#[test]
fn accounts_slots_and_codes_are_read_and_absent_ones_are_told() {
    let (memory, root) = memory();
    let state = State::at(&memory, root);
    let account = state.account(&key(0x10)).unwrap().unwrap();
    assert_eq!((account.nonce, account.balance), (1, 5.into()));
    assert_eq!(state.slot(&key(0x10), &account, &key(1)), Ok(U256::MAX));
    assert_eq!(state.slot(&key(0x10), &account, &key(2)), Ok(U256::zero()));
    assert_eq!(state.code(&account.code_hash), Ok(b"code".to_vec()));
    let plain = state.account(&key(0x22)).unwrap().unwrap();
    assert_eq!(state.slot(&key(0x22), &plain, &key(1)), Ok(U256::zero()));
    assert_eq!(state.code(&plain.code_hash), Ok(Vec::new()));
    assert_eq!(state.account(&key(0x11)), Ok(None));
    assert_eq!(State::at(&memory, EMPTY_ROOT).account(&key(0x10)), Ok(None));
}

#[test]
fn a_missing_node_is_named_with_its_hash_and_its_place_and_hides_nothing_else() {
    let (mut memory, root) = memory();
    let account = State::at(&memory, root).account(&key(0x10)).unwrap().unwrap();
    let unknown = State::at(&memory, key(9)).account(&key(0x10)).unwrap_err();
    assert_eq!(unknown.to_string(), format!("account node {:?} at path \"\" is missing", key(9)));

    memory.nodes.remove(&account.storage_root);
    memory.codes.clear();
    let state = State::at(&memory, root);
    let missing = state.slot(&key(0x10), &account, &key(1)).unwrap_err();
    let expected =
        format!("storage node {:?} at path \"\" of account {:?} is missing", account.storage_root, key(0x10));
    assert_eq!(missing.to_string(), expected);
    assert_eq!(state.code(&account.code_hash), Err(StateError::MissingCode { hash: account.code_hash }));
    assert!(state.account(&key(0x10)).is_ok());

    let leaf = keccak256(&State::at(&memory, root).proof(&key(0x22), &[]).unwrap().nodes[1]);
    memory.nodes.remove(&leaf);
    let state = State::at(&memory, root);
    let missing = state.account(&key(0x22)).unwrap_err().to_string();
    assert_eq!(missing, format!("account node {leaf:?} at path \"2\" is missing"));
    assert!(state.account(&key(0x10)).is_ok());
}

#[test]
fn bytes_that_are_not_what_their_name_says_are_not_used() {
    let (mut memory, root) = memory();
    let account = State::at(&memory, root).account(&key(0x10)).unwrap().unwrap();
    memory.codes.insert(account.code_hash, b"other".to_vec());
    let corrupt = State::at(&memory, root).code(&account.code_hash);
    assert_eq!(corrupt, Err(StateError::CorruptCode { hash: account.code_hash, got: keccak256(b"other") }));
    memory.nodes.get_mut(&root).unwrap()[1] ^= 1;
    let corrupt = State::at(&memory, root).account(&key(0x10)).unwrap_err();
    assert!(matches!(corrupt, StateError::CorruptNode { fault: Fault::Hash { .. }, .. }), "{corrupt}");
    // Code can hash to a root that an account names.
    let text = b"anything but a node, and longer than one that is inline".to_vec();
    let name = keccak256(&text);
    memory.nodes.insert(name, text);
    let corrupt = State::at(&memory, name).account(&key(0x10)).unwrap_err();
    assert!(matches!(corrupt, StateError::CorruptNode { fault: Fault::Node(_), .. }), "{corrupt}");
}
