//! How much of a state's accounts are known by their address.

use primitive_types::H256;

use crate::export::{ExportError, first_accounts};
use crate::store::Store;

/// Accounts that are looked up: enough for two digits, and few enough to ask whenever someone wants to know.
const SAMPLE: usize = 1_024;

/// Known accounts among those that were looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// How many have a known address.
    pub known: u64,
    /// How many were looked up: all of a small state.
    pub sample: u64,
}

impl Share {
    /// From 0 to 1.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a sample is small")]
    pub fn ratio(self) -> f64 {
        if self.sample == 0 { 1.0 } else { self.known as f64 / self.sample as f64 }
    }
}

/// Looks accounts up that are spread over the state; their keys are hashes, so any are as good as others.
///
/// # Errors
/// When the state is not all there, or cannot be read.
pub fn share(store: &Store, root: H256) -> Result<Share, ExportError> {
    let keys = first_accounts(store, root, SAMPLE)?;
    let mut known = 0;
    for key in &keys {
        known += u64::from(store.preimage(key)?.is_some());
    }
    Ok(Share { known, sample: keys.len() as u64 })
}
