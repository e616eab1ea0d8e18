//! Damage to a store is found, and `repair` fetches what is missing or corrupt and nothing else.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use primitive_types::H256;
use rocksdb::{DB, Options};
use serde_json::{Value, json};
use statesync::serve::MemoryState;
use statesync::store::{RootRecord, RootState};
use statesync::trie::{Event, Place, Walk, is_branch};
use tempfile::TempDir;

use crate::support::{
    Answer, CODES, Call, DeadPort, FAMILIES, InMemory, NODES, Output, Peer, Request, SMALL, STAGING, Seed, copy,
    in_memory, open, options, raw_rows, replace, rows, state, statesync, successor, sync,
};

type Rows = HashMap<H256, Vec<u8>>;

/// A store that holds a complete state and the one after it, and a peer that has both.
struct World {
    memory: Arc<MemoryState>,
    roots: [H256; 2],
    peer: Peer,
    dir: TempDir,
    whole: [Rows; 2],
    _seed: Seed,
}

impl World {
    fn new(seed: u64) -> Self {
        let seed = Seed::or(seed);
        let first = state(seed.0, SMALL);
        let second = successor(&first, seed.0 + 1, 8, SMALL);
        let (memory, summaries) = in_memory([&first, &second]);
        let (filler, dir) = (Peer::honest(&memory), TempDir::new().unwrap());
        let store = open(dir.path());
        let roots = summaries.map(|summary| summary.root);
        for root in roots {
            assert!(sync(&store, &[filler.url()], options(root)).is_complete());
        }
        drop(store);
        let whole = [NODES, CODES].map(|family| raw_rows(dir.path(), family));
        Self { peer: Peer::honest(&memory), memory, roots, dir, whole, _seed: seed }
    }

    fn path(&self) -> &str {
        self.dir.path().to_str().unwrap()
    }

    /// The hash of a node of the first state that is such.
    fn node(&self, is_it: impl Fn(&Place, &[u8]) -> bool) -> H256 {
        let content = InMemory(&self.memory);
        let mut nodes = Walk::new(&content, Place::root(None, self.roots[0]), |_| true).filter_map(Result::ok);
        let found = nodes.find_map(|event| match event {
            Event::Node { place, rlp, .. } if is_it(&place, &rlp) => Some(place.hash),
            _ => None,
        });
        found.expect("the state has one")
    }

    fn replace(&self, family: &str, hash: H256, value: Option<&[u8]>) {
        replace(self.dir.path(), family, hash, value);
    }

    fn verify(&self) -> Output {
        let root = format!("{:?}", self.roots[0]);
        statesync(["verify", "--datadir", self.path(), "--root", &root, "--json"])
    }

    fn repair_from(&self, url: &str) -> Output {
        let root = format!("{:?}", self.roots[0]);
        statesync(["repair", "-r", url, "--dialect", "hash", "--datadir", self.path(), "--root", &root, "--json"])
    }

    fn repair(&self) -> Output {
        self.repair_from(&self.peer.url())
    }

    fn states(&self) -> Vec<(H256, RootState)> {
        let records: Vec<RootRecord> = open(self.dir.path()).roots().unwrap();
        records.into_iter().map(|record| (record.root, record.state)).collect()
    }

    /// What the peer was asked for by hash; nothing twice.
    fn asked(&self) -> BTreeSet<H256> {
        let counts = self.peer.counts().by_hash;
        assert!(counts.values().all(|times| *times == 1), "{counts:?}");
        counts.into_keys().collect()
    }

    /// Everything is as before the damage.
    fn assert_whole(&self) {
        self.verify().exits(0);
        assert!(self.states().iter().all(|(_, state)| *state == RootState::Complete));
        for (family, whole) in [NODES, CODES].into_iter().zip(&self.whole) {
            assert!(raw_rows(self.dir.path(), family) == *whole, "{family} differs");
        }
        assert!(rows(self.dir.path(), STAGING).is_empty());
    }
}

fn is_account(place: &Place) -> bool {
    place.owner.is_none()
}

/// A family and a row in it, what takes its place, how many are then missing and corrupt, and a word that is said.
type Case = (&'static str, H256, Option<Vec<u8>>, (u64, u64), &'static str);

#[test]
fn damage_of_each_kind_is_found_and_repaired_by_what_is_missing_or_corrupt_alone() {
    let world = World::new(80);
    let leaf = world.node(|place, rlp| is_account(place) && !is_branch(rlp));
    let inner = world.node(|place, rlp| is_account(place) && place.path.len() == 1 && is_branch(rlp));
    let slot = world.node(|place, _| place.owner.is_some() && !place.is_root());
    let code = *world.whole[1].keys().min().unwrap();
    let mut flipped = world.whole[0][&leaf].clone();
    *flipped.last_mut().unwrap() ^= 1;
    let cases: [Case; 10] = [
        (NODES, leaf, None, (1, 0), "missing"),
        (NODES, leaf, Some(flipped), (0, 1), "content hashes to"),
        (NODES, leaf, Some(Vec::new()), (0, 1), "content hashes to"),
        (NODES, leaf, Some(world.whole[0][&inner].clone()), (0, 1), "content hashes to"),
        (NODES, inner, None, (1, 0), "missing"),
        (NODES, slot, None, (1, 0), "missing"),
        (NODES, world.roots[0], None, (1, 0), "missing"),
        (CODES, code, None, (1, 0), "missing"),
        (CODES, code, Some(b"other".to_vec()), (0, 1), "content hashes to"),
        (CODES, code, Some(Vec::new()), (0, 1), "content hashes to"),
    ];
    let mut served = 0;
    for (family, hash, value, (missing, corrupt), fault) in cases {
        world.replace(family, hash, value.as_deref());
        let found = world.verify().exits(4);
        assert!(found.stderr.contains("statesync repair"), "{}", found.stderr);
        let found = found.json();
        assert_eq!((&found["missing"], &found["corrupt"]), (&json!(missing), &json!(corrupt)), "{found}");

        let repaired = world.repair().exits(0).json();
        assert_eq!((&repaired["missing"], &repaired["corrupt"]), (&json!(missing), &json!(corrupt)), "{repaired}");
        assert_eq!((&repaired["root"], &repaired["ok"]), (&json!(format!("{:?}", world.roots[0])), &json!(true)));
        assert_eq!(repaired["faults"][0]["hash"], format!("{hash:?}"));
        assert!(repaired["faults"][0]["fault"].as_str().unwrap().contains(fault), "{repaired}");
        let fetched = if family == CODES { (0, 1) } else { (1, 0) };
        assert_eq!((&repaired["nodes_fetched"], &repaired["codes_fetched"]), (&json!(fetched.0), &json!(fetched.1)));
        served += 1;
        assert_eq!(world.peer.served(), served, "more was asked for than {hash:?}");
        world.assert_whole();
    }
}

#[test]
fn a_wrong_level_is_found_and_repaired_without_fetching_anything() {
    let world = World::new(81);
    let inner = world.node(|place, rlp| is_account(place) && place.path.len() == 1 && is_branch(rlp));
    let slot = world.node(|place, _| place.owner.is_some() && !place.is_root());
    for hash in [inner, slot, world.roots[0]] {
        for level in [0x40, 0x60, 0x82, 0xff] {
            let mut row = world.whole[0][&hash].clone();
            row[0] = level;
            world.replace(NODES, hash, Some(&row));
            let found = world.verify().exits(4).json();
            assert_eq!(found["corrupt"], 1, "{found}");
            assert!(found["faults"][0]["fault"].as_str().unwrap().starts_with("stored as "), "{found}");
            let repaired = world.repair().exits(0).json();
            assert_eq!((&repaired["nodes_fetched"], &repaired["codes_fetched"]), (&json!(0), &json!(0)));
            world.assert_whole();
        }
    }
    assert_eq!(world.peer.served(), 0);
}

#[test]
fn a_wrong_level_met_by_a_sync_is_the_stores_fault_and_not_the_states() {
    let world = World::new(82);
    let memory = &world.memory;
    let (peer, dir) = (Peer::honest(memory), TempDir::new().unwrap());
    let store = open(dir.path());
    assert!(sync(&store, &[peer.url()], options(world.roots[0])).is_complete());
    drop(store);
    let both: Vec<H256> = {
        let content = InMemory(memory);
        let of = |root| Walk::new(&content, Place::root(None, root), |_| true).filter_map(Result::ok);
        let first: Vec<H256> = of(world.roots[0])
            .filter_map(|event| match event {
                Event::Node { place, .. } => Some(place.hash),
                _ => None,
            })
            .collect();
        // Where the walk of the second state meets the first.
        let children = of(world.roots[1]).find_map(|event| match event {
            Event::Node { links, .. } => Some(links.children),
            _ => None,
        });
        children.unwrap().into_iter().map(|child| child.hash).filter(|hash| first.contains(hash)).collect()
    };
    let mut row = raw_rows(dir.path(), NODES)[&both[0]].clone();
    row[0] = 9;
    replace(dir.path(), NODES, both[0], Some(&row));
    let (root, path) = (format!("{:?}", world.roots[1]), dir.path().to_str().unwrap());
    let output = statesync(["sync", "-r", &peer.url(), "--root", &root, "--datadir", path]).exits(4);
    assert!(output.stderr.contains("the store is corrupt") && output.stderr.contains("repair"), "{}", output.stderr);
}

#[test]
fn a_sound_state_is_verified_and_no_peer_is_asked() {
    let world = World::new(83);
    let dead = DeadPort::new();
    let output = world.repair_from(&dead.url()).exits(0).json();
    assert_eq!((&output["ok"], &output["requests"], &output["faults"]), (&json!(true), &json!(0), &json!([])));
    let text =
        statesync(["repair", "-r", &dead.url(), "--datadir", world.path(), "--root", &format!("{:?}", world.roots[0])])
            .exits(0);
    assert!(text.stdout.contains("nothing missing or corrupt") && text.stdout.contains("sound"), "{}", text.stdout);
    world.assert_whole();
}

#[test]
fn what_is_damaged_below_something_missing_is_found_once_that_is_there() {
    let world = World::new(84);
    let content = InMemory(&world.memory);
    let all = Walk::new(&content, Place::root(None, world.roots[0]), |_| true).filter_map(Result::ok);
    let mut branches = all.filter_map(|event| match event {
        Event::Node { place, rlp, .. } if place.path.len() == 1 && is_account(&place) && is_branch(&rlp) => Some(place),
        _ => None,
    });
    let over = branches.next().unwrap();
    let below = Walk::new(&content, over, |_| true).filter_map(Result::ok);
    // Its parent, a storage root, is present.
    let below = below.filter_map(|event| match event {
        Event::Node { place, .. } if place.owner.is_some() && place.path.len() == 1 => Some(place.hash),
        _ => None,
    });
    let last = below.last().unwrap();
    world.replace(NODES, over.hash, None);
    world.replace(NODES, last, None);
    let output = world.repair().exits(0).json();
    assert_eq!((&output["missing"], &output["nodes_fetched"]), (&json!(2), &json!(2)), "{output}");
    assert_eq!(world.asked(), BTreeSet::from([over.hash, last]));
    world.assert_whole();
}

#[test]
fn another_root_that_shares_the_damage_is_complete_again_too() {
    let world = World::new(85);
    let second: Vec<H256> = {
        let content = InMemory(&world.memory);
        let walk = Walk::new(&content, Place::root(None, world.roots[1]), |_| true).filter_map(Result::ok);
        walk.filter_map(|event| match event {
            Event::Node { place, .. } => Some(place.hash),
            _ => None,
        })
        .collect()
    };
    let shared = world.node(|place, rlp| is_account(place) && !is_branch(rlp) && second.contains(&place.hash));
    world.replace(NODES, shared, None);
    let output = world.repair().exits(0).json();
    let other = &output["others"][0];
    assert_eq!((&other["root"], &other["ok"]), (&json!(format!("{:?}", world.roots[1])), &json!(true)), "{output}");
    assert_eq!((&output["nodes_fetched"], &other["nodes_fetched"]), (&json!(1), &json!(0)));
    assert_eq!(world.asked(), BTreeSet::from([shared]));
    world.assert_whole();
}

#[test]
fn a_repair_that_is_cut_short_leaves_no_false_claim_and_the_next_one_ends_it() {
    let world = World::new(86);
    let leaf = world.node(|place, rlp| is_account(place) && !is_branch(rlp));
    world.replace(NODES, leaf, None);
    let without = move |request: &Request<'_>| {
        let element = |call: &Call| if call.hash == leaf { call.absent() } else { request.element(call) };
        Answer::Batch(request.calls.iter().map(element).collect())
    };
    let poor = Peer::new(&world.memory, without);
    let output = world.repair_from(&poor.url()).exits(3);
    assert!(output.stderr.contains(&format!("{leaf:?}")), "{}", output.stderr);
    assert_eq!(output.json()["ok"], false);
    assert!(world.states().contains(&(world.roots[0], RootState::Damaged)), "{:?}", world.states());
    let nodes = rows(world.dir.path(), NODES);
    assert!(!nodes.contains_key(&world.roots[0]) && !nodes.contains_key(&leaf), "a claim is left that is not true");
    let status: Value = statesync(["status", "--datadir", world.path(), "--json"]).exits(0).json();
    assert!(status["roots"].as_array().unwrap().iter().any(|root| root["state"] == "damaged"), "{status}");
    world.verify().exits(4);

    // It needs no --root: what was begun comes first.
    let url = world.peer.url();
    let repair = ["repair", "-r", &url, "--dialect", "hash", "--datadir", world.path(), "--json"];
    assert_eq!(statesync(repair).exits(0).json()["ok"], true);
    assert_eq!(world.asked(), BTreeSet::from([leaf]));
    world.assert_whole();
}

#[test]
fn a_sync_of_a_damaged_root_repairs_it_as_well() {
    let world = World::new(87);
    let leaf = world.node(|place, rlp| is_account(place) && !is_branch(rlp));
    world.replace(NODES, leaf, None);
    world.repair_from(&DeadPort::new().url()).exits(3);
    let (url, root) = (world.peer.url(), format!("{:?}", world.roots[0]));
    statesync(["sync", "-r", &url, "--dialect", "hash", "--root", &root, "--datadir", world.path()]).exits(0);
    world.verify().exits(0);
    assert_eq!(world.asked(), BTreeSet::from([leaf]));
}

/// Files of the database with this ending, the largest first.
fn files(dir: &Path, ending: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|file| file.unwrap().path()).collect();
    files.retain(|file| file.to_string_lossy().ends_with(ending) && file.file_name().unwrap() != "LOG");
    files.sort_by_key(|file| std::cmp::Reverse(file.metadata().unwrap().len()));
    files
}

/// Moves everything from the log to tables.
fn flush(dir: &Path) {
    let db = DB::open_cf(&Options::default(), dir, FAMILIES).unwrap();
    FAMILIES.iter().for_each(|family| db.flush_cf(db.cf_handle(family).unwrap()).unwrap());
}

/// It says that the database is damaged, and what helps; nothing claims to be sound.
fn assert_damage_is_named(world: &World, names: &str) {
    for output in [world.verify(), world.repair()] {
        let output = output.exits(4);
        assert!(output.stderr.contains(names), "no {names} in {}", output.stderr);
        assert!(output.stderr.contains("hint: ") && output.stderr.contains("new --datadir"), "{}", output.stderr);
        assert!(!output.stdout.contains("\"ok\":true") && !output.stderr.contains("panic"), "{output:#?}");
    }
    assert_eq!(world.peer.served(), 0);
}

#[test]
fn a_flipped_byte_in_a_table_is_found() {
    let world = World::new(90);
    flush(world.dir.path());
    let table = files(world.dir.path(), ".sst").remove(0);
    let mut bytes = std::fs::read(&table).unwrap();
    bytes[1_000] ^= 0x10;
    std::fs::write(&table, bytes).unwrap();
    assert_damage_is_named(&world, "checksum mismatch");
}

#[test]
fn a_table_that_is_cut_short_is_found() {
    let world = World::new(91);
    flush(world.dir.path());
    let table = files(world.dir.path(), ".sst").remove(0);
    let bytes = std::fs::read(&table).unwrap();
    std::fs::write(&table, &bytes[..bytes.len() / 2]).unwrap();
    assert_damage_is_named(&world, "is damaged");
}

#[test]
fn a_file_that_is_gone_is_named() {
    for ending in [".sst", "MANIFEST", "CURRENT"] {
        let world = World::new(92);
        flush(world.dir.path());
        let file = match ending {
            "MANIFEST" => {
                let current = std::fs::read_to_string(world.dir.path().join("CURRENT")).unwrap();
                world.dir.path().join(current.trim())
            }
            ending => files(world.dir.path(), ending).remove(0),
        };
        std::fs::remove_file(&file).unwrap();
        assert_damage_is_named(&world, file.file_name().unwrap().to_str().unwrap());
        // Nor is anything made anew in its place.
        let (url, root) = (world.peer.url(), format!("{:?}", world.roots[0]));
        let sync = statesync(["sync", "-r", &url, "--root", &root, "--datadir", world.path()]).exits(4);
        assert!(sync.stderr.contains("damaged"), "{}", sync.stderr);
    }
}

#[test]
fn a_log_that_is_cut_at_any_place_is_an_earlier_store_and_never_a_false_claim() {
    let world = World::new(93);
    let log = files(world.dir.path(), ".log").remove(0);
    let whole = std::fs::read(&log).unwrap();
    for part in [1, 10, 30, 50, 70, 90, 99] {
        let dir = TempDir::new().unwrap();
        copy(world.dir.path(), dir.path());
        std::fs::write(dir.path().join(log.file_name().unwrap()), &whole[..whole.len() * part / 100]).unwrap();
        let path = dir.path().to_str().unwrap();
        let root = format!("{:?}", world.roots[1]);
        let verified = statesync(["verify", "--datadir", path, "--root", &root, "--json"]);
        assert!(matches!(verified.code, Some(0 | 4)), "{verified:#?}");
        let store = open(dir.path());
        let complete = store.root(&world.roots[1]).unwrap().is_some_and(|record| record.state == RootState::Complete);
        // The state is in tables; what the log has lost is what was said of it.
        assert!(!complete || verified.code == Some(0), "at {part} %");
        assert!(sync(&store, &[world.peer.url()], options(world.roots[1])).is_complete());
    }
}
