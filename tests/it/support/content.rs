//! What a peer's database holds, under the keys of the layout it keeps.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use primitive_types::H256;
use serde_json::Value;
use statesync::serve::MemoryState;
use statesync::trie::{Event, Place, Walk};

use super::answer::Outcome;
use super::half_path;
use super::path_state::{self, Nodes, PathDisk, PathState};
use super::state::InMemory;

/// geth's prefix of codes.
const CODE: u8 = b'c';
/// The length of geth's key of a code, the only one that reth takes.
const CODE_KEY_BYTES: usize = 33;

/// How a peer keeps nodes and codes, and so which calls it understands and which keys it finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speaks {
    /// geth's old layout: `debug_dbGet` by hash, every state that was ever written.
    Hash,
    /// geth's layout: `debug_dbGet` by path, one state at a time.
    Path,
    /// Nethermind's layout: `debug_getFromDb` by a beginning of the path and the hash.
    HalfPath,
    /// Nethermind's old layout: `debug_getFromDb` by hash.
    NethermindHash,
    /// reth: `debug_dbGet` of codes and of nothing else.
    CodesOnly,
}

/// What is under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The node with this hash.
    Node(H256),
    /// The code with this hash.
    Code(H256),
    /// Something that is no part of a state.
    Plain(Vec<u8>),
}

/// A peer's database.
#[derive(Debug)]
pub(super) struct Content {
    memory: Arc<MemoryState>,
    speaks: Speaks,
    /// Of a half-path peer: the keys of its nodes.
    half_path: HashMap<Vec<u8>, H256>,
    /// Of a path peer: what is on its disk,
    disk: Option<Mutex<PathDisk>>,
    /// and the states that have been there or will be, for they may come again.
    by_path: Mutex<HashMap<H256, Arc<Nodes>>>,
    /// Nodes that are no longer there.
    pruned: Mutex<HashSet<H256>>,
}

impl Content {
    /// The database of a peer whose blocks have these roots and whose disk, if it keeps one state only, has the state
    /// at `disk` with this id.
    pub(super) fn new(memory: &Arc<MemoryState>, speaks: Speaks, roots: &[H256], disk: Option<(H256, u64)>) -> Self {
        let half_path = match speaks {
            Speaks::HalfPath => half_path::table(memory, roots.iter().copied()),
            _ => HashMap::new(),
        };
        let memory = memory.clone();
        let (by_path, pruned) = Default::default();
        let mut content = Self { memory, speaks, half_path, disk: None, by_path, pruned };
        if speaks == Speaks::Path {
            let (root, id) = disk.expect("a path peer needs a state: tell its disk or its blocks");
            content.disk = Some(Mutex::new(PathDisk::new(content.state_by_path(root, id))));
        }
        content
    }

    pub(super) fn memory(&self) -> &MemoryState {
        &self.memory
    }

    /// The disk of a path peer.
    pub(super) fn disk(&self) -> &Mutex<PathDisk> {
        self.disk.as_ref().expect("only a path peer has one state on its disk")
    }

    /// A state for the disk of a path peer.
    pub(super) fn state_by_path(&self, root: H256, id: u64) -> PathState {
        let mut by_path = self.by_path.lock().unwrap();
        let nodes = by_path.entry(root).or_insert_with(|| Arc::new(path_state::nodes(&self.memory, root)));
        PathState::new(root, id, nodes.clone())
    }

    /// The answer to a call that reads a key; `None` if the peer has no such method.
    pub(super) fn read(&self, method: &str, params: &Value) -> Option<Outcome> {
        let key = match (self.speaks, method) {
            (Speaks::Hash | Speaks::Path, "debug_dbGet") => geth_key(params),
            (Speaks::CodesOnly, "debug_dbGet") => geth_key(params).and_then(reth_key),
            (Speaks::HalfPath | Speaks::NethermindHash, "debug_getFromDb") => nethermind_key(params),
            _ => return None,
        };
        Some(match key.map(|key| self.find(&key)) {
            Ok(Some(found)) => self.value(found),
            Ok(None) => self.absent(),
            Err(refusal) => refusal,
        })
    }

    /// What the call asks for, without reading it: whether it is a code's key, and the hash that the key has in it. Of
    /// a path, the hash of the node that is there.
    pub(super) fn asked(&self, method: &str, params: &Value) -> (bool, H256) {
        let key = if method == "debug_getFromDb" { nethermind_key(params) } else { geth_key(params) };
        let hash_at_end = |key: &[u8]| key.last_chunk().copied().map(H256).unwrap_or_default();
        match key {
            Ok(Key::Code(hash)) => (true, hash),
            Ok(Key::Raw(key)) if self.speaks == Speaks::Path => {
                let found = self.disk().lock().unwrap().now().find(&key);
                (false, if let Some(Found::Node(hash)) = found { hash } else { H256::zero() })
            }
            Ok(Key::Raw(key)) => (false, hash_at_end(&key)),
            Err(_) => (false, H256::zero()),
        }
    }

    /// What a path peer had under the key before the last flush, if that was another node than the one with this hash.
    pub(super) fn read_stale(&self, params: &Value, now: H256) -> Option<Vec<u8>> {
        let Ok(Key::Raw(key)) = geth_key(params) else { return None };
        let before = self.disk.as_ref()?.lock().unwrap().before()?.clone();
        match before.find(&key)? {
            Found::Node(hash) if hash != now => Some(self.memory.nodes()[&hash].clone()),
            _ => None,
        }
    }

    /// How the peer says that there is nothing under a key.
    pub(super) fn absent(&self) -> Outcome {
        match self.speaks {
            Speaks::Hash | Speaks::Path => Outcome::Error(-32000, "pebble: not found"),
            Speaks::HalfPath | Speaks::NethermindHash | Speaks::CodesOnly => Outcome::Result("null"),
        }
    }

    /// Whether the root node of a state is there.
    pub(super) fn has(&self, root: H256) -> bool {
        self.memory.nodes().contains_key(&root) && !self.pruned.lock().unwrap().contains(&root)
    }

    /// Removes the nodes below these roots that are below none of those that are kept.
    pub(super) fn prune(&self, roots: &[H256], kept: impl IntoIterator<Item = H256>) {
        assert_ne!(self.speaks, Speaks::Path, "a path peer has no other states to prune");
        let mut gone = self.below(roots.iter().copied());
        let kept = self.below(kept.into_iter().filter(|root| !roots.contains(root)));
        gone.retain(|hash| !kept.contains(hash));
        self.pruned.lock().unwrap().extend(gone);
    }

    fn below(&self, roots: impl IntoIterator<Item = H256>) -> HashSet<H256> {
        let source = InMemory(&self.memory);
        let mut seen = HashSet::new();
        for root in roots {
            let walk = Walk::new(&source, Place::root(None, root), |target| seen.insert(target.hash()));
            walk.for_each(|event| assert!(matches!(event, Ok(Event::Node { .. } | Event::Code { .. })), "{event:?}"));
        }
        seen
    }

    fn find(&self, key: &Key) -> Option<Found> {
        let code = |hash: &H256| self.memory.codes().contains_key(hash).then_some(Found::Code(*hash));
        let node = |hash: &H256| self.has(*hash).then_some(Found::Node(*hash));
        match (self.speaks, key) {
            (_, Key::Code(hash)) => code(hash),
            (Speaks::Path, Key::Raw(key)) => self.disk().lock().unwrap().read().find(key),
            (Speaks::HalfPath, Key::Raw(key)) => node(self.half_path.get(key)?),
            (Speaks::Hash, Key::Raw(key)) => {
                // Databases from before the prefix have codes under their bare hashes.
                let hash = H256(key.as_slice().try_into().ok()?);
                node(&hash).or_else(|| code(&hash))
            }
            (Speaks::NethermindHash, Key::Raw(key)) => node(&H256(key.as_slice().try_into().ok()?)),
            (Speaks::CodesOnly, Key::Raw(_)) => None,
        }
    }

    fn value(&self, found: Found) -> Outcome {
        match found {
            Found::Node(hash) => Outcome::Value(hash, self.memory.nodes()[&hash].clone()),
            Found::Code(hash) => Outcome::Value(hash, self.memory.codes()[&hash].clone()),
            Found::Plain(bytes) => Outcome::Bytes(bytes),
        }
    }
}

/// A key, as far as it is told without knowing the layout.
#[derive(Debug)]
enum Key {
    /// Of a code.
    Code(H256),
    /// Any other.
    Raw(Vec<u8>),
}

/// The key of `debug_dbGet`: hex after `0x`, otherwise the text's own bytes.
fn geth_key(params: &Value) -> Result<Key, Outcome> {
    let failed = |text| Outcome::Error(-32000, text);
    let text = match &params[0] {
        Value::String(text) => text,
        Value::Null => return Err(Outcome::Error(-32602, "missing value for required argument 0")),
        _ => return Err(Outcome::Error(-32602, "invalid argument 0: json: cannot unmarshal into Go value")),
    };
    if text.is_empty() {
        return Err(failed("empty hex string"));
    }
    let key = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        None => text.as_bytes().to_vec(),
        Some(digits) if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) => {
            return Err(failed("invalid hex string"));
        }
        Some(digits) => unhex(digits).ok_or_else(|| failed("hex string of odd length"))?,
    };
    Ok(match key.split_first() {
        Some((&CODE, hash)) if key.len() == CODE_KEY_BYTES => Key::Code(H256::from_slice(hash)),
        _ => Key::Raw(key),
    })
}

/// reth takes the keys of codes only.
fn reth_key(key: Key) -> Result<Key, Outcome> {
    match key {
        Key::Raw(key) if key.len() != CODE_KEY_BYTES => {
            Err(Outcome::failure(-32602, format!("Key must be 33 bytes, got {}", key.len())))
        }
        Key::Raw(_) => Err(Outcome::Error(-32602, "Key prefix must be 0x63")),
        Key::Code(_) => Ok(key),
    }
}

/// The database and the key of `debug_getFromDb`.
fn nethermind_key(params: &Value) -> Result<Key, Outcome> {
    let invalid = || Outcome::Error(-32602, "Invalid params");
    let [database, key] = [0, 1].map(|place| params[place].as_str());
    let key = key.ok_or_else(invalid)?;
    let key = unhex(key.strip_prefix("0x").unwrap_or(key)).ok_or_else(invalid)?;
    match database.ok_or_else(invalid)?.to_ascii_lowercase().as_str() {
        "state" => Ok(Key::Raw(key)),
        "code" if key.len() == H256::len_bytes() => Ok(Key::Code(H256::from_slice(&key))),
        "code" => Ok(Key::Raw(Vec::new())),
        _ => Err(Outcome::Error(-32603, "Internal error")),
    }
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    let mut bytes = vec![0; digits.len() / 2];
    faster_hex::hex_decode(digits.as_bytes(), &mut bytes).ok()?;
    digits.len().is_multiple_of(2).then_some(bytes)
}
