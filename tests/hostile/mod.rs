//! Peers that want to do harm, on real sockets. For the tests and for the soak, so it needs nothing of either.

mod http;
mod ipc;
mod reply;
mod ws;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::net::{TcpListener, UnixListener};
use tokio::runtime::Runtime;

use self::reply::Reply;

/// What a peer does to who asks it for nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Harm {
    /// An HTTP reply with this body.
    Http(Body),
    /// An HTTP reply that is none.
    Head(Head),
    /// A WebSocket misused.
    WebSocket(Socket),
    /// A Unix socket misused.
    Ipc(Socket),
}

/// A body, or a message, that means harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// It has no end.
    Endless,
    /// It comes byte by byte.
    Slow,
    /// It is small and unpacks to very much.
    GzipBomb,
    /// Arrays in arrays, a hundred thousand deep, as the result of the first call,
    DeepResult,
    /// as its id,
    DeepId,
    /// as an error's data,
    DeepError,
    /// and objects in objects instead of a batch.
    DeepReply,
    /// An error with as many values in its data as fit.
    WideError,
    /// As many empty elements as fit.
    CountlessElements,
    /// Ids of a megabyte, and with four hundred digits.
    GiantIds,
    /// Error texts of a megabyte that tell a terminal what to do.
    Shouting,
    /// Bytes that are no text.
    InvalidUtf8,
    /// Hex that is none: of odd length, without a prefix, with other digits.
    BadHex,
    /// Well-formed answers with random bytes.
    Lies,
    /// It ends in the middle.
    CutOff,
}

/// The head of an HTTP reply that means harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Head {
    /// It comes byte by byte.
    Slow,
    /// It has headers of megabytes.
    Giant,
    /// It points to another host.
    Redirect,
    /// It is an error with a page that has no end.
    ErrorPage,
    /// It is no HTTP.
    Noise,
}

/// What a socket is misused for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Socket {
    /// A message with this body.
    Says(Body),
    /// Messages that nobody asked for.
    Flood,
    /// A message in fragments that never end; over IPC, a line.
    Fragments,
    /// Pings, and what comes in return is never read; over IPC, white space.
    Pings,
    /// Nothing.
    Silence,
}

/// Bodies that are the same over every wire.
const BODIES: [Body; 13] = [
    Body::Slow,
    Body::DeepResult,
    Body::DeepId,
    Body::DeepError,
    Body::DeepReply,
    Body::WideError,
    Body::CountlessElements,
    Body::GiantIds,
    Body::Shouting,
    Body::InvalidUtf8,
    Body::BadHex,
    Body::Lies,
    Body::CutOff,
];

impl Harm {
    /// All kinds.
    pub(crate) fn all() -> Vec<Self> {
        let http = BODIES.into_iter().chain([Body::Endless, Body::GzipBomb]).map(Self::Http);
        let heads = [Head::Slow, Head::Giant, Head::Redirect, Head::ErrorPage, Head::Noise].map(Self::Head);
        let says = || [Body::DeepResult, Body::CountlessElements, Body::InvalidUtf8, Body::CutOff].map(Socket::Says);
        let abuses = [Socket::Flood, Socket::Fragments, Socket::Pings, Socket::Silence];
        let sockets = || says().into_iter().chain(abuses);
        http.chain(heads).chain(sockets().map(Self::WebSocket)).chain(sockets().map(Self::Ipc)).collect()
    }
}

/// A running peer.
pub(crate) struct Hostile {
    url: String,
    state: Arc<State>,
    runtime: Option<Runtime>,
}

/// What a peer's connections share.
struct State {
    reply: Reply,
    /// Whether calls that read no nodes get an answer, so that the peer is taken for one.
    polite: bool,
    /// Requests that were met with harm.
    harmed: AtomicU64,
    /// Where redirects lead to.
    trap: SocketAddr,
    /// How often somebody went there.
    trapped: AtomicU64,
}

impl Hostile {
    /// Starts one; what it makes up depends on the seed, its socket is in `dir` if it is a file.
    pub(crate) fn start(harm: Harm, seed: u64, polite: bool, dir: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (listener, trap) = runtime.block_on(async { (listen().await, listen().await) });
        let (address, reply) = (listener.local_addr().unwrap(), Reply::new(seed));
        let state = State {
            reply,
            polite,
            harmed: AtomicU64::new(0),
            trap: trap.local_addr().unwrap(),
            trapped: AtomicU64::new(0),
        };
        let state = Arc::new(state);
        runtime.spawn(count_guests(trap, state.clone()));
        let url = match harm {
            Harm::Http(_) | Harm::Head(_) => format!("http://{address}"),
            Harm::WebSocket(_) => format!("ws://{address}"),
            Harm::Ipc(_) => {
                let path: PathBuf = dir.join(format!("{}.ipc", address.port()));
                let listener = { runtime.block_on(async { UnixListener::bind(&path).unwrap() }) };
                runtime.spawn(serve_ipc(listener, harm, state.clone()));
                path.to_str().unwrap().to_owned()
            }
        };
        runtime.spawn(serve(listener, harm, state.clone()));
        Self { url, state, runtime: Some(runtime) }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Requests that were met with harm.
    pub(crate) fn harmed(&self) -> u64 {
        self.state.harmed.load(Ordering::Relaxed)
    }

    /// How often somebody followed a redirect.
    pub(crate) fn trapped(&self) -> u64 {
        self.state.trapped.load(Ordering::Relaxed)
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl State {
    /// The answer to a request that is not to be harmed.
    fn courtesy(&self, body: &[u8]) -> Option<String> {
        let harmless = self.polite && memchr::memmem::find(body, b"debug_dbGet").is_none();
        if harmless {
            return Some(reply::courtesy(body));
        }
        self.harmed.fetch_add(1, Ordering::Relaxed);
        None
    }
}

async fn listen() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

async fn count_guests(trap: TcpListener, state: Arc<State>) {
    while trap.accept().await.is_ok() {
        state.trapped.fetch_add(1, Ordering::Relaxed);
    }
}

async fn serve(listener: TcpListener, harm: Harm, state: Arc<State>) {
    while let Ok((stream, _)) = listener.accept().await {
        let state = state.clone();
        // That the guest goes is the usual end.
        match harm {
            Harm::WebSocket(how) => drop(tokio::spawn(async move { ws::serve(stream, how, &state).await.ok() })),
            _ => drop(tokio::spawn(async move { http::serve(stream, harm, &state).await.ok() })),
        }
    }
}

async fn serve_ipc(listener: UnixListener, harm: Harm, state: Arc<State>) {
    let Harm::Ipc(how) = harm else { return };
    while let Ok((stream, _)) = listener.accept().await {
        let state = state.clone();
        tokio::spawn(async move { ipc::serve(stream, how, &state).await.ok() });
    }
}
