//! A link with a delay and a limited rate, between a client and a server on this machine.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio::time::Instant;

/// A link.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    /// How much later everything comes back.
    pub(crate) delay: Duration,
    /// How much comes back in a second, over all connections.
    pub(crate) bytes_per_second: Option<u64>,
}

/// What is read at once.
const CHUNK: usize = 64 << 10;

/// Opens a link to a server and gives its near end.
pub(crate) async fn proxy(server: SocketAddr, link: Link) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    // When the link has sent what it was given so far.
    let free_at: &'static Mutex<Instant> = Box::leak(Box::new(Mutex::new(Instant::now())));
    tokio::spawn(async move {
        loop {
            let (client, _) = listener.accept().await.unwrap();
            let server = TcpStream::connect(server).await.unwrap();
            client.set_nodelay(true).unwrap();
            server.set_nodelay(true).unwrap();
            tokio::spawn(connect(client, server, link, free_at));
        }
    });
    address
}

async fn connect(client: TcpStream, server: TcpStream, link: Link, free_at: &'static Mutex<Instant>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    tokio::spawn(async move {
        let _ = tokio::io::copy(&mut from_client, &mut to_server).await;
    });
    let (sender, mut queue) = tokio::sync::mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
    tokio::spawn(async move {
        while let Some((at, chunk)) = queue.recv().await {
            tokio::time::sleep_until(at).await;
            if to_client.write_all(&chunk).await.is_err() {
                return;
            }
        }
    });
    let mut buffer = vec![0; CHUNK];
    while let Ok(count @ 1..) = from_server.read(&mut buffer).await {
        let mut at = Instant::now() + link.delay;
        if let Some(rate) = link.bytes_per_second {
            let mut free_at = free_at.lock().await;
            *free_at = (*free_at).max(Instant::now()) + Duration::from_secs_f64(count as f64 / rate as f64);
            at = *free_at + link.delay;
        }
        if sender.send((at, buffer[..count].to_vec())).is_err() {
            return;
        }
    }
}
