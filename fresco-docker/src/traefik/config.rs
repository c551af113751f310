//! What a [`TraefikLabels`](super::TraefikLabels) is told.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use fresco_core::PlatformId;

/// Where Traefik is and how its entrypoints are named.
///
/// ```
/// use fresco_core::PlatformId;
/// use fresco_docker::TraefikConfig;
///
/// // Development: plain HTTP on another port than 80.
/// let config = TraefikConfig::new(PlatformId::new())
///     .public_port(8000)
///     .proxy("127.0.0.1:8000".parse()?);
///
/// // Production: HTTPS, certificates by the resolver `letsencrypt`.
/// let config = TraefikConfig::new(PlatformId::new())
///     .https(Some("letsencrypt"), "probe", "127.0.0.1:8082".parse()?);
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Debug)]
pub struct TraefikConfig {
    pub(crate) platform: PlatformId,
    pub(crate) scheme: &'static str,
    pub(crate) tls: Option<Tls>,
    pub(crate) public_port: Option<u16>,
    pub(crate) entrypoints: Vec<String>,
    pub(crate) network: String,
    pub(crate) proxy: SocketAddr,
    pub(crate) api: SocketAddr,
    pub(crate) directory: Option<PathBuf>,
    pub(crate) timeout: Duration,
}

/// TLS that Traefik itself ends.
#[derive(Clone, Debug)]
pub(crate) struct Tls {
    pub(crate) certresolver: Option<String>,
    pub(crate) probe_entrypoint: String,
}

impl TraefikConfig {
    /// Plain HTTP on the entrypoint `web`, Traefik on this machine: requests at 127.0.0.1:80, its
    /// API at 127.0.0.1:8080, and the tenants on `fresco-platform-network`.
    #[must_use]
    pub fn new(platform: PlatformId) -> Self {
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Self {
            platform,
            scheme: "http",
            tls: None,
            public_port: None,
            entrypoints: vec!["web".into()],
            network: crate::DockerConfig::DEFAULT_NETWORK.into(),
            proxy: local(80),
            api: local(8080),
            directory: None,
            timeout: Duration::from_secs(3),
        }
    }

    /// HTTPS on the entrypoint `websecure`, with the certificates of this resolver, or with those
    /// that Traefik already has (a wildcard).
    ///
    /// Probes speak plain HTTP, so they get an entrypoint of their own: its name, and its address,
    /// which should be on loopback. Each route has a second router there, with the same service and
    /// the same middleware but without TLS. So a probe shows that the route leads to the app; it
    /// does not show that a certificate is there.
    #[must_use]
    pub fn https(
        mut self,
        certresolver: Option<&str>,
        probe_entrypoint: impl Into<String>,
        probe_address: SocketAddr,
    ) -> Self {
        self.scheme = "https";
        self.tls = Some(Tls {
            certresolver: certresolver.map(str::to_owned),
            probe_entrypoint: probe_entrypoint.into(),
        });
        self.proxy = probe_address;
        self.entrypoints = vec!["websecure".into()];
        self
    }

    /// People use HTTPS, but another proxy in front of Traefik ends it: Traefik itself speaks plain
    /// HTTP.
    #[must_use]
    pub fn https_ends_before(mut self) -> Self {
        self.scheme = "https";
        self
    }

    /// The port in people's addresses, where it is not the scheme's own.
    #[must_use]
    pub fn public_port(mut self, port: u16) -> Self {
        self.public_port = Some(port);
        self
    }

    /// The names of the entrypoints that lead to tenants.
    #[must_use]
    pub fn entrypoints<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.entrypoints = names.into_iter().map(Into::into).collect();
        self
    }

    /// The network on which Traefik reaches the containers.
    #[must_use]
    pub fn network(mut self, name: impl Into<String>) -> Self {
        self.network = name.into();
        self
    }

    /// Where Traefik takes plain requests: probes go there.
    #[must_use]
    pub fn proxy(mut self, address: SocketAddr) -> Self {
        self.proxy = address;
        self
    }

    /// Where Traefik's API is (`--api.insecure` on an entrypoint bound to loopback).
    #[must_use]
    pub fn api(mut self, address: SocketAddr) -> Self {
        self.api = address;
        self
    }

    /// The folder of Traefik's file provider (`--providers.file.directory`, watched), as this program
    /// sees it. Gates that were opened are written there. Whoever may write to it may lead requests
    /// anywhere.
    #[must_use]
    pub fn directory(mut self, folder: impl Into<PathBuf>) -> Self {
        self.directory = Some(folder.into());
        self
    }

    /// The time that one request may take. Default: 3 s.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// What follows the host in people's addresses.
    pub(crate) fn port_suffix(&self) -> String {
        let usual = if self.scheme == "https" { 443 } else { 80 };
        match self.public_port.filter(|port| *port != usual) {
            Some(port) => format!(":{port}"),
            None => String::new(),
        }
    }
}
