//! What is fuzzed: each function takes any bytes, and fails if something that has to hold for them does not.
//!
//! The fuzzer calls them, and so does a test on the stable compiler, with the committed corpus and mutations of it.

use primitive_types::H256;
use statesync::genesis::{Genesis, decode_header};
use statesync::peers::wire::{self, Answer};
use statesync::peers::{BlockId, ConnectOptions, Dialect, PeerUrl};
use statesync::serve::MemoryState;
use statesync::store::{Checkpoint, RootRecord};
use statesync::trie::{Item, Leaf, Nibbles, Origin, Reject, TrieKind, Verified, decode, keccak256};

/// What a message about a peer may be long, with what the program adds to the peer's own words.
const WORDS_MAX: usize = 600;

/// The first bytes of zstd. What unpacks to much is tested elsewhere, and would only slow the fuzzer.
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// A node anywhere in a trie: the first byte says in which and after what, the second how deep.
pub fn node(data: &[u8]) {
    let [what, depth, rlp @ ..] = data else { return };
    let kind = if what & 1 == 0 { TrieKind::Account } else { TrieKind::Storage };
    let nibbles = vec![what >> 4; usize::from(*depth) % (Nibbles::MAX_LEN + 1)];
    let path = Nibbles::from_slice(&nibbles).expect("at most 64 nibbles");
    let Ok(links) = decode(kind, &path, what & 2 != 0, rlp) else { return };
    assert!(!links.children.is_empty() || !links.leaves.is_empty(), "a node of nothing");
    for child in &links.children {
        let longer = child.path.len() > path.len() && child.path.len() <= Nibbles::MAX_LEN;
        assert!(longer && child.path.starts_with(&path), "a child elsewhere: {child:?}");
    }
    for leaf in &links.leaves {
        let (Leaf::Account { key, .. } | Leaf::Slot { key, .. }) = leaf;
        assert!(Nibbles::from_key(key).starts_with(&path), "a leaf elsewhere: {leaf:?}");
    }
}

/// A reply to a batch: the first byte says of how many.
pub fn reply(data: &[u8]) {
    let [asked, reply @ ..] = data else { return };
    let answers = match wire::answers(reply, usize::from(*asked)) {
        Ok(answers) => answers,
        Err(error) => return may_be_said(&error.to_string()),
    };
    assert_eq!(answers.len(), usize::from(*asked));
    for answer in answers {
        match answer {
            Answer::Hex(hex) => verified(&hex.bytes()),
            Answer::Error(error) => may_be_said(&error.to_string()),
            Answer::NotHex | Answer::Null | Answer::Nonsense | Answer::Nothing => {}
        }
    }
}

/// Only the bytes that were asked for are taken, as what their hash names.
fn verified(bytes: &[u8]) {
    let wrong = Verified::check(Item::root(H256::repeat_byte(7)), bytes.to_vec(), Origin::Peer);
    assert!(matches!(wrong, Err(Reject::WrongHash)));
    if let Ok(verified) = Verified::check(Item::root(keccak256(bytes)), bytes.to_vec(), Origin::Peer) {
        assert_eq!(verified.bytes, bytes);
    }
}

/// The records of a store.
pub fn record(data: &[u8]) {
    if let Ok(record) = serde_json::from_slice::<RootRecord>(data) {
        let again = serde_json::to_vec(&record).expect("it can be written");
        assert_eq!(serde_json::from_slice::<RootRecord>(&again).expect("it can be read again"), record);
    }
    if let Ok(checkpoint) = serde_json::from_slice::<Checkpoint>(data) {
        let again = serde_json::to_vec(&checkpoint).expect("it can be written");
        let again = serde_json::from_slice::<Checkpoint>(&again).expect("it can be read again");
        assert_eq!((again.root, again.counts), (checkpoint.root, checkpoint.counts));
    }
}

/// A genesis file, and the state and the block that it makes.
pub fn genesis(data: &[u8]) {
    if data.starts_with(&ZSTD) {
        return;
    }
    let Ok(genesis) = Genesis::parse("fuzz", data) else { return };
    let mut state = MemoryState::new();
    let summary = state.add(&genesis).expect("a genesis that was read can be built");
    assert_eq!(summary.accounts, genesis.alloc.len() as u64);
    if let Some(header) = &genesis.header {
        let info = decode_header(&header.encode(summary.root)).expect("a header that was written can be read");
        assert_eq!((info.number, info.state_root), (header.number, summary.root));
    }
}

/// A block header's RLP.
pub fn header(data: &[u8]) {
    // That it returns is all that is known of any bytes.
    let _ = decode_header(data);
}

/// What a user gives: addresses, headers, blocks, dialects, hex.
pub fn address(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(url) = text.parse::<PeerUrl>() {
        let _ = (url.is_local(), url.transport(), url.to_string());
    }
    let _ = ConnectOptions::default().add_header(text);
    let _ = text.parse::<Dialect>();
    if let Ok(block) = text.parse::<BlockId>() {
        assert_eq!(block.to_string().parse::<BlockId>().expect("what is shown can be given"), block);
    }
    if let Some(bytes) = wire::unhex(text) {
        assert_eq!(2 * bytes.len() + 2, text.len());
    }
}

/// Whether a message may go to a terminal.
fn may_be_said(text: &str) {
    assert!(text.len() < WORDS_MAX, "{} bytes", text.len());
    assert!(!text.chars().any(char::is_control), "{text:?}");
}
