//! Exact progress as a share of the account key space.

/// Levels that progress resolves: 16^-15 of the key space is one unit. A real state is some ten levels deep; what
/// lies deeper is accounted to its ancestor, so the sum stays exact.
const RESOLVED_LEVELS: usize = 15;

/// The whole key space, in units.
pub(super) const WHOLE: u64 = 1 << (4 * RESOLVED_LEVELS);

/// The share of a subtree whose root is `depth` nibbles deep: 16^-depth of the key space, in units.
pub(super) fn share(depth: usize) -> u64 {
    if depth > RESOLVED_LEVELS { 0 } else { WHOLE >> (4 * depth) }
}
