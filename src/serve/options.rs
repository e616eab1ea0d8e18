//! The limits of a server.

use std::time::Duration;

/// Calls in a batch; geth's `--rpc.batch-request-limit`.
const BATCH_ITEMS: usize = 1_000;

/// Bytes of results and errors in a batch's reply; geth's `--rpc.batch-response-max-size`.
const BATCH_BYTES: usize = 25_000_000;

/// Bytes of a request's body; geth's `--rpc.http-body-limit`. 20 times a full batch of `debug_dbGet`.
const BODY_BYTES: usize = 5 << 20;

/// Connections at once. A syncing client holds some ten; each may hold one request's body and reply in memory, and
/// the usual limit of 1024 descriptors has to do for the store's files too.
const CONNECTIONS: usize = 256;

/// How long a connection may be idle, or take to send the head of a request; geth's idle time-out. Longer than
/// clients keep idle connections, so that it is they who close.
const IDLE: Duration = Duration::from_secs(120);

/// How long a request's body may take to come; geth's read time-out.
const BODY: Duration = Duration::from_secs(30);

/// How long a batch is worked on before the rest of it is refused; geth's, just short of its write time-out.
const ANSWER: Duration = Duration::from_millis(29_900);

/// How long a client may take to take a reply; geth's write time-out.
const WRITE: Duration = Duration::from_secs(30);

/// Requests that are answered at once. More would only wait for the disk; each makes a reply of 26 MB at most.
const ANSWERS: usize = 8;

/// Bytes of replies that clients have yet to take. Enough that those of usual batches, of half a megabyte, never wait
/// although no connection reads; ten of the longest fit.
const UNTAKEN_BYTES: usize = 256 << 20;

/// How long requests in flight may take to end after the shutdown.
const SHUTDOWN: Duration = Duration::from_secs(5);

/// A server's limits. The default is go-ethereum's where it has the limit.
#[derive(Clone, Debug)]
pub struct Options {
    /// The most calls in one batch.
    pub batch_items: usize,
    /// How many bytes of results and errors a batch's reply may hold; the calls after the one that crosses it are
    /// refused.
    pub batch_bytes: usize,
    /// The most bytes of a request's body.
    pub body_bytes: usize,
    /// The most connections at once; more wait until one closes.
    pub connections: usize,
    /// How long a connection may be idle, or take to send the head of a request.
    pub idle_timeout: Duration,
    /// How long a request's body may take to come.
    pub body_timeout: Duration,
    /// How long a batch is worked on before the rest of it is refused.
    pub answer_timeout: Duration,
    /// How long a client may take to take a reply.
    pub write_timeout: Duration,
    /// The most requests that are answered at once; more wait for their turn.
    pub answers: usize,
    /// The most bytes of replies that clients have yet to take; who asks for more waits for the others.
    pub untaken_bytes: usize,
    /// How long requests in flight may take to end after the shutdown.
    pub shutdown_timeout: Duration,
    /// Host names that requests may be addressed to, besides `localhost` and every IP address; `*` allows any. What
    /// geth calls `--http.vhosts`.
    pub hosts: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            batch_items: BATCH_ITEMS,
            batch_bytes: BATCH_BYTES,
            body_bytes: BODY_BYTES,
            connections: CONNECTIONS,
            idle_timeout: IDLE,
            body_timeout: BODY,
            answer_timeout: ANSWER,
            write_timeout: WRITE,
            answers: ANSWERS,
            untaken_bytes: UNTAKEN_BYTES,
            shutdown_timeout: SHUTDOWN,
            hosts: Vec::new(),
        }
    }
}
