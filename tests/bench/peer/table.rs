//! The state's nodes and codes by hash, in as little memory and as few cache misses as can be: ten million of them have
//! to fit beside the program that is measured.

use std::collections::HashSet;

use primitive_types::H256;

/// Records in one piece of memory, found through a table of their offsets.
#[derive(Default)]
pub(crate) struct Table {
    /// For each record its hash, the length of its value in four bytes, and the value.
    records: Vec<u8>,
    /// Open addressing: 24 bits of the hash above 40 of the offset plus one, or zero. At most half full.
    places: Vec<u64>,
    pub(crate) nodes: u64,
    codes: HashSet<[u8; 32]>,
}

/// What stands before a value.
const HEAD: usize = 36;

/// The bits of a place that are the offset.
const OFFSET: u64 = (1 << 40) - 1;

/// Places at first.
const PLACES: usize = 1 << 16;

impl Table {
    pub(crate) fn insert_node(&mut self, hash: &H256, rlp: &[u8]) {
        self.nodes += u64::from(self.insert(hash, rlp));
    }

    pub(crate) fn insert_code(&mut self, hash: &H256, code: &[u8]) {
        if self.insert(hash, code) {
            self.codes.insert(hash.0);
        }
    }

    pub(crate) fn codes(&self) -> u64 {
        self.codes.len() as u64
    }

    pub(crate) fn is_code(&self, hash: &[u8; 32]) -> bool {
        self.codes.contains(hash)
    }

    /// Bytes of all values.
    pub(crate) fn bytes(&self) -> u64 {
        self.records.len() as u64 - (self.nodes + self.codes()) * HEAD as u64
    }

    /// The value under a hash.
    pub(crate) fn get(&self, hash: &[u8; 32]) -> Option<&[u8]> {
        let at = self.search(hash).ok()?;
        let (_, value) = self.record(self.places[at]);
        Some(value)
    }

    /// All records, in the order they were made.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8; 32], &[u8])> {
        let mut offset = 0;
        std::iter::from_fn(move || {
            if offset == self.records.len() {
                return None;
            }
            let (hash, value) = self.record(offset as u64 + 1);
            offset += HEAD + value.len();
            Some((hash, value))
        })
    }

    /// Whether it was not there.
    fn insert(&mut self, hash: &H256, value: &[u8]) -> bool {
        if 2 * (self.nodes + self.codes()) as usize >= self.places.len() {
            self.grow();
        }
        let Err(at) = self.search(&hash.0) else { return false };
        self.places[at] = tag(&hash.0) | (self.records.len() as u64 + 1);
        self.records.extend_from_slice(hash.as_bytes());
        self.records.extend_from_slice(&(value.len() as u32).to_le_bytes());
        self.records.extend_from_slice(value);
        true
    }

    /// The place that has the hash, or the one where it would go.
    fn search(&self, hash: &[u8; 32]) -> Result<usize, usize> {
        let mask = self.places.len().wrapping_sub(1);
        let mut at = start(hash) & mask;
        loop {
            match self.places.get(at) {
                None | Some(0) => return Err(at),
                Some(place) if place & !OFFSET == tag(hash) && self.record(*place).0 == hash => return Ok(at),
                Some(_) => at = (at + 1) & mask,
            }
        }
    }

    fn record(&self, place: u64) -> (&[u8; 32], &[u8]) {
        let record = &self.records[(place & OFFSET) as usize - 1..];
        let (hash, rest) = record.split_first_chunk().unwrap();
        let (length, rest) = rest.split_first_chunk().unwrap();
        (hash, &rest[..u32::from_le_bytes(*length) as usize])
    }

    fn grow(&mut self) {
        let larger = vec![0; (2 * self.places.len()).max(PLACES)];
        let old = std::mem::replace(&mut self.places, larger);
        for place in old.into_iter().filter(|place| *place != 0) {
            let mask = self.places.len() - 1;
            let mut at = start(self.record(place).0) & mask;
            while self.places[at] != 0 {
                at = (at + 1) & mask;
            }
            self.places[at] = place;
        }
    }
}

fn start(hash: &[u8; 32]) -> usize {
    usize::from_be_bytes(*hash.first_chunk().unwrap())
}

/// Other bits than those that say where the search starts.
fn tag(hash: &[u8; 32]) -> u64 {
    u64::from_be_bytes(*hash.last_chunk().unwrap()) & !OFFSET
}
