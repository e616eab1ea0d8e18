//! Preimages from peers: geth's archives have those of what they have executed.

use std::collections::HashSet;

use futures_util::future::join_all;
use primitive_types::H256;
use serde_json::{Value, json};
use tokio::runtime::Handle;

use super::{PreimageError, file::PREIMAGE_PREFIX};
use crate::export::{Watch, each_key};
use crate::peers::wire::Hex;
use crate::peers::{CallError, Client};
use crate::store::{PreimageCounts, Store};
use crate::trie::keccak256;

/// Calls in one request: half of what geth takes.
const BATCH: usize = 500;
/// Requests in flight to a peer. It reads from its disk for each call; a few keep it busy.
const AT_ONCE: usize = 4;
/// "The method does not exist".
const NO_METHOD: i64 = -32601;

/// What was fetched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fetched {
    /// Addresses and slot numbers that were not known.
    pub added: PreimageCounts,
    /// Keys that no peer knows the preimage of.
    pub absent: u64,
    /// Answers that do not hash to what was asked for.
    pub wrong: u64,
}

/// Asks the peers for the preimages that a state has use for and the store does not have, the next peer for what the one
/// before has not. The store must be [opened for it](Store::open_for_preimages); the thread must not be the runtime's.
///
/// # Errors
/// [`PreimageError`]; what came before stays.
pub fn fetch(
    store: &Store,
    root: H256,
    peers: &[Client],
    runtime: &Handle,
    watch: Watch<'_>,
) -> Result<Fetched, PreimageError> {
    let mut fetch = Fetch { store, peers, runtime, wanted: HashSet::new(), fetched: Fetched::default() };
    each_key(store, root, watch, &mut |key| {
        if store.preimage(&key)?.is_none() {
            fetch.wanted.insert(key);
        }
        if fetch.wanted.len() == BATCH * AT_ONCE { fetch.ask() } else { Ok(()) }
    })?;
    fetch.ask()?;
    store.sync()?;
    Ok(fetch.fetched)
}

struct Fetch<'a> {
    store: &'a Store,
    peers: &'a [Client],
    runtime: &'a Handle,
    wanted: HashSet<H256>,
    fetched: Fetched,
}

impl Fetch<'_> {
    fn ask(&mut self) -> Result<(), PreimageError> {
        let mut wanted: Vec<H256> = self.wanted.drain().collect();
        let (mut failure, mut answered) = (String::new(), false);
        for peer in self.peers {
            if wanted.is_empty() {
                return Ok(());
            }
            let batches = wanted.chunks(BATCH).map(|batch| ask(peer, batch));
            let mut found = Vec::new();
            for (batch, answers) in wanted.chunks(BATCH).zip(self.runtime.block_on(join_all(batches))) {
                match answers {
                    Ok(answers) => {
                        answered = true;
                        found.extend(batch.iter().zip(answers).filter_map(|(hash, answer)| Some((*hash, answer?))));
                    }
                    Err(error) => failure = format!("{}: {error}", peer.url()),
                }
            }
            let before = found.len();
            found.retain(|(hash, preimage)| keccak256(preimage) == *hash);
            self.fetched.wrong += (before - found.len()) as u64;
            let (hashes, preimages): (HashSet<H256>, Vec<Vec<u8>>) = found.into_iter().unzip();
            self.fetched.added = self.fetched.added.and(self.store.add_preimages(&preimages)?);
            wanted.retain(|hash| !hashes.contains(hash));
        }
        self.fetched.absent += wanted.len() as u64;
        if answered || wanted.is_empty() { Ok(()) } else { Err(PreimageError::Peers(failure)) }
    }
}

/// A peer's preimages of some hashes, in their order.
async fn ask(peer: &Client, hashes: &[H256]) -> Result<Vec<Option<Vec<u8>>>, CallError> {
    let read = |hash: &H256| {
        let key = [PREIMAGE_PREFIX, hash.as_bytes()].concat();
        ("debug_dbGet", json!([format!("0x{}", faster_hex::hex_string(&key))]))
    };
    let mut answers = peer.batch(&hashes.iter().map(read).collect::<Vec<_>>()).await?;
    let is_refused =
        |answer: &Result<Value, CallError>| matches!(answer, Err(CallError::Rpc(error)) if error.code == NO_METHOD);
    if answers.iter().any(is_refused) {
        let call = |hash: &H256| ("debug_preimage", json!([format!("{hash:?}")]));
        answers = peer.batch(&hashes.iter().map(call).collect::<Vec<_>>()).await?;
    }
    let bytes = |answer: Value| Hex::new(answer.as_str()?.as_bytes()).map(Hex::bytes);
    Ok(answers.into_iter().map(|answer| answer.ok().and_then(bytes)).collect())
}
