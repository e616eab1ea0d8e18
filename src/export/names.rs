//! Addresses and slot numbers for an export that needs them.

use primitive_types::H256;

use super::ExportError;
use crate::store::Store;

/// Looks preimages up, and counts those that are missing: what one export lacks is told all at once.
pub(super) struct Names<'a> {
    store: &'a Store,
    accounts: Tally,
    slots: Tally,
}

#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    asked: u64,
    missing: u64,
}

impl<'a> Names<'a> {
    pub(super) fn new(store: &'a Store) -> Self {
        Self { store, accounts: Tally::default(), slots: Tally::default() }
    }

    /// The address of the account with this key.
    pub(super) fn address(&mut self, key: &H256) -> Result<Option<Vec<u8>>, ExportError> {
        Self::look_up(self.store, &mut self.accounts, key)
    }

    /// The number of the slot with this key.
    pub(super) fn slot(&mut self, key: &H256) -> Result<Option<Vec<u8>>, ExportError> {
        Self::look_up(self.store, &mut self.slots, key)
    }

    /// Whether nothing was missing so far. After that nothing is worth writing.
    pub(super) fn are_known(&self) -> bool {
        self.accounts.missing == 0 && self.slots.missing == 0
    }

    /// Fails if anything was missing.
    pub(super) fn check(&self) -> Result<(), ExportError> {
        if self.are_known() {
            return Ok(());
        }
        Err(ExportError::Preimages {
            accounts: self.accounts.missing,
            of_accounts: self.accounts.asked,
            slots: self.slots.missing,
            of_slots: self.slots.asked,
        })
    }

    fn look_up(store: &Store, tally: &mut Tally, key: &H256) -> Result<Option<Vec<u8>>, ExportError> {
        let preimage = store.preimage(key)?;
        tally.asked += 1;
        tally.missing += u64::from(preimage.is_none());
        Ok(preimage)
    }
}
