//! What the in-memory apps do beyond the promises of the ports.
// Helpers of tests may fail like the tests themselves.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use fresco_core::memory::{MemoryApp, MemoryWorld};
use fresco_core::{
    AppProfile, ContainerRuntime, DatabaseSpec, ErrorKind, Fence, Generation, ImageSource,
    Instance, InstanceId, InstanceSpec, InstanceState, Isolation, LeaseTerms, Limits, LogQuery,
    LogStream, ProgressSink, Reach, Store, TenantDatabase, TenantId, WorkerId,
};
use futures_util::StreamExt;

const APP: &str = "my/app:1";

/// Starts a tenant's app with credentials of its own, as the engine does.
async fn started(world: &MemoryWorld, tenant: TenantId, isolation: Isolation) -> Instance {
    let (database, runtime) = (world.database(), world.runtime());
    let fence = Fence { tenant, generation: Generation::new(1) };
    database.ensure(&DatabaseSpec::new(fence, isolation, 10)).await.unwrap();
    let credentials = database.issue(fence).await.unwrap();
    let image = ImageSource::Named(APP.parse().unwrap());
    let image = runtime.prepare(&image, &ProgressSink::ignore()).await.unwrap();
    let mut app = AppProfile::generic();
    app.environment.remove(&"DATABASE_URL_UNPOOLED".parse().unwrap());
    let subdomain = "my-study".parse().unwrap();
    let environment = app.render("http://x", &subdomain, &credentials).unwrap();
    let limits = Limits::for_app(&app);
    let (generation, credential) = (Generation::new(1), credentials.id);
    let mut spec = InstanceSpec::new(tenant, subdomain, generation, credential, image, app, limits);
    spec.environment = environment;
    let made = runtime.ensure(&spec).await.unwrap();
    runtime.start(&made.id).await.unwrap()
}

async fn probe(world: &MemoryWorld, id: &InstanceId) -> Reach {
    world.runtime().probe(id, 3000, "/signin").await.unwrap()
}

async fn log(world: &MemoryWorld, id: &InstanceId) -> Vec<String> {
    let lines = world.runtime().logs(id, &LogQuery::last(10)).await.unwrap();
    lines.map(|line| line.unwrap().text).collect().await
}

async fn sessions(world: &MemoryWorld, tenant: TenantId) -> u32 {
    world.database().activity(tenant).await.unwrap().sessions
}

fn world(app: MemoryApp) -> MemoryWorld {
    let world = MemoryWorld::new();
    world.image(APP.parse().unwrap(), app);
    world
}

#[tokio::test]
async fn a_healthy_app_logs_in_and_its_pages_stay_green_when_it_is_locked_out() {
    let (world, tenant) = (world(MemoryApp::healthy()), TenantId::new());
    let before = world.database().activity(tenant).await.unwrap().now;
    let instance = started(&world, tenant, Isolation::Schema).await;
    let activity = world.database().activity(tenant).await.unwrap();
    assert!(activity.newest_session > Some(before));
    assert_eq!(activity.sessions, 1);
    world.put(tenant, "visits", "3").unwrap();
    let fence = Fence { tenant, generation: Generation::new(2) };
    world.database().issue(fence).await.unwrap();
    assert_eq!(sessions(&world, tenant).await, 0, "its password is no longer the right one");
    assert_eq!(probe(&world, &instance.id).await, Reach::Status(200));
    // It can't log in after a restart, either, and says so.
    world.runtime().stop(&instance.id, Duration::ZERO).await.unwrap();
    world.runtime().start(&instance.id).await.unwrap();
    assert_eq!(sessions(&world, tenant).await, 0);
    assert!(log(&world, &instance.id).await.iter().any(|line| line.contains("does not know")));
    assert_eq!(world.data(tenant).unwrap()["visits"], "3", "its data is kept");
}

#[tokio::test]
async fn a_session_ends_with_its_container() {
    let (world, tenant) = (world(MemoryApp::healthy()), TenantId::new());
    started(&world, tenant, Isolation::Database).await;
    assert_eq!(sessions(&world, tenant).await, 1);
    world.outsider().crash(tenant, 7);
    assert_eq!(sessions(&world, tenant).await, 0);
    let listed = world.runtime().list(Some(tenant)).await.unwrap();
    assert_eq!(listed[0].state, InstanceState::Exited { code: 7, out_of_memory: false });
}

#[tokio::test(start_paused = true)]
async fn a_slow_app_is_ready_once_its_time_came() {
    let (world, tenant) = (world(MemoryApp::slow(Duration::from_secs(30))), TenantId::new());
    let instance = started(&world, tenant, Isolation::Schema).await;
    tokio::time::sleep(Duration::from_secs(29)).await;
    assert!(matches!(probe(&world, &instance.id).await, Reach::Unreachable(_)));
    assert_eq!(sessions(&world, tenant).await, 0);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(probe(&world, &instance.id).await, Reach::Status(200));
    assert_eq!(sessions(&world, tenant).await, 1);
}

#[tokio::test]
async fn an_app_that_names_public_fails_in_a_schema_only() {
    for (isolation, works) in [(Isolation::Schema, false), (Isolation::Database, true)] {
        let (world, tenant) = (world(MemoryApp::needs_public()), TenantId::new());
        let instance = started(&world, tenant, isolation).await;
        assert_eq!(instance.is_running(), works, "{isolation:?}");
        let lines = log(&world, &instance.id).await;
        assert_eq!(lines.iter().any(|line| line.contains("public")), !works, "{lines:?}");
    }
}

#[tokio::test]
async fn apps_that_end_say_how() {
    let world = world(MemoryApp::exits(9, ["one", "two"]));
    let instance = started(&world, TenantId::new(), Isolation::Schema).await;
    assert_eq!(instance.state, InstanceState::Exited { code: 9, out_of_memory: false });
    assert_eq!(log(&world, &instance.id).await, ["one", "two"]);
    world.image(APP.parse().unwrap(), MemoryApp::out_of_memory());
    let instance = started(&world, TenantId::new(), Isolation::Schema).await;
    assert_eq!(instance.state, InstanceState::Exited { code: 137, out_of_memory: true });
}

#[tokio::test]
async fn a_log_is_followed_until_the_container_ends() {
    let app = MemoryApp::healthy().printing(LogStream::Stdout, "first");
    let (world, tenant) = (world(app), TenantId::new());
    let instance = started(&world, tenant, Isolation::Schema).await;
    let runtime = world.runtime();
    let lines = runtime.logs(&instance.id, &LogQuery::last(1).follow()).await.unwrap();
    let following = tokio::spawn(lines.count());
    world.outsider().crash(tenant, 1);
    let told = tokio::time::timeout(Duration::from_secs(10), following).await.unwrap().unwrap();
    assert_eq!(told, 1, "the newest line, and then the end");
}

#[tokio::test(start_paused = true)]
async fn leases_end_by_tokios_clock() {
    let world = MemoryWorld::new();
    let store = world.store();
    let image = "memory/app:1".parse().unwrap();
    let spec = fresco_core::TenantSpec::new(
        fresco_core::OwnerId::new("owner"),
        "my-study".parse().unwrap(),
        AppProfile::generic(),
        image,
    );
    let target = fresco_core::Target { spec: spec.clone(), image: None };
    let (action, actor) = (fresco_core::Action::Create, fresco_core::Actor::System);
    let operation = fresco_core::NewOperation::new(action, actor, target);
    store.create(TenantId::new(), &spec, &operation).await.unwrap();
    let terms = LeaseTerms { ttl: Duration::from_secs(60), budget: Duration::from_secs(600) };
    let lease = store.lease(WorkerId::new(), &terms).await.unwrap().unwrap();
    assert!(store.lease(WorkerId::new(), &terms).await.unwrap().is_none());
    tokio::time::sleep(Duration::from_secs(61)).await;
    let heir = store.lease(WorkerId::new(), &terms).await.unwrap().unwrap();
    assert_eq!(heir.deaths, 1);
    assert_eq!(store.renew(&lease, terms.ttl).await.unwrap_err().kind(), ErrorKind::LeaseLost);
}

#[tokio::test]
async fn debug_output_holds_no_secret() {
    let (world, tenant) = (world(MemoryApp::healthy()), TenantId::new());
    let fence = Fence { tenant, generation: Generation::new(1) };
    let database = world.database();
    database.ensure(&DatabaseSpec::new(fence, Isolation::Schema, 1)).await.unwrap();
    let credentials = database.issue(fence).await.unwrap();
    let session = database.connect(&credentials.direct).unwrap();
    let error = database.connect(&credentials.direct).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Exhausted, "the role's limit is one connection");
    let text = format!("{world:?} {session:?} {error:?} {credentials:?}");
    assert!(!text.contains("memory://"), "{text}");
}
