//! Paths: the hexadecimal digits of a key, up to 64.

use std::fmt;

use primitive_types::{H256, U256};

use super::error::NodeError;

/// A path of 0 to 64 nibbles, 33 bytes, cheap to copy.
///
/// Ordered lexicographically by nibble, a prefix before what it starts. Displayed as one
/// hexadecimal digit a nibble; the empty path as nothing.
// Unused nibbles are zero. That makes the derived comparison lexicographic: where one path ends,
// its zeros sort before or level with the other's nibbles, and only then does `len` decide.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nibbles {
    packed: [u8; 32],
    len: u8,
}

impl Nibbles {
    /// Nibbles in a key: a path never grows longer.
    pub const MAX_LEN: usize = 64;

    /// The path of a root.
    pub const EMPTY: Self = Self { packed: [0; 32], len: 0 };

    /// All 64 nibbles of `key`.
    #[must_use]
    pub const fn from_key(key: &H256) -> Self {
        Self { packed: key.0, len: 64 }
    }

    /// So many zeros; `None` past 64.
    #[must_use]
    pub(crate) fn zeros(count: usize) -> Option<Self> {
        (count <= Self::MAX_LEN).then(|| Self::from_bits(U256::zero(), count))
    }

    /// The path with one byte of `nibbles` a nibble; `None` past 64, or when a byte is over 15.
    #[must_use]
    pub fn from_slice(nibbles: &[u8]) -> Option<Self> {
        nibbles.iter().try_fold(Self::EMPTY, |path, &nibble| path.push(nibble))
    }

    /// Number of nibbles.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether this is the path of a root.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The nibble at `index`, 0..=15; `None` past the end.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<u8> {
        let byte = self.packed.get(index / 2).filter(|_| index < self.len())?;
        Some(if index.is_multiple_of(2) { byte >> 4 } else { byte & 0xf })
    }

    /// The first 16 nibbles, two a byte, with zeros where it ends before.
    pub(super) fn first_bytes(&self) -> [u8; 8] {
        self.packed.first_chunk().copied().unwrap_or_default()
    }

    /// The nibbles from first to last, each 0..=15.
    pub fn iter(self) -> impl Iterator<Item = u8> {
        (0..self.len()).map_while(move |index| self.get(index))
    }

    /// This path and one more nibble; `None` past 64, or when `nibble` is over 15.
    #[must_use]
    pub fn push(mut self, nibble: u8) -> Option<Self> {
        if nibble > 0xf || self.len() == Self::MAX_LEN {
            return None;
        }
        self.len += 1;
        Some(self.sibling(nibble))
    }

    /// This path with its last nibble, which is zero, replaced; `nibble` is 0..=15.
    // All bytes at once, so that the path stays in vector registers: copying the whole path right
    // after writing one byte of it stalls (measured: 15 ns a child instead of 5).
    #[inline]
    pub(super) fn sibling(mut self, nibble: u8) -> Self {
        let last = self.len.saturating_sub(1);
        let bits = if last.is_multiple_of(2) { nibble << 4 } else { nibble };
        for (index, byte) in (0..).zip(&mut self.packed) {
            *byte |= if index == last / 2 { bits } else { 0 };
        }
        self
    }

    /// This path followed by `other`; `None` past 64.
    #[must_use]
    pub fn join(self, other: &Self) -> Option<Self> {
        let len = self.len() + other.len();
        let bits = self.bits() | (other.bits() >> (4 * self.len()));
        (len <= Self::MAX_LEN).then(|| Self::from_bits(bits, len))
    }

    /// The first `count` nibbles, or all when there are fewer.
    #[must_use]
    pub fn prefix(self, count: usize) -> Self {
        let len = count.min(self.len());
        Self::from_bits(self.bits() & !(U256::MAX >> (4 * len)), len)
    }

    /// The nibbles from index `from` on; empty past the end.
    #[must_use]
    pub fn suffix(self, from: usize) -> Self {
        let from = from.min(self.len());
        Self::from_bits(self.bits() << (4 * from), self.len() - from)
    }

    /// Number of leading nibbles `self` and `other` share.
    #[must_use]
    pub fn common_prefix_len(&self, other: &Self) -> usize {
        let equal_bits = (self.bits() ^ other.bits()).leading_zeros() as usize;
        (equal_bits / 4).min(self.len()).min(other.len())
    }

    /// Whether `prefix` is a prefix of this path, or all of it.
    #[must_use]
    pub fn starts_with(&self, prefix: &Self) -> bool {
        self.common_prefix_len(prefix) == prefix.len()
    }

    /// The key this path spells when it has all 64 nibbles.
    #[must_use]
    pub fn to_key(&self) -> Option<H256> {
        (self.len() == Self::MAX_LEN).then_some(H256(self.packed))
    }

    /// The hex-prefix encoding (yellow paper, appendix C): a flag nibble, 2 for a `leaf` plus 1
    /// when the length is odd, a zero nibble when it is even, then the path. 1 to 33 bytes.
    #[must_use]
    pub fn hex_prefix_encode(&self, leaf: bool) -> Vec<u8> {
        let leaf_flag = if leaf { 0x20 } else { 0 };
        let (first, rest) = match self.get(0) {
            Some(nibble) if !self.len().is_multiple_of(2) => (0x10 | nibble, self.suffix(1)),
            _ => (0, *self),
        };
        let mut encoded = Vec::with_capacity(1 + rest.len() / 2);
        encoded.push(leaf_flag | first);
        encoded.extend(rest.packed.iter().take(rest.len() / 2));
        encoded
    }

    /// Reads a hex-prefix path: the nibbles, and whether the flag says leaf.
    ///
    /// # Errors
    /// [`NodeError::NoFlags`] for no bytes, [`NodeError::BadFlags`] for a flag nibble over 3 or
    /// padding that is not zero, [`NodeError::PathTooLong`] for more than 64 nibbles.
    pub fn hex_prefix_decode(encoded: &[u8]) -> Result<(Self, bool), NodeError> {
        let (flags, rest) = HexPrefix::read(encoded)?;
        let len = 2 * rest.len() + usize::from(flags.odd.is_some());
        let source = if flags.odd.is_some() { encoded } else { rest };
        let mut packed = [0; 32];
        packed.get_mut(..source.len()).ok_or(NodeError::PathTooLong { got: len })?.copy_from_slice(source);
        let bits = U256::from_big_endian(&packed);
        // Shifting an odd path into place pushes the flag nibble out.
        let bits = if flags.odd.is_some() { bits << 4 } else { bits };
        Ok((Self::from_bits(bits, len), flags.leaf))
    }

    /// The key that this path and a leaf's hex-prefix path below it spell. Both end at the key's end, so that its bytes
    /// are those of the one and then those of the other: nothing is shifted.
    ///
    /// # Errors
    /// As [`hex_prefix_decode`](Self::hex_prefix_decode); [`NodeError::LeafPathLength`] when they are not 64 nibbles
    /// together.
    #[inline]
    pub(super) fn key_of_leaf(&self, encoded: &[u8]) -> Result<H256, NodeError> {
        let (flags, rest) = HexPrefix::read(encoded)?;
        let suffix = 2 * rest.len() + usize::from(flags.odd.is_some());
        if suffix > Self::MAX_LEN {
            return Err(NodeError::PathTooLong { got: suffix });
        }
        let got = self.len() + suffix;
        if got != Self::MAX_LEN {
            return Err(NodeError::LeafPathLength { got });
        }
        let mut key = self.packed;
        let (before, last) = key.split_at_mut(Self::MAX_LEN / 2 - rest.len());
        last.copy_from_slice(rest);
        if let (Some(nibble), Some(shared)) = (flags.odd, before.last_mut()) {
            *shared |= nibble;
        }
        Ok(H256(key))
    }

    fn bits(&self) -> U256 {
        U256::from_big_endian(&self.packed)
    }

    /// `bits` from the top down; the caller keeps `len <= 64` and the bits past it zero.
    #[expect(clippy::cast_possible_truncation, reason = "a path has at most 64 nibbles")]
    fn from_bits(bits: U256, len: usize) -> Self {
        Self { packed: bits.to_big_endian(), len: len as u8 }
    }
}

/// The first byte of a hex-prefix path.
pub(super) struct HexPrefix {
    /// Whether a leaf's path follows.
    pub(super) leaf: bool,
    /// The first nibble of a path of an odd number.
    odd: Option<u8>,
}

impl HexPrefix {
    /// Takes it off the front; the rest are two nibbles in each byte.
    #[inline]
    pub(super) fn read(encoded: &[u8]) -> Result<(Self, &[u8]), NodeError> {
        let (&byte, rest) = encoded.split_first().ok_or(NodeError::NoFlags)?;
        let odd = (byte & 0x10 != 0).then_some(byte & 0xf);
        if byte & 0xc0 != 0 || (odd.is_none() && byte & 0xf != 0) {
            return Err(NodeError::BadFlags { got: byte });
        }
        Ok((Self { leaf: byte & 0x20 != 0, odd }, rest))
    }
}

impl fmt::Display for Nibbles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.iter().try_for_each(|nibble| write!(f, "{nibble:x}"))
    }
}

impl fmt::Debug for Nibbles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests;
