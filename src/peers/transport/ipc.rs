//! JSON-RPC over a Unix socket.

#[cfg(not(unix))]
pub(super) use self::elsewhere::Socket;
#[cfg(unix)]
pub(super) use self::unix::Socket;

#[cfg(unix)]
mod unix {
    use std::io;
    use std::path::PathBuf;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixStream;

    use super::super::TransportError;
    use super::super::connections::{Broken, Connection, Dial};
    use super::super::json_end::JsonEnd;

    /// The least room for a read. A socket holds some 200 KB, and geth gives up on who leaves it full for 10 s.
    const READ_BYTES: usize = 64 << 10;

    /// A socket to connect to.
    pub(in super::super) struct Socket(pub(in super::super) PathBuf);

    /// A connection to it.
    pub(in super::super) struct Stream {
        stream: UnixStream,
        /// Whether more came than the reply: it would be taken for the beginning of the next one.
        more: bool,
    }

    impl Dial for Socket {
        type Connection = Stream;

        async fn dial(&self) -> Result<Stream, TransportError> {
            match UnixStream::connect(&self.0).await {
                Ok(stream) => Ok(Stream { stream, more: false }),
                Err(error) => Err(TransportError::connection(&error)),
            }
        }
    }

    impl Connection for Stream {
        async fn exchange(&mut self, body: &[u8], limit: usize) -> Result<Vec<u8>, Broken> {
            let mut reply = Vec::new();
            let sent = async {
                self.stream.write_all(body).await?;
                self.stream.write_all(b"\n").await
            };
            sent.await.map_err(|error| broken(&error, &reply))?;
            let mut end = JsonEnd::default();
            loop {
                reply.reserve(READ_BYTES);
                let read = self.stream.read_buf(&mut reply).await.and_then(|length| match length {
                    0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the peer closed the connection")),
                    _ => Ok(()),
                });
                read.map_err(|error| broken(&error, &reply))?;
                let end = end.find(&reply);
                if end.unwrap_or(reply.len()) > limit {
                    return Err(Broken { error: TransportError::TooLarge { limit }, silent: false });
                }
                if let Some(end) = end {
                    self.more = !is_space(&reply[end..]);
                    reply.truncate(end);
                    return Ok(reply);
                }
            }
        }

        fn is_quiet(&mut self) -> bool {
            let mut bytes = [0; 16];
            match self.stream.try_read(&mut bytes) {
                _ if self.more => false,
                // The line's end, which came after the reply.
                Ok(length) => length > 0 && is_space(&bytes[..length]),
                Err(error) => error.kind() == io::ErrorKind::WouldBlock,
            }
        }
    }

    fn is_space(bytes: &[u8]) -> bool {
        bytes.iter().all(u8::is_ascii_whitespace)
    }

    fn broken(error: &io::Error, reply: &[u8]) -> Broken {
        Broken { error: TransportError::connection(error), silent: is_space(reply) }
    }
}

#[cfg(not(unix))]
mod elsewhere {
    use std::convert::Infallible;
    use std::path::PathBuf;

    use super::super::TransportError;
    use super::super::connections::{Broken, Connection, Dial};

    /// A socket that nobody can connect to.
    pub(in super::super) struct Socket(pub(in super::super) PathBuf);

    impl Dial for Socket {
        type Connection = Infallible;

        async fn dial(&self) -> Result<Infallible, TransportError> {
            Err(TransportError::Connection("IPC needs a Unix system".into()))
        }
    }

    impl Connection for Infallible {
        async fn exchange(&mut self, _: &[u8], _: usize) -> Result<Vec<u8>, Broken> {
            match *self {}
        }

        fn is_quiet(&mut self) -> bool {
            match *self {}
        }
    }
}
