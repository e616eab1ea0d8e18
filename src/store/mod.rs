//! The state on disk.
//!
//! One invariant carries everything: **presence means completeness**. A node is in the `nodes` family only in or after
//! the batch that holds its whole subtree, with its storage tries and codes. What is downloaded but not complete is in
//! `staging`. [`Store::commit`] is the only way in, and one call of it is one atomic batch.

mod directory;
mod error;
mod guard;
mod layout;
mod options;
mod record;
mod retract;
mod rocks;
#[cfg(test)]
mod tests;

pub use self::error::StoreError;
pub use self::layout::FORMAT_VERSION;
pub use self::record::{Block, Checkpoint, RootRecord, RootState, Totals};
pub use self::retract::{Damage, Retracted};
pub use self::rocks::{Access, Durability, Marks, Presence, Store};
