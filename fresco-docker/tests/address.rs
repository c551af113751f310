//! The addresses of tenants' containers, on real Docker.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;

use std::collections::HashMap;
use std::time::Duration;

use bollard::models::{
    ContainerCreateBody, EndpointIpamConfig, EndpointSettings, HostConfig, Ipam, IpamConfig,
    NetworkCreateRequest, NetworkingConfig,
};
use bollard::query_parameters::{
    CreateContainerOptions, InspectNetworkOptions, ListNetworksOptionsBuilder,
    StartContainerOptions,
};
use common::{Corner, in_a_corner};
use fresco_core::{ContainerRuntime, Instance};
use fresco_docker::DockerRuntime;

/// A network as this platform wants it, without a stated range.
fn network(corner: &Corner, name: &str) -> NetworkCreateRequest {
    let icc = ("com.docker.network.bridge.enable_icc".to_owned(), "false".to_owned());
    NetworkCreateRequest {
        name: name.to_owned(),
        options: Some([icc].into()),
        labels: Some(corner.test_label()),
        ..Default::default()
    }
}

/// Makes the corner's network anew, with this part of the range that it had.
async fn renew(corner: &Corner, part: &str) -> DockerRuntime {
    let look = corner.docker.inspect_network(&corner.network, None::<InspectNetworkOptions>);
    let had = look.await.unwrap().ipam.unwrap().config.unwrap()[0].subnet.clone().unwrap();
    let mut request = network(corner, &corner.network);
    let start = had.split('/').next().unwrap().rsplit_once('.').unwrap().0;
    let subnet = Some(format!("{start}.{part}"));
    let range = IpamConfig { subnet, ..Default::default() };
    request.ipam = Some(Ipam { config: Some(vec![range]), ..Default::default() });
    corner.docker.remove_network(&corner.network).await.unwrap();
    corner.docker.create_network(request).await.unwrap();
    DockerRuntime::connect(corner.config(corner.platform)).await.unwrap()
}

fn address(instance: &Instance) -> std::net::IpAddr {
    instance.endpoint.unwrap().0.ip()
}

/// What the proxy has not heard of yet must not lead one tenant's visitors to another.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker"]
async fn the_address_of_a_stopped_container_goes_to_nobody() {
    in_a_corner(async |corner| {
        // Five addresses, for the five of them.
        let runtime = renew(corner, "0/29").await;
        let start = async || {
            let made = runtime.ensure(&corner.spec(&[]).await).await.unwrap();
            runtime.start(&made.id).await.unwrap()
        };
        let first = start().await;
        runtime.stop(&first.id, Duration::from_secs(5)).await.unwrap();
        for _ in 0..4 {
            assert_ne!(address(&start().await), address(&first));
        }
        let again = runtime.start(&first.id).await.unwrap();
        assert_eq!(address(&again), address(&first), "its own is still free");
    })
    .await;
}

/// Somebody removed the network while nothing ran, and it came back with other addresses.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker"]
async fn who_is_outside_of_a_renewed_networks_range_gets_an_address_of_it() {
    in_a_corner(async |corner| {
        let runtime = renew(corner, "0/29").await;
        let made = runtime.ensure(&corner.spec(&[]).await).await.unwrap();
        let first = runtime.start(&made.id).await.unwrap();
        runtime.stop(&first.id, Duration::from_secs(5)).await.unwrap();
        let runtime = renew(corner, "16/29").await;
        let again = runtime.start(&first.id).await.unwrap();
        assert_ne!(address(&again), address(&first));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker"]
async fn who_finds_its_address_taken_gets_another() {
    in_a_corner(async |corner| {
        let first = corner.serving(&corner.spec(&[]).await).await;
        corner.runtime.stop(&first.id, Duration::from_secs(5)).await.unwrap();
        let taken = address(&first);
        let settings = EndpointSettings {
            ipam_config: Some(EndpointIpamConfig {
                ipv4_address: Some(taken.to_string()),
                ..Default::default()
            }),
            ..Default::default()
        };
        let body = ContainerCreateBody {
            image: Some(common::APP.into()),
            labels: Some(corner.test_label()),
            host_config: Some(HostConfig {
                network_mode: Some(corner.network.clone()),
                ..Default::default()
            }),
            networking_config: Some(NetworkingConfig {
                endpoints_config: Some([(corner.network.clone(), settings)].into()),
            }),
            ..Default::default()
        };
        let thief = corner.docker.create_container(None::<CreateContainerOptions>, body);
        let thief = thief.await.unwrap().id;
        let start = corner.docker.start_container(&thief, None::<StartContainerOptions>);
        start.await.unwrap();

        let again = corner.start_serving(&first.id).await;
        assert_ne!(address(&again), taken);
    })
    .await;
}

/// Docker gives a container the address that it is asked for only where somebody stated the range. What
/// runs there is not lost to that.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker"]
async fn on_a_network_of_no_stated_range_docker_chooses() {
    in_a_corner(async |corner| {
        corner.docker.remove_network(&corner.network).await.unwrap();
        corner.docker.create_network(network(corner, &corner.network)).await.unwrap();
        let runtime = DockerRuntime::connect(corner.config(corner.platform)).await.unwrap();
        let made = runtime.ensure(&corner.spec(&[]).await).await.unwrap();
        assert!(runtime.start(&made.id).await.unwrap().endpoint.is_some());
        runtime.stop(&made.id, Duration::from_secs(5)).await.unwrap();
        assert!(runtime.start(&made.id).await.unwrap().endpoint.is_some());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker"]
async fn what_a_dead_program_left_is_no_hindrance_and_goes() {
    in_a_corner(async |corner| {
        corner.docker.remove_network(&corner.network).await.unwrap();
        let scout = format!("{}-scout", corner.network);
        let mut left = network(corner, &scout);
        let mark = ("fresco.scout".to_owned(), corner.network.clone());
        left.labels.as_mut().unwrap().extend([mark]);
        corner.docker.create_network(left).await.unwrap();
        DockerRuntime::connect(corner.config(corner.platform)).await.unwrap();
        let filters = HashMap::from([("name", vec![scout])]);
        let options = ListNetworksOptionsBuilder::default().filters(&filters).build();
        assert_eq!(corner.docker.list_networks(Some(options)).await.unwrap(), []);
    })
    .await;
}
