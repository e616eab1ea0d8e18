//! How far the journal is.

use super::round::PARTS;

/// Bytes of a mark.
const BYTES: usize = 8 * (1 + PARTS);

/// How far the journal was when a checkpoint was written: the round that is appended to, and the length of each of its
/// files. One number for all of them would not do: a loss of power may take from one file what another has kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::store) struct Mark {
    pub(in crate::store) round: u64,
    pub(super) lengths: [u64; PARTS],
}

impl Mark {
    /// As it is stored: all numbers, big-endian.
    pub(in crate::store) fn bytes(&self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        let numbers = std::iter::once(&self.round).chain(&self.lengths);
        for (eight, number) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(numbers) {
            *eight = number.to_be_bytes();
        }
        bytes
    }

    /// From what is stored.
    pub(in crate::store) fn from_bytes(bytes: [u8; BYTES]) -> Self {
        let mut numbers = bytes.as_chunks::<8>().0.iter().map(|eight| u64::from_be_bytes(*eight));
        let round = numbers.next().unwrap_or_default();
        let mut lengths = [0; PARTS];
        lengths.iter_mut().zip(numbers).for_each(|(length, number)| *length = number);
        Self { round, lengths }
    }

    /// Whether all that the other mark says is there where this one says how far the journal is. Of an earlier round
    /// nothing is missing: it was on the disk before the next began.
    pub(in crate::store) fn covers(&self, other: &Self) -> bool {
        let is_as_long = || self.lengths.iter().zip(&other.lengths).all(|(this, other)| this >= other);
        self.round > other.round || (self.round == other.round && is_as_long())
    }

    /// How much of a file was committed: nothing of a round that the mark does not know yet, all of one before it.
    pub(super) fn length(&self, round: u64, part: usize) -> u64 {
        match round.cmp(&self.round) {
            std::cmp::Ordering::Less => u64::MAX,
            std::cmp::Ordering::Equal => self.lengths.get(part).copied().unwrap_or_default(),
            std::cmp::Ordering::Greater => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_was_written() {
        let lengths = std::array::from_fn(|part| 1_000 + part as u64);
        let mark = Mark { round: 258, lengths };
        let bytes = mark.bytes();
        assert_eq!(
            (bytes[..8].to_vec(), bytes[8..16].to_vec()),
            (vec![0, 0, 0, 0, 0, 0, 1, 2], vec![0, 0, 0, 0, 0, 0, 3, 0xe8])
        );
        assert_eq!(Mark::from_bytes(bytes), mark);
    }

    #[test]
    fn a_mark_is_covered_only_when_no_file_is_shorter() {
        let mark = |round, first, last| {
            let mut lengths = [5; PARTS];
            (lengths[0], lengths[PARTS - 1]) = (first, last);
            Mark { round, lengths }
        };
        assert!(mark(2, 5, 5).covers(&mark(2, 5, 5)));
        assert!(mark(3, 0, 0).covers(&mark(2, 9, 9)));
        assert!(!mark(2, 4, 9).covers(&mark(2, 5, 5)), "more in one file does not make up for less in another");
        assert!(!mark(1, 9, 9).covers(&mark(2, 0, 0)));
    }
}
