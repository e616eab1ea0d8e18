//! The addresses and slot numbers that the keys of the state's tries are hashes of. The state itself does not have them.

use primitive_types::H256;
use rocksdb::WriteBatch;
use serde::{Deserialize, Serialize};

use super::layout::{KEY_PREIMAGES, META, PREIMAGES};
use super::rocks::json;
use super::{Durability, Store, StoreError};
use crate::trie::keccak256;

/// Bytes of an address.
const ADDRESS: usize = 20;
/// Bytes of a slot number.
const SLOT: usize = 32;

/// How many preimages there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreimageCounts {
    /// Addresses.
    pub addresses: u64,
    /// Slot numbers.
    pub slots: u64,
}

impl Store {
    /// The address or slot number with this hash, if it is known.
    ///
    /// # Errors
    /// When the database fails.
    pub fn preimage(&self, hash: &H256) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(family) = self.db.cf_handle(PREIMAGES) else { return Ok(None) };
        let preimage = self.db.get_cf(family, hash)?;
        // A row that is wrong is as good as none: it can be had again.
        Ok(preimage.filter(|preimage| keccak256(preimage) == *hash))
    }

    /// How many are known.
    ///
    /// # Errors
    /// When the number cannot be read.
    pub fn preimage_counts(&self) -> Result<PreimageCounts, StoreError> {
        Ok(self.record(KEY_PREIMAGES)?.unwrap_or_default())
    }

    /// Adds addresses and slot numbers, under their own hashes; how many were not known. What is neither as long as the
    /// one nor the other is left out.
    ///
    /// # Errors
    /// When the store was not [opened for it](Self::open_for_preimages), or the disk fails.
    pub fn add_preimages(&self, preimages: &[Vec<u8>]) -> Result<PreimageCounts, StoreError> {
        let family = self.family(PREIMAGES)?;
        let fits = |preimage: &&Vec<u8>| [ADDRESS, SLOT].contains(&preimage.len());
        let mut rows: Vec<(H256, &Vec<u8>)> =
            preimages.iter().filter(fits).map(|preimage| (keccak256(preimage), preimage)).collect();
        rows.sort_unstable();
        rows.dedup();
        let hashes: Vec<&H256> = rows.iter().map(|(hash, _)| hash).collect();
        let known = self.values(PREIMAGES, &hashes)?;
        let (mut batch, mut added) = (WriteBatch::default(), PreimageCounts::default());
        for ((hash, preimage), known) in rows.iter().zip(known) {
            if known.as_deref() == Some(preimage.as_slice()) {
                continue;
            }
            batch.put_cf(family, hash, preimage);
            // One in place of a row that was wrong has been counted.
            if known.is_none() {
                let count = if preimage.len() == ADDRESS { &mut added.addresses } else { &mut added.slots };
                *count += 1;
            }
        }
        let before = self.preimage_counts()?;
        let all = PreimageCounts { addresses: before.addresses + added.addresses, slots: before.slots + added.slots };
        batch.put_cf(self.family(META)?, KEY_PREIMAGES, json(&all)?);
        self.write(batch, Durability::Log)?;
        Ok(added)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Access;

    #[test]
    fn preimages_are_counted_once_and_outlive_the_store() {
        let dir = tempfile::tempdir().unwrap();
        drop(Store::open(dir.path(), Access::Create).unwrap());
        let (address, slot) = (vec![7; ADDRESS], vec![9; SLOT]);
        let store = Store::open_for_preimages(dir.path()).unwrap();
        let given = [address.clone(), slot.clone(), address.clone(), vec![1; 5]];
        let counts = PreimageCounts { addresses: 1, slots: 1 };
        assert_eq!(store.add_preimages(&given).unwrap(), counts);
        assert_eq!(store.add_preimages(&given).unwrap(), PreimageCounts::default());
        drop(store);
        for access in [Access::Read, Access::Write] {
            let store = Store::open(dir.path(), access).unwrap();
            assert_eq!(store.preimage(&keccak256(&address)).unwrap(), Some(address.clone()));
            assert_eq!(store.preimage(&keccak256(&slot)).unwrap(), Some(slot.clone()));
            assert_eq!(store.preimage(&keccak256(&[1; 5])).unwrap(), None);
            assert_eq!(store.preimage_counts().unwrap(), counts);
        }
    }

    #[test]
    fn a_store_without_preimages_has_no_family_of_them() {
        let dir = tempfile::tempdir().unwrap();
        drop(Store::open(dir.path(), Access::Create).unwrap());
        let store = Store::open(dir.path(), Access::Read).unwrap();
        assert_eq!(store.preimage(&H256::zero()).unwrap(), None);
        assert_eq!(store.preimage_counts().unwrap(), PreimageCounts::default());
        assert!(store.add_preimages(&[vec![7; ADDRESS]]).is_err());
    }
}
