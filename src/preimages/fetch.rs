//! Preimages from peers: geth's archives have those of what they have executed.

use std::collections::HashSet;

use primitive_types::H256;
use tokio::runtime::Handle;

use super::PreimageError;
use super::asked::{Asked, ROUND};
use crate::export::{Watch, each_key};
use crate::peers::Client;
use crate::store::{PreimageCounts, Store};
use crate::trie::keccak256;

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
/// before has not. What a peer gives no word on it is asked for again, with rests between. The store must be [opened for
/// it](Store::open_for_preimages); the thread must not be the runtime's.
///
/// # Errors
/// [`PreimageError`], also when a peer gave no word on something to the end and no other peer has it; what came stays.
pub fn fetch(
    store: &Store,
    root: H256,
    peers: &[Client],
    runtime: &Handle,
    watch: Watch<'_>,
) -> Result<Fetched, PreimageError> {
    let peers = peers.iter().map(Asked::new).collect();
    let (wanted, fetched) = Default::default();
    let mut fetch = Fetch { store, peers, runtime, watch, wanted, fetched, open: 0, why: String::new() };
    let whole = each_key(store, root, watch, &mut |key| {
        if store.preimage(&key)?.is_none() {
            fetch.wanted.insert(key);
        }
        if fetch.wanted.len() == ROUND { fetch.ask() } else { Ok(()) }
    });
    let whole = whole.and_then(|()| fetch.ask());
    store.sync()?;
    whole?;
    if fetch.open > 0 {
        return Err(PreimageError::Unanswered { keys: fetch.open, why: fetch.why });
    }
    Ok(fetch.fetched)
}

struct Fetch<'a> {
    store: &'a Store,
    peers: Vec<Asked<'a>>,
    runtime: &'a Handle,
    watch: Watch<'a>,
    wanted: HashSet<H256>,
    fetched: Fetched,
    /// Keys that a peer gave no word on and no other peer has.
    open: u64,
    /// Why the last such peer did not.
    why: String,
}

impl Fetch<'_> {
    fn ask(&mut self) -> Result<(), PreimageError> {
        let mut wanted: Vec<H256> = self.wanted.drain().collect();
        let mut open: HashSet<H256> = HashSet::new();
        for peer in &mut self.peers {
            if wanted.is_empty() {
                return Ok(());
            }
            if peer.is_lost() {
                open.extend(&wanted);
                continue;
            }
            let answers = self.runtime.block_on(peer.ask(std::mem::take(&mut wanted), self.watch.stop))?;
            self.why = answers.why.unwrap_or(std::mem::take(&mut self.why));
            open.extend(&answers.open);
            wanted.extend(answers.absent.into_iter().chain(answers.open));
            let mut right = Vec::new();
            for (hash, preimage) in answers.given {
                if keccak256(&preimage) == hash {
                    right.push(preimage);
                } else {
                    self.fetched.wrong += 1;
                    wanted.push(hash);
                }
            }
            self.fetched.added = self.fetched.added.and(self.store.add_preimages(&right)?);
        }
        if self.peers.iter().all(Asked::is_lost) {
            return Err(PreimageError::Peers(self.why.clone()));
        }
        let unanswered = wanted.iter().filter(|hash| open.contains(*hash)).count() as u64;
        self.open += unanswered;
        self.fetched.absent += wanted.len() as u64 - unanswered;
        Ok(())
    }
}
