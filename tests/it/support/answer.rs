//! What a peer is asked, and the answers it may give.

use std::fmt;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header::RETRY_AFTER};
use primitive_types::H256;
use serde_json::{Value, json};
use statesync::trie::keccak256;
use tokio::sync::watch;

use super::node::Node;
use super::rng::Rng;

/// A batch in which keys are read.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    /// How many such batches came before.
    pub(crate) number: u64,
    pub(crate) calls: &'a [Call],
    pub(super) node: &'a Node,
}

/// One call of a batch.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) id: Value,
    pub(crate) method: String,
    pub(crate) params: Value,
    /// Whether the key is that of a code.
    pub(crate) code: bool,
    /// The hash in the key; of a path, the hash of the node that is there.
    pub(crate) hash: H256,
    /// How the peer says that it has not got it.
    absent: Outcome,
}

/// What a peer does with a batch.
#[derive(Clone, Debug)]
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
    /// Bytes that are no part of a state.
    Bytes(Vec<u8>),
    /// Any other result.
    Json(Value),
    /// Any other error object.
    Failure(Value),
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
    /// Reads one call; what is none has no method.
    pub(super) fn read(call: &Value, node: &Node) -> Self {
        let method = call["method"].as_str().unwrap_or_default().to_owned();
        let params = call["params"].clone();
        let (code, hash) = if reads_a_key(call) { node.content.asked(&method, &params) } else { Default::default() };
        Self { id: call["id"].clone(), method, params, code, hash, absent: node.content.absent() }
    }
}

/// Whether a call reads a key of the database.
pub(super) fn reads_a_key(call: &Value) -> bool {
    matches!(call["method"].as_str(), Some("debug_dbGet" | "debug_getFromDb" | "debug_preimage"))
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
        call.says(self.node.answer(call))
    }

    /// The same error for every call.
    pub(crate) fn errors(&self, code: i64, text: &'static str) -> Answer {
        Answer::Batch(self.calls.iter().map(|call| call.says(Outcome::Error(code, text))).collect())
    }

    /// Something else than what was asked for.
    pub(crate) fn lie(&self, call: &Call, rng: &mut Rng) -> Element {
        let Outcome::Value(hash, honest) = self.element(call).result else { return call.absent() };
        call.says(self.lie_about(hash, honest, rng))
    }

    /// Something else than what is under a hash: other bytes, one bit turned, or another node.
    pub(super) fn lie_about(&self, hash: H256, honest: Vec<u8>, rng: &mut Rng) -> Outcome {
        let other = self.node.content.memory().nodes().iter().find(|(other, _)| **other != hash);
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
        assert_ne!(keccak256(&bytes), hash);
        Outcome::Lie(bytes)
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
        Element { id: self.id.clone(), result }
    }

    /// The answer for a key that is not there.
    pub(crate) fn absent(&self) -> Element {
        self.says(self.absent.clone())
    }
}

impl Answer {
    /// A reply that is no JSON-RPC.
    pub(crate) fn status(code: u16, retry_after: Option<&str>, text: &str) -> Self {
        let mut headers = HeaderMap::new();
        if let Some(seconds) = retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from_str(seconds).unwrap());
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

impl Outcome {
    pub(super) fn failure(code: i64, text: impl Into<String>) -> Self {
        Self::Failure(json!({ "code": code, "message": text.into() }))
    }

    /// The member of the reply's element, and its JSON.
    pub(super) fn member(&self) -> (&'static str, String) {
        match self {
            Self::Value(_, bytes) | Self::Lie(bytes) | Self::Bytes(bytes) => {
                ("result", format!(r#""0x{}""#, faster_hex::hex_string(bytes)))
            }
            Self::Result(json) => ("result", (*json).into()),
            Self::Json(json) => ("result", json.to_string()),
            Self::Error(code, text) => ("error", format!(r#"{{"code":{code},"message":"{text}"}}"#)),
            Self::Failure(error) => ("error", error.to_string()),
        }
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, json) = self.result.member();
        write!(f, r#"{{"jsonrpc":"2.0","id":{},"{name}":{json}}}"#, self.id)
    }
}
