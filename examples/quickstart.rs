//! A tenant's whole life in memory: no Docker, no database, no proxy, under a second.
//!
//! `cargo run --example quickstart`
#![allow(clippy::print_stdout, reason = "the examples talk to whoever runs them")]

use fresco_core::memory::MemoryWorld;
use fresco_core::{Actor, AppProfile, Orchestrator, OwnerId, TenantId, TenantSpec};
use fresco_examples::show;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let world = MemoryWorld::new();
    let orchestrator =
        Orchestrator::builder(world.backends(), "example.org".parse()?).build().await?;
    let workers = orchestrator.start();

    let (id, actor) = (TenantId::new(), Actor::User("alice".into()));
    let image = "memory/app:1".parse()?;
    let spec =
        TenantSpec::new(OwnerId::new("alice"), "my-study".parse()?, AppProfile::generic(), image);
    show(&orchestrator, &orchestrator.deploy(id, spec, actor.clone()).await?).await?;
    println!("→ {}\n", orchestrator.url(&orchestrator.tenant(id).await?));

    show(&orchestrator, &orchestrator.stop_tenant(id, actor.clone()).await?).await?;
    show(&orchestrator, &orchestrator.start_tenant(id, actor.clone()).await?).await?;
    show(&orchestrator, &orchestrator.destroy_tenant(id, actor).await?).await?;
    println!("→ nothing is left: {}", orchestrator.inventory(id).await?.is_empty());

    workers.shutdown().await;
    Ok(())
}
