//! A wire that can be cut: a TCP proxy in front of Docker or PostgreSQL.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// Where a [`Wire`] leads to.
#[derive(Clone, Debug)]
pub enum Upstream {
    /// A socket in the file system.
    Unix(PathBuf),
    /// An address.
    Tcp(SocketAddr),
}

/// A TCP proxy on a free loopback port that can be cut and mended.
#[derive(Debug)]
pub struct Wire {
    address: SocketAddr,
    whole: Arc<watch::Sender<bool>>,
    _accept: AbortOnDropHandle<()>,
}

impl Wire {
    /// Lays a wire to there.
    ///
    /// # Errors
    /// When no loopback port can be had.
    pub async fn to(upstream: Upstream) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (whole, seen) = watch::channel(true);
        let accept = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, upstream.clone(), seen.clone()));
            }
        });
        Ok(Self { address, whole: Arc::new(whole), _accept: AbortOnDropHandle::new(accept) })
    }

    /// Its address.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts it: open connections break, new ones are refused at once.
    pub fn cut(&self) {
        self.whole.send_replace(false);
    }

    /// Mends it.
    pub fn mend(&self) {
        self.whole.send_replace(true);
    }
}

async fn carry(client: TcpStream, upstream: Upstream, mut whole: watch::Receiver<bool>) {
    if !*whole.borrow_and_update() {
        return;
    }
    let flow = async {
        match upstream {
            Upstream::Unix(path) => join(client, UnixStream::connect(path).await).await,
            Upstream::Tcp(address) => join(client, TcpStream::connect(address).await).await,
        }
    };
    tokio::select! {
        () = flow => {}
        _ = whole.wait_for(|whole| !whole) => {}
    }
}

async fn join<S: AsyncRead + AsyncWrite + Unpin>(
    mut client: TcpStream,
    server: std::io::Result<S>,
) {
    if let Ok(mut server) = server {
        let _ = copy_bidirectional(&mut client, &mut server).await;
    }
}
