//! One round of the journal: files that are appended to, and what is in them.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Result, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::fast::RandomState;
use primitive_types::H256;

use super::mark::Mark;
use super::record::{HEADER_BYTES, Record};
use crate::store::Presence;
use crate::trie::{Level, is_branch};

/// Files of one round, by the first nibble of the hash: one at a time is read and sorted, so that a round takes a
/// sixteenth of its size in memory when it is.
pub(super) const PARTS: usize = 16;

/// Where a row is, and what is known of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Of its bytes, in its file.
    at: u64,
    length: u32,
    /// That at which it is complete, with all that is below it; `None` while it is staged.
    pub(super) level: Option<Level>,
    is_branch: bool,
}

impl Place {
    /// What it means that a row is here, if it is complete.
    pub(super) fn presence(&self) -> Option<Presence> {
        self.level.map(|level| Presence::Complete { level, is_branch: self.is_branch })
    }
}

/// The rows of one kind.
pub(super) type Rows = HashMap<H256, Place, RandomState>;

/// One file.
#[derive(Debug)]
pub(super) struct Part {
    file: File,
    length: u64,
    /// How long it was when it was last synced to the disk.
    synced: AtomicU64,
    pub(super) nodes: Rows,
    pub(super) codes: Rows,
}

/// What is appended to one file at once.
#[derive(Debug, Default)]
pub(super) struct Addition {
    bytes: Vec<u8>,
    nodes: Vec<(H256, Place)>,
    codes: Vec<(H256, Place)>,
}

/// One round.
#[derive(Debug)]
pub(super) struct Round {
    pub(super) number: u64,
    /// Whether an earlier run has begun it. Then its rows may be in the database as well: that run may have ended when it
    /// had given them over and not deleted the files yet.
    pub(super) is_left: bool,
    pub(super) parts: Vec<Part>,
}

fn path(dir: &Path, number: u64, part: usize) -> PathBuf {
    dir.join(format!("{number:08}-{part:x}.log"))
}

/// The part of a hash.
pub(super) fn part_of(hash: &H256) -> usize {
    usize::from(hash.as_bytes()[0] >> 4)
}

/// The bytes of a file that were committed.
fn committed(file: &[u8], length: u64) -> &[u8] {
    usize::try_from(length).ok().and_then(|length| file.get(..length)).unwrap_or(file)
}

impl Round {
    /// An empty round, with its files.
    pub(super) fn create(dir: &Path, number: u64) -> Result<Self> {
        let open = |part| OpenOptions::new().read(true).append(true).create_new(true).open(path(dir, number, part));
        let parts = (0..PARTS).map(|part| open(part).map(Part::empty)).collect::<Result<_>>()?;
        File::open(dir)?.sync_all()?;
        Ok(Self { number, is_left: false, parts })
    }

    /// A round that an earlier run has left. Each file is cut off where it is not whole, and where the mark says that no
    /// more was committed. Files that are missing are made: the run may have ended when it made or deleted them.
    pub(super) fn open(dir: &Path, number: u64, mark: &Mark) -> Result<Self> {
        let open = |part| OpenOptions::new().read(true).append(true).create(true).open(path(dir, number, part));
        let load = |part| Part::load(open(part)?, mark.length(number, part));
        Ok(Self { number, is_left: true, parts: (0..PARTS).map(load).collect::<Result<_>>()? })
    }

    /// The numbers of the rounds in a directory, in order.
    pub(super) fn list(dir: &Path) -> Result<Vec<u64>> {
        let mut numbers = Vec::new();
        for entry in std::fs::read_dir(dir)? {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|name| name.strip_suffix(".log")?.split_once('-'));
            numbers.extend(number.and_then(|(number, _)| number.parse::<u64>().ok()));
        }
        numbers.sort_unstable();
        numbers.dedup();
        Ok(numbers)
    }

    /// Nodes that were committed to the files of a round, as they are framed. They may be written, or removed, meanwhile.
    pub(super) fn count_nodes(dir: &Path, number: u64, mark: &Mark) -> Result<u64> {
        let mut nodes = 0;
        for part in 0..PARTS {
            let file = match std::fs::read(path(dir, number, part)) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                file => file?,
            };
            let mut rest = committed(&file, mark.length(number, part));
            while let Some(record) = Record::read(rest) {
                nodes += u64::from(!record.is_code);
                rest = rest.get(record.len()..).unwrap_or_default();
            }
        }
        Ok(nodes)
    }

    /// Removes its files.
    pub(super) fn delete(dir: &Path, number: u64) -> Result<()> {
        for part in 0..PARTS {
            match std::fs::remove_file(path(dir, number, part)) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// How far it is.
    pub(super) fn mark(&self) -> Mark {
        let mut lengths = [0; PARTS];
        lengths.iter_mut().zip(&self.parts).for_each(|(length, part)| *length = part.length);
        Mark { round: self.number, lengths }
    }

    /// Bytes in its files.
    pub(super) fn bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.length).sum()
    }

    /// Rows in its files.
    pub(super) fn rows(&self) -> usize {
        self.parts.iter().map(|part| part.nodes.len() + part.codes.len()).sum()
    }

    /// Nodes that are not complete.
    pub(super) fn staged(&self) -> impl Iterator<Item = (&Part, &H256, &Place)> {
        let nodes = self.parts.iter().flat_map(|part| part.nodes.iter().map(move |(hash, place)| (part, hash, place)));
        nodes.filter(|(_, _, place)| place.level.is_none())
    }

    /// The row of a node.
    pub(super) fn node(&self, hash: &H256) -> Option<(&Part, &Place)> {
        let part = self.parts.get(part_of(hash))?;
        Some((part, part.nodes.get(hash)?))
    }

    /// The row of a code.
    pub(super) fn code(&self, hash: &H256) -> Option<(&Part, &Place)> {
        let part = self.parts.get(part_of(hash))?;
        Some((part, part.codes.get(hash)?))
    }

    /// Notes that a node is complete; false if it is not here.
    pub(super) fn complete(&mut self, hash: &H256, level: Level) -> bool {
        let row = self.parts.get_mut(part_of(hash)).and_then(|part| part.nodes.get_mut(hash));
        row.map(|place| place.level = Some(level)).is_some()
    }

    /// Syncs its files to the disk.
    pub(super) fn sync(&self) -> Result<()> {
        self.parts.iter().try_for_each(Part::sync)
    }
}

impl Part {
    fn empty(file: File) -> Self {
        Self { file, length: 0, synced: AtomicU64::new(0), nodes: Rows::default(), codes: Rows::default() }
    }

    /// What is whole in the first bytes of a file. The rest is cut off.
    fn load(file: File, length: u64) -> Result<Self> {
        let mut part = Self::empty(file);
        let bytes = part.read_all()?;
        let mut rest = committed(&bytes, length);
        while let Some(record) = Record::read(rest).filter(Record::is_whole) {
            let level = record.is_code.then_some(Level::CODE);
            let place = Place::of(part.length, &record, level)?;
            let rows = if record.is_code { &mut part.codes } else { &mut part.nodes };
            rows.insert(record.hash, place);
            rest = rest.get(record.len()..).unwrap_or_default();
            part.length += record.len() as u64;
        }
        if !rest.is_empty() {
            tracing::warn!(bytes = rest.len(), "a file of the journal is not whole and cut off");
        }
        if part.length < bytes.len() as u64 {
            part.file.set_len(part.length)?;
        }
        Ok(part)
    }

    fn sync(&self) -> Result<()> {
        if self.synced.load(Ordering::Relaxed) != self.length {
            self.file.sync_data()?;
            self.synced.store(self.length, Ordering::Relaxed);
        }
        Ok(())
    }

    /// All its bytes.
    pub(super) fn read_all(&self) -> Result<Vec<u8>> {
        let length = usize::try_from(self.file.metadata()?.len()).map_err(|_| ErrorKind::FileTooLarge)?;
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    /// The bytes of one row.
    pub(super) fn read(&self, place: &Place) -> Result<Vec<u8>> {
        let mut bytes = vec![0; place.length as usize];
        self.file.read_exact_at(&mut bytes, place.at)?;
        Ok(bytes)
    }

    /// Appends rows to the file; they are known from [`take_in`](Self::take_in) on.
    pub(super) fn write(&self, addition: &Addition) -> Result<()> {
        if !addition.bytes.is_empty() {
            (&self.file).write_all(&addition.bytes)?;
        }
        Ok(())
    }

    /// Takes in rows that are written.
    pub(super) fn take_in(&mut self, addition: &mut Addition) {
        self.length += addition.bytes.len() as u64;
        for (hash, place) in addition.nodes.drain(..) {
            let is_complete = self.nodes.get(&hash).is_some_and(|known| known.level.is_some());
            // What is complete stays so.
            if place.level.is_some() || !is_complete {
                self.nodes.insert(hash, place);
            }
        }
        self.codes.extend(addition.codes.drain(..));
        addition.bytes.clear();
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }
}

impl Addition {
    /// Adds a row that will be `after` bytes into its file, and those before it in here.
    pub(super) fn add(&mut self, after: u64, record: &Record, level: Option<Level>) -> Result<()> {
        let place = Place::of(after + self.bytes.len() as u64, record, level)?;
        record.write(&mut self.bytes).ok_or(ErrorKind::FileTooLarge)?;
        if record.is_code { &mut self.codes } else { &mut self.nodes }.push((record.hash, place));
        Ok(())
    }
}

impl Place {
    fn of(at: u64, record: &Record, level: Option<Level>) -> Result<Self> {
        let length = u32::try_from(record.bytes.len()).map_err(|_| Error::from(ErrorKind::FileTooLarge))?;
        let is_branch = !record.is_code && is_branch(record.bytes);
        Ok(Self { at: at + HEADER_BYTES as u64, length, level, is_branch })
    }

    fn range(&self) -> Option<std::ops::Range<usize>> {
        let at = usize::try_from(self.at).ok()?;
        Some(at..at.checked_add(self.length as usize)?)
    }

    /// Its bytes, in all those of its file.
    pub(super) fn bytes_in<'a>(&self, file: &'a [u8]) -> Option<&'a [u8]> {
        file.get(self.range()?)
    }

    /// The row of a complete node as the nodes family has it, in all the bytes of its file.
    pub(super) fn row_in<'a>(&self, file: &'a mut [u8]) -> Option<&'a [u8]> {
        let range = self.range()?;
        let row = file.get_mut(range.start.checked_sub(1)?..range.end)?;
        *row.first_mut()? = self.level?.byte();
        Some(row)
    }
}
