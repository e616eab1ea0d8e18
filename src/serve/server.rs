//! The server: sockets, connections and how they end.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Router;
use axum::routing::any;
use axum::serve::Listener;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use super::patient::Patient;
use super::rpc::Rpc;
use super::{Options, ServeStats, Source, http};

/// A JSON-RPC server that listens and does not answer yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    options: Options,
    stats: Arc<ServeStats>,
}

/// A server cannot listen where it should.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {listen}: {source}")]
pub struct BindError {
    /// Where it should listen.
    pub listen: String,
    /// The system's error.
    pub source: io::Error,
}

impl Server {
    /// Listens on `listen`, a host and a port; port 0 takes a free one. Connections wait until [`Server::run`].
    ///
    /// # Errors
    /// [`BindError`] when the address is not one, is not this machine's or is in use.
    pub async fn bind(listen: &str, options: Options) -> Result<Self, BindError> {
        let failed = |source| BindError { listen: listen.into(), source };
        let listener = TcpListener::bind(listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address, options, stats: Arc::default() })
    }

    /// The address listened on, with the port taken.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The counters, which go on counting while the server runs.
    #[must_use]
    pub fn stats(&self) -> Arc<ServeStats> {
        Arc::clone(&self.stats)
    }

    /// Answers from `source` until `shutdown` is ready. Then no connection is taken any more, requests in flight are
    /// finished, for as long as the options allow, and everything is closed.
    pub async fn run(self, source: Arc<dyn Source>, shutdown: impl Future<Output = ()>) {
        let Self { mut listener, options, stats, .. } = self;
        let permits = Arc::new(Semaphore::new(options.connections));
        let mut builder = http1::Builder::new();
        // It also bounds how long a connection is kept between requests.
        builder.timer(TokioTimer::new()).header_read_timeout(options.idle_timeout);
        let (shutdown_timeout, write_timeout) = (options.shutdown_timeout, options.write_timeout);
        let rpc = Arc::new(Rpc::new(source, options, Arc::clone(&stats)));
        let service = TowerToHyperService::new(Router::new().route("/", any(http::answer)).with_state(rpc));

        let graceful = GracefulShutdown::new();
        let mut connections = JoinSet::new();
        let mut shutdown = pin!(shutdown);
        loop {
            let (stream, permit) = tokio::select! {
                () = &mut shutdown => break,
                accepted = accept(&mut listener, &permits) => accepted,
                Some(_) = connections.join_next() => continue,
            };
            stats.connections.fetch_add(1, Ordering::Relaxed);
            let connection = graceful
                .watch(builder.serve_connection(TokioIo::new(Patient::new(stream, write_timeout)), service.clone()));
            connections.spawn(async move {
                // How a connection ends, on time, by the client or by an error, is all the same to the others.
                let _ = connection.await;
                drop(permit);
            });
        }
        drop(listener);
        // What is left when the time is over is cut off, with the set of connections.
        let _ = tokio::time::timeout(shutdown_timeout, graceful.shutdown()).await;
    }
}

/// The next connection, as soon as there is room for it. Until then it waits in the system's queue.
async fn accept(listener: &mut TcpListener, permits: &Arc<Semaphore>) -> (TcpStream, Option<OwnedSemaphorePermit>) {
    // Fails only when the semaphore is closed, which it never is.
    let permit = Arc::clone(permits).acquire_owned().await.ok();
    // The trait's accept, not the listener's own: it tries again after errors, such as too many open files.
    let (stream, _) = Listener::accept(listener).await;
    // Replies are written whole; waiting to fill packets would only delay them.
    let _ = stream.set_nodelay(true);
    (stream, permit)
}
