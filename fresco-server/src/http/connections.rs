//! Connections: how many at the same time, and how long each may keep us waiting.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use ipnet::IpNet;
use poem::http::uri::Scheme;
use poem::web::{LocalAddr, RemoteAddr};
use poem::{Addr, Endpoint, EndpointExt};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_io_timeout::TimeoutStream;

use crate::config::Config;
use crate::http::peers::{Peers, many};

/// How long a request's head may take, and how long a connection may wait between two requests.
const HEAD: Duration = Duration::from_secs(30);
/// How long a client may take nothing of its answer.
const STALLED: Duration = Duration::from_secs(60);
/// Files that the platform itself needs: its pools, Docker, its log.
const OWN_FILES: u64 = 128;
/// Files of a connection: itself, and what a stream reads from.
const FILES_EACH: u64 = 3;
/// How long to wait when the system has no room for a further connection.
const PAUSE: Duration = Duration::from_millis(100);

/// How many connections there may be at the same time.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// In all, where the system allows as many files.
    all: usize,
    /// From one network.
    each: usize,
    /// Bytes of a request's head.
    head: usize,
    /// From where there may be any number.
    proxies: Vec<IpNet>,
}

impl Limits {
    /// The settings' own.
    pub(crate) fn of(config: &Config) -> Self {
        let (all, each) = (config.connections, config.connections_each);
        Self { all, each, head: config.head_limit, proxies: many(&config.trusted_proxies) }
    }
}

/// Serves until `stop`; then lets what is under way end for this long.
pub(crate) async fn serve<E: Endpoint + 'static>(
    listener: TcpListener,
    endpoint: E,
    limits: Limits,
    stop: impl Future<Output = ()>,
    grace: Duration,
) {
    let endpoint = Arc::new(endpoint.map_to_response());
    let places = Arc::new(Semaphore::new(places(limits.all)));
    let (peers, head) = (Peers::new(limits.each, limits.proxies), limits.head);
    let (graceful, mut connections) = (GracefulShutdown::new(), JoinSet::new());
    tokio::pin!(stop);
    loop {
        let next = async {
            let place = take(&places).await;
            (listener.accept().await, place)
        };
        let (accepted, place) = tokio::select! {
            () = &mut stop => break,
            next = next => next,
        };
        match accepted.and_then(|(socket, peer)| Ok((socket.local_addr()?, peer, socket))) {
            Ok((local, peer, socket)) => {
                let Some(open) = peers.open(peer.ip()) else {
                    tracing::debug!(%peer, "a connection is closed: this peer has too many");
                    continue;
                };
                let addresses = (LocalAddr(Addr::from(local)), RemoteAddr(Addr::from(peer)));
                let connection = connection(socket, endpoint.clone(), addresses, head);
                let connection = graceful.watch(connection);
                connections.spawn(async move {
                    // What went wrong is the client's affair: it has left, or kept us waiting.
                    if let Err(error) = connection.await {
                        tracing::debug!(%peer, %error, "a connection ended");
                    }
                    drop((place, open));
                });
            }
            Err(error) if is_the_clients(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "no further connection can be taken at the moment");
                tokio::time::sleep(PAUSE).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    if tokio::time::timeout(grace, graceful.shutdown()).await.is_err() {
        tracing::info!(open = connections.len(), "closing connections that did not end");
    }
    connections.shutdown().await;
}

/// A place for one more connection, as soon as there is one.
async fn take(places: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    if let Ok(place) = places.clone().try_acquire_owned() {
        return Some(place);
    }
    tracing::warn!("all connections are taken: further ones wait until some end");
    places.clone().acquire_owned().await.ok()
}

fn connection<E: Endpoint<Output = poem::Response> + 'static>(
    socket: TcpStream,
    endpoint: Arc<E>,
    (local, remote): (LocalAddr, RemoteAddr),
    head: usize,
) -> impl hyper_util::server::graceful::GracefulConnection<Error = hyper::Error> + Send {
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let request = (request, local.clone(), remote.clone(), Scheme::HTTP).into();
        let endpoint = endpoint.clone();
        async move {
            let answer: hyper::Response<_> = endpoint.get_response(request).await.into();
            Ok::<_, Infallible>(answer)
        }
    });
    let mut stream = TimeoutStream::new(socket);
    stream.set_write_timeout(Some(STALLED));
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(head)
        .serve_connection(TokioIo::new(Box::pin(stream)), service)
}

fn is_the_clients(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
}

/// How many connections there may be. The system's own limit of files is raised as far as it lets us.
fn places(most: usize) -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let files = if raised.is_ok() { maximum } else { current };
    let all = files.map_or(u64::MAX, |files| files.saturating_sub(OWN_FILES) / FILES_EACH);
    usize::try_from(all).unwrap_or(most).clamp(1, most)
}

#[cfg(test)]
mod tests {
    use poem::endpoint::make_sync;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::oneshot;
    use tokio::task::JoinHandle;
    use tokio::time::Instant;

    use super::*;

    const MOST_HEAD: usize = 16 * 1024;

    async fn server() -> (std::net::SocketAddr, oneshot::Sender<()>, JoinHandle<()>) {
        server_with(Limits { all: 1024, each: 1024, head: MOST_HEAD, proxies: Vec::new() }).await
    }

    async fn server_with(
        limits: Limits,
    ) -> (std::net::SocketAddr, oneshot::Sender<()>, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, (stop, stopped)) = (listener.local_addr().unwrap(), oneshot::channel());
        let endpoint = make_sync(|_| "x".repeat(64 << 20));
        let until = async { stopped.await.unwrap_or_default() };
        let serving =
            tokio::spawn(serve(listener, endpoint, limits, until, Duration::from_secs(5)));
        (address, stop, serving)
    }

    /// The time after which the server ends a connection that sends this and reads nothing.
    async fn ends(sent: &[u8], drip: Option<Duration>) -> Duration {
        let (address, _stop, _serving) = server().await;
        let start = Instant::now();
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(sent).await.unwrap();
        let (mut read, mut write) = client.split();
        let dripping = async {
            let Some(pause) = drip else { std::future::pending().await };
            while write.write_all(b"a").await.is_ok() {
                tokio::time::sleep(pause).await;
            }
        };
        let mut buffer = Vec::new();
        tokio::select! {
            _ = read.read_to_end(&mut buffer) => {}
            () = dripping => {}
        }
        start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn half_a_head_is_not_waited_for() {
        let drip = Some(Duration::from_secs(10));
        let http2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        for (sent, drip) in [
            (&b"GET / HTTP/1.1\r\nHo"[..], None),
            (b"G", None),
            (b"", None),
            (b"GET / HTTP/1.1\r\nx: ", drip),
            (http2, None),
        ] {
            let time = ends(sent, drip).await;
            assert!(time <= 2 * HEAD, "{} after {time:?}", String::from_utf8_lossy(sent));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_nobody_takes_is_given_up() {
        let (address, stop, serving) = server().await;
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut first = [0; 1];
        client.read_exact(&mut first).await.unwrap();
        tokio::time::sleep(2 * STALLED).await;
        // Had it not been given up, stopping would wait for it for the whole grace.
        let start = Instant::now();
        stop.send(()).unwrap();
        serving.await.unwrap();
        assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    }

    /// The answer's first line, or nothing when the connection was closed.
    async fn first_line(client: &mut TcpStream, request: &[u8]) -> String {
        let sent = client.write_all(request).await;
        let mut first = [0; 64];
        let read = match sent {
            Ok(()) => client.read(&mut first).await.unwrap_or_default(),
            Err(_) => 0,
        };
        let text = String::from_utf8_lossy(&first[..read]);
        text.lines().next().unwrap_or_default().to_owned()
    }

    #[tokio::test]
    async fn one_peer_has_so_many_connections_and_no_more() {
        let request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
        for (proxies, third) in [(vec![], ""), (vec!["127.0.0.0/8"], "HTTP/1.1 200 OK")] {
            let proxies = proxies.into_iter().map(|net| net.parse().unwrap()).collect();
            let (address, _stop, _serving) =
                server_with(Limits { all: 16, each: 2, head: MOST_HEAD, proxies }).await;
            let mut open = Vec::new();
            for _ in 0..2 {
                let mut client = TcpStream::connect(address).await.unwrap();
                assert_eq!(first_line(&mut client, request).await, "HTTP/1.1 200 OK");
                open.push(client);
            }
            let mut client = TcpStream::connect(address).await.unwrap();
            assert_eq!(first_line(&mut client, request).await, third);
            // The end of one makes room for another, as soon as the server has seen it.
            drop(open);
            let start = Instant::now();
            loop {
                let mut client = TcpStream::connect(address).await.unwrap();
                if first_line(&mut client, request).await == "HTTP/1.1 200 OK" {
                    break;
                }
                assert!(start.elapsed() < Duration::from_secs(20), "there was no room again");
                tokio::task::yield_now().await;
            }
        }
    }

    #[tokio::test]
    async fn a_head_that_is_too_large_is_refused() {
        let (address, _stop, _serving) = server().await;
        for (bytes, status) in [(MOST_HEAD / 2, "200 OK"), (2 * MOST_HEAD, "431 ")] {
            let mut client = TcpStream::connect(address).await.unwrap();
            let head = format!("GET / HTTP/1.1\r\nHost: x\r\nx: {}\r\n\r\n", "a".repeat(bytes));
            let line = first_line(&mut client, head.as_bytes()).await;
            assert!(line.contains(status), "{bytes}: {line}");
        }
    }

    #[tokio::test]
    async fn a_further_connection_waits_for_a_place() {
        let places = Arc::new(Semaphore::new(1));
        let first = take(&places).await;
        assert!(tokio::time::timeout(Duration::from_millis(50), take(&places)).await.is_err());
        drop(first);
        assert!(take(&places).await.is_some());
    }
}
