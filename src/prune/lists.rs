//! Lists of hashes that go to the disk when they no longer fit into memory.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use primitive_types::H256;

/// Hashes of all lists together that are in memory: 64 MiB.
const IN_MEMORY: usize = 2 << 20;

/// Lists of hashes, each for the hashes of one kind that begin with one byte. Hashes are uniform, so that a list which is
/// worked on, and has to be in memory, is short: half a million of a billion nodes at one level.
pub(super) struct Lists {
    dir: PathBuf,
    most: usize,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    lists: HashMap<(u8, u8), Vec<H256>>,
    in_memory: usize,
}

impl Lists {
    /// Lists that may make files in `dir`; nobody else does.
    pub(super) fn new(dir: &Path) -> Self {
        Self::with_room(dir, IN_MEMORY)
    }

    fn with_room(dir: &Path, most: usize) -> Self {
        Self { dir: dir.into(), most, open: Mutex::default() }
    }

    pub(super) fn add(&self, hashes: impl IntoIterator<Item = (u8, H256)>) -> io::Result<()> {
        let mut open = self.open();
        for (kind, hash) in hashes {
            open.lists.entry((kind, hash.0[0])).or_default().push(hash);
            open.in_memory += 1;
        }
        if open.in_memory < self.most {
            return Ok(());
        }
        open.in_memory = 0;
        open.lists.drain().try_for_each(|(list, hashes)| append(&self.path(list), &hashes))
    }

    /// Takes a list: its hashes in order, each once.
    pub(super) fn take(&self, kind: u8, first: u8) -> io::Result<Vec<H256>> {
        let mut open = self.open();
        let mut hashes = open.lists.remove(&(kind, first)).unwrap_or_default();
        open.in_memory = open.in_memory.saturating_sub(hashes.len());
        drop(open);
        let path = self.path((kind, first));
        match std::fs::read(&path) {
            Ok(bytes) => {
                hashes.extend(bytes.as_chunks().0.iter().map(|bytes| H256(*bytes)));
                std::fs::remove_file(path)?;
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        hashes.sort_unstable();
        hashes.dedup();
        Ok(hashes)
    }

    fn path(&self, (kind, first): (u8, u8)) -> PathBuf {
        self.dir.join(format!("{kind:03}-{first:02x}"))
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn append(path: &Path, hashes: &[H256]) -> io::Result<()> {
    let mut file: BufWriter<File> = BufWriter::new(OpenOptions::new().append(true).create(true).open(path)?);
    hashes.iter().try_for_each(|hash| file.write_all(hash.as_bytes()))?;
    file.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trie::keccak256;

    #[test]
    fn a_list_has_each_hash_once_and_in_order_wherever_it_was() {
        for most in [1, 7, 1_000_000] {
            let dir = tempfile::tempdir().unwrap();
            let lists = Lists::with_room(dir.path(), most);
            let hash = |number: u32| keccak256(&number.to_be_bytes());
            for number in 0..3_000 {
                let kind = u8::from(number % 3 == 0);
                lists.add([(kind, hash(number)), (kind, hash(number / 2 * 2))]).unwrap();
            }
            let all = |kind: u8| (0..=255).flat_map(|first| lists.take(kind, first).unwrap()).collect::<Vec<_>>();
            let mut expected: Vec<H256> = (0..3_000)
                .flat_map(|number: u32| [(number, number), (number, number / 2 * 2)])
                .filter(|(number, _)| number % 3 == 0)
                .map(|(_, hashed)| hash(hashed))
                .collect();
            expected.sort_unstable();
            expected.dedup();
            assert_eq!(all(1), expected, "{most}");
            assert_eq!(all(1), [], "what is taken is gone");
            assert_eq!(
                std::fs::read_dir(dir.path()).unwrap().count() > 0,
                most < 1_000_000,
                "the other kind's are left"
            );
        }
    }
}
