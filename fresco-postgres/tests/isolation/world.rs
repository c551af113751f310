//! A server of its own, a whole platform on it, and tenants.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use fresco_core::memory::MemoryWorld;
use fresco_core::{
    Actor, AppProfile, Backends, DatabaseMetrics, DatabaseSpec, DatabaseWatch, DesiredState,
    Isolation, OperationStatus, Orchestrator, OwnerId, Result, Store, TenantDatabase, TenantId,
    TenantQuery, TenantSpec, TenantStatus, Workers,
};
use fresco_isolation::{Limits, Names, Standing, Tenant, Wrong};
use fresco_postgres::PostgresTenants;
use secrecy::ExposeSecret;
use tokio::time::Instant;
use tokio_postgres::Client;

use crate::support::tenants::{config, fence};
use crate::support::{Platform, Server, store};

/// Small, so that an attack on it takes no time. The last two are what production needs as well.
const SETTINGS: &[&str] =
    &["max_connections=60", "temp_file_limit=32MB", "authentication_timeout=5s"];

/// The most memory that a session may have of its own.
const MEMORY: i64 = 512 << 20;
/// The most that a tenant may keep here.
const SIZE_LIMIT: u64 = 64 << 20;
/// The most of the queue of notifications that a tenant may fill, in percent.
const QUEUE_LIMIT: u8 = 1;
/// The longest transaction here: long enough for a slow machine to be past the size limit in it, and to be found there.
const TRANSACTION_LIMIT: Duration = Duration::from_secs(6);
/// The most connections of a tenant made past the orchestrator.
const CONNECTIONS: u32 = 10;

pub(crate) struct World {
    pub(crate) platform: Platform,
    names: Names,
    isolation: Isolation,
    database: Arc<PostgresTenants>,
    pub(crate) orchestrator: Orchestrator,
    memory: MemoryWorld,
    /// Those that the orchestrator does not know.
    bare: Mutex<BTreeSet<TenantId>>,
    _workers: Workers,
}

fn tenant(id: TenantId, url: &str) -> Tenant {
    Tenant::new(id, url.parse().unwrap())
}

/// Asks again as long as that can help, as a client of the platform does. The store is on the server
/// that is attacked.
pub(crate) async fn patient<T, F: Future<Output = Result<T>>>(call: impl Fn() -> F) -> Result<T> {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        match call().await {
            Err(error) if error.is_retryable() && Instant::now() < end => {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            answer => return answer,
        }
    }
}

impl World {
    pub(crate) async fn new(version: &'static str, isolation: Isolation) -> Self {
        Self::at(version, isolation, None).await
    }

    /// With its server at this port of the loopback, which it keeps over a restart.
    pub(crate) async fn at(version: &'static str, isolation: Isolation, port: Option<u16>) -> Self {
        let server = Arc::new(Server::start_with(version, port, SETTINGS, Some(MEMORY)).await);
        let platform = server.platform().await;
        let store = store::open(&platform).await;
        let config = config(&platform, store.platform().await.unwrap())
            .size_limit(SIZE_LIMIT)
            .notification_limit(QUEUE_LIMIT)
            .transaction_limit(TRANSACTION_LIMIT);
        let database = Arc::new(PostgresTenants::connect(config).await.unwrap());
        // Real tenants' databases and a real store; what runs the apps is not what is tried.
        let memory = MemoryWorld::new();
        let backends = Backends::new(store, memory.runtime(), database.clone(), memory.router())
            .with_database_watch(database.clone());
        let builder = Orchestrator::builder(backends, "example.org".parse().unwrap());
        let orchestrator = builder
            .settings(|settings| settings.reconcile_interval = Some(Duration::from_secs(1)))
            .build()
            .await
            .unwrap();
        let workers = orchestrator.start();
        let names = Names {
            role: platform.name.clone(),
            database: platform.name.clone(),
            schemas: platform.schema_database(),
        };
        let bare = Mutex::default();
        Self { platform, names, isolation, database, orchestrator, memory, bare, _workers: workers }
    }

    /// A tenant that the platform runs.
    pub(crate) async fn deploy(&self) -> Tenant {
        let mut app = AppProfile::generic();
        // The app in memory has no session in this database.
        app.session_required = false;
        let name = format!("t-{}", TenantId::new().to_string().split('-').next().unwrap());
        let spec = TenantSpec::new(
            OwnerId::new("alice"),
            name.parse().unwrap(),
            app,
            "memory/app:1".parse().unwrap(),
        )
        .with_isolation(self.isolation);
        let owner = Actor::User("alice".into());
        let id = TenantId::new();
        let deploy = || self.orchestrator.deploy(id, spec.clone(), owner.clone());
        let accepted = patient(deploy).await.unwrap();
        let operation = accepted.operation.id;
        let operation = patient(|| self.orchestrator.wait(operation)).await.unwrap();
        assert_eq!(operation.status, OperationStatus::Success, "{operation:#?}");
        let container =
            patient(|| self.orchestrator.tenant(id)).await.unwrap().state.container.unwrap();
        let environment = self.memory.outsider().environment(&container.id).unwrap();
        tenant(id, &environment["DATABASE_URL"])
    }
}

#[async_trait]
impl fresco_isolation::World for World {
    fn isolation(&self) -> Isolation {
        self.isolation
    }

    fn names(&self) -> &Names {
        &self.names
    }

    fn limits(&self) -> Limits {
        Limits { transaction: TRANSACTION_LIMIT, disk: SIZE_LIMIT, queue: QUEUE_LIMIT }
    }

    async fn superuser(&self, database: &str) -> Result<Client, Wrong> {
        Ok(self.platform.server.superuser(database).await)
    }

    /// Without an app.
    async fn tenant(&self) -> Result<Tenant, Wrong> {
        let id = TenantId::new();
        self.bare.lock().unwrap().insert(id);
        let spec = DatabaseSpec::new(fence(id, 1), self.isolation, CONNECTIONS);
        self.database.ensure(&spec).await?;
        let credentials = self.database.issue(fence(id, 1)).await?;
        Ok(tenant(id, credentials.direct.expose_secret()))
    }

    async fn deploy(&self) -> Result<Tenant, Wrong> {
        Ok(self.deploy().await)
    }

    async fn issue(&self, of: &Tenant) -> Result<Tenant, Wrong> {
        let credentials = self.database.issue(fence(of.id, 1)).await?;
        Ok(tenant(of.id, credentials.direct.expose_secret()))
    }

    async fn exercise(&self, tenant: &Tenant) -> Result<(), Wrong> {
        let (database, id) = (&self.database, tenant.id);
        database.list(None).await?;
        database.measure(id).await?;
        database.activity(id).await?;
        database.inspect().await?;
        let spec = DatabaseSpec::new(fence(id, 2), self.isolation, CONNECTIONS);
        database.ensure(&spec).await?;
        database.issue(fence(id, 2)).await?;
        Ok(())
    }

    async fn ask(&self, tenant: TenantId) -> Result<(), Wrong> {
        self.orchestrator.backends().store.tenants(&TenantQuery::one(tenant)).await?;
        self.database.list(Some(tenant)).await?;
        self.database.activity(tenant).await?;
        Ok(())
    }

    async fn standing(&self, tenant: TenantId) -> Result<Standing, Wrong> {
        let state = patient(|| self.orchestrator.tenant(tenant)).await?.state;
        let stopped =
            state.status == TenantStatus::Stopped && state.desired == DesiredState::Stopped;
        let trouble = state.error.map(|error| error.message).unwrap_or_default();
        Ok(Standing { status: state.status.to_string(), stopped, trouble })
    }

    async fn remove(&self, tenant: &Tenant) -> Result<(), Wrong> {
        if self.bare.lock().unwrap().contains(&tenant.id) {
            return Ok(self.database.remove(fence(tenant.id, 9)).await.map(drop)?);
        }
        let owner = Actor::User("alice".into());
        let accepted = self.orchestrator.destroy_tenant(tenant.id, owner).await?;
        let end = self.orchestrator.wait(accepted.operation.id).await?;
        assert_eq!(end.status, OperationStatus::Success, "{end:#?}");
        Ok(())
    }
}
