//! A few calls in one request, for probes and headers.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{CallError, Client, RpcError, Verdict};

/// What calls in a batch are reported under.
const BATCH: &str = "a batch of calls";

impl Client {
    /// Calls methods, all in one request. The results come in the calls' order.
    ///
    /// # Errors
    /// [`CallError`] when the batch as a whole has no reply, or the peer asks for a rest; what each call met otherwise
    /// comes with it.
    pub async fn batch(&self, calls: &[(&'static str, Value)]) -> Result<Vec<Result<Value, CallError>>, CallError> {
        let call = |(id, (method, params)): (usize, &(&str, Value))| json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        let body: Vec<Value> = calls.iter().enumerate().map(call).collect();
        let reply = self.post(Value::from(body).to_string().into_bytes()).await?;
        let garbage = |error: serde_json::Error| CallError::Garbage { method: BATCH, why: error.to_string() };
        let elements = match serde_json::from_slice(&reply).map_err(garbage)? {
            Reply::Batch(elements) => elements,
            Reply::Whole(Element { error: Some(error), .. }) => return Err(error.into()),
            Reply::Whole(_) => return Err(CallError::Garbage { method: BATCH, why: "one result for all".into() }),
        };
        let mut results: Vec<Option<Result<Value, CallError>>> = calls.iter().map(|_| None).collect();
        for element in elements {
            // It is the peer that needs a rest, not the call; and without this answer the others may mislead.
            if let Some(error) = element.error.as_ref().filter(|error| asks_for_rest(error)) {
                return Err(error.clone().into());
            }
            let place = element.id.as_u64().and_then(|id| usize::try_from(id).ok());
            if let Some(result @ None) = place.and_then(|place| results.get_mut(place)) {
                *result = Some(element.error.map_or(Ok(element.result), |error| Err(error.into())));
            }
        }
        let missing = |method| Err(CallError::Garbage { method, why: "it is left out".into() });
        Ok(results.into_iter().zip(calls).map(|(result, (method, _))| result.unwrap_or(missing(*method))).collect())
    }
}

fn asks_for_rest(error: &RpcError) -> bool {
    matches!(Verdict::of_error(error), Verdict::RateLimited(_))
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Reply {
    Batch(Vec<Element>),
    Whole(Element),
}

#[derive(Deserialize)]
struct Element {
    #[serde(default)]
    id: Value,
    #[serde(default)]
    result: Value,
    error: Option<RpcError>,
}
