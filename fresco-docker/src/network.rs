//! The tenants' network: a bridge on which containers reach the host and nobody else.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use bollard::models::{Ipam, IpamConfig, Network as Found, NetworkCreateRequest};
use bollard::query_parameters::{InspectNetworkOptions, ListNetworksOptionsBuilder};
use fresco_core::{Error, ErrorKind, Result};
use tokio::time::{Instant, sleep};

use crate::address::Range;
use crate::config::DockerConfig;
use crate::engine::Engine;
use crate::errors::Failed;

/// The label of a network that only shows which range is free; its value is the name of the network
/// that is being made.
const SCOUT: &str = "fresco.scout";
const ICC: &str = "com.docker.network.bridge.enable_icc";
const BRIDGE: &str = "com.docker.network.bridge.name";
/// How long to wait for another program that is making the network.
const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(50);

/// The network that the tenants' containers are on.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    pub(crate) name: String,
    /// The host's own address on it.
    pub(crate) gateway: IpAddr,
    /// The addresses of its containers.
    pub(crate) range: Range,
    /// The name of its bridge on the host.
    pub(crate) bridge: String,
}

impl Network {
    /// Makes the network unless it is there, and checks that it is what it must be.
    ///
    /// Docker takes several networks of one name from concurrent creators, but never two with one
    /// bridge: the fixed name of the bridge is the lock, and it holds for every program that uses
    /// this Docker, wherever it runs. Should creators disagree on the bridge, the look afterwards
    /// leaves the oldest network alone.
    pub(crate) async fn ensure(engine: &Engine, config: &DockerConfig) -> Result<Self> {
        let deadline = Instant::now() + PATIENCE;
        let mut made = None;
        loop {
            match find(engine, &config.network).await?.as_slice() {
                [] => match create(engine, config).await {
                    Ok(id) => made = Some(id),
                    // Refused: somebody else's may be there in a moment.
                    Err(failed) if failed.status().is_some() && Instant::now() < deadline => {}
                    Err(failed) => {
                        return Err(Error::from(failed)
                            .with("network", &config.network)
                            .with("bridge", config.bridge_name()));
                    }
                },
                [only] => {
                    let network = verify(only, config)?;
                    sweep(engine, config).await;
                    return Ok(network);
                }
                several => {
                    let oldest = several.first().and_then(|network| network.id.as_deref());
                    if let Some(id) = made.take_if(|id| Some(id.as_str()) != oldest) {
                        remove_quietly(engine, &id).await?;
                    } else if Instant::now() > deadline {
                        return Err(Error::new(
                            ErrorKind::Conflict,
                            "several Docker networks have this name: remove all but one (docker network rm)",
                        )
                        .with("network", &config.network));
                    }
                    // Whoever made the others may be about to remove them.
                }
            }
            sleep(PAUSE).await;
        }
    }
}

/// All networks of exactly this name, oldest first.
pub(crate) async fn find(engine: &Engine, name: &str) -> Result<Vec<Found>> {
    let mut found = list(engine, "name", name).await?;
    // The filter finds parts of names too.
    found.retain(|network| network.name.as_deref() == Some(name));
    found.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
    Ok(found)
}

async fn list(engine: &Engine, filter: &str, value: &str) -> Result<Vec<Found>, Failed> {
    let filters = HashMap::from([(filter, vec![value])]);
    let options = ListNetworksOptionsBuilder::default().filters(&filters).build();
    engine.call("list Docker's networks", engine.docker().list_networks(Some(options))).await
}

/// Makes the network and gives its id.
async fn create(engine: &Engine, config: &DockerConfig) -> Result<String, Failed> {
    let (bridge, range) = (config.bridge_name(), free_range(engine, config).await?);
    let subnet = range.iter().find_map(|range| range.subnet.clone());
    let request = NetworkCreateRequest {
        name: config.network.clone(),
        driver: Some("bridge".into()),
        options: Some(HashMap::from([
            (ICC.to_owned(), "false".to_owned()),
            (BRIDGE.to_owned(), bridge.clone()),
        ])),
        ipam: Some(Ipam { config: Some(range), ..Default::default() }),
        labels: Some(config.labels.clone().into_iter().collect()),
        ..Default::default()
    };
    let call = engine.docker().create_network(request);
    let created = engine.call("make the tenants' network", call).await?;
    tracing::info!(network = config.network, bridge, subnet, "made the tenants' network");
    Ok(created.id)
}

/// Removes what was left by whoever was ended while looking for a free range. Whoever looks for one now
/// finds the network made.
async fn sweep(engine: &Engine, config: &DockerConfig) {
    let swept = async {
        for left in list(engine, "label", &format!("{SCOUT}={}", config.network)).await? {
            remove_quietly(engine, left.id.as_deref().unwrap_or_default()).await?;
        }
        Ok::<_, Failed>(())
    };
    if let Err(failed) = swept.await {
        tracing::warn!(error = %Error::from(failed).chain(), "could not remove a network that only showed a free range");
    }
}

/// A range of addresses that is free on Docker's machine.
///
/// Docker knows which are, but takes a container's address from its caller only on a network whose
/// range was stated when it was made. So it makes one that shows a range, and that one goes again.
/// Whoever takes the same range in between makes the network's creation fail, which is tried again.
async fn free_range(engine: &Engine, config: &DockerConfig) -> Result<Vec<IpamConfig>, Failed> {
    let mut labels: HashMap<_, _> = config.labels.clone().into_iter().collect();
    labels.insert(SCOUT.to_owned(), config.network.clone());
    let request = NetworkCreateRequest {
        // Newer engines take no name twice, and one that was left must be in nobody's way.
        name: format!("{}-scout-{:016x}", config.network, rand::random::<u64>()),
        driver: Some("bridge".into()),
        labels: Some(labels),
        ..Default::default()
    };
    let call = engine.docker().create_network(request);
    let scout = engine.call("ask Docker for a free range of addresses", call).await?.id;
    let call = engine.docker().inspect_network(&scout, None::<InspectNetworkOptions>);
    let seen = engine.call("look at a free range of addresses", call).await;
    remove_quietly(engine, &scout).await?;
    let range = seen?.ipam.and_then(|ipam| ipam.config).unwrap_or_default();
    let stated = |range: IpamConfig| IpamConfig {
        subnet: range.subnet,
        gateway: range.gateway,
        ..Default::default()
    };
    Ok(range.into_iter().map(stated).collect())
}

/// Removes a network; that it is gone already is no error.
async fn remove_quietly(engine: &Engine, id: &str) -> Result<(), Failed> {
    match engine.call("remove a second network", engine.docker().remove_network(id)).await {
        Err(failed) if !failed.is_absent() => Err(failed),
        _ => Ok(()),
    }
}

/// The network, if it is what it must be.
pub(crate) fn verify(found: &Found, config: &DockerConfig) -> Result<Network> {
    let conflict = |why: &str| {
        Err(Error::new(
            ErrorKind::Conflict,
            format!(
                "the Docker network {} {why}: remove it (docker network rm {0}) and start again, or choose another name",
                config.network
            ),
        ))
    };
    if found.driver.as_deref() != Some("bridge") {
        return conflict("is no bridge");
    }
    let option = |name: &str| found.options.as_ref().and_then(|options| options.get(name));
    if option(ICC).map(String::as_str) != Some("false") {
        return conflict("lets its containers talk to each other");
    }
    if found.internal == Some(true) {
        return conflict("has no way to its host");
    }
    // The bridge may have another name than ours: the operator may have made the network.
    let bridge = match option(BRIDGE) {
        Some(name) => name.clone(),
        // How Docker names one that nobody named.
        None => {
            format!("br-{}", found.id.as_deref().and_then(|id| id.get(..12)).unwrap_or_default())
        }
    };
    let gateway = gateways(found).find(IpAddr::is_ipv4);
    // The part of the range that is for containers, where the operator said which.
    let parse = |text: &Option<String>| text.as_deref().and_then(Range::parse);
    let range =
        ranges(found).find_map(|range| parse(&range.ip_range).or_else(|| parse(&range.subnet)));
    match gateway.zip(range) {
        Some((gateway, range)) => {
            Ok(Network { name: config.network.clone(), gateway, range, bridge })
        }
        None => conflict("has no IPv4 gateway"),
    }
}

fn ranges(found: &Found) -> impl Iterator<Item = &IpamConfig> {
    found.ipam.iter().flat_map(|ipam| ipam.config.iter().flatten())
}

/// The host's own addresses on a network.
pub(crate) fn gateways(found: &Found) -> impl Iterator<Item = IpAddr> + '_ {
    ranges(found).filter_map(|range| {
        let bare = |text: &str| text.split('/').next()?.parse().ok();
        range.gateway.as_deref().and_then(bare).or_else(|| {
            // Of its own first network Docker tells no gateway: it is the first address.
            let subnet: Ipv4Addr = range.subnet.as_deref()?.split('/').next()?.parse().ok()?;
            Some(Ipv4Addr::from_bits(subnet.to_bits() + 1).into())
        })
    })
}

#[cfg(test)]
mod tests {
    use fresco_core::PlatformId;

    use super::*;

    fn network() -> Found {
        let range = IpamConfig {
            subnet: Some("172.30.0.0/16".into()),
            gateway: Some("172.30.0.1/16".into()),
            ..Default::default()
        };
        Found {
            driver: Some("bridge".into()),
            options: Some(HashMap::from([(ICC.into(), "false".into())])),
            ipam: Some(Ipam { config: Some(vec![range]), ..Default::default() }),
            ..Default::default()
        }
    }

    #[test]
    fn the_part_for_containers_is_kept_to() {
        let config = DockerConfig::new(PlatformId::new());
        for (part, expected) in [
            (Some("172.30.4.0/24"), "172.30.4.0/24"),
            // Engines may tell of none in this way.
            (Some(""), "172.30.0.0/16"),
            (None, "172.30.0.0/16"),
        ] {
            let mut network = network();
            let ranges = network.ipam.as_mut().unwrap().config.as_mut().unwrap();
            ranges[0].ip_range = part.map(str::to_owned);
            let range = verify(&network, &config).unwrap().range;
            assert_eq!(Some(range), Range::parse(expected), "{part:?}");
        }
    }

    #[test]
    fn only_a_bridge_that_keeps_containers_apart_will_do() {
        let config = DockerConfig::new(PlatformId::new()).network("n1");
        let verified = verify(&network(), &config).unwrap();
        assert_eq!(verified.gateway.to_string(), "172.30.0.1");
        let spoil: [fn(&mut Found); 4] = [
            |n| n.driver = Some("overlay".into()),
            |n| n.options = None,
            |n| n.options = Some(HashMap::from([(ICC.into(), "true".into())])),
            |n| n.ipam = None,
        ];
        for change in spoil {
            let mut network = network();
            change(&mut network);
            let error = verify(&network, &config).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Conflict);
            assert!(error.message().contains("docker network rm n1"), "{error}");
        }
    }
}
