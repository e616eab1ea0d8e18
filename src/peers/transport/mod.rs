//! One request to a peer and its reply, over whatever the peer's address says.

mod connections;
mod error;
mod headers;
mod http;
mod ipc;
mod json_end;
mod jwt;
mod options;
mod retry_after;
#[cfg(test)]
mod tests;
mod tls;
mod ws;

use std::sync::Arc;
use std::time::Duration;

use self::connections::Connections;
use self::http::Http;
use super::PeerUrl;
use super::url::Address;

pub use self::error::TransportError;
pub use self::jwt::{JwtError, JwtSecret};
pub use self::options::{Compression, ConnectOptions, HeaderError, NotACompression};

/// How long a connection may take to come up. Loopback and LAN need milliseconds, a bad WAN some hundreds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The way to one peer. Clones share their connections.
#[derive(Clone, Debug)]
pub struct Transport {
    url: PeerUrl,
    wire: Wire,
}

#[derive(Clone, Debug)]
enum Wire {
    Http(Arc<Http>),
    WebSocket(Connections<ws::Server>),
    Ipc(Connections<ipc::Socket>),
}

impl Transport {
    /// The way to `url`; connects when first used.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(url: PeerUrl, options: &ConnectOptions) -> Result<Self, TransportError> {
        let gzip = options.compression.applies_to(&url);
        let wire = match url.address().clone() {
            Address::Http(address) => Wire::Http(Arc::new(Http::new(address, options, gzip)?)),
            Address::WebSocket(address) => Wire::WebSocket(Connections::new(ws::Server::new(address, options)?)),
            Address::Ipc(path) => Wire::Ipc(Connections::new(ipc::Socket(path))),
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
            Wire::WebSocket(connections) => connections.exchange(&body, limit).await,
            Wire::Ipc(connections) => connections.exchange(&body, limit).await,
        }
    }
}
