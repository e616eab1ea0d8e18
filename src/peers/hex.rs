//! Hex strings as JSON-RPC has them.

use std::fmt;

/// A `0x`-prefixed hex string of whole bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Hex<'a> {
    /// Without the prefix.
    digits: &'a [u8],
}

impl<'a> Hex<'a> {
    /// The text as hex; `None` when it is not.
    #[must_use]
    pub fn new(text: &'a [u8]) -> Option<Self> {
        let digits = text.strip_prefix(b"0x")?;
        (digits.len().is_multiple_of(2) && faster_hex::hex_check(digits)).then_some(Self { digits })
    }

    /// What it stands for.
    #[must_use]
    pub fn bytes(self) -> Vec<u8> {
        // Any bytes to begin with: memory that is asked for as zeros comes the slow way from glibc.
        let mut bytes = self.digits[..self.digits.len() / 2].to_vec();
        faster_hex::hex_decode_unchecked(self.digits, &mut bytes);
        bytes
    }
}

impl fmt::Debug for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", self.digits.escape_ascii())
    }
}

/// Appends bytes as a hex string.
pub(super) fn push_hex(to: &mut Vec<u8>, bytes: &[u8]) {
    to.extend_from_slice(b"0x");
    let end = to.len();
    to.resize(end + 2 * bytes.len(), 0);
    // It fails only where there is too little room.
    let _ = faster_hex::hex_encode(bytes, &mut to[end..]);
}

/// The bytes of a `0x`-prefixed hex string; `None` when it is not one.
#[must_use]
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    Hex::new(text.as_bytes()).map(Hex::bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_needs_its_prefix_and_whole_bytes() {
        assert_eq!(unhex("0x00fF"), Some(vec![0, 255]));
        assert_eq!(unhex("0x"), Some(vec![]));
        for bad in ["", "00", "0x0", "0xzz", "0X00", "0x0\u{e9}"] {
            assert_eq!(unhex(bad), None, "{bad}");
        }
    }

    #[test]
    fn hex_of_any_length_gives_its_bytes() {
        for length in 0..=300 {
            let bytes: Vec<u8> = (0..length).map(|byte| u8::try_from(byte % 251).unwrap()).collect();
            assert_eq!(unhex(&format!("0x{}", faster_hex::hex_string(&bytes))).as_ref(), Some(&bytes));
            assert_eq!(unhex(&format!("0x{}", faster_hex::hex_string_upper(&bytes))), Some(bytes));
        }
    }
}
