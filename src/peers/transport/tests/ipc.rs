use std::path::PathBuf;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::oneshot;

use super::*;

/// A socket in a directory of its own.
struct Listener {
    socket: UnixListener,
    path: PathBuf,
    _dir: TempDir,
}

impl Listener {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("node.ipc");
        Self { socket: UnixListener::bind(&path).unwrap(), path, _dir: dir }
    }

    fn transport(&self) -> Transport {
        plain(self.path.to_str().unwrap())
    }

    async fn accept(&self) -> Served {
        let (stream, _) = self.socket.accept().await.unwrap();
        Served(BufReader::new(stream))
    }
}

/// The server's end of a connection.
struct Served(BufReader<UnixStream>);

impl Served {
    async fn request(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).await.unwrap();
        line
    }

    async fn say(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    /// Whether the client has closed it.
    async fn is_closed(&mut self) -> bool {
        self.request().await.is_empty()
    }
}

#[tokio::test]
async fn one_connection_serves_requests_one_after_another() {
    let listener = Listener::new();
    let transport = listener.transport();
    let server = async {
        let mut served = listener.accept().await;
        assert_eq!(served.request().await, "[1]\n");
        // The line's end may come late, or never.
        served.say("[\"one\"]").await;
        assert_eq!(served.request().await, "[2]\n");
        served.say("\n[\"two\"]\n").await;
        assert_eq!(served.request().await, "[3]\n");
        served.say("{\n  \"three\": 3\n}\n").await;
    };
    let client = async {
        assert_eq!(ask(&transport, "[1]").await.unwrap(), "[\"one\"]");
        assert_eq!(ask(&transport, "[2]").await.unwrap(), "\n[\"two\"]");
        assert_eq!(ask(&transport, "[3]").await.unwrap(), "{\n  \"three\": 3\n}");
    };
    tokio::join!(server, client);
}

#[tokio::test]
async fn a_reply_may_come_in_pieces() {
    let listener = Listener::new();
    let transport = listener.transport();
    let server = async {
        let mut served = listener.accept().await;
        served.request().await;
        for piece in ["[{\"a", "\":\"]\\", "\"\"}", ",\n", "[]", "]", "\n"] {
            served.say(piece).await;
            tokio::task::yield_now().await;
        }
    };
    let (reply, ()) = tokio::join!(ask(&transport, "[]"), server);
    assert_eq!(reply.unwrap(), "[{\"a\":\"]\\\"\"},\n[]]");
}

#[tokio::test]
async fn a_large_request_and_a_large_reply_get_through() {
    let listener = Listener::new();
    let transport = listener.transport();
    let large = format!("[\"{}\"]", "f".repeat(3 << 20));
    let server = async {
        let mut served = listener.accept().await;
        let request = served.request().await;
        served.say(&request).await;
    };
    let (reply, ()) = tokio::join!(transport.exchange(large.clone().into(), 4 << 20), server);
    assert_eq!(reply.unwrap(), large.as_bytes());
}

#[tokio::test]
async fn a_reply_that_goes_on_past_the_limit_is_cut() {
    let listener = Listener::new();
    let transport = listener.transport();
    let server = async {
        let mut served = listener.accept().await;
        served.request().await;
        served.say("[\"").await;
        let piece = vec![b'f'; 1 << 12];
        // Until the client has had enough.
        while served.0.write_all(&piece).await.is_ok() {}
    };
    let client = async {
        let error = ask(&transport, "[]").await.unwrap_err();
        assert!(matches!(error, TransportError::TooLarge { limit: LIMIT }), "{error}");
    };
    tokio::join!(server, client);
}

#[tokio::test]
async fn a_connection_closed_in_the_middle_of_a_reply_is_an_error_and_nothing_is_asked_again() {
    let listener = Listener::new();
    let transport = listener.transport();
    let server = async {
        let mut served = listener.accept().await;
        served.request().await;
        served.say("[]\n").await;
        served.request().await;
        served.say("[\"half").await;
    };
    let client = async {
        ask(&transport, "[]").await.unwrap();
        let error = ask(&transport, "[]").await.unwrap_err();
        assert!(matches!(&error, TransportError::Connection(text) if text.contains("closed")), "{error}");
    };
    tokio::join!(server, client);
}

#[tokio::test]
async fn a_connection_closed_while_idle_is_replaced_and_the_request_asked_once_more() {
    let listener = Listener::new();
    let transport = listener.transport();
    let server = async {
        let mut served = listener.accept().await;
        served.request().await;
        served.say("[1]\n").await;
        // Closed with the next request already on its way.
        served.request().await;
        drop(served);
        let mut served = listener.accept().await;
        served.request().await;
        served.say("[2]\n").await;
        // And the new one too: this is no accident.
        served.request().await;
        drop(served);
        listener.accept().await.request().await;
    };
    let client = async {
        assert_eq!(ask(&transport, "[]").await.unwrap(), "[1]");
        assert_eq!(ask(&transport, "[]").await.unwrap(), "[2]");
        let error = ask(&transport, "[]").await.unwrap_err();
        assert!(matches!(error, TransportError::Connection(_)), "{error}");
    };
    tokio::join!(server, client);
}

#[tokio::test]
async fn a_connection_whose_exchange_was_dropped_is_closed_and_its_reply_never_seen() {
    let listener = Listener::new();
    let transport = listener.transport();
    let (seen, wait) = oneshot::channel();
    let server = async {
        let mut first = listener.accept().await;
        first.request().await;
        seen.send(()).unwrap();
        let mut second = listener.accept().await;
        // Closed by the client, it takes no late reply.
        assert!(first.is_closed().await);
        second.request().await;
        second.say("[\"second\"]\n").await;
    };
    let client = async {
        tokio::select! {
            _ = ask(&transport, "[1]") => panic!("nobody replies"),
            seen = wait => seen.unwrap(),
        }
        assert_eq!(ask(&transport, "[2]").await.unwrap(), "[\"second\"]");
    };
    tokio::join!(server, client);
}

#[tokio::test]
async fn a_peer_that_says_more_than_the_reply_gets_a_new_connection() {
    let listener = Listener::new();
    let transport = listener.transport();
    let server = async {
        for reply in ["[1]\n[\"unasked\"]\n", "[2]\n"] {
            let mut served = listener.accept().await;
            served.request().await;
            served.say(reply).await;
            if reply == "[2]\n" {
                assert!(served.is_closed().await);
            }
        }
    };
    let client = async {
        assert_eq!(ask(&transport, "[]").await.unwrap(), "[1]");
        assert_eq!(ask(&transport, "[]").await.unwrap(), "[2]");
        drop(transport);
    };
    tokio::join!(server, client);
}

#[tokio::test]
async fn a_socket_that_is_not_there_is_an_error() {
    let dir = TempDir::new().unwrap();
    let error = ask(&plain(dir.path().join("no.ipc").to_str().unwrap()), "[]").await.unwrap_err();
    assert!(matches!(&error, TransportError::Connection(text) if text.contains("No such file")), "{error}");
}
