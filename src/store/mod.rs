//! The state on disk.
//!
//! One invariant carries everything: **presence means completeness**. A node is in the `nodes` family only in or after
//! the batch that holds its whole subtree, with its storage tries and codes. What is downloaded but not complete is in
//! `staging`, or in the journal. [`Store::commit`] is the only way in.

mod commit;
mod directory;
mod error;
mod filter;
mod guard;
mod journal;
mod layout;
mod options;
mod partial;
mod preimages;
mod presence;
mod record;
mod removal;
mod retract;
mod rocks;
mod scan;
mod table;
#[cfg(test)]
mod tests;

pub use self::commit::{Durability, Marks};
pub use self::error::StoreError;
pub use self::journal::RoundLimits;
pub use self::layout::FORMAT_VERSION;
pub use self::options::StoreMemory;
pub use self::partial::WithStaging;
pub use self::preimages::PreimageCounts;
pub use self::presence::Presence;
pub use self::record::{Block, Checkpoint, RootRecord, RootState, Totals};
pub use self::removal::Removed;
pub use self::retract::{Damage, Retracted};
pub use self::rocks::{Access, Store};
