//! What a real geth makes of an export.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::geth::sync;
use crate::support::{Geth, geth_is_wanted, statesync_in};

fn binary() -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/geth");
    let path = Command::new(script).arg("install").output().unwrap().stdout;
    String::from_utf8(path).unwrap().trim().into()
}

/// Runs geth's own binary; its standard output, and what it logged.
fn geth(arguments: &[&str]) -> (String, String) {
    let output = Command::new(binary()).args(arguments).output().unwrap();
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
    // geth's own needs the flat copy of a state, which it has of its head's.
    let block = &synced.blocks[1];
    let dump = synced.export(root_of(block), "geth-dump", "dump", &[]);
    let (expected, _) = geth(&["snapshot", "dump", "--datadir", &synced.node(), block["hash"].as_str().unwrap()]);
    let dump = std::fs::read_to_string(dump).unwrap();
    for (line, expected) in dump.lines().zip(expected.lines()) {
        assert_eq!(line, expected);
    }
    assert!(dump == expected, "{} bytes, not {}", dump.len(), expected.len());
    assert_eq!(dump.lines().count() as u64, 1 + block["accounts"].as_u64().unwrap());
}

/// A new directory of geth's with a genesis.
fn init(dir: &Path, scheme: &str, genesis: &Path) -> String {
    let dir = dir.to_str().unwrap().to_owned();
    geth(&["init", "--datadir", &dir, "--state.scheme", scheme, genesis.to_str().unwrap()]);
    dir
}

fn small_genesis() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/lib/geth_genesis.json")
}

#[test]
fn a_state_is_loaded_into_an_empty_geth_and_is_whole_there() {
    if !geth_is_wanted() {
        return;
    }
    let synced = Synced::new();
    let block = &synced.blocks[1];
    let root = root_of(block);
    for scheme in ["hash", "path"] {
        let rows = synced.export(root, "geth-db", scheme, &["--keys", scheme]);
        let node = init(&synced.path(&format!("loaded {scheme}")), scheme, &small_genesis());
        geth(&["db", "import", "--datadir", &node, rows.to_str().unwrap()]);
        let (_, logged) = geth(&["snapshot", "traverse-rawstate", "--datadir", &node, root]);
        let counts = format!("accounts={} slots={}", block["accounts"], block["slots"]);
        assert!(logged.contains("State is complete") && logged.contains(&counts), "{scheme}: {logged}");
    }
}

#[test]
fn with_a_geths_preimages_its_state_becomes_a_genesis_of_the_same_root() {
    if !geth_is_wanted() {
        return;
    }
    let synced = Synced::new();
    let (block, store) = (&synced.blocks[0], synced.path("store"));
    let (root, store) = (root_of(block), store.to_str().unwrap());
    let dump = synced.path("preimages");
    geth(&["db", "export", "--datadir", &synced.node(), "preimage", dump.to_str().unwrap()]);
    statesync_in(&[], &["preimages", "import", "--datadir", store, "--from", dump.to_str().unwrap()]).exits(0);
    let alloc = synced.export(root, "alloc", "alloc.json", &[]);

    let read = |path: &Path| serde_json::from_slice::<Value>(&std::fs::read(path).unwrap()).unwrap();
    let mut genesis = read(&small_genesis());
    genesis["alloc"] = read(&alloc)["alloc"].clone();
    let file = synced.path("genesis.json");
    std::fs::write(&file, genesis.to_string()).unwrap();
    let node = init(&synced.path("made"), "path", &file);
    // It fails for a state that is not there.
    let (_, logged) = geth(&["snapshot", "traverse-rawstate", "--datadir", &node, root]);
    assert!(logged.contains("State is complete"), "{logged}");
}

#[test]
fn preimages_are_fetched_from_an_archive() {
    if !geth_is_wanted() {
        return;
    }
    let dir = TempDir::new().unwrap();
    let geth = Geth::start(&dir.path().join("node"), &[]);
    let (block, store) = (geth.block("last"), dir.path().join("store"));
    sync(&[geth.url()], block, &store);
    let fetch = ["preimages", "fetch", "-r", geth.url(), "--datadir", store.to_str().unwrap(), "--json"];
    let fetched = statesync_in(&[], &fetch).exits(0).json();
    assert_eq!((&fetched["addresses_added"], &fetched["absent"]), (&block["accounts"], &0.into()));
    let again = statesync_in(&[], &fetch).exits(0).json();
    assert_eq!((&again["addresses_added"], &again["slots_added"]), (&0.into(), &0.into()));
    let status = statesync_in(&[], &["status", "--datadir", store.to_str().unwrap(), "--json"]).exits(0).json();
    assert_eq!(status["roots"][0]["addresses_known"], 1.0);
}

/// A row of geth's database as a dump has it.
fn row(key: &[u8], value: &[u8]) -> Vec<u8> {
    [&[0x80][..], &rlp::encode(&key), &rlp::encode(&value)].concat()
}

/// The rows of all blocks after the genesis, and the marks that the last of them is the head.
fn blocks_of(geth: &Geth) -> Vec<u8> {
    let mut header = rlp::RlpStream::new_list(4);
    header.append(&"gethdbdump").append(&0_u8).append(&"chain").append(&1_u8);
    let mut dump = header.out().to_vec();
    for block in geth.chain["blocks"].as_array().unwrap() {
        let number = block["number"].as_u64().unwrap().to_be_bytes();
        if number == [0; 8] {
            continue;
        }
        let hash = unhex(block["hash"].as_str().unwrap());
        let numbered = |prefix: &[u8]| [prefix, &number, &hash].concat();
        let keys = [
            [b"h", &number[..], b"n"].concat(),
            [b"H", &hash[..]].concat(),
            numbered(b"h"),
            numbered(b"b"),
            numbered(b"r"),
        ];
        let names: Vec<String> = keys.iter().map(|key| format!("0x{}", faster_hex::hex_string(key))).collect();
        for (key, value) in keys.iter().zip(geth.read(&names)) {
            dump.extend(row(key, &unhex(&value.unwrap())));
        }
        ["LastHeader", "LastBlock", "LastFast"].iter().for_each(|mark| dump.extend(row(mark.as_bytes(), &hash)));
    }
    dump
}

fn unhex(text: &str) -> Vec<u8> {
    let mut bytes = vec![0; text.len() / 2 - 1];
    faster_hex::hex_decode(&text.as_bytes()[2..], &mut bytes).unwrap();
    bytes
}

#[test]
fn a_geth_that_has_the_blocks_goes_on_from_a_loaded_state() {
    if !geth_is_wanted() {
        return;
    }
    let synced = Synced::new();
    let root = root_of(&synced.blocks[1]);
    let archive = Geth::start(&synced.path("node"), &[]);
    let blocks = synced.path("blocks");
    std::fs::write(&blocks, blocks_of(&archive)).unwrap();
    let grown = archive.grow(2);
    archive.stop();

    let load = |scheme: &str| {
        let dir = synced.path(&format!("loaded {scheme}"));
        let node = init(&dir, scheme, &small_genesis());
        let state = synced.export(root, "geth-db", &format!("state {scheme}"), &["--keys", scheme]);
        for dump in [&state, &blocks] {
            geth(&["db", "import", "--datadir", &node, dump.to_str().unwrap()]);
        }
        dir
    };
    let hash = load("hash");
    // What the script knows of the chain.
    std::fs::copy(synced.path("node/chain.json"), hash.join("chain.json")).unwrap();
    // It counts what is in a state by the preimages.
    let preimages = synced.path("preimages");
    geth(&["db", "export", "--datadir", &synced.node(), "preimage", preimages.to_str().unwrap()]);
    geth(&["db", "import", "--datadir", hash.to_str().unwrap(), preimages.to_str().unwrap()]);
    let loaded = Geth::start(&hash, &[]);
    assert_eq!(loaded.chain["head"]["state_root"], root);
    assert_eq!(loaded.grow(2)["head"], grown["head"]);
    makes_its_flat_copy(&load("path"), &synced.blocks[1]);
}

/// Runs a geth until it has made its flat copy of the state that is in its database, and that is its head's.
fn makes_its_flat_copy(dir: &Path, head: &Value) {
    let mut node = Command::new(binary());
    node.args(["--datadir", dir.to_str().unwrap(), "--networkid", "1337", "--nodiscover", "--maxpeers", "0"]);
    node.args(["--port", "0", "--authrpc.port", "0", "--ipcdisable"]);
    let mut node = node.stderr(Stdio::piped()).spawn().unwrap();
    let mut logged = String::new();
    let mut lines = BufReader::new(node.stderr.take().unwrap());
    while !logged.contains("Generated snapshot") && lines.read_line(&mut logged).unwrap() > 0 {}
    node.kill().unwrap();
    node.wait().unwrap();
    let squeezed = logged.split_whitespace().collect::<Vec<_>>().join(" ");
    let begins = format!("Loaded most recent local block number={}", head["number"]);
    let counts = format!("Generated snapshot accounts={} slots={}", head["accounts"], head["slots"]);
    assert!(squeezed.contains(&begins) && squeezed.contains(&counts), "{logged}");
}

/// The commands in a document.
fn commands(document: &str) -> Vec<String> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/use").join(document)).unwrap();
    let blocks = text.split("```sh\n").skip(1);
    blocks.map(|block| block.split("```").next().unwrap().to_owned()).collect()
}

/// Runs a document's commands as they are, each block on a node of its own.
fn run_document(document: &str, synced: &Synced, url: &str) -> PathBuf {
    let dir = synced.path(document);
    std::fs::create_dir(&dir).unwrap();
    std::fs::copy(small_genesis(), dir.join("genesis.json")).unwrap();
    let geth = binary();
    let programs = [geth.parent().unwrap(), Path::new(env!("CARGO_BIN_EXE_statesync")).parent().unwrap()];
    let path = std::env::var("PATH").unwrap();
    let path = std::env::join_paths(programs.into_iter().map(Path::to_owned).chain(std::env::split_paths(&path)));
    let path = path.unwrap();
    for (number, block) in commands(document).iter().enumerate() {
        let output = Command::new("sh")
            .args(["-euxc", block])
            .current_dir(&dir)
            .env("PATH", &path)
            .env("STATE", synced.path("store"))
            .env("ROOT", root_of(&synced.blocks[1]))
            .env("URL", url)
            .env("NODE", dir.join(format!("node {number}")))
            .env("ARCHIVE", synced.path("node"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{document}: {}", String::from_utf8_lossy(&output.stderr));
    }
    dir
}

#[test]
fn the_documents_commands_do_what_they_say() {
    if !geth_is_wanted() {
        return;
    }
    let synced = Synced::new();
    // Another with the same chain serves: a data directory is not read while its node runs.
    let serving = Geth::start(&synced.path("serving"), &[]);
    let dir = run_document("load-geth.md", &synced, serving.url());
    assert!(dir.join("state.jsonl").exists() && dir.join("preimages.rlp.gz").exists());
    let dir = run_document("bootstrap-reth.md", &synced, serving.url());
    assert!(dir.join("state.jsonl").exists());
}
