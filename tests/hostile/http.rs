//! Harm over HTTP.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::reply::Reply;
use super::{Body, Harm, Head, State};

/// The pause between two bytes of what is slow.
pub(super) const PAUSE: Duration = Duration::from_secs(1);

/// What is written at once of what has no end.
pub(super) const CHUNK: usize = 16 << 10;

/// Meets one guest until it goes.
pub(super) async fn serve(stream: TcpStream, harm: Harm, state: &State) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let request = request(&mut stream).await?;
        let out = stream.get_mut();
        match (state.courtesy(&request), harm) {
            (Some(reply), _) => whole(out, "", reply.as_bytes()).await?,
            (None, Harm::Head(head)) => bad_head(out, head, state).await?,
            (None, Harm::Http(body)) => bad_body(out, body, &request, state).await?,
            (None, Harm::WebSocket(_) | Harm::Ipc(_)) => return Ok(()),
        }
    }
}

async fn bad_body(out: &mut TcpStream, body: Body, request: &[u8], state: &State) -> io::Result<()> {
    match body {
        Body::Endless => {
            out.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await?;
            chunks(out).await
        }
        Body::GzipBomb => whole(out, "content-encoding: gzip\r\n", Reply::bomb()).await,
        Body::Slow => {
            let reply = state.reply.body(body, request);
            out.write_all(head("", reply.len()).as_bytes()).await?;
            slowly(out, &reply).await
        }
        Body::CutOff => {
            let reply = state.reply.body(body, request);
            out.write_all(head("", reply.len()).as_bytes()).await?;
            out.write_all(&reply[..reply.len() / 2]).await?;
            Err(io::ErrorKind::Other.into())
        }
        _ => whole(out, "", &state.reply.body(body, request)).await,
    }
}

async fn bad_head(out: &mut TcpStream, head: Head, state: &State) -> io::Result<()> {
    match head {
        Head::Slow => slowly(out, b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]").await,
        Head::Giant => {
            out.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-much: ").await?;
            for _ in 0..256 {
                out.write_all(&[b'x'; CHUNK]).await?;
            }
            out.write_all(b"\r\n\r\n[]").await
        }
        Head::Redirect => {
            let to =
                format!("HTTP/1.1 307 Over there\r\nlocation: http://{}/\r\ncontent-length: 0\r\n\r\n", state.trap);
            out.write_all(to.as_bytes()).await
        }
        Head::ErrorPage => {
            out.write_all(b"HTTP/1.1 500 \x1b[31mNo\r\ntransfer-encoding: chunked\r\n\r\n").await?;
            chunks(out).await
        }
        Head::Noise => {
            out.write_all(&[0x16; 512]).await?;
            Err(io::ErrorKind::Other.into())
        }
    }
}

fn head(more: &str, length: usize) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{more}content-length: {length}\r\n\r\n")
}

async fn whole(out: &mut TcpStream, more: &str, body: &[u8]) -> io::Result<()> {
    out.write_all(head(more, body.len()).as_bytes()).await?;
    out.write_all(body).await
}

/// Spaces without an end.
async fn chunks(out: &mut TcpStream) -> io::Result<()> {
    let chunk = [format!("{CHUNK:x}\r\n").as_bytes(), &[b' '; CHUNK], b"\r\n"].concat();
    loop {
        out.write_all(&chunk).await?;
    }
}

/// Byte by byte.
pub(super) async fn slowly(out: &mut (impl AsyncWriteExt + Unpin), bytes: &[u8]) -> io::Result<()> {
    for byte in bytes {
        out.write_all(&[*byte]).await?;
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

/// The body of the next request.
async fn request(stream: &mut BufReader<TcpStream>) -> io::Result<Vec<u8>> {
    let mut length = 0;
    let mut line = String::new();
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(body)
}
