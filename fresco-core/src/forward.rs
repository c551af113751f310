//! Whatever is behind an `Arc` is a backend, too: `Arc<dyn Store>` is a [`Store`].

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;

use crate::app::Isolation;
use crate::capacity::DiskSpace;
use crate::database::{
    Credentials, DatabaseActivity, DatabaseCopy, DatabaseEntry, DatabaseMetrics, DatabaseSample,
    DatabaseSnapshots, DatabaseSpec, Fence, TenantDatabase,
};
use crate::database_watch::{DatabaseOffence, DatabaseWatch};
use crate::error::Result;
use crate::gate::{ClaimGates, Gate};
use crate::health::Health;
use crate::ids::{Generation, ImageId, InstanceId, OperationId, PlatformId, TenantId, WorkerId};
use crate::image::{ImageSource, ProgressSink, PullProgress};
use crate::instance::{Endpoint, Instance, InstanceSpec};
use crate::isolation::{IsolationReport, RuntimeIsolation};
use crate::operation::{Event, NewOperation, Operation};
use crate::router::{Route, RouteEntry, RoutePlan, RouteState, Router};
use crate::runtime::{
    ContainerRuntime, LogLine, LogQuery, Reach, RuntimeEvent, RuntimeEvents, RuntimeMetrics,
    RuntimeResize, RuntimeSample,
};
use crate::store::{
    Entry, Lease, LeaseTerms, OperationPage, OperationQuery, Store, TenantPage, TenantQuery,
};
use crate::tenant::{Limits, Tenant, TenantSpec};

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<T: ContainerRuntime + ?Sized> ContainerRuntime for Arc<T> {
    async fn prepare(&self, image: &ImageSource, progress: &ProgressSink) -> Result<ImageId> {
        (**self).prepare(image, progress).await
    }

    async fn ensure(&self, spec: &InstanceSpec) -> Result<Instance> {
        (**self).ensure(spec).await
    }

    async fn start(&self, instance: &InstanceId) -> Result<Instance> {
        (**self).start(instance).await
    }

    async fn stop(&self, instance: &InstanceId, grace: Duration) -> Result<()> {
        (**self).stop(instance, grace).await
    }

    async fn remove(&self, instance: &InstanceId) -> Result<()> {
        (**self).remove(instance).await
    }

    async fn list(&self, tenant: Option<TenantId>) -> Result<Vec<Instance>> {
        (**self).list(tenant).await
    }

    async fn logs(
        &self,
        instance: &InstanceId,
        query: &LogQuery,
    ) -> Result<BoxStream<'static, Result<LogLine>>> {
        (**self).logs(instance, query).await
    }

    async fn probe(&self, instance: &InstanceId, port: u16, path: &str) -> Result<Reach> {
        (**self).probe(instance, port, path).await
    }

    async fn health(&self) -> Result<Health> {
        (**self).health().await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<T: RuntimeMetrics + ?Sized> RuntimeMetrics for Arc<T> {
    async fn sample(&self, instances: &[InstanceId]) -> Result<Vec<(InstanceId, RuntimeSample)>> {
        (**self).sample(instances).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<T: RuntimeEvents + ?Sized> RuntimeEvents for Arc<T> {
    async fn watch(&self) -> Result<BoxStream<'static, Result<RuntimeEvent>>> {
        (**self).watch().await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<T: ClaimGates + ?Sized> ClaimGates for Arc<T> {
    async fn gate(&self, tenant: TenantId, was_active: bool) -> Result<Option<Gate>> {
        (**self).gate(tenant, was_active).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<T: DiskSpace + ?Sized> DiskSpace for Arc<T> {
    async fn free_mb(&self) -> Result<u64> {
        (**self).free_mb().await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<T: RuntimeResize + ?Sized> RuntimeResize for Arc<T> {
    async fn resize(&self, instance: &InstanceId, limits: &Limits) -> Result<()> {
        (**self).resize(instance, limits).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<T: RuntimeIsolation + ?Sized> RuntimeIsolation for Arc<T> {
    async fn ensure_isolation(&self) -> Result<bool> {
        (**self).ensure_isolation().await
    }

    async fn probe_isolation(&self) -> Result<IsolationReport> {
        (**self).probe_isolation().await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<T: TenantDatabase + ?Sized> TenantDatabase for Arc<T> {
    fn supports(&self, isolation: Isolation) -> bool {
        (**self).supports(isolation)
    }

    async fn ensure(&self, spec: &DatabaseSpec) -> Result<()> {
        (**self).ensure(spec).await
    }

    async fn issue(&self, fence: Fence) -> Result<Credentials> {
        (**self).issue(fence).await
    }

    async fn remove(&self, fence: Fence) -> Result<()> {
        (**self).remove(fence).await
    }

    async fn list(&self, tenant: Option<TenantId>) -> Result<Vec<DatabaseEntry>> {
        (**self).list(tenant).await
    }

    async fn activity(&self, tenant: TenantId) -> Result<DatabaseActivity> {
        (**self).activity(tenant).await
    }

    async fn health(&self) -> Result<Health> {
        (**self).health().await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<T: DatabaseMetrics + ?Sized> DatabaseMetrics for Arc<T> {
    async fn measure(&self, tenant: TenantId) -> Result<DatabaseSample> {
        (**self).measure(tenant).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<T: DatabaseSnapshots + ?Sized> DatabaseSnapshots for Arc<T> {
    async fn dump(&self, tenant: TenantId) -> Result<DatabaseCopy> {
        (**self).dump(tenant).await
    }

    async fn restore(&self, fence: Fence, copy: DatabaseCopy) -> Result<()> {
        (**self).restore(fence, copy).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<T: DatabaseWatch + ?Sized> DatabaseWatch for Arc<T> {
    async fn inspect(&self) -> Result<Vec<DatabaseOffence>> {
        (**self).inspect().await
    }

    async fn barred(&self, tenant: Option<TenantId>) -> Result<Vec<DatabaseOffence>> {
        (**self).barred(tenant).await
    }

    async fn admit(&self, fence: Fence) -> Result<()> {
        (**self).admit(fence).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<T: Router + ?Sized> Router for Arc<T> {
    fn plan(&self, route: &Route) -> RoutePlan {
        (**self).plan(route)
    }

    async fn publish(&self, route: &Route, endpoint: &Endpoint) -> Result<()> {
        (**self).publish(route, endpoint).await
    }

    async fn withdraw(&self, tenant: TenantId) -> Result<()> {
        (**self).withdraw(tenant).await
    }

    async fn probe(&self, route: &Route) -> Result<RouteState> {
        (**self).probe(route).await
    }

    async fn list(&self) -> Result<Vec<RouteEntry>> {
        (**self).list().await
    }

    async fn health(&self) -> Result<Health> {
        (**self).health().await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<T: Store + ?Sized> Store for Arc<T> {
    async fn platform(&self) -> Result<PlatformId> {
        (**self).platform().await
    }

    async fn create(
        &self,
        tenant: TenantId,
        spec: &TenantSpec,
        operation: &NewOperation,
    ) -> Result<(Tenant, Operation)> {
        (**self).create(tenant, spec, operation).await
    }

    async fn request(
        &self,
        tenant: TenantId,
        seen: Generation,
        operation: &NewOperation,
    ) -> Result<Operation> {
        (**self).request(tenant, seen, operation).await
    }

    async fn lease(&self, worker: WorkerId, terms: &LeaseTerms) -> Result<Option<Lease>> {
        (**self).lease(worker, terms).await
    }

    async fn renew(&self, lease: &Lease, ttl: Duration) -> Result<()> {
        (**self).renew(lease, ttl).await
    }

    async fn record(&self, lease: &Lease, entry: &Entry) -> Result<Operation> {
        (**self).record(lease, entry).await
    }

    async fn release(&self, lease: &Lease, retry_after: Duration) -> Result<()> {
        (**self).release(lease, retry_after).await
    }

    async fn tenants(&self, query: &TenantQuery) -> Result<TenantPage> {
        (**self).tenants(query).await
    }

    async fn operation(&self, id: OperationId) -> Result<Operation> {
        (**self).operation(id).await
    }

    async fn operations(&self, tenant: TenantId, limit: u32) -> Result<Vec<Operation>> {
        (**self).operations(tenant, limit).await
    }

    async fn history(&self, query: &OperationQuery) -> Result<OperationPage> {
        (**self).history(query).await
    }

    async fn events(
        &self,
        operation: OperationId,
        after: u64,
    ) -> Result<BoxStream<'static, Result<Event>>> {
        (**self).events(operation, after).await
    }

    async fn announce(&self, operation: OperationId, progress: &PullProgress) -> Result<()> {
        (**self).announce(operation, progress).await
    }

    async fn health(&self) -> Result<Health> {
        (**self).health().await
    }
}
