//! What a peer is: asked once, before it is given work.

use serde_json::json;

use super::{CallError, Client, Verdict};
use crate::trie::EMPTY_ROOT;

/// What a peer says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerInfo {
    /// The chain it serves.
    pub chain_id: u64,
    /// Its client's name and version, if it tells.
    pub client: Option<String>,
}

/// Why a peer cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// It does not answer.
    #[error(transparent)]
    Call(#[from] CallError),
    /// It answers, and not what was asked.
    #[error("eth_chainId is not a number: {0}")]
    ChainId(String),
    /// It does not offer `debug_dbGet`.
    #[error("the peer does not offer debug_dbGet ({0})")]
    NoDebug(String),
}

impl ProbeError {
    /// Whether the peer may be usable later, without anyone changing its configuration.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        !matches!(self, Self::NoDebug(_))
    }
}

/// Asks a peer for its chain, its client and whether it reads keys.
///
/// # Errors
/// [`ProbeError`] when it cannot be used.
pub async fn probe(client: &Client) -> Result<PeerInfo, ProbeError> {
    let chain_id = client.call("eth_chainId", json!([])).await?;
    let digits = chain_id.as_str().and_then(|text| text.strip_prefix("0x"));
    let chain_id = digits
        .and_then(|digits| u64::from_str_radix(digits, 16).ok())
        .ok_or_else(|| ProbeError::ChainId(chain_id.to_string()))?;
    // Any key will do: only whether the method is there is of interest.
    match client.call("debug_dbGet", json!([format!("{EMPTY_ROOT:?}")])).await {
        Err(CallError::Rpc(error)) => {
            if let Verdict::Unsupported(why) = Verdict::of_error(&error) {
                return Err(ProbeError::NoDebug(why));
            }
        }
        Err(error) => return Err(error.into()),
        Ok(_) => {}
    }
    let client = client.call("web3_clientVersion", json!([])).await.ok();
    let client = client.and_then(|name| name.as_str().map(str::to_owned));
    Ok(PeerInfo { chain_id, client })
}
