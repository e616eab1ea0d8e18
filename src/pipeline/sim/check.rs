//! What has to be true of the store after every write.

use primitive_types::H256;

use super::store::SimStore;
use super::world::{Part, World};
use crate::pipeline::commit::Job;
use crate::store::RootState;
use crate::trie::{EMPTY_ROOT, Key, Kind, Scope, keccak256};

/// A promise that was broken.
pub(super) type Violation = String;

/// What a commit has added is right, and complete with all that is below it.
pub(super) fn commit(world: &World, store: &SimStore, job: &Job) -> Result<(), Violation> {
    for complete in &job.commit.complete {
        complete_below(world, store, complete.key)?;
    }
    for (hash, rlp) in &job.commit.stage {
        if keccak256(rlp) != *hash {
            return Err(format!("staging holds unverified bytes under {hash:?}"));
        }
        if store.now.nodes.contains_key(hash) {
            return Err(format!("{hash:?} is complete, and staged too"));
        }
    }
    Ok(())
}

/// The whole store, after a crash or at the end.
pub(super) fn everything(world: &World, store: &SimStore) -> Result<(), Violation> {
    let nodes = store.now.nodes.keys().map(|hash| (Kind::AccountNode, hash));
    for (_, hash) in nodes {
        let kind = if is_known(world, Kind::AccountNode, hash) { Kind::AccountNode } else { Kind::StorageNode };
        complete_below(world, store, Key { kind, hash: *hash })?;
    }
    for hash in store.now.codes.keys() {
        complete_below(world, store, Key { kind: Kind::Code, hash: *hash })?;
    }
    for (hash, bytes) in &store.now.staging {
        if keccak256(bytes) != *hash || store.now.nodes.contains_key(hash) {
            return Err(format!("staging row {hash:?} is wrong or complete"));
        }
    }
    let counts = store.now.checkpoint.as_ref().map(|checkpoint| checkpoint.counts).unwrap_or_default();
    if counts.nodes + counts.codes > store.now.rows() {
        return Err(format!("{counts:?} are counted, {} rows are there", store.now.rows()));
    }
    for record in store.now.roots.values().filter(|record| record.state == RootState::Complete) {
        state(world, store, record.root)?;
    }
    for record in store.now.roots.values() {
        if let Some(scope) = record.clone().into_partial() {
            part(world, store, record.root, &scope)?;
        }
    }
    Ok(())
}

/// All of a part of a state is there, complete, and what is on the way to it.
pub(super) fn part(world: &World, store: &SimStore, root: H256, scope: &Scope) -> Result<(), Violation> {
    let Part { above, within } = Part::of(&world.states[world.state(root)], scope);
    if let Some(key) = within.iter().find(|key| store.bytes(key) != world.bytes.get(key)) {
        return Err(format!("{scope} of {root:?} counts as there and {key:?} is missing, wrong or not complete"));
    }
    let is_there = |key: &&Key| {
        let staged = store.now.staging.get(&key.hash);
        store.bytes(key).or(staged) == world.bytes.get(key)
    };
    match above.iter().find(|key| !is_there(key)) {
        Some(key) => Err(format!("{scope} of {root:?} counts as there and {key:?}, on the way to it, is missing")),
        None => Ok(()),
    }
}

/// All of a state is there.
pub(super) fn state(world: &World, store: &SimStore, root: H256) -> Result<(), Violation> {
    for key in &world.states[world.state(root)].own {
        if store.bytes(key) != world.bytes.get(key) {
            return Err(format!("state {root:?} counts as complete and {key:?} is missing or wrong"));
        }
    }
    Ok(())
}

fn is_known(world: &World, kind: Kind, hash: &H256) -> bool {
    world.bytes.contains_key(&Key { kind, hash: *hash })
}

/// A thing is there with the right bytes, and so is what it refers to.
fn complete_below(world: &World, store: &SimStore, key: Key) -> Result<(), Violation> {
    let has = |key: &Key| store.bytes(key).is_some() || (key.kind != Kind::Code && key.hash == EMPTY_ROOT);
    let bytes = store.bytes(&key);
    if key.hash != EMPTY_ROOT && bytes.is_none_or(|bytes| keccak256(bytes) != key.hash) {
        return Err(format!("{key:?} is not there, or has other bytes"));
    }
    let Some(thing) = world.states.iter().find_map(|state| state.things.get(&key)) else {
        return Err(format!("{key:?} belongs to no state"));
    };
    match thing.refs.iter().find(|below| !has(&below.key)) {
        Some(below) => Err(format!("{key:?} is stored before what it refers to, {:?}", below.key)),
        None => Ok(()),
    }
}
