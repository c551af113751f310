//! The backends that an orchestrator works with, and how it calls them.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::capacity::DiskSpace;
use crate::database::{DatabaseMetrics, DatabaseSnapshots, TenantDatabase};
use crate::database_watch::DatabaseWatch;
use crate::error::{Error, ErrorKind, Result};
use crate::gate::ClaimGates;
use crate::isolation::RuntimeIsolation;
use crate::router::Router;
use crate::runtime::{ContainerRuntime, RuntimeEvents, RuntimeMetrics, RuntimeResize};
use crate::store::Store;

/// The four ports, and the optional abilities. The core works without any ability.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Backends {
    /// What must survive a restart.
    pub store: Arc<dyn Store>,
    /// What runs containers.
    pub runtime: Arc<dyn ContainerRuntime>,
    /// What keeps tenants' databases.
    pub database: Arc<dyn TenantDatabase>,
    /// The reverse proxy.
    pub router: Arc<dyn Router>,
    /// Measures containers.
    pub runtime_metrics: Option<Arc<dyn RuntimeMetrics>>,
    /// Tells what happens to containers, so that repairs begin at once.
    pub runtime_events: Option<Arc<dyn RuntimeEvents>>,
    /// Changes a running container's limits.
    pub runtime_resize: Option<Arc<dyn RuntimeResize>>,
    /// Keeps tenants' containers apart, and proves it.
    pub runtime_isolation: Option<Arc<dyn RuntimeIsolation>>,
    /// Measures databases.
    pub database_metrics: Option<Arc<dyn DatabaseMetrics>>,
    /// Copies tenants' data out and in.
    pub database_snapshots: Option<Arc<dyn DatabaseSnapshots>>,
    /// Tells how much disk is free.
    pub disk_space: Option<Arc<dyn DiskSpace>>,
    /// Ends what a tenant does to the others.
    pub database_watch: Option<Arc<dyn DatabaseWatch>>,
    /// Knows whose app has no owner yet, and keeps strangers from it.
    pub claim_gates: Option<Arc<dyn ClaimGates>>,
}

impl Backends {
    /// The four ports, without abilities.
    pub fn new(
        store: impl Store,
        runtime: impl ContainerRuntime,
        database: impl TenantDatabase,
        router: impl Router,
    ) -> Self {
        Self {
            store: Arc::new(store),
            runtime: Arc::new(runtime),
            database: Arc::new(database),
            router: Arc::new(router),
            runtime_metrics: None,
            runtime_events: None,
            runtime_resize: None,
            runtime_isolation: None,
            database_metrics: None,
            database_snapshots: None,
            disk_space: None,
            database_watch: None,
            claim_gates: None,
        }
    }

    /// The same backends with a runtime that tells what happens.
    #[must_use]
    pub fn with_runtime_events(mut self, events: impl RuntimeEvents) -> Self {
        self.runtime_events = Some(Arc::new(events));
        self
    }

    /// The same backends with a runtime that measures.
    #[must_use]
    pub fn with_runtime_metrics(mut self, metrics: impl RuntimeMetrics) -> Self {
        self.runtime_metrics = Some(Arc::new(metrics));
        self
    }

    /// The same backends with a runtime that changes limits.
    #[must_use]
    pub fn with_runtime_resize(mut self, resize: impl RuntimeResize) -> Self {
        self.runtime_resize = Some(Arc::new(resize));
        self
    }

    /// The same backends with a runtime that keeps tenants' containers apart, and proves it.
    #[must_use]
    pub fn with_runtime_isolation(mut self, isolation: impl RuntimeIsolation) -> Self {
        self.runtime_isolation = Some(Arc::new(isolation));
        self
    }

    /// The same backends with a database that measures.
    #[must_use]
    pub fn with_database_metrics(mut self, metrics: impl DatabaseMetrics) -> Self {
        self.database_metrics = Some(Arc::new(metrics));
        self
    }

    /// The same backends with a database that copies tenants' data out and in.
    #[must_use]
    pub fn with_database_snapshots(mut self, snapshots: impl DatabaseSnapshots) -> Self {
        self.database_snapshots = Some(Arc::new(snapshots));
        self
    }

    /// The same backends with something that tells how much disk is free.
    #[must_use]
    pub fn with_disk_space(mut self, disk: impl DiskSpace) -> Self {
        self.disk_space = Some(Arc::new(disk));
        self
    }

    /// The same backends with a database that ends what a tenant does to the others.
    #[must_use]
    pub fn with_database_watch(mut self, watch: impl DatabaseWatch) -> Self {
        self.database_watch = Some(Arc::new(watch));
        self
    }

    /// The same backends with what keeps strangers from apps that have no owner yet.
    #[must_use]
    pub fn with_claim_gates(mut self, gates: impl ClaimGates) -> Self {
        self.claim_gates = Some(Arc::new(gates));
        self
    }
}

/// Waits for a backend's answer until a deadline, and names the call in its error.
///
/// After the deadline the effect is unknown: whoever calls must look before it acts on that.
pub(crate) async fn call<T>(
    operation: &'static str,
    deadline: Duration,
    answer: impl Future<Output = Result<T>>,
) -> Result<T> {
    match tokio::time::timeout(deadline, answer).await {
        Ok(answer) => answer.map_err(|error| error.during(operation)),
        Err(_) => Err(Error::new(
            ErrorKind::TimedOut,
            format!("no answer within {} s", deadline.as_secs_f32()),
        )
        .during(operation)),
    }
}
