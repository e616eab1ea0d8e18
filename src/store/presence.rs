//! What the store knows of an item that is wanted.

use primitive_types::H256;

use super::journal::Journal;
use super::layout::{self, CODES, NODES, STAGING};
use super::{Store, StoreError};
use crate::trie::{Key, Kind, Level, is_branch};

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
    /// What the store knows of each key, in the keys' order.
    ///
    /// # Errors
    /// When the database fails.
    pub fn presence(&self, keys: &[Key]) -> Result<Vec<Presence>, StoreError> {
        loop {
            let before = self.journal.as_ref().map(Journal::moves);
            let answers = self.find(keys)?;
            // A commit may have moved a row to where this had looked already. That is rare: every few seconds at most.
            if self.journal.as_ref().map(Journal::moves) == before {
                return Ok(answers);
            }
        }
    }

    fn find(&self, keys: &[Key]) -> Result<Vec<Presence>, StoreError> {
        let mut answers: Vec<Presence> = keys.iter().map(|_| Presence::Absent).collect();
        let may_hold = |key: &Key| self.filter.as_ref().is_none_or(|filter| filter.may_hold(&key.hash));
        let mut open: Vec<(&Key, &mut Presence)> =
            keys.iter().zip(&mut answers).filter(|(key, _)| may_hold(key)).collect();
        if let Some(journal) = &self.journal {
            journal.complete(&mut open);
        }
        let code = |_: &[u8]| Presence::Complete { level: Level::CODE, is_branch: false };
        self.look_up(CODES, &mut open, |key| key.kind == Kind::Code, code)?;
        let node = |row: &[u8]| {
            let (level, rlp) = layout::node(row);
            Presence::Complete { level, is_branch: is_branch(rlp) }
        };
        self.look_up(NODES, &mut open, |key| key.kind != Kind::Code, node)?;
        if let Some(journal) = &self.journal {
            for (key, answer) in &mut open {
                if key.kind != Kind::Code
                    && **answer == Presence::Absent
                    && let Some(bytes) = journal.staged(&key.hash)?
                {
                    **answer = Presence::Staged(bytes);
                }
            }
        }
        let staged = |bytes: &[u8]| Presence::Staged(bytes.to_vec());
        self.look_up(STAGING, &mut open, |key| key.kind != Kind::Code, staged)?;
        Ok(answers)
    }

    /// Asks one family for the keys that are `of_kind` and still absent, in one sorted batch.
    fn look_up(
        &self,
        family: &str,
        open: &mut [(&Key, &mut Presence)],
        of_kind: impl Fn(&Key) -> bool,
        found: impl Fn(&[u8]) -> Presence,
    ) -> Result<(), StoreError> {
        let absent = open.iter_mut().filter(|(key, answer)| of_kind(key) && **answer == Presence::Absent);
        let mut open: Vec<(&H256, &mut Presence)> = absent.map(|(key, answer)| (&key.hash, &mut **answer)).collect();
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
}
