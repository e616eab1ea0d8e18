//! JSON-RPC over HTTP.

use std::fmt;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use url::Url;

use super::error::{ERROR_TEXT_BYTES, innermost};
use super::{ConnectOptions, TransportError};

/// How long a connection may take to come up. Loopback and LAN need milliseconds, a bad WAN some hundreds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Idle connections are closed by geth after 120 s; closing earlier avoids the race.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// The longest wait that a Retry-After header is believed.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);

/// One peer's HTTP connection pool.
#[derive(Clone)]
pub(super) struct Http {
    client: reqwest::Client,
    url: Url,
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URL and the headers may hold credentials.
        f.debug_struct("Http").finish_non_exhaustive()
    }
}

impl Http {
    pub(super) fn new(url: Url, options: &ConnectOptions) -> Result<Self, TransportError> {
        let mut headers: HeaderMap = options.headers.iter().cloned().collect();
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

    pub(super) async fn exchange(&self, body: Vec<u8>, limit: usize) -> Result<Vec<u8>, TransportError> {
        let failed = |error: reqwest::Error| TransportError::Connection(describe(&error));
        let response = self.client.post(self.url.clone()).body(body).send().await.map_err(failed)?;
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

/// reqwest's own text repeats the URL.
fn describe(error: &reqwest::Error) -> String {
    let cause = innermost(error);
    if cause.is::<reqwest::Error>() { "the request failed".into() } else { cause.to_string() }
}
