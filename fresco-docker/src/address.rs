//! The addresses of tenants' containers.
//!
//! Docker gives a container the lowest free address: the one that another tenant's had until a moment
//! ago, and to which a proxy that has not heard of it yet still sends that tenant's visitors, with
//! their cookies. So the address is chosen here, at random among all that no container has, be it a
//! stopped one.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr};

use bollard::models::{
    EndpointIpamConfig, EndpointSettings, NetworkConnectRequest, NetworkDisconnectRequest,
    NetworkingConfig,
};
use bollard::query_parameters::ListContainersOptionsBuilder;
use fresco_core::{Error, ErrorKind, Result};

use crate::engine::Engine;
use crate::errors::Failed;
use crate::network::Network;

/// Which address a container may start with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// One of its own; where Docker gives none, it does not start.
    Own,
    /// One of its own, or whatever Docker gives.
    Any,
}

/// The IPv4 addresses of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    first: u32,
    size: u32,
}

impl Range {
    /// From `10.1.2.0/24`; `None` when that is no IPv4 range, or has no place for a container.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/')?;
        let (address, bits): (Ipv4Addr, u32) = (address.parse().ok()?, bits.parse().ok()?);
        let size = 1_u32.checked_shl(32_u32.checked_sub(bits)?)?;
        (size >= 4).then(|| Self { first: address.to_bits() & !(size - 1), size })
    }

    /// A free address, counted from any `seed` on; `None` when all are taken. The first one is the
    /// network's own, the last one everybody's.
    fn pick(self, seed: u64, taken: &HashSet<Ipv4Addr>) -> Option<Ipv4Addr> {
        let places = u64::from(self.size - 2);
        (0..places).find_map(|step| {
            let place = u32::try_from((seed % places + step) % places).ok()?;
            let address = Ipv4Addr::from_bits(self.first + 1 + place);
            (!taken.contains(&address)).then_some(address)
        })
    }
}

/// The settings of a container that is about to be made, with an address of its own.
pub(crate) async fn fresh(engine: &Engine, network: &Network) -> Result<NetworkingConfig> {
    let settings = settings(choose(engine, network).await?);
    let endpoints = HashMap::from([(network.name.clone(), settings)]);
    Ok(NetworkingConfig { endpoints_config: Some(endpoints) })
}

/// Gives another address to a container that does not run.
pub(crate) async fn change(engine: &Engine, network: &Network, container: &str) -> Result<()> {
    let address = choose(engine, network).await?;
    tracing::info!(container, %address, "the container can't have its address; it gets another");
    rejoin(engine, network, container, Some(settings(address))).await
}

/// Leaves the address of a container that does not run to Docker, which takes none from its caller.
pub(crate) async fn leave_to_docker(
    engine: &Engine,
    network: &Network,
    container: &str,
) -> Result<()> {
    tell_without_range(network, container);
    rejoin(engine, network, container, None).await
}

async fn rejoin(
    engine: &Engine,
    network: &Network,
    container: &str,
    settings: Option<EndpointSettings>,
) -> Result<()> {
    let leave = NetworkDisconnectRequest { container: container.to_owned(), force: None };
    let call = engine.docker().disconnect_network(&network.name, leave);
    engine.call("take the container off its network", call).await?;
    let join = NetworkConnectRequest { container: container.to_owned(), endpoint_config: settings };
    let call = engine.docker().connect_network(&network.name, join);
    engine.call("put the container on its network", call).await?;
    Ok(())
}

/// Whether a start failed since another has the container's address, or since the network was made anew
/// with another range.
pub(crate) fn does_not_fit(failed: &Failed) -> bool {
    let words = failed.words();
    [
        "address already in use",
        "not belong to any of this network's subnets",
        "no configured subnet",
    ]
    .iter()
    .any(|known| words.contains(known))
}

/// Whether Docker refused an address since nobody stated the network's range.
pub(crate) fn lacks_range(failed: &Failed) -> bool {
    failed.words().contains("user configured subnets")
}

/// What to do where nobody stated the network's range.
pub(crate) fn without_range(network: &Network) -> Error {
    Error::new(
        ErrorKind::Conflict,
        format!(
            "the Docker network {} was made without a stated range, so that its containers can't have addresses of their own: remove it (docker network rm {0}) and start this program again, which makes it, or make it with --subnet",
            network.name
        ),
    )
}

/// Tells that a tenant's container has to do without an address of its own.
pub(crate) fn tell_without_range(network: &Network, container: &str) {
    let error = without_range(network);
    tracing::error!(container, %error, "Docker chooses the address, which another tenant's container may have had a moment ago");
}

fn settings(address: Ipv4Addr) -> EndpointSettings {
    let ipam = EndpointIpamConfig { ipv4_address: Some(address.to_string()), ..Default::default() };
    EndpointSettings { ipam_config: Some(ipam), ..Default::default() }
}

async fn choose(engine: &Engine, network: &Network) -> Result<Ipv4Addr> {
    let filters = HashMap::from([("network", vec![network.name.as_str()])]);
    let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
    let call = engine.docker().list_containers(Some(options));
    let there = engine.call("list the network's containers", call).await?;
    let networks = there.into_iter().filter_map(|container| container.network_settings?.networks);
    let endpoints = networks.flat_map(HashMap::into_values);
    let texts =
        endpoints.flat_map(|at| [at.ip_address, at.ipam_config.and_then(|c| c.ipv4_address)]);
    let mut taken: HashSet<Ipv4Addr> =
        texts.flatten().filter_map(|text| text.parse().ok()).collect();
    if let IpAddr::V4(gateway) = network.gateway {
        taken.insert(gateway);
    }
    network.range.pick(rand::random(), &taken).ok_or_else(|| {
        Error::new(ErrorKind::Exhausted, "all addresses of the tenants' network are taken")
            .with("network", &network.name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Ipv4Addr {
        text.parse().unwrap()
    }

    #[test]
    fn ranges() {
        let range = Range::parse("10.213.0.0/22").unwrap();
        assert_eq!((Ipv4Addr::from_bits(range.first), range.size), (address("10.213.0.0"), 1024));
        assert_eq!(Range::parse("10.213.1.7/22"), Some(range), "any address of it");
        for text in ["", "10.0.0.0", "10.0.0.0/31", "10.0.0.0/33", "10.0.0.0/0", "2001:db8::/64"] {
            assert_eq!(Range::parse(text), None, "{text}");
        }
    }

    #[test]
    fn an_address_is_free_and_within_the_range() {
        let range = Range::parse("10.0.0.0/29").unwrap();
        let mut taken = HashSet::from([address("10.0.0.1")]);
        for seed in [0, 3, 5, u64::MAX, 7] {
            let picked = range.pick(seed, &taken).unwrap();
            assert!((2..=6).contains(&picked.octets()[3]), "{picked}");
            assert!(taken.insert(picked), "{picked} twice");
        }
        assert_eq!(range.pick(0, &taken), None, "all are taken");
    }
}
