//! A world in which things happen between two calls of a comparison.

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use fresco_core::memory::{MemoryRuntime, MemoryStore, MemoryWorld};
use fresco_core::*;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use tokio::sync::watch;

/// What shall happen once, right after an answer was made and before it is given.
#[derive(Clone, Default)]
pub(crate) struct Meanwhile(Arc<Mutex<Option<BoxFuture<'static, ()>>>>);

impl Meanwhile {
    pub(crate) fn set(&self, what: impl Future<Output = ()> + Send + 'static) {
        *self.0.lock().unwrap() = Some(Box::pin(what));
    }

    async fn happen(&self) {
        let what = self.0.lock().unwrap().take();
        if let Some(what) = what {
            what.await;
        }
    }
}

impl fmt::Debug for Meanwhile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Meanwhile")
    }
}

/// A runtime in which things happen while all containers are listed, or those of one tenant, and
/// whose starts can be held.
#[derive(Clone, Debug)]
pub(crate) struct Runtime {
    pub(crate) inner: MemoryRuntime,
    pub(crate) listed: Meanwhile,
    pub(crate) listed_one: Meanwhile,
    pub(crate) lists: Arc<AtomicUsize>,
    pub(crate) held: watch::Sender<bool>,
}

impl Runtime {
    /// Waits until a start is held.
    pub(crate) async fn start_is_held(&self) {
        let wait = async {
            while self.held.receiver_count() == 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), wait).await.expect("a start is held");
    }
}

#[async_trait]
impl ContainerRuntime for Runtime {
    async fn prepare(&self, image: &ImageSource, progress: &ProgressSink) -> Result<ImageId> {
        self.inner.prepare(image, progress).await
    }
    async fn ensure(&self, spec: &InstanceSpec) -> Result<Instance> {
        self.inner.ensure(spec).await
    }
    async fn start(&self, instance: &InstanceId) -> Result<Instance> {
        self.held.subscribe().wait_for(|held| !held).await.unwrap();
        self.inner.start(instance).await
    }
    async fn stop(&self, instance: &InstanceId, grace: Duration) -> Result<()> {
        self.inner.stop(instance, grace).await
    }
    async fn remove(&self, instance: &InstanceId) -> Result<()> {
        self.inner.remove(instance).await
    }
    async fn list(&self, tenant: Option<TenantId>) -> Result<Vec<Instance>> {
        let answer = self.inner.list(tenant).await;
        if tenant.is_none() {
            self.lists.fetch_add(1, Ordering::SeqCst);
            self.listed.happen().await;
        } else {
            self.listed_one.happen().await;
        }
        answer
    }
    async fn logs(
        &self,
        instance: &InstanceId,
        query: &LogQuery,
    ) -> Result<BoxStream<'static, Result<LogLine>>> {
        self.inner.logs(instance, query).await
    }
    async fn probe(&self, instance: &InstanceId, port: u16, path: &str) -> Result<Reach> {
        self.inner.probe(instance, port, path).await
    }
    async fn health(&self) -> Result<Health> {
        self.inner.health().await
    }
}

/// A store in which things happen while many tenants are read, or a tenant's operations.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    inner: MemoryStore,
    pub(crate) read: Meanwhile,
    pub(crate) asked: Meanwhile,
    pub(crate) tenants: Arc<AtomicUsize>,
    /// A tenant of which the store can read nothing.
    pub(crate) unreadable: Arc<Mutex<Option<TenantId>>>,
}

impl Watched {
    fn check(&self, tenant: TenantId) -> Result<()> {
        let unreadable = *self.unreadable.lock().unwrap() == Some(tenant);
        let error = || Error::new(ErrorKind::Internal, "a row that can't be read");
        if unreadable { Err(error()) } else { Ok(()) }
    }
}

#[async_trait]
impl Store for Watched {
    async fn platform(&self) -> Result<PlatformId> {
        self.inner.platform().await
    }
    async fn create(
        &self,
        tenant: TenantId,
        spec: &TenantSpec,
        operation: &NewOperation,
    ) -> Result<(Tenant, Operation)> {
        self.inner.create(tenant, spec, operation).await
    }
    async fn request(
        &self,
        tenant: TenantId,
        seen: Generation,
        operation: &NewOperation,
    ) -> Result<Operation> {
        self.inner.request(tenant, seen, operation).await
    }
    async fn lease(&self, worker: WorkerId, terms: &LeaseTerms) -> Result<Option<Lease>> {
        self.inner.lease(worker, terms).await
    }
    async fn renew(&self, lease: &Lease, ttl: Duration) -> Result<()> {
        self.inner.renew(lease, ttl).await
    }
    async fn record(&self, lease: &Lease, entry: &Entry) -> Result<Operation> {
        self.inner.record(lease, entry).await
    }
    async fn release(&self, lease: &Lease, retry_after: Duration) -> Result<()> {
        self.inner.release(lease, retry_after).await
    }
    async fn tenants(&self, query: &TenantQuery) -> Result<TenantPage> {
        query.id.map_or(Ok(()), |id| self.check(id))?;
        let page = self.inner.tenants(query).await?;
        self.tenants.fetch_add(page.tenants.len(), Ordering::SeqCst);
        if query.id.is_none() {
            self.read.happen().await;
        }
        Ok(page)
    }
    async fn operation(&self, id: OperationId) -> Result<Operation> {
        self.inner.operation(id).await
    }
    async fn operations(&self, tenant: TenantId, limit: u32) -> Result<Vec<Operation>> {
        self.check(tenant)?;
        let operations = self.inner.operations(tenant, limit).await;
        self.asked.happen().await;
        operations
    }
    async fn history(&self, query: &OperationQuery) -> Result<OperationPage> {
        self.inner.history(query).await
    }
    async fn events(
        &self,
        operation: OperationId,
        after: u64,
    ) -> Result<BoxStream<'static, Result<Event>>> {
        self.inner.events(operation, after).await
    }
    async fn announce(&self, operation: OperationId, progress: &PullProgress) -> Result<()> {
        self.inner.announce(operation, progress).await
    }
    async fn health(&self) -> Result<Health> {
        self.inner.health().await
    }
}

pub(crate) struct Scene {
    pub(crate) world: MemoryWorld,
    pub(crate) runtime: Runtime,
    pub(crate) store: Watched,
    pub(crate) orchestrator: Orchestrator,
    _workers: Workers,
}

impl Scene {
    pub(crate) async fn new() -> Self {
        Self::with(|backends| backends, None).await
    }

    pub(crate) async fn with(
        more: impl FnOnce(Backends) -> Backends,
        interval: Option<Duration>,
    ) -> Self {
        Self::with_world(|backends, _| more(backends), interval).await
    }

    pub(crate) async fn with_world(
        more: impl FnOnce(Backends, &MemoryWorld) -> Backends,
        interval: Option<Duration>,
    ) -> Self {
        let world = MemoryWorld::new();
        let runtime = Runtime {
            inner: world.runtime(),
            listed: Meanwhile::default(),
            listed_one: Meanwhile::default(),
            lists: Arc::default(),
            held: watch::Sender::new(false),
        };
        let store = Watched {
            inner: world.store(),
            read: Meanwhile::default(),
            asked: Meanwhile::default(),
            tenants: Arc::default(),
            unreadable: Arc::default(),
        };
        let (database, router) = (world.database(), world.router());
        let backends = Backends::new(store.clone(), runtime.clone(), database, router);
        let orchestrator = built(more(backends, &world), interval).await;
        let workers = orchestrator.start();
        Self { world, runtime, store, orchestrator, _workers: workers }
    }

    pub(crate) async fn active(&self, name: &str) -> TenantId {
        let image = "memory/app:1".parse().unwrap();
        let (owner, name) = (OwnerId::new("alice"), name.parse().unwrap());
        let spec = TenantSpec::new(owner, name, AppProfile::generic(), image);
        let accepted = self.orchestrator.deploy(TenantId::new(), spec, user()).await.unwrap();
        ends_well(&self.orchestrator, accepted.operation.id).await;
        accepted.tenant.id
    }

    /// An update whose new container was made and whose start is held.
    pub(crate) async fn update_at_its_start(&self, tenant: TenantId) -> OperationId {
        self.runtime.held.send_replace(true);
        let own = self.own(tenant).await;
        let update = Update::image("memory/app:2".parse().unwrap());
        let update = self.orchestrator.update_tenant(tenant, update, user()).await.unwrap();
        self.runtime.start_is_held().await;
        assert_eq!(self.own(tenant).await, own, "the new container is not written down yet");
        update.operation.id
    }

    pub(crate) async fn own(&self, tenant: TenantId) -> InstanceId {
        self.orchestrator.tenant(tenant).await.unwrap().state.container.unwrap().id
    }

    pub(crate) async fn reconcile(&self) -> Reconciliation {
        self.orchestrator.reconcile().await.unwrap()
    }

    /// The tenant runs in its own container, and in no other.
    pub(crate) async fn assert_runs(&self, tenant: TenantId) {
        let containers = self.orchestrator.inventory(tenant).await.unwrap().containers;
        let own = self.own(tenant).await;
        assert!(
            matches!(&*containers, [one] if one.id == own && one.is_running()),
            "{containers:?}"
        );
    }
}

async fn built(backends: Backends, interval: Option<Duration>) -> Orchestrator {
    Orchestrator::builder(backends, "example.org".parse().unwrap())
        .settings(|settings| {
            (settings.reconcile_interval, settings.watch_interval) = (interval, None);
        })
        .build()
        .await
        .unwrap()
}

/// One more server on the same backends, which compares when it is told to.
pub(crate) async fn platform(backends: Backends) -> Orchestrator {
    built(backends, None).await
}

pub(crate) fn user() -> Actor {
    Actor::User("alice".into())
}

pub(crate) async fn ends_well(orchestrator: &Orchestrator, operation: OperationId) {
    let wait = orchestrator.wait(operation);
    let operation = tokio::time::timeout(Duration::from_secs(3600), wait).await.unwrap().unwrap();
    assert_eq!(operation.status, OperationStatus::Success, "{operation:#?}");
}

pub(crate) async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let wait = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(3600), wait).await.expect(what);
}
