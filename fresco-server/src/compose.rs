//! Puts a platform together from the configuration: PostgreSQL, Docker and Traefik.

use std::sync::Arc;
use std::time::Duration;

use fresco_core::{Backends, Orchestrator, PlatformId, Result, Store};
use fresco_docker::{DockerConfig, DockerRuntime, TraefikConfig, TraefikLabels};
use fresco_postgres::{PostgresStore, PostgresStoreConfig, PostgresTenants, PostgresTenantsConfig};

use crate::accounts::{Accounts, AccountsConfig};
use crate::config::{Config, Traefik};
use crate::platform::Platform;

/// How long the parts may take to answer when the server starts: a machine that boots starts all of
/// them at once.
const PATIENCE: Duration = Duration::from_secs(60);
/// The pause before a part is asked again.
const PAUSE: Duration = Duration::from_secs(1);

/// Connects to everything.
///
/// # Errors
/// The first part's own, once it can't be cured by waiting, or a minute has passed.
pub async fn platform(config: Config) -> Result<Platform> {
    if config.migrate {
        patiently(|| migrate(&config)).await?;
    }
    let backends = patiently(|| backends(&config)).await?;
    let accounts = patiently(|| Accounts::connect(accounts(&config))).await?;
    let orchestrator = Orchestrator::builder(backends, config.base_domain.clone());
    let orchestrator = orchestrator
        .settings(|settings| {
            settings.workers = config.workers;
            settings.allow_unenforced.clone_from(&config.allow_unenforced);
        })
        .build()
        .await?;
    Ok(Platform::new(config, orchestrator, accounts))
}

/// Brings the tables up to date. Servers that do so at the same time take turns.
///
/// # Errors
/// When the database does not answer, or may not be changed.
pub async fn migrate(config: &Config) -> Result<()> {
    PostgresStore::migrate(&PostgresStoreConfig::new(config.database_url.clone())).await?;
    Accounts::migrate(&accounts(config)).await
}

async fn backends(config: &Config) -> Result<Backends> {
    let store = PostgresStoreConfig::new(config.database_url.clone()).migrate(false);
    let store = PostgresStore::connect(store).await?;
    let id = store.platform().await?;
    let docker = DockerConfig::new(id)
        .host(&config.docker_host)
        .network(&config.docker_network)
        .reserve(config.tenants.memory_mb.min, config.tenants.cpus.min);
    let docker = Arc::new(DockerRuntime::connect(docker).await?);
    let (host, port) = &config.tenant_database_host;
    let host = host.clone().unwrap_or_else(|| docker.gateway().to_string());
    let tenants = tenants(config, id, host, *port);
    let tenants = Arc::new(PostgresTenants::connect(tenants).await?);
    let traefik = TraefikConfig::new(id).network(&config.docker_network);
    let traefik = TraefikLabels::new(proxy(&config.traefik, traefik));
    Ok(Backends::new(store, docker.clone(), tenants.clone(), traefik)
        .with_runtime_events(docker.clone())
        .with_runtime_metrics(docker.clone())
        .with_runtime_resize(docker)
        .with_database_metrics(tenants.clone())
        .with_database_snapshots(tenants.clone())
        .with_database_watch(tenants))
}

/// The server of the tenants' data, which tenants reach under this host and port, with the limits of
/// the settings.
#[must_use]
pub fn tenants(
    config: &Config,
    platform: PlatformId,
    host: String,
    port: u16,
) -> PostgresTenantsConfig {
    let admin = config.tenant_database_admin_url.clone();
    PostgresTenantsConfig::new(admin, platform, host, port)
        .size_limit(config.tenant_disk)
        .transaction_limit(config.tenant_transaction)
}

fn accounts(config: &Config) -> AccountsConfig {
    AccountsConfig::new(config.database_url.clone(), config.auth_secret.clone())
}

/// Traefik, as the settings describe it.
pub(crate) fn proxy(from: &Traefik, to: TraefikConfig) -> TraefikConfig {
    let to = to.api(from.dashboard);
    let to = match (from.https, from.tls_upstream) {
        (false, _) => to.proxy(from.http).public_port(from.http.port()),
        (true, true) => to.proxy(from.http).public_port(from.https_port).https_ends_before(),
        (true, false) => {
            let resolver = from.cert_resolver.as_deref();
            to.public_port(from.https_port).https(resolver, &from.probe_entrypoint, from.probe)
        }
    };
    match &from.entrypoint {
        Some(name) => to.entrypoints([name]),
        None => to,
    }
}

/// Repeats what fails only because a part is not there yet.
async fn patiently<T, F: Future<Output = Result<T>>>(work: impl Fn() -> F) -> Result<T> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        match work().await {
            Err(error) if error.is_retryable() && tokio::time::Instant::now() < deadline => {
                tracing::warn!(error = %error.chain(), "a part does not answer yet; trying again");
                tokio::time::sleep(PAUSE).await;
            }
            answer => return answer,
        }
    }
}
