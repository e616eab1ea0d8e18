//! States made up from a seed: accounts, contracts, storage, and everything that states share.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use primitive_types::{H160, H256, U256};
use statesync::genesis::{Genesis, GenesisAccount, StateSummary};
use statesync::serve::MemoryState;
use statesync::trie::{NodeSource, StoredNode, keccak256};

use super::rng::Rng;

/// Out of a hundred accounts, how many are contracts.
const CONTRACTS: u64 = 30;
/// Out of a hundred contracts, how many have the same code, and how many the same storage, as others.
const SHARED: u64 = 40;
/// Different codes and storages that are shared.
const SHARED_KINDS: u64 = 6;
/// Paths of slots that share all but their last nibbles: their leaves are so short that they are embedded.
const DEEP_NIBBLES: usize = 60;

/// The most slots of one contract.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) accounts: u64,
    pub(crate) slots: u64,
}

/// Some hundred nodes; quick to sync one by one.
pub(crate) const SMALL: Shape = Shape { accounts: 150, slots: 12 };
/// Some ten thousand nodes: several commits and hundreds of requests.
pub(crate) const MEDIUM: Shape = Shape { accounts: 4_000, slots: 24 };

/// A state made from a seed.
pub(crate) fn state(seed: u64, shape: Shape) -> Genesis {
    let mut rng = Rng::new(seed);
    let mut genesis = Genesis { chain_id: Some(1), header: None, alloc: BTreeMap::new() };
    for _ in 0..shape.accounts {
        add_account(&mut genesis, &mut rng, shape);
    }
    genesis
}

/// The state after a block with about `changes` changes: balances, slots, codes, new accounts and deleted ones.
pub(crate) fn successor(genesis: &Genesis, seed: u64, changes: u64, shape: Shape) -> Genesis {
    let mut rng = Rng::new(seed);
    let mut next = genesis.clone();
    let keys: Vec<H256> = genesis.alloc.keys().copied().collect();
    for _ in 0..changes {
        let key = keys[usize::try_from(rng.below(keys.len() as u64)).unwrap()];
        match rng.below(10) {
            0 => add_account(&mut next, &mut rng, shape),
            1 => drop(next.alloc.remove(&key)),
            choice => {
                if let Some(account) = next.alloc.get_mut(&key) {
                    change(account, choice, &mut rng);
                }
            }
        }
    }
    next
}

/// States in memory, to be served, and the root and counts of each.
pub(crate) fn in_memory<const N: usize>(states: [&Genesis; N]) -> (Arc<MemoryState>, [StateSummary; N]) {
    let mut memory = MemoryState::new();
    let summaries = states.map(|state| memory.add(state).unwrap());
    (Arc::new(memory), summaries)
}

/// Nodes and codes of states in memory.
pub(crate) fn items(state: &MemoryState) -> u64 {
    (state.nodes().len() + state.codes().len()) as u64
}

fn add_account(genesis: &mut Genesis, rng: &mut Rng, shape: Shape) {
    let address = H160::from_slice(&rng.bytes(20));
    let mut account = GenesisAccount::new(address);
    account.nonce = rng.below(300);
    account.balance = U256::from(rng.next()) << usize::try_from(rng.below(64)).unwrap();
    if rng.chance(CONTRACTS) {
        account.code = code(rng);
        account.storage = storage(rng, shape.slots);
    }
    genesis.alloc.insert(keccak256(address.as_bytes()), account);
}

fn change(account: &mut GenesisAccount, choice: u64, rng: &mut Rng) {
    match choice {
        2 if !account.code.is_empty() => account.code = code(rng),
        3..=5 if !account.storage.is_empty() => {
            let slot = *account.storage.keys().next().unwrap();
            account.storage.insert(slot, U256::from(rng.next() | 1));
            account.storage.insert(H256::from_slice(&rng.bytes(32)), U256::one());
        }
        6 if account.storage.len() > 1 => drop(account.storage.pop_first()),
        _ => account.balance = account.balance.overflowing_add(U256::from(rng.next() | 1)).0,
    }
}

fn code(rng: &mut Rng) -> Vec<u8> {
    if rng.chance(SHARED) {
        return format!("shared code {}", rng.below(SHARED_KINDS)).into_bytes();
    }
    // EIP-170's limit now and then.
    let size = if rng.chance(1) { 24_576 } else { 20 + rng.below(300) };
    rng.bytes(usize::try_from(size).unwrap())
}

fn storage(rng: &mut Rng, most: u64) -> BTreeMap<H256, U256> {
    if rng.chance(SHARED) {
        let mut same = Rng::new(1_000 + rng.below(SHARED_KINDS));
        return slots(&mut same, most);
    }
    // Many small ones, some empty, few large ones.
    let count = rng.below(most) * rng.below(most) / most;
    slots(rng, count)
}

fn slots(rng: &mut Rng, count: u64) -> BTreeMap<H256, U256> {
    let mut slots = BTreeMap::new();
    for _ in 0..count {
        let key = H256::from_slice(&rng.bytes(32));
        let value = if rng.chance(50) { U256::from(1 + rng.below(127)) } else { U256::from(rng.next() | 1) << 100 };
        slots.insert(key, value);
        if rng.chance(5) {
            let mut neighbour = key;
            neighbour.0[DEEP_NIBBLES / 2] ^= 0x31;
            slots.insert(neighbour, U256::from(1 + rng.below(127)));
        }
    }
    slots
}

/// A state in memory, to be walked.
pub(crate) struct InMemory<'a>(pub(crate) &'a MemoryState);

impl NodeSource for InMemory<'_> {
    type Error = Infallible;

    fn node(&self, hash: &H256) -> Result<Option<StoredNode>, Infallible> {
        Ok(self.0.nodes().get(hash).cloned().map(Into::into))
    }

    fn code(&self, hash: &H256) -> Result<Option<Vec<u8>>, Infallible> {
        Ok(self.0.codes().get(hash).cloned())
    }
}
