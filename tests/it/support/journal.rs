//! The files of a store's journal, read as `docs/STORE-FORMAT.md` describes them.

use std::cmp::Ordering;
use std::path::{Path, PathBuf};

use primitive_types::H256;
use statesync::trie::keccak256;

/// Kind, length, hash, and a level that is filled in elsewhere.
const HEADER_BYTES: usize = 1 + 4 + 32 + 1;

/// The mark: a round, and the lengths of its sixteen files.
const MARK_BYTES: usize = 8 * 17;

/// One record.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) is_code: bool,
    pub(crate) hash: H256,
    pub(crate) bytes: Vec<u8>,
}

impl Record {
    /// The whole record at the front of a file.
    fn read(file: &[u8]) -> Option<Self> {
        let (header, rest) = file.split_at_checked(HEADER_BYTES)?;
        let bytes = rest.get(..u32::from_le_bytes(header[1..5].try_into().unwrap()) as usize)?.to_vec();
        let record = Self { is_code: header[0] == 1, hash: H256::from_slice(&header[5..37]), bytes };
        (header[0] <= 1 && keccak256(&record.bytes) == record.hash).then_some(record)
    }

    /// In the file.
    pub(crate) fn len(&self) -> usize {
        HEADER_BYTES + self.bytes.len()
    }
}

/// The whole records of a file of the journal, and where each begins.
pub(crate) fn records(file: &[u8]) -> Vec<(usize, Record)> {
    let (mut records, mut at) = (Vec::new(), 0);
    while let Some(record) = Record::read(&file[at..]) {
        let length = record.len();
        records.push((at, record));
        at += length;
    }
    records
}

/// The files of the journal, in order, each with its round and its number in it.
pub(crate) fn journal_files(dir: &Path) -> Vec<(u64, usize, PathBuf)> {
    let entries = std::fs::read_dir(dir.join("journal")).into_iter().flatten().map(|entry| entry.unwrap().path());
    let parse = |path: PathBuf| {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let (round, part) = name.split_once('-')?;
        Some((round.parse().ok()?, usize::from_str_radix(part, 16).ok()?, path))
    };
    let mut files: Vec<_> = entries.filter_map(parse).collect();
    files.sort();
    files
}

/// What has been committed to the journal of a store: of the round that the mark in its database names, no more than that
/// says, and nothing of a later one.
pub(super) fn committed(dir: &Path, mark: Option<Vec<u8>>) -> Vec<Record> {
    let mark = mark.unwrap_or_else(|| vec![0; MARK_BYTES]);
    assert_eq!(mark.len(), MARK_BYTES);
    let number = |place: usize| u64::from_be_bytes(mark[8 * place..8 * place + 8].try_into().unwrap());
    let mut all = Vec::new();
    for (round, part, path) in journal_files(dir) {
        let mut file = std::fs::read(&path).unwrap();
        match round.cmp(&number(0)) {
            Ordering::Less => {}
            Ordering::Equal => file.truncate(usize::try_from(number(1 + part)).unwrap()),
            Ordering::Greater => file.clear(),
        }
        all.extend(records(&file).into_iter().map(|(_, record)| record));
    }
    all
}
