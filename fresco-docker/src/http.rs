//! One HTTP request to one address, under a deadline: probes, and the proxy's own API.
//!
//! Redirects are not followed. The answers may come from a tenant's app, so that no more is read
//! than was asked for.

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper::{Method, Request, Response, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Fault {
    /// Nothing listens there, or it can't be reached.
    Connect(SocketAddr, std::io::Error),
    /// There was no connection in time.
    NoConnection(SocketAddr, Duration),
    /// Connected, but no answer in time.
    Silent(SocketAddr, Duration),
    /// What came back was no HTTP answer.
    Broken(SocketAddr, String),
}

impl Fault {
    /// Whether there was a connection.
    pub(crate) const fn is_connected(&self) -> bool {
        matches!(self, Self::Silent(..) | Self::Broken(..))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(to, error) => write!(f, "nothing answers at {to}: {error}"),
            Self::NoConnection(to, time) => {
                write!(f, "no connection to {to} within {} ms", time.as_millis())
            }
            Self::Silent(to, time) => {
                write!(f, "{to} gave no answer within {} ms", time.as_millis())
            }
            Self::Broken(to, why) => write!(f, "{to} gave no proper answer: {why}"),
        }
    }
}

impl std::error::Error for Fault {}

/// The head of the answer to a GET; the body is not read.
pub(crate) async fn head(
    to: SocketAddr,
    host: &str,
    path: &str,
    time: Duration,
) -> Result<Response<()>, Fault> {
    let read = async |response: Response<Incoming>| Ok(response.map(drop));
    exchange(Method::GET, to, host, path, time, read).await
}

/// The answer to a HEAD.
pub(crate) async fn look(
    to: SocketAddr,
    host: &str,
    path: &str,
    time: Duration,
) -> Result<Response<()>, Fault> {
    let read = async |response: Response<Incoming>| Ok(response.map(drop));
    exchange(Method::HEAD, to, host, path, time, read).await
}

/// The whole answer to a GET, with at most `most` bytes of body.
pub(crate) async fn get(
    to: SocketAddr,
    host: &str,
    path: &str,
    time: Duration,
    most: usize,
) -> Result<Response<Bytes>, Fault> {
    exchange(Method::GET, to, host, path, time, async |response: Response<Incoming>| {
        let (parts, body) = response.into_parts();
        let body = Limited::new(body, most).collect().await.map_err(|error| error.to_string())?;
        Ok(Response::from_parts(parts, body.to_bytes()))
    })
    .await
}

async fn exchange<T>(
    method: Method,
    to: SocketAddr,
    host: &str,
    path: &str,
    time: Duration,
    read: impl AsyncFnOnce(Response<Incoming>) -> Result<T, String>,
) -> Result<T, Fault> {
    let deadline = tokio::time::Instant::now() + time;
    let stream = match tokio::time::timeout_at(deadline, TcpStream::connect(to)).await {
        Ok(stream) => stream.map_err(|error| Fault::Connect(to, error))?,
        Err(_) => return Err(Fault::NoConnection(to, time)),
    };
    let talk = async {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, host)
            .header(header::USER_AGENT, concat!("fresco-platform/", env!("CARGO_PKG_VERSION")))
            .header(header::CONNECTION, "close")
            .body(Empty::<Bytes>::new())
            .map_err(|error| error.to_string())?;
        let (sender, connection) = Builder::new()
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| error.to_string())?;
        drive(connection, answer(sender, request, read)).await
    };
    match tokio::time::timeout_at(deadline, talk).await {
        Ok(answer) => answer.map_err(|why| Fault::Broken(to, why)),
        Err(_) => Err(Fault::Silent(to, time)),
    }
}

async fn answer<T>(
    mut sender: SendRequest<Empty<Bytes>>,
    request: Request<Empty<Bytes>>,
    read: impl AsyncFnOnce(Response<Incoming>) -> Result<T, String>,
) -> Result<T, String> {
    let response = sender.send_request(request).await.map_err(|error| words(&error))?;
    read(response).await
}

/// Polls the connection beside the work on it: nothing is left running when either is dropped.
async fn drive<T>(
    connection: impl Future<Output = hyper::Result<()>>,
    work: impl Future<Output = Result<T, String>>,
) -> Result<T, String> {
    let (mut connection, mut work) = (pin!(connection), pin!(work));
    tokio::select! {
        biased;
        done = &mut work => done,
        // The connection has ended; what it delivered before is still to be had.
        _ = &mut connection => work.await,
    }
}

fn words(error: &hyper::Error) -> String {
    use std::error::Error as _;
    error.source().map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    const TIME: Duration = Duration::from_millis(500);

    /// Answers one connection with these bytes and keeps it open.
    async fn server(answer: &'static [u8]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = [0; 1024];
            let _ = stream.read(&mut buffer).await.unwrap();
            stream.write_all(answer).await.unwrap();
            // Until the other side ends it.
            let _ = stream.read(&mut buffer).await;
        });
        address
    }

    #[tokio::test]
    async fn the_head_is_enough_and_no_body_is_waited_for() {
        let to = server(b"HTTP/1.1 308 X\r\nContent-Length: 1000000\r\nLocation: /x\r\n\r\n").await;
        let response = head(to, "a.test", "/", TIME).await.unwrap();
        assert_eq!(response.status(), 308);
    }

    #[tokio::test]
    async fn a_body_has_a_most() {
        let to = server(b"HTTP/1.1 200 X\r\nContent-Length: 5\r\n\r\nhello").await;
        assert_eq!(get(to, "a", "/", TIME, 5).await.unwrap().body(), "hello");
        let to = server(b"HTTP/1.1 200 X\r\nContent-Length: 5\r\n\r\nhello").await;
        assert!(matches!(get(to, "a", "/", TIME, 4).await, Err(Fault::Broken(..))));
    }

    #[tokio::test]
    async fn faults_are_told_apart() {
        let silent = server(b"").await;
        assert!(matches!(head(silent, "a", "/", TIME).await, Err(Fault::Silent(..))));
        let broken = server(b"SSH-2.0-x\r\n").await;
        assert!(matches!(head(broken, "a", "/", TIME).await, Err(Fault::Broken(..))));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let gone = listener.local_addr().unwrap();
        drop(listener);
        assert!(matches!(head(gone, "a", "/", TIME).await, Err(Fault::Connect(..))));
    }
}
