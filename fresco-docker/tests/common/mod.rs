//! A corner of Docker for one test: its own platforms and network, everything marked, all removed
//! at the end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
#![allow(dead_code, reason = "each test program uses a part")]
#![allow(unreachable_pub, reason = "a module of several test programs")]

pub mod registry;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bollard::Docker;
use bollard::errors::Error::DockerResponseServerError as Answer;
use bollard::models::{ContainerCreateBody, ContainerInspectResponse, HostConfig};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, InspectContainerOptions, ListContainersOptionsBuilder,
    RemoveContainerOptionsBuilder,
};
use fresco_core::conformance::Fixture;
use fresco_core::{
    AppProfile, ContainerRuntime, CredentialId, EnvName, Generation, ImageId, ImageSource,
    Instance, InstanceId, InstanceSpec, Limits, PlatformId, ProgressSink, Reach, TenantId, labels,
};
use fresco_docker::{DockerConfig, DockerRuntime};
use secrecy::SecretString;

pub const APP: &str = "fresco-dev/probe-app:1";
pub const SECOND_APP: &str = "fresco-dev/probe-app:2";
const TEST_LABEL: &str = "fresco.test";

/// One test's corner.
pub struct Corner {
    pub docker: Docker,
    /// The value of the label on all that is made here.
    pub run: String,
    pub network: String,
    pub platform: PlatformId,
    pub runtime: Arc<DockerRuntime>,
}

impl Corner {
    /// Connects; fails, and does not skip, when Docker or the image of the app is missing.
    pub async fn new() -> Self {
        let docker = docker();
        docker.inspect_image(APP).await.expect("fresco-dev/probe-app:1: run dev/images/build");
        let platform = PlatformId::new();
        let run = format!("docker-{}", &platform.as_uuid().simple().to_string()[..12]);
        let network = format!("fresco-test-{run}");
        let runtime = DockerRuntime::connect(config(platform, &run, &network)).await;
        let runtime = Arc::new(runtime.expect("Docker answers and makes a network"));
        Self { docker, run, network, platform, runtime }
    }

    pub fn config(&self, platform: PlatformId) -> DockerConfig {
        config(platform, &self.run, &self.network)
    }

    pub fn test_label(&self) -> HashMap<String, String> {
        HashMap::from([(TEST_LABEL.to_owned(), self.run.clone())])
    }

    /// The spec of a container for a new tenant.
    pub async fn spec(&self, environment: &[(&str, &str)]) -> InstanceSpec {
        let source = ImageSource::Named(APP.parse().unwrap());
        let image = self.runtime.prepare(&source, &ProgressSink::ignore()).await.unwrap();
        spec(image, environment)
    }

    /// A container that runs, and whose app answers.
    pub async fn serving(&self, spec: &InstanceSpec) -> Instance {
        let made = self.runtime.ensure(spec).await.unwrap();
        self.start_serving(&made.id).await
    }

    /// Starts a container and waits until its app answers.
    pub async fn start_serving(&self, id: &InstanceId) -> Instance {
        let instance = self.runtime.start(id).await.unwrap();
        eventually("the app should answer", async || {
            let reach = self.runtime.probe(&instance.id, 3000, "/signin").await.unwrap();
            if reach == Reach::Status(200) { Ok(()) } else { Err(format!("{reach:?}")) }
        })
        .await;
        instance
    }

    pub async fn inspect(&self, id: &str) -> ContainerInspectResponse {
        self.docker.inspect_container(id, None::<InspectContainerOptions>).await.unwrap()
    }

    /// Makes a container past the runtime.
    pub async fn make(&self, name: &str, labels: HashMap<String, String>, environment: &[&str]) {
        let mut all = self.test_label();
        all.extend(labels);
        let body = ContainerCreateBody {
            image: Some(APP.into()),
            env: Some(environment.iter().map(|text| (*text).to_owned()).collect()),
            labels: Some(all),
            host_config: Some(HostConfig {
                network_mode: Some(self.network.clone()),
                ..Default::default()
            }),
            ..Default::default()
        };
        let options = CreateContainerOptionsBuilder::default().name(name).build();
        self.docker.create_container(Some(options), body).await.unwrap();
    }

    /// Removes all that was made here.
    pub async fn remove_all(&self) {
        let mark = format!("{TEST_LABEL}={}", self.run);
        let filters = HashMap::from([("label", vec![mark])]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        for container in self.docker.list_containers(Some(options)).await.unwrap() {
            let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
            let id = container.id.unwrap();
            // Gone, or going: what the network's removal below waits for.
            if let Err(error) = self.docker.remove_container(&id, Some(options)).await {
                let known = matches!(error, Answer { status_code: 404 | 409, .. });
                assert!(known, "removing {id}: {error}");
            }
        }
        // A container that has just gone may still count.
        let begun = Instant::now();
        while let Err(error) = self.docker.remove_network(&self.network).await {
            if matches!(error, Answer { status_code: 404, .. }) {
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(30), "{}: {error}", self.network);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[async_trait]
impl Fixture for Corner {
    async fn clean_up(&self) {
        self.remove_all().await;
    }
}

pub fn docker() -> Docker {
    Docker::connect_with_unix("/var/run/docker.sock", 120, bollard::API_DEFAULT_VERSION)
        .expect("Docker is needed at /var/run/docker.sock")
}

pub fn config(platform: PlatformId, run: &str, network: &str) -> DockerConfig {
    DockerConfig::new(platform).network(network).label(TEST_LABEL, run).reserve(80, 0.25)
}

pub fn spec(image: ImageId, environment: &[(&str, &str)]) -> InstanceSpec {
    let app = app();
    let tenant = TenantId::new();
    let limits = Limits { memory_mb: 64, cpus: 0.5, pids: 64 };
    let subdomain = format!("t{}", &tenant.as_uuid().simple().to_string()[..12]);
    let subdomain = subdomain.parse().unwrap();
    let (generation, credential) = (Generation::new(1), CredentialId::new());
    let mut spec = InstanceSpec::new(tenant, subdomain, generation, credential, image, app, limits);
    spec.environment = variables(environment);
    spec
}

pub fn app() -> AppProfile {
    let mut app = AppProfile::generic();
    app.user = Some("1001:1001".into());
    app
}

pub fn variables(environment: &[(&str, &str)]) -> BTreeMap<EnvName, SecretString> {
    let pairs = environment.iter();
    pairs.map(|(name, value)| (name.parse().unwrap(), (*value).to_owned().into())).collect()
}

/// All marks of the platform, as on a container of the runtime's own.
pub fn marks(platform: PlatformId, tenant: TenantId) -> HashMap<String, String> {
    HashMap::from([
        (labels::PLATFORM.to_owned(), platform.to_string()),
        (labels::TENANT_ID.to_owned(), tenant.to_string()),
        (labels::GENERATION.to_owned(), "1".to_owned()),
        (labels::REVISION.to_owned(), "0".repeat(32)),
        (labels::CREDENTIAL.to_owned(), CredentialId::new().to_string()),
        ("fresco.port".to_owned(), "3000".to_owned()),
    ])
}

/// Waits until the condition holds.
pub async fn eventually<T>(why: &str, mut condition: impl AsyncFnMut() -> Result<T, String>) -> T {
    let begun = Instant::now();
    loop {
        match condition().await {
            Ok(value) => return value,
            Err(state) if begun.elapsed() > Duration::from_secs(30) => panic!("{why}: {state}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// Runs a test in a corner that is cleaned, whatever comes of it.
pub async fn in_a_corner(test: impl AsyncFnOnce(&Corner)) {
    fresco_core::conformance::run(Corner::new().await, test).await;
}

/// The status that an app answers a path with, asked from here.
pub async fn ask(corner: &Corner, instance: &Instance, path: &str) -> u16 {
    match corner.runtime.probe(&instance.id, 3000, path).await.unwrap() {
        Reach::Status(status) => status,
        Reach::Silent(why) | Reach::Unreachable(why) => panic!("{path}: {why}"),
    }
}
