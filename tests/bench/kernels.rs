//! What one node costs, step by step, from a reply's bytes to a verified node: `scripts/bench kernels`. Prints figures;
//! nothing is decided by them.
//!
//! One thread, nodes of a made-up state in batches as they come from peers. Each figure is the median of several rounds,
//! and the rounds of what is compared are interleaved.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a measurement: it prints figures, and ends where something fails"
)]

use std::hint::black_box;

use primitive_types::{H256, U256};
use rustix::time::{ClockId, clock_gettime};
use serde::Deserialize;
use serde_json::value::RawValue;
use statesync::peers::{Ask, Dialect, wire};
use statesync::pipeline::check;
use statesync::trie::{
    Account, EMPTY_CODE_HASH, EMPTY_ROOT, Item, Keccak, Key, Kind, Nibbles, Origin, TrieBuilder, Verified, keccak256,
};

/// Accounts of the state.
const ACCOUNTS: u32 = 30_000;

/// Nodes that are measured with: few enough to stay in the processor's caches, as what has just been received does.
const NODES: usize = 4_000;

/// Nodes in a reply.
const BATCH: usize = 1_000;

/// Rounds over all nodes; the median counts.
const ROUNDS: usize = 101;

/// A node, and what it is asked by.
struct Node {
    item: Item,
    rlp: Vec<u8>,
}

fn main() {
    let nodes = nodes();
    let bytes: usize = nodes.iter().map(|node| node.rlp.len()).sum();
    println!("{} nodes of {:.0} bytes; ns for each", nodes.len(), bytes as f64 / nodes.len() as f64);
    keccak(&nodes);
    requests(&nodes);
    replies(&nodes);
}

fn keccak(nodes: &[Node]) {
    let batches: Vec<Vec<&[u8]>> =
        nodes.chunks(BATCH).map(|nodes| nodes.iter().map(|node| node.rlp.as_slice()).collect()).collect();
    let mut runs: Vec<Run<'_>> = vec![Run::new("keccak256, one by one", || {
        for rlp in batches.iter().flatten() {
            black_box(keccak256(rlp));
        }
    })];
    for kernel in Keccak::all() {
        let batches = &batches;
        runs.push(Run::new(format!("keccak256_batch, {}", kernel.name()), move || {
            batches.iter().for_each(|batch| drop(black_box(kernel.hash_all(batch))));
        }));
    }
    compare(nodes.len(), runs);
}

fn requests(nodes: &[Node]) {
    let asks = asks(nodes);
    let runs = [Dialect::Hash, Dialect::Path].map(|dialect| {
        let asks = &asks;
        Run::new(format!("request, by {dialect}"), move || {
            for asks in asks.chunks(BATCH) {
                black_box(wire::request(dialect, asks));
            }
        })
    });
    compare(nodes.len(), runs.into());
}

/// Reading replies, beside the JSON library; and checking them, beside one node after the other.
fn replies(nodes: &[Node]) {
    let asks = asks(nodes);
    let batches: Vec<(&[Ask], Vec<u8>)> =
        asks.chunks(BATCH).zip(nodes.chunks(BATCH)).map(|(asks, nodes)| (asks, reply(nodes))).collect();
    let library = Run::new("answers, by the JSON library", || {
        for (_, reply) in &batches {
            black_box(serde_json::from_slice::<Vec<Element<'_>>>(reply).unwrap());
        }
    });
    let answers = Run::new("answers", || {
        for (asks, reply) in &batches {
            black_box(wire::answers(reply, asks.len()).unwrap());
        }
    });
    compare(nodes.len(), vec![library, answers]);

    let one_by_one = Run::new("check, node by node", || {
        for (asks, reply) in &batches {
            let elements = serde_json::from_slice::<Vec<Element<'_>>>(reply).unwrap();
            let node = |(ask, element): (&Ask, Element<'_>)| {
                Verified::check(ask.item, wire::unhex(element.result).unwrap(), Origin::Peer).unwrap()
            };
            black_box(asks.iter().zip(elements).map(node).collect::<Vec<_>>());
        }
    });
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build().unwrap();
    let together = Run::new("check", || {
        for (asks, reply) in &batches {
            let checked = pool.install(|| check(Dialect::Hash, asks, reply));
            assert_eq!(black_box(checked).nodes.len(), asks.len());
        }
    });
    compare(nodes.len(), vec![one_by_one, together]);
}

/// An element of a reply, as the JSON library reads it.
#[derive(Debug, Deserialize)]
struct Element<'a> {
    #[serde(borrow, rename = "id")]
    _id: &'a RawValue,
    result: &'a str,
}

fn asks(nodes: &[Node]) -> Vec<Ask> {
    nodes.iter().map(|node| Ask { item: node.item, bare_code: false }).collect()
}

fn reply(nodes: &[Node]) -> Vec<u8> {
    let element = |(id, node): (usize, &Node)| {
        format!(r#"{{"jsonrpc":"2.0","id":{id},"result":"0x{}"}}"#, faster_hex::hex_string(&node.rlp))
    };
    let elements: Vec<String> = nodes.iter().enumerate().map(element).collect();
    format!("[{}]", elements.join(",")).into_bytes()
}

/// Something to measure.
struct Run<'a> {
    name: String,
    work: Box<dyn FnMut() + 'a>,
    seconds: Vec<f64>,
}

impl<'a> Run<'a> {
    fn new(name: impl Into<String>, work: impl FnMut() + 'a) -> Self {
        Self { name: name.into(), work: Box::new(work), seconds: Vec::new() }
    }
}

/// This thread's time on a processor so far: what other programs take away does not count.
fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Measures each run over so many nodes, and prints it beside the first.
fn compare(nodes: usize, mut runs: Vec<Run<'_>>) {
    for _ in 0..ROUNDS {
        for run in &mut runs {
            let before = cpu_seconds();
            (run.work)();
            run.seconds.push(cpu_seconds() - before);
        }
    }
    let mut first = None;
    for run in &mut runs {
        run.seconds.sort_by(f64::total_cmp);
        let median = run.seconds[ROUNDS / 2] * 1e9 / nodes as f64;
        let ratio = *first.get_or_insert(median) / median;
        println!("{:<44} {median:>8.1}  {ratio:>5.2}x", run.name);
    }
}

/// Nodes of the account trie in no order, as far as their contents and the memory go.
fn nodes() -> Vec<Node> {
    let mut leaves: Vec<(H256, Vec<u8>)> = (0..ACCOUNTS).map(leaf).collect();
    leaves.sort_unstable();
    let mut nodes = Vec::new();
    let mut builder = TrieBuilder::new(|path: Nibbles, hash, rlp: &[u8]| {
        let key = Key { kind: Kind::AccountNode, hash };
        let item = Item { key, owner: H256::zero(), path, after_extension: false };
        nodes.push(Node { item, rlp: rlp.to_vec() });
        Ok::<(), std::convert::Infallible>(())
    });
    leaves.iter().for_each(|(key, account)| builder.add(*key, account).unwrap());
    builder.finish().unwrap();
    nodes.sort_by_cached_key(|node| keccak256(node.item.key.hash.as_bytes()));
    nodes.truncate(NODES);
    nodes
}

/// An account, every third a contract's.
fn leaf(number: u32) -> (H256, Vec<u8>) {
    let key = keccak256(&number.to_be_bytes());
    let is_contract = number.is_multiple_of(3);
    let of = |empty, seed: u8| if is_contract { keccak256(&[&[seed], key.as_bytes()].concat()) } else { empty };
    let account = Account {
        nonce: u64::from(number % 200),
        balance: U256::from(number) << 40,
        storage_root: of(EMPTY_ROOT, 0),
        code_hash: of(EMPTY_CODE_HASH, 1),
    };
    (key, account.encode())
}
