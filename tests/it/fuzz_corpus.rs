//! The fuzzer's corpus and mutations of it, on the stable compiler: what `scripts/fuzz` finds is added to the corpus, and
//! so is tried here for good.

use std::fs;
use std::path::Path;

use crate::support::{Rng, Seed};
use crate::targets;

/// Mutations of each target's corpus; `STATESYNC_FUZZ_MUTATIONS` sets another number.
const MUTATIONS: u64 = 300_000;

/// Numbers that limits are made of.
const EDGES: [u8; 10] = [0, 1, 0x20, 0x37, 0x7f, 0x80, 0xb8, 0xc0, 0xf7, 0xff];

/// Bytes of JSON that change what is around them.
const TOKENS: [&[u8]; 8] = [b"\"", b"[", b"{", b"null", b"1e400", b"-0", b"\\u001b", b",\"id\":0"];

fn try_all(name: &str, target: fn(&[u8])) {
    let seed = Seed::or(90);
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let mut files: Vec<_> = fs::read_dir(dir).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let corpus: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).unwrap()).collect();
    assert!(!corpus.is_empty());
    let attempt = |input: &[u8]| {
        let shown = Shown(input);
        target(input);
        drop(shown);
    };
    corpus.iter().for_each(|input| attempt(input));
    let given = std::env::var("STATESYNC_FUZZ_MUTATIONS").ok().and_then(|text| text.parse().ok());
    let mut rng = seed.rng();
    for _ in 0..given.unwrap_or(MUTATIONS) {
        attempt(&mutation(&corpus, &mut rng));
    }
}

/// One of the corpus with some changes.
fn mutation(corpus: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    let pick = |rng: &mut Rng, length: usize| usize::try_from(rng.below(length.max(1) as u64)).unwrap();
    let mut input = corpus[pick(rng, corpus.len())].clone();
    for _ in 0..=rng.below(4) {
        let at = pick(rng, input.len());
        let end = (at + pick(rng, 40)).min(input.len());
        match rng.below(8) {
            0 => drop(input.drain(at..end)),
            1 => input.truncate(at),
            2 => drop(input.splice(at..at, TOKENS[pick(rng, TOKENS.len())].iter().copied())),
            3 => {
                let again = input[at..end].repeat(1 + pick(rng, 8));
                input.splice(at..at, again);
            }
            4 => {
                let other = &corpus[pick(rng, corpus.len())];
                let from = pick(rng, other.len());
                input.splice(at..end, other[from..].iter().copied());
            }
            kind => {
                let byte = rng.bytes(1)[0];
                if let Some(place) = input.get_mut(at) {
                    *place = match kind {
                        5 => EDGES[pick(rng, EDGES.len())],
                        6 => *place ^ (1 << (byte % 8)),
                        _ => byte,
                    };
                }
            }
        }
    }
    input
}

/// Shows the input when the target fails on it.
struct Shown<'a>(&'a [u8]);

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the input: {}", self.0.escape_ascii());
        }
    }
}

#[test]
fn nodes_of_any_bytes_break_nothing() {
    try_all("node", targets::node);
}

#[test]
fn replies_of_any_bytes_break_nothing() {
    try_all("reply", targets::reply);
}

#[test]
fn records_of_any_bytes_break_nothing() {
    try_all("record", targets::record);
}

#[test]
fn genesis_files_of_any_bytes_break_nothing() {
    try_all("genesis", targets::genesis);
}

#[test]
fn headers_of_any_bytes_break_nothing() {
    try_all("header", targets::header);
}

#[test]
fn addresses_of_any_text_break_nothing() {
    try_all("address", targets::address);
}
