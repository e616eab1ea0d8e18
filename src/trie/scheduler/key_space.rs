//! Exact progress as a share of the account key space, or of a part of it.

use crate::trie::{Item, Kind, Nibbles, Scope};

/// Levels that progress resolves: 16^-15 of the key space is one unit. A real state is some ten levels deep; what
/// lies deeper is accounted to its ancestor, so the sum stays exact.
const RESOLVED_LEVELS: usize = 15;

/// The whole key space, in units.
pub(super) const WHOLE: u64 = 1 << (4 * RESOLVED_LEVELS);

/// The share of a subtree whose root is `depth` nibbles deep: 16^-depth of the key space, in units.
fn share(depth: usize) -> u64 {
    if depth > RESOLVED_LEVELS { 0 } else { WHOLE >> (4 * depth) }
}

/// The same, of what is in a scope. A prefix beyond the resolved levels is one unit, at its own depth and above.
pub(super) fn share_in(scope: &Scope, path: &Nibbles) -> u64 {
    if scope.is_whole() {
        return share(path.len());
    }
    match scope.covering(path) {
        Some(prefix) if prefix.len() <= RESOLVED_LEVELS => share(path.len()),
        Some(prefix) => u64::from(path.len() == prefix.len()),
        None => scope.below(path).iter().map(|prefix| share(prefix.len()).max(1)).sum(),
    }
}

/// The share below an item's place; storage and code are their account's part.
pub(super) fn share_at(scope: &Scope, item: &Item) -> u64 {
    if item.key.kind == Kind::AccountNode { share_in(scope, &item.path) } else { 0 }
}

/// Whether all that is below an item is in a scope.
pub(super) fn is_within(scope: &Scope, item: &Item) -> bool {
    item.key.kind != Kind::AccountNode || scope.is_whole() || scope.covers(&item.path)
}
