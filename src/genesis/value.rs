//! Reading single JSON values the way genesis files spell them, with errors that say where.

use std::fmt;

use primitive_types::U256;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// How much of a name from the file an error message repeats: enough for any address or slot.
const MAX_SHOWN_CHARS: usize = 80;

/// A JSON object as its entries in file order, values still unread and names possibly repeated.
pub(super) struct Object<'a> {
    pub(super) entries: Vec<(String, &'a RawValue)>,
}

/// What is wrong with one value of a genesis file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// A value that must be there is not, or is `null`.
    #[error("missing")]
    Missing,
    /// The same name, address or slot appears twice, perhaps in another spelling.
    #[error("stated twice")]
    Duplicate,
    /// Neither decimal digits nor `0x` and hex digits.
    #[error("not a number")]
    NotANumber,
    /// A number of more than this many bits.
    #[error("more than {0} bits")]
    TooLarge(u32),
    /// Not a string of an even count of hex digits.
    #[error("not hex")]
    NotHex,
    /// Not exactly this many bytes in hex.
    #[error("not {0} bytes of hex")]
    NotBytes(usize),
    /// Not a JSON object.
    #[error("not an object")]
    NotAnObject,
}

/// A [`ValueError`] and the place in the file it is at, such as `account 0x…: balance`.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct FieldError {
    /// Names from the outermost object inwards.
    pub place: String,
    /// What is wrong there.
    pub problem: ValueError,
}

impl ValueError {
    pub(super) fn at(self, place: impl Into<String>) -> FieldError {
        FieldError { place: place.into(), problem: self }
    }
}

impl FieldError {
    pub(super) fn within(self, outer: &str) -> Self {
        Self { place: format!("{outer}: {}", self.place), ..self }
    }
}

impl<'a> Object<'a> {
    pub(super) fn new(raw: &'a RawValue) -> Result<Self, ValueError> {
        serde_json::from_str(raw.get()).map_err(|_| ValueError::NotAnObject)
    }

    /// The value called `name`; `None` where there is none or it is `null`.
    pub(super) fn get(&self, name: &str) -> Result<Option<&'a RawValue>, FieldError> {
        let mut found = self.entries.iter().filter(|(key, _)| key == name);
        let value = found.next().map(|(_, raw)| *raw);
        if found.next().is_some() {
            return Err(ValueError::Duplicate.at(name));
        }
        Ok(value.filter(|raw| raw.get() != "null"))
    }

    /// The value called `name`, read by `read`.
    pub(super) fn read<T>(
        &self,
        name: &str,
        read: impl FnOnce(&RawValue) -> Result<T, ValueError>,
    ) -> Result<Option<T>, FieldError> {
        self.get(name)?.map(|raw| read(raw).map_err(|problem| problem.at(name))).transpose()
    }
}

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Object { entries })
            }
        }

        deserializer.deserialize_map(Entries)
    }
}

/// A name from the file as an error message may show it: cut and without control characters.
pub(super) fn shown(name: &str) -> String {
    name.chars().take(MAX_SHOWN_CHARS).flat_map(char::escape_debug).collect()
}

/// A number up to 256 bits: a JSON integer, or a string of decimal or of `0x` and hex digits.
pub(super) fn quantity(raw: &RawValue) -> Result<U256, ValueError> {
    let quoted = string(raw);
    let text = quoted.as_deref().unwrap_or(raw.get());
    if let Some(hex) = strip_0x(text) {
        return if hex.is_empty() {
            Err(ValueError::NotANumber)
        } else {
            word_of_digits(hex).map_err(|problem| match problem {
                ValueError::NotHex => ValueError::NotANumber,
                other => other,
            })
        };
    }
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(ValueError::NotANumber);
    }
    U256::from_dec_str(text).map_err(|_| ValueError::TooLarge(256))
}

/// A [`quantity`] of at most 64 bits.
pub(super) fn number(raw: &RawValue) -> Result<u64, ValueError> {
    u64::try_from(quantity(raw)?).map_err(|_| ValueError::TooLarge(64))
}

/// A string of hex digits, two for each byte, with or without `0x`.
pub(super) fn bytes(raw: &RawValue) -> Result<Vec<u8>, ValueError> {
    let text = string(raw).ok_or(ValueError::NotHex)?;
    let digits = strip_0x(&text).unwrap_or(&text).as_bytes();
    let mut out = vec![0; digits.len() / 2];
    if !digits.len().is_multiple_of(2) || faster_hex::hex_decode(digits, &mut out).is_err() {
        return Err(ValueError::NotHex);
    }
    Ok(out)
}

/// Exactly `N` bytes of hex, with or without `0x`, in any case.
pub(super) fn fixed<const N: usize>(text: &str) -> Result<[u8; N], ValueError> {
    let digits = strip_0x(text).unwrap_or(text).as_bytes();
    let mut out = [0; N];
    if digits.len() != 2 * N || faster_hex::hex_decode(digits, &mut out).is_err() {
        return Err(ValueError::NotBytes(N));
    }
    Ok(out)
}

/// [`fixed`] for a JSON string.
pub(super) fn fixed_value<const N: usize>(raw: &RawValue) -> Result<[u8; N], ValueError> {
    fixed(&string(raw).ok_or(ValueError::NotBytes(N))?)
}

/// A storage slot or value: up to 64 hex digits, with or without `0x`, padded on the left.
pub(super) fn word(text: &str) -> Result<U256, ValueError> {
    let digits = strip_0x(text).unwrap_or(text);
    if digits.len() > 64 {
        return Err(ValueError::TooLarge(256));
    }
    word_of_digits(digits)
}

/// [`word`] for a JSON string.
pub(super) fn word_value(raw: &RawValue) -> Result<U256, ValueError> {
    word(&string(raw).ok_or(ValueError::NotHex)?)
}

fn word_of_digits(digits: &str) -> Result<U256, ValueError> {
    if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(ValueError::NotHex);
    }
    match digits.trim_start_matches('0') {
        "" => Ok(U256::zero()),
        significant => U256::from_str_radix(significant, 16).map_err(|_| ValueError::TooLarge(256)),
    }
}

fn string(raw: &RawValue) -> Option<String> {
    serde_json::from_str(raw.get()).ok()
}

fn strip_0x(text: &str) -> Option<&str> {
    text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))
}
