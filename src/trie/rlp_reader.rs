//! A strict, zero-copy RLP reader: it accepts exactly one encoding of every item.
//!
//! The `rlp` crate's decoder tolerates several; a node is only trusted in its canonical form.

use primitive_types::H256;

use super::error::RlpError;

/// Longest payload whose length fits in the header byte (yellow paper, appendix B).
const MAX_SHORT: usize = 55;

/// One item, borrowed from the bytes it was read from.
#[derive(Clone, Copy)]
pub(super) enum Item<'a> {
    /// A string's content.
    Bytes(&'a [u8]),
    /// A list's payload: its items, without the header.
    List(&'a [u8]),
}

impl<'a> Item<'a> {
    /// The content of a string.
    pub(super) fn bytes(self) -> Result<&'a [u8], RlpError> {
        match self {
            Self::Bytes(content) => Ok(content),
            Self::List(_) => Err(RlpError::NotAString),
        }
    }

    /// The hash a string of 32 bytes holds.
    pub(super) fn hash(self) -> Result<H256, RlpError> {
        let content = self.bytes()?;
        let hash = content.try_into().map_err(|_| RlpError::NotAHash { got: content.len() })?;
        Ok(H256(hash))
    }

    /// The big-endian bytes of an unsigned integer of at most `max` bytes; none for zero.
    pub(super) fn integer(self, max: usize) -> Result<&'a [u8], RlpError> {
        match self.bytes()? {
            [0, ..] => Err(RlpError::LeadingZero),
            long if long.len() > max => Err(RlpError::IntegerTooLong { got: long.len(), max }),
            content => Ok(content),
        }
    }
}

/// Reads items off the front of `rest`.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// The next item, or `None` at the end.
    #[inline]
    fn next(&mut self) -> Result<Option<Item<'a>>, RlpError> {
        let Some((&header, after)) = self.rest.split_first() else {
            return Ok(None);
        };
        let item = match header {
            0..0x80 => {
                let (byte, rest) = self.rest.split_at_checked(1).ok_or(RlpError::Truncated)?;
                self.rest = rest;
                Item::Bytes(byte)
            }
            0x80..0xc0 => Item::Bytes(self.payload(header, header - 0x80, after)?),
            0xc0.. => Item::List(self.payload(header, header - 0xc0, after)?),
        };
        match item {
            Item::Bytes([..0x80]) if header >= 0x80 => Err(RlpError::NonCanonical { header }),
            item => Ok(Some(item)),
        }
    }

    /// Takes the payload `after` a header byte. `code` is the payload's length up to 55, and above
    /// that 55 plus the number of big-endian bytes, which come first, that give the length.
    #[inline]
    fn payload(&mut self, header: u8, code: u8, after: &'a [u8]) -> Result<&'a [u8], RlpError> {
        let code = usize::from(code);
        let (len, after) = if code <= MAX_SHORT {
            (code, after)
        } else {
            let (digits, after) = after.split_at_checked(code - MAX_SHORT).ok_or(RlpError::Truncated)?;
            let len = digits.iter().try_fold(0_usize, |len, &digit| Some(len.checked_mul(256)? | usize::from(digit)));
            let len = len.ok_or(RlpError::Truncated)?;
            if digits.first() == Some(&0) || len <= MAX_SHORT {
                return Err(RlpError::NonCanonical { header });
            }
            (len, after)
        };
        let (payload, rest) = after.split_at_checked(len).ok_or(RlpError::Truncated)?;
        self.rest = rest;
        Ok(payload)
    }
}

/// The only item in `encoded`.
#[inline]
pub(super) fn single(encoded: &[u8]) -> Result<Item<'_>, RlpError> {
    let mut reader = Reader { rest: encoded };
    let item = reader.next()?.ok_or(RlpError::Truncated)?;
    match reader.rest.len() {
        0 => Ok(item),
        extra => Err(RlpError::TrailingBytes { extra }),
    }
}

/// The payload of the list that `encoded` is.
#[inline]
pub(super) fn single_list(encoded: &[u8]) -> Result<&[u8], RlpError> {
    match single(encoded)? {
        Item::List(payload) => Ok(payload),
        Item::Bytes(_) => Err(RlpError::NotAList),
    }
}

/// The items of a list that has two; `None` for any other number.
#[inline]
pub(super) fn pair(payload: &[u8]) -> Result<Option<(Item<'_>, Item<'_>)>, RlpError> {
    let mut reader = Reader { rest: payload };
    let pair = (reader.next()?, reader.next()?);
    Ok(match pair {
        (Some(first), Some(second)) if reader.rest.is_empty() => Some((first, second)),
        _ => None,
    })
}

/// The first `N` items of a list's `payload`, and how many it has in all. With fewer than `N` the
/// others read as empty strings.
pub(super) fn items<const N: usize>(payload: &[u8]) -> Result<([Item<'_>; N], usize), RlpError> {
    let mut reader = Reader { rest: payload };
    let mut items = [Item::Bytes(&[]); N];
    let mut count = 0;
    while let Some(item) = reader.next()? {
        if let Some(slot) = items.get_mut(count) {
            *slot = item;
        }
        count += 1;
    }
    Ok((items, count))
}

/// Whether a list's `payload` has more than so many items. Reads no further than that.
pub(super) fn has_more(payload: &[u8], than: usize) -> Result<bool, RlpError> {
    let mut reader = Reader { rest: payload };
    for _ in 0..than {
        if reader.next()?.is_none() {
            return Ok(false);
        }
    }
    Ok(reader.next()?.is_some())
}
