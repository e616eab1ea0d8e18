//! Harm over a WebSocket.

use std::error::Error;

use futures_util::{SinkExt, StreamExt};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use super::http::CHUNK;
use super::{Body, Socket, State};

/// The first bytes of frames (RFC 6455, section 5.2): a text that goes on, its continuation, and a ping of nothing.
const BEGINNING: u8 = 0x01;
const CONTINUATION: u8 = 0x00;
const PING: [u8; 2] = [0x89, 0];

/// Meets one guest until it goes.
pub(super) async fn serve(stream: TcpStream, how: Socket, state: &State) -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut stream = tokio_tungstenite::accept_async(stream).await?;
    while let Some(message) = stream.next().await {
        let request = message?.into_data();
        if let Some(reply) = state.courtesy(&request) {
            stream.send(Message::text(reply)).await?;
            continue;
        }
        let raw = stream.get_mut();
        match how {
            Socket::Says(Body::InvalidUtf8) => {
                stream.send(Message::binary(state.reply.body(Body::InvalidUtf8, &request))).await?;
            }
            Socket::Says(body) => {
                let text = String::from_utf8(state.reply.body(body, &request))?;
                let text = if body == Body::CutOff { text[..text.len() / 2].to_owned() } else { text };
                stream.send(Message::text(text)).await?;
            }
            Socket::Flood => loop {
                let news = r#"{"jsonrpc":"2.0","method":"eth_subscription","params":{}}"#;
                stream.send(Message::text(news)).await?;
            },
            Socket::Fragments => {
                let mut first = BEGINNING;
                loop {
                    let length = u16::try_from(CHUNK - 1)?.to_be_bytes();
                    raw.write_all(&[first, 126, length[0], length[1]]).await?;
                    raw.write_all(&[b' '; CHUNK - 1]).await?;
                    first = CONTINUATION;
                }
            }
            Socket::Pings => {
                let pings = PING.repeat(CHUNK);
                loop {
                    raw.write_all(&pings).await?;
                }
            }
            Socket::Silence => std::future::pending().await,
        }
    }
    Ok(())
}
