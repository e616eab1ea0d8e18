//! Items as JSON-RPC requests, replies as one answer for each item.

use serde_json::value::RawValue;

use super::reply::{self, Element};
use super::scan::{self, Scanned};
use super::{Ask, Dialect, RpcError};
use crate::trie::Kind;

use super::hex::push_hex;
pub use super::hex::{Hex, unhex};
pub use super::reply::ReplyError;

/// JSON around one key in a request: `{"jsonrpc":"2.0","id":NNNN,"method":"debug_dbGet","params":["0x…"]},`.
const CALL_BYTES: usize = 150;

/// Room for an error page or an error for the whole batch, in the reply to any batch.
const REPLY_BYTES: usize = 256 << 10;

/// Room for a node: three times a full branch as hex, so that an error in its place may be wordy.
const NODE_BYTES: usize = 4 << 10;

/// Room for a code: twice what mainnet allows (EIP-170), as hex.
const CODE_BYTES: usize = 100_000;

/// Room for codes that are longer, of chains that allow it: one of 2 MiB, eighty times mainnet's limit.
const LONG_CODE_BYTES: usize = 4 << 20;

/// No reply is longer, however much is asked for. The pool asks for less than a fourth of it.
pub(crate) const REPLY_BYTES_MAX: usize = 16 << 20;

/// The answer to one asked item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer<'a> {
    /// A hex string.
    Hex(Hex<'a>),
    /// A string that is not hex.
    NotHex,
    /// `null`: some clients' way of saying absent.
    Null,
    /// An error object.
    Error(RpcError),
    /// A result that is none of these.
    Nonsense,
    /// The reply has no element with the item's id.
    Nothing,
}

/// A batch of reads, one for each item, with its place in the batch as id.
#[must_use]
pub fn request(dialect: Dialect, asks: &[Ask]) -> Vec<u8> {
    let mut body = Vec::with_capacity(asks.len() * CALL_BYTES + 2);
    let (method, mut key) = (dialect.method(), Vec::new());
    body.push(b'[');
    for (id, ask) in asks.iter().enumerate() {
        if id > 0 {
            body.push(b',');
        }
        body.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
        push_number(&mut body, id);
        body.extend_from_slice(br#","method":""#);
        body.extend_from_slice(method.as_bytes());
        body.extend_from_slice(br#"","params":[""#);
        if let Some(database) = dialect.database(ask.item.key.kind) {
            body.extend_from_slice(database.as_bytes());
            body.extend_from_slice(br#"",""#);
        }
        key.clear();
        dialect.push_key(&mut key, ask);
        push_hex(&mut body, &key);
        body.extend_from_slice(br#""]}"#);
    }
    body.push(b']');
    body
}

/// Appends a number. By hand: the formatter takes three times as long, a fourth of all that an item takes here.
fn push_number(to: &mut Vec<u8>, number: usize) {
    if number >= 10 {
        push_number(to, number / 10);
    }
    to.push(b"0123456789"[number % 10]);
}

/// The most bytes that an honest peer's reply to these asks has. It bounds what a dishonest one makes this side hold.
#[must_use]
pub fn reply_bytes_max(asks: &[Ask]) -> usize {
    let codes = asks.iter().filter(|ask| ask.item.key.kind == Kind::Code).count();
    let any_code = if codes > 0 { LONG_CODE_BYTES } else { 0 };
    let bytes = REPLY_BYTES + NODE_BYTES * (asks.len() - codes) + CODE_BYTES * codes + any_code;
    bytes.min(REPLY_BYTES_MAX)
}

/// The answers to a batch of `asked` items, in the order they were asked. Elements may come in any order; of two with
/// one id the first counts; elements with an id that was not asked are passed over.
///
/// # Errors
/// [`ReplyError`] when the reply has no elements to match.
pub fn answers(reply: &[u8], asked: usize) -> Result<Vec<Answer<'_>>, ReplyError> {
    scanned(reply, asked).map_or_else(|| read(reply, asked), Ok)
}

/// The answers, if the reply is an array of elements.
pub(super) fn scanned(reply: &[u8], asked: usize) -> Option<Vec<Answer<'_>>> {
    let mut answers = vec![Answer::Nothing; asked];
    scan::elements(reply, |element| match element {
        Scanned::Plain(place, hex) => note(&mut answers, place, || Answer::Hex(hex)),
        Scanned::Other(element) => note_element(&mut answers, element),
    })?;
    Some(answers)
}

/// The answers as the JSON library reads them, or what is wrong with the reply.
pub(super) fn read(reply: &[u8], asked: usize) -> Result<Vec<Answer<'_>>, ReplyError> {
    let mut answers = vec![Answer::Nothing; asked];
    reply::elements(reply, |element| note_element(&mut answers, element))?;
    Ok(answers)
}

fn note_element<'a>(answers: &mut [Answer<'a>], element: Element<'a>) {
    if let Some(place) = element.place() {
        note(answers, place, || Answer::of(element));
    }
}

fn note<'a>(answers: &mut [Answer<'a>], place: usize, answer: impl FnOnce() -> Answer<'a>) {
    if let Some(first @ Answer::Nothing) = answers.get_mut(place) {
        *first = answer();
    }
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
        let Some(string) = result.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
            return Self::Nonsense;
        };
        Hex::new(string.as_bytes()).map_or(Self::NotHex, Self::Hex)
    }
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

    fn hex(text: &str) -> Answer<'_> {
        Answer::Hex(Hex::new(text.as_bytes()).unwrap())
    }

    #[test]
    fn answers_are_matched_by_id_in_any_order() {
        let reply =
            br#"[{"jsonrpc":"2.0","id":2,"result":"0x02"},{"id":0,"result":"0x00"},{"id":"1","result":"0x01"}]"#;
        assert_eq!(answers(reply, 3).unwrap(), [hex("0x00"), hex("0x01"), hex("0x02")]);
    }

    #[test]
    fn foreign_surplus_and_second_answers_are_passed_over_and_missing_ones_are_nothing() {
        let reply = br#"[{"id":7,"result":"0x07"},{"id":null,"result":"0x09"},{"id":0,"result":"0x01"},
            {"id":0,"result":"0x02"},{"id":-1,"result":"0x03"},{"id":99999999999999999999,"result":"0x04"}]"#;
        assert_eq!(answers(reply, 2).unwrap(), [hex("0x01"), Answer::Nothing]);
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
}
