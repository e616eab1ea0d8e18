//! JSON-RPC answers, written by hand into one buffer.

use std::borrow::Cow;

use super::SourceError;

/// The error object of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    code: i32,
    message: Cow<'static, str>,
}

/// The id of an answer to something that has none.
pub(super) const NO_ID: &str = "null";

impl Refusal {
    /// JSON-RPC 2.0: not JSON.
    pub(super) const PARSE_ERROR: Self = Self::fixed(-32700, "parse error");
    /// JSON-RPC 2.0: not a call.
    pub(super) const INVALID_REQUEST: Self = Self::fixed(-32600, "invalid request");
    /// A batch of no calls.
    pub(super) const EMPTY_BATCH: Self = Self::fixed(-32600, "empty batch");
    /// A batch of more calls than the limit.
    pub(super) const BATCH_TOO_LARGE: Self = Self::fixed(-32600, "batch too large");
    /// The batch's time was over before this call's turn.
    pub(super) const TIMED_OUT: Self = Self::fixed(-32002, "request timed out");
    /// The reply was over its limit before this call's turn.
    pub(super) const RESPONSE_TOO_LARGE: Self = Self::fixed(-32003, "response too large");

    const fn fixed(code: i32, message: &'static str) -> Self {
        Self { code, message: Cow::Borrowed(message) }
    }

    /// The method failed; geth's code for every error without its own.
    pub(super) fn failed(message: impl Into<Cow<'static, str>>) -> Self {
        Self { code: -32000, message: message.into() }
    }

    /// JSON-RPC 2.0: the parameters are not the method's.
    pub(super) fn invalid_params(message: impl Into<Cow<'static, str>>) -> Self {
        Self { code: -32602, message: message.into() }
    }

    /// JSON-RPC 2.0: no such method.
    pub(super) fn no_method(method: &str) -> Self {
        Self { code: -32601, message: format!("the method {method} does not exist/is not available").into() }
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(br#"{"code":"#);
        out.extend_from_slice(self.code.to_string().as_bytes());
        out.extend_from_slice(br#","message":"#);
        push_text(out, &self.message);
        out.push(b'}');
    }
}

impl From<SourceError> for Refusal {
    fn from(error: SourceError) -> Self {
        Self::failed(format!("the state cannot be read: {error}"))
    }
}

/// Writes one answer object with the call's `id`, which is raw JSON. `result` writes the result or refuses. Returns how
/// many bytes the result or the error takes.
pub(super) fn push_answer(
    out: &mut Vec<u8>,
    id: &str,
    result: impl FnOnce(&mut Vec<u8>) -> Result<(), Refusal>,
) -> usize {
    out.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
    out.extend_from_slice(id.as_bytes());
    let after_id = out.len();
    out.extend_from_slice(br#","result":"#);
    let mut payload = out.len();
    if let Err(refusal) = result(out) {
        out.truncate(after_id);
        out.extend_from_slice(br#","error":"#);
        payload = out.len();
        refusal.write(out);
    }
    let bytes = out.len() - payload;
    out.push(b'}');
    bytes
}

/// Writes an answer that is an error. Returns how many bytes the error takes.
pub(super) fn push_refusal(out: &mut Vec<u8>, id: &str, refusal: Refusal) -> usize {
    push_answer(out, id, |_| Err(refusal))
}

/// Writes a JSON string of 0x and the hex digits of `bytes`, two for each.
pub(super) fn push_data(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(br#""0x"#);
    let start = out.len();
    out.resize(start + 2 * bytes.len(), 0);
    if let Some(digits) = out.get_mut(start..) {
        // Cannot fail: there is room for every digit.
        let _ = faster_hex::hex_encode(bytes, digits);
    }
    out.push(b'"');
}

/// Writes a JSON string of 0x and the shortest hex digits of a number.
pub(super) fn push_quantity(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(format!("\"0x{number:x}\"").as_bytes());
}

/// Writes the same of a number of any size, from its big-endian bytes.
pub(super) fn push_number(out: &mut Vec<u8>, bytes: &[u8]) {
    let digits = faster_hex::hex_string(bytes);
    let digits = digits.trim_start_matches('0');
    out.extend_from_slice(b"\"0x");
    out.extend_from_slice(if digits.is_empty() { b"0" } else { digits.as_bytes() });
    out.push(b'"');
}

/// Writes any text as a JSON string.
pub(super) fn push_text(out: &mut Vec<u8>, text: &str) {
    // Cannot fail: a Vec takes every write and a str is valid UTF-8.
    let _ = serde_json::to_writer(out, text);
}
