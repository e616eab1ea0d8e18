//! A reply's elements, read fast where they have the shape that nearly all have.
//!
//! The plain shape is `{"jsonrpc":"2.0","id":7,"result":"0x…"}`, its members in any order. It is read with a few
//! comparisons; an element in any other shape goes to the JSON library, and so does a reply that is not an array of
//! elements. What is found is the same as if the library had read it all.

use serde_json::Deserializer;

use super::hex::Hex;
use super::reply::Element;

/// An element of a reply.
pub(super) enum Scanned<'a> {
    /// A result in hex, under a number.
    Plain(usize, Hex<'a>),
    /// Anything else.
    Other(Element<'a>),
}

/// More digits than this are left to the library: no batch has places of so many, and they fit in any integer.
const DIGITS_MAX: usize = 9;

/// Reads the elements one after another. `None` where the reply is no array of elements, from its beginning to its end;
/// some may have been handed out by then.
pub(super) fn elements<'a>(reply: &'a [u8], mut take: impl FnMut(Scanned<'a>)) -> Option<()> {
    let mut scan = Scan { rest: reply };
    scan.expect(b"[")?;
    if scan.expect(b"]").is_none() {
        take(scan.element()?);
        while scan.expect(b",").is_some() {
            take(scan.element()?);
        }
        scan.expect(b"]")?;
    }
    scan.skip_space();
    scan.rest.is_empty().then_some(())
}

/// Reads off the front of `rest`.
#[derive(Clone, Copy)]
struct Scan<'a> {
    rest: &'a [u8],
}

impl<'a> Scan<'a> {
    fn element(&mut self) -> Option<Scanned<'a>> {
        let mut plain = *self;
        if let Some((place, result)) = plain.plain() {
            *self = plain;
            return Some(Scanned::Plain(place, result));
        }
        let mut elements = Deserializer::from_slice(self.rest).into_iter();
        let element = elements.next()?.ok()?;
        let (read, rest) = self.rest.split_at_checked(elements.byte_offset())?;
        // The library does not look into strings that nobody wants.
        std::str::from_utf8(read).ok()?;
        self.rest = rest;
        Some(Scanned::Other(element))
    }

    fn plain(&mut self) -> Option<(usize, Hex<'a>)> {
        let (mut place, mut result) = (None, None);
        self.expect(b"{")?;
        loop {
            if self.expect(br#""jsonrpc":"#).is_some() {
                self.expect(br#""2.0""#)?;
            } else if place.is_none() && self.expect(br#""id":"#).is_some() {
                place = Some(self.number()?);
            } else {
                self.expect(br#""result":"#).filter(|()| result.is_none())?;
                result = Some(self.hex()?);
            }
            if self.expect(b",").is_none() {
                self.expect(b"}")?;
                return place.zip(result);
            }
        }
    }

    /// A number as JSON writes those that are small and whole. What follows it has to be no part of it.
    fn number(&mut self) -> Option<usize> {
        self.skip_space();
        let length = self.rest.iter().position(|byte| !byte.is_ascii_digit())?;
        let (digits, rest) = self.rest.split_at(length);
        if length > DIGITS_MAX || digits.first()? == &b'0' && length > 1 {
            return None;
        }
        self.rest = rest;
        Some(digits.iter().fold(0, |number, digit| 10 * number + usize::from(digit - b'0')))
    }

    /// A string of hex; so it has no escapes, and ends where its next quote is.
    fn hex(&mut self) -> Option<Hex<'a>> {
        self.expect(b"\"")?;
        let length = memchr::memchr(b'"', self.rest)?;
        let hex = Hex::new(self.rest.get(..length)?)?;
        self.rest = self.rest.get(length + 1..)?;
        Some(hex)
    }

    /// Takes this text off the front, and the space before it.
    #[inline]
    fn expect(&mut self, text: &[u8]) -> Option<()> {
        self.skip_space();
        self.rest = self.rest.strip_prefix(text)?;
        Some(())
    }

    #[inline]
    fn skip_space(&mut self) {
        while let [b' ' | b'\n' | b'\r' | b'\t', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }
}

#[cfg(test)]
mod tests;
