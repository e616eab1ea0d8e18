//! Which hashes are surely not in the database.

use std::sync::atomic::{AtomicU64, Ordering};

use primitive_types::H256;

use crate::trie::SurelyAbsent;

/// Bits. 16 MiB have ten for each of 13 million rows, of which they then take one in a hundred for one that is there;
/// with more rows it is more, and at a hundred million the filter saves nothing any more, and costs nothing either.
const BITS: usize = 1 << 27;

/// Words that belong to one hash: a cache line, so that a look-up misses the caches once.
const LINE_WORDS: usize = 8;

/// Bits that are set for each hash: near the best for ten bits a row, when they are all in one line.
const PROBES: usize = 6;

/// The hashes of all rows that this process has given to a store that was empty before: what is not here is not there.
///
/// A Bloom filter in memory, beside those of the tables: it is asked once, not once for each table, and costs a
/// twentieth of a look-up in the database. In a first sync nearly every look-up is for what is not there.
#[derive(Debug)]
pub(super) struct Filter {
    words: Vec<AtomicU64>,
}

impl Filter {
    pub(super) fn new() -> Self {
        Self { words: (0..BITS / 64).map(|_| AtomicU64::new(0)).collect() }
    }

    pub(super) fn insert(&self, hash: &H256) {
        for (word, bit) in self.bits(hash) {
            word.fetch_or(bit, Ordering::Relaxed);
        }
    }

    /// Whether a hash may have been inserted.
    pub(super) fn may_hold(&self, hash: &H256) -> bool {
        self.bits(hash).all(|(word, bit)| word.load(Ordering::Relaxed) & bit != 0)
    }

    /// Keys are uniform hashes: their own bits say where to look.
    fn bits(&self, hash: &H256) -> impl Iterator<Item = (&AtomicU64, u64)> {
        let mut numbers = hash.0.as_chunks::<8>().0.iter().map(|bytes| u64::from_le_bytes(*bytes));
        let (line, probes) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        #[expect(clippy::cast_possible_truncation, reason = "any bits of a hash do")]
        let first = line as usize % (self.words.len() / LINE_WORDS) * LINE_WORDS;
        (0..PROBES).filter_map(move |probe| {
            // Nine bits for each: three for the word, six for the bit in it.
            let bits = probes >> (9 * probe);
            Some((self.words.get(first + (bits & 7) as usize)?, 1 << (bits >> 3 & 63)))
        })
    }
}

impl SurelyAbsent for Filter {
    fn is_surely_absent(&self, hash: &H256) -> bool {
        !self.may_hold(hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trie::keccak256;

    #[test]
    fn what_was_inserted_may_be_there_and_nearly_nothing_else() {
        let filter = Filter::new();
        let hash = |number: u32| keccak256(&number.to_be_bytes());
        (0..50_000).for_each(|number| filter.insert(&hash(number)));
        assert!((0..50_000).all(|number| filter.may_hold(&hash(number))));
        let wrong = (50_000..100_000).filter(|number| filter.may_hold(&hash(*number))).count();
        assert!(wrong < 5, "{wrong} of 50,000");
    }
}
