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
use crate::ids::{Generation, ImageId, InstanceId, OperationId, PlatformId, TenantId, WorkerId};
use crate::image::{ImageSource, ProgressSink, PullProgress};
use crate::instance::{Endpoint, Instance, InstanceSpec};
use crate::operation::{Event, NewOperation, Operation};
use crate::router::{Route, RouteEntry, RoutePlan, RouteState, Router};
use crate::runtime::{ContainerRuntime, LogLine, LogQuery, Reach};
use crate::store::{
    Entry, Lease, LeaseTerms, OperationPage, OperationQuery, Store, TenantPage, TenantQuery,
};
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
        self.plan.look("runtime.prepare", || self.inner.prepare(image, progress)).await
    }

    async fn ensure(&self, spec: &InstanceSpec) -> Result<Instance> {
        let inner = Arc::clone(&self.inner);
        let spec = spec.clone();
        let call = move || {
            let inner = Arc::clone(&inner);
            let spec = spec.clone();
            async move { inner.ensure(&spec).await }
        };
        self.plan.change("runtime.ensure", call).await
    }

    async fn start(&self, instance: &InstanceId) -> Result<Instance> {
        let inner = Arc::clone(&self.inner);
        let instance = instance.clone();
        let call = move || {
            let inner = Arc::clone(&inner);
            let instance = instance.clone();
            async move { inner.start(&instance).await }
        };
        self.plan.change("runtime.start", call).await
    }

    async fn stop(&self, instance: &InstanceId, grace: Duration) -> Result<()> {
        let inner = Arc::clone(&self.inner);
        let instance = instance.clone();
        let call = move || {
            let inner = Arc::clone(&inner);
            let instance = instance.clone();
            async move { inner.stop(&instance, grace).await }
        };
        self.plan.change("runtime.stop", call).await
    }

    async fn remove(&self, instance: &InstanceId) -> Result<()> {
        let inner = Arc::clone(&self.inner);
        let instance = instance.clone();
        let call = move || {
            let inner = Arc::clone(&inner);
            let instance = instance.clone();
            async move { inner.remove(&instance).await }
        };
        self.plan.change("runtime.remove", call).await
    }

    async fn list(&self, tenant: Option<TenantId>) -> Result<Vec<Instance>> {
        self.plan.look("runtime.list", || self.inner.list(tenant)).await
    }

    async fn logs(
        &self,
        instance: &InstanceId,
        query: &LogQuery,
    ) -> Result<BoxStream<'static, Result<LogLine>>> {
        self.plan.look("runtime.logs", || self.inner.logs(instance, query)).await
    }

    async fn probe(&self, instance: &InstanceId, port: u16, path: &str) -> Result<Reach> {
        self.plan.look("runtime.probe", || self.inner.probe(instance, port, path)).await
    }

    async fn health(&self) -> Result<Health> {
        self.plan.look("runtime.health", || self.inner.health()).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl TenantDatabase for Faulty<dyn TenantDatabase> {
    fn supports(&self, isolation: Isolation) -> bool {
        self.inner.supports(isolation)
    }

    async fn ensure(&self, spec: &DatabaseSpec) -> Result<()> {
        let inner = Arc::clone(&self.inner);
        let spec = spec.clone();
        let call = move || {
            let inner = Arc::clone(&inner);
            let spec = spec.clone();
            async move { inner.ensure(&spec).await }
        };
        self.plan.change("database.ensure", call).await
    }

    async fn issue(&self, fence: Fence) -> Result<Credentials> {
        let inner = Arc::clone(&self.inner);
        let call = move || {
            let inner = Arc::clone(&inner);
            async move { inner.issue(fence).await }
        };
        self.plan.change("database.issue", call).await
    }

    async fn remove(&self, fence: Fence) -> Result<()> {
        let inner = Arc::clone(&self.inner);
        let call = move || {
            let inner = Arc::clone(&inner);
            async move { inner.remove(fence).await }
        };
        self.plan.change("database.remove", call).await
    }

    async fn list(&self, tenant: Option<TenantId>) -> Result<Vec<DatabaseEntry>> {
        self.plan.look("database.list", || self.inner.list(tenant)).await
    }

    async fn activity(&self, tenant: TenantId) -> Result<DatabaseActivity> {
        self.plan.look("database.activity", || self.inner.activity(tenant)).await
    }

    async fn health(&self) -> Result<Health> {
        self.plan.look("database.health", || self.inner.health()).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Router for Faulty<dyn Router> {
    fn plan(&self, route: &Route) -> RoutePlan {
        self.inner.plan(route)
    }

    async fn publish(&self, route: &Route, endpoint: &Endpoint) -> Result<()> {
        let inner = Arc::clone(&self.inner);
        let (route, endpoint) = (route.clone(), *endpoint);
        let call = move || {
            let inner = Arc::clone(&inner);
            let route = route.clone();
            async move { inner.publish(&route, &endpoint).await }
        };
        self.plan.change("router.publish", call).await
    }

    async fn withdraw(&self, tenant: TenantId) -> Result<()> {
        let inner = Arc::clone(&self.inner);
        let call = move || {
            let inner = Arc::clone(&inner);
            async move { inner.withdraw(tenant).await }
        };
        self.plan.change("router.withdraw", call).await
    }

    async fn probe(&self, route: &Route) -> Result<RouteState> {
        self.plan.look("router.probe", || self.inner.probe(route)).await
    }

    async fn list(&self) -> Result<Vec<RouteEntry>> {
        self.plan.look("router.list", || self.inner.list()).await
    }

    async fn health(&self) -> Result<Health> {
        self.plan.look("router.health", || self.inner.health()).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Store for Faulty<dyn Store> {
    async fn platform(&self) -> Result<PlatformId> {
        self.plan.look("store.platform", || self.inner.platform()).await
    }

    async fn create(
        &self,
        tenant: TenantId,
        spec: &TenantSpec,
        operation: &NewOperation,
    ) -> Result<(Tenant, Operation)> {
        self.plan.look("store.create", || self.inner.create(tenant, spec, operation)).await
    }

    async fn request(
        &self,
        tenant: TenantId,
        seen: Generation,
        operation: &NewOperation,
    ) -> Result<Operation> {
        self.plan.look("store.request", || self.inner.request(tenant, seen, operation)).await
    }

    async fn lease(&self, worker: WorkerId, terms: &LeaseTerms) -> Result<Option<Lease>> {
        self.plan.look("store.lease", || self.inner.lease(worker, terms)).await
    }

    async fn renew(&self, lease: &Lease, ttl: Duration) -> Result<()> {
        self.plan.look("store.renew", || self.inner.renew(lease, ttl)).await
    }

    async fn record(&self, lease: &Lease, entry: &Entry) -> Result<Operation> {
        self.plan.note(entry.change.as_ref());
        let inner = Arc::clone(&self.inner);
        let lease = lease.clone();
        let entry = entry.clone();
        let call = move || {
            let inner = Arc::clone(&inner);
            let lease = lease.clone();
            let entry = entry.clone();
            async move { inner.record(&lease, &entry).await }
        };
        self.plan.change("store.record", call).await
    }

    async fn release(&self, lease: &Lease, retry_after: Duration) -> Result<()> {
        let inner = Arc::clone(&self.inner);
        let lease = lease.clone();
        let call = move || {
            let inner = Arc::clone(&inner);
            let lease = lease.clone();
            async move { inner.release(&lease, retry_after).await }
        };
        self.plan.change("store.release", call).await
    }

    async fn tenants(&self, query: &TenantQuery) -> Result<TenantPage> {
        self.plan.look("store.tenants", || self.inner.tenants(query)).await
    }

    async fn operation(&self, id: OperationId) -> Result<Operation> {
        self.plan.look("store.operation", || self.inner.operation(id)).await
    }

    async fn operations(&self, tenant: TenantId, limit: u32) -> Result<Vec<Operation>> {
        self.plan.look("store.operations", || self.inner.operations(tenant, limit)).await
    }

    async fn history(&self, query: &OperationQuery) -> Result<OperationPage> {
        self.plan.look("store.history", || self.inner.history(query)).await
    }

    async fn events(
        &self,
        operation: OperationId,
        after: u64,
    ) -> Result<BoxStream<'static, Result<Event>>> {
        self.plan.look("store.events", || self.inner.events(operation, after)).await
    }

    async fn announce(&self, operation: OperationId, progress: &PullProgress) -> Result<()> {
        self.plan.look("store.announce", || self.inner.announce(operation, progress)).await
    }

    async fn health(&self) -> Result<Health> {
        self.plan.look("store.health", || self.inner.health()).await
    }
}
