//! Harm over a Unix socket.

use std::io;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use super::http::CHUNK;
use super::{Body, Socket, State};

/// Meets one guest until it goes.
pub(super) async fn serve(stream: UnixStream, how: Socket, state: &State) -> io::Result<()> {
    let (read, mut out) = stream.into_split();
    let mut requests = BufReader::new(read).lines();
    while let Some(request) = requests.next_line().await? {
        if let Some(reply) = state.courtesy(request.as_bytes()) {
            out.write_all(format!("{reply}\n").as_bytes()).await?;
            continue;
        }
        match how {
            Socket::Says(Body::CutOff) => {
                let reply = state.reply.body(Body::CutOff, request.as_bytes());
                out.write_all(&reply[..reply.len() / 2]).await?;
                return Ok(());
            }
            Socket::Says(body) => {
                out.write_all(&state.reply.body(body, request.as_bytes())).await?;
                out.write_all(b"\n").await?;
            }
            Socket::Flood => repeat(&mut out, br#"{"jsonrpc":"2.0","method":"eth_subscription","params":{}}"#).await?,
            Socket::Fragments => repeat(&mut out, &[b'['; CHUNK]).await?,
            Socket::Pings => repeat(&mut out, &[b' '; CHUNK]).await?,
            Socket::Silence => std::future::pending().await,
        }
    }
    Ok(())
}

async fn repeat(out: &mut (impl AsyncWriteExt + Unpin), bytes: &[u8]) -> io::Result<()> {
    loop {
        out.write_all(bytes).await?;
    }
}
