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
use statesync::trie::{Account, EMPTY_CODE_HASH, EMPTY_ROOT, Item, Keccak, Key, Kind, Nibbles, TrieBuilder, keccak256};

/// Accounts of the state.
const ACCOUNTS: u32 = 30_000;

/// Nodes that are measured with: few enough to stay in the processor's caches, as what has just been received does.
const NODES: usize = 20_000;

/// Nodes in a reply.
const BATCH: usize = 1_000;

/// Rounds over all nodes; the median counts.
const ROUNDS: usize = 31;

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
