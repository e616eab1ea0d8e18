//! Lists of hashes that go to the disk when they no longer fit into memory.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use primitive_types::H256;

use crate::lock::lock;

/// Lists of hashes, each for the hashes of one kind that begin with one byte. Hashes are uniform, so that a list which is
/// worked on, and has to be in memory, is short: four million of a billion.
#[derive(Debug)]
pub(crate) struct Lists {
    /// Theirs alone, and gone with this value.
    dir: PathBuf,
    /// How many hashes may be in memory.
    room: usize,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    lists: HashMap<(u8, u8), Vec<H256>>,
    in_memory: usize,
    /// How many hashes each file has.
    on_disk: HashMap<(u8, u8), usize>,
}

impl Lists {
    /// Empty lists with room for so many hashes in memory, and with files in this directory, which nobody else has. What
    /// a killed process has left there is removed.
    pub(crate) fn create(dir: PathBuf, room: usize) -> io::Result<Self> {
        match std::fs::remove_dir_all(&dir) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => std::fs::create_dir(&dir)?,
        }
        Ok(Self { dir, room, open: Mutex::default() })
    }

    pub(crate) fn add(&self, hashes: impl IntoIterator<Item = (u8, H256)>) -> io::Result<()> {
        let mut guard = lock(&self.open);
        let open = &mut *guard;
        for (kind, hash) in hashes {
            open.lists.entry((kind, hash.0[0])).or_default().push(hash);
            open.in_memory += 1;
        }
        if open.in_memory < self.room {
            return Ok(());
        }
        open.in_memory = 0;
        for (list, hashes) in open.lists.drain() {
            let hashes = in_order(hashes);
            *open.on_disk.entry(list).or_default() += hashes.len();
            append(&self.path(list), hashes)?;
        }
        Ok(())
    }

    /// Takes a list: its hashes in order, each once.
    pub(crate) fn take(&self, kind: u8, first: u8) -> io::Result<Vec<H256>> {
        let mut open = lock(&self.open);
        let mut hashes = open.lists.remove(&(kind, first)).unwrap_or_default();
        open.in_memory = open.in_memory.saturating_sub(hashes.len());
        let on_disk = open.on_disk.remove(&(kind, first));
        drop(open);
        if let Some(count) = on_disk {
            let path = self.path((kind, first));
            let bytes = std::fs::read(&path)?;
            if bytes.len() != count * H256::len_bytes() {
                // What is missing in a list might be taken for what nobody needs.
                return Err(io::Error::new(ErrorKind::InvalidData, format!("{} has lost hashes", path.display())));
            }
            hashes.extend(bytes.as_chunks().0.iter().map(|bytes| H256(*bytes)));
            std::fs::remove_file(path)?;
        }
        Ok(in_order(hashes))
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    fn path(&self, (kind, first): (u8, u8)) -> PathBuf {
        self.dir.join(format!("{kind:03}-{first:02x}"))
    }
}

impl Drop for Lists {
    fn drop(&mut self) {
        // Who makes lists here the next time removes what is left.
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn in_order(mut hashes: Vec<H256>) -> Vec<H256> {
    hashes.sort_unstable();
    hashes.dedup();
    hashes
}

fn append(path: &Path, hashes: Vec<H256>) -> io::Result<()> {
    let mut file = BufWriter::new(OpenOptions::new().append(true).create(true).open(path)?);
    hashes.into_iter().try_for_each(|hash| file.write_all(hash.as_bytes()))?;
    file.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trie::keccak256;

    #[test]
    fn a_list_has_each_hash_once_and_in_order_wherever_it_was() {
        for room in [1, 7, 1_000_000] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("lists");
            std::fs::create_dir(&path).unwrap();
            std::fs::write(path.join("001-ab"), [0xab; 32]).unwrap();
            let lists = Lists::create(path.clone(), room).unwrap();
            let hash = |number: u32| keccak256(&number.to_be_bytes());
            for number in 0..3_000 {
                let kind = u8::from(number % 3 == 0);
                lists.add([(kind, hash(number)), (kind, hash(number / 2 * 2))]).unwrap();
            }
            let all = |kind: u8| (0..=255).flat_map(|first| lists.take(kind, first).unwrap()).collect::<Vec<_>>();
            let of_kind_1 = (0..3_000).filter(|number| number % 3 == 0);
            let expected = in_order(of_kind_1.flat_map(|number| [hash(number), hash(number / 2 * 2)]).collect());
            assert_eq!(all(1), expected, "{room}");
            assert_eq!(all(1), [], "what is taken is gone");
            let left = std::fs::read_dir(&path).unwrap().count();
            assert_eq!(left > 0, room < 1_000_000, "the other kind's are left");
            drop(lists);
            assert!(!path.exists());
        }
    }

    #[test]
    fn a_list_that_somebody_else_has_shortened_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lists");
        let lists = Lists::create(path.clone(), 1).unwrap();
        lists.add([(0, H256::repeat_byte(0xab))]).unwrap();
        lists.add([(0, H256::repeat_byte(0xcd))]).unwrap();
        std::fs::write(path.join("000-ab"), [0xab; 31]).unwrap();
        std::fs::remove_file(path.join("000-cd")).unwrap();
        assert_eq!(lists.take(0, 0xab).unwrap_err().kind(), ErrorKind::InvalidData);
        assert_eq!(lists.take(0, 0xcd).unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(lists.take(0, 0xef).unwrap(), []);
    }
}
