//! JSON-RPC over a WebSocket.

use std::time::SystemTime;

use futures_util::{FutureExt, SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::{CapacityError, ProtocolError};
use tokio_tungstenite::tungstenite::http::Response;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};
use url::{Host, Url};

use super::super::wire::REPLY_BYTES_MAX;
use super::super::words::tame;
use super::connections::{Broken, Connection, Dial};
use super::error::ERROR_TEXT_BYTES;
use super::headers::Headers;
use super::retry_after::retry_after;
use super::{ConnectOptions, TransportError, tls};

/// The largest message that is taken in, whatever a request's own limit: more than any reply that is asked for.
const MESSAGE_BYTES_MAX: usize = REPLY_BYTES_MAX;

/// What may wait to be sent. A request has some 150 bytes an item; what else is sent are answers to pings, which would
/// pile up without a bound where a peer sends pings and never reads.
const UNSENT_BYTES_MAX: usize = 4 << 20;

/// Pings and the like that are borne with before a reply, or between two. geth sends one in 30 s.
const ASIDES_MAX: usize = 1_000;

/// The code that stands for none, by RFC 6455, section 7.1.5.
const NO_CLOSE_CODE: u16 = 1005;

/// A server to connect to.
pub(super) struct Server {
    url: Url,
    host: String,
    port: u16,
    headers: Headers,
    tls: Option<TlsConnector>,
}

/// A connection to it.
pub(super) struct Stream(WebSocketStream<Box<dyn Bytes>>);

/// What a WebSocket runs over: TCP, with TLS or without.
trait Bytes: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Bytes for T {}

impl Server {
    pub(super) fn new(url: Url, options: &ConnectOptions) -> Result<Self, TransportError> {
        let host = match url.host() {
            Some(Host::Domain(name)) => name.to_owned(),
            Some(Host::Ipv4(ip)) => ip.to_string(),
            Some(Host::Ipv6(ip)) => ip.to_string(),
            None => return Err(TransportError::Connection("the address has no host".into())),
        };
        let secure = url.scheme() == "wss";
        let port = url.port().unwrap_or(if secure { 443 } else { 80 });
        let tls = if secure { Some(tls::connector()?) } else { None };
        let (headers, url) = Headers::new(url, options);
        Ok(Self { url, host, port, headers, tls })
    }

    async fn connect(&self) -> Result<Box<dyn Bytes>, TransportError> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await;
        let stream = stream.and_then(|stream| stream.set_nodelay(true).map(|()| stream));
        let stream = stream.map_err(|error| TransportError::connection(&error))?;
        let Some(tls) = &self.tls else { return Ok(Box::new(stream)) };
        let name = ServerName::try_from(self.host.clone()).map_err(|error| TransportError::connection(&error))?;
        let stream = tls.connect(name, stream).await.map_err(|error| TransportError::connection(&error))?;
        Ok(Box::new(stream))
    }
}

impl Dial for Server {
    type Connection = Stream;

    async fn dial(&self) -> Result<Stream, TransportError> {
        let mut request = self.url.as_str().into_client_request().map_err(refused)?;
        request.headers_mut().extend(self.headers.now());
        let config = WebSocketConfig::default()
            .max_write_buffer_size(UNSENT_BYTES_MAX)
            .max_message_size(Some(MESSAGE_BYTES_MAX))
            .max_frame_size(Some(MESSAGE_BYTES_MAX));
        let stream = self.connect().await?;
        let (stream, _) = client_async_with_config(request, stream, Some(config)).await.map_err(refused)?;
        Ok(Stream(stream))
    }
}

impl Connection for Stream {
    async fn exchange(&mut self, body: &[u8], limit: usize) -> Result<Vec<u8>, Broken> {
        let text = str::from_utf8(body).map_err(|error| loud(TransportError::connection(&error)))?;
        self.0.send(Message::text(text)).await.map_err(broken)?;
        for _ in 0..ASIDES_MAX {
            match self.0.next().await {
                Some(Ok(Message::Text(reply))) if reply.len() > limit => {
                    return Err(loud(TransportError::TooLarge { limit }));
                }
                Some(Ok(Message::Text(reply))) => return Ok(tungstenite::Bytes::from(reply).into()),
                Some(Ok(Message::Binary(_))) => return Err(loud(TransportError::Binary)),
                Some(Ok(Message::Close(frame))) => return Err(silent(closed(frame))),
                // Pings are answered below this, while the next message is waited for. There are no bare frames.
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Err(error)) => return Err(broken(error)),
                None => return Err(silent(gone())),
            }
        }
        Err(loud(TransportError::Connection(format!("the peer sent {ASIDES_MAX} pings and no reply"))))
    }

    fn is_quiet(&mut self) -> bool {
        // A ping that came while it was idle is answered with the next request.
        for _ in 0..ASIDES_MAX {
            match self.0.next().now_or_never() {
                None => return true,
                Some(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => {}
                Some(_) => return false,
            }
        }
        false
    }
}

fn loud(error: TransportError) -> Broken {
    Broken { error, silent: false }
}

fn silent(error: TransportError) -> Broken {
    Broken { error, silent: true }
}

fn gone() -> TransportError {
    TransportError::Connection("the peer closed the connection".into())
}

fn closed(frame: Option<CloseFrame>) -> TransportError {
    match frame {
        Some(frame) => TransportError::Closed { code: frame.code.into(), reason: tame(&frame.reason) },
        None => TransportError::Closed { code: NO_CLOSE_CODE, reason: "no reason given".into() },
    }
}

/// Why a connection broke. Of a reply that had begun the library says nothing; all that can be told is that the bytes
/// ended, and whether they were in order before.
fn broken(error: tungstenite::Error) -> Broken {
    use tungstenite::Error;
    match error {
        Error::ConnectionClosed
        | Error::AlreadyClosed
        | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => silent(gone()),
        Error::Io(error) => silent(TransportError::connection(&error)),
        Error::Capacity(CapacityError::MessageTooLong { .. }) => {
            loud(TransportError::TooLarge { limit: MESSAGE_BYTES_MAX })
        }
        other => loud(TransportError::connection(&other)),
    }
}

/// Why there is no connection.
fn refused(error: tungstenite::Error) -> TransportError {
    match error {
        tungstenite::Error::Http(response) => status(&response),
        tungstenite::Error::Io(error) => TransportError::connection(&error),
        other => TransportError::connection(&other),
    }
}

/// An answer to the handshake that is none. geth gives 200 and nothing more where it speaks only HTTP.
fn status(response: &Response<Option<Vec<u8>>>) -> TransportError {
    let page = response.body().as_deref().unwrap_or_default();
    let page = page.get(..ERROR_TEXT_BYTES).unwrap_or(page);
    let text = match tame(&String::from_utf8_lossy(page)).as_str() {
        "" => "the peer opens no WebSocket there".to_owned(),
        text => text.to_owned(),
    };
    let retry_after = retry_after(response.headers(), SystemTime::now());
    TransportError::Status { code: response.status().as_u16(), retry_after, text }
}
