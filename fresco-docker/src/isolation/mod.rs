//! Keeping tenants from this machine and from private networks, beyond what Docker does; and proving
//! it from a container.

mod container;
mod firewall;
mod nft;
mod probe;
mod prober;
mod program;

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use fresco_core::{Error, ErrorKind, IsolationReport, Result, RuntimeIsolation};
use tokio::sync::Mutex;

pub use firewall::Firewall;
pub(crate) use firewall::table;
pub use prober::run_network_probe;
pub use program::PackedProgram;

use crate::config::DockerConfig;
use crate::network::Network;
use crate::runtime::DockerRuntime;

/// The rules in force, as far as this program knows.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    loaded: Mutex<Option<Loaded>>,
    were_loaded: AtomicBool,
}

/// Rules as they were loaded, and as the kernel showed them then: it writes them in its own way.
#[derive(Debug)]
struct Loaded {
    rules: String,
    listed: String,
}

impl Rules {
    /// Whether this program could load them once. That they are in force still, only a look tells.
    pub(crate) fn were_loaded(&self) -> bool {
        self.were_loaded.load(Ordering::Acquire)
    }

    /// Loads the rules unless they are in force. Says whether they had to be loaded.
    ///
    /// Every program loads them once: only then it knows how the kernel shows them.
    pub(crate) async fn ensure(&self, firewall: &Firewall, network: &Network) -> Result<bool> {
        let bridge = &network.bridge;
        check_bridge(bridge)?;
        let rules = firewall.rules(bridge)?;
        let table = table(bridge);
        let mut loaded = self.loaded.lock().await;
        let now = nft::list(&table).await?;
        let known = loaded.as_ref().filter(|known| known.rules == rules);
        if now.is_some() && now.as_ref() == known.map(|known| &known.listed) {
            return Ok(false);
        }
        nft::load(&rules).await?;
        let listed = nft::list(&table).await?.unwrap_or_default();
        *loaded = Some(Loaded { rules, listed });
        self.were_loaded.store(true, Ordering::Release);
        Ok(true)
    }
}

/// Whether the table of a network's rules is there; it is not compared.
pub(crate) async fn is_there(network: &Network) -> Result<bool> {
    check_bridge(&network.bridge)?;
    Ok(nft::list(&table(&network.bridge)).await?.is_some())
}

/// Rules of this machine are of no use for a Docker on another, nor when the kernel does not show
/// them the packets from one container to another.
fn check_bridge(bridge: &str) -> Result<()> {
    let unsupported =
        |what: &str| Err(Error::new(ErrorKind::Unsupported, what).with("bridge", bridge));
    let interfaces = fs::read_to_string("/proc/self/net/dev").unwrap_or_default();
    let names = interfaces.lines().filter_map(|line| line.split_once(':'));
    if !names.into_iter().any(|(name, _)| name.trim() == bridge) {
        return unsupported(
            "the tenants' bridge is not on this machine: Docker runs elsewhere or in a machine of its own (Docker Desktop), or this program in a network of its own",
        );
    }
    for family in ["iptables", "ip6tables"] {
        let path = format!("/proc/sys/net/bridge/bridge-nf-call-{family}");
        // A kernel without version 6 has no such file, and no such packets.
        if fs::read_to_string(path).is_ok_and(|text| text.trim() == "0")
            || !fs::exists("/proc/sys/net/bridge").unwrap_or_default()
        {
            return unsupported(
                "the kernel does not show bridged packets to the rules that keep containers apart: modprobe br_netfilter, and sysctl -w net.bridge.bridge-nf-call-iptables=1 net.bridge.bridge-nf-call-ip6tables=1",
            );
        }
    }
    Ok(())
}

/// The rules that the configuration asks for.
pub(crate) fn firewall(config: &DockerConfig) -> Result<&Firewall> {
    config.firewall.as_ref().ok_or_else(|| {
        let what = "this runtime was given no firewall: call DockerConfig::firewall";
        Error::new(ErrorKind::Unsupported, what)
    })
}

#[async_trait]
impl RuntimeIsolation for DockerRuntime {
    async fn ensure_isolation(&self) -> Result<bool> {
        if let Err(error) = container::sweep_now_and_then(self).await {
            tracing::warn!(error = %error.chain(), "could not remove what probes have left");
        }
        let ensured = async { self.rules.ensure(firewall(&self.config)?, &self.network).await };
        ensured.await.map_err(|error| error.during("isolation.ensure"))
    }

    async fn probe_isolation(&self) -> Result<IsolationReport> {
        let probed = async { probe::probe(self, firewall(&self.config)?).await };
        probed.await.map_err(|error: Error| error.during("isolation.probe"))
    }
}
