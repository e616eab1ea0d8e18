//! Which states a peer can serve.

use primitive_types::H256;
use serde_json::{Value, json};

use crate::peers::{
    Ask, BlockId, CallError, Client, Dialect, HEADERS_AT_ONCE, Header, LAST_STATE_ID, Peer, headers, wire,
};
use crate::trie::{Item, keccak256};

/// How far back from its head a path-scheme peer's state on disk is looked for: 128 blocks in memory, and a buffer of up
/// to 256 MiB of changes above the disk, which on mainnet is some thousands of blocks.
const DISK_SCAN_BLOCKS: u64 = 16_384;

/// Blocks that a hash-scheme peer looks through in one call: some tens of milliseconds for it.
const KEPT_WINDOW: u64 = 1_024;

/// How far back it looks in all. A full node writes a state about once an hour of block processing, which is some days.
const KEPT_BLOCKS: u64 = 65_536;

/// How often the disk's state may move while it is being read.
const DISK_READS: usize = 3;

/// The state that a path-scheme peer has on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Disk {
    pub(crate) root: H256,
    /// Its number among the states that were there; moves with it.
    pub(crate) id: u64,
}

/// Why it is not known which state a path-scheme peer has on disk.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DiskError {
    /// It does not answer.
    #[error(transparent)]
    Call(#[from] CallError),
    /// It has none, as while it is syncing itself.
    #[error("it has no state on disk")]
    Nothing,
    /// It is another one each time.
    #[error("its state on disk moves too fast to be read")]
    Moving,
}

/// Whether a peer has the root node of a state now.
pub(super) async fn serves(peer: &Peer, root: H256) -> bool {
    let Some(dialect) = peer.dialect.filter(|dialect| *dialect != Dialect::Codes) else { return false };
    let (method, params) = dialect.call(&Ask { item: Item::root(root), bare_code: false });
    let answer = peer.client.call(method, params).await;
    answer.is_ok_and(|answer| bytes(&answer).is_some_and(|node| keccak256(&node) == root))
}

/// Reads which state a path-scheme peer has on disk.
pub(crate) async fn on_disk(peer: &Client) -> Result<Disk, DiskError> {
    let read = |key: &str| ("debug_dbGet", json!([key]));
    for _ in 0..DISK_READS {
        // A batch is no snapshot: the id before and after tells whether the root between belongs to it.
        let answers = peer.batch(&[read(LAST_STATE_ID), read(ROOT_NODE), read(LAST_STATE_ID)]).await?;
        let [before, root, after] = three(answers);
        let root = root.as_ref().and_then(bytes).ok_or(DiskError::Nothing)?;
        // The first state has no id yet.
        let id = |answer: Option<Value>| answer.as_ref().and_then(bytes).map_or(0, |bytes| number(&bytes));
        let (before, after) = (id(before), id(after));
        if before == after {
            return Ok(Disk { root: keccak256(&root), id: after });
        }
    }
    Err(DiskError::Moving)
}

/// go-ethereum's key of the root node of the state on disk (`core/rawdb/schema.go`).
const ROOT_NODE: &str = "0x41";

/// The newest block with this state root, from a block down.
pub(crate) async fn block_of(peer: &Client, root: H256, from: u64) -> Result<Option<Header>, CallError> {
    let lowest = from.saturating_sub(DISK_SCAN_BLOCKS);
    let mut highest = from;
    loop {
        let first = (highest + 1).saturating_sub(HEADERS_AT_ONCE).max(lowest);
        let ids: Vec<BlockId> = (first..=highest).rev().map(BlockId::Number).collect();
        let found = headers(peer, &ids).await?;
        if let Some(header) = found.into_iter().flatten().find(|header| header.state_root == root) {
            return Ok(Some(header));
        }
        if first == lowest {
            return Ok(None);
        }
        highest = first - 1;
    }
}

/// The newest block up to `from` whose state a hash-scheme peer has kept.
pub(crate) async fn kept(peer: &Client, from: u64) -> Result<Option<u64>, CallError> {
    let mut highest = from;
    let lowest = from.saturating_sub(KEPT_BLOCKS);
    while highest > lowest {
        // The block at the far end is not looked at, so it begins the next window.
        let last = highest.saturating_sub(KEPT_WINDOW).max(lowest);
        let params = json!([format!("{highest:#x}"), format!("{last:#x}")]);
        match peer.call("debug_getAccessibleState", params).await {
            Ok(block) => return Ok(block.as_u64()),
            Err(CallError::Rpc(error)) if error.code == NO_SUCH_STATE && error.message.contains("no") => highest = last,
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// go-ethereum's code for any plain error, "no state found" among them.
const NO_SUCH_STATE: i64 = -32000;

fn bytes(answer: &Value) -> Option<Vec<u8>> {
    wire::unhex(answer.as_str()?)
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn three(answers: Vec<Result<Value, CallError>>) -> [Option<Value>; 3] {
    let mut answers = answers.into_iter().map(Result::ok);
    [answers.next().flatten(), answers.next().flatten(), answers.next().flatten()]
}
