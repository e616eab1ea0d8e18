//! The journal: what was committed and is not in the database yet.
//!
//! Hashes are random, and a log-structured tree that takes random keys one by one sorts them again and again. So a commit
//! only appends to plain files; a full round of them is sorted once and handed to the database as a table. Measured: a
//! third of the CPU time of write batches, and no compaction for the first ten million rows.
//!
//! The files are the durable staging as well. What is known beside the bytes, which of the nodes are complete, is in
//! memory: after a kill all nodes in the journal are staged, as is everything that has come and has something below it.
//!
//! What was committed is what the [`Mark`] in the database says. Bytes after it are of a commit that was cut short.

mod mark;
mod record;
pub(super) mod restore;
mod round;
mod seal;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;

use primitive_types::H256;
use rocksdb::DB;

pub(super) use self::mark::Mark;
use self::record::Record;
use self::round::{Addition, PARTS, Round, part_of};
use super::guard::{disk_error, io_error};
use super::{Presence, StoreError};
use crate::lock::lock;
use crate::trie::{Commit, Key, Kind, Level};

/// How much a round of the journal holds. There are two at a time at most, but right after a kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoundLimits {
    /// Rows, which are known in memory: 50 bytes each.
    pub rows: usize,
    /// Bytes, which bounds a round with many long codes.
    pub bytes: u64,
}

/// Memory of a row's place in a table: hash, place, and the table's own byte.
const ROW_BYTES: usize = 49;

/// Bytes of files for each row, at most: twice what nodes and their codes have on average.
const FILE_BYTES_A_ROW: u64 = 480;

impl RoundLimits {
    /// Limits that keep the tables of two rounds within so many bytes.
    ///
    /// A table's size is a power of two, and it doubles when it is seven eighths full. So a round ends before that, with
    /// room for the sixteen tables of a round not being equally full.
    pub(crate) fn within(bytes: usize) -> Self {
        let places = (bytes / (2 * ROW_BYTES)).max(PARTS);
        let rows = (1 << places.ilog2()) / 16 * 13;
        Self { rows, bytes: rows as u64 * FILE_BYTES_A_ROW }
    }
}

/// The directory in the store's.
const DIRECTORY: &str = "journal";

/// How the names of tables end that are being written.
pub(super) const TABLE: &str = "sst";

/// Threads that sort at the end of a sync, when there is nothing else to do.
pub(super) const THREADS_AT_THE_END: usize = 2;

/// The journal of a store that is open for writing.
#[derive(Debug)]
pub(super) struct Journal {
    /// The store's directory, which is what messages name.
    store: PathBuf,
    /// That of the files.
    dir: PathBuf,
    limits: RoundLimits,
    rounds: Arc<RwLock<Rounds>>,
    /// For the one who appends.
    additions: Mutex<Vec<Addition>>,
    /// How often rows have been taken away where they were, being elsewhere already.
    moves: Arc<AtomicU64>,
    /// The thread that sorts a full round.
    sorter: Mutex<Option<JoinHandle<Result<(), StoreError>>>>,
}

#[derive(Debug, Default)]
struct Rounds {
    /// Those whose rows are found here, the last of which is appended to. There are others only after a kill.
    live: Vec<Round>,
    /// Those that are being sorted. Their complete nodes are found here until the database has them.
    sealing: Vec<Arc<Round>>,
}

impl Journal {
    /// Opens the journal of the store in `store`: every row that an earlier run has committed is staged, or a complete
    /// code.
    pub(super) fn open(store: &Path, limits: RoundLimits, mark: &Mark) -> Result<Self, StoreError> {
        let dir = directory(store);
        let rounds = Self::load(store, &dir, mark).map_err(|error| io_error(store, error))?;
        let additions = Mutex::new((0..PARTS).map(|_| Addition::default()).collect());
        let rounds = Arc::new(RwLock::new(rounds));
        let (moves, sorter) = (Arc::default(), Mutex::default());
        Ok(Self { store: store.into(), dir, limits, rounds, additions, moves, sorter })
    }

    fn load(store: &Path, dir: &Path, mark: &Mark) -> std::io::Result<Rounds> {
        if !dir.exists() {
            std::fs::create_dir_all(dir)?;
            File::open(store)?.sync_all()?;
        }
        for entry in std::fs::read_dir(dir)? {
            let path = entry?.path();
            // A table that was not finished, or not handed over.
            if path.extension().is_some_and(|extension| extension == TABLE) {
                std::fs::remove_file(path)?;
            }
        }
        let mut live = Vec::new();
        for number in Round::list(dir)? {
            if number > mark.round {
                Round::delete(dir, number)?;
            } else {
                live.push(Round::open(dir, number, mark)?);
            }
        }
        let current = mark.round.max(1);
        if live.last().is_none_or(|round| round.number < current) {
            live.push(Round::create(dir, current)?);
        }
        Ok(Rounds { live, sealing: Vec::new() })
    }

    /// How far it is.
    pub(super) fn mark(&self) -> Mark {
        let rounds = self.rounds.read().unwrap_or_else(PoisonError::into_inner);
        rounds.live.last().map_or_else(Mark::default, Round::mark)
    }

    /// Whether there is nothing in it that the database does not have.
    pub(super) fn is_empty(&self) -> bool {
        let rounds = self.rounds.read().unwrap_or_else(PoisonError::into_inner);
        rounds.sealing.is_empty() && rounds.live.iter().all(|round| round.rows() == 0)
    }

    /// A number that another one follows when rows were taken away where they were. Who has looked for a row in one place
    /// after the other, and found it nowhere, has to look again then.
    pub(super) fn moves(&self) -> u64 {
        self.moves.load(Ordering::Acquire)
    }

    /// Rows are about to be taken away.
    pub(super) fn moved(&self) {
        self.moves.fetch_add(1, Ordering::Release);
    }

    /// Whether the round that is appended to has all it is to have. Others, which a kill has left, do not count: what is
    /// staged in them completes without being written again.
    pub(super) fn is_full(&self) -> bool {
        let rounds = self.rounds.read().unwrap_or_else(PoisonError::into_inner);
        let is_full = |round: &Round| round.rows() >= self.limits.rows || round.bytes() >= self.limits.bytes;
        rounds.live.last().is_some_and(is_full)
    }

    /// Appends what a commit brings, and notes what it completes. `moved` are the bytes of nodes that it completes and
    /// that are neither in it nor here.
    pub(super) fn append(&self, commit: &Commit, moved: &[(H256, Level, Vec<u8>)]) -> Result<(), StoreError> {
        let mut additions = lock(&self.additions);
        let written = self.write(&mut additions, commit, moved);
        written.map_err(|error| io_error(&self.store, error))?;
        let mut rounds = self.rounds.write().unwrap_or_else(PoisonError::into_inner);
        let Some(round) = rounds.live.last_mut() else { return Ok(()) };
        for (part, addition) in round.parts.iter_mut().zip(additions.iter_mut()) {
            part.take_in(addition);
        }
        for complete in commit.complete.iter().filter(|complete| complete.bytes.is_none()) {
            let hash = &complete.key.hash;
            // One that was moved has come with its bytes.
            let _ = rounds.live.iter_mut().rev().any(|round| round.complete(hash, complete.level));
        }
        Ok(())
    }

    fn write(
        &self,
        additions: &mut [Addition],
        commit: &Commit,
        moved: &[(H256, Level, Vec<u8>)],
    ) -> std::io::Result<()> {
        let rounds = self.rounds.read().unwrap_or_else(PoisonError::into_inner);
        let Some(round) = rounds.live.last() else { return Ok(()) };
        let mut add = |record: Record<'_>, level| {
            let part = part_of(&record.hash);
            let (Some(addition), Some(file)) = (additions.get_mut(part), round.parts.get(part)) else { return Ok(()) };
            addition.add(file.length(), &record, level)
        };
        for (hash, rlp) in &commit.stage {
            add(Record { is_code: false, hash: *hash, bytes: rlp }, None)?;
        }
        for complete in &commit.complete {
            let Some(bytes) = &complete.bytes else { continue };
            let is_code = complete.key.kind == Kind::Code;
            add(Record { is_code, hash: complete.key.hash, bytes }, Some(complete.level))?;
        }
        for (hash, level, rlp) in moved {
            add(Record { is_code: false, hash: *hash, bytes: rlp }, Some(*level))?;
        }
        round.parts.iter().zip(additions.iter()).try_for_each(|(part, addition)| part.write(addition))
    }

    /// Whether a node's row is in a round that is not being sorted; and if so, whether in one that an earlier run has
    /// left.
    pub(super) fn holds_node(&self, hash: &H256) -> Option<bool> {
        let rounds = self.rounds.read().unwrap_or_else(PoisonError::into_inner);
        rounds.live.iter().rev().find(|round| round.node(hash).is_some()).map(|round| round.is_left)
    }

    /// What is known of the rows of nodes and codes that are complete.
    pub(super) fn complete(&self, keys: &mut [(&Key, &mut Presence)]) {
        let rounds = self.rounds.read().unwrap_or_else(PoisonError::into_inner);
        for (key, answer) in keys {
            let place = rounds.all().find_map(|round| {
                let row = if key.kind == Kind::Code { round.code(&key.hash) } else { round.node(&key.hash) };
                row.and_then(|(_, place)| place.presence())
            });
            if let Some(presence) = place {
                **answer = presence;
            }
        }
    }

    /// The bytes of a staged node. It may have become complete since that was asked for.
    pub(super) fn staged(&self, hash: &H256) -> Result<Option<Vec<u8>>, StoreError> {
        let rounds = self.rounds.read().unwrap_or_else(PoisonError::into_inner);
        let row = rounds.all().find_map(|round| round.node(hash));
        row.map(|(part, place)| part.read(place)).transpose().map_err(|error| io_error(&self.store, error))
    }

    /// The level and the bytes of a complete node.
    pub(super) fn node(&self, hash: &H256) -> Result<Option<(Level, Vec<u8>)>, StoreError> {
        let rounds = self.rounds.read().unwrap_or_else(PoisonError::into_inner);
        let row = rounds.all().find_map(|round| {
            let (part, place) = round.node(hash)?;
            Some((part, place, place.level?))
        });
        let row = row.map(|(part, place, level)| part.read(place).map(|bytes| (level, bytes)));
        row.transpose().map_err(|error| io_error(&self.store, error))
    }

    /// The bytes of a code.
    pub(super) fn code(&self, hash: &H256) -> Result<Option<Vec<u8>>, StoreError> {
        let rounds = self.rounds.read().unwrap_or_else(PoisonError::into_inner);
        let row = rounds.all().find_map(|round| round.code(hash)).map(|(part, place)| part.read(place));
        row.transpose().map_err(|error| io_error(&self.store, error))
    }

    /// How many nodes are staged here.
    pub(super) fn staged_nodes(&self) -> u64 {
        let rounds = self.rounds.read().unwrap_or_else(PoisonError::into_inner);
        rounds.live.iter().map(|round| round.staged().count() as u64).sum()
    }

    /// Calls `take` for each staged node, with whether an earlier run has left it.
    pub(super) fn each_staged(
        &self,
        mut take: impl FnMut(&H256, &[u8], bool) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let rounds = self.rounds.read().unwrap_or_else(PoisonError::into_inner);
        for round in &rounds.live {
            for (part, hash, place) in round.staged() {
                let rlp = part.read(place).map_err(|error| io_error(&self.store, error))?;
                take(hash, &rlp, round.is_left)?;
            }
        }
        Ok(())
    }

    /// The files of the next round, once the rounds before the present one are sorted.
    pub(super) fn next(&self) -> Result<Next, StoreError> {
        self.wait()?;
        Round::create(&self.dir, self.mark().round + 1).map(Next).map_err(|error| io_error(&self.store, error))
    }

    /// Begins the next round. What is complete in those before is to be sorted by [`Sorting::run`], and what is staged in
    /// them has to be elsewhere already.
    pub(super) fn rotate(&self, next: Next, db: &Arc<DB>) -> Sorting {
        let mut rounds = self.rounds.write().unwrap_or_else(PoisonError::into_inner);
        let full = std::mem::replace(&mut rounds.live, vec![next.0]);
        rounds.sealing = full.into_iter().map(Arc::new).collect();
        let full = rounds.sealing.clone();
        drop(rounds);
        Sorting {
            db: db.clone(),
            store: self.store.clone(),
            rounds: self.rounds.clone(),
            moves: self.moves.clone(),
            full,
        }
    }

    /// Sorts in a thread of its own.
    pub(super) fn sort_meanwhile(&self, sorting: Sorting) -> Result<(), StoreError> {
        let thread = std::thread::Builder::new().name("sort".into()).spawn(move || sorting.run(1));
        *lock(&self.sorter) = Some(thread.map_err(|error| io_error(&self.store, error))?);
        Ok(())
    }

    /// What the thread that sorts has met, if it has ended.
    pub(super) fn sorted(&self) -> Result<(), StoreError> {
        let has_ended = lock(&self.sorter).as_ref().is_some_and(JoinHandle::is_finished);
        if has_ended { self.wait() } else { Ok(()) }
    }

    /// Waits for the thread that sorts.
    pub(super) fn wait(&self) -> Result<(), StoreError> {
        let Some(thread) = lock(&self.sorter).take() else { return Ok(()) };
        thread.join().unwrap_or_else(|_| Err(StoreError::Corrupt { what: "the thread that sorts is gone".into() }))
    }

    /// Syncs its files to the disk. Those of rounds that are being sorted have been.
    pub(super) fn sync(&self) -> Result<(), StoreError> {
        let rounds = self.rounds.read().unwrap_or_else(PoisonError::into_inner);
        rounds.live.iter().try_for_each(Round::sync).map_err(|error| io_error(&self.store, error))
    }
}

/// A round with nothing in it.
#[derive(Debug)]
pub(super) struct Next(Round);

impl Next {
    /// How far the journal is when it begins.
    pub(super) fn mark(&self) -> Mark {
        self.0.mark()
    }
}

/// Rounds that are to become tables of the database.
#[derive(Debug)]
pub(super) struct Sorting {
    db: Arc<DB>,
    store: PathBuf,
    rounds: Arc<RwLock<Rounds>>,
    moves: Arc<AtomicU64>,
    full: Vec<Arc<Round>>,
}

impl Sorting {
    /// Gives all that is complete to the database, then removes the rounds and their files.
    pub(super) fn run(self, threads: usize) -> Result<(), StoreError> {
        seal::seal(&self.db, &self.store, &self.full, threads)?;
        // What was staged in them is in the database's log.
        self.db.flush_wal(true).map_err(|error| disk_error(&self.store, error))?;
        self.moves.fetch_add(1, Ordering::Release);
        self.rounds.write().unwrap_or_else(PoisonError::into_inner).sealing.clear();
        let dir = directory(&self.store);
        let delete = |round: &Arc<Round>| Round::delete(&dir, round.number);
        self.full.iter().try_for_each(delete).map_err(|error| io_error(&self.store, error))
    }
}

impl Rounds {
    fn all(&self) -> impl Iterator<Item = &Round> {
        self.live.iter().rev().chain(self.sealing.iter().map(Arc::as_ref))
    }
}

/// Nodes that were committed to the journal of the store in `store`, which another process may be writing.
pub(super) fn nodes_in(store: &Path, mark: &Mark) -> std::io::Result<u64> {
    let dir = directory(store);
    if !dir.exists() {
        return Ok(0);
    }
    Round::list(&dir)?.into_iter().map(|number| Round::count_nodes(&dir, number, mark)).sum()
}

/// Where the journal of the store in `store` is.
pub(super) fn directory(store: &Path) -> PathBuf {
    store.join(DIRECTORY)
}
