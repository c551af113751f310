//! Deploys a tenant on real Docker, PostgreSQL and Traefik, reaches it through the proxy, and
//! destroys it without a trace; once with a schema of its own, once with a database of its own.
//!
//! `./dev/stack up && eval "$(./dev/stack env)" && cargo run --example embed`
#![allow(clippy::print_stdout, reason = "the examples talk to whoever runs them")]

use fresco_core::{
    Actor, AppProfile, Backends, Isolation, Orchestrator, OwnerId, Store, TenantId, TenantSpec,
};
use fresco_docker::{DockerConfig, DockerRuntime, TraefikConfig, TraefikLabels};
use fresco_examples::{fetch, setting, show};
use fresco_postgres::{PostgresStore, PostgresStoreConfig, PostgresTenants, PostgresTenantsConfig};

const SERVER: &str = "postgresql://fresco_platform_app:localdev@127.0.0.1:5432";

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let store_url = setting("DATABASE_URL", &format!("{SERVER}/fresco_platform"));
    let tenants_url = setting("TENANT_DATABASE_ADMIN_URL", &format!("{SERVER}/fresco_tenants"));
    let network = setting("DOCKER_NETWORK", DockerConfig::DEFAULT_NETWORK);
    let port = setting("TRAEFIK_HTTP_PORT", "80").parse()?;
    let api_port = setting("TRAEFIK_DASHBOARD_PORT", "8080").parse()?;
    let postgres_port = setting("POSTGRES_PORT", "5432").parse()?;

    let store = PostgresStore::connect(PostgresStoreConfig::new(store_url)).await?;
    let platform = store.platform().await?;
    let docker = DockerRuntime::connect(DockerConfig::new(platform).network(&network)).await?;
    let host = docker.gateway().to_string();
    let tenants = PostgresTenantsConfig::new(tenants_url, platform, host, postgres_port);
    let tenants = PostgresTenants::connect(tenants).await?;
    let traefik = TraefikConfig::new(platform).network(&network).public_port(port);
    let traefik =
        traefik.proxy(([127, 0, 0, 1], port).into()).api(([127, 0, 0, 1], api_port).into());
    let backends = Backends::new(store, docker, tenants, TraefikLabels::new(traefik));
    let orchestrator = Orchestrator::builder(backends, "localhost".parse()?).build().await?;
    let workers = orchestrator.start();

    for isolation in [Isolation::Schema, Isolation::Database] {
        let (id, image) = (TenantId::new(), setting("FRESCO_IMAGE", "fresco-dev/tenant-app:1"));
        let name = format!("demo-{}", &id.to_string()[..8]).parse()?;
        let spec = TenantSpec::new(OwnerId::new("me"), name, AppProfile::generic(), image.parse()?)
            .with_isolation(isolation);
        show(&orchestrator, &orchestrator.deploy(id, spec, Actor::System).await?).await?;
        let tenant_url = orchestrator.url(&orchestrator.tenant(id).await?);
        println!("→ {tenant_url}\n{}", fetch(&tenant_url, "/whoami").await?);
        show(&orchestrator, &orchestrator.destroy_tenant(id, Actor::System).await?).await?;
        println!("→ nothing is left: {}\n", orchestrator.inventory(id).await?.is_empty());
    }
    workers.shutdown().await;
    Ok(())
}
