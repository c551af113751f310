//! Callers of the ports, tested alone: the port is a mock that allows exactly what is named here
//! and panics at any other call.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use fresco_core::memory::MemoryWorld;
use fresco_core::{
    Action, Actor, AppProfile, ContainerRuntime, CredentialId, Entry, Error, ErrorKind, Event,
    Generation, Health, ImageId, ImageSource, Instance, InstanceId, InstanceSpec, Lease,
    LeaseTerms, LogLine, LogQuery, NewOperation, Operation, OperationId, OperationPage,
    OperationQuery, OperationStatus, Orchestrator, OwnerId, PlatformId, ProgressSink, PullProgress,
    Reach, Result, Revision, Store, Target, Tenant, TenantId, TenantPage, TenantQuery, TenantSpec,
    WorkerId,
};
use futures_util::FutureExt;
use futures_util::stream::BoxStream;
use mockall::mock;

mock! {
    Runtime {}

    #[async_trait]
    impl ContainerRuntime for Runtime {
        async fn prepare(&self, image: &ImageSource, progress: &ProgressSink) -> Result<ImageId>;
        async fn ensure(&self, spec: &InstanceSpec) -> Result<Instance>;
        async fn start(&self, instance: &InstanceId) -> Result<Instance>;
        async fn stop(&self, instance: &InstanceId, grace: Duration) -> Result<()>;
        async fn remove(&self, instance: &InstanceId) -> Result<()>;
        async fn list(&self, tenant: Option<TenantId>) -> Result<Vec<Instance>>;
        async fn logs(
            &self,
            instance: &InstanceId,
            query: &LogQuery,
        ) -> Result<BoxStream<'static, Result<LogLine>>>;
        async fn probe(&self, instance: &InstanceId, port: u16, path: &str) -> Result<Reach>;
        async fn health(&self) -> Result<Health>;
    }
}

mock! {
    Store {}

    #[async_trait]
    impl Store for Store {
        async fn platform(&self) -> Result<PlatformId>;
        async fn create(
            &self,
            tenant: TenantId,
            spec: &TenantSpec,
            operation: &NewOperation,
        ) -> Result<(Tenant, Operation)>;
        async fn request(
            &self,
            tenant: TenantId,
            seen: Generation,
            operation: &NewOperation,
        ) -> Result<Operation>;
        async fn lease(&self, worker: WorkerId, terms: &LeaseTerms) -> Result<Option<Lease>>;
        async fn renew(&self, lease: &Lease, ttl: Duration) -> Result<()>;
        async fn record(&self, lease: &Lease, entry: &Entry) -> Result<Operation>;
        async fn release(&self, lease: &Lease, retry_after: Duration) -> Result<()>;
        async fn tenants(&self, query: &TenantQuery) -> Result<TenantPage>;
        async fn operation(&self, id: OperationId) -> Result<Operation>;
        async fn operations(&self, tenant: TenantId, limit: u32) -> Result<Vec<Operation>>;
        async fn history(&self, query: &OperationQuery) -> Result<OperationPage>;
        async fn events(
            &self,
            operation: OperationId,
            after: u64,
        ) -> Result<BoxStream<'static, Result<Event>>>;
        async fn announce(&self, operation: OperationId, progress: &PullProgress) -> Result<()>;
        async fn health(&self) -> Result<Health>;
    }
}

impl fmt::Debug for MockStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MockStore")
    }
}

impl fmt::Debug for MockRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MockRuntime")
    }
}

async fn orchestrator(runtime: MockRuntime) -> Orchestrator {
    let mut backends = MemoryWorld::new().backends();
    backends.runtime = Arc::new(runtime);
    let builder = Orchestrator::builder(backends, "example.org".parse().unwrap());
    let builder = builder.settings(|settings| {
        settings.reconcile_interval = None;
        settings.operation_budget = Duration::from_secs(60);
        settings.max_deaths = 3;
    });
    builder.build().await.unwrap()
}

fn stranger() -> Instance {
    Instance::new(
        InstanceId::new("c0ffee"),
        TenantId::new(),
        Generation::new(1),
        CredentialId::new(),
        Revision::new("0"),
        ImageId::new("sha256:0"),
    )
}

fn spec() -> TenantSpec {
    let (name, image) = ("my-study".parse().unwrap(), "app:1".parse().unwrap());
    TenantSpec::new(OwnerId::new("alice"), name, AppProfile::generic(), image)
}

#[tokio::test(start_paused = true)]
async fn reconcile_touches_nothing_that_the_store_never_knew() {
    let unknown = stranger();
    let id = unknown.tenant;
    let mut runtime = MockRuntime::new();
    // Listing is all that is allowed: a removal would panic.
    runtime.expect_list().times(1).return_once(move |_| Ok(vec![unknown]));
    let found = orchestrator(runtime).await.reconcile().await.unwrap();
    assert_eq!(found.unknown, [id]);
    assert!(found.removed.is_empty() && found.repairs.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_create_that_fails_at_its_image_asks_the_runtime_for_nothing_but_what_there_is() {
    let mut runtime = MockRuntime::new();
    let missing = |_: &ImageSource, _: &ProgressSink| Err(Error::new(ErrorKind::NotFound, "none"));
    runtime.expect_prepare().times(1).returning(missing);
    // Once, to take back: there is nothing, so nothing is stopped or removed.
    runtime.expect_list().times(1).returning(|_| Ok(Vec::new()));
    let orchestrator = orchestrator(runtime).await;
    let _workers = orchestrator.start();
    let deploy = orchestrator.deploy(TenantId::new(), spec(), Actor::System).await.unwrap();
    let operation = orchestrator.wait(deploy.operation.id).await.unwrap();
    assert_eq!(operation.status, OperationStatus::Failed);
}

#[tokio::test(start_paused = true)]
async fn a_transient_failure_is_tried_again_with_growing_pauses_until_the_deadline() {
    let mut runtime = MockRuntime::new();
    let away = |_: &ImageSource, _: &ProgressSink| Err(Error::new(ErrorKind::Unavailable, "away"));
    // 0.25 s doubling up to 10 s: 11 tries fit into the minute.
    runtime.expect_prepare().times(8..=12).returning(away);
    runtime.expect_list().times(1).returning(|_| Ok(Vec::new()));
    let orchestrator = orchestrator(runtime).await;
    let _workers = orchestrator.start();
    let deploy = orchestrator.deploy(TenantId::new(), spec(), Actor::System).await.unwrap();
    let operation = orchestrator.wait(deploy.operation.id).await.unwrap();
    assert_eq!(operation.error.unwrap().kind, ErrorKind::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_panics_ends_no_worker_and_the_operation_is_given_up() {
    let mut runtime = MockRuntime::new();
    runtime.expect_prepare().returning(|_, _| panic!("a fault in a backend"));
    runtime.expect_list().returning(|_| Ok(Vec::new()));
    let orchestrator = orchestrator(runtime).await;
    let _workers = orchestrator.start();
    let deploy = orchestrator.deploy(TenantId::new(), spec(), Actor::System).await.unwrap();
    let wait = orchestrator.wait(deploy.operation.id);
    let operation = tokio::time::timeout(Duration::from_secs(3600), wait).await.unwrap().unwrap();
    assert_eq!(operation.status, OperationStatus::Failed);
    let error = operation.error.unwrap();
    assert!(error.message.contains("again and again"), "{error}");
}

#[tokio::test]
async fn a_store_is_never_asked_for_what_no_tenant_can_have() {
    let world = MemoryWorld::new();
    let all = world.store();
    let target = Target { spec: spec(), image: None };
    let create = NewOperation::new(Action::Create, Actor::System, target);
    all.create(TenantId::new(), &spec(), &create).await.unwrap();
    let mut store = MockStore::new();
    store.expect_platform().returning(|| Ok(PlatformId::new()));
    // As PostgreSQL does: a NUL is refused, wherever it stands. Whatever else is asked for, the
    // world's own store answers.
    store.expect_tenants().returning(move |query| {
        let owner = query.owner.as_ref().map(OwnerId::as_str).unwrap_or_default();
        let search = query.search.as_deref().unwrap_or_default();
        if owner.contains('\0') || search.contains('\0') {
            return Err(Error::new(ErrorKind::Internal, "invalid byte sequence"));
        }
        all.tenants(query).now_or_never().expect("a store in memory answers at once")
    });
    let mut backends = world.backends();
    backends.store = Arc::new(store);
    let builder = Orchestrator::builder(backends, "example.org".parse().unwrap());
    let orchestrator = builder.build().await.unwrap();
    for (search, owner, expected) in [
        (Some("y-st"), Some("alice"), 1),
        (Some("my\0study"), None, 0),
        (Some("my study"), Some("alice"), 0),
        (None, Some("ali\0ce"), 0),
        (Some("my-study"), Some("\0"), 0),
    ] {
        let mut query = TenantQuery::all();
        query.search = search.map(str::to_owned);
        query.owner = owner.map(OwnerId::new);
        let page = orchestrator.tenants(&query).await.unwrap();
        assert_eq!((page.total, page.tenants.len()), (expected, expected as usize), "{query:?}");
    }
}
