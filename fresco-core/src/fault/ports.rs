//! The four ports with a [`FaultPlan`] in front.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;

use super::FaultPlan;
use crate::app::Isolation;
use crate::backends::Backends;
use crate::database::{
    Credentials, DatabaseActivity, DatabaseEntry, DatabaseSpec, Fence, TenantDatabase,
};
use crate::error::Result;
use crate::health::Health;
use crate::ids::{Generation, OperationId, PlatformId, TenantId, WorkerId};
use crate::operation::{Event, NewOperation, Operation};
use crate::router::{Route, RouteEntry, RoutePlan, RouteState, Router};
use crate::runtime::{
    ContainerRuntime, Endpoint, ImageId, ImageSource, Instance, InstanceId, InstanceSpec, LogLine,
    LogQuery, ProgressSink, PullProgress, Reach,
};
use crate::store::{Entry, Lease, LeaseTerms, Store, TenantPage, TenantQuery};
use crate::tenant::{Tenant, TenantSpec};

/// The same backends, with this plan's faults in every call to the four ports.
#[must_use]
pub fn wrap(backends: &Backends, plan: &FaultPlan) -> Backends {
    let mut wrapped = backends.clone();
    wrapped.store = Arc::new(Faulty::new(&backends.store, plan));
    wrapped.runtime = Arc::new(Faulty::new(&backends.runtime, plan));
    wrapped.database = Arc::new(Faulty::new(&backends.database, plan));
    wrapped.router = Arc::new(Faulty::new(&backends.router, plan));
    wrapped
}

#[derive(Debug)]
struct Faulty<T: ?Sized> {
    inner: Arc<T>,
    plan: FaultPlan,
}

impl<T: ?Sized> Faulty<T> {
    fn new(inner: &Arc<T>, plan: &FaultPlan) -> Self {
        Self { inner: inner.clone(), plan: plan.clone() }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ContainerRuntime for Faulty<dyn ContainerRuntime> {
    async fn prepare(&self, image: &ImageSource, progress: &ProgressSink) -> Result<ImageId> {
        self.plan.run("runtime.prepare", || self.inner.prepare(image, progress)).await
    }

    async fn ensure(&self, spec: &InstanceSpec) -> Result<Instance> {
        self.plan.run("runtime.ensure", || self.inner.ensure(spec)).await
    }

    async fn start(&self, instance: &InstanceId) -> Result<Instance> {
        self.plan.run("runtime.start", || self.inner.start(instance)).await
    }

    async fn stop(&self, instance: &InstanceId, grace: Duration) -> Result<()> {
        self.plan.run("runtime.stop", || self.inner.stop(instance, grace)).await
    }

    async fn remove(&self, instance: &InstanceId) -> Result<()> {
        self.plan.run("runtime.remove", || self.inner.remove(instance)).await
    }

    async fn list(&self, tenant: Option<TenantId>) -> Result<Vec<Instance>> {
        self.plan.run("runtime.list", || self.inner.list(tenant)).await
    }

    async fn logs(
        &self,
        instance: &InstanceId,
        query: &LogQuery,
    ) -> Result<BoxStream<'static, Result<LogLine>>> {
        self.plan.run("runtime.logs", || self.inner.logs(instance, query)).await
    }

    async fn probe(&self, instance: &InstanceId, port: u16, path: &str) -> Result<Reach> {
        self.plan.run("runtime.probe", || self.inner.probe(instance, port, path)).await
    }

    async fn health(&self) -> Result<Health> {
        self.plan.run("runtime.health", || self.inner.health()).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl TenantDatabase for Faulty<dyn TenantDatabase> {
    fn supports(&self, isolation: Isolation) -> bool {
        self.inner.supports(isolation)
    }

    async fn ensure(&self, spec: &DatabaseSpec) -> Result<()> {
        self.plan.run("database.ensure", || self.inner.ensure(spec)).await
    }

    async fn issue(&self, fence: Fence) -> Result<Credentials> {
        self.plan.run("database.issue", || self.inner.issue(fence)).await
    }

    async fn remove(&self, fence: Fence) -> Result<()> {
        self.plan.run("database.remove", || self.inner.remove(fence)).await
    }

    async fn list(&self, tenant: Option<TenantId>) -> Result<Vec<DatabaseEntry>> {
        self.plan.run("database.list", || self.inner.list(tenant)).await
    }

    async fn activity(&self, tenant: TenantId) -> Result<DatabaseActivity> {
        self.plan.run("database.activity", || self.inner.activity(tenant)).await
    }

    async fn health(&self) -> Result<Health> {
        self.plan.run("database.health", || self.inner.health()).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Router for Faulty<dyn Router> {
    fn plan(&self, route: &Route) -> RoutePlan {
        self.inner.plan(route)
    }

    async fn publish(&self, route: &Route, endpoint: &Endpoint) -> Result<()> {
        self.plan.run("router.publish", || self.inner.publish(route, endpoint)).await
    }

    async fn withdraw(&self, tenant: TenantId) -> Result<()> {
        self.plan.run("router.withdraw", || self.inner.withdraw(tenant)).await
    }

    async fn probe(&self, route: &Route) -> Result<RouteState> {
        self.plan.run("router.probe", || self.inner.probe(route)).await
    }

    async fn list(&self) -> Result<Vec<RouteEntry>> {
        self.plan.run("router.list", || self.inner.list()).await
    }

    async fn health(&self) -> Result<Health> {
        self.plan.run("router.health", || self.inner.health()).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Store for Faulty<dyn Store> {
    async fn platform(&self) -> Result<PlatformId> {
        self.plan.run("store.platform", || self.inner.platform()).await
    }

    async fn create(
        &self,
        tenant: TenantId,
        spec: &TenantSpec,
        operation: &NewOperation,
    ) -> Result<(Tenant, Operation)> {
        self.plan.run("store.create", || self.inner.create(tenant, spec, operation)).await
    }

    async fn request(
        &self,
        tenant: TenantId,
        seen: Generation,
        operation: &NewOperation,
    ) -> Result<Operation> {
        self.plan.run("store.request", || self.inner.request(tenant, seen, operation)).await
    }

    async fn lease(&self, worker: WorkerId, terms: &LeaseTerms) -> Result<Option<Lease>> {
        self.plan.run("store.lease", || self.inner.lease(worker, terms)).await
    }

    async fn renew(&self, lease: &Lease, ttl: Duration) -> Result<()> {
        self.plan.run("store.renew", || self.inner.renew(lease, ttl)).await
    }

    async fn record(&self, lease: &Lease, entry: &Entry) -> Result<Operation> {
        self.plan.note(entry.change.as_ref());
        self.plan.run("store.record", || self.inner.record(lease, entry)).await
    }

    async fn release(&self, lease: &Lease, retry_after: Duration) -> Result<()> {
        self.plan.run("store.release", || self.inner.release(lease, retry_after)).await
    }

    async fn tenants(&self, query: &TenantQuery) -> Result<TenantPage> {
        self.plan.run("store.tenants", || self.inner.tenants(query)).await
    }

    async fn operation(&self, id: OperationId) -> Result<Operation> {
        self.plan.run("store.operation", || self.inner.operation(id)).await
    }

    async fn operations(&self, tenant: TenantId, limit: u32) -> Result<Vec<Operation>> {
        self.plan.run("store.operations", || self.inner.operations(tenant, limit)).await
    }

    async fn events(
        &self,
        operation: OperationId,
        after: u64,
    ) -> Result<BoxStream<'static, Result<Event>>> {
        self.plan.run("store.events", || self.inner.events(operation, after)).await
    }

    async fn announce(&self, operation: OperationId, progress: &PullProgress) -> Result<()> {
        self.plan.run("store.announce", || self.inner.announce(operation, progress)).await
    }

    async fn health(&self) -> Result<Health> {
        self.plan.run("store.health", || self.inner.health()).await
    }
}
