//! Addresses and slot numbers: from files and peers, and the exports that need them.

use std::path::Path;

use primitive_types::{H160, H256, U256};
use serde_json::{Value, json};
use statesync::genesis::{Genesis, GenesisAccount};
use statesync::trie::keccak256;

use crate::export::{Exporter, lines};
use crate::support::{Output, SMALL, Seed, state, statesync_in};

/// A made-up state whose storage has slots with known numbers, and those numbers with the addresses.
pub(crate) fn named(seed: u64) -> (Exporter, Vec<Vec<u8>>) {
    let mut genesis = state(seed, SMALL);
    let mut names: Vec<Vec<u8>> = Vec::new();
    for (number, account) in genesis.alloc.values_mut().enumerate() {
        names.push(account.address.as_bytes().to_vec());
        let slots = (0..account.storage.len()).map(|slot| U256::from(number * slot).to_big_endian().to_vec());
        let slots: Vec<Vec<u8>> = slots.collect();
        account.storage = slots.iter().map(|slot| (keccak256(slot), U256::from(number + 1))).collect();
        names.extend(slots);
    }
    names.sort();
    names.dedup();
    (Exporter::new(genesis), names)
}

fn geth_file(names: &[Vec<u8>]) -> Vec<u8> {
    names.iter().flat_map(|name| rlp::encode(name).to_vec()).collect()
}

/// The records of EIP-8347, in the order of the state.
fn records(genesis: &Genesis, names: &[Vec<u8>]) -> Vec<u8> {
    let slot = |hash: &H256| names.iter().find(|name| keccak256(name) == *hash).unwrap().clone();
    let record = |account: &GenesisAccount| {
        let count = u32::try_from(account.storage.len()).unwrap().to_be_bytes();
        let slots: Vec<u8> = account.storage.keys().flat_map(slot).collect();
        [account.address.as_bytes(), &count, &slots].concat()
    };
    genesis.alloc.values().flat_map(record).collect()
}

fn import(exporter: &Exporter, content: &[u8], more: &[&str]) -> Output {
    let (store, file) = (exporter.store(), exporter.dir.path().join("preimages"));
    std::fs::write(&file, content).unwrap();
    let base = ["preimages", "import", "--datadir", store.to_str().unwrap(), "--from", file.to_str().unwrap()];
    statesync_in(&[], &[&base, more].concat())
}

pub(crate) fn status(exporter: &Exporter) -> Value {
    statesync_in(&[], &["status", "--datadir", exporter.store().to_str().unwrap(), "--json"]).exits(0).json()
}

fn reimported(exporter: &Exporter, file: &Path) -> Value {
    let copy = exporter.dir.path().join("copy");
    let arguments = ["import", "--genesis", file.to_str().unwrap(), "--datadir", copy.to_str().unwrap(), "--json"];
    statesync_in(&[], &arguments).exits(0).json()
}

#[test]
fn an_export_that_lacks_preimages_says_how_many_and_how_to_get_them() {
    let (exporter, names) = named(Seed::or(61).0);
    let summary = exporter.summary;
    for format in ["alloc", "reth-init"] {
        let says =
            format!("of {0} of {0} accounts and of {1} of {1} slots are missing", summary.accounts, summary.slots);
        let output = exporter.export(format, &[]);
        assert!(
            output.stderr.contains("statesync preimages fetch") && output.stderr.contains("statesync preimages import")
        );
        exporter.assert_refused(output, 3, &says);
    }
    // All but one.
    let address = names.iter().position(|name| name.len() == 20).unwrap();
    let some = [&names[..address], &names[address + 1..]].concat();
    import(&exporter, &geth_file(&some), &[]).exits(0);
    let says = format!("of 1 of {} accounts and of 0 of {} slots are missing", summary.accounts, summary.slots);
    exporter.assert_refused(exporter.export("alloc", &[]), 3, &says);
}

#[test]
fn with_all_preimages_an_allocation_is_exported_that_makes_the_same_state() {
    let (exporter, names) = named(Seed::or(62).0);
    let slots = names.iter().filter(|name| name.len() == 32).count();
    let report = import(&exporter, &geth_file(&names), &["--json"]).exits(0).json();
    let accounts = exporter.summary.accounts;
    assert_eq!((&report["addresses_added"], &report["slots_added"]), (&json!(accounts), &json!(slots)));
    exporter.export("alloc", &[]).exits(0);
    let again = reimported(&exporter, &exporter.out());
    for (field, value) in [("root", json!(format!("{:?}", exporter.summary.root))), ("accounts", json!(accounts))] {
        assert_eq!(again[field], value);
    }
    assert_eq!(again["slots"], exporter.summary.slots);
}

#[test]
fn lines_for_reth_have_the_root_and_then_every_account_by_its_address() {
    let (exporter, names) = named(Seed::or(63).0);
    import(&exporter, &geth_file(&names), &[]).exits(0);
    exporter.export("reth-init", &[]).exits(0);
    let lines = lines(&exporter.out());
    assert_eq!(lines[0], json!({ "root": format!("{:?}", exporter.summary.root) }));
    let mut alloc = serde_json::Map::new();
    for line in &lines[1..] {
        alloc.insert(line["address"].as_str().unwrap().to_owned(), line.clone());
    }
    assert_eq!(alloc.len() as u64, exporter.summary.accounts);
    // The same fields as an allocation's: put together they are one.
    let file = exporter.dir.path().join("alloc.json");
    std::fs::write(&file, json!({ "alloc": alloc }).to_string()).unwrap();
    assert_eq!(reimported(&exporter, &file)["root"], format!("{:?}", exporter.summary.root));
}

#[test]
fn every_kind_of_file_brings_the_same_preimages_and_is_known_by_its_content() {
    let (source, names) = named(Seed::or(64).0);
    import(&source, &geth_file(&names), &[]).exits(0);
    source.export("alloc", &[]).exits(0);
    let alloc = std::fs::read(source.out()).unwrap();
    let counts = |status: &Value| (status["preimage_addresses"].clone(), status["preimage_slots"].clone());
    let known = counts(&status(&source));
    for content in [alloc, records(&source.genesis, &names)] {
        let (exporter, _) = named(Seed::or(64).0);
        import(&exporter, &content, &[]).exits(0);
        let status = status(&exporter);
        assert_eq!(counts(&status), known);
        assert_eq!(status["roots"][0]["addresses_known"], 1.0);
    }
}

#[test]
fn status_says_what_share_of_the_accounts_is_known() {
    let (exporter, names) = named(Seed::or(65).0);
    assert_eq!(status(&exporter)["roots"][0]["addresses_known"], 0.0);
    let addresses: Vec<Vec<u8>> = names.into_iter().filter(|name| name.len() == 20).collect();
    assert_eq!(addresses.len() % 2, 0);
    let half = &addresses[..addresses.len() / 2];
    import(&exporter, &geth_file(half), &[]).exits(0);
    let status = status(&exporter);
    assert_eq!((&status["preimage_addresses"], &status["preimage_slots"]), (&json!(half.len()), &json!(0)));
    assert_eq!(status["roots"][0]["addresses_known"], 0.5);
}

#[test]
fn a_damaged_dump_brings_what_is_right_in_it_and_a_message() {
    let (exporter, names) = named(Seed::or(66).0);
    let mut header = rlp::RlpStream::new_list(4);
    header.append(&"gethdbdump").append(&0_u8).append(&"preimage").append(&1_u8);
    let row = |name: &Vec<u8>, hash: H256| {
        let key = [b"secure-key-", hash.as_bytes()].concat();
        [&[0x80][..], &rlp::encode(&key), &rlp::encode(name)].concat()
    };
    let wrong = row(&names[0], keccak256(&names[1]));
    let right = row(&names[2], keccak256(&names[2]));
    let content = [header.out().to_vec(), wrong, right].concat();
    let output = import(&exporter, &content, &["--json"]).exits(4);
    assert_eq!((&output.json()["wrong"], &output.json()["found"]), (&json!(1), &json!(1)));
    let cut = import(&exporter, &content[..content.len() - 1], &[]).exits(2);
    assert!(cut.stderr.contains("is no gethdbdump file: it ends within an item"), "{cut:?}");
    let odd = H160::repeat_byte(1);
    let other = import(&exporter, odd.as_bytes(), &["--format", "eip-8347"]).exits(2);
    assert!(other.stderr.contains("no count of slots"), "{other:?}");
}

#[test]
fn without_a_store_there_is_nothing_to_add_preimages_to() {
    let dir = tempfile::tempdir().unwrap();
    let nowhere = dir.path().join("nowhere");
    std::fs::write(dir.path().join("file"), [0x94; 21]).unwrap();
    let (store, file) = (nowhere.to_str().unwrap(), dir.path().join("file"));
    let arguments = ["preimages", "import", "--datadir", store, "--from", file.to_str().unwrap()];
    statesync_in(&[], &arguments).exits(10);
    assert!(!nowhere.exists());
}
