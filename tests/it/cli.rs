//! The contract with scripts: what each command prints, where, and how it exits.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};
use statesync::fixture::{MAINNET_HASH, MAINNET_ROOT, mainnet_genesis};
use statesync::genesis::StateSummary;
use tempfile::TempDir;

use crate::support::{
    DeadPort, Output, Peer, SMALL, Seed, Served, fixture, in_memory, items, state, statesync, statesync_in,
};

const SYNC: &str = "root block_number block_hash complete accounts slots codes nodes_fetched nodes_reused codes_fetched \
                    bytes_downloaded requests retries duration_ms peers";
/// What `sync` adds to it.
const SYNC_MORE: [&str; 3] = ["trust", "moves", "partial"];
const PEER: &str = "url nodes requests errors corrupt";
/// What `sync` says of a peer beyond the contract.
const PEER_MORE: [&str; 4] = ["absent", "stale", "dialect", "latency_ms"];
const STATUS: &str = "format_version chain_id roots progress staged_nodes disk_bytes";
/// What `status` adds to it, and to a root.
const STATUS_MORE: [&str; 2] = ["preimage_addresses", "preimage_slots"];
const ROOT_MORE: [&str; 1] = ["addresses_known"];
const ROOT: &str = "root block_number state accounts slots codes nodes";
const VERIFY: &str = "root ok nodes accounts slots codes missing corrupt duration_ms";
const REPAIR: &str = "root ok missing corrupt faults nodes_set_back nodes_fetched codes_fetched bytes_downloaded requests \
                      nodes accounts slots codes others duration_ms";
const IMPORT: &str = "root accounts slots codes nodes";

/// Fails unless `value` has exactly the fields of the contract, and `more`.
fn assert_fields(value: &Value, contract: &str, more: &[&str]) {
    let expected: BTreeSet<&str> = contract.split_whitespace().chain(more.iter().copied()).collect();
    let fields: BTreeSet<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields, expected);
    for (field, value) in value.as_object().unwrap() {
        let hash = matches!(field.as_str(), "root" | "block_hash");
        let is_right = match value {
            Value::String(text) => !hash || (text.len() == 66 && text.starts_with("0x")),
            Value::Number(_) | Value::Bool(_) | Value::Array(_) => !hash,
            Value::Null => field.starts_with("block_") || field == "trust",
            Value::Object(_) => false,
        };
        assert!(is_right, "{field} is {value}");
    }
}

struct World {
    summary: StateSummary,
    items: u64,
    peer: Peer,
    dir: TempDir,
    _seed: Seed,
}

impl World {
    fn new() -> Self {
        let seed = Seed::or(50);
        let (memory, [summary]) = in_memory([&state(seed.0, SMALL)]);
        let dir = TempDir::new().unwrap();
        Self { summary, items: items(&memory), peer: Peer::honest(&memory), dir, _seed: seed }
    }

    fn dir(&self) -> &str {
        self.dir.path().to_str().unwrap()
    }

    fn root(&self) -> String {
        format!("{:?}", self.summary.root)
    }

    /// Syncs from an address with more arguments.
    fn sync(&self, url: &str, more: &[&str]) -> Output {
        let root = self.root();
        let sync = ["sync", "-r", url, "--root", &root, "--datadir", self.dir()];
        statesync_in(&[], &[&sync, more].concat())
    }
}

#[test]
fn sync_verify_repair_and_status_print_exactly_the_contracts_fields() {
    let world = World::new();
    let report = world.sync(&world.peer.url(), &["--json"]).exits(0).json();
    assert_fields(&report, SYNC, &SYNC_MORE);
    let StateSummary { accounts, slots, codes, nodes, .. } = world.summary;
    assert_fields(&report["peers"][0], PEER, &PEER_MORE);
    assert_eq!(report["peers"][0]["url"], world.peer.url());
    assert_eq!(report["peers"][0]["nodes"], world.items);
    let expected = json!([world.root(), null, null, true, accounts, codes, nodes, 0, codes]);
    let fields = "root block_number block_hash complete accounts codes nodes_fetched nodes_reused codes_fetched";
    let printed: Value = fields.split(' ').map(|field| report[field].clone()).collect();
    assert_eq!(printed, expected);
    assert!(report["bytes_downloaded"].as_u64() > Some(2 * world.items), "{report}");
    assert!(report["requests"].as_u64() > Some(1), "{report}");

    let verified = statesync(["verify", "--datadir", world.dir(), "--json"]).exits(0).json();
    assert_fields(&verified, VERIFY, &["faults", "partial"]);
    let holds = ["root", "ok", "nodes", "accounts", "slots", "codes", "missing", "corrupt", "faults"];
    let printed: Value = holds.iter().map(|field| verified[field].clone()).collect();
    assert_eq!(printed, json!([world.root(), true, nodes, accounts, slots, codes, 0, 0, []]));

    let (url, repair) = (world.peer.url(), ["repair", "--datadir", world.dir(), "--json", "-r"]);
    let repaired = statesync_in(&[], &[&repair[..], &[&url]].concat()).exits(0).json();
    assert_fields(&repaired, REPAIR, &[]);
    assert_eq!((&repaired["nodes"], &repaired["requests"]), (&json!(nodes), &json!(0)));

    let status = statesync(["status", "--datadir", world.dir(), "--json"]).exits(0).json();
    assert_fields(&status, STATUS, &STATUS_MORE);
    assert_fields(&status["roots"][0], ROOT, &ROOT_MORE);
    let root = json!({ "root": world.root(), "block_number": null, "state": "complete", "accounts": accounts,
        "slots": slots, "codes": codes, "nodes": nodes, "addresses_known": 0.0 });
    assert_eq!(status["roots"], json!([root]));
    assert_eq!((&status["format_version"], &status["chain_id"]), (&json!(3), &json!(1)));
    assert_eq!((&status["progress"], &status["staged_nodes"]), (&json!(1.0), &json!(0)));
    assert!(status["disk_bytes"].as_u64() > Some(0));
}

#[test]
fn import_prints_exactly_the_contracts_fields() {
    let dir = TempDir::new().unwrap();
    let (file, path) = (fixture("hoodi"), dir.path().to_str().unwrap());
    let import = ["import", "--genesis", file.to_str().unwrap(), "--datadir", path, "--json"];
    assert_fields(&statesync(import).exits(0).json(), IMPORT, &[]);
    // Once more changes nothing.
    assert_fields(&statesync(import).exits(0).json(), IMPORT, &[]);
}

#[test]
fn demo_syncs_and_verifies_the_mainnet_genesis() {
    let dir = TempDir::new().unwrap();
    let report = statesync(["demo", "--datadir", dir.path().to_str().unwrap(), "--json"]).exits(0).json();
    assert_fields(&report, SYNC, &[&SYNC_MORE[..], &["verified"]].concat());
    let (root, hash) = (format!("{MAINNET_ROOT:?}"), format!("{MAINNET_HASH:?}"));
    for (field, value) in [("root", json!(root)), ("block_hash", json!(hash)), ("block_number", json!(0))] {
        assert_eq!(report[field], value);
    }
    assert_eq!((&report["verified"], &report["accounts"]), (&json!(true), &json!(8_893)));

    let plain = statesync(["demo"]).exits(0);
    assert!(plain.stdout.contains(&root) && plain.stdout.contains("8,893"), "{}", plain.stdout);
}

#[test]
fn the_result_goes_to_stdout_and_everything_else_to_stderr() {
    let world = World::new();
    let dead = DeadPort::new();
    // A dead peer gives the program something to say.
    let output = world.sync(&world.peer.url(), &["-r", &dead.url()]).exits(0);
    assert!(output.stdout.starts_with("state ") && output.stdout.contains(&world.root()), "{}", output.stdout);
    assert!(!output.stdout.contains("warning"), "{}", output.stdout);
    assert!(output.stderr.contains("warning: ") && output.stderr.contains(&dead.url()), "{}", output.stderr);
    assert!(!output.stderr.contains('\u{1b}'), "no colours and no bars where no terminal is: {}", output.stderr);
}

#[test]
fn quiet_prints_the_result_and_nothing_else() {
    let world = World::new();
    let output = world.sync(&world.peer.url(), &["-q"]).exits(0);
    assert!(output.stdout.contains(&world.root()));
    assert_eq!(output.stderr, "");
    for command in ["verify", "status"] {
        assert_eq!(statesync([command, "-q", "--datadir", world.dir()]).exits(0).stderr, "", "{command}");
    }
}

#[test]
fn with_json_progress_is_one_object_a_line_on_stderr() {
    let world = World::new();
    let output = world.sync(&world.peer.url(), &["--json", "--progress-interval", "0.001"]).exits(0);
    let lines: Vec<Value> = output.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds: Vec<&str> = lines.iter().map(|line| line["message_type"].as_str().unwrap()).collect();
    assert_eq!((kinds.first(), kinds.last()), (Some(&"started"), Some(&"finished")));
    assert!(kinds.contains(&"status"), "{kinds:?}");
    assert!(lines.iter().all(|line| line["v"] == 1 && line["seconds_elapsed"].is_f64()));
    output.json();
}

#[test]
fn without_a_terminal_progress_is_a_line_now_and_then() {
    let world = World::new();
    let output = world.sync(&world.peer.url(), &["--progress-interval", "0.001"]).exits(0);
    assert!(output.stderr.lines().any(|line| line.contains("of the key space")), "{}", output.stderr);
    let none = TempDir::new().unwrap();
    let (url, root) = (world.peer.url(), world.root());
    let path = none.path().to_str().unwrap();
    let hidden =
        ["sync", "-r", &url, "--root", &root, "--datadir", path, "--progress-interval", "0.001", "--no-progress"];
    assert_eq!(statesync(hidden).exits(0).stderr, "");
}

#[test]
fn a_dry_run_says_what_would_be_done_and_does_nothing() {
    let world = World::new();
    let inside = world.dir.path().join("new");
    let (url, root) = (world.peer.url(), world.root());
    let plan = |dir: &Path| {
        let dir = dir.to_str().unwrap();
        statesync(["sync", "-n", "-r", &url, "--root", &root, "--datadir", dir, "--json"]).exits(0).json()
    };
    let planned = plan(&inside);
    assert_eq!((&planned["root"], &planned["peers"]), (&json!(root), &json!([url])));
    assert_eq!(planned["action"], "fetch the whole state into a new store");
    assert!(!inside.exists());
    let served = world.peer.counts().served;

    world.sync(&url, &[]).exits(0);
    let all = world.peer.counts().served;
    assert!(served <= 2, "of the state, the root alone was read to see how the peer keeps it: {served}");
    assert_eq!(plan(world.dir.path())["action"], "nothing: the state is complete");
    assert!(world.peer.counts().served <= all + 2);
}

#[test]
fn peers_can_be_named_in_the_environment_separated_by_commas() {
    let world = World::new();
    let dead = DeadPort::new();
    let urls = format!("{}, {}", dead.url(), world.peer.url());
    let root = world.root();
    let sync = ["sync", "--root", &root, "--datadir", world.dir(), "--json"];
    let report = statesync_in(&[("ETH_RPC_URL", &urls)], &sync).exits(0).json();
    let named: Vec<&str> =
        report["peers"].as_array().unwrap().iter().map(|peer| peer["url"].as_str().unwrap()).collect();
    assert_eq!(named, [dead.url(), world.peer.url()]);
    assert_eq!(report["complete"], true);
}

#[test]
fn credentials_in_addresses_are_never_printed() {
    let world = World::new();
    let secret = "s3cr3t";
    let with_secret = |url: &str| url.replace("http://", &format!("http://user:{secret}@"));
    let dead = DeadPort::new();
    let (good, bad) = (with_secret(&world.peer.url()), format!("{}/{secret}?key={secret}", with_secret(&dead.url())));
    let root = world.root();
    let sync = |url: &str, more: &[&str]| {
        let sync = ["sync", "-r", url, "--root", &root, "--datadir", world.dir()];
        statesync_in(&[("RUST_LOG", "debug")], &[&sync, more].concat())
    };
    let malformed = [format!("http://user:{secret}@[::1"), format!("ftp://user:{secret}@127.0.0.1:1")];
    let in_environment =
        |urls: &str| statesync_in(&[("ETH_RPC_URL", urls)], &["sync", "--root", &root, "--datadir", world.dir()]);
    let outputs = [
        sync(&bad, &[]).exits(3),
        sync(&bad, &["--json", "-vv"]).exits(3),
        sync(&malformed[0], &[]).exits(2),
        sync(&malformed[1], &[]).exits(2),
        in_environment(&malformed[0]).exits(2),
        in_environment(&malformed[1]).exits(2),
        sync(&good, &["-n", "-r", &bad]).exits(0),
        sync(&good, &["-r", &bad, "--json"]).exits(0),
        sync(&good, &["-r", &bad, "-vv"]).exits(0),
    ];
    for output in outputs {
        assert!(!output.stdout.contains(secret) && !output.stderr.contains(secret), "{output:#?}");
    }
}

#[test]
fn serve_stops_on_a_signal_and_a_synced_store_can_be_served() {
    let mainnet = fixture("mainnet");
    let genesis = Served::start("--genesis", &mainnet);
    let dir = TempDir::new().unwrap();
    let path = dir.path().to_str().unwrap();
    let sync = ["sync", "-r", &genesis.url, "--block", "latest", "--datadir", path, "--json"];
    let report = statesync(sync).exits(0).json();
    assert_eq!(report["block_hash"], format!("{MAINNET_HASH:?}"));
    assert_eq!(report["accounts"], mainnet_genesis().unwrap().alloc.len());
    let store = Served::start("--datadir", dir.path());
    let copy = TempDir::new().unwrap();
    let hash = format!("{MAINNET_HASH:?}");
    let sync = ["sync", "-r", &store.url, "--block", &hash, "--datadir", copy.path().to_str().unwrap(), "--json"];
    let copied = statesync(sync).exits(0).json();
    assert_eq!(copied["nodes_fetched"], report["nodes_fetched"]);
    assert_eq!(store.end().exits(143).stdout, "");
}

#[test]
fn help_completions_and_the_manual_are_printed() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = statesync(["completions", shell]).exits(0);
        assert!(output.stdout.contains("statesync") && output.stdout.contains("datadir"), "{shell}");
        assert_eq!(output.stderr, "");
    }
    let manual = statesync(["man"]).exits(0);
    assert!(manual.stdout.contains(".TH statesync"), "{}", manual.stdout);
    let help = statesync(["--help"]).exits(0).stdout;
    for command in ["sync", "status", "verify", "repair", "import", "serve", "demo", "completions", "man"] {
        assert!(help.contains(command), "{command}");
    }
    assert!(statesync(["--version"]).exits(0).stdout.starts_with("statesync "));
}
