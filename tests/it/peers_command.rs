//! `statesync peers`: what peers are, which states they can serve, and how fast.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use primitive_types::H256;
use serde_json::{Value, json};
use statesync::serve::MemoryState;

use crate::support::{
    Answer, DeadPort, Limits, Output, Peer, Rate, RateStyle, Request, SMALL, Seed, Speaks, in_memory, state, statesync,
    statesync_in, successor,
};

const DOCUMENT: &str = "peers agree";
const PEER: &str = "url transport verdict reason client chain_id genesis_hash dialect head_number head_hash syncing \
                    latency_ms roots disk kept batch speed rate_limit corrupt notes";
const ROOT: &str = "name block_number block_hash root served";
const DISK: &str = "root state_id block_number blocks_behind";
const KEPT: &str = "block_number block_hash root";
const BATCH: &str = "asked accepted refused";
const SPEED: &str = "one_at_a_time side_by_side requests_at_once";
const RATE: &str = "items_per_second bytes_per_second items";
const RATE_LIMIT: &str = "times wait_ms cut_short";

const NAMES: [&str; 4] = ["latest", "safe", "finalized", "earliest"];

/// Two states: the first is that of the blocks below ten, the second of ten and of those after it.
struct World {
    memory: Arc<MemoryState>,
    roots: [H256; 2],
    _seed: Seed,
}

impl World {
    fn new() -> Self {
        let seed = Seed::or(80);
        let first = state(seed.0, SMALL);
        let second = successor(&first, seed.0 + 1, 40, SMALL);
        let (memory, [first, second]) = in_memory([&first, &second]);
        Self { memory, roots: [first.root, second.root], _seed: seed }
    }

    fn blocks(&self) -> [(u64, H256); 3] {
        [(0, self.roots[0]), (10, self.roots[1]), (20, self.roots[1])]
    }

    fn peer(&self, speaks: Speaks) -> Peer {
        Peer::build(&self.memory).speaks(speaks).blocks(self.blocks()).finality(5).start()
    }

    /// A hash peer that does this with batches in which keys are read.
    fn behaving(&self, behaviour: impl Fn(&Request<'_>) -> Answer + Send + Sync + 'static) -> Peer {
        Peer::build(&self.memory).blocks(self.blocks()).behaves(behaviour).start()
    }
}

fn assert_fields(value: &Value, fields: &str) {
    let found: BTreeSet<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(found, fields.split_whitespace().collect(), "{value:#}");
}

/// Surveys one peer that is usable.
fn survey(peer: &Peer) -> Value {
    let document = statesync(["peers", "--json", "-r", &peer.url()]).exits(0).json();
    assert_eq!(document["agree"], Value::Null, "one peer has nobody to agree with");
    document["peers"][0].clone()
}

/// Surveys peers that may be anything.
fn survey_all(urls: &[&str]) -> Output {
    let flags = urls.iter().flat_map(|url| ["-r", url]);
    statesync_in(&[], &["peers", "--json"].into_iter().chain(flags).collect::<Vec<_>>())
}

fn served(peer: &Value) -> Vec<bool> {
    let roots = peer["roots"].as_array().unwrap();
    assert_eq!(roots.iter().map(|root| root["name"].as_str().unwrap()).collect::<Vec<_>>(), NAMES);
    roots.iter().map(|root| root["served"].as_bool().unwrap()).collect()
}

fn hash(hash: H256) -> Value {
    json!(format!("{hash:?}"))
}

#[test]
fn the_document_has_exactly_its_fields() {
    let world = World::new();
    let path = world.peer(Speaks::Path);
    let pruned = world.peer(Speaks::Hash);
    pruned.prune(&[world.roots[1]]);
    let document = survey_all(&[&path.url(), &pruned.url()]).exits(0).json();
    assert_fields(&document, DOCUMENT);
    assert_eq!(document["agree"], true);
    for peer in document["peers"].as_array().unwrap() {
        assert_fields(peer, PEER);
        peer["roots"].as_array().unwrap().iter().for_each(|root| assert_fields(root, ROOT));
        assert_fields(&peer["batch"], BATCH);
        assert_fields(&peer["speed"], SPEED);
        assert_fields(&peer["speed"]["one_at_a_time"], RATE);
        assert_fields(&peer["speed"]["side_by_side"], RATE);
        assert_eq!(peer["rate_limit"], Value::Null);
    }
    let (path, pruned) = (&document["peers"][0], &document["peers"][1]);
    assert_fields(&path["disk"], DISK);
    assert_eq!(path["kept"], Value::Null);
    assert_fields(&pruned["kept"], KEPT);
    assert_eq!(pruned["disk"], Value::Null);
}

#[test]
fn every_dialect_is_told_and_every_root_that_is_served() {
    let world = World::new();
    for (speaks, dialect) in
        [(Speaks::Hash, "hash"), (Speaks::HalfPath, "nethermind-halfpath"), (Speaks::NethermindHash, "nethermind-hash")]
    {
        let peer = world.peer(speaks);
        let said = survey(&peer);
        assert_eq!((&said["dialect"], &said["verdict"]), (&json!(dialect), &json!("usable")));
        assert_eq!((&said["url"], &said["transport"]), (&json!(peer.url()), &json!("http")));
        assert_eq!((&said["chain_id"], &said["genesis_hash"]), (&json!(1), &hash(peer.block(0).hash)));
        assert_eq!((&said["head_number"], &said["head_hash"]), (&json!(20), &hash(peer.block(20).hash)));
        assert_eq!((&said["syncing"], &said["corrupt"]), (&json!(false), &json!(0)));
        assert!(said["latency_ms"].as_f64().unwrap() > 0.0);
        assert_eq!(served(&said), [true; 4]);
        for (root, number) in said["roots"].as_array().unwrap().iter().zip([20, 15, 15, 0]) {
            let block = peer.block(number);
            assert_eq!((&root["block_number"], &root["root"]), (&json!(number), &hash(block.root)));
            assert_eq!(root["block_hash"], hash(block.hash));
        }
        assert_eq!(said["batch"], json!({ "asked": 384, "accepted": 384, "refused": null }));
        for rate in ["one_at_a_time", "side_by_side"] {
            assert!(said["speed"][rate]["items_per_second"].as_f64().unwrap() > 0.0);
        }
    }
}

#[test]
fn the_state_on_a_path_peers_disk_is_found_with_its_block() {
    let world = World::new();
    let peer = Peer::build(&world.memory).speaks(Speaks::Path).blocks(world.blocks()).disk(world.roots[0]).start();
    let said = survey(&peer);
    assert_eq!((&said["dialect"], &said["verdict"]), (&json!("path"), &json!("usable")));
    assert_eq!(served(&said), [false, false, false, true], "block zero has the same state as block nine");
    let disk = json!({ "root": hash(world.roots[0]), "state_id": 1, "block_number": 9, "blocks_behind": 11 });
    assert_eq!(said["disk"], disk);
    assert!(said["speed"]["one_at_a_time"]["items"].as_u64().unwrap() > 0);
    let text = statesync(["peers", "-r", &peer.url()]).exits(0).stdout;
    assert!(text.contains("on disk   block 9, 11 behind its head; state id 1\n"), "{text}");
}

#[test]
fn a_hash_peer_without_the_latest_state_is_asked_for_the_newest_it_has_kept() {
    let world = World::new();
    let peer = world.peer(Speaks::Hash);
    peer.prune(&[world.roots[1]]);
    let said = survey(&peer);
    assert_eq!(served(&said), [false, false, false, true]);
    let kept = json!({ "block_number": 9, "block_hash": hash(peer.block(9).hash), "root": hash(world.roots[0]) });
    assert_eq!(said["kept"], kept);
    let text = statesync(["peers", "-r", &peer.url()]).exits(0).stdout;
    assert!(text.contains("11 blocks behind its head"), "{text}");
}

#[test]
fn a_peer_of_codes_only_is_no_peer_to_sync_from_alone() {
    let world = World::new();
    let codes = world.peer(Speaks::CodesOnly);
    let output = survey_all(&[&codes.url()]).exits(2);
    let said = &output.json()["peers"][0];
    assert_eq!((&said["dialect"], &said["verdict"]), (&json!("codes"), &json!("codes_only")));
    assert_eq!((served(said), &said["speed"]), (vec![false; 4], &Value::Null));
    assert_eq!(said["batch"]["accepted"], 384);
    assert!(output.stderr.contains("no peer can be used"), "{}", output.stderr);
    let nodes = world.peer(Speaks::Hash);
    survey_all(&[&codes.url(), &nodes.url()]).exits(0);
}

#[test]
fn peers_of_no_use_are_named_and_keep_nobody_from_being_surveyed() {
    let world = World::new();
    let (good, dead) = (world.peer(Speaks::Hash), DeadPort::new());
    let hidden = Peer::build(&world.memory).blocks(world.blocks()).client("Besu/v26.1.0/linux").without_debug().start();
    let document = survey_all(&[&dead.url(), &hidden.url(), &good.url()]).exits(0).json();
    let said = |place: usize, field: &str| document["peers"][place][field].clone();
    assert_eq!((said(0, "url"), said(0, "verdict")), (json!(dead.url()), json!("unreachable")));
    assert_eq!((said(1, "url"), said(1, "verdict")), (json!(hidden.url()), json!("unusable")));
    assert!(said(1, "reason").as_str().unwrap().contains("neither debug_dbGet nor debug_getFromDb"));
    assert_eq!((said(1, "client"), said(1, "head_number")), (json!("Besu/v26.1.0/linux"), json!(20)));
    assert_eq!(said(2, "verdict"), "usable");
    assert_eq!(document["agree"], true, "both that answer are of one chain");

    let text = statesync(["peers", "-r", &dead.url(), "-r", &hidden.url(), "-r", &good.url()]).exits(0).stdout;
    for word in ["unreachable", "unusable", "every tag", "Besu/v26.1.0", "verdict   usable", "agree     one chain"] {
        assert!(text.contains(word), "no {word} in {text}");
    }
}

#[test]
fn without_a_usable_peer_the_exit_code_says_why() {
    let world = World::new();
    let dead = DeadPort::new();
    let hidden = Peer::without_debug(&world.memory);
    let empty = world.peer(Speaks::Hash);
    empty.prune(&world.roots);
    for (urls, code, words) in [
        (vec![dead.url()], 3, "no peer can be reached"),
        (vec![hidden.url()], 2, "no peer can be used"),
        (vec![dead.url(), hidden.url()], 3, "no peer can be used now"),
        (vec![empty.url()], 3, "no peer can be used now"),
    ] {
        let output = survey_all(&urls.iter().map(String::as_str).collect::<Vec<_>>()).exits(code);
        assert!(output.stderr.contains(words), "{output:#?}");
        assert_eq!(output.json()["peers"].as_array().unwrap().len(), urls.len(), "the result is printed all the same");
    }
    let said = survey_all(&[&empty.url()]).json()["peers"][0].clone();
    assert_eq!(said["verdict"], "no_state");
}

#[test]
fn peers_of_different_chains_do_not_agree() {
    let world = World::new();
    let one = world.peer(Speaks::Hash);
    let other = Peer::build(&world.memory).blocks([(0, world.roots[0]), (15, world.roots[1])]).start();
    let document = survey_all(&[&one.url(), &other.url()]).exits(0).json();
    assert_eq!(document["agree"], false, "they begin alike and have different blocks 15");
    let text = statesync(["peers", "-r", &one.url(), "-r", &other.url()]).exits(0).stdout;
    assert!(text.contains("NO: the peers have different blocks 15"), "{text}");
    // One that is only behind is of the same chain.
    let behind = world.peer(Speaks::Path);
    behind.set_head(12);
    assert_eq!(survey_all(&[&one.url(), &behind.url()]).exits(0).json()["agree"], true);
}

#[test]
fn a_batch_that_is_too_large_is_halved_until_the_peer_takes_it() {
    let world = World::new();
    let limits = Limits { batch_items: 100, ..Limits::default() };
    // Each says it in other words.
    for speaks in [Speaks::Hash, Speaks::Path, Speaks::HalfPath, Speaks::NethermindHash] {
        let peer = Peer::build(&world.memory).speaks(speaks).blocks(world.blocks()).limits(limits.clone()).start();
        let said = survey(&peer);
        assert_eq!(said["batch"], json!({ "asked": 384, "accepted": 96, "refused": "too large" }), "{speaks:?}");
        assert!(said["speed"]["side_by_side"]["items"].as_u64().unwrap() > 0);
    }
    let never = world.behaving(|request| {
        if request.calls.len() > 11 { request.errors(-32600, "batch too large") } else { request.honest() }
    });
    let document = statesync(["peers", "--json", "-r", &never.url(), "--dialect", "hash"]).exits(0).json();
    assert_eq!(document["peers"][0]["batch"], json!({ "asked": 384, "accepted": null, "refused": "too large" }));
    assert_eq!(document["peers"][0]["speed"], Value::Null);
}

#[test]
fn a_short_rest_that_a_peer_asks_for_is_waited_out() {
    let world = World::new();
    let peer = world.behaving(|request| {
        // The first batch is the probe's, the second reads the roots.
        if request.number == 1 { request.errors(-32005, "try again in 20ms") } else { request.honest() }
    });
    let said = survey(&peer);
    assert_fields(&said["rate_limit"], RATE_LIMIT);
    assert_eq!(said["rate_limit"], json!({ "times": 1, "wait_ms": 20.0, "cut_short": false }));
    assert_eq!(served(&said), [true; 4]);
    assert!(said["speed"]["one_at_a_time"]["items"].as_u64().unwrap() > 0);
}

#[test]
fn no_request_is_sent_inside_a_rest_that_a_peer_asked_for() {
    let world = World::new();
    let backoff = Duration::from_millis(300);
    // The first leaves room for the probe, the others end in the middle of what comes after.
    for burst in [8, 12, 16] {
        for style in [RateStyle::Infura { backoff }, RateStyle::Status { retry_after: 1 }] {
            let limits = Limits { rate: Some(Rate { per_second: 20, burst, style }), ..Limits::default() };
            let peer = Peer::build(&world.memory).blocks(world.blocks()).limits(limits).start();
            let said = survey(&peer);
            assert!(said["rate_limit"]["times"].as_u64().unwrap() > 0, "{burst} {style:?}: {said:#}");
            assert_eq!(peer.counts().inside_wait, 0, "{burst} {style:?}");
        }
    }
}

#[test]
fn a_peer_that_asks_for_a_long_rest_is_not_asked_again() {
    let world = World::new();
    let asked = Arc::new(AtomicU64::new(0));
    let count = asked.clone();
    let peer = world.behaving(move |request| {
        count.fetch_max(request.number, Ordering::SeqCst);
        if request.number == 2 { Answer::status(429, Some("60"), "slow down") } else { request.honest() }
    });
    let said = survey(&peer);
    assert_eq!(asked.load(Ordering::SeqCst), 2, "nothing was sent after it asked for a rest");
    assert_eq!(said["rate_limit"], json!({ "times": 1, "wait_ms": 60_000.0, "cut_short": true }));
    assert_eq!((&said["speed"], &said["batch"]["accepted"]), (&Value::Null, &Value::Null));
    assert_eq!(served(&said), [true; 4], "what was found out before is told");
    assert!(said["notes"][0].as_str().unwrap().contains("a rest of 60 s"), "{said}");
}

#[test]
fn a_peer_that_lies_is_found_out() {
    let world = World::new();
    let roots = world.roots;
    let liar = world.behaving(move |request| {
        let mut rng = crate::support::Rng::new(80);
        let element = |call: &crate::support::Call| {
            if roots.contains(&call.hash) { request.element(call) } else { request.lie(call, &mut rng) }
        };
        Answer::Batch(request.calls.iter().map(element).collect())
    });
    let output = survey_all(&[&liar.url()]).exits(2);
    let said = &output.json()["peers"][0];
    assert_eq!(said["verdict"], "unusable");
    assert!(said["corrupt"].as_u64().unwrap() > 0);
    assert!(said["reason"].as_str().unwrap().contains("something else"));
}

#[test]
fn a_survey_is_some_dozens_of_requests_and_fewer_without_a_measurement() {
    let world = World::new();
    let peer = world.peer(Speaks::Hash);
    survey(&peer);
    let measured = peer.counts().requests;
    assert!(measured <= 24, "{measured} requests for items");
    let unmeasured = world.peer(Speaks::Hash);
    let document = statesync(["peers", "--json", "-r", &unmeasured.url(), "--items", "0"]).exits(0).json();
    assert_eq!(document["peers"][0]["speed"], Value::Null);
    assert_eq!(document["peers"][0]["batch"]["accepted"], 384);
    assert_eq!(unmeasured.counts().requests, 3, "the probe, the roots, the size of a batch");
}

#[test]
fn credentials_and_control_characters_are_not_shown() {
    let world = World::new();
    let peer = Peer::build(&world.memory).blocks(world.blocks()).client("Geth\u{1b}[2J/v1\r\nhead").start();
    let url = peer.url().replace("http://", "http://user:secret@");
    let output = statesync(["peers", "-r", &url]).exits(0);
    assert!(!output.stdout.contains("secret") && !output.stdout.contains('\u{1b}'), "{output:#?}");
    let json = statesync(["peers", "--json", "-r", &url]).exits(0).stdout;
    assert!(!json.contains("secret"), "{json}");
}
