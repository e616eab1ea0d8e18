//! A few calls in one request, for probes and headers.

use serde_json::{Value, json};

use super::reply::{self, ReplyError};
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
        let mut results: Vec<Option<Result<Value, CallError>>> = calls.iter().map(|_| None).collect();
        let mut limited = None;
        let read = reply::elements(&reply, |element| {
            // It is the peer that needs a rest, not the call; and without this answer the others may mislead.
            if let Some(error) = element.error.as_ref().filter(|error| asks_for_rest(error)) {
                limited = Some(error.clone());
            }
            let Some(place) = element.place() else { return };
            let Some(((method, _), result @ None)) = calls.get(place).zip(results.get_mut(place)) else { return };
            let value = || reply::value(element.result).map_err(|why| CallError::Garbage { method, why });
            *result = Some(element.error.map_or_else(value, |error| Err(error.into())));
        });
        read.map_err(|error| match error {
            ReplyError::Whole(error) => error.into(),
            ReplyError::Garbage(why) => CallError::Garbage { method: BATCH, why },
        })?;
        if let Some(error) = limited {
            return Err(error.into());
        }
        let missing = |method| Err(CallError::Garbage { method, why: "it is left out".into() });
        Ok(results.into_iter().zip(calls).map(|(result, (method, _))| result.unwrap_or(missing(*method))).collect())
    }
}

fn asks_for_rest(error: &RpcError) -> bool {
    matches!(Verdict::of_error(error), Verdict::RateLimited(_))
}
