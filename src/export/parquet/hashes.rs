//! Hashes that are each wanted once, of which there may be more than memory holds: sorted on the disk.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet, VecDeque};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use primitive_types::H256;

/// Hashes in memory: some 10 MiB, and 8 more while they are sorted. Mainnet's codes are some ten times as many.
const RUN: usize = 1 << 18;

/// Hashes that are read of each run at a time.
const AT_ONCE: usize = 256;

/// A set of hashes.
pub(super) struct Hashes {
    /// Sorted runs, one after another.
    file: File,
    /// Where each of them ends.
    ends: Vec<u64>,
    /// What is in none of them yet.
    new: HashSet<H256>,
    run: usize,
}

/// A run as it is read.
struct Run {
    at: u64,
    end: u64,
    read: VecDeque<H256>,
}

impl Hashes {
    /// An empty set, which uses the disk that this directory is on.
    pub(super) fn create(dir: &Path) -> io::Result<Self> {
        Self::with_runs_of(RUN, dir)
    }

    fn with_runs_of(run: usize, dir: &Path) -> io::Result<Self> {
        let path = dir.join("hashes");
        let file = File::options().read(true).write(true).create_new(true).open(&path)?;
        // Without a name it goes by itself, whatever becomes of this process.
        std::fs::remove_file(&path)?;
        Ok(Self { file, ends: Vec::new(), new: HashSet::new(), run })
    }

    pub(super) fn insert(&mut self, hash: H256) -> io::Result<()> {
        self.new.insert(hash);
        if self.new.len() < self.run { Ok(()) } else { self.write_run() }
    }

    fn write_run(&mut self) -> io::Result<()> {
        let mut sorted: Vec<H256> = self.new.drain().collect();
        sorted.sort_unstable();
        let mut file = BufWriter::new(&self.file);
        for hash in &sorted {
            file.write_all(hash.as_bytes())?;
        }
        file.flush()?;
        let begin = self.ends.last().copied().unwrap_or_default();
        self.ends.push(begin + (sorted.len() * H256::len_bytes()) as u64);
        Ok(())
    }

    /// Gives each hash once, in their order.
    pub(super) fn each<E>(
        mut self,
        failed: impl Fn(io::Error) -> E,
        mut take: impl FnMut(H256) -> Result<(), E>,
    ) -> Result<(), E> {
        self.write_run().map_err(&failed)?;
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        let mut runs: Vec<Run> =
            begins.zip(&self.ends).map(|(at, end)| Run { at, end: *end, read: VecDeque::new() }).collect();
        let mut next = BinaryHeap::new();
        for (number, run) in runs.iter_mut().enumerate() {
            next.extend(run.next(&self.file).map_err(&failed)?.map(|hash| Reverse((hash, number))));
        }
        let mut last = None;
        while let Some(Reverse((hash, number))) = next.pop() {
            if let Some(run) = runs.get_mut(number) {
                next.extend(run.next(&self.file).map_err(&failed)?.map(|hash| Reverse((hash, number))));
            }
            if last.replace(hash) != Some(hash) {
                take(hash)?;
            }
        }
        Ok(())
    }
}

impl Run {
    fn next(&mut self, file: &File) -> io::Result<Option<H256>> {
        if self.read.is_empty() {
            let bytes = (self.end - self.at).min((AT_ONCE * H256::len_bytes()) as u64);
            let mut buffer = vec![0; usize::try_from(bytes).unwrap_or_default()];
            file.read_exact_at(&mut buffer, self.at)?;
            self.at += bytes;
            self.read = buffer.chunks_exact(H256::len_bytes()).map(H256::from_slice).collect();
        }
        Ok(self.read.pop_front())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trie::keccak256;

    #[test]
    fn each_hash_comes_once_and_in_order_however_often_it_was_put_in() {
        for run in [7, 100, 10_000] {
            let dir = tempfile::tempdir().unwrap();
            let mut hashes = Hashes::with_runs_of(run, dir.path()).unwrap();
            let all = |from: u32, to: u32| (from..to).map(|number| keccak256(&number.to_be_bytes()));
            for hash in all(0, 1_000).chain(all(300, 2_000)).chain(all(0, 5)) {
                hashes.insert(hash).unwrap();
            }
            let mut given = Vec::new();
            let take = |hash| {
                given.push(hash);
                Ok(())
            };
            hashes.each(|error| error, take).unwrap();
            let mut expected: Vec<H256> = all(0, 2_000).collect();
            expected.sort_unstable();
            assert_eq!(given, expected);
            assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        }
        let dir = tempfile::tempdir().unwrap();
        Hashes::create(dir.path()).unwrap().each(|error| error, |_| panic!("nothing was put in")).unwrap();
    }
}
