//! A store in memory that behaves as the one on disk does: it keeps its log, so that it can be cut, and knows what is only
//! in its journal.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use primitive_types::H256;

use crate::pipeline::commit::Job;
use crate::store::{Checkpoint, Presence, RootRecord, RootState};
use crate::trie::{Key, Kind, Level, SurelyAbsent, is_branch};

/// What the store holds.
#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    /// With the level that is stored before each.
    pub(super) nodes: BTreeMap<H256, (Level, Vec<u8>)>,
    pub(super) codes: BTreeMap<H256, Vec<u8>>,
    pub(super) staging: BTreeMap<H256, Vec<u8>>,
    /// Nodes that are complete and not in the database yet: staged again when the process dies.
    unsettled: BTreeSet<H256>,
    pub(super) checkpoint: Option<Checkpoint>,
    pub(super) roots: BTreeMap<H256, RootRecord>,
}

impl Content {
    /// Nodes and codes.
    pub(super) fn rows(&self) -> u64 {
        (self.nodes.len() + self.codes.len() + self.staging.len()) as u64
    }
}

/// The store: what it holds, and what it held after each write since the last sync to the disk.
#[derive(Debug, Default)]
pub(super) struct SimStore {
    pub(super) now: Content,
    on_disk: Content,
    since: Vec<Content>,
    written: Arc<Written>,
}

/// The hashes of all that was written to a store that was empty before, and some that were not.
#[derive(Debug, Default)]
struct Written(Mutex<BTreeSet<H256>>);

impl SurelyAbsent for Written {
    fn is_surely_absent(&self, hash: &H256) -> bool {
        // One in eight is not known for sure, as with a filter.
        !hash.as_bytes()[31].is_multiple_of(8) && !self.0.lock().unwrap().contains(hash)
    }
}

impl SimStore {
    pub(super) fn presence(&self, key: &Key) -> Presence {
        let hash = &key.hash;
        if key.kind == Kind::Code {
            let present = Presence::Complete { level: Level::CODE, is_branch: false };
            return if self.now.codes.contains_key(hash) { present } else { Presence::Absent };
        }
        match (self.now.nodes.get(hash), self.now.staging.get(hash)) {
            (Some((level, rlp)), _) => Presence::Complete { level: *level, is_branch: is_branch(rlp) },
            (None, Some(bytes)) => Presence::Staged(bytes.clone()),
            (None, None) => Presence::Absent,
        }
    }

    /// The bytes of a complete node or of a code.
    pub(super) fn bytes(&self, key: &Key) -> Option<&Vec<u8>> {
        if key.kind == Kind::Code {
            return self.now.codes.get(&key.hash);
        }
        self.now.nodes.get(&key.hash).map(|(_, rlp)| rlp)
    }

    /// Who knows what is not there, for a process that begins now.
    pub(super) fn surely_absent(&mut self) -> Option<Arc<dyn SurelyAbsent>> {
        self.written = Arc::default();
        (self.now.rows() == 0).then(|| self.written.clone() as Arc<dyn SurelyAbsent>)
    }

    /// Writes a commit; what was missing in staging is an error.
    pub(super) fn commit(&mut self, job: &Job, synced: bool) -> Result<(), String> {
        let content = &mut self.now;
        let hashes = job.commit.stage.iter().map(|(hash, _)| *hash);
        self.written
            .0
            .lock()
            .unwrap()
            .extend(hashes.chain(job.commit.complete.iter().map(|complete| complete.key.hash)));
        for (hash, rlp) in &job.commit.stage {
            content.staging.insert(*hash, rlp.clone());
        }
        for complete in &job.commit.complete {
            let hash = complete.key.hash;
            let bytes = match &complete.bytes {
                Some(bytes) => bytes.clone(),
                None => content.staging.get(&hash).cloned().ok_or(format!("staging lacks {hash:?}"))?,
            };
            if complete.key.kind == Kind::Code {
                content.codes.insert(hash, bytes);
            } else {
                content.nodes.insert(hash, (complete.level, bytes));
                content.unsettled.insert(hash);
            }
            if complete.staged {
                content.staging.remove(&hash);
            }
        }
        content.checkpoint = job.marks.checkpoint.clone().or(content.checkpoint.take());
        if let Some(record) = &job.marks.root {
            let record = match content.roots.remove(&record.root) {
                Some(known) => record.clone().reached_after(known),
                None => record.clone(),
            };
            content.roots.insert(record.root, record);
        }
        self.written(synced);
        if job.commit.root_complete || job.commit.scope_complete {
            self.settle();
        }
        Ok(())
    }

    /// All that is complete comes into the database: a round of the journal is full, or the root is complete.
    pub(super) fn settle(&mut self) {
        self.now.unsettled.clear();
        self.written(true);
    }

    /// The process dies.
    pub(super) fn die(&mut self) {
        let content = &mut self.now;
        for hash in std::mem::take(&mut content.unsettled) {
            if let Some((_, rlp)) = content.nodes.remove(&hash) {
                content.staging.insert(hash, rlp);
            }
        }
    }

    pub(super) fn begin_root(&mut self, record: &RootRecord) {
        self.now.roots.retain(|root, other| other.state != RootState::Syncing || *root == record.root);
        let record = match self.now.roots.remove(&record.root) {
            Some(known) => record.clone().begun_after(known),
            None => record.clone(),
        };
        self.now.roots.insert(record.root, record);
        self.written(true);
    }

    /// All but what partial roots need.
    pub(super) fn clear_staging(&mut self, is_needed: impl Fn(&H256) -> bool) {
        self.settle();
        self.now.staging.retain(|hash, _| is_needed(hash));
        self.written(true);
    }

    fn written(&mut self, synced: bool) {
        if synced {
            self.on_disk = self.now.clone();
            self.since.clear();
        } else {
            self.since.push(self.now.clone());
        }
    }

    /// Power is lost: of what was written since the last sync, the log has the first so many writes. Of their rows the
    /// journal has those that `is_left` says; if there are others, the checkpoint of the last sync counts,
    /// and this is true.
    pub(super) fn lose_power(&mut self, left: usize, mut is_left: impl FnMut() -> bool) -> bool {
        self.now = match left.checked_sub(1).and_then(|last| self.since.get(last)) {
            Some(content) => content.clone(),
            None => self.on_disk.clone(),
        };
        self.die();
        let (content, on_disk) = (&mut self.now, &self.on_disk);
        let before = content.rows();
        let was_synced = |hash: &H256| on_disk.nodes.contains_key(hash) || on_disk.staging.contains_key(hash);
        content.staging.retain(|hash, _| was_synced(hash) || is_left());
        content.codes.retain(|hash, _| on_disk.codes.contains_key(hash) || is_left());
        let is_short = content.rows() < before;
        if is_short {
            content.checkpoint.clone_from(&on_disk.checkpoint);
        }
        self.written(true);
        is_short
    }

    /// Writes since the last sync.
    pub(super) fn unsynced(&self) -> usize {
        self.since.len()
    }
}
