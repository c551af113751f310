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
use fresco_postgres::{PostgresStore, PostgresTenants, TenantsConfig};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = setting(
        "DATABASE_URL",
        "postgresql://fresco_platform_app:localdev@127.0.0.1:5432/fresco_platform",
    );
    let network = setting("DOCKER_NETWORK", DockerConfig::DEFAULT_NETWORK);
    let proxy_port = setting("TRAEFIK_HTTP_PORT", "80").parse()?;
    let api_port = setting("TRAEFIK_DASHBOARD_PORT", "8080").parse()?;

    let store = PostgresStore::connect(&url).await?;
    let platform = store.platform().await?;
    let docker = DockerRuntime::connect(DockerConfig::new(platform).network(&network)).await?;
    let tenants = TenantsConfig::new(platform, &url, docker.gateway());
    let traefik = TraefikConfig::new(platform, &network).local_ports(proxy_port, api_port);
    let backends = Backends::new(
        store,
        docker,
        PostgresTenants::connect(tenants).await?,
        TraefikLabels::new(traefik)?,
    );
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
