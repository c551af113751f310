//! Deploys a tenant on real Docker, PostgreSQL and Traefik, reaches it through the proxy, and
//! destroys it without a trace; once with a schema of its own, once with a database of its own.
//!
//! `./dev/stack up && eval "$(./dev/stack env)" && cargo run --example embed`
#![allow(clippy::print_stdout, reason = "the examples talk to whoever runs them")]

use fresco_core::{
    Actor, AppProfile, Backends, Isolation, Orchestrator, OwnerId, Store, TenantId, TenantSpec,
};
use fresco_docker::{DockerConfig, DockerRuntime, TraefikConfig, TraefikLabels};
use fresco_examples::{Settings, fetch, show};
use fresco_postgres::{PostgresStore, PostgresStoreConfig, PostgresTenants, PostgresTenantsConfig};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let from = Settings::from_env()?;
    let store = PostgresStore::connect(PostgresStoreConfig::new(from.store_url)).await?;
    let platform = store.platform().await?;
    let docker = DockerConfig::new(platform).host(from.docker_host).network(&from.network);
    let docker = DockerRuntime::connect(docker).await?;
    let (host, port) = (docker.gateway().to_string(), from.postgres_port);
    let tenants = PostgresTenantsConfig::new(from.tenants_url, platform, host, port);
    let tenants = PostgresTenants::connect(tenants).await?;
    let traefik = TraefikConfig::new(platform).network(from.network);
    let traefik = traefik.public_port(from.proxy.port()).proxy(from.proxy).api(from.proxy_api);
    let backends = Backends::new(store, docker, tenants, TraefikLabels::new(traefik));
    let orchestrator = Orchestrator::builder(backends, "localhost".parse()?).build().await?;
    let workers = orchestrator.start();

    for isolation in [Isolation::Schema, Isolation::Database] {
        let (id, owner) = (TenantId::new(), OwnerId::new("me"));
        let name = format!("demo-{}", &id.to_string()[..8]).parse()?;
        let spec = TenantSpec::new(owner, name, AppProfile::generic(), from.image.parse()?)
            .with_isolation(isolation);

        show(&orchestrator, &orchestrator.deploy(id, spec, Actor::System).await?).await?;
        let url = orchestrator.url(&orchestrator.tenant(id).await?);
        println!("→ {url}/whoami: {}", fetch(&url, "/whoami").await?);
        println!("→ there is: {}", orchestrator.inventory(id).await?);

        show(&orchestrator, &orchestrator.destroy_tenant(id, Actor::System).await?).await?;
        println!("→ there is: {}\n", orchestrator.inventory(id).await?);
    }
    workers.shutdown().await;
    Ok(())
}
