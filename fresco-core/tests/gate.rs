//! Routes of apps that give themselves to their first visitor, through a tenant's life.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use fresco_core::memory::MemoryWorld;
use fresco_core::{
    Actor, AppProfile, ClaimGates, ContainerRuntime, Gate, Orchestrator, OwnerId, Result, TenantId,
    TenantSpec, Update,
};

const GATE: &str = "http://gate.example/";

/// Gates that one switch opens. They remember what they were asked.
#[derive(Clone, Debug, Default)]
struct Gates {
    open: Arc<Mutex<bool>>,
    asked: Arc<Mutex<Vec<(TenantId, bool)>>>,
}

#[async_trait]
impl ClaimGates for Gates {
    async fn gate(&self, tenant: TenantId, was_active: bool) -> Result<Option<Gate>> {
        self.asked.lock().unwrap().push((tenant, was_active));
        let gate = Gate::new(GATE);
        Ok(Some(if *self.open.lock().unwrap() { gate.opened() } else { gate }))
    }
}

async fn platform(gates: &Gates) -> (MemoryWorld, Orchestrator) {
    let world = MemoryWorld::new();
    let backends = world.backends().with_claim_gates(gates.clone());
    let orchestrator = Orchestrator::builder(backends, "example.org".parse().unwrap());
    (world, orchestrator.build().await.unwrap())
}

async fn deploy(orchestrator: &Orchestrator, claim_path: Option<&str>) -> TenantId {
    let mut app = AppProfile::generic();
    app.claim_path = claim_path.map(str::to_owned);
    let image = "memory/app:1".parse().unwrap();
    let spec = TenantSpec::new(OwnerId::new("ada"), "study".parse().unwrap(), app, image);
    let id = TenantId::new();
    let accepted = orchestrator.deploy(id, spec, Actor::System).await.unwrap();
    let done = orchestrator.wait(accepted.operation.id).await.unwrap();
    assert_eq!(done.error, None);
    id
}

#[tokio::test(start_paused = true)]
async fn an_app_without_an_owner_is_gated_until_its_gate_is_opened() {
    let gates = Gates::default();
    let (world, orchestrator) = platform(&gates).await;
    let workers = orchestrator.start();
    let id = deploy(&orchestrator, Some("/setup")).await;
    let host = "study.example.org".parse().unwrap();
    let visit = || world.router().visit(&host, "/signin");
    assert_eq!(visit(), 500, "nobody answers for the gate");
    world.outsider().answer_gate(GATE, false);
    assert_eq!(visit(), 403);
    let asked = std::mem::take(&mut *gates.asked.lock().unwrap());
    assert!(asked.iter().all(|asked| *asked == (id, false)) && !asked.is_empty(), "{asked:?}");

    let update = async || {
        let update = Update::image("memory/app:2".parse().unwrap());
        let operation = orchestrator.update_tenant(id, update, Actor::System).await.unwrap();
        assert_eq!(orchestrator.wait(operation.operation.id).await.unwrap().error, None);
    };
    update().await;
    assert_eq!(visit(), 403, "its next container is behind the gate, too");
    let asked = gates.asked.lock().unwrap().clone();
    assert!(asked.iter().all(|asked| *asked == (id, true)) && !asked.is_empty(), "{asked:?}");
    workers.shutdown().await;
    *gates.open.lock().unwrap() = true;
    assert_eq!(visit(), 403, "what the container carries holds");
    let container = world.runtime().list(Some(id)).await.unwrap();
    orchestrator.publish_opened_gate(id).await.unwrap();
    assert_eq!(visit(), 200, "the proxy asks nobody");
    assert_eq!(world.runtime().list(Some(id)).await.unwrap(), container, "it is the same one");

    let workers = orchestrator.start();
    let stopped = orchestrator.stop_tenant(id, Actor::System).await.unwrap();
    assert_eq!(orchestrator.wait(stopped.operation.id).await.unwrap().error, None);
    let started = orchestrator.start_tenant(id, Actor::System).await.unwrap();
    assert_eq!(orchestrator.wait(started.operation.id).await.unwrap().error, None);
    assert_eq!(visit(), 200, "also after a stop and a start of what still carries the gate");
    workers.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_gate_that_opened_by_itself_is_published_by_the_reconciler() {
    let gates = Gates::default();
    let (world, orchestrator) = platform(&gates).await;
    let workers = orchestrator.start();
    let id = deploy(&orchestrator, Some("/setup")).await;
    let host = "study.example.org".parse().unwrap();
    workers.shutdown().await;
    orchestrator.reconcile().await.unwrap();
    assert_eq!(world.router().visit(&host, "/signin"), 500, "it is closed");
    *gates.open.lock().unwrap() = true;
    orchestrator.reconcile().await.unwrap();
    assert_eq!(world.router().visit(&host, "/signin"), 200);
    let asked = gates.asked.lock().unwrap().last().copied();
    assert_eq!(asked, Some((id, true)), "the app was active before");
}

#[tokio::test(start_paused = true)]
async fn other_apps_have_no_gate_and_nobody_is_asked() {
    let gates = Gates::default();
    let (world, orchestrator) = platform(&gates).await;
    let workers = orchestrator.start();
    deploy(&orchestrator, None).await;
    assert_eq!(world.router().visit(&"study.example.org".parse().unwrap(), "/signin"), 200);
    assert_eq!(*gates.asked.lock().unwrap(), []);
    workers.shutdown().await;
}
