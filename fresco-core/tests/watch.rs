//! What becomes of a tenant that does in the database what harms the others, in memory and on
//! paused time.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::time::Duration;

use fresco_core::memory::{MemoryDatabase, MemoryWorld};
use fresco_core::{
    Accepted, Action, Actor, AppProfile, DatabaseWatch, DesiredState, ErrorKind, NewOperation,
    OperationId, OperationStatus, Orchestrator, OwnerId, Settings, Step, Store, Target, TenantId,
    TenantSpec, TenantState, TenantStatus, Workers,
};

struct Platform {
    world: MemoryWorld,
    orchestrator: Orchestrator,
    _workers: Workers,
}

impl Platform {
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

    /// Without any look but those of the test.
    async fn unwatched() -> Self {
        Self::with(|settings| settings.watch_interval = None).await
    }

    async fn active(&self) -> TenantId {
        let (name, image) = ("my-study".parse().unwrap(), "memory/app:1".parse().unwrap());
        let spec = TenantSpec::new(OwnerId::new("alice"), name, AppProfile::generic(), image);
        let accepted = self.orchestrator.deploy(TenantId::new(), spec, owner()).await.unwrap();
        assert_eq!(self.end(&accepted).await, OperationStatus::Success);
        accepted.tenant.id
    }

    async fn end(&self, accepted: &Accepted) -> OperationStatus {
        self.end_of(accepted.operation.id).await
    }

    async fn end_of(&self, operation: OperationId) -> OperationStatus {
        let wait = self.orchestrator.wait(operation);
        tokio::time::timeout(Duration::from_secs(7200), wait).await.unwrap().unwrap().status
    }

    async fn state(&self, id: TenantId) -> TenantState {
        self.orchestrator.tenant(id).await.unwrap().state
    }

    fn keep_too_much(&self, id: TenantId) {
        let size = usize::try_from(MemoryDatabase::SIZE_LIMIT).unwrap();
        self.world.put(id, "all", &"x".repeat(size)).unwrap();
    }

    /// A tenant that the platform stopped.
    async fn stopped(&self) -> TenantId {
        let id = self.active().await;
        self.keep_too_much(id);
        assert_eq!(self.orchestrator.watch_database().await.unwrap().len(), 1);
        let stop = self.orchestrator.operations(id, 1).await.unwrap().remove(0);
        assert_eq!((stop.action, stop.actor), (Action::Stop, Actor::System));
        assert_eq!(self.end_of(stop.id).await, OperationStatus::Success);
        id
    }

    async fn barred(&self, id: TenantId) -> bool {
        !self.world.database().barred(Some(id)).await.unwrap().is_empty()
    }
}

fn owner() -> Actor {
    Actor::User("alice".into())
}

#[tokio::test(start_paused = true)]
async fn it_is_stopped_and_its_owner_learns_why() {
    let platform = Platform::unwatched().await;
    let id = platform.stopped().await;
    let state = platform.state(id).await;
    assert_eq!((state.status, state.desired), (TenantStatus::Stopped, DesiredState::Stopped));
    let error = state.error.expect("a reason");
    assert_eq!((error.kind, error.step), (ErrorKind::Exhausted, None));
    assert!(error.message.contains("2 MB on disk, and 1 MB are allowed"), "{error}");
    assert!(error.message.contains("Its data is kept"), "{error}");
    assert!(platform.world.data(id).unwrap().contains_key("all"), "its data is kept");
    assert!(!platform.orchestrator.inventory(id).await.unwrap().containers[0].is_running());
}

#[tokio::test(start_paused = true)]
async fn it_is_found_by_the_workers_themselves_within_ten_seconds() {
    let platform = Platform::with(|_| {}).await;
    let id = platform.active().await;
    platform.keep_too_much(id);
    let begun = tokio::time::Instant::now();
    while platform.state(id).await.status != TenantStatus::Stopped {
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", platform.state(id).await);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_but_a_person_starts_it_again() {
    let platform = Platform::unwatched().await;
    let id = platform.stopped().await;
    for _ in 0..3 {
        platform.world.advance(Duration::from_secs(3600));
        let found = platform.orchestrator.reconcile().await.unwrap();
        assert_eq!(found.repairs, [], "the reconciler left it alone");
        assert_eq!(platform.orchestrator.watch_database().await.unwrap(), []);
    }
    assert_eq!(platform.state(id).await.status, TenantStatus::Stopped);
    assert_eq!(platform.orchestrator.operations(id, 10).await.unwrap().len(), 2);

    platform.world.put(id, "all", "little").unwrap();
    let accepted = platform.orchestrator.start_tenant(id, owner()).await.unwrap();
    assert_eq!(platform.end(&accepted).await, OperationStatus::Success);
    let state = platform.state(id).await;
    assert_eq!((state.status, state.error), (TenantStatus::Active, None));
    assert!(!platform.barred(id).await);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_started_as_it_was_is_stopped_again() {
    let platform = Platform::unwatched().await;
    let id = platform.stopped().await;
    let accepted = platform.orchestrator.start_tenant(id, owner()).await.unwrap();
    assert_eq!(platform.end(&accepted).await, OperationStatus::Success);
    assert_eq!(platform.orchestrator.watch_database().await.unwrap().len(), 1);
    let stop = platform.orchestrator.operations(id, 1).await.unwrap().remove(0);
    assert_eq!(platform.end_of(stop.id).await, OperationStatus::Success);
    assert!(platform.barred(id).await);
}

/// The role is barred, and its container died before the stop could be asked for: what the
/// reconciler would do for any other tenant, it must not do for this one.
#[tokio::test(start_paused = true)]
async fn the_reconciler_does_not_bring_back_one_whose_stop_is_still_to_come() {
    let platform = Platform::unwatched().await;
    let id = platform.active().await;
    platform.keep_too_much(id);
    platform.world.database().inspect().await.unwrap();
    let container = platform.state(id).await.container.unwrap().id;
    let runtime = &platform.orchestrator.backends().runtime;
    runtime.stop(&container, Duration::from_secs(1)).await.unwrap();
    assert_eq!(platform.orchestrator.reconcile().await.unwrap().repairs, []);

    // A start that the platform had asked for before is refused with the reason.
    let tenant = platform.orchestrator.tenant(id).await.unwrap();
    let target = Target { spec: tenant.spec.clone(), image: tenant.state.image.clone() };
    let operation = NewOperation::new(Action::Start, Actor::System, target);
    let store = platform.world.store();
    store.request(id, tenant.generation, &operation).await.unwrap();
    assert_eq!(platform.end_of(operation.id).await, OperationStatus::Failed);
    let error = platform.orchestrator.operation(operation.id).await.unwrap().error.unwrap();
    assert_eq!(error.step, Some(Step::Start));
    assert!(error.message.contains("does not start it"), "{error}");
    assert!(platform.barred(id).await);

    // The next look asks for the stop.
    assert_eq!(platform.orchestrator.watch_database().await.unwrap(), []);
    let stop = platform.orchestrator.operations(id, 1).await.unwrap().remove(0);
    assert_eq!(
        (stop.action, platform.end_of(stop.id).await),
        (Action::Stop, OperationStatus::Success)
    );
    assert!(platform.state(id).await.error.unwrap().message.contains("stopped this tenant"));
}
