//! Parts that go away: for a while, the work waits; for too long, it ends as defined.

use std::time::Duration;

use fresco_core::{Actor, ErrorKind, Isolation, OperationStatus, Settings, Step, TenantStatus};
use fresco_e2e::proxy::Wire;
use fresco_e2e::{Stack, World};

fn short(settings: &mut Settings) {
    // Long enough for a container to run, on a busy machine too.
    settings.operation_budget = Duration::from_secs(20);
    settings.retry_max = Duration::from_secs(1);
    settings.undo_budget = Duration::from_secs(1);
}

pub(crate) async fn docker_is_down_for_a_while(stack: &Stack) {
    for_a_while(stack, |world| &world.docker, Step::Image).await;
}

pub(crate) async fn tenants_database_is_down_for_a_while(stack: &Stack) {
    for_a_while(stack, |world| &world.databases, Step::Database).await;
}

pub(crate) async fn docker_is_down_for_too_long(stack: &Stack) {
    for_too_long(stack, |world| &world.docker).await;
}

pub(crate) async fn tenants_database_is_down_for_too_long(stack: &Stack) {
    for_too_long(stack, |world| &world.databases).await;
}

/// The part is away when the work begins, and comes back before the operation's deadline.
async fn for_a_while(stack: &Stack, part: impl Fn(&World) -> &Wire, step: Step) {
    let world = World::new(stack).await;
    part(&world).cut();
    let workers = world.work();
    let create = world.deploy(world.spec(Isolation::Schema, &[])).await;
    world
        .until("the step is being tried again", async || {
            let operation = world.orchestrator.operation(create.operation.id).await.unwrap();
            operation.steps.iter().any(|s| s.name == step && s.detail.is_some())
        })
        .await;
    part(&world).mend();
    world.success(&create).await;
    assert_eq!(world.get(&create.tenant, "/signin").await.0, 200);
    world.destroyed(create.tenant.id).await;
    workers.shutdown().await;
}

/// The part goes away when there is something to take back, and stays away past the deadline: the
/// undo is stuck, visibly, until the part is back.
async fn for_too_long(stack: &Stack, part: impl Fn(&World) -> &Wire) {
    let world = World::with(stack, short).await;
    let workers = world.work();
    let create = world.deploy(world.spec(Isolation::Schema, &[("APP_NEVER_HEALTHY", "1")])).await;
    let id = create.tenant.id;
    world
        .until("the container runs", async || {
            let containers = world.backends().runtime.list(Some(id)).await;
            containers.is_ok_and(|all| all.iter().any(|c| c.is_running()))
        })
        .await;
    part(&world).cut();
    world
        .until("the operation is stuck", async || {
            let operation = world.orchestrator.operation(create.operation.id).await.unwrap();
            operation.status == OperationStatus::Stuck
        })
        .await;
    part(&world).mend();
    let failed = world.failure(&create).await;
    assert!(failed.error.is_some());
    assert_eq!(world.tenant(id).await.state.status, TenantStatus::Error);
    world.nothing_left(id).await;
    world.destroyed(id).await;
    workers.shutdown().await;
}

pub(crate) async fn store_is_down_and_work_pauses(stack: &Stack) {
    let world = World::new(stack).await;
    let workers = world.work();
    let create = world.deploy(world.spec(Isolation::Schema, &[("APP_BOOT_DELAY", "2")])).await;
    let id = create.tenant.id;
    world
        .until("the container runs", async || {
            let containers = world.backends().runtime.list(Some(id)).await;
            containers.is_ok_and(|all| all.iter().any(|c| c.is_running()))
        })
        .await;
    world.store.cut();
    let error = world.orchestrator.tenant(id).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    // Longer than a lease: whoever worked has stopped by then.
    tokio::time::sleep(world.orchestrator.settings().lease_ttl * 2).await;
    world.store.mend();
    world.success(&create).await;
    assert_eq!(world.get(&create.tenant, "/signin").await.0, 200);
    world.destroyed(id).await;
    workers.shutdown().await;
}

pub(crate) async fn shutdown_hands_work_back(stack: &Stack) {
    let world = World::with(stack, |settings| {
        settings.shutdown_grace = Duration::from_millis(100);
        // Were the lease not handed back, nobody could go on within the test's time.
        settings.lease_ttl = Duration::from_secs(600);
    })
    .await;
    let workers = world.work();
    let create = world.deploy(world.spec(Isolation::Schema, &[("APP_BOOT_DELAY", "2")])).await;
    world
        .until("the work has begun", async || {
            let operation = world.orchestrator.operation(create.operation.id).await.unwrap();
            operation.status == OperationStatus::InProgress
        })
        .await;
    workers.shutdown().await;
    let others = world.work();
    world.success(&create).await;
    let stop = world.orchestrator.stop_tenant(create.tenant.id, Actor::System).await.unwrap();
    world.success(&stop).await;
    world.destroyed(create.tenant.id).await;
    others.shutdown().await;
}
