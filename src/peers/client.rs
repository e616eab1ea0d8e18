//! Single JSON-RPC calls to one peer, for what is asked seldom: probes and block headers.

use std::time::Duration;

use serde_json::{Value, json};

use super::reply;
use super::{ConnectOptions, PeerUrl, RpcError, Transport, TransportError};

/// The largest reply to a single call: a block with its transaction hashes is far below.
const REPLY_BYTES_MAX: usize = 8 << 20;

/// Why a call brought no result.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// No reply.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The peer says no.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// The reply is not JSON-RPC.
    #[error("the reply to {method} is not JSON-RPC: {why}")]
    Garbage {
        /// The method called.
        method: &'static str,
        /// What is wrong.
        why: String,
    },
}

/// One peer, to be called.
#[derive(Clone, Debug)]
pub struct Client {
    transport: Transport,
    timeout: Duration,
}

impl Client {
    /// A client that waits at most `timeout` for each reply.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(url: PeerUrl, timeout: Duration) -> Result<Self, TransportError> {
        Self::with_options(url, timeout, &ConnectOptions::default())
    }

    /// The same, with credentials and the like.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn with_options(url: PeerUrl, timeout: Duration, options: &ConnectOptions) -> Result<Self, TransportError> {
        Ok(Self { transport: Transport::new(url, options)?, timeout })
    }

    /// The peer's address.
    #[must_use]
    pub fn url(&self) -> &PeerUrl {
        self.transport.url()
    }

    /// The way to the peer, for batches.
    #[must_use]
    pub fn transport(&self) -> &Transport {
        &self.transport
    }

    /// Calls one method.
    ///
    /// # Errors
    /// [`CallError`] when there is no result; a `null` result is [`Value::Null`].
    pub async fn call(&self, method: &'static str, params: Value) -> Result<Value, CallError> {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string().into_bytes();
        let reply = self.post(body).await?;
        let garbage = |why| CallError::Garbage { method, why };
        let reply = reply::single(&reply).map_err(garbage)?;
        match reply.error {
            Some(error) => Err(error.into()),
            None => reply::value(reply.result).map_err(garbage),
        }
    }

    /// Sends a body and waits for the reply's.
    pub(super) async fn post(&self, body: Vec<u8>) -> Result<Vec<u8>, TransportError> {
        let reply = tokio::time::timeout(self.timeout, self.transport.exchange(body, REPLY_BYTES_MAX)).await;
        reply.map_err(|_| TransportError::TimedOut(self.timeout))?
    }
}
