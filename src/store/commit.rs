//! The one way of writing: commits, and how they come into the database.

use std::sync::MutexGuard;

use primitive_types::H256;
use rocksdb::{WriteBatch, WriteOptions};

use super::guard::disk_error;
use super::journal::{self, Journal, Mark, Sorting};
use super::layout::{KEY_CHECKPOINT, KEY_JOURNAL, KEY_JOURNAL_SYNCED, KEY_SYNCED, META, NODES, STAGING, root_key};
use super::rocks::json;
use super::{Checkpoint, RootRecord, RootState, Store, StoreError};
use crate::lock::lock;
use crate::trie::{Commit, Kind, Level};

/// A batch is written when it has so many bytes: it is in memory twice until then.
const BATCH_BYTES: usize = 4 << 20;

/// Whether a commit also survives a loss of power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// It is in the log and survives the death of the process.
    Log,
    /// The log is synced to the disk, with all that was committed before.
    Disk,
}

/// What a commit says beside its data.
#[derive(Clone, Debug, Default)]
pub struct Marks {
    /// Where the sync stands.
    pub checkpoint: Option<Checkpoint>,
    /// A root's new record; complete only with the batch that writes the root node, or later.
    pub root: Option<RootRecord>,
}

/// What a commit completes of the rows that the database's staging holds.
#[derive(Default)]
struct Completed {
    /// Those whose bytes the commit does not have.
    moved: Vec<(H256, Level, Vec<u8>)>,
    /// All of them.
    superseded: Vec<H256>,
}

impl Store {
    /// Writes a commit and the marks that are true with it. What is committed is in the journal; with a root that is
    /// complete or partial, all of it comes into the database, and the root's record after it.
    ///
    /// # Errors
    /// When the disk or the database fails, or has failed since the last commit while a round was sorted; when the store
    /// is open for reading only, or staging lacks a node that was put there.
    pub fn commit(&self, commit: &Commit, marks: &Marks, durability: Durability) -> Result<(), StoreError> {
        let journal = self.journal()?;
        let completed = self.staged_elsewhere(journal, commit)?;
        let is_last = |record: &&RootRecord| matches!(record.state, RootState::Complete | RootState::Partial);
        let last = marks.root.as_ref().filter(is_last);
        let durability = if last.is_some() { Durability::Disk } else { durability };
        self.guard.write(&self.dir, || {
            journal.sorted()?;
            journal.append(commit, &completed.moved)?;
            self.note(commit);
            self.superseded().extend(completed.superseded);
            if durability == Durability::Disk {
                journal.sync()?;
            }
            let not_yet = if last.is_some() { None } else { marks.root.as_ref() };
            self.mark(journal, marks.checkpoint.as_ref(), not_yet, durability)?;
            if let Some(record) = last {
                self.rotate(journal)?.run(journal::THREADS_AT_THE_END)?;
                let mut batch = WriteBatch::default();
                batch.put_cf(self.family(META)?, root_key(&record.root), json(record)?);
                self.put(batch, Durability::Disk)
            } else if journal.is_full() {
                journal.sort_meanwhile(self.rotate(journal)?)
            } else {
                Ok(())
            }
        })
    }

    /// Notes what may be in the store from now on.
    fn note(&self, commit: &Commit) {
        let Some(filter) = &self.filter else { return };
        commit.stage.iter().for_each(|(hash, _)| filter.insert(hash));
        let new = commit.complete.iter().filter(|complete| complete.bytes.is_some());
        new.for_each(|complete| filter.insert(&complete.key.hash));
    }

    /// The nodes that a commit completes and that are staged in the database.
    fn staged_elsewhere(&self, journal: &Journal, commit: &Commit) -> Result<Completed, StoreError> {
        let mut rows: Vec<(H256, Level, bool)> = Vec::new();
        for complete in commit.complete.iter().filter(|complete| complete.staged && complete.key.kind != Kind::Code) {
            let (hash, level, has_come) = (complete.key.hash, complete.level, complete.bytes.is_some());
            match journal.holds_node(&hash) {
                // This run has staged it, or moved it already.
                Some(false) => {}
                Some(true) => rows.push((hash, level, true)),
                None => rows.push((hash, level, has_come)),
            }
        }
        rows.sort_unstable();
        let superseded = rows.iter().map(|(hash, ..)| *hash).collect();
        rows.retain(|(_, _, has_bytes)| !has_bytes);
        let hashes: Vec<&H256> = rows.iter().map(|(hash, ..)| hash).collect();
        let values = self.values(STAGING, &hashes)?;
        let moved = rows.iter().zip(values).map(|((hash, level, _), rlp)| match rlp {
            Some(rlp) => Ok((*hash, *level, rlp.to_vec())),
            None => Err(StoreError::Corrupt { what: format!("staging lacks node {hash:?}") }),
        });
        Ok(Completed { moved: moved.collect::<Result<_, _>>()?, superseded })
    }

    /// Writes what is true with a commit.
    fn mark(
        &self,
        journal: &Journal,
        checkpoint: Option<&Checkpoint>,
        root: Option<&RootRecord>,
        durability: Durability,
    ) -> Result<(), StoreError> {
        let meta = self.family(META)?;
        let mut batch = WriteBatch::default();
        let checkpoint = checkpoint.map(json).transpose()?;
        if let Some(checkpoint) = &checkpoint {
            batch.put_cf(meta, KEY_CHECKPOINT, checkpoint);
        }
        if let Some(record) = root {
            batch.put_cf(meta, root_key(&record.root), json(record)?);
        }
        let mark = journal.mark();
        batch.put_cf(meta, KEY_JOURNAL, mark.bytes());
        if durability == Durability::Disk {
            self.mark_synced(journal, &mut batch, &mark, checkpoint)?;
        }
        self.put(batch, durability)
    }

    /// Notes that the journal is on the disk, with all that the checkpoint counts: the given one, or the last.
    fn mark_synced(
        &self,
        journal: &Journal,
        batch: &mut WriteBatch,
        mark: &Mark,
        checkpoint: Option<Vec<u8>>,
    ) -> Result<(), StoreError> {
        let (meta, staging) = (self.family(META)?, self.family(STAGING)?);
        let last = || self.db.get_cf(meta, KEY_CHECKPOINT);
        if let Some(checkpoint) = checkpoint.map_or_else(last, |checkpoint| Ok(Some(checkpoint)))? {
            batch.put_cf(meta, KEY_SYNCED, checkpoint);
        }
        batch.put_cf(meta, KEY_JOURNAL_SYNCED, mark.bytes());
        // Not before the journal has their bytes on the disk.
        let mut superseded = self.superseded();
        if !superseded.is_empty() {
            journal.moved();
        }
        // Readers of a partial root read its upper nodes there, and nothing that is in the journal.
        let is_kept = self.roots()?.iter().any(|record| record.state == RootState::Partial);
        superseded.drain(..).filter(|_| !is_kept).for_each(|hash| batch.delete_cf(staging, hash));
        Ok(())
    }

    /// Puts all that is complete into the database, where others can read it.
    ///
    /// # Errors
    /// When the disk or the database fails, or the store is open for reading only.
    pub fn settle(&self) -> Result<(), StoreError> {
        let journal = self.journal()?;
        self.guard.write(&self.dir, || {
            // What is being sorted meanwhile is not empty until that has ended.
            journal.wait()?;
            if journal.is_empty() { Ok(()) } else { self.rotate(journal)?.run(journal::THREADS_AT_THE_END) }
        })
    }

    /// Begins a new round of the journal. What is staged in those before goes to the database's staging.
    pub(super) fn rotate(&self, journal: &Journal) -> Result<Sorting, StoreError> {
        let (meta, nodes, staging) = (self.family(META)?, self.family(NODES)?, self.family(STAGING)?);
        journal.sync()?;
        let next = journal.next()?;
        let mut batch = WriteBatch::default();
        journal.each_staged(|hash, rlp, is_left| {
            // The run that left it may have given it to the database, complete.
            if is_left && self.db.get_pinned_cf(nodes, hash)?.is_some() {
                return Ok(());
            }
            batch.put_cf(staging, hash, rlp);
            if batch.size_in_bytes() < BATCH_BYTES {
                Ok(())
            } else {
                self.put(std::mem::take(&mut batch), Durability::Log)
            }
        })?;
        batch.put_cf(meta, KEY_JOURNAL, next.mark().bytes());
        self.mark_synced(journal, &mut batch, &next.mark(), None)?;
        self.put(batch, Durability::Log)?;
        Ok(journal.rotate(next, &self.db))
    }

    /// Syncs the journal and the log to the disk.
    ///
    /// # Errors
    /// When the disk says no, or has failed since the last commit while a round was sorted.
    pub fn sync(&self) -> Result<(), StoreError> {
        let Some(journal) = &self.journal else { return Ok(()) };
        self.guard.write(&self.dir, || {
            journal.sorted()?;
            journal.sync()?;
            self.mark(journal, None, None, Durability::Disk)
        })
    }

    pub(super) fn write(&self, batch: WriteBatch, durability: Durability) -> Result<(), StoreError> {
        self.guard.write(&self.dir, || self.put(batch, durability))
    }

    pub(super) fn put(&self, batch: WriteBatch, durability: Durability) -> Result<(), StoreError> {
        let mut options = WriteOptions::default();
        options.set_sync(durability == Durability::Disk);
        self.db.write_opt(batch, &options).map_err(|error| disk_error(&self.dir, error))
    }

    fn journal(&self) -> Result<&Journal, StoreError> {
        self.journal.as_ref().ok_or_else(|| StoreError::ReadOnly { dir: self.dir.clone() })
    }

    fn superseded(&self) -> MutexGuard<'_, Vec<H256>> {
        lock(&self.superseded)
    }
}
