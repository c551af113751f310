//! The engine, in memory and on paused time: what each operation leads to, and how it fails.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::time::Duration;

use fresco_core::memory::{MemoryApp, MemoryWorld};
use fresco_core::{
    Accepted, Action, Actor, AppProfile, DesiredState, ErrorKind, Isolation, Operation,
    OperationStatus, Orchestrator, OwnerId, Settings, Step, TenantId, TenantSpec, TenantStatus,
    Update,
};

struct Platform {
    world: MemoryWorld,
    orchestrator: Orchestrator,
    _workers: fresco_core::Workers,
}

impl Platform {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let world = MemoryWorld::new();
        let domain = "example.org".parse().unwrap();
        let builder = Orchestrator::builder(world.backends(), domain).settings(|settings| {
            settings.reconcile_interval = None;
            change(settings);
        });
        let orchestrator = builder.build().await.unwrap();
        let workers = orchestrator.start();
        Self { world, orchestrator, _workers: workers }
    }

    /// Lets an image stand for this app.
    fn app(&self, name: &str, app: MemoryApp) {
        self.world.image(name.parse().unwrap(), app);
    }

    async fn deploy(&self, image: &str, isolation: Isolation) -> Accepted {
        let spec = spec("my-study", image).with_isolation(isolation);
        self.orchestrator.deploy(TenantId::new(), spec, Actor::System).await.unwrap()
    }

    async fn end(&self, accepted: &Accepted) -> Operation {
        let wait = self.orchestrator.wait(accepted.operation.id);
        tokio::time::timeout(Duration::from_secs(7200), wait).await.expect("it ends").unwrap()
    }

    async fn active(&self) -> TenantId {
        let accepted = self.deploy("memory/app:1", Isolation::Schema).await;
        let operation = self.end(&accepted).await;
        assert_eq!(operation.status, OperationStatus::Success, "{operation:#?}");
        accepted.tenant.id
    }

    async fn status(&self, id: TenantId) -> TenantStatus {
        self.orchestrator.tenant(id).await.unwrap().state.status
    }

    /// A create that fails and leaves nothing.
    async fn fails(&self, image: &str, isolation: Isolation) -> Operation {
        let accepted = self.deploy(image, isolation).await;
        let operation = self.end(&accepted).await;
        assert_eq!(operation.status, OperationStatus::Failed, "{operation:#?}");
        let id = accepted.tenant.id;
        assert_eq!(self.status(id).await, TenantStatus::Error);
        assert!(self.orchestrator.inventory(id).await.unwrap().is_empty());
        operation
    }
}

fn spec(subdomain: &str, image: &str) -> TenantSpec {
    let (name, image) = (subdomain.parse().unwrap(), image.parse().unwrap());
    TenantSpec::new(OwnerId::new("alice"), name, AppProfile::generic(), image)
}

#[tokio::test(start_paused = true)]
async fn an_app_that_ends_at_boot() {
    let platform = Platform::new().await;
    platform.app("bad:1", MemoryApp::exits(3, ["migrating", "no such table"]));
    let error = platform.fails("bad:1", Isolation::Schema).await.error.unwrap();
    assert_eq!(error.step, Some(Step::Ready));
    assert!(error.message.contains("exit code 3"), "{error}");
    // It was started once more, in case its database had been away.
    assert_eq!(error.log_tail, ["migrating", "no such table"].repeat(2));
}

#[tokio::test(start_paused = true)]
async fn an_app_that_uses_too_much_memory_at_boot() {
    let platform = Platform::new().await;
    platform.app("bad:1", MemoryApp::out_of_memory());
    let error = platform.fails("bad:1", Isolation::Schema).await.error.unwrap();
    assert_eq!(error.kind, ErrorKind::Exhausted);
    assert!(error.message.contains("512 MB"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn an_app_that_never_listens() {
    let platform = Platform::new().await;
    platform.app("bad:1", MemoryApp::never_ready());
    let error = platform.fails("bad:1", Isolation::Schema).await.error.unwrap();
    assert_eq!((error.kind, error.step), (ErrorKind::TimedOut, Some(Step::Ready)));
    assert!(error.message.contains("180 s"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn an_app_that_takes_its_time() {
    let platform = Platform::new().await;
    platform.app("slow:1", MemoryApp::slow(Duration::from_secs(150)));
    let accepted = platform.deploy("slow:1", Isolation::Schema).await;
    assert_eq!(platform.end(&accepted).await.status, OperationStatus::Success);
}

#[tokio::test(start_paused = true)]
async fn an_app_that_names_public_needs_a_database_of_its_own() {
    let platform = Platform::new().await;
    platform.app("public:1", MemoryApp::needs_public());
    let error = platform.fails("public:1", Isolation::Schema).await.error.unwrap();
    assert_eq!(error.step, Some(Step::Ready));
    let id = platform.orchestrator.tenants(&fresco_core::TenantQuery::all()).await.unwrap();
    let destroy = platform.orchestrator.destroy_tenant(id.tenants[0].id, Actor::System).await;
    platform.end(&destroy.unwrap()).await;
    let accepted = platform.deploy("public:1", Isolation::Database).await;
    assert_eq!(platform.end(&accepted).await.status, OperationStatus::Success);
}

#[tokio::test(start_paused = true)]
async fn an_image_that_does_not_exist() {
    let platform = Platform::new().await;
    let error = platform.fails("no/such:1", Isolation::Schema).await.error.unwrap();
    assert_eq!((error.kind, error.step), (ErrorKind::NotFound, Some(Step::Image)));
    assert!(error.message.contains("no/such:1"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn restart_creates_again_what_failed() {
    let platform = Platform::new().await;
    platform.fails("later:1", Isolation::Schema).await;
    platform.app("later:1", MemoryApp::healthy());
    let tenants = platform.orchestrator.tenants(&fresco_core::TenantQuery::all()).await.unwrap();
    let id = tenants.tenants[0].id;
    let stop = platform.orchestrator.stop_tenant(id, Actor::System).await.unwrap_err();
    assert_eq!(stop.kind(), ErrorKind::Conflict);
    let again = platform.orchestrator.restart_tenant(id, Actor::System).await.unwrap();
    assert_eq!(again.operation.action, Action::Create);
    assert_eq!(platform.end(&again).await.status, OperationStatus::Success);
    assert_eq!(platform.status(id).await, TenantStatus::Active);
}

#[tokio::test(start_paused = true)]
async fn stop_and_start_keep_data_and_credentials() {
    let platform = Platform::new().await;
    let id = platform.active().await;
    platform.world.put(id, "answer", "42").unwrap();
    let before = platform.orchestrator.tenant(id).await.unwrap();
    let stop = platform.orchestrator.stop_tenant(id, Actor::System).await.unwrap();
    platform.end(&stop).await;
    assert_eq!(platform.status(id).await, TenantStatus::Stopped);
    let start = platform.orchestrator.start_tenant(id, Actor::System).await.unwrap();
    assert_eq!(platform.end(&start).await.status, OperationStatus::Success);
    let after = platform.orchestrator.tenant(id).await.unwrap();
    assert_eq!(after.state.container, before.state.container);
    assert_eq!(platform.world.data(id).unwrap()["answer"], "42");
}

#[tokio::test(start_paused = true)]
async fn starting_what_runs_and_stopping_twice_are_no_errors() {
    let platform = Platform::new().await;
    let id = platform.active().await;
    for _ in 0..2 {
        let start = platform.orchestrator.start_tenant(id, Actor::System).await.unwrap();
        assert_eq!(platform.end(&start).await.status, OperationStatus::Success);
    }
    for _ in 0..2 {
        let stop = platform.orchestrator.stop_tenant(id, Actor::System).await.unwrap();
        assert_eq!(platform.end(&stop).await.status, OperationStatus::Success);
    }
}

#[tokio::test(start_paused = true)]
async fn an_update_that_fails_goes_back() {
    let platform = Platform::new().await;
    let id = platform.active().await;
    let before = platform.orchestrator.tenant(id).await.unwrap();
    platform.app("bad:1", MemoryApp::exits(1, ["migrated half of it"]));
    let update = Update::image("bad:1".parse().unwrap());
    let update = platform.orchestrator.update_tenant(id, update, Actor::System).await.unwrap();
    let failed = platform.end(&update).await;
    let error = failed.error.unwrap();
    assert_eq!(error.log_tail, ["migrated half of it"; 2]);
    assert!(error.message.contains("previous version runs again"), "{error}");
    let after = platform.orchestrator.tenant(id).await.unwrap();
    assert_eq!(after.state.status, TenantStatus::Active);
    assert_eq!((after.spec, after.state.image), (before.spec, before.state.image));
}

#[tokio::test(start_paused = true)]
async fn a_version_that_an_update_goes_back_to_has_its_whole_boot_time() {
    // Enough for one version that takes its time, not for one that fails and one that takes it.
    let budget = Duration::from_secs(200);
    let platform = Platform::with(|settings| settings.operation_budget = budget).await;
    platform.app("slow:1", MemoryApp::slow(Duration::from_secs(150)));
    platform.app("bad:1", MemoryApp::never_ready());
    let create = platform.deploy("slow:1", Isolation::Schema).await;
    assert_eq!(platform.end(&create).await.status, OperationStatus::Success);
    let (id, begun) = (create.tenant.id, tokio::time::Instant::now());
    let update = Update::image("bad:1".parse().unwrap());
    let update = platform.orchestrator.update_tenant(id, update, Actor::System).await.unwrap();
    let error = platform.end(&update).await.error.unwrap();
    assert!(begun.elapsed() > budget, "the new version should have used up the time");
    assert!(error.message.contains("previous version runs again"), "{error}");
    assert_eq!(platform.status(id).await, TenantStatus::Active);
}

#[tokio::test(start_paused = true)]
async fn an_update_of_a_stopped_tenant_whose_image_is_missing_leaves_it_stopped() {
    let platform = Platform::new().await;
    let id = platform.active().await;
    let stop = platform.orchestrator.stop_tenant(id, Actor::System).await.unwrap();
    platform.end(&stop).await;
    let update = Update::image("no/such:1".parse().unwrap());
    let update = platform.orchestrator.update_tenant(id, update, Actor::System).await.unwrap();
    assert_eq!(platform.end(&update).await.status, OperationStatus::Failed);
    let tenant = platform.orchestrator.tenant(id).await.unwrap();
    assert_eq!(tenant.state.status, TenantStatus::Stopped);
    assert_eq!(tenant.state.desired, DesiredState::Stopped);
}

#[tokio::test(start_paused = true)]
async fn destroy_takes_the_place_of_what_hangs() {
    let platform = Platform::new().await;
    platform.app("bad:1", MemoryApp::never_ready());
    let create = platform.deploy("bad:1", Isolation::Schema).await;
    let id = create.tenant.id;
    // On paused time this lets the worker come to its wait.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let stop = platform.orchestrator.stop_tenant(id, Actor::System).await.unwrap_err();
    assert_eq!(stop.kind(), ErrorKind::Conflict);
    let destroy = platform.orchestrator.destroy_tenant(id, Actor::System).await.unwrap();
    assert_eq!(platform.end(&destroy).await.status, OperationStatus::Success);
    let create = platform.end(&create).await;
    assert!(create.error.unwrap().message.starts_with("cancelled"));
    assert!(platform.orchestrator.inventory(id).await.unwrap().is_empty());
    assert_eq!(platform.status(id).await, TenantStatus::Destroyed);
    let again = platform.orchestrator.start_tenant(id, Actor::System).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::NotFound);
}

#[tokio::test(start_paused = true)]
async fn a_subdomain_is_taken_once_and_free_after_destroy() {
    let platform = Platform::new().await;
    let id = platform.active().await;
    let spec = spec("my-study", "memory/app:1");
    let deploy = |id| platform.orchestrator.deploy(id, spec.clone(), Actor::System);
    assert_eq!(deploy(TenantId::new()).await.unwrap_err().kind(), ErrorKind::Conflict);
    // The same id again is the same request again.
    assert_eq!(deploy(id).await.unwrap().tenant.id, id);
    let destroy = platform.orchestrator.destroy_tenant(id, Actor::System).await.unwrap();
    platform.end(&destroy).await;
    assert!(deploy(TenantId::new()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn fifty_tenants_at_once() {
    let platform = Platform::new().await;
    let mut accepted = Vec::new();
    for number in 0..50 {
        let spec = spec(&format!("study-{number}"), "memory/app:1");
        let id = TenantId::new();
        accepted.push(platform.orchestrator.deploy(id, spec, Actor::System).await.unwrap());
    }
    for accepted in &accepted {
        assert_eq!(platform.end(accepted).await.status, OperationStatus::Success);
    }
}

#[tokio::test(start_paused = true)]
async fn what_vanished_is_made_again_and_what_is_unknown_is_left_alone() {
    let platform = Platform::new().await;
    let id = platform.active().await;
    platform.world.put(id, "answer", "42").unwrap();
    let container = platform.orchestrator.tenant(id).await.unwrap().state.container.unwrap();
    platform.orchestrator.backends().runtime.remove(&container.id).await.unwrap();
    let found = platform.orchestrator.reconcile().await.unwrap();
    assert_eq!(found.repairs, [(id, Action::Start)]);
    let operations = platform.orchestrator.operations(id, 1).await.unwrap();
    let wait = platform.orchestrator.wait(operations[0].id).await.unwrap();
    assert_eq!(wait.status, OperationStatus::Success, "{wait:#?}");
    assert_eq!(platform.world.data(id).unwrap()["answer"], "42");
    let found = platform.orchestrator.reconcile().await.unwrap();
    assert_eq!(found, fresco_core::Reconciliation::default());
}
