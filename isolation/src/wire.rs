//! A connection on which nobody has logged in.

use std::path::Path;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

/// Something to read from and to write to.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// The connection.
pub(crate) struct Wire(Box<dyn Stream>);

pub(crate) async fn tcp(host: &str, port: u16) -> std::io::Result<Wire> {
    Ok(Wire(Box::new(TcpStream::connect((host, port)).await?)))
}

/// PostgreSQL's socket has its port in its name.
pub(crate) async fn unix(folder: &Path, port: u16) -> std::io::Result<Wire> {
    let socket = folder.join(format!(".s.PGSQL.{port}"));
    Ok(Wire(Box::new(UnixStream::connect(socket).await?)))
}

impl Wire {
    /// Says who wants to log in; what follows would be the answer to the question for a password.
    pub(crate) async fn hello(&mut self, role: &str) -> std::io::Result<()> {
        let body = format!("user\0{role}\0database\0{role}\0\0");
        let length = u32::try_from(body.len() + 8).unwrap_or_default();
        let bytes =
            [&length.to_be_bytes()[..], &196_608_u32.to_be_bytes(), body.as_bytes()].concat();
        self.0.write_all(&bytes).await
    }

    /// Waits until the other side has ended it.
    pub(crate) async fn ended(&mut self) {
        // A connection that is broken has ended as well.
        let _ = self.0.read_to_end(&mut Vec::new()).await;
    }
}
