//! Connections that carry one request at a time.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::{CONNECT_TIMEOUT, TransportError};
use crate::lock::lock;

/// An idle connection older than this is dropped, not used: geth pings every 30 s, and while idle nobody answers.
const IDLE_MAX: Duration = Duration::from_secs(20);

/// What opens connections to one peer.
pub(super) trait Dial: Send + Sync {
    /// An open connection.
    type Connection: Connection;

    /// Opens one.
    fn dial(&self) -> impl Future<Output = Result<Self::Connection, TransportError>> + Send;
}

/// An open connection, on which messages tell nothing of the request that they answer.
pub(super) trait Connection: Send {
    /// Sends a request and waits for the reply. After a failure, or dropped in between, the connection is of no use.
    fn exchange(&mut self, body: &[u8], limit: usize) -> impl Future<Output = Result<Vec<u8>, Broken>> + Send;

    /// Whether an idle connection is still open and has nothing to say, which would be taken for the next reply.
    fn is_quiet(&mut self) -> bool;
}

/// A connection that brought no reply.
#[derive(Debug)]
pub(super) struct Broken {
    pub(super) error: TransportError,
    /// Whether nothing of a reply had come: so it is with a connection that the peer closed while it was idle.
    pub(super) silent: bool,
}

/// The connections to one peer. Each carries one request at a time, for the ids of requests repeat, and a reply to one
/// must not be taken for the reply to another.
pub(super) struct Connections<D: Dial>(Arc<Inner<D>>);

struct Inner<D: Dial> {
    dialer: D,
    /// The one used last comes last. There are never more than there were requests at a time.
    idle: Mutex<Vec<Idle<D::Connection>>>,
}

struct Idle<C> {
    connection: C,
    since: Instant,
}

impl<D: Dial> Connections<D> {
    pub(super) fn new(dialer: D) -> Self {
        Self(Arc::new(Inner { dialer, idle: Mutex::default() }))
    }

    /// Sends a request over an idle connection or a new one. The connection is idle again only when the whole reply has
    /// come: dropped in between, or failed, it is closed.
    pub(super) async fn exchange(&self, body: &[u8], limit: usize) -> Result<Vec<u8>, TransportError> {
        if let Some(mut connection) = self.0.take(Instant::now()) {
            match connection.exchange(body, limit).await {
                Ok(reply) => {
                    self.0.put(connection);
                    return Ok(reply);
                }
                // The peer closed it meanwhile. On a new one the request is as good as before: it only reads.
                Err(Broken { silent: true, error }) => tracing::debug!(%error, "an idle connection was closed"),
                Err(Broken { silent: false, error }) => return Err(error),
            }
        }
        let dialed = tokio::time::timeout(CONNECT_TIMEOUT, self.0.dialer.dial()).await;
        let late = |_| TransportError::Connection(format!("no connection within {CONNECT_TIMEOUT:?}"));
        let mut connection = dialed.map_err(late)??;
        let reply = connection.exchange(body, limit).await.map_err(|broken| broken.error)?;
        self.0.put(connection);
        Ok(reply)
    }
}

impl<D: Dial> Inner<D> {
    /// The idle connection used last, if it is of use. The older ones stay for a while, for more requests at a time.
    fn take(&self, now: Instant) -> Option<D::Connection> {
        let mut idle = self.lock();
        idle.retain(|idle| now.duration_since(idle.since) < IDLE_MAX);
        while let Some(mut last) = idle.pop() {
            if last.connection.is_quiet() {
                return Some(last.connection);
            }
        }
        None
    }

    fn put(&self, connection: D::Connection) {
        self.lock().push(Idle { connection, since: Instant::now() });
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Idle<D::Connection>>> {
        lock(&self.idle)
    }
}

impl<D: Dial> Clone for Connections<D> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<D: Dial> fmt::Debug for Connections<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").field("idle", &self.0.lock().len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Dials connections that are numbered, and echo.
    struct Numbers(AtomicUsize);

    struct Number {
        number: usize,
        quiet: bool,
    }

    impl Dial for Numbers {
        type Connection = Number;

        async fn dial(&self) -> Result<Number, TransportError> {
            Ok(Number { number: self.0.fetch_add(1, Ordering::Relaxed), quiet: true })
        }
    }

    impl Connection for Number {
        async fn exchange(&mut self, _: &[u8], _: usize) -> Result<Vec<u8>, Broken> {
            // Others get their turn, so that requests overlap.
            tokio::task::yield_now().await;
            Ok(vec![u8::try_from(self.number).unwrap()])
        }

        fn is_quiet(&mut self) -> bool {
            self.quiet
        }
    }

    fn connections() -> Connections<Numbers> {
        Connections::new(Numbers(AtomicUsize::new(0)))
    }

    async fn used(connections: &Connections<Numbers>) -> u8 {
        connections.exchange(b"", 1).await.unwrap()[0]
    }

    #[tokio::test]
    async fn requests_one_after_another_share_a_connection_and_simultaneous_ones_do_not() {
        let connections = connections();
        assert_eq!((used(&connections).await, used(&connections).await), (0, 0));
        let mut both = <[u8; 2]>::from(tokio::join!(used(&connections), used(&connections)));
        both.sort_unstable();
        assert_eq!(both, [0, 1]);
        assert_eq!(format!("{connections:?}"), "Connections { idle: 2, .. }");
    }

    #[tokio::test]
    async fn a_connection_idle_for_too_long_is_dropped() {
        let connections = connections();
        used(&connections).await;
        assert!(connections.0.take(Instant::now() + IDLE_MAX).is_none());
        assert!(connections.0.lock().is_empty());
        assert_eq!(used(&connections).await, 1);
    }

    #[tokio::test]
    async fn a_connection_that_is_not_quiet_is_dropped_for_an_older_one() {
        let connections = connections();
        tokio::join!(used(&connections), used(&connections));
        let last = connections.0.lock().last_mut().map(|idle| {
            idle.connection.quiet = false;
            u8::try_from(idle.connection.number).unwrap()
        });
        assert_eq!(used(&connections).await, 1 - last.unwrap());
        assert_eq!(connections.0.lock().len(), 1);
    }
}
