//! What is sent to a peer beside the requests.

use reqwest::header::{HeaderName, HeaderValue};

/// How peers are connected to. The default suits a peer that wants no credentials.
#[derive(Clone, Debug, Default)]
pub struct ConnectOptions {
    /// Headers of every request, or of the handshake where there is one.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}
