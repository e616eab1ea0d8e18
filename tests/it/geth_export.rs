//! What a real geth makes of an export.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::geth::sync;
use crate::support::{Geth, geth_is_wanted, statesync_in};

/// Runs geth's own binary; its standard output, and what it logged.
fn geth(arguments: &[&str]) -> (String, String) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/geth");
    let binary = Command::new(script).arg("install").output().unwrap().stdout;
    let output = Command::new(String::from_utf8(binary).unwrap().trim()).args(arguments).output().unwrap();
    let [said, logged] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    assert!(output.status.success(), "geth {arguments:?}: {logged}");
    (said, logged)
}

/// Two blocks of a geth that is stopped then: its directory, and a store with both.
struct Synced {
    dir: TempDir,
    blocks: [Value; 2],
}

impl Synced {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let geth = Geth::start(&dir.path().join("node"), &[]);
        let blocks = ["middle", "last"].map(|which| geth.block(which).clone());
        for block in &blocks {
            sync(&[geth.url()], block, &dir.path().join("store"));
        }
        geth.stop();
        Self { dir, blocks }
    }

    fn node(&self) -> String {
        self.path("node").to_str().unwrap().to_owned()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn export(&self, root: &str, format: &str, out: &str, more: &[&str]) -> PathBuf {
        let (store, out) = (self.path("store"), self.path(out));
        let (store, path) = (store.to_str().unwrap(), out.to_str().unwrap());
        let base = ["export", "--datadir", store, "--root", root, "--format", format, "--out", path];
        statesync_in(&[], &[&base, more].concat()).exits(0);
        out
    }
}

fn root_of(block: &Value) -> &str {
    block["state_root"].as_str().unwrap()
}

#[test]
fn a_dump_is_what_geth_dumps_byte_for_byte() {
    if !geth_is_wanted() {
        return;
    }
    let synced = Synced::new();
    for (number, block) in synced.blocks.iter().enumerate() {
        let root = root_of(block);
        let dump = synced.export(root, "geth-dump", &format!("dump {number}"), &[]);
        let (expected, _) = geth(&["snapshot", "dump", "--datadir", &synced.node(), block["hash"].as_str().unwrap()]);
        let dump = std::fs::read_to_string(dump).unwrap();
        for (line, expected) in dump.lines().zip(expected.lines()) {
            assert_eq!(line, expected);
        }
        assert!(dump == expected, "{} bytes, not {}", dump.len(), expected.len());
        assert_eq!(dump.lines().count() as u64, 1 + block["accounts"].as_u64().unwrap());
    }
}
