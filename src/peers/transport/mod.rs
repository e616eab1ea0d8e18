//! One request to a peer and its reply, over whatever the peer's address says.

mod error;
mod http;
mod options;

use self::http::Http;
use super::PeerUrl;
use super::url::Address;

pub use self::error::TransportError;
pub use self::options::ConnectOptions;

/// The way to one peer. Clones share their connections.
#[derive(Clone, Debug)]
pub struct Transport {
    url: PeerUrl,
    wire: Wire,
}

#[derive(Clone, Debug)]
enum Wire {
    Http(Http),
}

impl Transport {
    /// The way to `url`; connects when first used.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(url: PeerUrl, options: &ConnectOptions) -> Result<Self, TransportError> {
        let wire = match url.address() {
            Address::Http(address) => Wire::Http(Http::new(address.clone(), options)?),
            Address::WebSocket(_) | Address::Ipc(_) => {
                return Err(TransportError::Connection("only HTTP is spoken so far".into()));
            }
        };
        Ok(Self { url, wire })
    }

    /// The peer's address.
    #[must_use]
    pub fn url(&self) -> &PeerUrl {
        &self.url
    }

    /// Sends a JSON-RPC body, of one call or a batch, and gives back the reply's, of at most `limit` bytes. Dropped in
    /// between, it leaves nothing behind that could disturb another exchange.
    ///
    /// # Errors
    /// [`TransportError`], whatever the reason.
    pub async fn exchange(&self, body: Vec<u8>, limit: usize) -> Result<Vec<u8>, TransportError> {
        match &self.wire {
            Wire::Http(http) => http.exchange(body, limit).await,
        }
    }
}
