//! Serving, until told to stop.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::time::Duration;

use secrecy::ExposeSecret;
use tokio::net::{TcpListener, lookup_host};
use tokio::signal::unix::{SignalKind, signal};
use tokio_postgres::config::Host;
use tokio_util::sync::CancellationToken;

use crate::accounts::SignupPolicy;
use crate::app::app;
use crate::compose;
use crate::config::Config;
use crate::http::connections;
use crate::mail::Post;
use crate::network;

/// How long requests under way may take to end after the signal.
const GRACE: Duration = Duration::from_secs(10);

/// How long rows of the audit log may take to be written after that.
const LAST_ROWS: Duration = Duration::from_secs(10);

/// How long it may take to look a name up.
const LOOKUP: Duration = Duration::from_secs(5);

/// Why serving ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum ServeError {
    /// The port can't be listened on.
    Listen(std::net::SocketAddr, io::Error),
    /// A part of the platform can't be used.
    Part(fresco_core::Error),
    /// The server itself.
    Io(io::Error),
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen(address, error) => {
                let mend = match error.kind() {
                    io::ErrorKind::AddrInUse => {
                        "Stop what uses that port (fresco-server doctor names it), or choose another with PORT"
                    }
                    io::ErrorKind::AddrNotAvailable => {
                        "This machine does not have that address: choose one of its own with LISTEN_ADDRESS"
                    }
                    io::ErrorKind::PermissionDenied => {
                        "Ports below 1024 are root's: choose another with PORT"
                    }
                    _ => "Choose another address with LISTEN_ADDRESS and PORT",
                };
                write!(f, "can't listen on {address}: {error}. {mend}")
            }
            Self::Part(error) => {
                write!(f, "{}. `fresco-server doctor` looks at every part", error.chain())
            }
            Self::Io(error) => write!(f, "serving ended: {error}"),
        }
    }
}

impl std::error::Error for ServeError {}

/// Serves until SIGINT or SIGTERM; then takes no more requests, lets what is under way end for some
/// seconds, and hands unfinished operations back, so that the next server goes on with them.
///
/// # Errors
/// When it can't start; see [`ServeError`].
pub async fn serve(config: Config) -> Result<(), ServeError> {
    let address = config.listen;
    // First, so that a taken port is told before anything is touched.
    let listener = TcpListener::bind(address).await;
    let listener = listener.map_err(|error| ServeError::Listen(address, error))?;
    let stop = stopping().map_err(ServeError::Io)?;
    let platform = tokio::select! {
        platform = compose::platform(config) => platform.map_err(ServeError::Part)?,
        () = stop.cancelled() => return Ok(()),
    };
    let post = Post::new(&platform).map_err(ServeError::Part)?;
    warn(&platform.config).await;
    let workers = platform.orchestrator.start();
    tracing::info!(url = %platform.config.public_url, %address, "the platform is up");
    let (closing, chores, rest) = (platform.closing.clone(), platform.clone(), platform.clone());
    let until = async {
        stop.cancelled().await;
        tracing::info!("stopping: finishing what is under way");
        closing.cancel();
    };
    let limits = connections::Limits::of(&platform.config);
    let serving = connections::serve(listener, app(platform), limits, until, GRACE);
    let working = async {
        stop.cancelled().await;
        workers.shutdown().await;
    };
    // All ends are bounded: the requests by the grace above, workers and post by their own, and chores stop
    // at once.
    tokio::join!(serving, working, post.run(&stop), chores.chores(&stop));
    if tokio::time::timeout(LAST_ROWS, rest.settle()).await.is_err() {
        tracing::error!("the last rows of the audit log could not be written in time");
    }
    tracing::info!("stopped");
    Ok(())
}

/// What may be meant like this, and often is not.
async fn warn(config: &Config) {
    // On loopback the configuration has asked already.
    let near = config.listen.ip().is_loopback();
    if config.is_production() && !near && config.trusted_proxies.is_empty() {
        tracing::warn!(
            "TRUSTED_PROXIES names none: behind a proxy everybody seems to come from its address, and shares its limits"
        );
    }
    if !config.is_production() && !config.public_url.is_loopback() {
        tracing::warn!(
            PUBLIC_URL = %config.public_url,
            "this address is not this machine's, and not https: the server runs as for development, where anybody may sign up, limits are wide, AUTH_SECRET may be the example's, and letters without SMTP_URL are written to this log; if it is served by https, let PUBLIC_URL say so"
        );
    }
    let public = if config.is_production() { public_databases(config).await } else { Vec::new() };
    if !public.is_empty() {
        tracing::warn!(
            hosts = public.join(", "),
            "connections to PostgreSQL are not encrypted, and these hosts have public addresses: reach them over this machine, or over a private network or tunnel whose link is encrypted; see docs/security.md"
        );
    }
    if matches!(config.signup, SignupPolicy::Domains(_)) && !config.verifies_addresses {
        tracing::warn!(
            "SIGNUP is domains, but no address can be verified without a way to send mail: whoever types an address of these domains can sign up"
        );
    }
}

/// Hosts of PostgreSQL with an address that is neither this machine's nor a private network's. What has
/// no address now could not be connected to either.
async fn public_databases(config: &Config) -> Vec<String> {
    let mut hosts: BTreeSet<_> = config.tenant_database_host.0.iter().cloned().collect();
    for url in [&config.database_url, &config.tenant_database_admin_url] {
        let driver = url.expose_secret().parse::<tokio_postgres::Config>();
        hosts.extend(driver.iter().flat_map(|driver| driver.get_hosts()).filter_map(|host| {
            match host {
                Host::Tcp(name) => Some(name.clone()),
                #[cfg(unix)]
                Host::Unix(_) => None,
            }
        }));
    }
    let mut public = Vec::new();
    for host in hosts {
        let found = tokio::time::timeout(LOOKUP, lookup_host((host.clone(), 0))).await;
        if let Ok(Ok(mut found)) = found
            && found.any(|address| !network::is_private(address.ip()))
        {
            public.push(host);
        }
    }
    public
}

/// Cancelled by the first SIGINT or SIGTERM. The second ends the program at once.
fn stopping() -> io::Result<CancellationToken> {
    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let token = CancellationToken::new();
    let first = token.clone();
    // It lives as long as the program, and holds nothing.
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if first.is_cancelled() {
                tracing::warn!("stopping at once: the next server takes up what is unfinished");
                std::process::exit(130);
            }
            first.cancel();
        }
    });
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Values;

    #[tokio::test]
    async fn databases_with_public_addresses_are_named() {
        for (host, tenants, named) in [
            ("localhost", "127.0.0.1", &[][..]),
            ("10.0.0.5", "fd00::1", &[]),
            ("%2Frun%2Fpostgresql", "172.18.0.1", &[]),
            ("203.0.113.7", "2001:db8::7", &["2001:db8::7", "203.0.113.7"]),
        ] {
            let url = format!("postgresql://role:hunter2@{host}/fresco");
            let values = [("DATABASE_URL", url.as_str()), ("TENANT_DATABASE_HOST", tenants)];
            let config = Config::read(&Values::new(values)).unwrap();
            assert_eq!(public_databases(&config).await, named, "{host}");
        }
    }
}
