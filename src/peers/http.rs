//! JSON-RPC over HTTP.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use url::Url;

/// How long a connection may take to come up. Loopback and LAN need milliseconds, a bad WAN some hundreds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Idle connections are closed by geth after 120 s; closing earlier avoids the race.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// How much of an error page is worth showing.
const ERROR_TEXT_BYTES: usize = 200;

/// The longest wait that a Retry-After header is believed.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);

/// A peer's address. Shown without credentials: what is before the `@`, and the path and query, where providers put
/// their keys.
#[derive(Clone, PartialEq, Eq)]
pub struct PeerUrl(Url);

/// A peer's address cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum UrlError {
    /// It is not a URL.
    #[error("\"{text}\" is not a URL: {source}")]
    Malformed {
        /// What was given, without what may be credentials.
        text: String,
        /// What is wrong with it.
        source: url::ParseError,
    },
    /// It is a URL of a kind that is not spoken.
    #[error("\"{scheme}\" is not a transport: a peer's URL begins with http:// or https://")]
    Scheme {
        /// What was given.
        scheme: String,
    },
}

impl FromStr for PeerUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url = Url::parse(text).map_err(|source| UrlError::Malformed { text: redacted(text), source })?;
        match url.scheme() {
            "http" | "https" => Ok(Self(url)),
            scheme => Err(UrlError::Scheme { scheme: scheme.into() }),
        }
    }
}

impl fmt::Display for PeerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.0.scheme(), self.0.host_str().unwrap_or_default())?;
        if let Some(port) = self.0.port() {
            write!(f, ":{port}")?;
        }
        if self.0.path().len() > 1 || self.0.query().is_some() { f.write_str("/…") } else { Ok(()) }
    }
}

impl fmt::Debug for PeerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that should be a URL and is none, as it may be shown: the scheme and what seems to be the host.
fn redacted(text: &str) -> String {
    let (scheme, rest) = text.find("://").map_or(("", text), |end| text.split_at(end + 3));
    let (hidden, host) = rest.rsplit_once('@').map_or(("", rest), |(_, host)| ("…@", host));
    let (host, more) = host.find(['/', '?', '#']).map_or((host, ""), |end| (&host[..end], "/…"));
    format!("{scheme}{hidden}{host}{more}")
}

/// Why a request brought no usable reply.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The server answered with another status than 200.
    #[error("HTTP status {code}: {text}")]
    Status {
        /// The status.
        code: u16,
        /// How long the server asks to wait.
        retry_after: Option<Duration>,
        /// The beginning of the body.
        text: String,
    },
    /// The reply is longer than any honest one.
    #[error("the reply is longer than {limit} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// No reply in time.
    #[error("no reply within {0:?}")]
    TimedOut(Duration),
    /// The connection could not be made or broke.
    #[error("{0}")]
    Connection(String),
}

/// One peer's HTTP connection pool.
#[derive(Clone, Debug)]
pub struct Http {
    client: reqwest::Client,
    url: PeerUrl,
}

impl Http {
    /// A client for `url`; connects when first used.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(url: PeerUrl) -> Result<Self, TransportError> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let client = reqwest::Client::builder()
            .default_headers(headers)
            .user_agent(concat!("statesync/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .tcp_nodelay(true)
            // A peer is the host that the user named, not one that it points to.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| TransportError::Connection(describe(&error)))?;
        Ok(Self { client, url })
    }

    /// The peer's address.
    #[must_use]
    pub fn url(&self) -> &PeerUrl {
        &self.url
    }

    /// Sends a body and gives back the reply's, of at most `limit` bytes.
    ///
    /// # Errors
    /// [`TransportError`], whatever the reason.
    pub async fn post(&self, body: Vec<u8>, limit: usize) -> Result<Vec<u8>, TransportError> {
        let failed = |error: reqwest::Error| TransportError::Connection(describe(&error));
        let response = self.client.post(self.url.0.clone()).body(body).send().await.map_err(failed)?;
        if response.status() != reqwest::StatusCode::OK {
            let (code, retry_after) = (response.status().as_u16(), retry_after(response.headers()));
            let page = read(response, ERROR_TEXT_BYTES).await.unwrap_or_else(|(_, beginning)| beginning);
            let text = String::from_utf8_lossy(&page).trim().to_owned();
            return Err(TransportError::Status { code, retry_after, text });
        }
        read(response, limit).await.map_err(|(error, _)| error)
    }
}

/// Reads a body up to `limit` bytes; on failure gives back what had come.
async fn read(mut response: reqwest::Response, limit: usize) -> Result<Vec<u8>, (TransportError, Vec<u8>)> {
    let announced = response.content_length().and_then(|length| usize::try_from(length).ok());
    let mut body = Vec::with_capacity(announced.unwrap_or_default().min(limit));
    loop {
        match response.chunk().await {
            Ok(None) => return Ok(body),
            Ok(Some(chunk)) if body.len() + chunk.len() > limit => {
                body.extend_from_slice(&chunk[..limit - body.len()]);
                return Err((TransportError::TooLarge { limit }, body));
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Err(error) => return Err((TransportError::Connection(describe(&error)), body)),
        }
    }
}

/// The header in seconds; the date form is not used by any node or provider known.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
}

/// The innermost cause: reqwest's own text repeats the URL, which may hold credentials.
fn describe(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    if std::ptr::addr_eq(cause, std::ptr::from_ref(error)) { "the request failed".into() } else { cause.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_what_may_be_a_secret() {
        let shown = |text: &str| text.parse::<PeerUrl>().unwrap().to_string();
        assert_eq!(shown("http://127.0.0.1:8545"), "http://127.0.0.1:8545");
        assert_eq!(shown("https://user:secret@node.example/"), "https://node.example");
        assert_eq!(shown("https://node.example/v3/secret"), "https://node.example/…");
        assert_eq!(shown("https://node.example/?key=secret"), "https://node.example/…");
    }

    #[test]
    fn only_http_and_https_are_spoken() {
        for bad in ["", "127.0.0.1:8545", "ws://node.example", "/tmp/geth.ipc", "http://"] {
            assert!(bad.parse::<PeerUrl>().is_err(), "{bad}");
        }
    }
}
