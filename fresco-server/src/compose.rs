//! Puts a platform together from the configuration: PostgreSQL, Docker and Traefik.

use std::sync::Arc;
use std::time::Duration;

use fresco_core::{Backends, Capacity, Orchestrator, Result, Store};
use fresco_docker::{DockerConfig, DockerRuntime, TraefikConfig, TraefikLabels};
use fresco_postgres::{PostgresStore, PostgresStoreConfig, PostgresTenants, PostgresTenantsConfig};

use crate::accounts::{Accounts, AccountsConfig};
use crate::config::{Config, Traefik};
use crate::platform::Platform;

/// How long the parts may take to answer when the server starts: a machine that boots starts all of
/// them at once.
const PATIENCE: Duration = Duration::from_secs(60);
/// What the platform itself, PostgreSQL, Traefik and the system need of a machine, in MB.
const PLATFORM_MEMORY_MB: u64 = 2048;
/// Connections that are kept for the platform and for who looks after the database.
const PLATFORM_CONNECTIONS: u32 = 20;
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
    let (backends, capacity) = patiently(|| backends(&config)).await?;
    let accounts = patiently(|| Accounts::connect(accounts(&config))).await?;
    let orchestrator = Orchestrator::builder(backends, config.base_domain.clone());
    let orchestrator = orchestrator
        .settings(|settings| {
            settings.workers = config.workers;
            settings.capacity = capacity;
            settings.min_free_disk_mb = config.room.min_free_disk_mb;
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

async fn backends(config: &Config) -> Result<(Backends, Capacity)> {
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
    let admin = config.tenant_database_admin_url.clone();
    let tenants = PostgresTenantsConfig::new(admin, id, host, *port);
    let tenants = Arc::new(PostgresTenants::connect(tenants).await?);
    let traefik = TraefikConfig::new(id).network(&config.docker_network);
    let traefik = TraefikLabels::new(proxy(&config.traefik, traefik));
    let machine_mb = docker.memory_mb().await?;
    let capacity = capacity(config, machine_mb, tenants.max_connections().await?);
    let backends = Backends::new(store, docker.clone(), tenants.clone(), traefik)
        .with_runtime_events(docker.clone())
        .with_runtime_metrics(docker.clone())
        .with_runtime_resize(docker.clone())
        .with_disk_space(docker)
        .with_database_metrics(tenants.clone())
        .with_database_snapshots(tenants);
    Ok((backends, capacity))
}

/// How much all tenants may take together, on a machine of this much memory and with a database of
/// this many connections.
fn capacity(config: &Config, machine_mb: u64, max_connections: u32) -> Capacity {
    let half = machine_mb / 2;
    let left = machine_mb.saturating_sub(PLATFORM_MEMORY_MB).max(half);
    let memory_mb = config.room.memory_mb.unwrap_or(left);
    let connections = u64::from(max_connections.saturating_sub(PLATFORM_CONNECTIONS));
    let mut capacity = Capacity::unlimited();
    capacity.reserve_mb = config.tenants.memory_mb.min;
    capacity.reserved_memory_mb = Some(memory_mb);
    // A float's cast saturates.
    capacity.memory_limits_mb = Some((memory_mb as f64 * config.room.overcommit) as u64);
    capacity.connections = Some(config.room.connections.unwrap_or(connections));
    capacity
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Values;

    fn of(settings: &[(&str, &str)], machine_mb: u64, max_connections: u32) -> Capacity {
        let config = Config::read(&Values::new(settings.iter().copied())).unwrap();
        capacity(&config, machine_mb, max_connections)
    }

    #[test]
    fn a_small_machine_keeps_half_for_itself_and_a_large_one_two_gigabytes() {
        for (machine, tenants) in [(2048, 1024), (4096, 2048), (16384, 14336)] {
            let capacity = of(&[], machine, 100);
            assert_eq!(capacity.reserved_memory_mb, Some(tenants), "{machine}");
            assert_eq!(capacity.memory_limits_mb, Some(2 * tenants));
            assert_eq!(capacity.connections, Some(80));
        }
        assert_eq!(of(&[], 4096, 10).connections, Some(0));
    }

    #[test]
    fn settings_say_otherwise() {
        let settings = [
            ("TENANT_MEMORY", "1000"),
            ("MEMORY_OVERCOMMIT", "1.5"),
            ("TENANT_CONNECTIONS", "40"),
            ("MIN_MEMORY", "128"),
        ];
        let capacity = of(&settings, 4096, 100);
        assert_eq!((capacity.reserve_mb, capacity.reserved_memory_mb), (128, Some(1000)));
        assert_eq!((capacity.memory_limits_mb, capacity.connections), (Some(1500), Some(40)));
    }
}
