//! The addresses of tenants' containers, on real Docker.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;

use std::collections::HashMap;
use std::time::Duration;

use bollard::models::{
    ContainerCreateBody, EndpointIpamConfig, EndpointSettings, HostConfig, NetworkCreateRequest,
    NetworkingConfig,
};
use bollard::query_parameters::{
    CreateContainerOptions, ListNetworksOptionsBuilder, StartContainerOptions,
};
use common::in_a_corner;
use fresco_core::{ContainerRuntime, ErrorKind, Instance};
use fresco_docker::DockerRuntime;

/// What the proxy has not heard of yet must not lead one tenant's visitors to another.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker"]
async fn the_address_of_a_stopped_container_goes_to_nobody() {
    in_a_corner(async |corner| {
        let address = |instance: &Instance| instance.endpoint.unwrap().0.ip();
        let first = corner.serving(&corner.spec(&[]).await).await;
        corner.runtime.stop(&first.id, Duration::from_secs(5)).await.unwrap();
        for _ in 0..3 {
            let next = corner.serving(&corner.spec(&[]).await).await;
            assert_ne!(address(&next), address(&first));
        }
        let again = corner.runtime.start(&first.id).await.unwrap();
        assert_eq!(address(&again), address(&first), "its own is still free");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker"]
async fn who_finds_its_address_taken_gets_another() {
    in_a_corner(async |corner| {
        let first = corner.serving(&corner.spec(&[]).await).await;
        corner.runtime.stop(&first.id, Duration::from_secs(5)).await.unwrap();
        let taken = first.endpoint.unwrap().0.ip();
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
        assert_ne!(again.endpoint.unwrap().0.ip(), taken);
    })
    .await;
}

/// Docker gives a container the address that it is asked for only where somebody stated the range.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker"]
async fn a_network_of_no_stated_range_is_named_and_what_a_dead_program_left_is_no_hindrance() {
    in_a_corner(async |corner| {
        let network = |name: &str, labels: HashMap<String, String>| NetworkCreateRequest {
            name: name.to_owned(),
            options: Some(
                [("com.docker.network.bridge.enable_icc".to_owned(), "false".to_owned())].into(),
            ),
            labels: Some(corner.test_label().into_iter().chain(labels).collect()),
            ..Default::default()
        };
        corner.docker.remove_network(&corner.network).await.unwrap();
        let request = network(&corner.network, HashMap::new());
        corner.docker.create_network(request).await.unwrap();
        let runtime = DockerRuntime::connect(corner.config(corner.platform)).await.unwrap();
        let spec = corner.spec(&[]).await;
        let start = async {
            let made = runtime.ensure(&spec).await?;
            runtime.start(&made.id).await
        };
        let refused = start.await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Conflict);
        for words in [&*corner.network, "docker network rm", "--subnet"] {
            assert!(refused.message().contains(words), "{words}: {refused}");
        }
        for instance in runtime.list(None).await.unwrap() {
            runtime.remove(&instance.id).await.unwrap();
        }

        corner.docker.remove_network(&corner.network).await.unwrap();
        let scout = format!("{}-scout", corner.network);
        let mark = HashMap::from([("fresco.scout".to_owned(), corner.network.clone())]);
        corner.docker.create_network(network(&scout, mark)).await.unwrap();
        let runtime = DockerRuntime::connect(corner.config(corner.platform)).await.unwrap();
        let made = runtime.ensure(&corner.spec(&[]).await).await.unwrap();
        runtime.start(&made.id).await.unwrap();
        let filters = HashMap::from([("name", vec![scout])]);
        let options = ListNetworksOptionsBuilder::default().filters(&filters).build();
        assert_eq!(corner.docker.list_networks(Some(options)).await.unwrap(), []);
    })
    .await;
}
