//! `debug_dbGet`'s key: what of a go-ethereum database a caller asks for.

use std::borrow::Cow;

use primitive_types::H256;

use super::{Source, SourceError};
use crate::peers::CODE_PREFIX;

/// A key of geth's database, as far as there is anything under it here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DbKey {
    /// 32 bytes: a trie node, or a code as old databases have it.
    Bare(H256),
    /// The prefix and 32 bytes: a code.
    Code(H256),
    /// Any other.
    Other,
}

impl DbKey {
    /// Reads the parameter as geth does: hex after `0x`, otherwise the text's own bytes. The errors are geth's texts.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() {
            return Err("empty hex string");
        }
        let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) else {
            return Ok(Self::of_bytes(text.as_bytes()));
        };
        if !faster_hex::hex_check(digits.as_bytes()) {
            return Err("invalid hex string");
        }
        if !digits.len().is_multiple_of(2) {
            return Err("hex string of odd length");
        }
        let mut bytes = vec![0; digits.len() / 2];
        faster_hex::hex_decode(digits.as_bytes(), &mut bytes).map_err(|_| "invalid hex string")?;
        Ok(Self::of_bytes(&bytes))
    }

    fn of_bytes(bytes: &[u8]) -> Self {
        match bytes {
            [CODE_PREFIX, hash @ ..] if hash.len() == H256::len_bytes() => Self::Code(H256::from_slice(hash)),
            hash if hash.len() == H256::len_bytes() => Self::Bare(H256::from_slice(hash)),
            _ => Self::Other,
        }
    }

    /// What is under the key.
    pub(super) fn value<'a>(&self, source: &'a dyn Source) -> Result<Option<Cow<'a, [u8]>>, SourceError> {
        match self {
            Self::Bare(hash) => match source.node(hash)? {
                None => source.code(hash),
                node => Ok(node),
            },
            Self::Code(hash) => source.code(hash),
            Self::Other => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_told_by_length_and_prefix() {
        let hash = H256::repeat_byte(0xab);
        let digits = "ab".repeat(32);
        assert_eq!(DbKey::parse(&format!("0x{digits}")), Ok(DbKey::Bare(hash)));
        assert_eq!(DbKey::parse(&format!("0X{}", digits.to_uppercase())), Ok(DbKey::Bare(hash)));
        assert_eq!(DbKey::parse(&format!("0x63{digits}")), Ok(DbKey::Code(hash)));
        for other in ["0x", "0x41", "LastBlock", &digits, &format!("0x64{digits}")] {
            assert_eq!(DbKey::parse(other), Ok(DbKey::Other), "{other}");
        }
        assert_eq!(DbKey::parse(&"k".repeat(32)), Ok(DbKey::Bare(H256::repeat_byte(b'k'))));
    }

    #[test]
    fn malformed_keys_get_the_texts_of_geth() {
        assert_eq!(DbKey::parse(""), Err("empty hex string"));
        assert_eq!(DbKey::parse("0xabc"), Err("hex string of odd length"));
        assert_eq!(DbKey::parse("0xzz"), Err("invalid hex string"));
        assert_eq!(DbKey::parse("0xzzz"), Err("invalid hex string"));
        assert_eq!(DbKey::parse("0x0€"), Err("invalid hex string"));
    }
}
