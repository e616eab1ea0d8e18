//! A reply's elements, read so that what is held does not depend on how many a peer sends, or how they are nested.

use std::borrow::Cow;
use std::fmt;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::words::tame;

/// How much of an error's `data` is looked at. The longest with a meaning, Infura's, has some 150 bytes.
const DATA_BYTES_MAX: usize = 512;

/// Values in a result that is taken apart. A block with its transaction hashes has one for each transaction; 100 bytes
/// of memory for each are borne with.
const VALUES_MAX: usize = 1 << 18;

/// A JSON-RPC error object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("error {code}: {message}")]
pub struct RpcError {
    /// The error code.
    pub code: i64,
    /// The error text, cut off where it is long, and safe to print.
    pub message: String,
    /// What else the peer has to say, such as how long to wait; nothing where it says a lot.
    pub data: Option<Value>,
}

/// The reply is no answer to the batch.
#[derive(Debug, thiserror::Error)]
pub enum ReplyError {
    /// One error for the whole batch.
    #[error(transparent)]
    Whole(RpcError),
    /// Not JSON-RPC at all.
    #[error("the reply is not JSON-RPC: {0}")]
    Garbage(String),
}

/// One element of a reply, or the reply to a single call. Ids are echoed by the server and untrusted.
#[derive(Deserialize)]
pub(super) struct Element<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    /// `null` is a result.
    #[serde(borrow, default, deserialize_with = "present")]
    pub(super) result: Option<&'a RawValue>,
    pub(super) error: Option<RpcError>,
}

/// Tells `"result": null` from no result.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// Reads the elements of the reply to a batch, one after another.
///
/// # Errors
/// [`ReplyError`] when the reply has no elements, or is in disorder somewhere.
pub(super) fn elements<'a>(reply: &'a [u8], take: impl FnMut(Element<'a>)) -> Result<(), ReplyError> {
    let text = std::str::from_utf8(reply).map_err(|error| garbage(&error))?;
    if text.trim_start().starts_with('{') {
        let element: Element<'_> = serde_json::from_str(text).map_err(|error| garbage(&error))?;
        return Err(element.error.map_or_else(|| garbage(&"one result for a batch"), ReplyError::Whole));
    }
    let mut json = serde_json::Deserializer::from_str(text);
    json.deserialize_seq(Each(take)).and_then(|()| json.end()).map_err(|error| garbage(&error))
}

/// The reply to a single call.
///
/// # Errors
/// What is wrong with it.
pub(super) fn single(reply: &[u8]) -> Result<Element<'_>, String> {
    serde_json::from_slice(reply).map_err(|error| tame(&error.to_string()))
}

/// A result taken apart; `null` where there is none.
///
/// # Errors
/// When it is too much.
pub(super) fn value(result: Option<&RawValue>) -> Result<Value, String> {
    let Some(raw) = result.map(RawValue::get) else { return Ok(Value::Null) };
    let values = raw.bytes().filter(|byte| matches!(byte, b',' | b'[' | b'{')).count();
    if values > VALUES_MAX {
        return Err(format!("its result has more than {VALUES_MAX} values"));
    }
    serde_json::from_str(raw).map_err(|error| tame(&error.to_string()))
}

/// The errors of the JSON library quote what they are about, however long it is.
fn garbage(error: &dyn fmt::Display) -> ReplyError {
    ReplyError::Garbage(tame(&error.to_string()))
}

struct Each<F>(F);

impl<'de, F: FnMut(Element<'de>)> Visitor<'de> for Each<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a batch of answers")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<(), A::Error> {
        while let Some(element) = elements.next_element()? {
            (self.0)(element);
        }
        Ok(())
    }
}

impl Element<'_> {
    /// Its id as a place in the batch, if it is one; some servers give numbers back as strings.
    pub(super) fn place(&self) -> Option<usize> {
        self.id?.get().trim_matches('"').parse().ok()
    }
}

impl<'de> Deserialize<'de> for RpcError {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Raw<'a> {
            code: i64,
            #[serde(borrow)]
            message: Option<&'a RawValue>,
            #[serde(borrow)]
            data: Option<&'a RawValue>,
        }
        let Raw { code, message, data } = Raw::deserialize(deserializer)?;
        let message = message.map(|raw| text(raw.get()));
        let data = data.map(RawValue::get).filter(|data| data.len() <= DATA_BYTES_MAX);
        let data = data.and_then(|data| serde_json::from_str(data).ok());
        Ok(Self { code, message: message.as_deref().map(tame).unwrap_or_default(), data })
    }
}

/// The text of a JSON string; of anything else the JSON.
fn text(json: &str) -> Cow<'_, str> {
    serde_json::from_str::<String>(json).map_or(Cow::Borrowed(json), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(reply: &str) -> Result<Vec<Option<usize>>, ReplyError> {
        let mut ids = Vec::new();
        elements(reply.as_bytes(), |element| ids.push(element.place())).map(|()| ids)
    }

    #[test]
    fn giant_ids_are_nobodys() {
        let long = format!(r#"[{{"id":"{}"}},{{"id":1{}}},{{"id":1}}]"#, "9".repeat(1 << 20), "0".repeat(400));
        assert_eq!(ids(&long).unwrap(), [None, None, Some(1)]);
    }

    #[test]
    fn nesting_of_any_depth_is_passed_over_where_nobody_looks_in_and_refused_where_one_does() {
        for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
            let deep = format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
            let reply = format!(r#"[{{"id":{deep}}},{{"id":7,"result":{deep}}},{{"id":8,"x":{deep}}}]"#);
            assert_eq!(ids(&reply).unwrap(), [None, Some(7), Some(8)]);
            let error = format!(r#"{{"code":-1,"message":{deep},"data":{deep}}}"#);
            let error = serde_json::from_str::<RpcError>(&error).unwrap();
            assert!(error.message.len() < 400 && error.data.is_none());
            let single = format!(r#"{{"id":1,"result":{deep}}}"#);
            assert!(value(super::single(single.as_bytes()).unwrap().result).unwrap_err().contains("recursion limit"));
        }
        assert!(ids(&"[".repeat(100_000)).is_err());
    }

    #[test]
    fn a_result_of_countless_values_is_not_taken_apart() {
        let many = format!("[{}0]", "0,".repeat(VALUES_MAX));
        let raw = serde_json::from_str(&many).unwrap();
        assert!(value(Some(raw)).unwrap_err().contains("values"));
        assert_eq!(value(None), Ok(Value::Null));
    }

    #[test]
    fn words_are_kept_short_wherever_they_stand() {
        let long = "\\u001b[2J".repeat(1 << 16);
        let error = format!(r#"{{"code":-32000,"message":"{long}","data":"{long}"}}"#);
        let error = serde_json::from_str::<RpcError>(&error).unwrap();
        assert!(error.to_string().len() < 400 && error.data.is_none());
        assert!(!error.message.contains('\x1b'));
        // The library quotes the string where an object should be.
        let quoted = ids(&format!(r#"[{{"id":1,"error":"{long}"}}]"#)).unwrap_err().to_string();
        assert!(quoted.len() < 400 && !quoted.contains('\x1b'), "{quoted}");
    }
}
