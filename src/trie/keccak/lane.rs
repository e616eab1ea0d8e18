//! One input, cut into the blocks that the sponge takes.

/// Bytes that one permutation takes in: 1600 bits of state less twice the hash's 256 (the rate of Keccak-256).
pub(super) const BLOCK: usize = 136;

/// The words of 64 bits in a block.
#[cfg(target_arch = "x86_64")]
pub(super) const BLOCK_WORDS: usize = BLOCK / 8;

/// How many blocks an input of so many bytes has: at least one byte of padding follows it.
pub(super) fn blocks(bytes: usize) -> usize {
    bytes / BLOCK + 1
}

/// An input as blocks: the whole ones where they are, and the rest with its padding.
#[cfg(target_arch = "x86_64")]
pub(super) struct Lane<'a> {
    whole: &'a [[u8; BLOCK]],
    last: [u8; BLOCK],
}

#[cfg(target_arch = "x86_64")]
impl<'a> Lane<'a> {
    /// No input, which is one block.
    pub(super) const IDLE: Self = Self { whole: &[], last: [0; BLOCK] };

    /// Takes an input in. In place: a lane returned and moved costs more than its share of a run.
    pub(super) fn set(&mut self, input: &'a [u8]) {
        let (whole, rest) = input.as_chunks();
        self.whole = whole;
        self.last = [0; BLOCK];
        self.last[..rest.len()].copy_from_slice(rest);
        // Keccak's own padding: a one, zeros, a one. Both are in the same byte where there is room for one only.
        self.last[rest.len()] = 0x01;
        self.last[BLOCK - 1] |= 0x80;
    }

    pub(super) fn blocks(&self) -> usize {
        self.whole.len() + 1
    }

    /// A block of it; past its end some block, for lanes that go on beside longer ones.
    pub(super) fn block(&self, index: usize) -> &[u8; BLOCK] {
        self.whole.get(index).unwrap_or(&self.last)
    }
}
