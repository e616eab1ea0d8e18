use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::{WebSocketStream, accept_async, accept_hdr_async};

use super::*;

struct Listener {
    socket: TcpListener,
    address: SocketAddr,
}

impl Listener {
    async fn new() -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        Self { socket, address }
    }

    fn transport(&self) -> Transport {
        plain(&format!("ws://{}", self.address))
    }

    async fn tcp(&self) -> TcpStream {
        self.socket.accept().await.unwrap().0
    }

    async fn accept(&self) -> Served {
        Served(accept_async(self.tcp().await).await.unwrap())
    }
}

/// The server's end of a connection.
struct Served(WebSocketStream<TcpStream>);

impl Served {
    async fn request(&mut self) -> String {
        self.0.next().await.unwrap().unwrap().into_text().unwrap().to_string()
    }

    async fn say(&mut self, message: impl Into<Message>) {
        self.0.send(message.into()).await.unwrap();
    }

    /// Whether the client has closed it.
    async fn is_closed(&mut self) -> bool {
        !matches!(self.0.next().await, Some(Ok(_)))
    }
}

#[tokio::test]
async fn one_connection_serves_requests_one_after_another_and_two_serve_two_at_once() {
    let listener = Listener::new().await;
    let transport = listener.transport();
    let server = async {
        let mut one = listener.accept().await;
        for _ in 0..2 {
            let request = one.request().await;
            one.say(request).await;
        }
        // Both are there before either is answered.
        let (first, mut two) = tokio::join!(one.request(), listener.accept());
        let second = two.request().await;
        two.say(second).await;
        one.say(first).await;
    };
    let client = async {
        assert_eq!(ask(&transport, "[1]").await.unwrap(), "[1]");
        assert_eq!(ask(&transport, "[2]").await.unwrap(), "[2]");
        let (three, four) = tokio::join!(ask(&transport, "[3]"), ask(&transport, "[4]"));
        assert_eq!((three.unwrap().as_str(), four.unwrap().as_str()), ("[3]", "[4]"));
    };
    tokio::join!(server, client);
}

#[tokio::test]
async fn a_ping_is_answered_while_a_reply_is_waited_for() {
    let listener = Listener::new().await;
    let transport = listener.transport();
    let server = async {
        let mut served = listener.accept().await;
        served.request().await;
        served.say(Message::Ping("are you there".into())).await;
        assert_eq!(served.0.next().await.unwrap().unwrap(), Message::Pong("are you there".into()));
        served.say("[]").await;
        // One that comes while it is idle harms nothing.
        served.say(Message::Ping("still".into())).await;
        served.request().await;
        assert_eq!(served.0.next().await.unwrap().unwrap(), Message::Pong("still".into()));
        served.say("[2]").await;
    };
    let client = async {
        assert_eq!(ask(&transport, "[]").await.unwrap(), "[]");
        assert_eq!(ask(&transport, "[]").await.unwrap(), "[2]");
    };
    tokio::join!(server, client);
}

#[tokio::test]
async fn headers_and_credentials_go_with_the_handshake() {
    let listener = Listener::new().await;
    let seen = async || {
        let mut seen = HeaderMap::new();
        #[expect(clippy::result_large_err, reason = "the library's type")]
        let look = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
            seen = request.headers().clone();
            Ok(response)
        };
        let mut served = Served(accept_hdr_async(listener.tcp().await, look).await.unwrap());
        served.request().await;
        served.say("[]").await;
        seen
    };
    let with_token = transport(&format!("ws://{}/path", listener.address), &everything());
    let (reply, headers) = tokio::join!(ask(&with_token, "[]"), seen());
    reply.unwrap();
    assert_eq!(headers["x-api-key"], "hunter2");
    assert_eq!(headers["host"], listener.address.to_string());
    assert_is_signed(&headers);

    let with_password = plain(&format!("ws://al%40ice:s%3Acret@{}", listener.address));
    let (reply, headers) = tokio::join!(ask(&with_password, "[]"), seen());
    reply.unwrap();
    assert_eq!(headers[AUTHORIZATION], "Basic YWxAaWNlOnM6Y3JldA==");
    assert!(!format!("{with_token:?} {with_password:?}").contains("cret"));
}

#[tokio::test]
async fn a_refused_handshake_is_a_status_with_its_wait() {
    let listener = Listener::new().await;
    let server = async {
        #[expect(clippy::result_large_err, reason = "the library's type")]
        let refuse = |_: &Request, _: Response| -> Result<Response, ErrorResponse> {
            let response = Response::builder().status(429).header("Retry-After", "7");
            Err(response.body(Some("slow down".into())).unwrap())
        };
        assert!(accept_hdr_async(listener.tcp().await, refuse).await.is_err());
    };
    let transport = listener.transport();
    let (reply, ()) = tokio::join!(ask(&transport, "[]"), server);
    let error = reply.unwrap_err();
    let TransportError::Status { code: 429, retry_after, .. } = error else { panic!("{error}") };
    assert_eq!(retry_after, Some(Duration::from_secs(7)));
}

#[tokio::test]
async fn what_is_no_text_is_no_reply() {
    let listener = Listener::new().await;
    let answer = async |message: Message| {
        let transport = listener.transport();
        let server = async {
            let mut served = listener.accept().await;
            served.request().await;
            served.say(message).await;
            served
        };
        let (reply, _served) = tokio::join!(ask(&transport, "[]"), server);
        reply.unwrap_err()
    };
    let binary = answer(Message::binary("[]")).await;
    assert!(matches!(binary, TransportError::Binary), "{binary}");
    let frame = CloseFrame { code: CloseCode::Again, reason: "try later".into() };
    let closed = answer(Message::Close(Some(frame))).await;
    assert!(matches!(&closed, TransportError::Closed { code: 1013, reason } if reason == "try later"), "{closed}");
    let closed = answer(Message::Close(None)).await;
    assert!(matches!(closed, TransportError::Closed { code: 1005, .. }), "{closed}");
}

#[tokio::test]
async fn a_reply_longer_than_the_limit_is_refused_whether_it_was_taken_in_or_not() {
    for length in [LIMIT + 1, (32 << 20) + 1] {
        let listener = Listener::new().await;
        let transport = listener.transport();
        let server = async {
            let mut served = listener.accept().await;
            served.request().await;
            // The client may close before all is sent.
            let _ = served.0.send(" ".repeat(length).into()).await;
        };
        let client = async {
            let error = ask(&transport, "[]").await.unwrap_err();
            assert!(matches!(error, TransportError::TooLarge { .. }), "{error}");
            drop(transport);
        };
        tokio::join!(server, client);
    }
}

#[tokio::test]
async fn a_connection_that_breaks_in_the_middle_of_a_message_is_an_error() {
    let listener = Listener::new().await;
    let transport = listener.transport();
    let server = async {
        let mut served = listener.accept().await;
        served.request().await;
        // A frame of text that says it has 100 bytes.
        served.0.get_mut().write_all(b"\x81\x64[\"half").await.unwrap();
    };
    let (reply, ()) = tokio::join!(ask(&transport, "[]"), server);
    let error = reply.unwrap_err();
    assert!(matches!(error, TransportError::Connection(_)), "{error}");
}

#[tokio::test]
async fn a_connection_closed_while_idle_is_replaced_and_the_request_asked_once_more() {
    let listener = Listener::new().await;
    let transport = listener.transport();
    let server = async {
        let mut served = listener.accept().await;
        served.request().await;
        served.say("[1]").await;
        // Closed with the next request already on its way.
        served.request().await;
        drop(served);
        let mut served = listener.accept().await;
        served.request().await;
        served.say("[2]").await;
        // And the new one too: this is no accident.
        served.request().await;
        served.0.close(None).await.unwrap();
        let mut served = listener.accept().await;
        served.request().await;
        served.0.close(None).await.unwrap();
    };
    let client = async {
        assert_eq!(ask(&transport, "[]").await.unwrap(), "[1]");
        assert_eq!(ask(&transport, "[]").await.unwrap(), "[2]");
        let error = ask(&transport, "[]").await.unwrap_err();
        assert!(matches!(error, TransportError::Closed { .. }), "{error}");
    };
    tokio::join!(server, client);
}

#[tokio::test]
async fn a_connection_whose_exchange_was_dropped_is_closed_and_its_reply_never_seen() {
    let listener = Listener::new().await;
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
        second.say("[\"second\"]").await;
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
async fn a_server_that_does_not_speak_tls_is_no_secure_peer() {
    let listener = Listener::new().await;
    let transport = plain(&format!("wss://user:hunter2@{}/hunter2", listener.address));
    let server = async {
        let mut stream = listener.tcp().await;
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        stream
    };
    let (reply, _stream) = tokio::join!(ask(&transport, "[]"), server);
    let error = reply.unwrap_err();
    assert!(matches!(error, TransportError::Connection(_)), "{error}");
    assert!(!error.to_string().contains("hunter2"), "{error}");
}
