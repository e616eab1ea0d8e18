//! What a peer is asked, and the answers it may give.

use std::fmt;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header::RETRY_AFTER};
use primitive_types::H256;
use serde_json::Value;
use statesync::serve::MemoryState;
use statesync::trie::keccak256;
use tokio::sync::watch;

use super::rng::Rng;

/// A batch of `debug_dbGet` calls.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    /// How many batches came before.
    pub(crate) number: u64,
    pub(crate) calls: &'a [Call],
    pub(crate) content: &'a MemoryState,
}

/// One call of a batch.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) id: u64,
    /// Whether the key has the prefix of codes.
    pub(crate) code: bool,
    pub(crate) hash: H256,
}

/// What a peer does with a batch.
#[derive(Debug)]
pub(crate) enum Answer {
    /// A JSON-RPC reply with these elements.
    Batch(Vec<Element>),
    /// Any other reply.
    Raw((StatusCode, HeaderMap, String)),
    /// The connection breaks.
    Drop,
    /// A reply without an end.
    Endless,
    /// The answer takes so long.
    After(Duration, Box<Answer>),
    /// The answer waits for the test.
    When(Gate, Box<Answer>),
}

/// One element of a reply.
#[derive(Clone, Debug)]
pub(crate) struct Element {
    pub(crate) id: Value,
    pub(crate) result: Outcome,
}

/// A result or an error.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// The bytes under the hash.
    Value(H256, Vec<u8>),
    /// Other bytes.
    Lie(Vec<u8>),
    /// Raw JSON for a result.
    Result(&'static str),
    /// An error with its code and text.
    Error(i64, &'static str),
}

/// Opened by the test, for answers to wait for.
#[derive(Clone, Debug)]
pub(crate) struct Gate(watch::Sender<bool>);

impl Gate {
    pub(crate) fn closed() -> Self {
        Self(watch::Sender::new(false))
    }

    pub(crate) fn open(&self) {
        self.0.send_replace(true);
    }

    pub(super) async fn opened(&self) {
        self.0.subscribe().wait_for(|open| *open).await.unwrap();
    }
}

impl Call {
    pub(super) fn read(call: &Value) -> Self {
        assert_eq!(call["method"], "debug_dbGet");
        let key = call["params"][0].as_str().unwrap().strip_prefix("0x").unwrap();
        let (code, hash) = match key.strip_prefix("63") {
            Some(hash) if hash.len() == 64 => (true, hash),
            _ => (false, key),
        };
        Self { id: call["id"].as_u64().unwrap(), code, hash: hash.parse().unwrap() }
    }
}

impl Request<'_> {
    /// The answer of a peer that does as it should.
    pub(crate) fn honest(&self) -> Answer {
        Answer::Batch(self.elements())
    }

    /// The elements of the honest answer.
    pub(crate) fn elements(&self) -> Vec<Element> {
        self.calls.iter().map(|call| self.element(call)).collect()
    }

    /// The honest answer to one call.
    pub(crate) fn element(&self, call: &Call) -> Element {
        let code = || self.content.codes().get(&call.hash);
        let found = if call.code { code() } else { self.content.nodes().get(&call.hash).or_else(code) };
        match found {
            Some(bytes) => call.says(Outcome::Value(call.hash, bytes.clone())),
            None => call.absent(),
        }
    }

    /// The same error for every call.
    pub(crate) fn errors(&self, code: i64, text: &'static str) -> Answer {
        Answer::Batch(self.calls.iter().map(|call| call.says(Outcome::Error(code, text))).collect())
    }

    /// Something else than what was asked for: other bytes, one bit turned, or another node.
    pub(crate) fn lie(&self, call: &Call, rng: &mut Rng) -> Element {
        let Outcome::Value(_, honest) = self.element(call).result else { return call.absent() };
        let other = self.content.nodes().iter().find(|(hash, _)| **hash != call.hash);
        let bytes = match (rng.below(3), other) {
            (0, Some((_, other))) => other.clone(),
            (1, _) => rng.bytes(honest.len()),
            _ => {
                let mut flipped = honest;
                let place = usize::try_from(rng.below(flipped.len() as u64)).unwrap();
                flipped[place] ^= 1 << rng.below(8);
                flipped
            }
        };
        assert_ne!(keccak256(&bytes), call.hash);
        call.says(Outcome::Lie(bytes))
    }

    /// The honest answer, but for `percent` of the hashes something else, the first time and always.
    pub(crate) fn lies(&self, seed: u64, percent: u64) -> Answer {
        let element = |call: &Call| {
            let mut rng = Rng::new(seed ^ u64::from_be_bytes(*call.hash.0.last_chunk().unwrap()));
            if rng.chance(percent) { self.lie(call, &mut rng) } else { self.element(call) }
        };
        Answer::Batch(self.calls.iter().map(element).collect())
    }
}

impl Call {
    pub(crate) fn says(&self, result: Outcome) -> Element {
        Element { id: self.id.into(), result }
    }

    /// geth's answer for a key that is not there.
    pub(crate) fn absent(&self) -> Element {
        self.says(Outcome::Error(-32000, "pebble: not found"))
    }
}

impl Answer {
    /// A reply that is no JSON-RPC.
    pub(crate) fn status(code: u16, retry_after: Option<&'static str>, text: &str) -> Self {
        let mut headers = HeaderMap::new();
        if let Some(seconds) = retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from_static(seconds));
        }
        Self::Raw((StatusCode::from_u16(code).unwrap(), headers, text.into()))
    }

    /// The hashes whose right values are in it.
    pub(super) fn values(&self) -> Vec<H256> {
        match self {
            Self::Batch(elements) => elements.iter().filter_map(Element::value).collect(),
            Self::After(_, answer) | Self::When(_, answer) => answer.values(),
            Self::Raw(_) | Self::Drop | Self::Endless => Vec::new(),
        }
    }
}

impl Element {
    fn value(&self) -> Option<H256> {
        if let Outcome::Value(hash, _) = self.result { Some(hash) } else { None }
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, r#"{{"jsonrpc":"2.0","id":{},"#, self.id)?;
        match &self.result {
            Outcome::Value(_, bytes) | Outcome::Lie(bytes) => {
                write!(f, r#""result":"0x{}"}}"#, faster_hex::hex_string(bytes))
            }
            Outcome::Result(json) => write!(f, r#""result":{json}}}"#),
            Outcome::Error(code, text) => write!(f, r#""error":{{"code":{code},"message":"{text}"}}}}"#),
        }
    }
}
