//! The tenants' network: a bridge on which containers reach the host and nobody else.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use bollard::models::{Network as Found, NetworkCreateRequest};
use bollard::query_parameters::ListNetworksOptionsBuilder;
use fresco_core::{Error, ErrorKind, Result};
use tokio::time::{Instant, sleep};

use crate::config::DockerConfig;
use crate::engine::Engine;
use crate::errors::Failed;

const ICC: &str = "com.docker.network.bridge.enable_icc";
const BRIDGE: &str = "com.docker.network.bridge.name";
/// How long to wait for another program that is making the network.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(50);

/// The network that the tenants' containers are on.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    pub(crate) name: String,
    /// The host's own address on it.
    pub(crate) gateway: IpAddr,
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
                [only] => return verify(only, config),
                several => {
                    let oldest = several.first().and_then(|network| network.id.as_deref());
                    if let Some(id) = made.take_if(|id| Some(id.as_str()) != oldest) {
                        remove(engine, &id).await?;
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
    let filters = HashMap::from([("name", vec![name])]);
    let options = ListNetworksOptionsBuilder::default().filters(&filters).build();
    let call = engine.docker().list_networks(Some(options));
    // The filter finds parts of names too.
    let mut found = engine.call("list Docker's networks", call).await?;
    found.retain(|network| network.name.as_deref() == Some(name));
    found.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
    Ok(found)
}

/// Makes the network and gives its id.
async fn create(engine: &Engine, config: &DockerConfig) -> Result<String, Failed> {
    let bridge = config.bridge_name();
    let request = NetworkCreateRequest {
        name: config.network.clone(),
        driver: Some("bridge".into()),
        options: Some(HashMap::from([
            (ICC.to_owned(), "false".to_owned()),
            (BRIDGE.to_owned(), bridge.clone()),
        ])),
        labels: Some(config.labels.clone().into_iter().collect()),
        ..Default::default()
    };
    let call = engine.docker().create_network(request);
    let created = engine.call("make the tenants' network", call).await?;
    tracing::info!(network = config.network, bridge, "made the tenants' network");
    Ok(created.id)
}

async fn remove(engine: &Engine, id: &str) -> Result<()> {
    match engine.call("remove a second network", engine.docker().remove_network(id)).await {
        Err(failed) if !failed.is_absent() => Err(failed.into()),
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
    match gateways(found).find(IpAddr::is_ipv4) {
        Some(gateway) => Ok(Network { name: config.network.clone(), gateway, bridge }),
        None => conflict("has no IPv4 gateway"),
    }
}

/// The host's own addresses on a network.
pub(crate) fn gateways(found: &Found) -> impl Iterator<Item = IpAddr> + '_ {
    let ranges = found.ipam.iter().flat_map(|ipam| ipam.config.iter().flatten());
    ranges.filter_map(|range| {
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
    use bollard::models::{Ipam, IpamConfig};
    use fresco_core::PlatformId;

    use super::*;

    fn network() -> Found {
        let range = IpamConfig { gateway: Some("172.30.0.1/16".into()), ..Default::default() };
        Found {
            driver: Some("bridge".into()),
            options: Some(HashMap::from([(ICC.into(), "false".into())])),
            ipam: Some(Ipam { config: Some(vec![range]), ..Default::default() }),
            ..Default::default()
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
