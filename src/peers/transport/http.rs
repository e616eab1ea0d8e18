//! JSON-RPC over HTTP.

use std::fmt;
use std::time::{Duration, SystemTime};

use reqwest::header::{CONTENT_TYPE, HeaderValue};
use url::Url;

use super::super::words::tame;
use super::error::{ERROR_TEXT_BYTES, innermost};
use super::headers::Headers;
use super::retry_after::retry_after;
use super::{CONNECT_TIMEOUT, ConnectOptions, TransportError};

/// Idle connections are closed by geth after 120 s; closing earlier avoids the race.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// One peer's HTTP connection pool.
#[derive(Clone)]
pub(super) struct Http {
    client: reqwest::Client,
    url: Url,
    headers: Headers,
}

impl Http {
    /// A client for `url`, which unpacks replies if it asks for packed ones with `gzip`.
    pub(super) fn new(url: Url, options: &ConnectOptions, gzip: bool) -> Result<Self, TransportError> {
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .tcp_nodelay(true)
            .gzip(gzip)
            // A peer is the host that the user named, not one that it points to.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| failed(&error))?;
        let (headers, url) = Headers::new(url, options);
        Ok(Self { client, url, headers })
    }

    pub(super) async fn exchange(&self, body: Vec<u8>, limit: usize) -> Result<Vec<u8>, TransportError> {
        let mut headers = self.headers.now();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let request = self.client.post(self.url.clone()).headers(headers).body(body);
        let response = request.send().await.map_err(|error| failed(&error))?;
        if response.status() != reqwest::StatusCode::OK {
            let code = response.status().as_u16();
            let retry_after = retry_after(response.headers(), SystemTime::now());
            let page = read(response, ERROR_TEXT_BYTES).await.unwrap_or_else(|(_, beginning)| beginning);
            let text = tame(&String::from_utf8_lossy(&page));
            return Err(TransportError::Status { code, retry_after, text });
        }
        read(response, limit).await.map_err(|(error, _)| error)
    }
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URL and the headers may hold credentials.
        f.debug_struct("Http").finish_non_exhaustive()
    }
}

/// Reads a body up to `limit` bytes, counted as unpacked; on failure gives back what had come.
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
            Err(error) => return Err((failed(&error), body)),
        }
    }
}

/// reqwest's own text repeats the URL.
fn failed(error: &reqwest::Error) -> TransportError {
    let cause = innermost(error);
    let text = if cause.is::<reqwest::Error>() { "the request failed".into() } else { tame(&cause.to_string()) };
    TransportError::Connection(text)
}
