//! Items as JSON-RPC requests, replies as one answer for each item.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Ask, Dialect, RpcError};

/// JSON around one key in a request: `{"jsonrpc":"2.0","id":NNNN,"method":"debug_dbGet","params":["0x…"]},`.
const CALL_BYTES: usize = 150;

/// The answer to one asked item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer<'a> {
    /// A hex string, as sent, with its `0x`.
    Hex(&'a str),
    /// `null`: some clients' way of saying absent.
    Null,
    /// An error object.
    Error(RpcError),
    /// A result that is neither.
    Nonsense,
    /// The reply has no element with the item's id.
    Nothing,
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

/// A batch of reads, one for each item, with its place in the batch as id.
#[must_use]
pub fn request(dialect: Dialect, asks: &[Ask]) -> Vec<u8> {
    let mut body = Vec::with_capacity(asks.len() * CALL_BYTES + 2);
    body.push(b'[');
    for (id, ask) in asks.iter().enumerate() {
        if id > 0 {
            body.push(b',');
        }
        body.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
        body.extend_from_slice(id.to_string().as_bytes());
        body.extend_from_slice(br#","method":""#);
        body.extend_from_slice(dialect.method().as_bytes());
        body.extend_from_slice(br#"","params":[""#);
        if let Some(database) = dialect.database(ask.item.key.kind) {
            body.extend_from_slice(database.as_bytes());
            body.extend_from_slice(br#"",""#);
        }
        body.extend_from_slice(b"0x");
        body.extend_from_slice(faster_hex::hex_string(&dialect.key(ask)).as_bytes());
        body.extend_from_slice(br#""]}"#);
    }
    body.push(b']');
    body
}

/// One element of a reply. Ids are echoed by the server and untrusted.
#[derive(Deserialize)]
struct Element<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    result: Option<&'a RawValue>,
    error: Option<RpcError>,
}

/// Tells `"result": null` from no result.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// The answers to a batch of `asked` items, in the order they were asked. Elements may come in any order; of two with
/// one id the first counts; elements with an id that was not asked are passed over.
///
/// # Errors
/// [`ReplyError`] when the reply has no elements to match.
pub fn answers(reply: &[u8], asked: usize) -> Result<Vec<Answer<'_>>, ReplyError> {
    let garbage = |error: &dyn std::fmt::Display| ReplyError::Garbage(error.to_string());
    let text = std::str::from_utf8(reply).map_err(|error| garbage(&error))?;
    if text.trim_start().starts_with('{') {
        let element: Element<'_> = serde_json::from_str(text).map_err(|error| garbage(&error))?;
        let error = element.error.ok_or_else(|| garbage(&"one result for a batch"))?;
        return Err(ReplyError::Whole(error));
    }
    let elements: Vec<Element<'_>> = serde_json::from_str(text).map_err(|error| garbage(&error))?;
    let mut answers = vec![Answer::Nothing; asked];
    for element in elements {
        let id = element.id.and_then(|id| id.get().trim_matches('"').parse::<usize>().ok());
        let Some(answer) = id.and_then(|id| answers.get_mut(id)) else { continue };
        if *answer == Answer::Nothing {
            *answer = Answer::of(element);
        }
    }
    Ok(answers)
}

impl<'a> Answer<'a> {
    fn of(element: Element<'a>) -> Self {
        if let Some(error) = element.error {
            return Self::Error(error);
        }
        let Some(result) = element.result.map(RawValue::get) else { return Self::Nonsense };
        if result == "null" {
            return Self::Null;
        }
        // A hex string has no escapes, so its raw JSON is the string itself.
        result.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).map_or(Self::Nonsense, Self::Hex)
    }
}

/// The bytes of a `0x`-prefixed hex string; `None` when it is not one.
#[must_use]
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("0x")?.as_bytes();
    let mut bytes = vec![0; digits.len() / 2];
    faster_hex::hex_decode(digits, &mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use primitive_types::H256;

    use super::*;
    use crate::trie::{Item, Key, Kind, Nibbles};

    fn ask(kind: Kind, byte: u8, bare_code: bool) -> Ask {
        let key = Key { kind, hash: H256::repeat_byte(byte) };
        Ask { item: Item { key, owner: H256::zero(), path: Nibbles::EMPTY, after_extension: false }, bare_code }
    }

    #[test]
    fn a_request_asks_for_nodes_by_hash_and_for_codes_by_prefix_or_bare_hash() {
        let asks = [ask(Kind::AccountNode, 1, false), ask(Kind::Code, 2, false), ask(Kind::Code, 3, true)];
        let request: serde_json::Value = serde_json::from_slice(&request(Dialect::Hash, &asks)).unwrap();
        let key = |byte: &str, prefix: &str| serde_json::json!([format!("0x{prefix}{}", byte.repeat(32))]);
        let expected = [key("01", ""), key("02", "63"), key("03", "")];
        for (id, params) in expected.iter().enumerate() {
            assert_eq!(request[id]["method"], "debug_dbGet");
            assert_eq!(request[id]["id"], id);
            assert_eq!(&request[id]["params"], params);
        }
    }

    #[test]
    fn answers_are_matched_by_id_in_any_order() {
        let reply =
            br#"[{"jsonrpc":"2.0","id":2,"result":"0x02"},{"id":0,"result":"0x00"},{"id":"1","result":"0x01"}]"#;
        assert_eq!(answers(reply, 3).unwrap(), [Answer::Hex("0x00"), Answer::Hex("0x01"), Answer::Hex("0x02")]);
    }

    #[test]
    fn foreign_surplus_and_second_answers_are_passed_over_and_missing_ones_are_nothing() {
        let reply = br#"[{"id":7,"result":"0x07"},{"id":null,"result":"0x09"},{"id":0,"result":"0x01"},
            {"id":0,"result":"0x02"},{"id":-1,"result":"0x03"},{"id":99999999999999999999,"result":"0x04"}]"#;
        assert_eq!(answers(reply, 2).unwrap(), [Answer::Hex("0x01"), Answer::Nothing]);
    }

    #[test]
    fn null_errors_and_nonsense_are_told_apart() {
        let reply = br#"[{"id":0,"result":null},{"id":1,"error":{"code":-32000,"message":"pebble: not found"}},
            {"id":2,"result":{"a":1}},{"id":3,"result":5},{"id":4}]"#;
        let error = RpcError { code: -32000, message: "pebble: not found".into(), data: None };
        let expected = [Answer::Null, Answer::Error(error), Answer::Nonsense, Answer::Nonsense, Answer::Nonsense];
        assert_eq!(answers(reply, 5).unwrap(), expected);
    }

    #[test]
    fn an_object_in_place_of_a_batch_is_one_error_for_all() {
        let reply = br#"{"jsonrpc":"2.0","id":null,"error":{"code":-32005,"message":"batch limit exceeded"}}"#;
        assert!(matches!(answers(reply, 2), Err(ReplyError::Whole(error)) if error.code == -32005));
    }

    #[test]
    fn what_is_not_json_rpc_is_garbage() {
        for reply in [b"<html>".as_slice(), b"", b"[1,2]", b"[{\"id\":0", b"\xff\xfe", b"{\"result\":\"0x\"}"] {
            assert!(matches!(answers(reply, 2), Err(ReplyError::Garbage(_))), "{reply:?}");
        }
    }

    #[test]
    fn hex_needs_its_prefix_and_whole_bytes() {
        assert_eq!(unhex("0x00fF"), Some(vec![0, 255]));
        assert_eq!(unhex("0x"), Some(vec![]));
        for bad in ["", "00", "0x0", "0xzz", "0X00"] {
            assert_eq!(unhex(bad), None, "{bad}");
        }
    }
}
