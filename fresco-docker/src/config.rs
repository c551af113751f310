//! What a [`DockerRuntime`](crate::DockerRuntime) is told.

use std::collections::BTreeMap;
use std::time::Duration;

use fresco_core::{Error, ErrorKind, PlatformId, Result};

use crate::isolation::Firewall;

/// How to reach Docker, and what the containers on it have in common.
///
/// ```
/// use fresco_core::PlatformId;
/// use fresco_docker::DockerConfig;
///
/// let config = DockerConfig::new(PlatformId::new())
///     .host("unix:///run/user/1000/docker.sock")
///     .network("my-tenants");
/// ```
#[derive(Clone, Debug)]
pub struct DockerConfig {
    pub(crate) platform: PlatformId,
    pub(crate) host: String,
    pub(crate) network: String,
    pub(crate) bridge: Option<String>,
    pub(crate) log_files: u32,
    pub(crate) log_file_mb: u32,
    pub(crate) call_timeout: Duration,
    pub(crate) probe_timeout: Duration,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) reserved: Option<(u32, f64)>,
    pub(crate) firewall: Option<Firewall>,
}

impl DockerConfig {
    /// The network of a platform that was told nothing else.
    pub const DEFAULT_NETWORK: &'static str = "fresco-platform-network";

    /// Docker at its usual socket, the usual network, logs of 3 × 10 MB, a minute for each call.
    ///
    /// The platform's id marks everything that is made, and only what carries it is ever touched.
    #[must_use]
    pub fn new(platform: PlatformId) -> Self {
        Self {
            platform,
            host: "/var/run/docker.sock".into(),
            network: Self::DEFAULT_NETWORK.into(),
            bridge: None,
            log_files: 3,
            log_file_mb: 10,
            call_timeout: Duration::from_secs(60),
            probe_timeout: Duration::from_secs(3),
            labels: BTreeMap::new(),
            reserved: None,
            firewall: None,
        }
    }

    /// Where Docker listens: a path, `unix://path` or `tcp://address:port` (plain; for a socket
    /// that a tunnel or a proxy guards).
    #[must_use]
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.host = host.into();
        self
    }

    /// The name of the network that the tenants' containers are on. It is made if it is not there.
    #[must_use]
    pub fn network(mut self, name: impl Into<String>) -> Self {
        self.network = name.into();
        self
    }

    /// The name of the bridge that a new network gets on the host (at most 15 characters), for
    /// firewall rules. Default: `fresco0`, or a name made from that of another network.
    #[must_use]
    pub fn bridge(mut self, name: impl Into<String>) -> Self {
        self.bridge = Some(name.into());
        self
    }

    /// How many log files a container keeps, and of what size in MB.
    #[must_use]
    pub fn log_rotation(mut self, files: u32, megabytes: u32) -> Self {
        (self.log_files, self.log_file_mb) = (files.max(1), megabytes.max(1));
        self
    }

    /// The time that one call to Docker may take. A stop has its grace on top; the fetching of an
    /// image may go on for as long as it makes progress within this time.
    #[must_use]
    pub fn call_timeout(mut self, timeout: Duration) -> Self {
        self.call_timeout = timeout;
        self
    }

    /// The time that an app is given to answer a probe. Default: 3 s.
    #[must_use]
    pub fn probe_timeout(mut self, timeout: Duration) -> Self {
        self.probe_timeout = timeout;
        self
    }

    /// One more label for everything that is made.
    #[must_use]
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(name.into(), value.into());
        self
    }

    /// The same engine, keeping this much for each container when the machine runs short of it:
    /// memory in MB (or the container's limit, if that is less), CPUs in cores, against the other
    /// containers. Without it, containers share alike.
    #[must_use]
    pub fn reserve(mut self, memory_mb: u32, cpus: f64) -> Self {
        self.reserved = Some((memory_mb, cpus));
        self
    }

    /// The same engine, with nftables rules that keep tenants from this machine's services and from
    /// private networks. They need the program `nft` and root or `CAP_NET_ADMIN`; without them
    /// [`Guarantee::Network`](fresco_core::Guarantee::Network) is not enforced. Docker must run on this machine.
    ///
    /// The runtime then is a [`RuntimeIsolation`](fresco_core::RuntimeIsolation).
    #[must_use]
    pub fn firewall(mut self, firewall: Firewall) -> Self {
        self.firewall = Some(firewall);
        self
    }

    /// The firewall's rules for the bridge of this configuration, to be loaded with `nft -f` before
    /// Docker starts. A network that somebody else made may have another bridge.
    ///
    /// # Errors
    /// `Unsupported` without a firewall, `Invalid` for a bridge whose name can't be.
    pub fn firewall_rules(&self) -> Result<String> {
        crate::isolation::firewall(self)?.rules(&self.bridge_name())
    }

    /// The name of the firewall's table, of the family `inet`. Whoever takes a platform away removes
    /// it: `nft delete table inet NAME`. A network that somebody else made may have another bridge.
    #[must_use]
    pub fn firewall_table(&self) -> String {
        crate::isolation::table(&self.bridge_name())
    }

    pub(crate) fn bridge_name(&self) -> String {
        match &self.bridge {
            Some(name) => name.clone(),
            None if self.network == Self::DEFAULT_NETWORK => "fresco0".into(),
            // Interfaces have 15 characters at most, and no two networks may share one.
            None => format!("fresco{:08x}", fnv1a(&self.network)),
        }
    }

    pub(crate) fn address(&self) -> Result<Address> {
        let socket = self.host.strip_prefix("unix://").unwrap_or(&self.host);
        match self.host.split_once("://") {
            Some(("tcp", rest)) if !rest.is_empty() => Ok(Address::Tcp(self.host.clone())),
            None | Some(("unix", _)) if socket.starts_with('/') => {
                Ok(Address::Socket(socket.to_owned()))
            }
            _ => Err(Error::new(
                ErrorKind::Invalid,
                "Docker's address is a path, unix://path or tcp://address:port",
            )
            .with("address", &self.host)),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Address {
    Socket(String),
    Tcp(String),
}

/// A small hash that stays the same in every version of this program: networks outlive it.
fn fnv1a(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> DockerConfig {
        DockerConfig::new(PlatformId::new())
    }

    #[test]
    fn addresses() {
        for host in ["/run/d.sock", "unix:///run/d.sock"] {
            let address = config().host(host).address().unwrap();
            assert_eq!(address, Address::Socket("/run/d.sock".into()));
        }
        let address = config().host("tcp://127.0.0.1:2375").address().unwrap();
        assert_eq!(address, Address::Tcp("tcp://127.0.0.1:2375".into()));
        for host in ["", "docker.sock", "tcp://", "ssh://host", "https://host", "unix://x"] {
            let error = config().host(host).address().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{host}");
        }
    }

    #[test]
    fn bridges_have_names_of_their_own_that_the_kernel_takes() {
        assert_eq!(config().bridge_name(), "fresco0");
        let other = config().network("a-network-with-quite-a-long-name");
        assert!(other.bridge_name().len() <= 15);
        assert_ne!(other.bridge_name(), config().network("b").bridge_name());
        assert_eq!(other.bridge("br7").bridge_name(), "br7");
    }
}
