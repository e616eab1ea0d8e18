//! Finding what roots reach, level by level.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use primitive_types::H256;
use rayon::prelude::*;

use super::{Kept, PruneError};
use crate::lists::Lists;
use crate::store::Store;
use crate::trie::{EMPTY_ROOT, Event, Kind, Leaf, Level, Nibbles, Scope, StoredNode, decode, keccak256_batch};

/// Nodes that are read and hashed together.
const BATCH: usize = 1_024;

/// The kind of list that has the nodes which stay.
pub(super) const NODES: u8 = u8::MAX;

/// The kind of list that has the codes which stay.
pub(super) const CODES: u8 = Level::CODE.byte();

/// Marks everything that the kept states reach, as lists of the kinds [`NODES`] and [`CODES`]. A node has one level only,
/// and refers to nodes of later levels only: so once a level's turn has come, all of its nodes are known, in lists of the
/// level's kind, and each is read once.
///
/// Gives the nodes on the way to the parts of partial states, with their bytes. They are not complete for these states, so
/// they belong into staging, wherever they are now.
pub(super) fn mark(
    store: &Store,
    kept: &[Kept],
    lists: &Lists,
    marked: &AtomicU64,
) -> Result<HashMap<H256, Vec<u8>>, PruneError> {
    let failed = |source| failed(lists, source);
    let mut on_the_way = HashMap::new();
    for Kept { root, scope } in kept {
        let begins = match scope {
            Some(scope) => way(store, *root, scope, &mut on_the_way)?,
            None if *root == EMPTY_ROOT => Vec::new(),
            None => vec![(Level::ROOT.byte(), *root)],
        };
        lists.add(begins).map_err(failed)?;
    }
    for level in (0..CODES).map(Level::from_byte) {
        (0..=u8::MAX).into_par_iter().try_for_each(|first| {
            let hashes = lists.take(level.byte(), first).map_err(failed)?;
            for hashes in hashes.chunks(BATCH) {
                lists.add(references(store, level, hashes)?).map_err(failed)?;
                marked.fetch_add(hashes.len() as u64, Ordering::Relaxed);
            }
            lists.add(hashes.into_iter().map(|hash| (NODES, hash))).map_err(failed)
        })?;
    }
    Ok(on_the_way)
}

pub(super) fn failed(lists: &Lists, source: io::Error) -> PruneError {
    PruneError::Scratch { path: lists.dir().into(), source }
}

/// What the nodes on the way to a scope refer to in it, and at which level that is. Adds these nodes.
fn way(
    store: &Store,
    root: H256,
    scope: &Scope,
    on_the_way: &mut HashMap<H256, Vec<u8>>,
) -> Result<Vec<(u8, H256)>, PruneError> {
    let (mut references, mut damage) = (Vec::new(), None);
    store.on_the_way(root, scope, |event| match event {
        Event::Node { place, links, rlp } => {
            let inside = links.children.iter().filter(|child| scope.covers(&child.path));
            references.extend(inside.map(|child| (Level::new(Kind::AccountNode, &child.path).byte(), child.hash)));
            let inside = links.leaves.iter().filter(|leaf| matches!(leaf, Leaf::Account { key, .. } if scope.has(key)));
            inside.for_each(|leaf| refer_of(leaf, &mut references));
            on_the_way.insert(place.hash, rlp);
        }
        Event::Code { .. } => {}
        Event::Missing(target) => damage = Some(format!("node {:?} is missing", target.hash())),
        Event::Corrupt { target, fault } => damage = Some(format!("node {:?}: {fault}", target.hash())),
    })?;
    match damage {
        Some(what) => Err(PruneError::Unsound { what }),
        None => Ok(references),
    }
}

/// What nodes of one level refer to, and at which level that is.
fn references(store: &Store, level: Level, hashes: &[H256]) -> Result<Vec<(u8, H256)>, PruneError> {
    let unsound = |hash: &H256, how: &str| PruneError::Unsound { what: format!("node {hash:?} {how}") };
    let mut nodes = Vec::with_capacity(hashes.len());
    for (hash, node) in hashes.iter().zip(store.stored_nodes(hashes)?) {
        nodes.push(node.ok_or_else(|| unsound(hash, "is missing"))?);
    }
    let inputs: Vec<&[u8]> = nodes.iter().map(|node| node.rlp.as_slice()).collect();
    let mut references = Vec::new();
    for ((hash, node), got) in hashes.iter().zip(&nodes).zip(keccak256_batch(&inputs)) {
        if got != *hash {
            return Err(unsound(hash, "has other bytes than its hash says"));
        }
        refer(level, node, &mut references).ok_or_else(|| unsound(hash, "is no node that may be where it is"))?;
    }
    Ok(references)
}

/// Adds what one node refers to. `None` where it is not a node of this level.
fn refer(level: Level, node: &StoredNode, references: &mut Vec<(u8, H256)>) -> Option<()> {
    let (trie, depth) = level.place().filter(|_| node.level == Some(level))?;
    // Which nibbles lead to it does not matter, only how many.
    let links = decode(trie, &Nibbles::zeros(depth)?, false, &node.rlp).ok()?;
    for child in links.children {
        let below = u8::try_from(child.path.len() - depth).ok()?;
        references.push((level.byte().checked_add(below)?, child.hash));
    }
    links.leaves.iter().for_each(|leaf| refer_of(leaf, references));
    Some(())
}

/// Adds what an account refers to.
fn refer_of(leaf: &Leaf, references: &mut Vec<(u8, H256)>) {
    let Leaf::Account { account, .. } = leaf else { return };
    references.extend(account.has_storage().then_some((Level::STORAGE_ROOT.byte(), account.storage_root)));
    references.extend(account.has_code().then_some((CODES, account.code_hash)));
}
