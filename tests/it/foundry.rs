//! The real cast and anvil, by `scripts/foundry`, on a served state.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use statesync::genesis::Genesis;
use tempfile::TempDir;

use crate::support::{Served, statesync, statesync_in};

/// The token's contract in `docs/use/token.json`: `transfer(address,uint256)` and `balanceOf(address)`, its balances in
/// a mapping at slot 0. Written by hand in the machine's language.
const TOKEN: &str = "0x0000000000000000000000000000000000070cE1";
/// The first two of anvil's accounts; the first one has a thousand tokens.
const HOLDER: &str = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
const OTHER: &str = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";

/// Where cast and anvil are, if tests with them are wanted; says so if not.
pub(crate) fn foundry() -> Option<PathBuf> {
    let directory = std::env::var_os("STATESYNC_TEST_FOUNDRY").map(PathBuf::from);
    if directory.is_none() {
        eprintln!("left out: set STATESYNC_TEST_FOUNDRY=$(scripts/foundry install) to test with cast and anvil");
    }
    directory
}

/// The genesis with a token, synced from a peer into a store.
fn synced(dir: &Path) -> PathBuf {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/use/token.json");
    let (peer, synced) = (Served::start("--genesis", &file), dir.join("synced"));
    let sync = ["sync", "-r", &peer.url, "--block", "latest", "--datadir", synced.to_str().unwrap(), "--no-progress"];
    statesync_in(&[], &sync).exits(0);
    assert_eq!(Genesis::read(&file).unwrap().alloc.len(), 2);
    synced
}

/// What cast prints.
fn cast(foundry: &Path, url: &str, arguments: &[&str]) -> String {
    let mut cast = Command::new(foundry.join("cast"));
    let output = cast.args(arguments).args(["--rpc-url", url]).env("NO_COLOR", "1").output().unwrap();
    assert!(output.status.success(), "cast {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// An anvil on a fork of a state; ends with this value.
struct Anvil {
    child: Child,
    url: String,
}

impl Anvil {
    fn fork(foundry: &Path, of: &str, home: &Path) -> Self {
        let mut anvil = Command::new(foundry.join("anvil"));
        // Nothing that another run has kept, and nothing kept.
        anvil.args(["--fork-url", of, "--port", "0", "--no-storage-caching"]).env("HOME", home);
        let mut child = anvil.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while !line.contains("Listening on ") {
            line.clear();
            assert_ne!(said.read_line(&mut line).unwrap(), 0, "anvil ended");
        }
        std::thread::spawn(move || drop(said.read_to_end(&mut Vec::new())));
        Self { child, url: format!("http://{}", line.trim().rsplit(' ').next().unwrap()) }
    }
}

impl Drop for Anvil {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn cast_reads_a_served_state_as_the_program_itself_does() {
    let Some(foundry) = foundry() else { return };
    let dir = TempDir::new().unwrap();
    let synced = synced(dir.path());
    let path = synced.to_str().unwrap();
    let served = Served::start("--datadir", &synced);
    let cast = |arguments: &[&str]| cast(&foundry, &served.url, arguments);
    let account = |name: &str| statesync(["get", "account", name, "--datadir", path, "--json"]).exits(0).json();
    let (holder, token) = (account(HOLDER), account(TOKEN));

    assert_eq!(cast(&["balance", HOLDER]), holder["balance"].as_str().unwrap());
    assert_eq!(cast(&["nonce", HOLDER]), holder["nonce"].to_string());
    assert_eq!(cast(&["codehash", TOKEN]), token["code_hash"].as_str().unwrap());
    assert_eq!(cast(&["storage-root", TOKEN]), token["storage_root"].as_str().unwrap());
    assert_eq!(cast(&["code", TOKEN]), statesync(["get", "code", TOKEN, "--datadir", path]).stdout.trim());

    let slot = cast_index(&foundry);
    let word = statesync(["get", "storage", TOKEN, &slot, "--datadir", path]).exits(0).stdout;
    assert_eq!(word.trim(), format!("0x{:064x}", 1_000));
    assert_eq!(cast(&["storage", TOKEN, &slot]), word.trim());
    let proof: Value = serde_json::from_str(&cast(&["proof", TOKEN, &slot])).unwrap();
    let ours = statesync(["proof", TOKEN, &slot, "--datadir", path]).exits(0).json();
    for field in ["accountProof", "codeHash", "storageHash", "storageProof"] {
        assert_eq!(proof[field], ours[field], "{field}");
    }

    assert_eq!((cast(&["chain-id"]), cast(&["block-number"])), ("31337".into(), "0".into()));
    let block: Value = serde_json::from_str(&cast(&["block", "latest", "--json"])).unwrap();
    let status = statesync(["status", "--datadir", path, "--json"]).exits(0).json();
    assert_eq!(block["stateRoot"], status["roots"][0]["root"]);
    assert_eq!(cast(&["gas-price"]), "1000000000");
}

/// The slot of the holder's balance.
fn cast_index(foundry: &Path) -> String {
    let output = Command::new(foundry.join("cast")).args(["index", "address", HOLDER, "0"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn anvil_forks_a_synced_state_and_executes_a_transfer_of_a_token_on_it() {
    let Some(foundry) = foundry() else { return };
    let dir = TempDir::new().unwrap();
    let served = Served::start("--datadir", &synced(dir.path()));
    let anvil = Anvil::fork(&foundry, &served.url, dir.path());
    let cast = |arguments: &[&str]| cast(&foundry, &anvil.url, arguments);
    let tokens = |of: &str| cast(&["call", TOKEN, "balanceOf(address)(uint256)", of]);
    let has = |tokens: &str, number: &str| assert_eq!(tokens.split(' ').next(), Some(number), "{tokens}");
    has(&tokens(HOLDER), "1000");
    has(&tokens(OTHER), "0");

    let transfer = |amount| {
        let send =
            ["send", TOKEN, "transfer(address,uint256)", OTHER, amount, "--from", HOLDER, "--unlocked", "--json"];
        serde_json::from_str::<Value>(&cast(&send)).unwrap()
    };
    let receipt = transfer("400");
    assert_eq!((&receipt["status"], &receipt["blockNumber"]), (&"0x1".into(), &"0x1".into()));
    has(&tokens(HOLDER), "600");
    has(&tokens(OTHER), "400");
    let slot = cast_index(&foundry);
    assert_eq!(cast(&["storage", TOKEN, &slot]), format!("0x{:064x}", 600));
    // What the fork was made of stays as it was.
    let original = crate::support::ask(&served.url, "eth_getStorageAt", &serde_json::json!([TOKEN, slot, "latest"]));
    assert_eq!(original, format!("0x{:064x}", 1_000));
    let too_much = Command::new(foundry.join("cast"))
        .args(["call", TOKEN, "transfer(address,uint256)", OTHER, "601", "--from", HOLDER, "--rpc-url", &anvil.url])
        .output()
        .unwrap();
    assert!(!too_much.status.success());
}
