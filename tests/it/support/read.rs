//! States put into a store at once, and questions to a server of it.

use serde_json::{Value, json};
use statesync::genesis::{Genesis, StateSummary};
use statesync::import::import;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::run::open;

/// A store that holds these states.
pub(crate) fn imported<const N: usize>(states: [&Genesis; N]) -> (TempDir, [StateSummary; N]) {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    let summaries = states.map(|state| import(state, &store).unwrap());
    drop(store);
    (dir, summaries)
}

/// The result or the error object of one JSON-RPC call.
pub(crate) fn ask(url: &str, method: &str, params: &Value) -> Value {
    let call = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let request = reqwest::Client::new().post(url).header("content-type", "application/json").body(call.to_string());
    let reply = Runtime::new().unwrap().block_on(async { request.send().await.unwrap().bytes().await.unwrap() });
    let mut reply: Value = serde_json::from_slice(&reply).unwrap();
    let reply = reply.as_object_mut().unwrap();
    reply.remove("result").or_else(|| reply.remove("error")).unwrap()
}
