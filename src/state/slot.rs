//! A storage slot as people and JSON-RPC name it.

use std::fmt;
use std::str::FromStr;

use primitive_types::{H256, U256};
use thiserror::Error;

use crate::trie::keccak256;

/// A slot's number, and whether it was written as a whole word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    number: H256,
    /// As go-ethereum, `eth_getProof` repeats a slot the way it was asked for.
    whole: bool,
}

/// Why a text is no slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SlotError {
    /// It is neither hex digits after 0x nor decimal digits.
    #[error("not a number, neither in decimal nor in hex after 0x")]
    NotANumber,
    /// It has more than 256 bits.
    #[error("a slot has 32 bytes at most")]
    TooLong,
}

impl Slot {
    /// The slot with a number of any size from its big-endian bytes; `None` for more than 32 of them.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut number = H256::zero();
        let start = number.0.len().checked_sub(bytes.len())?;
        number.0.get_mut(start..)?.copy_from_slice(bytes);
        Some(Self { number, whole: start == 0 })
    }

    /// The number as a word.
    #[must_use]
    pub fn number(&self) -> H256 {
        self.number
    }

    /// Its key in a storage trie.
    #[must_use]
    pub fn key(&self) -> H256 {
        keccak256(self.number.as_bytes())
    }
}

impl FromStr for Slot {
    type Err = SlotError;

    fn from_str(text: &str) -> Result<Self, SlotError> {
        let Some(digits) = text.strip_prefix("0x") else {
            let is_decimal = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            let number = is_decimal.then(|| U256::from_dec_str(text)).ok_or(SlotError::NotANumber)?;
            let number = H256(number.map_err(|_| SlotError::TooLong)?.to_big_endian());
            return Ok(Self { number, whole: false });
        };
        if digits.is_empty() || !faster_hex::hex_check(digits.as_bytes()) {
            return Err(SlotError::NotANumber);
        }
        let word = size_of::<H256>() * 2;
        let padded = format!("{digits:0>word$}");
        let mut number = H256::zero();
        faster_hex::hex_decode(padded.as_bytes(), &mut number.0).map_err(|_| SlotError::TooLong)?;
        Ok(Self { number, whole: digits.len() == word })
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.whole {
            write!(f, "{:?}", self.number)
        } else {
            write!(f, "{:#x}", U256::from_big_endian(self.number.as_bytes()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_a_number_in_decimal_or_hex_and_told_as_it_was_written() {
        let told = |text: &str| text.parse::<Slot>().map(|slot| (slot.number(), slot.to_string()));
        let number = |number: u64| H256(U256::from(number).to_big_endian());
        assert_eq!(told("10"), Ok((number(10), "0xa".into())));
        assert_eq!(told("0"), Ok((number(0), "0x0".into())));
        assert_eq!(told("0x010"), Ok((number(16), "0x10".into())));
        let whole = format!("0x{:064x}", 7);
        assert_eq!(told(&whole), Ok((number(7), whole)));
        assert_eq!(Slot::from_bytes(&[1, 0]).map(|slot| slot.number()), Some(number(256)));
        assert_eq!(Slot::from_bytes(&[0; 33]), None);
    }

    #[test]
    fn what_is_no_number_or_too_long_is_no_slot() {
        let refused = |text: &str| text.parse::<Slot>().unwrap_err();
        for text in ["", "0x", "0xg", "-1", "+1", "ten", "0X1"] {
            assert_eq!(refused(text), SlotError::NotANumber, "{text}");
        }
        for text in [format!("0x{}", "0".repeat(65)), format!("1{}", "0".repeat(78))] {
            assert_eq!(refused(&text), SlotError::TooLong, "{text}");
        }
    }
}
