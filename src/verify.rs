//! The offline check: everything a root reaches is read back, hashed and decoded anew, and counted.

mod rows;
mod shards;
mod sweep;
mod weights;

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use primitive_types::H256;
use rayon::prelude::*;

use self::shards::Shards;
use self::weights::Weights;
use crate::lock::lock;
use crate::store::{Damage, Totals};
use crate::trie::{Event, Fault, Leaf, Links, NodeSource, Place, Scope, Target, Walk};

/// Depth at which the account trie is split into walks of their own: 256 of them keep every core busy to the end, and
/// the part above is small.
const SPLIT_DEPTH: usize = 2;

/// Faults that are kept one by one; further ones are only counted.
pub const FAULTS_LISTED: usize = 1_000;

/// What a check found.
#[derive(Debug, Default)]
pub struct Verification {
    /// What the state holds, as far as it could be reached. A malformed state may hold a subtree so often that the
    /// numbers end at their greatest.
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
/// A source that hands out its nodes in order is read from the first to the last, and what the root leads to is looked up
/// among them. Where something is missing or wrong, and where the source does not, the state is walked: each node that
/// has others below it is read once for each depth at which it is, and once more if storage tries share it, however often
/// the state refers to it.
///
/// Memory: some 80 bytes for each node that the source has. For the walk 33 bytes and the table's overhead for each
/// distinct node and code, and some 150 bytes for each reference to a node with others below it that another storage trie
/// has too.
///
/// # Errors
/// When the source fails to read. What is missing or corrupt is a result, not an error.
pub fn verify<S>(source: &S, root: H256, visited: &AtomicU64) -> Result<Verification, S::Error>
where
    S: NodeSource + Sync,
    S::Error: Send,
{
    verify_part(source, root, &Scope::whole(), visited, FAULTS_LISTED)
}

/// The same, of a part of the state, with as many faults kept one by one as are wanted. The totals are those of the part,
/// with the nodes on the way to it.
///
/// # Errors
/// As with [`verify`].
pub fn verify_part<S>(
    source: &S,
    root: H256,
    scope: &Scope,
    visited: &AtomicU64,
    faults_listed: usize,
) -> Result<Verification, S::Error>
where
    S: NodeSource + Sync,
    S::Error: Send,
{
    if scope.is_whole()
        && let Some(totals) = sweep::sweep(source, root, visited)
    {
        return Ok(Verification { totals, ..Verification::default() });
    }
    let check = Check {
        source,
        scope,
        faults_listed,
        visited,
        nodes: Shards::new(),
        codes: Shards::new(),
        storages: Mutex::default(),
        skipped: Mutex::default(),
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
    check.weigh(&mut verification.totals)?;
    Ok(verification)
}

struct Check<'a, S> {
    source: &'a S,
    scope: &'a Scope,
    faults_listed: usize,
    visited: &'a AtomicU64,
    /// By name and depth.
    nodes: Shards<Role>,
    codes: Shards<()>,
    /// By storage root: how many accounts hold it, and how many slots it has.
    storages: Mutex<HashMap<H256, (u64, u64)>>,
    /// Nodes that were met again and not read again.
    skipped: Mutex<Vec<Skipped>>,
}

/// What a sound node is, as far as another reference to it is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// It refers to no node: reading it again is as good as noting that it was met again.
    Leaf,
    /// It refers to others.
    Branch,
    /// It refers to one, and no extension may refer to it.
    Extension,
}

/// A node whose subtree has been walked from another place.
#[derive(Clone, Copy, Debug)]
struct Skipped {
    place: Place,
    /// The root of the storage trie it is in.
    storage: H256,
}

impl<S: NodeSource> Check<'_, S> {
    /// Walks what is below `start`, but for the places that `enter` refuses, and every shared storage trie and code
    /// once, whichever walk meets it first.
    fn walk(&self, start: Place, mut enter: impl FnMut(&Place) -> bool) -> Result<Verification, S::Error> {
        let storage = Cell::new(H256::zero());
        let walk = Walk::new(self.source, start, |target| {
            self.is_wanted(target)
                && match target {
                    Target::Code { hash, .. } => self.codes.insert(*hash, ()),
                    Target::Node(place) if place.owner.is_some() && place.is_root() => {
                        storage.set(place.hash);
                        self.enter_storage(place.hash)
                    }
                    Target::Node(place) => enter(place) && self.enter(place, storage.get()),
                }
        });
        let mut found = Verification::default();
        for event in walk {
            self.visited.fetch_add(1, Ordering::Relaxed);
            match event? {
                Event::Node { place, links, .. } => {
                    let tag = if self.is_within(&place) { tag(&place) } else { tag_on_the_way(&place) };
                    self.nodes.insert(tag, Role::of(&links));
                    self.count(storage.get(), &links.leaves, &mut found.totals);
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

    /// Whether something is in the scope, or on the way to it.
    fn is_wanted(&self, target: &Target) -> bool {
        self.scope.is_whole()
            || match target {
                // Only an account that is entered leads to what it holds.
                Target::Node(Place { owner: None, path, .. }) => self.scope.leads_to(path),
                Target::Node(Place { owner: Some(owner), .. }) | Target::Code { owner, .. } => self.scope.has(owner),
            }
    }

    /// Whether all that is below a node is in the scope.
    fn is_within(&self, place: &Place) -> bool {
        place.owner.is_some() || self.scope.is_whole() || self.scope.covers(&place.path)
    }

    /// Notes one more account with this storage trie; true for the first.
    fn enter_storage(&self, root: H256) -> bool {
        let mut storages = lock(&self.storages);
        let (holders, _) = storages.entry(root).or_default();
        *holders += 1;
        *holders == 1
    }

    /// Whether a node has to be read: not if its subtree has been walked, or is being walked, at the same depth of a
    /// trie of the same kind. Then all is well below it if it is there, and only the counts depend on how often it is
    /// met. Without this, a few nodes that refer to one another many times over would be a walk without an end.
    fn enter(&self, place: &Place, storage: H256) -> bool {
        // Of a node on the way only a part is walked. There is one at most for each nibble of each prefix.
        if !self.is_within(place) {
            return true;
        }
        let walked = match self.nodes.get(&tag(place)) {
            None | Some(Role::Leaf) => false,
            Some(Role::Branch) => true,
            Some(Role::Extension) => !place.after_extension,
        };
        if walked {
            lock(&self.skipped).push(Skipped { place: *place, storage });
        }
        !walked
    }

    fn count(&self, storage: H256, leaves: &[Leaf], totals: &mut Totals) {
        let slots = leaves.iter().filter(|leaf| matches!(leaf, Leaf::Slot { .. })).count() as u64;
        let is_outside = |leaf: &&Leaf| matches!(leaf, Leaf::Account { key, .. } if !self.scope.has(key));
        let outside = if self.scope.is_whole() { 0 } else { leaves.iter().filter(is_outside).count() as u64 };
        totals.accounts += leaves.len() as u64 - slots - outside;
        if slots > 0 {
            lock(&self.storages).entry(storage).or_default().1 += slots;
        }
    }

    /// Adds up the slots, and what is below the nodes that were skipped.
    fn weigh(&self, totals: &mut Totals) -> Result<(), S::Error> {
        let mut storages = lock(&self.storages);
        let (of_storages, of_accounts): (Vec<Skipped>, Vec<Skipped>) =
            lock(&self.skipped).iter().partition(|skipped| skipped.place.owner.is_some());
        let mut weights = Weights::new(self.source, HashMap::new());
        for Skipped { place, storage } in of_storages {
            let (_, slots) = storages.entry(storage).or_default();
            *slots = slots.saturating_add(weights.of(&place)?.slots);
        }
        let all = storages.values().map(|(holders, slots)| holders.saturating_mul(*slots));
        totals.slots = all.fold(0, u64::saturating_add);
        let slots = storages.iter().map(|(root, (_, slots))| (*root, *slots)).collect();
        let mut weights = Weights::new(self.source, if of_accounts.is_empty() { HashMap::new() } else { slots });
        for Skipped { place, .. } in of_accounts {
            let weight = weights.of(&place)?;
            totals.accounts = totals.accounts.saturating_add(weight.accounts);
            totals.slots = totals.slots.saturating_add(weight.slots);
        }
        Ok(())
    }
}

impl Verification {
    fn and(mut self, other: Self, faults_listed: usize) -> Self {
        self.totals.accounts = self.totals.accounts.saturating_add(other.totals.accounts);
        self.missing += other.missing;
        self.corrupt += other.corrupt;
        self.faults.extend(other.faults);
        self.faults.truncate(faults_listed);
        self
    }
}

impl Role {
    fn of(links: &Links) -> Self {
        match (links.children.as_slice(), links.leaves.as_slice()) {
            ([], _) => Self::Leaf,
            // A branch has two children at least.
            ([child], []) if child.after_extension => Self::Extension,
            _ => Self::Branch,
        }
    }
}

/// A node's name and what it depends on whether its subtree is in order: its depth and the kind of trie. Hashes that
/// differ in these bits alone do not exist.
fn tag(place: &Place) -> H256 {
    let mut tag = place.hash;
    let [.., kind, depth] = &mut tag.0;
    *kind ^= u8::from(place.owner.is_some());
    *depth ^= u8::try_from(place.path.len()).unwrap_or(u8::MAX);
    tag
}

/// The same for a node of which only a part is walked.
fn tag_on_the_way(place: &Place) -> H256 {
    let mut tag = tag(place);
    let [.., kind, _] = &mut tag.0;
    *kind ^= 2;
    tag
}

#[cfg(test)]
mod tests;
