//! The store itself: opening, reading, and its records.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use primitive_types::H256;
use rocksdb::{ColumnFamily, DB, DBPinnableSlice, IteratorMode, WriteBatch};

use super::directory::{check_families, is_damage, is_database, open_error};
use super::filter::Filter;
use super::guard::Guard;
use super::journal::{self, Journal, Mark};
use super::layout::{
    self, CODES, FORMAT_VERSION, KEY_CHAIN_ID, KEY_CHECKPOINT, KEY_FORMAT, KEY_GENESIS, KEY_JOURNAL,
    KEY_JOURNAL_SYNCED, KEY_SYNCED, META, NODES, OLDEST_FORMAT, PREFIX_ROOT, STAGING, root_key,
};
use super::{Checkpoint, Durability, RootRecord, RootState, StoreError, StoreMemory, options};
use crate::trie::{EMPTY_ROOT, Level, NodeSource, StoredNode, SurelyAbsent};

/// A state store in one directory.
#[derive(Debug)]
pub struct Store {
    pub(super) dir: PathBuf,
    pub(super) db: Arc<DB>,
    pub(super) guard: Guard,
    /// What was committed and is not in the database yet; only of a store that is open for writing.
    pub(super) journal: Option<Journal>,
    /// What may be in the database, if all of it came from this process.
    pub(super) filter: Option<Arc<Filter>>,
    /// Rows of staging that are not needed any more once the journal is on the disk.
    pub(super) superseded: Mutex<Vec<H256>>,
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

impl Store {
    /// Opens the store in `dir` and checks its format.
    ///
    /// # Errors
    /// [`StoreError::Absent`], [`StoreError::NotAStore`], [`StoreError::Locked`], [`StoreError::OtherFormat`], or what
    /// the system or the database say.
    pub fn open(dir: &Path, access: Access) -> Result<Self, StoreError> {
        Self::open_with(dir, access, StoreMemory::default())
    }

    /// The same, with another memory than the usual.
    ///
    /// # Errors
    /// As with [`open`](Self::open).
    pub fn open_with(dir: &Path, access: Access, memory: StoreMemory) -> Result<Self, StoreError> {
        Self::open_families(dir, access, memory, false)
    }

    /// Opens the store for writing, and makes the family of preimages if it has none.
    ///
    /// # Errors
    /// As with [`open`](Self::open).
    pub fn open_for_preimages(dir: &Path) -> Result<Self, StoreError> {
        Self::open_families(dir, Access::Write, StoreMemory::default(), true)
    }

    fn open_families(
        dir: &Path,
        access: Access,
        memory: StoreMemory,
        make_preimages: bool,
    ) -> Result<Self, StoreError> {
        let exists = is_database(dir)?;
        if access == Access::Create {
            std::fs::create_dir_all(dir).map_err(|source| StoreError::Io { path: dir.into(), source })?;
        } else if !exists {
            return Err(StoreError::Absent { dir: dir.into() });
        }
        let has_preimages = exists && check_families(dir, access)?;
        let families = || options::families(memory.cache_bytes, has_preimages || make_preimages);
        let open = || match access {
            Access::Read => DB::open_cf_descriptors_read_only(&options::database(), dir, families(), false),
            Access::Create | Access::Write => DB::open_cf_descriptors(&options::database(), dir, families()),
        };
        let opened = match open() {
            Err(error) if access != Access::Read && is_damage(&error) && journal::restore::tables(dir) => open(),
            opened => opened,
        };
        let db = Arc::new(opened.map_err(|error| open_error(dir, error))?);
        let (guard, superseded) = (Guard::default(), Mutex::default());
        let mut store = Self { dir: dir.into(), db, guard, journal: None, filter: None, superseded };
        store.check_format(access)?;
        if access != Access::Read {
            let mark = store.number(KEY_JOURNAL, Mark::from_bytes)?.unwrap_or_default();
            store.journal = Some(Journal::open(dir, memory.round, &mark)?);
            store.check_checkpoint(&mark)?;
            store.filter = store.has_no_rows()?.then(|| Arc::new(Filter::new()));
        }
        Ok(store)
    }

    /// After a loss of power the journal may be shorter than the newest checkpoint says. Then the one of the last sync
    /// counts; and none if even that says more than is there, which takes damage.
    fn check_checkpoint(&self, expected: &Mark) -> Result<(), StoreError> {
        let Some(journal) = &self.journal else { return Ok(()) };
        let mark = journal.mark();
        if mark.covers(expected) {
            return Ok(());
        }
        let meta = self.family(META)?;
        let synced = self.number(KEY_JOURNAL_SYNCED, Mark::from_bytes)?.unwrap_or_default();
        let checkpoint = if mark.covers(&synced) { self.db.get_cf(meta, KEY_SYNCED)? } else { None };
        tracing::warn!(is_known = checkpoint.is_some(), "the journal has lost its end: an earlier checkpoint counts");
        let mut batch = WriteBatch::default();
        for key in [KEY_CHECKPOINT, KEY_SYNCED] {
            match &checkpoint {
                Some(checkpoint) => batch.put_cf(meta, key, checkpoint),
                None => batch.delete_cf(meta, key),
            }
        }
        for key in [KEY_JOURNAL, KEY_JOURNAL_SYNCED] {
            batch.put_cf(meta, key, mark.bytes());
        }
        self.guard.write(&self.dir, || {
            journal.sync()?;
            self.put(batch, Durability::Disk)
        })
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

    /// The format that it has on the disk. One of format 2 that was opened for reading stays so.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn format(&self) -> Result<u32, StoreError> {
        Ok(self.number(KEY_FORMAT, u32::from_be_bytes)?.unwrap_or(FORMAT_VERSION))
    }

    /// Who knows of hashes that are not in the store, if all that is in it came from this process.
    #[must_use]
    pub fn surely_absent(&self) -> Option<Arc<dyn SurelyAbsent>> {
        self.filter.clone().map(|filter| filter as Arc<dyn SurelyAbsent>)
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
            Some(known) => record.clone().begun_after(known),
            None => record.clone(),
        };
        batch.put_cf(meta, root_key(&record.root), json(&record)?);
        self.write(batch, Durability::Disk)
    }

    /// Removes every row of staging: nothing there is reachable from a root that is being synced. Keeps them while a root
    /// is damaged, whose upper nodes are there, and those on the way to the scopes of partial roots.
    ///
    /// # Errors
    /// When the database fails.
    pub fn clear_staging(&self) -> Result<(), StoreError> {
        if self.roots()?.iter().any(|record| record.state == RootState::Damaged) {
            return Ok(());
        }
        self.settle()?;
        let mut batch = WriteBatch::default();
        self.empty_staging(&mut batch, &self.staged_on_the_way()?.into_iter().collect())?;
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

    /// The RLP of each of many complete nodes, in their order.
    ///
    /// # Errors
    /// When the database fails.
    pub fn nodes(&self, hashes: &[H256]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let nodes = hashes.iter().zip(self.stored_nodes(hashes)?);
        let rlp = |(hash, node): (&H256, Option<StoredNode>)| match node {
            Some(node) => Ok(Some(node.rlp)),
            // It may be the empty trie's root.
            None => self.node(hash),
        };
        nodes.map(rlp).collect()
    }

    /// Many complete nodes, in their order. Together they cost three quarters of what they cost one by one.
    pub(crate) fn stored_nodes(&self, hashes: &[H256]) -> Result<Vec<Option<StoredNode>>, StoreError> {
        let mut sorted: Vec<(&H256, usize)> = hashes.iter().zip(0..).collect();
        sorted.sort_unstable();
        let keys: Vec<&H256> = sorted.iter().map(|(hash, _)| *hash).collect();
        let mut nodes = vec![None; hashes.len()];
        for ((hash, place), row) in sorted.iter().zip(self.values(NODES, &keys)?) {
            let node = match row {
                Some(row) => Some(stored(&row)),
                None if self.journal.is_some() => self.stored_node(hash)?,
                None => None,
            };
            if let Some(place) = nodes.get_mut(*place) {
                *place = node;
            }
        }
        Ok(nodes)
    }

    fn stored_node(&self, hash: &H256) -> Result<Option<StoredNode>, StoreError> {
        if let Some(journal) = &self.journal
            && let Some((level, rlp)) = journal.node(hash)?
        {
            return Ok(Some(StoredNode { level: Some(level), rlp }));
        }
        let row = self.db.get_pinned_cf(self.family(NODES)?, hash)?;
        Ok(row.map(|row| stored(&row)))
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

    /// How many nodes are staged. Counts them one by one, and one twice that a kill has left in the journal and in the
    /// database. Open for reading, all in the journal count: which of them are complete, only the writer knows.
    ///
    /// # Errors
    /// When the database fails, or the journal cannot be read.
    pub fn staged_nodes(&self) -> Result<u64, StoreError> {
        let mut count = if let Some(journal) = &self.journal {
            journal.staged_nodes()
        } else {
            let mark = self.number(KEY_JOURNAL, Mark::from_bytes)?.unwrap_or_default();
            let nodes = journal::nodes_in(&self.dir, &mark);
            nodes.map_err(|source| StoreError::Io { path: journal::directory(&self.dir), source })?
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
            Some(OLDEST_FORMAT..FORMAT_VERSION) => return self.upgrade(),
            Some(other) => format!("format {other}"),
            None if access == Access::Read => return Err(StoreError::Absent { dir: self.dir.clone() }),
            None => {
                // Made just now, or by a run that was killed before it came to this line.
                return self.put_format();
            }
        };
        Err(StoreError::OtherFormat { dir: self.dir.clone(), found })
    }

    /// A store of format 2 has all that its checkpoint counts in the database.
    fn upgrade(&self) -> Result<(), StoreError> {
        let (meta, mut batch) = (self.family(META)?, WriteBatch::default());
        if let Some(checkpoint) = self.db.get_cf(meta, KEY_CHECKPOINT)? {
            batch.put_cf(meta, KEY_SYNCED, checkpoint);
        }
        batch.put_cf(meta, KEY_FORMAT, FORMAT_VERSION.to_be_bytes());
        self.write(batch, Durability::Disk)
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

    fn scan(&self, first: u8, take: &mut dyn FnMut(H256, Level, &[u8])) -> Result<bool, StoreError> {
        self.scan_nodes(first, take).map(|()| true)
    }
}

fn stored(row: &[u8]) -> StoredNode {
    let (level, rlp) = layout::node(row);
    StoredNode { level: Some(level), rlp: rlp.to_vec() }
}

pub(super) fn json<T: serde::Serialize>(record: &T) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(record)
        .map_err(|error| StoreError::Corrupt { what: format!("a record cannot be written: {error}") })
}

fn parse<T: serde::de::DeserializeOwned>(key: &[u8], value: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(value)
        .map_err(|error| StoreError::Corrupt { what: format!("record {}: {error}", key.escape_ascii()) })
}
