//! The sync: stages wired together, data flowing one way.
//!
//! ```text
//! scheduler ─lookups─▶ look-up (rayon) ─┐
//!     │                                 ├─▶ scheduler ─▶ commit (one writer thread)
//!     └─missing─▶ fetch (tokio) ─▶ verify (rayon) ─┘
//! ```
//!
//! One driver owns the scheduler and the peer pool and makes every decision; stages run elsewhere and report to it over
//! one channel. What is on its way is bounded by [`OUTSTANDING_MAX`], so every queue between is.

mod commit;
mod control;
mod core;
mod driver;
mod error;
mod event;
mod fetch;
mod follow;
mod lookup;
mod plan;
mod report;
#[cfg(test)]
mod sim;
mod verify;

pub use self::control::{Handle, StopReason, Sync, SyncOptions};
pub use self::error::SyncError;
pub use self::event::{Event, Progress};
pub use self::follow::{Follow, PivotSource, Target, Trend};
pub use self::plan::{COMMIT_ITEMS, OUTSTANDING_MAX};
pub use self::report::{Outcome, Report};
pub use self::verify::{Checked, check};
