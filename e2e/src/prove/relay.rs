//! A socket in a folder that leads to PostgreSQL out of a tenant's own network. What passes is not
//! looked at: the tenant's password never comes here.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::time::timeout;

/// The socket's name, as PostgreSQL's clients look for it.
pub(crate) const SOCKET: &str = ".s.PGSQL.5432";

/// The whole program in the container.
pub(crate) fn run(to: &str) -> ExitCode {
    let Ok(runtime) = tokio::runtime::Runtime::new() else { return ExitCode::FAILURE };
    match runtime.block_on(serve(to)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(to: &str) -> std::io::Result<()> {
    let path = Path::new("/relay").join(SOCKET);
    let listener = UnixListener::bind(&path)?;
    // The folder around it lets nobody else in.
    std::fs::set_permissions(&path, Permissions::from_mode(0o777))?;
    loop {
        let (client, _) = listener.accept().await?;
        tokio::spawn(carry(client, to.to_owned()));
    }
}

async fn carry(mut client: UnixStream, to: String) {
    let connect = timeout(Duration::from_secs(5), TcpStream::connect(to));
    if let Ok(Ok(mut server)) = connect.await {
        let _ = server.set_nodelay(true);
        let _ = copy_bidirectional(&mut client, &mut server).await;
    }
}
