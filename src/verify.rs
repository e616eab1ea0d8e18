//! The offline check: everything a root reaches is read back, hashed and decoded anew, and counted.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use primitive_types::H256;
use rayon::prelude::*;

use crate::store::{Damage, Totals};
use crate::trie::{Event, Fault, Leaf, NodeSource, Place, Target, Walk};

/// Depth at which the account trie is split into walks of their own: 256 of them keep every core busy to the end, and
/// the part above is small.
const SPLIT_DEPTH: usize = 2;

/// Shards of the sets of hashes seen, so that threads seldom meet at one lock.
const SHARDS: usize = 64;

/// Faults that are kept one by one; further ones are only counted.
pub const FAULTS_LISTED: usize = 1_000;

/// What a check found.
#[derive(Debug, Default)]
pub struct Verification {
    /// What the state holds, as far as it could be reached.
    pub totals: Totals,
    /// Nodes and codes that are not there.
    pub missing: u64,
    /// Nodes and codes that are there and wrong.
    pub corrupt: u64,
    /// The first of both: [`FAULTS_LISTED`], or as many as were wanted.
    pub faults: Vec<Finding>,
}

/// Something missing or corrupt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where.
    pub target: Target,
    /// What is wrong with it; `None` when it is missing.
    pub fault: Option<Fault>,
}

impl Verification {
    /// Whether everything is there and right.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.missing == 0 && self.corrupt == 0
    }

    /// What has to be removed and fetched again, for [`Store::retract`](crate::store::Store::retract); of the faults
    /// that are kept one by one.
    #[must_use]
    pub fn damage(&self) -> Damage {
        let mut damage = Damage::default();
        for finding in &self.faults {
            let family = match (finding.target, finding.fault) {
                (Target::Code { .. }, _) => &mut damage.codes,
                (Target::Node(_), Some(Fault::Level { .. })) => &mut damage.levels,
                (Target::Node(_), _) => &mut damage.nodes,
            };
            family.insert(finding.target.hash());
        }
        damage
    }
}

/// Checks the state at `root`. Runs on rayon's threads; `visited` counts up as nodes and codes are checked.
///
/// Memory: 32 bytes and the set's overhead for each distinct node and code.
///
/// # Errors
/// When the source fails to read. What is missing or corrupt is a result, not an error.
pub fn verify<S>(source: &S, root: H256, visited: &AtomicU64) -> Result<Verification, S::Error>
where
    S: NodeSource + Sync,
    S::Error: Send,
{
    verify_listing(source, root, visited, FAULTS_LISTED)
}

/// The same, with as many faults kept one by one as are wanted.
///
/// # Errors
/// As with [`verify`].
pub fn verify_listing<S>(
    source: &S,
    root: H256,
    visited: &AtomicU64,
    faults_listed: usize,
) -> Result<Verification, S::Error>
where
    S: NodeSource + Sync,
    S::Error: Send,
{
    let check = Check {
        source,
        faults_listed,
        visited,
        nodes: Shards::new(),
        codes: Shards::new(),
        storages: Mutex::default(),
    };
    let mut parts = Vec::new();
    let mut verification = check.walk(Place::root(None, root), |place| {
        let split = place.owner.is_none() && place.path.len() >= SPLIT_DEPTH;
        if split {
            parts.push(*place);
        }
        !split
    })?;
    let walks = parts.into_par_iter().map(|place| check.walk(place, |_| true));
    let rest = walks.try_reduce(Verification::default, |one, other| Ok(one.and(other, faults_listed)))?;
    verification = verification.and(rest, faults_listed);
    verification.totals.nodes = check.nodes.len();
    verification.totals.codes = check.codes.len();
    verification.totals.slots = check.slots();
    Ok(verification)
}

struct Check<'a, S> {
    source: &'a S,
    faults_listed: usize,
    visited: &'a AtomicU64,
    nodes: Shards,
    codes: Shards,
    /// By storage root: how many accounts hold it, and how many slots it has.
    storages: Mutex<HashMap<H256, (u64, u64)>>,
}

impl<S: NodeSource> Check<'_, S> {
    /// Walks what is below `start`, but for the places that `enter` refuses, and every shared storage trie and code
    /// once, whichever walk meets it first.
    fn walk(&self, start: Place, mut enter: impl FnMut(&Place) -> bool) -> Result<Verification, S::Error> {
        let walk = Walk::new(self.source, start, |target| match target {
            Target::Code { hash, .. } => self.codes.insert(*hash),
            Target::Node(place) if place.owner.is_some() && place.is_root() => self.enter_storage(place.hash),
            Target::Node(place) => enter(place),
        });
        let mut found = Verification::default();
        let mut storage = H256::zero();
        for event in walk {
            self.visited.fetch_add(1, Ordering::Relaxed);
            match event? {
                Event::Node { place, links, .. } => {
                    self.nodes.insert(place.hash);
                    if place.owner.is_some() && place.is_root() {
                        storage = place.hash;
                    }
                    self.count(storage, &links.leaves, &mut found.totals);
                }
                Event::Code { .. } => {}
                Event::Missing(target) => self.add(&mut found, target, None),
                Event::Corrupt { target, fault } => self.add(&mut found, target, Some(fault)),
            }
        }
        Ok(found)
    }

    fn add(&self, found: &mut Verification, target: Target, fault: Option<Fault>) {
        if fault.is_some() {
            found.corrupt += 1;
        } else {
            found.missing += 1;
        }
        if found.faults.len() < self.faults_listed {
            found.faults.push(Finding { target, fault });
        }
    }

    /// Notes one more account with this storage trie; true for the first.
    fn enter_storage(&self, root: H256) -> bool {
        let mut storages = lock(&self.storages);
        let (holders, _) = storages.entry(root).or_default();
        *holders += 1;
        *holders == 1
    }

    fn count(&self, storage: H256, leaves: &[Leaf], totals: &mut Totals) {
        let slots = leaves.iter().filter(|leaf| matches!(leaf, Leaf::Slot { .. })).count() as u64;
        totals.accounts += leaves.len() as u64 - slots;
        if slots > 0 {
            lock(&self.storages).entry(storage).or_default().1 += slots;
        }
    }

    fn slots(&self) -> u64 {
        lock(&self.storages).values().map(|(holders, slots)| holders * slots).sum()
    }
}

impl Verification {
    fn and(mut self, other: Self, faults_listed: usize) -> Self {
        self.totals.accounts += other.totals.accounts;
        self.missing += other.missing;
        self.corrupt += other.corrupt;
        self.faults.extend(other.faults);
        self.faults.truncate(faults_listed);
        self
    }
}

/// A set of hashes that threads fill together.
struct Shards(Vec<Mutex<HashSet<H256>>>);

impl Shards {
    fn new() -> Self {
        Self((0..SHARDS).map(|_| Mutex::default()).collect())
    }

    fn insert(&self, hash: H256) -> bool {
        // Hashes are uniform: any byte picks a shard evenly.
        let shard = usize::from(hash.as_bytes()[0]) % SHARDS;
        self.0.get(shard).is_none_or(|shard| lock(shard).insert(hash))
    }

    fn len(&self) -> u64 {
        self.0.iter().map(|shard| lock(shard).len() as u64).sum()
    }
}

/// A set is whole even if a thread died while it held the lock: each use is one operation.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
