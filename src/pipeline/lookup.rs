//! The look-up stage: which wanted items does the store hold? Reads for rayon's threads.

use crate::store::{Presence, Store, StoreError};
use crate::trie::{Item, Key, Level, NodeError, Origin, Reject, Verified, decode};

/// The store's answers to a batch of look-ups.
#[derive(Debug, Default)]
pub(super) struct LookedUp {
    /// Complete in the store, and whether it is a branch.
    pub(super) present: Vec<(Item, bool)>,
    /// Not there, and whether staging holds an unusable row of that hash.
    pub(super) absent: Vec<(Key, bool)>,
    /// Found in staging, and verified again: the disk is not trusted either.
    pub(super) staged: Vec<Verified>,
    /// Found, and breaks a rule.
    pub(super) malformed: Option<(Item, Misplaced)>,
}

/// Why what the store holds cannot be what is wanted, although the hash is the same.
#[derive(Debug, thiserror::Error)]
pub(super) enum Misplaced {
    #[error(transparent)]
    Rule(#[from] NodeError),
    #[error("the store holds it, complete, as {0}, and no valid trie holds one node at two levels")]
    Level(Level),
}

pub(super) fn look_up(store: &Store, items: &[Item]) -> Result<LookedUp, StoreError> {
    let keys: Vec<Key> = items.iter().map(|item| item.key).collect();
    let looked_up = classify(items, store.presence(&keys)?);
    if let Some((item, Misplaced::Level(level))) = &looked_up.malformed
        && belongs(store, item)?
    {
        let what = format!("node {:?} is stored as {level}, and is {}", item.key.hash, item.level());
        return Err(StoreError::Corrupt { what });
    }
    Ok(looked_up)
}

/// What presences mean for the items.
pub(super) fn classify(items: &[Item], presences: Vec<Presence>) -> LookedUp {
    let mut looked_up = LookedUp::default();
    let mut staged = Vec::new();
    for (item, presence) in items.iter().zip(presences) {
        match presence {
            Presence::Complete { level, is_branch } if level == item.level() => {
                looked_up.present.push((*item, is_branch));
            }
            Presence::Complete { level, .. } => looked_up.malformed = Some((*item, Misplaced::Level(level))),
            Presence::Absent => looked_up.absent.push((item.key, false)),
            Presence::Staged(bytes) => staged.push((*item, bytes)),
        }
    }
    let found: Vec<Item> = staged.iter().map(|(item, _)| *item).collect();
    for (item, node) in found.into_iter().zip(Verified::check_all(staged, Origin::Staging)) {
        match node {
            Ok(node) => looked_up.staged.push(node),
            Err(Reject::WrongHash) => looked_up.absent.push((item.key, true)),
            Err(Reject::Malformed(rule)) => looked_up.malformed = Some((item, rule.into())),
        }
    }
    looked_up
}

/// Whether a present node is valid where it is wanted, so that the level stored with it is wrong: one leaf below it
/// tells. All of them are there.
fn belongs(store: &Store, item: &Item) -> Result<bool, StoreError> {
    let Some(trie) = item.key.kind.trie() else { return Ok(false) };
    let (mut hash, mut path, mut after_extension) = (item.key.hash, item.path, item.after_extension);
    loop {
        let Some(rlp) = store.node(&hash)? else { return Ok(false) };
        let Ok(links) = decode(trie, &path, after_extension, &rlp) else { return Ok(false) };
        match links.children.first() {
            Some(child) if links.leaves.is_empty() => {
                (hash, path, after_extension) = (child.hash, child.path, child.after_extension);
            }
            _ => return Ok(true),
        }
    }
}
