//! The look-up stage: which wanted items does the store hold? Reads for rayon's threads.

use crate::store::{Presence, Store, StoreError};
use crate::trie::{Item, Key, NodeError, Origin, Reject, Verified};

/// The store's answers to a batch of look-ups.
#[derive(Debug, Default)]
pub(super) struct LookedUp {
    /// Complete in the store.
    pub(super) present: Vec<Key>,
    /// Not there, and whether staging holds an unusable row of that hash.
    pub(super) absent: Vec<(Key, bool)>,
    /// Found in staging, and verified again: the disk is not trusted either.
    pub(super) staged: Vec<Verified>,
    /// Found in staging and breaks a rule.
    pub(super) malformed: Option<(Item, NodeError)>,
}

pub(super) fn look_up(store: &Store, items: &[Item]) -> Result<LookedUp, StoreError> {
    let keys: Vec<Key> = items.iter().map(|item| item.key).collect();
    Ok(classify(items, store.presence(&keys)?))
}

/// What presences mean for the items.
pub(super) fn classify(items: &[Item], presences: Vec<Presence>) -> LookedUp {
    let mut looked_up = LookedUp::default();
    for (item, presence) in items.iter().zip(presences) {
        match presence {
            Presence::Complete => looked_up.present.push(item.key),
            Presence::Absent => looked_up.absent.push((item.key, false)),
            Presence::Staged(bytes) => match Verified::check(*item, bytes, Origin::Staging) {
                Ok(node) => looked_up.staged.push(node),
                Err(Reject::WrongHash) => looked_up.absent.push((item.key, true)),
                Err(Reject::Malformed(rule)) => looked_up.malformed = Some((*item, rule)),
            },
        }
    }
    looked_up
}
