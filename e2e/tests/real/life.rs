//! A tenant's whole life.

use std::time::Duration;

use fresco_core::{Actor, Isolation, LogQuery, Tenant, TenantStatus, Update};
use fresco_e2e::{Stack, World};
use futures_util::StreamExt;

pub(crate) async fn in_a_schema_of_its_own(stack: &Stack) {
    whole_life(stack, Isolation::Schema).await;
}

pub(crate) async fn in_a_database_of_its_own(stack: &Stack) {
    whole_life(stack, Isolation::Database).await;
}

async fn whole_life(stack: &Stack, isolation: Isolation) {
    let world = World::new(stack).await;
    let workers = world.work();
    let tenant = world.deployed(world.spec(isolation, &[])).await;
    assert_eq!(tenant.state.status, TenantStatus::Active);

    let me = world.whoami(&tenant).await;
    let name = tenant.id.database_name();
    let place = match isolation {
        Isolation::Schema => ("fresco_tenants".to_owned(), name),
        Isolation::Database => (name, "public".to_owned()),
    };
    assert_eq!(
        (me["database"].as_str().unwrap(), me["schema"].as_str().unwrap()),
        (&*place.0, &*place.1)
    );
    assert_eq!(me["role"], tenant.id.role_name());
    assert_eq!(world.get(&tenant, "/visit").await.0, 200);
    let verifier = verifier(stack, &tenant).await;
    let container = tenant.state.container.clone().unwrap();

    let stop = world.orchestrator.stop_tenant(tenant.id, Actor::System).await.unwrap();
    world.success(&stop).await;
    assert_ne!(world.get(&tenant, "/signin").await.0, 200, "the route still serves the app");
    assert_eq!(world.tenant(tenant.id).await.state.status, TenantStatus::Stopped);

    let start = world.orchestrator.start_tenant(tenant.id, Actor::System).await.unwrap();
    world.success(&start).await;
    assert_eq!(world.whoami(&tenant).await["visits"], 1, "the data of before");
    assert_eq!(self::verifier(stack, &tenant).await, verifier, "new credentials");
    assert_eq!(world.tenant(tenant.id).await.state.container, Some(container.clone()));

    let restart = world.orchestrator.restart_tenant(tenant.id, Actor::System).await.unwrap();
    world.success(&restart).await;
    assert_eq!(world.whoami(&tenant).await["visits"], 1);
    assert_eq!(world.tenant(tenant.id).await.state.container, Some(container));
    let log = world.orchestrator.logs(tenant.id, &LogQuery::last(100)).await.unwrap();
    let log: Vec<_> = log.map(|line| line.unwrap().text).collect().await;
    let boots = log.iter().filter(|line| line.contains("scratch folder /tmp can be written"));
    assert_eq!(boots.count(), 3, "it could write to its scratch folder at each start: {log:#?}");

    // Starting what runs and stopping twice are no errors.
    for _ in 0..2 {
        let start = world.orchestrator.start_tenant(tenant.id, Actor::System).await.unwrap();
        world.success(&start).await;
    }
    world.destroyed(tenant.id).await;
    let role = format!("SELECT rolname FROM pg_roles WHERE rolname = '{}'", tenant.id.role_name());
    assert!(stack.superuser(&role).await.is_empty(), "the role is left");
    workers.shutdown().await;
}

async fn verifier(stack: &Stack, tenant: &Tenant) -> Vec<String> {
    let role = tenant.id.role_name();
    stack.superuser(&format!("SELECT rolpassword FROM pg_authid WHERE rolname = '{role}'")).await
}

pub(crate) async fn update_to_another_image_and_back(stack: &Stack) {
    let world = World::new(stack).await;
    let workers = world.work();
    let tenant = world.deployed(world.spec(Isolation::Database, &[])).await;
    let first = tenant.state.image.clone();
    assert_eq!(world.get(&tenant, "/visit").await.0, 200);
    for (image, version) in [("fresco-dev/tenant-app:2", "2"), ("fresco-dev/tenant-app:1", "1")] {
        let update = Update::image(image.parse().unwrap());
        let update = world.orchestrator.update_tenant(tenant.id, update, Actor::System).await;
        world.success(&update.unwrap()).await;
        let me = world.whoami(&tenant).await;
        assert_eq!((me["version"].as_str(), me["visits"].as_i64()), (Some(version), Some(1)));
    }
    assert_eq!(
        world.tenant(tenant.id).await.state.image,
        first,
        "the same exact image as at first"
    );
    let inventory = world.orchestrator.inventory(tenant.id).await.unwrap();
    assert_eq!(inventory.containers.len(), 1);
    world.destroyed(tenant.id).await;
    workers.shutdown().await;
}

pub(crate) async fn destroy_takes_the_place_of_a_hanging_create(stack: &Stack) {
    let world = World::new(stack).await;
    let workers = world.work();
    let create = world.deploy(world.spec(Isolation::Schema, &[("APP_NEVER_HEALTHY", "1")])).await;
    let id = create.tenant.id;
    world
        .until("the container runs", async || {
            let containers = world.backends().runtime.list(Some(id)).await.unwrap();
            containers.iter().any(|c| c.is_running())
        })
        .await;
    let refused = world.orchestrator.stop_tenant(id, Actor::System).await;
    assert_eq!(refused.unwrap_err().kind(), fresco_core::ErrorKind::Conflict);
    world.destroyed(id).await;
    let create = world.failure(&create).await;
    assert!(create.error.unwrap().message.contains("cancelled"));
    // The subdomain is free again.
    let mut spec = world.spec(Isolation::Schema, &[]);
    spec.subdomain = world.tenant(id).await.spec.subdomain;
    let again = world.deployed(spec).await;
    world.destroyed(again.id).await;
    workers.shutdown().await;
}

pub(crate) async fn two_platforms_do_not_see_each_other(stack: &Stack) {
    let (one, other) = (World::new(stack).await, World::new(stack).await);
    let workers = (one.work(), other.work());
    let tenant = one.deployed(one.spec(Isolation::Schema, &[])).await;
    assert!(other.orchestrator.inventory(tenant.id).await.unwrap().is_empty());
    let found = other.orchestrator.reconcile().await.unwrap();
    assert_eq!(found, fresco_core::Reconciliation::default());
    assert_eq!(one.get(&tenant, "/signin").await.0, 200);
    one.destroyed(tenant.id).await;
    workers.0.shutdown().await;
    workers.1.shutdown().await;
}

pub(crate) async fn long_fifty_tenants_at_once(stack: &Stack) {
    let world = World::new(stack).await;
    let workers = world.work();
    let mut accepted = Vec::new();
    for number in 0..50 {
        let isolation = if number % 2 == 0 { Isolation::Schema } else { Isolation::Database };
        accepted.push(world.deploy(world.spec(isolation, &[])).await);
    }
    let all = accepted.iter().map(|a| world.orchestrator.wait(a.operation.id));
    let all = tokio::time::timeout(Duration::from_secs(300), futures_util::future::join_all(all));
    for operation in all.await.expect("fifty tenants within five minutes") {
        let operation = operation.unwrap();
        assert_eq!(operation.status, fresco_core::OperationStatus::Success, "{operation:#?}");
    }
    for accepted in &accepted {
        assert_eq!(world.get(&accepted.tenant, "/signin").await.0, 200);
    }
    let mut destroys = Vec::new();
    for accepted in &accepted {
        let id = accepted.tenant.id;
        destroys.push(world.orchestrator.destroy_tenant(id, Actor::System).await.unwrap());
    }
    for (destroy, accepted) in destroys.iter().zip(&accepted) {
        world.success(destroy).await;
        world.nothing_left(accepted.tenant.id).await;
    }
    workers.shutdown().await;
}
