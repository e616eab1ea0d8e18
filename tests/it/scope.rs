//! A part of a state: synced alone, marked as partial, read in its bounds, and grown to the whole.

mod bounds;
mod prune;

use std::collections::HashSet;
use std::sync::Arc;

use primitive_types::H256;
use rustix::process::Signal;
use serde_json::{Value, json};
use statesync::genesis::{Genesis, GenesisAccount, StateSummary};
use statesync::peers::PoolLimits;
use statesync::pipeline::{Event, Outcome, Progress, SyncOptions};
use statesync::serve::MemoryState;
use statesync::store::RootState;
use statesync::trie::{Nibbles, Place, Scope, Target, Walk, keccak256};
use tempfile::TempDir;

use crate::support::{
    CODES, InMemory, NODES, Output, Peer, SMALL, STAGING, Seed, end_by, imported, in_memory, open, options, raw_rows,
    rows, spawn, start, state, statesync, statesync_in, successor,
};

struct World {
    genesis: Genesis,
    memory: Arc<MemoryState>,
    summary: StateSummary,
    peer: Peer,
    dir: TempDir,
    _seed: Seed,
}

fn hex(bytes: &[u8]) -> String {
    format!("0x{}", faster_hex::hex_string(bytes))
}

impl World {
    fn new(seed: u64) -> Self {
        let seed = Seed::or(seed);
        let genesis = state(seed.0, SMALL);
        let (memory, [summary]) = in_memory([&genesis]);
        let (peer, dir) = (Peer::honest(&memory), TempDir::new().unwrap());
        Self { genesis, memory, summary, peer, dir, _seed: seed }
    }

    fn path(&self) -> &str {
        self.dir.path().to_str().unwrap()
    }

    fn root(&self) -> String {
        format!("{:?}", self.summary.root)
    }

    fn sync_with(&self, more: &[&str]) -> Output {
        let (url, root) = (self.peer.url(), self.root());
        let sync = ["sync", "-r", &url, "--root", &root, "--datadir", self.path(), "--no-progress"];
        statesync_in(&[], &[&sync, more].concat())
    }

    fn sync(&self, more: &[&str]) -> Value {
        self.sync_with(&[&["--json"], more].concat()).exits(0).json()
    }

    /// Runs a command on the directory.
    fn run(&self, arguments: &[&str]) -> Output {
        statesync_in(&[], &[arguments, &["--datadir", self.path()]].concat())
    }

    /// Contracts with storage and code of their own.
    fn contracts(&self) -> impl Iterator<Item = &GenesisAccount> {
        self.genesis.alloc.values().filter(|account| account.storage.len() > 2 && !account.code.is_empty())
    }

    /// What a part takes, by its definition.
    fn part(&self, prefixes: &[&str]) -> HashSet<H256> {
        let path = |text: &&str| {
            let digits: Vec<u8> =
                text[2..].chars().map(|digit| u8::try_from(digit.to_digit(16).unwrap()).unwrap()).collect();
            Nibbles::from_slice(&digits).unwrap()
        };
        let prefixes: Vec<Nibbles> = prefixes.iter().map(path).collect();
        let below = |path: &Nibbles| prefixes.iter().any(|prefix| path.starts_with(prefix));
        let source = InMemory(&self.memory);
        let mut part = HashSet::new();
        let walk = Walk::new(&source, Place::root(None, self.summary.root), |target| {
            let is_wanted = match target {
                Target::Node(Place { owner: None, path, .. }) => {
                    below(path) || prefixes.iter().any(|prefix| prefix.starts_with(path))
                }
                Target::Node(Place { owner: Some(owner), .. }) | Target::Code { owner, .. } => {
                    below(&Nibbles::from_key(owner))
                }
            };
            if is_wanted {
                part.insert(target.hash());
            }
            is_wanted
        });
        assert!(walk.count() > 0);
        part
    }

    /// All that the peer has served so far, each once.
    fn served(&self) -> HashSet<H256> {
        let counts = self.peer.counts();
        assert!(counts.by_hash.values().all(|times| *times == 1), "something was fetched twice");
        counts.by_hash.into_keys().collect()
    }

    fn status(&self) -> Value {
        self.run(&["status", "--json"]).exits(0).json()
    }
}

fn fetched(report: &Value) -> u64 {
    report["nodes_fetched"].as_u64().unwrap() + report["codes_fetched"].as_u64().unwrap()
}

fn address_and_key(account: &GenesisAccount) -> (String, String) {
    (hex(account.address.as_bytes()), format!("{:?}", keccak256(account.address.as_bytes())))
}

#[test]
fn one_contract_is_fetched_with_its_path_and_nothing_else() {
    let world = World::new(400);
    let contract = world.contracts().next().unwrap();
    let (address, key) = address_and_key(contract);
    let report = world.sync(&["--account", &address]);
    let said = ["complete", "partial", "scope", "accounts", "slots"].map(|field| report[field].clone());
    assert_eq!(json!(said), json!([false, true, [key], 1, contract.storage.len()]));
    assert_eq!(world.served(), world.part(&[&key]));
    assert_eq!(fetched(&report), world.part(&[&key]).len() as u64);

    // What is on the way is staged, where readers find it; the root is not among what is complete.
    assert!(!rows(world.dir.path(), NODES).contains_key(&world.summary.root));
    assert!(raw_rows(world.dir.path(), STAGING).contains_key(&world.summary.root));

    let account = world.run(&["get", "account", &address, "--json"]).exits(0).json();
    assert_eq!(account["balance"], contract.balance.to_string());
    assert_eq!(world.run(&["get", "code", &address]).exits(0).stdout.trim(), hex(&contract.code));
    for (slot, word) in &contract.storage {
        let slot = format!("{slot:?}");
        let said = world.run(&["get", "storage", &address, &slot, "--hashed"]).exits(0);
        assert_eq!(said.stdout.trim(), hex(&word.to_big_endian()));
    }
    let (whole, _) = imported([&world.genesis]);
    let proof = statesync(["proof", &address, "1", "--datadir", whole.path().to_str().unwrap()]).exits(0).stdout;
    assert_eq!(world.run(&["proof", &address, "1"]).exits(0).stdout, proof);

    let verified = world.run(&["verify", "--root", &world.root(), "--json"]).exits(0).json();
    let said = ["ok", "partial", "scope", "accounts", "slots", "codes"].map(|field| verified[field].clone());
    assert_eq!(json!(said), json!([true, true, [key], 1, contract.storage.len(), 1]));
    assert_eq!(verified["nodes"].as_u64().unwrap() + 1, fetched(&report));
    let text = world.run(&["verify", "--root", &world.root()]).exits(0).stdout;
    assert!(text.contains(&format!("partial   {key}\n")), "{text}");

    let status = world.status();
    let root = &status["roots"][0];
    assert_eq!(json!([root["state"], root["scope"], root["accounts"]]), json!(["partial", [key], 1]));
    assert_eq!(root["nodes"], verified["nodes"]);
    assert!(status["progress"].as_f64() < Some(0.01), "{status}");
    let text = world.run(&["status"]).exits(0).stdout;
    assert!(text.contains(&format!(" partial of {key}: ")), "{text}");
}

#[test]
fn parts_add_up_and_the_whole_takes_only_the_rest() {
    let world = World::new(401);
    let (_, key) = address_and_key(world.contracts().last().unwrap());
    let first = world.sync(&["--prefix", "0x3", "--account", &key]);
    let mut scope: Vec<&str> = if key.starts_with("0x3") { vec!["0x3"] } else { vec!["0x3", &key] };
    scope.sort_unstable();
    assert_eq!(first["scope"], json!(scope));
    assert_eq!(world.served(), world.part(&scope));
    let accounts = |prefix: char| {
        let is_in = |key: &&H256| hex(key.as_bytes()).chars().nth(2) == Some(prefix);
        world.genesis.alloc.keys().filter(is_in).count() as u64
    };
    assert!(first["accounts"].as_u64() >= Some(accounts('3')), "{first}");

    // Once more costs nothing.
    assert_eq!(fetched(&world.sync(&["--prefix", "0x3"])), 0);

    // Another part: what is on the way to both is there already.
    let second = world.sync(&["--prefix", "0xAb", "--prefix", "0xa"]);
    assert_eq!(second["scope"], json!(["0xa"]));
    let both: Vec<&str> = scope.iter().copied().chain(["0xa"]).collect();
    assert_eq!(world.served(), world.part(&both));
    let mut union: Vec<String> = both.iter().map(|prefix| (*prefix).to_owned()).collect();
    union.retain(|prefix| prefix.len() < 10 || !prefix.starts_with("0xa"));
    union.sort_unstable();
    assert_eq!(world.status()["roots"][0]["scope"], json!(union));
    let verified = world.run(&["verify", "--root", &world.root(), "--json"]).exits(0).json();
    assert!(verified["accounts"].as_u64() >= Some(accounts('3') + accounts('a')));

    let before = world.served().len() as u64;
    let rest = world.sync(&[]);
    assert_eq!((&rest["complete"], &rest["partial"], rest.get("scope")), (&json!(true), &json!(false), None));
    assert_eq!(fetched(&rest), world.summary.nodes + world.summary.codes - before);
    assert_eq!(world.served().len() as u64, world.summary.nodes + world.summary.codes);
    let root = &world.status()["roots"][0];
    assert_eq!(
        (root["state"].as_str(), root.get("scope"), &root["accounts"]),
        (Some("complete"), None, &json!(world.summary.accounts))
    );
    assert!(rows(world.dir.path(), STAGING).is_empty());
    let verified = world.run(&["verify", "--json"]).exits(0).json();
    assert_eq!((&verified["nodes"], &verified["partial"]), (&json!(world.summary.nodes), &json!(false)));

    // A part of what is complete is complete.
    let again = world.sync(&["--account", &key]);
    assert_eq!(json!([again["complete"], again["partial"], again["requests"]]), json!([true, false, 0]));
}

#[test]
fn an_account_that_is_not_there_is_proved_absent_and_said_so() {
    let world = World::new(402);
    let nobody = hex(&[0xf0; 20]);
    let key = format!("{:?}", keccak256(&[0xf0; 20]));
    let output = world.sync_with(&["--account", &nobody]).exits(0);
    assert!(output.stderr.contains(&format!("no account {nobody} in this state")), "{output:?}");
    assert!(output.stdout.contains("partial, every node and code of this part verified"), "{output:?}");
    assert_eq!(world.served(), world.part(&[&key]));
    assert_eq!(world.sync(&["--account", &nobody])["accounts_absent"], json!([nobody]));
    assert_eq!(world.run(&["get", "account", &nobody, "--json"]).exits(0).json()["exists"], false);
    let proof: Value = serde_json::from_str(&world.run(&["proof", &nobody]).exits(0).stdout).unwrap();
    assert_eq!(proof["accountProof"].as_array().unwrap().len(), world.part(&[&key]).len());
    let verified = world.run(&["verify", "--root", &world.root(), "--json"]).exits(0).json();
    assert_eq!((&verified["accounts"], &verified["ok"]), (&json!(0), &json!(true)));
}

#[test]
fn a_killed_sync_of_a_part_goes_on_where_it_was_and_keeps_the_part_before() {
    let world = World::new(403);
    let key = address_and_key(world.contracts().next().unwrap()).1;
    world.sync(&["--account", &key]);
    let before = world.served().len() as u64;
    let (url, root) = (world.peer.url(), world.root());
    let sync = ["sync", "-r", &url, "--root", &root, "--datadir", world.path(), "--no-progress", "--json"];
    for more in [&["--prefix", "0x5", "--prefix", "0x6", "--prefix", "0x7"][..], &[]] {
        let prefixes: Vec<&str> =
            [&key[..]].into_iter().chain(more.iter().copied().filter(|text| text.starts_with("0x"))).collect();
        world.peer.allow(20);
        let child = spawn(&[&sync, more].concat());
        world.peer.wait_for_limit();
        assert_eq!(end_by(Signal::KILL, child).code, None, "it ended before it was killed");
        let known = &world.status()["roots"][0];
        assert_eq!(known["state"], "partial");
        assert!(known["scope"].as_array().unwrap().contains(&json!(key)), "{known}");
        world.run(&["get", "account", &key]).exits(0);
        world.run(&["verify", "--root", &root]).exits(0);
        world.peer.allow(u64::MAX);
        world.sync(more);
        let expected = if more.is_empty() {
            world.summary.nodes + world.summary.codes
        } else {
            world.part(&prefixes).len() as u64
        };
        let content = [NODES, STAGING, CODES].map(|family| rows(world.dir.path(), family).len() as u64);
        assert_eq!(content.iter().sum::<u64>(), expected);
    }
    assert!(before > 0);
    world.run(&["verify"]).exits(0);
}

#[test]
fn parts_of_several_roots_lie_side_by_side_and_outlast_a_whole_sync() {
    let seed = Seed::or(406);
    let first = state(seed.0, SMALL);
    let second = successor(&first, seed.0, 20, SMALL);
    let (memory, summaries) = in_memory([&first, &second]);
    let (peer, dir) = (Peer::honest(&memory), TempDir::new().unwrap());
    let (url, path) = (peer.url(), dir.path().to_str().unwrap());
    let roots = summaries.map(|summary| format!("{:?}", summary.root));
    for root in &roots {
        statesync(["sync", "-r", &url, "--root", root, "--datadir", path, "--prefix", "0x4"]).exits(0);
    }
    assert!(peer.counts().by_hash.values().all(|times| *times == 1), "what both share is fetched once");
    let are = |expected: [&str; 2]| {
        let status = statesync(["status", "--datadir", path, "--json"]).exits(0).json();
        for (root, expected) in roots.iter().zip(expected) {
            let is_it = |record: &&Value| record["root"] == json!(root);
            assert_eq!(status["roots"].as_array().unwrap().iter().find(is_it).unwrap()["state"], expected);
        }
    };
    are(["partial", "partial"]);
    statesync(["sync", "-r", &url, "--root", &roots[0], "--datadir", path]).exits(0);
    are(["complete", "partial"]);
    // What is left in staging is what the other part needs.
    let status = statesync(["status", "--datadir", path, "--json"]).exits(0).json();
    assert!((1..40).contains(&status["staged_nodes"].as_u64().unwrap()), "{status}");
    for root in &roots {
        statesync(["verify", "--datadir", path, "--root", root]).exits(0);
    }
}

#[test]
fn a_plan_says_which_part_would_be_fetched() {
    let world = World::new(409);
    let plan = world.sync(&["-n", "--prefix", "0x1", "--prefix", "0x12"]);
    assert_eq!(
        (&plan["scope"], &plan["action"]),
        (&json!(["0x1"]), &json!("fetch this part of the state into a new store"))
    );
    let text = world.sync_with(&["-n", "--prefix", "0x1"]).exits(0).stdout;
    assert!(text.contains("\npart    0x1\n"), "{text}");
    world.sync(&["--prefix", "0x1"]);
    let action = |more: &[&str]| world.sync(&[&["-n"], more].concat())["action"].clone();
    assert_eq!(action(&["--prefix", "0x15"]), "nothing: this part is here");
    assert_eq!(action(&["--prefix", "0x2"]), "fetch this part of the state beside the one that is here");
    assert_eq!(action(&[]), "fetch the rest of the state");
}

#[test]
fn a_scope_that_is_none_is_refused_before_anything_is_touched() {
    let world = World::new(410);
    for bad in [
        &["--prefix", "0x"][..],
        &["--prefix", "ab"],
        &["--prefix", "0xg"],
        &["--prefix", ""],
        &["--prefix", &format!("0x{}", "1".repeat(65))],
        &["--account", ""],
        &["--account", "0x"],
        &["--account", &format!("0x{}", "1".repeat(41))],
        &["--account", &format!("0x{}", "1".repeat(65))],
        &["--prefix"],
        &["--account"],
    ] {
        world.sync_with(bad).exits(2);
    }
    assert_eq!(std::fs::read_dir(world.dir.path()).unwrap().count(), 0);
}

#[test]
fn a_part_can_be_read_while_the_rest_is_fetched() {
    let world = World::new(411);
    let contracts: Vec<(String, String)> = world.contracts().map(address_and_key).collect();
    let accounts: Vec<&str> = contracts.iter().flat_map(|(address, _)| ["--account", address]).collect();
    world.sync(&accounts);
    let total = world.summary.nodes + world.summary.codes;
    let store = open(world.dir.path());
    // All but a few: nodes on the way to the part complete meanwhile.
    let before = world.peer.served();
    world.peer.allow(total - before - 5);
    // One by one, since a request is let in whole.
    let options = options(world.summary.root);
    let limits = PoolLimits { batch_items: 1, ..options.limits };
    let running = start(&store, &[world.peer.url()], SyncOptions { limits, ..options });
    world.peer.wait_for_limit();
    running.until("what was let in", |event| {
        let fetched = |progress: &Progress| progress.counts.nodes + progress.counts.codes;
        matches!(event, Event::Progress(progress) if fetched(progress) + before + 5 >= total)
    });
    running.stop();
    assert!(matches!(running.end().outcome, Outcome::Stopped(_)));
    // The store is still open here, and what has become complete is in its journal only.
    for (address, _) in &contracts {
        world.run(&["get", "account", address]).exits(0);
    }
    assert_eq!(world.status()["roots"][0]["state"], "partial");
    drop(store);
    world.run(&["verify", "--root", &world.root()]).exits(0);
}

#[test]
fn a_sync_of_a_part_that_moves_takes_its_scope_along() {
    let seed = Seed::or(412);
    let first = state(seed.0, SMALL);
    let (memory, summaries) = in_memory([&first, &successor(&first, seed.0, 30, SMALL)]);
    let (peer, dir) = (Peer::honest(&memory), TempDir::new().unwrap());
    let store = open(dir.path());
    let scope = Scope::of([Scope::prefix("0x2").unwrap(), Scope::prefix("0xb1").unwrap()]);
    peer.allow(1);
    let running = start(&store, &[peer.url()], SyncOptions { scope: scope.clone(), ..options(summaries[0].root) });
    peer.wait_for_limit();
    running.pivot(summaries[1].root);
    peer.allow(u64::MAX);
    let report = running.end();
    assert!(matches!(report.outcome, Outcome::Partial), "{:?}", report.outcome);
    assert_eq!((report.root, report.share.to_bits()), (summaries[1].root, 1.0_f64.to_bits()));
    let roots: Vec<_> = store.roots().unwrap().into_iter().map(|record| (record.root, record.state)).collect();
    assert_eq!(roots, [(summaries[1].root, RootState::Partial)]);
    assert_eq!(store.partial(&summaries[1].root).unwrap(), Some(scope));
}
