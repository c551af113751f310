//! The conformance suite of the runtime on real Docker.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bollard::query_parameters::{InspectContainerOptions, RemoveImageOptions};
use common::registry::Registry;
use common::{APP, Corner, SECOND_APP, marks, variables};
use fresco_core::conformance::{
    Example, ExampleApp, Fixture, RuntimeEventsFixture, RuntimeFetchFixture, RuntimeFixture,
    RuntimeMetricsFixture, RuntimeResizeFixture,
};
use fresco_core::{
    AppProfile, ContainerRuntime, Guarantee, ImageId, ImageRef, InstanceId, Limits, PlatformId,
    RuntimeEvents, RuntimeMetrics, RuntimeResize, TenantId,
};
use fresco_docker::DockerRuntime;

struct OnDocker {
    corner: Corner,
    other: Arc<DockerRuntime>,
    registry: Registry,
    fetched: ImageRef,
}

impl OnDocker {
    async fn new() -> Self {
        let corner = Corner::new().await;
        let other = DockerRuntime::connect(corner.config(PlatformId::new())).await.unwrap();
        let name = format!("fetched-{}", corner.run);
        let registry = Registry::with(&corner.docker, APP, &name).await;
        let fetched = format!("127.0.0.1:{}/{name}:1", registry.port).parse().unwrap();
        Self { corner, other: Arc::new(other), registry, fetched }
    }
}

#[async_trait]
impl Fixture for OnDocker {
    async fn clean_up(&self) {
        self.corner.remove_all().await;
        let fetched = self.fetched.as_str();
        let none = None::<RemoveImageOptions>;
        // Most cases have not fetched it.
        let _ = self.corner.docker.remove_image(fetched, none, None).await;
    }
}

#[async_trait]
impl RuntimeFixture for OnDocker {
    fn runtime(&self) -> Arc<dyn ContainerRuntime> {
        Arc::clone(&self.corner.runtime) as _
    }

    fn other_platform(&self) -> Arc<dyn ContainerRuntime> {
        Arc::clone(&self.other) as _
    }

    fn app(&self) -> AppProfile {
        common::app()
    }

    fn example(&self, app: ExampleApp) -> Example {
        let environment: &[(&str, &str)] = match app {
            ExampleApp::Serves => &[],
            ExampleApp::IgnoresStop => &[("IGNORE_TERM", "1")],
            ExampleApp::ExitsAtBoot => &[("EXIT_CODE", "3")],
            ExampleApp::Hangs => &[("HANG", "1")],
            ExampleApp::Prints => &[("PRINT", "to stdout"), ("PRINT_ERR", "to stderr")],
            other => panic!("the probe app has no switch for {other:?}"),
        };
        Example { image: APP.parse().unwrap(), environment: variables(environment) }
    }

    fn second_image(&self) -> ImageRef {
        SECOND_APP.parse().unwrap()
    }

    fn missing_image(&self) -> ImageRef {
        format!("127.0.0.1:{}/missing:1", self.registry.port).parse().unwrap()
    }

    fn missing_image_id(&self) -> ImageId {
        ImageId::new(format!("sha256:{}", "0".repeat(64)))
    }

    fn unenforced(&self) -> Vec<Guarantee> {
        Vec::new()
    }

    fn shortest_grace(&self) -> Duration {
        Duration::from_secs(1)
    }

    async fn make_unmarked(&self, tenant: TenantId) {
        self.corner.make(&tenant.container_name(), Default::default(), &["UNMARKED=1"]).await;
    }

    async fn unmarked_is_there(&self, tenant: TenantId) -> bool {
        let found = self.corner.inspect(&tenant.container_name()).await;
        found.config.unwrap().env.unwrap().contains(&"UNMARKED=1".to_owned())
    }

    async fn make_surplus(&self, tenant: TenantId) {
        let name = format!("{}_surplus", tenant.container_name());
        self.corner.make(&name, marks(self.corner.platform, tenant), &[]).await;
    }

    async fn environment_of(&self, instance: &InstanceId) -> BTreeMap<String, String> {
        let found = self.corner.inspect(instance.as_str()).await;
        let pairs = found.config.unwrap().env.unwrap();
        let split = |pair: &String| {
            let (name, value) = pair.split_once('=').unwrap();
            (name.to_owned(), value.to_owned())
        };
        pairs.iter().map(split).collect()
    }
}

#[async_trait]
impl RuntimeFetchFixture for OnDocker {
    async fn fetchable_image(&self) -> ImageRef {
        self.fetched.clone()
    }
}

impl RuntimeMetricsFixture for OnDocker {
    fn metrics(&self) -> Arc<dyn RuntimeMetrics> {
        Arc::clone(&self.corner.runtime) as _
    }
}

impl RuntimeEventsFixture for OnDocker {
    fn events(&self) -> Arc<dyn RuntimeEvents> {
        Arc::clone(&self.corner.runtime) as _
    }
}

#[async_trait]
impl RuntimeResizeFixture for OnDocker {
    fn resize(&self) -> Arc<dyn RuntimeResize> {
        Arc::clone(&self.corner.runtime) as _
    }

    async fn limits_of(&self, instance: &InstanceId) -> Limits {
        let none = None::<InspectContainerOptions>;
        let found = self.corner.docker.inspect_container(instance.as_str(), none).await.unwrap();
        let host = found.host_config.unwrap();
        Limits {
            memory_mb: u32::try_from(host.memory.unwrap() >> 20).unwrap(),
            cpus: host.nano_cpus.unwrap() as f64 / 1e9,
            pids: u32::try_from(host.pids_limit.unwrap()).unwrap(),
        }
    }
}

fresco_core::runtime_conformance!(OnDocker::new().await, #[ignore = "needs Docker"]);
fresco_core::runtime_fetch_conformance!(OnDocker::new().await, #[ignore = "needs Docker"]);
fresco_core::runtime_metrics_conformance!(OnDocker::new().await, #[ignore = "needs Docker"]);
fresco_core::runtime_events_conformance!(OnDocker::new().await, #[ignore = "needs Docker"]);
fresco_core::runtime_resize_conformance!(OnDocker::new().await, #[ignore = "needs Docker"]);
