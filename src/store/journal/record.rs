//! The journal's rows, to the byte. `docs/STORE-FORMAT.md` describes the same.

use primitive_types::H256;

use crate::trie::keccak256;

/// Before the bytes of a row: what it is, how long it is, its hash, and room for a level, so that level and RLP are a
/// row of the nodes family as they stand.
pub(super) const HEADER_BYTES: usize = 1 + 4 + 32 + 1;

const NODE: u8 = 0;
const CODE: u8 = 1;

/// A node's RLP or a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record<'a> {
    pub(super) is_code: bool,
    pub(super) hash: H256,
    pub(super) bytes: &'a [u8],
}

impl<'a> Record<'a> {
    /// Appends it. `None` for more bytes than four can count, which no reply has.
    pub(super) fn write(&self, file: &mut Vec<u8>) -> Option<()> {
        file.push(if self.is_code { CODE } else { NODE });
        file.extend_from_slice(&u32::try_from(self.bytes.len()).ok()?.to_le_bytes());
        file.extend_from_slice(self.hash.as_bytes());
        file.push(0);
        file.extend_from_slice(self.bytes);
        Some(())
    }

    /// The record at the front of `file`, as it was framed.
    pub(super) fn read(file: &'a [u8]) -> Option<Self> {
        let (header, rest) = file.split_first_chunk::<HEADER_BYTES>()?;
        let [kind, l0, l1, l2, l3, hash @ .., _] = header;
        let is_code = match *kind {
            NODE => false,
            CODE => true,
            _ => return None,
        };
        let length = u32::from_le_bytes([*l0, *l1, *l2, *l3]);
        let bytes = rest.get(..usize::try_from(length).ok()?)?;
        Some(Self { is_code, hash: H256(*hash), bytes })
    }

    /// Whether the bytes are what the hash says. A torn or flipped record is told from a whole one by this alone.
    pub(super) fn is_whole(&self) -> bool {
        keccak256(self.bytes) == self.hash
    }

    /// Bytes in the file.
    pub(super) fn len(&self) -> usize {
        HEADER_BYTES + self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written_and_not_when_a_byte_is_missing() {
        for (is_code, bytes) in [(false, b"node".as_slice()), (true, b""), (true, &vec![7; 70_000])] {
            let record = Record { is_code, hash: keccak256(bytes), bytes };
            let mut file = Vec::new();
            record.write(&mut file).unwrap();
            assert_eq!((file.len(), Record::read(&file)), (record.len(), Some(record)));
            assert!(record.is_whole());
            assert_eq!(Record::read(&file[..file.len() - 1]), None);
        }
    }

    #[test]
    fn what_is_no_record_is_not_read_as_one() {
        assert_eq!(Record::read(&[]), None);
        assert_eq!(Record::read(&[2; 100]), None, "no such kind");
        let record = Record { is_code: false, hash: keccak256(b"one"), bytes: b"two" };
        assert!(!record.is_whole());
    }
}
