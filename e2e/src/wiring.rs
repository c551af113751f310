//! How a program of the test reaches the stack.

use fresco_core::{Backends, Orchestrator, PlatformId, Settings, Store};
use fresco_docker::{DockerConfig, DockerRuntime, TraefikConfig, TraefikLabels};
use fresco_postgres::{
    EnvironmentKeys, PostgresStore, PostgresStoreConfig, PostgresTenants, PostgresTenantsConfig,
};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// The label of everything that tests make on Docker.
pub(crate) const TEST_LABEL: &str = "fresco.test";

/// How a program of the test reaches the stack; it can be handed to a child process.
#[derive(Clone, Debug)]
pub struct Wiring {
    /// The platform's own database.
    pub store_url: String,
    /// The same server, as the tenants' administrator reaches it.
    pub admin_url: String,
    /// The port at which the tenants' containers reach PostgreSQL on the gateway.
    pub postgres_port: u16,
    /// Docker.
    pub docker_host: String,
    /// The tenants' network.
    pub network: String,
    /// The proxy's entry point on loopback.
    pub http_port: u16,
    /// The proxy's own API on loopback.
    pub api_port: u16,
}

impl Wiring {
    const PREFIX: &'static str = "FRESCO_E2E_";

    /// As environment variables for a child process.
    #[must_use]
    pub fn to_env(&self) -> Vec<(String, String)> {
        let pairs = [
            ("STORE_URL", self.store_url.clone()),
            ("ADMIN_URL", self.admin_url.clone()),
            ("POSTGRES_PORT", self.postgres_port.to_string()),
            ("DOCKER_HOST", self.docker_host.clone()),
            ("NETWORK", self.network.clone()),
            ("HTTP_PORT", self.http_port.to_string()),
            ("API_PORT", self.api_port.to_string()),
        ];
        pairs.into_iter().map(|(name, value)| (format!("{}{name}", Self::PREFIX), value)).collect()
    }

    /// From the environment that [`to_env`](Self::to_env) made.
    #[must_use]
    pub fn from_env() -> Self {
        let get = |name: &str| {
            let name = format!("{}{name}", Self::PREFIX);
            std::env::var(&name).unwrap_or_else(|_| panic!("{name} is not set"))
        };
        let port = |name: &str| get(name).parse().expect("a port is a number");
        Self {
            store_url: get("STORE_URL"),
            admin_url: get("ADMIN_URL"),
            postgres_port: port("POSTGRES_PORT"),
            docker_host: get("DOCKER_HOST"),
            network: get("NETWORK"),
            http_port: port("HTTP_PORT"),
            api_port: port("API_PORT"),
        }
    }

    /// The real backends, all abilities included, and the platform's id.
    pub async fn backends(&self) -> fresco_core::Result<(Backends, PlatformId)> {
        let keys = EnvironmentKeys::new(&"a secret of the tests, and of nobody else".into())?;
        let store = PostgresStoreConfig::new(self.store_url.as_str()).keys(keys);
        let store = PostgresStore::connect(store).await?;
        let platform = store.platform().await?;
        let docker = DockerConfig::new(platform)
            .host(&self.docker_host)
            .network(&self.network)
            .label(TEST_LABEL, "tenant");
        let docker = Arc::new(DockerRuntime::connect(docker).await?);
        let tenants = PostgresTenantsConfig::new(
            self.admin_url.as_str(),
            platform,
            docker.gateway().to_string(),
            self.postgres_port,
        );
        let tenants = Arc::new(PostgresTenants::connect(tenants).await?);
        let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let router = TraefikConfig::new(platform)
            .network(&self.network)
            .public_port(self.http_port)
            .proxy(local(self.http_port))
            .api(local(self.api_port));
        let router = TraefikLabels::new(router);
        let backends = Backends::new(store, docker.clone(), tenants.clone(), router)
            .with_runtime_events(docker.clone())
            .with_runtime_metrics(docker.clone())
            .with_runtime_resize(docker)
            .with_database_metrics(tenants.clone())
            .with_database_snapshots(tenants);
        Ok((backends, platform))
    }

    /// An orchestrator with the times of a test: a dead worker's lease ends after 3 s.
    pub async fn orchestrator(
        backends: Backends,
        change: impl FnOnce(&mut Settings),
    ) -> fresco_core::Result<Orchestrator> {
        let domain = "localhost".parse().expect("localhost is a host name");
        Orchestrator::builder(backends, domain)
            .settings(|settings| {
                settings.lease_ttl = Duration::from_secs(3);
                settings.lease_margin = Duration::from_secs(1);
                settings.work_interval = Duration::from_millis(100);
                settings.poll_interval = Duration::from_millis(50);
                settings.route_deadline = Duration::from_secs(60);
                settings.stuck_retry = Duration::from_secs(1);
                settings.undo_budget = Duration::from_secs(5);
                settings.reconcile_interval = None;
                change(settings);
            })
            .build()
            .await
    }
}
