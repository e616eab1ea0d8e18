//! A state is exported whole or not at all.

use std::path::{Path, PathBuf};
use std::process::Command;

use primitive_types::H256;
use serde_json::{Value, json};
use statesync::genesis::{Genesis, StateSummary};
use statesync::import::import;
use tempfile::TempDir;

use crate::support::{CODES, MEDIUM, NODES, Output, SMALL, Seed, open, replace, state, statesync, statesync_in};

/// A store with one state.
pub(crate) struct Exporter {
    pub(crate) dir: TempDir,
    pub(crate) genesis: Genesis,
    pub(crate) summary: StateSummary,
}

impl Exporter {
    pub(crate) fn new(genesis: Genesis) -> Self {
        let dir = TempDir::new().unwrap();
        let summary = import(&genesis, &open(&dir.path().join("store"))).unwrap();
        std::fs::create_dir(dir.path().join("out")).unwrap();
        Self { dir, genesis, summary }
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    pub(crate) fn out(&self) -> PathBuf {
        self.dir.path().join("out/state")
    }

    pub(crate) fn export(&self, format: &str, more: &[&str]) -> Output {
        let (store, out) = (self.store(), self.out());
        let base = ["export", "--datadir", store.to_str().unwrap(), "--format", format, "--out", out.to_str().unwrap()];
        statesync_in(&[], &[&base, more].concat())
    }

    /// What is in the output's directory.
    pub(crate) fn files(&self) -> Vec<String> {
        let names = std::fs::read_dir(self.dir.path().join("out")).unwrap();
        names.map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// That an export ended so, said this with a hint, and left nothing behind.
    pub(crate) fn assert_refused(&self, output: Output, code: i32, says: &str) {
        let output = output.exits(code);
        let has = |prefix: &str, text: &str| {
            output.stderr.lines().any(|line| line.starts_with(prefix) && line.contains(text))
        };
        assert!(has("error: ", says) && has("hint: ", ""), "{output:#?}");
        assert_eq!(self.files(), Vec::<String>::new());
    }
}

pub(crate) fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_dump_has_every_account_code_and_slot_in_the_order_of_their_keys() {
    let exporter = Exporter::new(state(Seed::or(51).0, SMALL));
    let report = exporter.export("geth-dump", &["--json"]).exits(0).json();
    let StateSummary { root, accounts, slots, .. } = exporter.summary;
    let bytes = std::fs::metadata(exporter.out()).unwrap().len();
    for (field, value) in [
        ("root", json!(format!("{root:?}"))),
        ("accounts", json!(accounts)),
        ("slots", json!(slots)),
        ("bytes", json!(bytes)),
        ("format", json!("geth-dump")),
    ] {
        assert_eq!(report[field], value, "{field}");
    }
    let lines = lines(&exporter.out());
    assert_eq!(lines[0], json!({ "root": format!("{root:?}") }));
    assert_eq!(lines.len() as u64, 1 + accounts);
    for ((key, account), line) in exporter.genesis.alloc.iter().zip(&lines[1..]) {
        assert_eq!((&line["key"], &line["nonce"]), (&json!(format!("{key:?}")), &json!(account.nonce)));
        assert_eq!(line["balance"], account.balance.to_string());
        let code = (!account.code.is_empty()).then(|| format!("0x{}", faster_hex::hex_string(&account.code)));
        assert_eq!(line["code"].as_str(), code.as_deref());
        let slot =
            |(slot, value): (&H256, _)| (format!("{slot:?}"), json!(faster_hex::hex_string(&rlp::encode(value))));
        let slots: serde_json::Map<String, Value> = account.storage.iter().map(slot).collect();
        assert_eq!(line.get("storage").cloned(), (!slots.is_empty()).then_some(Value::Object(slots)));
    }
    assert_eq!(exporter.files(), ["state"]);
}

#[test]
fn an_unknown_or_incomplete_state_is_not_exported() {
    let exporter = Exporter::new(state(Seed::or(52).0, SMALL));
    let foreign = format!("{:?}", H256::repeat_byte(7));
    exporter.assert_refused(exporter.export("geth-dump", &["--root", &foreign]), 2, "no state 0x0707");

    let begun = statesync::store::RootRecord::syncing(H256::repeat_byte(8), None);
    open(&exporter.store()).begin_root(&begun).unwrap();
    let begun = format!("{:?}", begun.root);
    exporter.assert_refused(exporter.export("geth-dump", &["--root", &begun]), 3, "is not complete");

    let nowhere = exporter.dir.path().join("nowhere");
    let arguments = ["export", "--datadir", nowhere.to_str().unwrap(), "--format", "geth-dump", "--out", "out"];
    statesync(arguments).exits(10);
}

#[test]
fn a_state_with_something_missing_or_corrupt_is_not_exported() {
    for (family, value) in
        [(NODES, None), (CODES, None), (CODES, Some(&b"other"[..])), (NODES, Some(&b"\x01other"[..]))]
    {
        let exporter = Exporter::new(state(Seed::or(53).0, SMALL));
        let hashes = crate::support::rows(&exporter.store(), family).into_keys();
        let hash = hashes.filter(|hash| *hash != exporter.summary.root).max().unwrap();
        replace(&exporter.store(), family, hash, value);
        let says = if value.is_some() { "is corrupt: content hashes to" } else { "is missing" };
        let output = exporter.export("geth-dump", &[]);
        assert!(output.stderr.contains(&format!("{hash:?}")), "{output:?}");
        exporter.assert_refused(output, 4, says);
    }
}

#[test]
fn what_is_there_is_replaced_only_when_that_is_asked_for_and_only_by_a_whole_export() {
    let exporter = Exporter::new(state(Seed::or(54).0, SMALL));
    std::fs::write(exporter.out(), "precious").unwrap();
    let refused = exporter.export("geth-dump", &[]).exits(2);
    assert!(refused.stderr.contains("exists") && refused.stderr.contains("--force"), "{refused:?}");
    let foreign = format!("{:?}", H256::repeat_byte(7));
    exporter.export("geth-dump", &["--force", "--root", &foreign]).exits(2);
    assert_eq!(std::fs::read(exporter.out()).unwrap(), b"precious");
    exporter.export("geth-dump", &["--force"]).exits(0);
    assert_eq!(lines(&exporter.out()).len() as u64, 1 + exporter.summary.accounts);
    assert_eq!(exporter.files(), ["state"]);
}

#[test]
fn an_output_that_cannot_be_made_is_a_mistake_in_the_command() {
    let exporter = Exporter::new(state(Seed::or(55).0, SMALL));
    let store = exporter.store();
    for (out, says) in [
        (exporter.dir.path().join("no/such"), "No such file or directory"),
        (exporter.dir.path().join("out"), "it is a directory"),
    ] {
        let out = out.to_str().unwrap();
        let arguments =
            ["export", "--datadir", store.to_str().unwrap(), "--format", "geth-dump", "--out", out, "--force"];
        exporter.assert_refused(statesync(arguments), 2, says);
    }
}

#[test]
fn a_full_disk_ends_an_export_and_leaves_nothing_behind() {
    // Of a file, in blocks of 512 bytes: less than the export.
    const FILE_BLOCKS: u32 = 64;
    let exporter = Exporter::new(state(Seed::or(56).0, MEDIUM));
    let limited = Command::new("sh")
        .args(["-c", &format!("ulimit -f {FILE_BLOCKS} && exec \"$@\""), "sh", env!("CARGO_BIN_EXE_statesync")])
        .args(["export", "--format", "geth-dump", "--datadir"])
        .args([exporter.store().as_os_str(), "--out".as_ref(), exporter.out().as_os_str()])
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let output = Output { code: limited.status.code(), stdout: text(limited.stdout), stderr: text(limited.stderr) };
    exporter.assert_refused(output, 1, "File too large");
}
