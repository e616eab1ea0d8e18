//! A few calls in one request, for probes and headers.

use serde_json::{Value, json};

use super::reply::{self, ReplyError};
use super::{CallError, Client};

/// What calls in a batch are reported under.
const BATCH: &str = "a batch of calls";

impl Client {
    /// Calls methods, all in one request. The results come in the calls' order.
    ///
    /// # Errors
    /// [`CallError`] when the batch as a whole has no reply; what each call met comes with it.
    pub async fn batch(&self, calls: &[(&'static str, Value)]) -> Result<Vec<Result<Value, CallError>>, CallError> {
        let call = |(id, (method, params)): (usize, &(&str, Value))| json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        let body: Vec<Value> = calls.iter().enumerate().map(call).collect();
        let reply = self.post(Value::from(body).to_string().into_bytes()).await?;
        let mut results: Vec<Option<Result<Value, CallError>>> = calls.iter().map(|_| None).collect();
        let read = reply::elements(&reply, |element| {
            let Some(place) = element.place() else { return };
            let Some(((method, _), result @ None)) = calls.get(place).zip(results.get_mut(place)) else { return };
            let value = || reply::value(element.result).map_err(|why| CallError::Garbage { method, why });
            *result = Some(element.error.map_or_else(value, |error| Err(error.into())));
        });
        read.map_err(|error| match error {
            ReplyError::Whole(error) => error.into(),
            ReplyError::Garbage(why) => CallError::Garbage { method: BATCH, why },
        })?;
        let missing = |method| Err(CallError::Garbage { method, why: "it is left out".into() });
        Ok(results.into_iter().zip(calls).map(|(result, (method, _))| result.unwrap_or(missing(*method))).collect())
    }
}
