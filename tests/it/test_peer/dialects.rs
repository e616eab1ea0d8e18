//! Each dialect's keys, written by hand.

use primitive_types::H256;
use rlp::Rlp;
use serde_json::{Value, json};
use statesync::serve::MemoryState;
use statesync::trie::{Leaf, Nibbles, TrieKind, decode};

use super::{World, ask, batch, call, data, db_get, hex, not_found, world};
use crate::support::{Peer, Speaks};

/// An account with storage whose root node is a branch: its key, its storage root, and the first child of that root.
struct Contract {
    key: H256,
    storage: H256,
    nibble: u8,
    child: H256,
}

/// The first contract of a state whose storage trie has more than one node, found by reading the account trie.
fn contract(memory: &MemoryState, root: H256) -> Contract {
    let mut places = vec![(Nibbles::EMPTY, root, false)];
    while let Some((path, hash, after_extension)) = places.pop() {
        let links = decode(TrieKind::Account, &path, after_extension, &memory.nodes()[&hash]).unwrap();
        places.extend(links.children.iter().map(|child| (child.path, child.hash, child.after_extension)));
        for leaf in &links.leaves {
            let Leaf::Account { key, account } = leaf else { continue };
            let Some(rlp) = memory.nodes().get(&account.storage_root) else { continue };
            if let Some((nibble, child)) = children(rlp).into_iter().next() {
                return Contract { key: *key, storage: account.storage_root, nibble, child };
            }
        }
    }
    panic!("the state has no contract with storage enough");
}

/// The children of a branch that are nodes of their own, with the nibble of each.
fn children(rlp: &[u8]) -> Vec<(u8, H256)> {
    let node = Rlp::new(rlp);
    if node.item_count() != Ok(17) {
        return Vec::new();
    }
    let hash = |nibble: u8| node.at(usize::from(nibble)).unwrap().as_val::<H256>().ok();
    (0..16).filter_map(|nibble| Some((nibble, hash(nibble)?))).collect()
}

/// The child of the root, and its child, that begin the account trie.
fn two_down(memory: &MemoryState, root: H256) -> [(u8, H256); 2] {
    let first = children(&memory.nodes()[&root])[0];
    [first, children(&memory.nodes()[&first.1])[0]]
}

fn node(world: &World, hash: H256) -> Value {
    data(&world.memory.nodes()[&hash])
}

fn any_code(memory: &MemoryState) -> (H256, Value) {
    let (hash, code) = memory.codes().iter().next().unwrap();
    (*hash, data(code))
}

#[test]
fn a_hash_peer_finds_nodes_and_codes_by_hash_and_nothing_by_path() {
    let world = world();
    let peer = Peer::honest(&world.memory);
    for root in world.roots {
        assert_eq!(db_get(&peer, &hex(root)), node(&world, root));
    }
    let (hash, code) = any_code(&world.memory);
    assert_eq!(db_get(&peer, &format!("63{}", hex(hash))), code);
    assert_eq!(db_get(&peer, &hex(hash)), code);
    for absent in ["41", "", &format!("63{}", hex(world.roots[0])), &"ab".repeat(32), &"ab".repeat(31)] {
        assert_eq!(db_get(&peer, absent), not_found(), "{absent}");
    }
    assert_eq!(ask(&peer, "debug_dbGet", &json!(["LastStateID"])), not_found());
    let expected = r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32000,"message":"pebble: not found"}}"#;
    assert_eq!(call(&peer, "debug_dbGet", &json!([format!("0x{}", "ab".repeat(32))])), expected);
    assert_eq!(peer.counts().methods["debug_dbGet"], 11);
}

#[test]
fn malformed_keys_get_the_texts_of_geth() {
    let peer = Peer::honest(&world().memory);
    for (key, text) in [("", "empty hex string"), ("0xabc", "hex string of odd length"), ("0xzz", "invalid hex string")]
    {
        assert_eq!(ask(&peer, "debug_dbGet", &json!([key])), json!({ "code": -32000, "message": text }));
    }
    assert_eq!(ask(&peer, "debug_dbGet", &json!([]))["code"], -32602);
    assert_eq!(ask(&peer, "debug_dbGet", &json!([5]))["code"], -32602);
}

#[test]
fn a_path_peer_finds_nodes_by_path_and_none_by_hash() {
    let world = world();
    let [first, second] = world.roots;
    let peer = Peer::build(&world.memory).speaks(Speaks::Path).blocks([(3, first), (5, second)]).disk(first).start();
    assert_eq!(db_get(&peer, "41"), node(&world, first));
    let [(a, child), (b, grandchild)] = two_down(&world.memory, first);
    assert_eq!(db_get(&peer, &format!("41{a:02x}")), node(&world, child));
    assert_eq!(db_get(&peer, &format!("41{a:02x}{b:02x}")), node(&world, grandchild));
    let Contract { key, storage, nibble, child } = contract(&world.memory, first);
    assert_eq!(db_get(&peer, &format!("4f{}", hex(key))), node(&world, storage));
    assert_eq!(db_get(&peer, &format!("4f{}{nibble:02x}", hex(key))), node(&world, child));
    let (hash, code) = any_code(&world.memory);
    assert_eq!(db_get(&peer, &format!("63{}", hex(hash))), code);
    for absent in [hex(first), hex(hash), "4110".into(), "4f".into(), format!("41{}", "0f".repeat(70))] {
        assert_eq!(db_get(&peer, &absent), not_found(), "{absent}");
    }
}

#[test]
fn a_path_peer_tells_which_state_is_on_its_disk() {
    let world = world();
    let [first, second] = world.roots;
    let peer = Peer::build(&world.memory).speaks(Speaks::Path).blocks([(3, first), (5, second)]).disk(first).start();
    // Block 0 has the first state already; its id is 1.
    assert_eq!(ask(&peer, "debug_dbGet", &json!(["LastStateID"])), json!("0x0000000000000001"));
    assert_eq!(ask(&peer, "debug_dbGet", &json!(["SnapshotRoot"])), data(first));
    assert_eq!(db_get(&peer, &format!("4c{}", hex(first))), json!("0x0000000000000001"));
    assert_eq!(db_get(&peer, &format!("4c{}", hex(second))), not_found());
    peer.flush(second);
    assert_eq!(ask(&peer, "debug_dbGet", &json!(["LastStateID"])), json!("0x0000000000000006"));
    assert_eq!(ask(&peer, "debug_dbGet", &json!(["SnapshotRoot"])), data(second));
    assert_eq!(db_get(&peer, &format!("4c{}", hex(first))), not_found());
    assert_eq!(db_get(&peer, "41"), node(&world, second));
}

#[test]
fn a_flush_swaps_everything_between_two_keys_of_one_batch() {
    let world = world();
    let [first, second] = world.roots;
    let peer = Peer::build(&world.memory).speaks(Speaks::Path).blocks([(0, first), (1, second)]).disk(first).start();
    peer.flush_after(3, second);
    let [root, id, name] = ["0x41", "LastStateID", "SnapshotRoot"].map(|key| ("debug_dbGet", json!([key])));
    let keys = [root.clone(), id.clone(), name.clone(), root, id, name];
    let results: Vec<Value> = batch(&peer, &keys).iter().map(|element| element["result"].clone()).collect();
    assert_eq!(results[..3], [node(&world, first), json!("0x0000000000000001"), data(first)]);
    assert_eq!(results[3..], [node(&world, second), json!("0x0000000000000002"), data(second)]);
    assert_eq!(peer.counts().served, 2, "only the roots are part of a state");
}

#[test]
fn a_half_path_peer_finds_nodes_by_path_and_hash_together() {
    let world = world();
    let [first, second] = world.roots;
    let peer = Peer::build(&world.memory).speaks(Speaks::HalfPath).blocks([(0, first), (1, second)]).start();
    let get = |database: &str, key: &str| ask(&peer, "debug_getFromDb", &json!([database, format!("0x{key}")]));
    for root in [first, second] {
        assert_eq!(get("State", &format!("00{}00{}", "00".repeat(8), hex(root))), node(&world, root));
    }
    let [(a, child), (b, grandchild)] = two_down(&world.memory, first);
    assert_eq!(get("state", &format!("00{a:x}0{}01{}", "00".repeat(7), hex(child))), node(&world, child));
    assert_eq!(get("state", &format!("00{a:x}{b:x}{}02{}", "00".repeat(7), hex(grandchild))), node(&world, grandchild));
    let Contract { key, storage, nibble, child } = contract(&world.memory, first);
    let owner = hex(&key[..7]);
    assert_eq!(get("State", &format!("02{owner}{}00{}", "00".repeat(7), hex(storage))), node(&world, storage));
    let path = format!("{nibble:x}0{}01", "00".repeat(6));
    assert_eq!(get("State", &format!("02{owner}{path}{}", hex(child))), node(&world, child));

    assert_eq!(get("state", &hex(first)), Value::Null);
    assert_eq!(get("state", &format!("01{}00{}", "00".repeat(8), hex(first))), Value::Null);
    let (hash, code) = any_code(&world.memory);
    assert_eq!((get("code", &hex(hash)), get("Code", &hex(hash))), (code.clone(), code));
    assert_eq!(get("code", &hex(first)), Value::Null);
    let refusal = json!({ "code": -32601, "message": "The method 'debug_dbGet' is not supported." });
    assert_eq!(db_get(&peer, &hex(first)), refusal);
}

#[test]
fn a_half_path_peer_keeps_deep_account_nodes_in_a_section_of_their_own() {
    let (memory, root, [shallow, deep]) = super::deep::state();
    let peer = Peer::build(&memory).speaks(Speaks::HalfPath).blocks([(0, root)]).start();
    let get = |key: String| ask(&peer, "debug_getFromDb", &json!(["state", format!("0x{key}")]));
    for (section, place) in [("00", shallow), ("01", deep)] {
        let digits = format!("{:0<16}", place.path.prefix(16).to_string());
        let key = format!("{section}{digits}{:02x}{}", place.path.len(), hex(place.hash));
        assert_eq!(key.len(), 84);
        assert_eq!(get(key), data(&memory.nodes()[&place.hash]), "{place:?}");
    }
}

#[test]
fn an_old_nethermind_finds_nodes_by_hash() {
    let world = world();
    let peer = Peer::build(&world.memory).speaks(Speaks::NethermindHash).start();
    let get = |database: &str, key: String| ask(&peer, "debug_getFromDb", &json!([database, format!("0x{key}")]));
    let (hash, code) = any_code(&world.memory);
    assert_eq!(get("state", hex(world.roots[1])), node(&world, world.roots[1]));
    assert_eq!(get("code", hex(hash)), code);
    assert_eq!(get("state", hex(hash)), Value::Null);
    assert_eq!(db_get(&peer, &hex(hash))["code"], -32601);
}

#[test]
fn reth_has_codes_and_nothing_else() {
    let world = world();
    let peer = Peer::build(&world.memory).speaks(Speaks::CodesOnly).start();
    let (hash, code) = any_code(&world.memory);
    assert_eq!(db_get(&peer, &format!("63{}", hex(hash))), code);
    assert_eq!(db_get(&peer, &format!("63{}", "ab".repeat(32))), Value::Null);
    let refusal = |text| json!({ "code": -32602, "message": text });
    assert_eq!(db_get(&peer, &hex(world.roots[0])), refusal("Key must be 33 bytes, got 32"));
    assert_eq!(db_get(&peer, "41"), refusal("Key must be 33 bytes, got 1"));
    assert_eq!(db_get(&peer, &format!("4f{}", hex(hash))), refusal("Key prefix must be 0x63"));
    let no_method = json!({ "code": -32601, "message": "Method not found" });
    assert_eq!(ask(&peer, "debug_getFromDb", &json!(["state", "0x00"])), no_method);
}
