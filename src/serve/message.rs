//! The elements of a body.

use primitive_types::H256;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::key::DbKey;
use super::params::Text;
use super::reply::NO_ID;

/// One element of a body.
pub(super) enum Message<'a> {
    /// A call; its id is raw JSON.
    Call { id: &'a str, method: &'a RawValue, params: Option<&'a RawValue> },
    /// A call without an id, which gets no answer; no method does anything but answer.
    Notification,
    /// Something else, answered under its id if it has one.
    Invalid { id: &'a str },
}

impl<'a> Message<'a> {
    pub(super) fn read(json: &'a RawValue) -> Self {
        #[derive(Deserialize)]
        struct Fields<'a> {
            #[serde(borrow)]
            jsonrpc: Option<&'a RawValue>,
            // `"id": null` is an id.
            #[serde(borrow, default, deserialize_with = "present")]
            id: Option<&'a RawValue>,
            #[serde(borrow)]
            method: Option<&'a RawValue>,
            #[serde(borrow)]
            params: Option<&'a RawValue>,
        }
        let Ok(Fields { jsonrpc, id, method, params }) = serde_json::from_str(json.get()) else {
            return Self::Invalid { id: NO_ID };
        };
        let id = id.map(RawValue::get);
        let scalar = id.filter(|id| !id.starts_with(['{', '[']));
        let method = method.filter(|method| method.get().starts_with('"') && method.get() != r#""""#);
        let version = jsonrpc.filter(|version| version.get() == r#""2.0""#);
        match (version.and(method), scalar) {
            (Some(method), Some(id)) => Self::Call { id, method, params },
            (Some(_), None) if id.is_none() => Self::Notification,
            _ => Self::Invalid { id: scalar.unwrap_or(NO_ID) },
        }
    }

    pub(super) fn call_id(&self) -> Option<&'a str> {
        if let Self::Call { id, .. } = self { Some(id) } else { None }
    }

    /// The hash, if this is a read of the database for what is under a bare one, which is most often a node.
    pub(super) fn node(&self) -> Option<H256> {
        let Self::Call { method, params: Some(params), .. } = self else { return None };
        if method.get() != r#""debug_dbGet""# {
            return None;
        }
        let (Text(key),) = serde_json::from_str(params.get()).ok()?;
        if let Ok(DbKey::Bare(hash)) = DbKey::parse(&key) { Some(hash) } else { None }
    }
}

/// Tells `null` from nothing.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}
