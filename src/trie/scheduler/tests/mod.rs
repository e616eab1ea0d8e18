//! The scheduler against states built by another trie implementation, with a model of the store that checks the
//! invariants after every write. What geth's `trie/sync_test.go` and `core/state/sync_test.go` assert is here too.

mod answers;
mod budget;
mod crashes;
mod drive;
mod invariants;
mod malformed;
mod model;
mod pivots;
mod properties;
mod scopes;
mod shapes;
pub(crate) mod source;
pub(crate) mod states;
mod strategies;
