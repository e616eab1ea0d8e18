//! Removing what is not kept.

use std::collections::HashMap;
use std::path::PathBuf;

use primitive_types::H256;
use rocksdb::{IteratorMode, WriteBatch};

use super::layout::{CODES, KEY_CHECKPOINT, KEY_PRUNED, KEY_SYNCED, META, NODES, STAGING, root_key};
use super::scan::beginning_with;
use super::table::{Table, ingest};
use super::{Durability, Store, StoreError, options};

/// Rows of one family that stay and that go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Those that stay.
    pub kept: u64,
    /// Those that go.
    pub removed: u64,
}

/// What is about to be removed.
#[derive(Debug)]
pub(crate) struct Removal {
    pub(crate) nodes: (Removed, Option<PathBuf>),
    pub(crate) codes: (Removed, Option<PathBuf>),
}

impl Store {
    /// Forgets roots that are about to be removed, and what an unfinished sync has left: of staging only the given nodes
    /// stay. Before the removal: a record must not say of a root that it is complete when it is not.
    pub(crate) fn forget_roots(
        &self,
        roots: &[H256],
        staged: &HashMap<H256, Vec<u8>>,
        removal: &Removal,
    ) -> Result<(), StoreError> {
        let meta = self.family(META)?;
        let mut batch = WriteBatch::default();
        roots.iter().for_each(|root| batch.delete_cf(meta, root_key(root)));
        if self.checkpoint()?.is_some_and(|checkpoint| roots.contains(&checkpoint.root)) {
            [KEY_CHECKPOINT, KEY_SYNCED].iter().for_each(|key| batch.delete_cf(meta, key));
        }
        self.empty_staging(&mut batch, staged)?;
        if removal.nodes.0.removed + removal.codes.0.removed > 0 {
            batch.put_cf(meta, KEY_PRUNED, []);
        }
        self.write(batch, Durability::Disk)
    }

    /// Removes every row of staging but those of the given nodes.
    pub(super) fn empty_staging(&self, batch: &mut WriteBatch, but: &HashMap<H256, Vec<u8>>) -> Result<(), StoreError> {
        let staging = self.family(STAGING)?;
        // Past the highest 32-byte key.
        batch.delete_range_cf(staging, [].as_slice(), [0xff; 33].as_slice());
        but.iter().for_each(|(hash, rlp)| batch.put_cf(staging, hash, rlp));
        Ok(())
    }

    /// What goes if all nodes and codes go but those that `nodes` and `codes` give for each first byte of their hashes, in
    /// order. Only counts it, or also prepares the tables to [`remove`](Self::remove) it.
    pub(crate) fn removal<E: From<StoreError>>(
        &self,
        prepare: bool,
        nodes: impl FnMut(u8) -> Result<Vec<H256>, E>,
        codes: impl FnMut(u8) -> Result<Vec<H256>, E>,
    ) -> Result<Removal, E> {
        Ok(Removal { nodes: self.removal_of(NODES, prepare, nodes)?, codes: self.removal_of(CODES, prepare, codes)? })
    }

    fn removal_of<E: From<StoreError>>(
        &self,
        family: &'static str,
        prepare: bool,
        mut kept: impl FnMut(u8) -> Result<Vec<H256>, E>,
    ) -> Result<(Removed, Option<PathBuf>), E> {
        let (options, mut removed) = (options::table(), Removed::default());
        let mut table = Table::new(&options, &self.dir, &format!("{family}-removed"));
        for first in 0..=u8::MAX {
            let mut delete = |key: &[u8]| if prepare { table.delete(key) } else { Ok(()) };
            removed.add(self.split(family, first, &kept(first)?, &mut delete)?);
        }
        Ok((removed, table.finish()?))
    }

    /// Removes what was prepared. All nodes go at one moment, so that every node that is there has what is below it
    /// before and after; the codes go then, which are nobody's any more.
    pub(crate) fn remove(&self, removal: Removal) -> Result<(), StoreError> {
        for (family, (_, path)) in [(NODES, removal.nodes), (CODES, removal.codes)] {
            self.guard.write(&self.dir, || ingest(&self.db, &self.dir, family, path.into_iter().collect()))?;
        }
        Ok(())
    }

    /// Tells the rows under hashes that begin with one byte and stay from those that go.
    fn split(
        &self,
        family: &'static str,
        first: u8,
        kept: &[H256],
        delete: &mut dyn FnMut(&[u8]) -> Result<(), StoreError>,
    ) -> Result<Removed, StoreError> {
        let (mut removed, mut kept) = (Removed::default(), kept.iter().peekable());
        for row in self.db.iterator_cf_opt(self.family(family)?, beginning_with(first), IteratorMode::Start) {
            let (key, _) = row?;
            if kept.next_if(|hash| hash.as_bytes() == &*key).is_some() {
                removed.kept += 1;
            } else {
                delete(&key)?;
                removed.removed += 1;
            }
        }
        match kept.next() {
            // A code: nodes were found a moment ago.
            Some(hash) => Err(StoreError::Corrupt { what: format!("{family} lacks {hash:?}") }),
            None => Ok(removed),
        }
    }

    /// Rewrites the tables if anything was removed since that was done last, so that the disk has the space back.
    pub(crate) fn give_back(&self) -> Result<(), StoreError> {
        let meta = self.family(META)?;
        if self.db.get_cf(meta, KEY_PRUNED)?.is_none() {
            return Ok(());
        }
        for family in [NODES, CODES, STAGING] {
            self.db.compact_range_cf(self.family(family)?, None::<&[u8]>, None::<&[u8]>);
        }
        let mut batch = WriteBatch::default();
        // Fails if rewriting has.
        batch.delete_cf(meta, KEY_PRUNED);
        self.write(batch, Durability::Disk)
    }
}

impl Removed {
    fn add(&mut self, other: Self) {
        self.kept += other.kept;
        self.removed += other.removed;
    }
}
