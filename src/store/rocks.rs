//! The store itself: opening, reading, and the one way of writing.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use primitive_types::H256;
use rocksdb::{ColumnFamily, DB, DBPinnableSlice, IteratorMode, WriteBatch, WriteOptions};

use super::directory::{check_families, is_database, open_error};
use super::filter::Filter;
use super::guard::{Guard, disk_error};
use super::journal::{self, Journal, Mark, Sorting};
use super::layout::{
    self, CODES, FORMAT_VERSION, KEY_CHAIN_ID, KEY_CHECKPOINT, KEY_FORMAT, KEY_GENESIS, KEY_JOURNAL, KEY_SYNCED, META,
    NODES, OLDEST_FORMAT, PREFIX_ROOT, STAGING, root_key,
};
use super::{Checkpoint, RootRecord, RootState, RoundLimits, StoreError, options};
use crate::trie::{Commit, EMPTY_ROOT, Kind, Level, NodeSource, StoredNode, SurelyAbsent};

/// A batch is written when it has so many bytes: it is in memory twice until then.
const BATCH_BYTES: usize = 4 << 20;

/// A state store in one directory.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    pub(super) db: Arc<DB>,
    guard: Guard,
    /// What was committed and is not in the database yet; only of a store that is open for writing.
    pub(super) journal: Option<Journal>,
    /// What may be in the database, if all of it came from this process.
    pub(super) filter: Option<Arc<Filter>>,
    /// Rows of staging that are not needed any more once the journal is on the disk.
    superseded: Mutex<Vec<H256>>,
}

/// How a store is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// For writing; made if it is not there. One process at a time.
    Create,
    /// For writing, if it is there. One process at a time.
    Write,
    /// As it is on disk now; also while another process writes.
    Read,
}

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

impl Store {
    /// Opens the store in `dir` and checks its format.
    ///
    /// # Errors
    /// [`StoreError::Absent`], [`StoreError::NotAStore`], [`StoreError::Locked`], [`StoreError::OtherFormat`], or what
    /// the system or the database say.
    pub fn open(dir: &Path, access: Access) -> Result<Self, StoreError> {
        Self::open_with(dir, access, RoundLimits::default())
    }

    /// The same, with other limits to a round of the journal, which set the memory that it takes.
    ///
    /// # Errors
    /// As with [`open`](Self::open).
    pub fn open_with(dir: &Path, access: Access, limits: RoundLimits) -> Result<Self, StoreError> {
        Self::open_families(dir, access, limits, false)
    }

    /// Opens the store for writing, and makes the family of preimages if it has none.
    ///
    /// # Errors
    /// As with [`open`](Self::open).
    pub fn open_for_preimages(dir: &Path) -> Result<Self, StoreError> {
        Self::open_families(dir, Access::Write, RoundLimits::default(), true)
    }

    fn open_families(
        dir: &Path,
        access: Access,
        limits: RoundLimits,
        make_preimages: bool,
    ) -> Result<Self, StoreError> {
        let exists = is_database(dir)?;
        if access == Access::Create {
            std::fs::create_dir_all(dir).map_err(|source| StoreError::Io { path: dir.into(), source })?;
        } else if !exists {
            return Err(StoreError::Absent { dir: dir.into() });
        }
        let has_preimages = exists && check_families(dir, access)?;
        let families = options::families(has_preimages || make_preimages);
        let opened = match access {
            Access::Read => DB::open_cf_descriptors_read_only(&options::database(), dir, families, false),
            Access::Create | Access::Write => DB::open_cf_descriptors(&options::database(), dir, families),
        };
        let db = Arc::new(opened.map_err(|error| open_error(dir, error))?);
        let (guard, superseded) = (Guard::default(), Mutex::default());
        let mut store = Self { dir: dir.into(), db, guard, journal: None, filter: None, superseded };
        store.check_format(access)?;
        if access != Access::Read {
            store.journal = Some(Journal::open(dir, limits)?);
            store.check_checkpoint()?;
            store.filter = store.has_no_rows()?.then(|| Arc::new(Filter::new()));
        }
        Ok(store)
    }

    /// After a loss of power the journal may be shorter than the newest checkpoint says. Then the one before counts.
    fn check_checkpoint(&self) -> Result<(), StoreError> {
        let Some(journal) = &self.journal else { return Ok(()) };
        let expected = self.number(KEY_JOURNAL, Mark::from_bytes)?.unwrap_or_default();
        if journal.mark() >= expected {
            return Ok(());
        }
        let (meta, mut batch) = (self.family(META)?, WriteBatch::default());
        match self.db.get_cf(meta, KEY_SYNCED)? {
            Some(checkpoint) => batch.put_cf(meta, KEY_CHECKPOINT, checkpoint),
            None => batch.delete_cf(meta, KEY_CHECKPOINT),
        }
        batch.put_cf(meta, KEY_JOURNAL, journal.mark().bytes());
        self.write(batch, Durability::Disk)
    }

    /// Whether there is nothing that a look-up could find.
    fn has_no_rows(&self) -> Result<bool, StoreError> {
        if !self.journal.as_ref().is_none_or(Journal::is_empty) {
            return Ok(false);
        }
        for family in [NODES, CODES, STAGING] {
            if self.db.iterator_cf(self.family(family)?, IteratorMode::Start).next().transpose()?.is_some() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Pins the chain, or checks it against the one that is pinned.
    ///
    /// # Errors
    /// [`StoreError::OtherChain`] when another chain is pinned.
    pub fn pin_chain(&self, chain_id: u64) -> Result<(), StoreError> {
        match self.chain_id()? {
            None => self.pin(KEY_CHAIN_ID, &chain_id.to_be_bytes()),
            Some(stored) if stored == chain_id => Ok(()),
            Some(stored) => Err(StoreError::OtherChain { stored, wanted: chain_id }),
        }
    }

    /// Pins the hash of the chain's first block, or checks it against the one that is pinned.
    ///
    /// # Errors
    /// [`StoreError::OtherGenesis`] when another one is pinned.
    pub fn pin_genesis(&self, genesis: H256) -> Result<(), StoreError> {
        match self.genesis()? {
            None => self.pin(KEY_GENESIS, genesis.as_bytes()),
            Some(stored) if stored == genesis => Ok(()),
            Some(stored) => Err(StoreError::OtherGenesis { stored, wanted: genesis }),
        }
    }

    fn pin(&self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        let mut batch = WriteBatch::default();
        batch.put_cf(self.family(META)?, key, value);
        self.write(batch, Durability::Log)
    }

    /// The pinned hash of the chain's first block, if it is known.
    ///
    /// # Errors
    /// When the value cannot be read.
    pub fn genesis(&self) -> Result<Option<H256>, StoreError> {
        self.number(KEY_GENESIS, H256)
    }

    /// The pinned chain id, if one is known.
    ///
    /// # Errors
    /// When the value cannot be read.
    pub fn chain_id(&self) -> Result<Option<u64>, StoreError> {
        self.number(KEY_CHAIN_ID, u64::from_be_bytes)
    }

    /// Writes a commit and the marks that are true with it. What is committed is in the journal; with a root that is
    /// complete, all of it comes into the database, and the root's record after it.
    ///
    /// # Errors
    /// When the disk or the database fails, the store is open for reading only, or staging lacks a node that was put
    /// there.
    pub fn commit(&self, commit: &Commit, marks: &Marks, durability: Durability) -> Result<(), StoreError> {
        let journal = self.journal.as_ref().ok_or_else(|| StoreError::ReadOnly { dir: self.dir.clone() })?;
        let moved = self.staged_elsewhere(journal, commit)?;
        let is_last = marks.root.as_ref().is_some_and(|record| record.state == RootState::Complete);
        let durability = if is_last { Durability::Disk } else { durability };
        let sorting = self.guard.write(&self.dir, || {
            journal.append(commit, &moved)?;
            self.note(commit);
            if is_last {
                self.rotate(journal)?.run(journal::THREADS_AT_THE_END)?;
            }
            if durability == Durability::Disk {
                journal.sync()?;
            }
            self.mark(journal, marks, durability)?;
            if journal.is_full() { self.rotate(journal).map(Some) } else { Ok(None) }
        })?;
        match sorting {
            Some(sorting) => self.guard.write(&self.dir, || journal.sort_meanwhile(sorting)),
            None => Ok(()),
        }
    }

    /// Notes what may be in the store from now on.
    fn note(&self, commit: &Commit) {
        let Some(filter) = &self.filter else { return };
        commit.stage.iter().for_each(|(hash, _)| filter.insert(hash));
        let new = commit.complete.iter().filter(|complete| complete.bytes.is_some());
        new.for_each(|complete| filter.insert(&complete.key.hash));
    }

    /// Who knows of hashes that are not in the store, if all that is in it came from this process.
    #[must_use]
    pub fn surely_absent(&self) -> Option<Arc<dyn SurelyAbsent>> {
        self.filter.clone().map(|filter| filter as Arc<dyn SurelyAbsent>)
    }

    /// The nodes that a commit completes and that are staged in the database, with their bytes.
    fn staged_elsewhere(&self, journal: &Journal, commit: &Commit) -> Result<Vec<(H256, Level, Vec<u8>)>, StoreError> {
        let staged = commit.complete.iter().filter(|complete| complete.staged && complete.key.kind != Kind::Code);
        let elsewhere = staged.filter(|complete| !journal.holds_node(&complete.key.hash));
        let mut rows: Vec<(H256, Level, bool)> =
            elsewhere.map(|complete| (complete.key.hash, complete.level, complete.bytes.is_some())).collect();
        rows.sort_unstable();
        self.superseded.lock().unwrap_or_else(PoisonError::into_inner).extend(rows.iter().map(|(hash, ..)| *hash));
        rows.retain(|(_, _, has_come)| !has_come);
        let hashes: Vec<&H256> = rows.iter().map(|(hash, ..)| hash).collect();
        let values = self.values(STAGING, &hashes)?;
        let moved = rows.iter().zip(values).map(|((hash, level, _), rlp)| match rlp {
            Some(rlp) => Ok((*hash, *level, rlp.to_vec())),
            None => Err(StoreError::Corrupt { what: format!("staging lacks node {hash:?}") }),
        });
        moved.collect()
    }

    /// Writes what is true with a commit.
    fn mark(&self, journal: &Journal, marks: &Marks, durability: Durability) -> Result<(), StoreError> {
        let (meta, staging) = (self.family(META)?, self.family(STAGING)?);
        let mut batch = WriteBatch::default();
        if let Some(checkpoint) = &marks.checkpoint {
            let checkpoint = json(checkpoint)?;
            batch.put_cf(meta, KEY_CHECKPOINT, &checkpoint);
            if durability == Durability::Disk {
                batch.put_cf(meta, KEY_SYNCED, checkpoint);
            }
        }
        batch.put_cf(meta, KEY_JOURNAL, journal.mark().bytes());
        if let Some(record) = &marks.root {
            batch.put_cf(meta, root_key(&record.root), json(record)?);
        }
        if durability == Durability::Disk {
            // Not before the journal has their bytes on the disk.
            let superseded = std::mem::take(&mut *self.superseded.lock().unwrap_or_else(PoisonError::into_inner));
            superseded.iter().for_each(|hash| batch.delete_cf(staging, hash));
        }
        self.put(batch, durability)
    }

    /// Puts all that is complete into the database, where others can read it.
    ///
    /// # Errors
    /// When the disk or the database fails, or the store is open for reading only.
    pub fn settle(&self) -> Result<(), StoreError> {
        let journal = self.journal.as_ref().ok_or_else(|| StoreError::ReadOnly { dir: self.dir.clone() })?;
        self.guard.write(&self.dir, || self.rotate(journal)?.run(journal::THREADS_AT_THE_END))
    }

    /// Begins a new round of the journal. What is staged in those before goes to the database's staging.
    fn rotate(&self, journal: &Journal) -> Result<Sorting, StoreError> {
        let (meta, staging) = (self.family(META)?, self.family(STAGING)?);
        journal.sync()?;
        let next = journal.next()?;
        let mut batch = WriteBatch::default();
        journal.each_staged(|hash, rlp| {
            batch.put_cf(staging, hash, rlp);
            if batch.size_in_bytes() < BATCH_BYTES {
                Ok(())
            } else {
                self.put(std::mem::take(&mut batch), Durability::Log)
            }
        })?;
        batch.put_cf(meta, KEY_JOURNAL, next.mark().bytes());
        self.put(batch, Durability::Log)?;
        Ok(journal.rotate(next, &self.db))
    }

    /// Notes that a sync to a root begins. Roots that were begun and never completed are forgotten: what they brought
    /// stays, in `nodes` and in staging.
    ///
    /// # Errors
    /// When the database fails.
    pub fn begin_root(&self, record: &RootRecord) -> Result<(), StoreError> {
        let meta = self.family(META)?;
        let mut batch = WriteBatch::default();
        for other in self.roots()? {
            if other.state == RootState::Syncing && other.root != record.root {
                batch.delete_cf(meta, root_key(&other.root));
            }
        }
        let record = match self.root(&record.root)? {
            Some(known) => RootRecord { block: record.block.clone().or(known.block), ..known },
            None => record.clone(),
        };
        batch.put_cf(meta, root_key(&record.root), json(&record)?);
        self.write(batch, Durability::Disk)
    }

    /// Removes every row of staging: nothing there is reachable from a root that is being synced. Keeps them while a root
    /// is damaged, whose upper nodes are there.
    ///
    /// # Errors
    /// When the database fails.
    pub fn clear_staging(&self) -> Result<(), StoreError> {
        if self.roots()?.iter().any(|record| record.state == RootState::Damaged) {
            return Ok(());
        }
        self.settle()?;
        let mut batch = WriteBatch::default();
        // Past the highest 32-byte key.
        batch.delete_range_cf(self.family(STAGING)?, [].as_slice(), [0xff; 33].as_slice());
        self.write(batch, Durability::Disk)
    }

    /// A complete node's RLP. The empty trie's root is known without being stored.
    ///
    /// # Errors
    /// When the database fails.
    pub fn node(&self, hash: &H256) -> Result<Option<Vec<u8>>, StoreError> {
        if *hash == EMPTY_ROOT {
            return Ok(Some(vec![rlp::NULL_RLP[0]]));
        }
        Ok(self.stored_node(hash)?.map(|node| node.rlp))
    }

    fn stored_node(&self, hash: &H256) -> Result<Option<StoredNode>, StoreError> {
        if let Some(journal) = &self.journal
            && let Some((level, rlp)) = journal.node(hash)?
        {
            return Ok(Some(StoredNode { level: Some(level), rlp }));
        }
        let row = self.db.get_pinned_cf(self.family(NODES)?, hash)?;
        Ok(row.map(|row| {
            let (level, rlp) = layout::node(&row);
            StoredNode { level: Some(level), rlp: rlp.to_vec() }
        }))
    }

    /// A code's bytes.
    ///
    /// # Errors
    /// When the database fails.
    pub fn code(&self, hash: &H256) -> Result<Option<Vec<u8>>, StoreError> {
        if let Some(journal) = &self.journal
            && let Some(code) = journal.code(hash)?
        {
            return Ok(Some(code));
        }
        Ok(self.db.get_cf(self.family(CODES)?, hash)?)
    }

    /// The checkpoint of the running or last sync.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn checkpoint(&self) -> Result<Option<Checkpoint>, StoreError> {
        self.record(KEY_CHECKPOINT)
    }

    /// The record of one root.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn root(&self, root: &H256) -> Result<Option<RootRecord>, StoreError> {
        self.record(&root_key(root))
    }

    /// The records of all roots, in the order of their hashes.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn roots(&self) -> Result<Vec<RootRecord>, StoreError> {
        let mut roots = Vec::new();
        for row in self.db.iterator_cf(self.family(META)?, IteratorMode::Start) {
            let (key, value) = row?;
            if key.starts_with(PREFIX_ROOT) {
                roots.push(parse(&key, &value)?);
            }
        }
        Ok(roots)
    }

    /// How many nodes are staged: all in the journal, as far as it is read from the disk. Counts them one by one.
    ///
    /// # Errors
    /// When the database fails, or the journal cannot be read.
    pub fn staged_nodes(&self) -> Result<u64, StoreError> {
        let mut count = match &self.journal {
            Some(journal) => journal.staged_nodes(),
            None => journal::nodes_in(&self.dir).map_err(|source| StoreError::Io { path: self.dir.clone(), source })?,
        };
        for row in self.db.iterator_cf(self.family(STAGING)?, IteratorMode::Start) {
            row?;
            count += 1;
        }
        Ok(count)
    }

    /// Bytes that the directory takes on disk.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn disk_bytes(&self) -> Result<u64, StoreError> {
        let mut bytes = 0;
        for dir in [self.dir.clone(), journal::directory(&self.dir)] {
            let failed = |source| StoreError::Io { path: dir.clone(), source };
            let entries = match std::fs::read_dir(&dir) {
                // A store of format 2 that was never written since has no journal.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                entries => entries.map_err(failed)?,
            };
            for entry in entries {
                // A file may go between listing and asking: the database is live.
                if let Ok(metadata) = entry.map_err(failed)?.metadata() {
                    bytes += if metadata.is_file() { metadata.len() } else { 0 };
                }
            }
        }
        Ok(bytes)
    }

    /// The directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Syncs the journal and the log to the disk.
    ///
    /// # Errors
    /// When the disk says no.
    pub fn sync(&self) -> Result<(), StoreError> {
        let Some(journal) = &self.journal else { return Ok(()) };
        let checkpoint = self.checkpoint()?;
        let marks = Marks { checkpoint, root: None };
        self.guard.write(&self.dir, || {
            journal.sync()?;
            self.mark(journal, &marks, Durability::Disk)
        })
    }

    pub(super) fn write(&self, batch: WriteBatch, durability: Durability) -> Result<(), StoreError> {
        self.guard.write(&self.dir, || self.put(batch, durability))
    }

    fn put(&self, batch: WriteBatch, durability: Durability) -> Result<(), StoreError> {
        let mut options = WriteOptions::default();
        options.set_sync(durability == Durability::Disk);
        self.db.write_opt(batch, &options).map_err(|error| disk_error(&self.dir, error))
    }

    pub(super) fn values(
        &self,
        family: &str,
        sorted: &[&H256],
    ) -> Result<Vec<Option<DBPinnableSlice<'_>>>, StoreError> {
        let values = self.db.batched_multi_get_cf(self.family(family)?, sorted.iter().copied(), true);
        Ok(values.into_iter().collect::<Result<_, _>>()?)
    }

    pub(super) fn record<T: serde::de::DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, StoreError> {
        self.db.get_cf(self.family(META)?, key)?.map(|value| parse(key, &value)).transpose()
    }

    fn number<const N: usize, T>(&self, key: &[u8], from: fn([u8; N]) -> T) -> Result<Option<T>, StoreError> {
        let Some(value) = self.db.get_cf(self.family(META)?, key)? else { return Ok(None) };
        match value.try_into() {
            Ok(bytes) => Ok(Some(from(bytes))),
            Err(_) => Err(StoreError::Corrupt { what: format!("{} is not {N} bytes", key.escape_ascii()) }),
        }
    }

    pub(super) fn family(&self, name: &str) -> Result<&ColumnFamily, StoreError> {
        self.db.cf_handle(name).ok_or_else(|| StoreError::Corrupt { what: format!("family {name} is missing") })
    }

    fn check_format(&self, access: Access) -> Result<(), StoreError> {
        let found = match self.number(KEY_FORMAT, u32::from_be_bytes)? {
            Some(FORMAT_VERSION) => return Ok(()),
            Some(older @ OLDEST_FORMAT..FORMAT_VERSION) if access == Access::Read => {
                tracing::debug!(older, "a store of an older format");
                return Ok(());
            }
            Some(OLDEST_FORMAT..FORMAT_VERSION) => return self.put_format(),
            Some(other) => format!("format {other}"),
            None if access == Access::Read => return Err(StoreError::Absent { dir: self.dir.clone() }),
            None => {
                // Made just now, or by a run that was killed before it came to this line.
                return self.put_format();
            }
        };
        Err(StoreError::OtherFormat { dir: self.dir.clone(), found })
    }

    fn put_format(&self) -> Result<(), StoreError> {
        let mut batch = WriteBatch::default();
        batch.put_cf(self.family(META)?, KEY_FORMAT, FORMAT_VERSION.to_be_bytes());
        self.write(batch, Durability::Disk)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // The thread that sorts must not outlive the process's use of the database. Nobody is left to tell.
        if let Some(Err(error)) = self.journal.as_ref().map(Journal::wait) {
            tracing::error!(%error, "the journal could not be sorted");
        }
    }
}

impl NodeSource for Store {
    type Error = StoreError;

    fn node(&self, hash: &H256) -> Result<Option<StoredNode>, StoreError> {
        self.stored_node(hash)
    }

    fn code(&self, hash: &H256) -> Result<Option<Vec<u8>>, StoreError> {
        Self::code(self, hash)
    }
}

pub(super) fn json<T: serde::Serialize>(record: &T) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(record)
        .map_err(|error| StoreError::Corrupt { what: format!("a record cannot be written: {error}") })
}

fn parse<T: serde::de::DeserializeOwned>(key: &[u8], value: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(value)
        .map_err(|error| StoreError::Corrupt { what: format!("record {}: {error}", key.escape_ascii()) })
}
