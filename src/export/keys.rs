//! The keys of a state alone: all, or a few from everywhere.

use std::collections::VecDeque;

use primitive_types::H256;

use super::bound::Bound;
use super::ordered::{Found, Ordered, Step};
use super::{ExportError, Watch, check_root};
use crate::store::Store;
use crate::trie::{EMPTY_ROOT, Leaf, Place};

/// Gives the key of each account and of each slot, those of a shared storage trie once for each account that holds it.
pub(crate) fn each_key<E: From<ExportError>>(
    store: &Store,
    root: H256,
    watch: Watch<'_>,
    take: &mut dyn FnMut(H256) -> Result<(), E>,
) -> Result<(), E> {
    check_root(store, root)?;
    let mut bound = Bound::of(store)?;
    for found in bound.accounts(store, root) {
        let Found::Leaf(Leaf::Account { key, account }) = found? else { continue };
        bound.leaf()?;
        watch.tick()?;
        take(key)?;
        for found in bound.storage(store, key, account.storage_root) {
            if let Found::Leaf(Leaf::Slot { key, .. }) = found? {
                bound.leaf()?;
                watch.tick()?;
                take(key)?;
            }
        }
    }
    Ok(())
}

/// The keys of at most so many accounts, one from each of as many subtrees of like height; of all where there are no
/// more.
pub(crate) fn first_accounts(store: &Store, root: H256, most: usize) -> Result<Vec<H256>, ExportError> {
    let mut keys = Vec::new();
    let mut places = VecDeque::new();
    places.extend((root != EMPTY_ROOT).then(|| Place::root(None, root)));
    while keys.len() + places.len() < most
        && let Some(place) = places.pop_front()
    {
        let mut below = Ordered::new(store, place);
        // Its first item is the node; then what it refers to is known.
        below.next().transpose()?;
        for step in below.into_steps() {
            match step {
                Step::Node(place) => places.push_back(place),
                Step::Leaf(Leaf::Account { key, .. } | Leaf::Slot { key, .. }) => keys.push(key),
            }
        }
    }
    for place in places.into_iter().take(most.saturating_sub(keys.len())) {
        let first = Ordered::new(store, place).find_map(|found| match found {
            Ok(Found::Node(..)) => None,
            Ok(Found::Leaf(Leaf::Account { key, .. } | Leaf::Slot { key, .. })) => Some(Ok(key)),
            Err(error) => Some(Err(error)),
        });
        keys.extend(first.transpose()?);
    }
    Ok(keys)
}
