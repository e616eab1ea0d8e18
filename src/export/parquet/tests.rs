use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64};

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};

use crate::export::{ExportError, Format, Watch, export};
use crate::genesis::Genesis;
use crate::import::import;
use crate::store::{Access, Store};

/// Two plain accounts and one with code and two slots.
const ALLOC: &str = r#"{
    "0x0000000000000000000000000000000000000001": { "balance": "1" },
    "0x0000000000000000000000000000000000000002": { "balance": "0xffffffffffffffffffffffff", "nonce": "7" },
    "0x0000000000000000000000000000000000000003": {
        "balance": "3", "code": "0x6000", "storage": { "0x00": "0x05", "0x01": "0x0a" }
    }
}"#;

fn rows(dir: &Path, columns: &str) -> Vec<String> {
    let mut rows = Vec::new();
    for part in std::fs::read_dir(dir).unwrap().map(|part| part.unwrap().path()) {
        let file = if part.is_dir() { part.join("data.parquet") } else { part };
        let reader = SerializedFileReader::new(std::fs::File::open(file).unwrap()).unwrap();
        rows.extend(reader.get_row_iter(None).unwrap().map(|row| shown(&row.unwrap(), columns)));
    }
    rows.sort();
    rows
}

fn shown(row: &Row, columns: &str) -> String {
    let column = |name: &str| row.get_column_iter().find(|(column, _)| *column == name).unwrap().1;
    let text = |field: &Field| match field {
        Field::Bytes(bytes) => faster_hex::hex_string(bytes.data()).trim_start_matches('0').to_owned(),
        Field::Str(text) => text.clone(),
        other => other.to_string(),
    };
    columns.split(' ').map(|name| text(column(name))).collect::<Vec<_>>().join(" ")
}

fn exported(dir: &Path, preimages: &[Vec<u8>], force: bool) -> Result<(), ExportError> {
    let store = dir.join("store");
    let root =
        import(&Genesis::parse("test", ALLOC.as_bytes()).unwrap(), &Store::open(&store, Access::Create).unwrap());
    let store = Store::open_for_preimages(&store).unwrap();
    store.add_preimages(preimages).unwrap();
    let (done, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let watch = Watch { done: &done, stop: &stop };
    let exported = export(&store, root.unwrap().root, Format::Parquet, &dir.join("tables"), force, watch)?;
    assert_eq!((exported.accounts, exported.slots, exported.contracts), (3, 2, 1));
    assert!(exported.bytes > 0);
    Ok(())
}

#[test]
fn tables_have_a_row_for_each_account_slot_and_code() {
    let dir = tempfile::tempdir().unwrap();
    let slot = [&[0; 31][..], &[1]].concat();
    exported(dir.path(), &[[&[0; 19][..], &[3]].concat(), slot], false).unwrap();
    let tables = dir.path().join("tables");
    let accounts = rows(&tables.join("accounts"), "balance_string balance_binary nonce address block_number");
    assert_eq!(
        accounts,
        ["1 1 0 null null", "3 3 0 3 null", "79228162514264337593543950335 ffffffffffffffffffffffff 7 null null"]
    );
    assert_eq!(rows(&tables.join("slots"), "value slot address"), ["5 null 3", "a 1 3"]);
    assert_eq!(rows(&tables.join("codes"), "code chain_id"), ["6000 null"]);
}

#[test]
fn only_tables_of_an_export_are_replaced() {
    let dir = tempfile::tempdir().unwrap();
    exported(dir.path(), &[], false).unwrap();
    assert!(matches!(exported(dir.path(), &[], false), Err(ExportError::Exists { .. })));
    exported(dir.path(), &[], true).unwrap();
    assert_eq!(rows(&dir.path().join("tables/codes"), "code"), ["6000"]);
    let precious = dir.path().join("tables/precious");
    std::fs::write(&precious, "precious").unwrap();
    assert!(matches!(exported(dir.path(), &[], true), Err(ExportError::Create { .. })));
    assert!(precious.exists());
    let mut names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["store", "tables"]);
}
