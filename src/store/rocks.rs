//! The store itself: opening, reading, and the one way of writing.

use std::path::{Path, PathBuf};

use primitive_types::H256;
use rocksdb::{ColumnFamily, DB, DBPinnableSlice, IteratorMode, WriteBatch, WriteOptions};

use super::directory::{check_families, is_database, open_error};
use super::guard::Guard;
use super::layout::{
    self, CODES, FORMAT_VERSION, KEY_CHAIN_ID, KEY_CHECKPOINT, KEY_FORMAT, KEY_GENESIS, META, NODES, PREFIX_ROOT,
    STAGING, root_key,
};
use super::{Checkpoint, RootRecord, RootState, StoreError, options};
use crate::trie::{Commit, EMPTY_ROOT, Key, Kind, Level, NodeSource, StoredNode, is_branch};

/// A state store in one directory.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    pub(super) db: DB,
    guard: Guard,
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

/// What the store knows of an item.
#[derive(Debug, PartialEq, Eq)]
pub enum Presence {
    /// It is there, with everything below it.
    Complete {
        /// The level it is stored with; all codes have the same.
        level: Level,
        /// Whether it is a branch.
        is_branch: bool,
    },
    /// Its bytes were downloaded; something below it may be missing.
    Staged(Vec<u8>),
    /// Nothing.
    Absent,
}

impl Store {
    /// Opens the store in `dir` and checks its format.
    ///
    /// # Errors
    /// [`StoreError::Absent`], [`StoreError::NotAStore`], [`StoreError::Locked`], [`StoreError::OtherFormat`], or what
    /// the system or the database say.
    pub fn open(dir: &Path, access: Access) -> Result<Self, StoreError> {
        let exists = is_database(dir)?;
        if access == Access::Create {
            std::fs::create_dir_all(dir).map_err(|source| StoreError::Io { path: dir.into(), source })?;
        } else if !exists {
            return Err(StoreError::Absent { dir: dir.into() });
        }
        if exists {
            check_families(dir, access)?;
        }
        let opened = match access {
            Access::Read => DB::open_cf_descriptors_read_only(&options::database(), dir, options::families(), false),
            Access::Create | Access::Write => DB::open_cf_descriptors(&options::database(), dir, options::families()),
        };
        let db = opened.map_err(|error| open_error(dir, error))?;
        let store = Self { dir: dir.into(), db, guard: Guard::default() };
        store.check_format(access)?;
        Ok(store)
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

    /// What the store knows of each key, in the keys' order.
    ///
    /// # Errors
    /// When the database fails.
    pub fn presence(&self, keys: &[Key]) -> Result<Vec<Presence>, StoreError> {
        let mut answers: Vec<Presence> = keys.iter().map(|_| Presence::Absent).collect();
        let code = |_: &[u8]| Presence::Complete { level: Level::CODE, is_branch: false };
        self.look_up(CODES, keys, &mut answers, |key| key.kind == Kind::Code, code)?;
        let node = |row: &[u8]| {
            let (level, rlp) = layout::node(row);
            Presence::Complete { level, is_branch: is_branch(rlp) }
        };
        self.look_up(NODES, keys, &mut answers, |key| key.kind != Kind::Code, node)?;
        let staged = |bytes: &[u8]| Presence::Staged(bytes.to_vec());
        self.look_up(STAGING, keys, &mut answers, |key| key.kind != Kind::Code, staged)?;
        Ok(answers)
    }

    /// Asks one family for the keys that are `of_kind` and still absent, in one sorted batch.
    fn look_up(
        &self,
        family: &str,
        keys: &[Key],
        answers: &mut [Presence],
        of_kind: impl Fn(&Key) -> bool,
        found: impl Fn(&[u8]) -> Presence,
    ) -> Result<(), StoreError> {
        let open = keys.iter().zip(answers.iter_mut());
        let mut open: Vec<(&H256, &mut Presence)> = open
            .filter(|(key, answer)| of_kind(key) && **answer == Presence::Absent)
            .map(|(key, answer)| (&key.hash, answer))
            .collect();
        if open.is_empty() {
            return Ok(());
        }
        // Sorted input halves the cost of a miss.
        open.sort_unstable_by_key(|(hash, _)| **hash);
        let hashes: Vec<&H256> = open.iter().map(|(hash, _)| *hash).collect();
        for ((_, answer), value) in open.iter_mut().zip(self.values(family, &hashes)?) {
            if let Some(value) = value {
                **answer = found(&value);
            }
        }
        Ok(())
    }

    /// Writes a commit and the marks that are true with it, as one batch. Staged nodes that are complete now move to the
    /// nodes family.
    ///
    /// # Errors
    /// When the database fails, or staging lacks a node that was put there.
    pub fn commit(&self, commit: &Commit, marks: &Marks, durability: Durability) -> Result<(), StoreError> {
        let (nodes, codes, staging, meta) =
            (self.family(NODES)?, self.family(CODES)?, self.family(STAGING)?, self.family(META)?);
        let mut batch = WriteBatch::default();
        for (hash, rlp) in &commit.stage {
            batch.put_cf(staging, hash, rlp);
        }
        let (mut from_staging, mut row) = (Vec::new(), Vec::new());
        for complete in &commit.complete {
            let hash = complete.key.hash;
            match &complete.bytes {
                Some(code) if complete.key.kind == Kind::Code => batch.put_cf(codes, hash, code),
                Some(rlp) => batch.put_cf(nodes, hash, layout::node_row(&mut row, complete.level, rlp)),
                None => from_staging.push((hash, complete.level)),
            }
            if complete.staged {
                batch.delete_cf(staging, hash);
            }
        }
        self.move_from_staging(&mut from_staging, &mut batch)?;
        if let Some(checkpoint) = &marks.checkpoint {
            batch.put_cf(meta, KEY_CHECKPOINT, json(checkpoint)?);
        }
        if let Some(record) = &marks.root {
            batch.put_cf(meta, root_key(&record.root), json(record)?);
        }
        self.write(batch, durability)
    }

    fn move_from_staging(&self, nodes: &mut [(H256, Level)], batch: &mut WriteBatch) -> Result<(), StoreError> {
        nodes.sort_unstable();
        let hashes: Vec<&H256> = nodes.iter().map(|(hash, _)| hash).collect();
        let (family, mut row) = (self.family(NODES)?, Vec::new());
        for ((hash, level), rlp) in nodes.iter().zip(self.values(STAGING, &hashes)?) {
            let Some(rlp) = rlp else {
                return Err(StoreError::Corrupt { what: format!("staging lacks node {hash:?}") });
            };
            batch.put_cf(family, hash, layout::node_row(&mut row, *level, &rlp));
        }
        Ok(())
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

    /// How many nodes are staged. Counts them one by one.
    ///
    /// # Errors
    /// When the database fails.
    pub fn staged_nodes(&self) -> Result<u64, StoreError> {
        let mut count = 0;
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
        let failed = |source| StoreError::Io { path: self.dir.clone(), source };
        let mut bytes = 0;
        for entry in std::fs::read_dir(&self.dir).map_err(failed)? {
            // A file may go between listing and asking: the database is live.
            if let Ok(metadata) = entry.map_err(failed)?.metadata() {
                bytes += if metadata.is_file() { metadata.len() } else { 0 };
            }
        }
        Ok(bytes)
    }

    /// The directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Syncs the log to the disk.
    ///
    /// # Errors
    /// When the disk says no.
    pub fn sync(&self) -> Result<(), StoreError> {
        self.guard.write(&self.dir, || self.db.flush_wal(true))
    }

    pub(super) fn write(&self, batch: WriteBatch, durability: Durability) -> Result<(), StoreError> {
        let mut options = WriteOptions::default();
        options.set_sync(durability == Durability::Disk);
        self.guard.write(&self.dir, || self.db.write_opt(batch, &options))
    }

    fn values(&self, family: &str, sorted: &[&H256]) -> Result<Vec<Option<DBPinnableSlice<'_>>>, StoreError> {
        let values = self.db.batched_multi_get_cf(self.family(family)?, sorted.iter().copied(), true);
        Ok(values.into_iter().collect::<Result<_, _>>()?)
    }

    fn record<T: serde::de::DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, StoreError> {
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
            Some(other) => format!("format {other}"),
            None if access == Access::Read => return Err(StoreError::Absent { dir: self.dir.clone() }),
            None => {
                // Made just now, or by a run that was killed before it came to this line.
                let mut batch = WriteBatch::default();
                batch.put_cf(self.family(META)?, KEY_FORMAT, FORMAT_VERSION.to_be_bytes());
                return self.write(batch, Durability::Disk);
            }
        };
        Err(StoreError::OtherFormat { dir: self.dir.clone(), found })
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
