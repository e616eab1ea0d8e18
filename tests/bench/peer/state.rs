//! A state that is made up, with the proportions of a real one: most contracts have a slot or two, few have very many;
//! most share their code; storage outweighs accounts.

use std::cell::RefCell;
use std::convert::Infallible;

use primitive_types::{H256, U256};
use statesync::trie::{Account, EMPTY_CODE_HASH, EMPTY_ROOT, TrieBuilder, keccak256};

use super::dice::{dice, fill, unit};
use super::table::Table;

/// Which state.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    /// About how many nodes it has.
    pub(crate) nodes: u64,
    pub(crate) seed: u64,
}

/// What a state holds. Nodes, codes and bytes are those that the table did not have before.
#[derive(Default)]
pub(crate) struct Summary {
    pub(crate) root: H256,
    pub(crate) accounts: u64,
    pub(crate) contracts: u64,
    pub(crate) slots: u64,
    /// Slots of the largest storage.
    pub(crate) largest: u64,
    pub(crate) nodes: u64,
    pub(crate) codes: u64,
    pub(crate) bytes: u64,
}

/// Accounts for each node: storage makes up the rest.
const ACCOUNTS: f64 = 0.23;
/// Of ten accounts, those at these places are contracts.
const CONTRACTS: [u64; 3] = [0, 3, 7];
/// Of twenty contracts these have no storage, and those up to the next one that others have too; the rest their own.
const NO_STORAGE: u64 = 2;
const SHARED_STORAGE: u64 = 4;
/// Storages that are shared.
const STORAGES: u64 = 200;
/// The exponent of the Pareto distribution of slots: half of the contracts have one.
const TAIL: f64 = 1.05;
/// The largest storage's slots as a share of all nodes.
const LARGEST: f64 = 0.05;
/// One contract in so many has a code of its own.
const OWN_CODE: u64 = 20;
/// Codes that the others share.
const CODES: u64 = 300;
/// The longest code (EIP-170), and the shortest: a minimal proxy (EIP-1167).
const LONGEST_CODE: f64 = 24_576.0;
const SHORTEST_CODE: f64 = 45.0;
/// Slots that change in a contract that does.
const CHANGED_SLOTS: u64 = 4;

/// What a number is drawn for.
#[derive(Clone, Copy)]
enum For {
    AccountKey = 1,
    Account,
    Storage,
    SlotKey,
    SlotValue,
    Code,
    Churn,
}

/// What changes a state.
#[derive(Clone, Copy)]
struct Churn {
    share: f64,
    /// So that two shares have no changed node in common.
    salt: u64,
}

impl Shape {
    /// Builds the state into the table, with this share of the accounts changed.
    pub(crate) fn build(&self, churn: Option<f64>, table: &mut Table) -> Summary {
        let churn = churn.map(|share| Churn { share, salt: share.to_bits() });
        let before = (table.nodes, table.codes(), table.bytes());
        let accounts = (self.nodes as f64 * ACCOUNTS) as u64;
        let mut keys: Vec<u64> = (0..accounts).map(|number| self.dice(For::AccountKey, number)).collect();
        keys.sort_unstable();
        keys.dedup();
        let table = RefCell::new(table);
        let mut summary = Summary { accounts: keys.len() as u64, ..Summary::default() };
        let contracts = accounts.div_ceil(10) * CONTRACTS.len() as u64;
        let mut trie = TrieBuilder::new(|_, hash, rlp: &[u8]| {
            table.borrow_mut().insert_node(&hash, rlp);
            Ok::<(), Infallible>(())
        });
        for (number, key) in (0..).zip(keys) {
            let dice = self.dice(For::Account, key);
            let churn = churn.filter(|churn| unit(self.dice(For::Churn, key ^ churn.salt)) < churn.share);
            let mut account = Account {
                nonce: (dice & 0xff) * u64::from(dice & 0x300 != 0) + u64::from(churn.is_some()),
                balance: U256::from(dice ^ churn.map_or(0, |churn| churn.salt)) << (dice >> 59),
                storage_root: EMPTY_ROOT,
                code_hash: EMPTY_CODE_HASH,
            };
            if CONTRACTS.contains(&(number % 10)) {
                let rank = scatter(summary.contracts, contracts);
                let (root, slots) = self.storage(key, (rank as f64 + 0.5) / contracts as f64, churn, &table);
                summary.contracts += 1;
                summary.slots += slots;
                summary.largest = summary.largest.max(slots);
                account.storage_root = root;
                account.code_hash = self.code(key, contracts, &table);
            }
            trie.add(long(key), &account.encode()).unwrap();
        }
        summary.root = trie.finish().unwrap();
        let table = table.into_inner();
        summary.nodes = table.nodes - before.0;
        summary.codes = table.codes() - before.1;
        summary.bytes = table.bytes() - before.2;
        summary
    }

    fn dice(&self, what: For, index: u64) -> u64 {
        dice(self.seed << 8 | what as u64, index)
    }

    /// The storage of the contract at this place, from 0 to 1, of those with the most: its root and its slots.
    fn storage(&self, key: u64, place: f64, churn: Option<Churn>, table: &RefCell<&mut Table>) -> (H256, u64) {
        let dice = self.dice(For::Storage, key);
        let (which, slots) = match dice % 20 {
            ..NO_STORAGE => return (EMPTY_ROOT, 0),
            NO_STORAGE..SHARED_STORAGE => {
                let which = (dice >> 8) % STORAGES;
                (which, 1 + which % 8)
            }
            _ => (key, place.powf(-1.0 / TAIL).min(self.nodes as f64 * LARGEST) as u64),
        };
        let slots = slots.max(1);
        let mut keys: Vec<u64> = (0..slots).map(|slot| self.dice(For::SlotKey, which ^ slot << 20)).collect();
        keys.sort_unstable();
        keys.dedup();
        let mut trie = TrieBuilder::new(|_, hash, rlp: &[u8]| {
            table.borrow_mut().insert_node(&hash, rlp);
            Ok::<(), Infallible>(())
        });
        for key in &keys {
            let change = churn.map_or(0, |churn| churn.salt);
            let changed =
                change != 0 && self.dice(For::Churn, key ^ change).is_multiple_of(slots.div_ceil(CHANGED_SLOTS));
            let dice = self.dice(For::SlotValue, key ^ if changed { change } else { 0 });
            trie.add(long(*key), &rlp::encode(&word(dice))).unwrap();
        }
        (trie.finish().unwrap(), keys.len() as u64)
    }

    fn code(&self, key: u64, contracts: u64, table: &RefCell<&mut Table>) -> H256 {
        let dice = self.dice(For::Code, key);
        let shared = CODES.min(contracts.div_ceil(OWN_CODE));
        // Of the shared ones the first are the most frequent.
        let which = if dice.is_multiple_of(OWN_CODE) { key } else { (unit(dice).powi(3) * shared as f64) as u64 };
        // Most codes are short.
        let length = SHORTEST_CODE + (LONGEST_CODE - SHORTEST_CODE) * unit(self.dice(For::Code, !which)).powi(4);
        let mut code = vec![0; length as usize];
        fill(which, &mut code);
        let hash = keccak256(&code);
        table.borrow_mut().insert_code(&hash, &code);
        hash
    }
}

/// A place for each of `all` numbers, far from that of the number before.
fn scatter(number: u64, all: u64) -> u64 {
    // A prime above every count of contracts, so that it divides none.
    number.wrapping_mul(2_147_483_647) % all
}

/// A key of 32 bytes from its first eight.
fn long(key: u64) -> H256 {
    let mut bytes = [0; 32];
    fill(key, &mut bytes);
    bytes[..8].copy_from_slice(&key.to_be_bytes());
    H256(bytes)
}

/// A slot's value: a small number, an address, or a full word.
fn word(dice: u64) -> U256 {
    let bits = match dice % 10 {
        ..5 => 1 + (dice >> 8) % 24,
        5..8 => 160,
        _ => 256,
    };
    let word = U256::from_big_endian(long(dice).as_bytes()) >> (256 - bits);
    word.max(U256::one())
}
