//! A server of its own, a whole platform on it, and tenants.

use std::sync::Arc;
use std::time::Duration;

use fresco_core::memory::MemoryWorld;
use fresco_core::{
    Actor, AppProfile, Backends, DatabaseSpec, Isolation, OperationStatus, Orchestrator, OwnerId,
    Result, Store, TenantDatabase, TenantId, TenantSpec, Workers,
};
use fresco_postgres::PostgresTenants;
use secrecy::ExposeSecret;
use tokio::time::Instant;
use tokio_postgres::Client;

use crate::support::tenants::{config, fence};
use crate::support::{Platform, Server, connect, store};

/// Small, so that an attack on it takes no time. The last two are what production needs as well.
const SETTINGS: &[&str] =
    &["max_connections=60", "temp_file_limit=32MB", "authentication_timeout=5s"];

/// The most memory that a session may have of its own.
pub(crate) const MEMORY: i64 = 512 << 20;
/// The most that a tenant may keep here.
pub(crate) const SIZE_LIMIT: u64 = 64 << 20;
/// The longest transaction here.
pub(crate) const TRANSACTION_LIMIT: Duration = Duration::from_secs(3);
/// The most connections of a tenant made past the orchestrator.
pub(crate) const CONNECTIONS: u32 = 10;

pub(crate) struct World {
    pub(crate) platform: Platform,
    pub(crate) isolation: Isolation,
    pub(crate) database: Arc<PostgresTenants>,
    pub(crate) orchestrator: Orchestrator,
    memory: MemoryWorld,
    _workers: Workers,
}

/// A tenant, and how its app connects.
pub(crate) struct Tenant {
    pub(crate) id: TenantId,
    pub(crate) url: String,
}

impl Tenant {
    pub(crate) async fn connect(&self) -> Client {
        connect(&self.url).await.unwrap()
    }

    /// Its URL with another database.
    pub(crate) fn url_of(&self, database: &str) -> String {
        let (base, _) = self.url.rsplit_once('/').unwrap();
        format!("{base}/{database}")
    }
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
            .notification_limit(1)
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
        Self { platform, isolation, database, orchestrator, memory, _workers: workers }
    }

    /// A tenant without an app, for attempts that stop nobody.
    pub(crate) async fn tenant(&self) -> Tenant {
        let id = TenantId::new();
        let spec = DatabaseSpec::new(fence(id, 1), self.isolation, CONNECTIONS);
        self.database.ensure(&spec).await.unwrap();
        self.issue(id, 1).await
    }

    /// New credentials of such a tenant.
    pub(crate) async fn issue(&self, id: TenantId, generation: i64) -> Tenant {
        let credentials = self.database.issue(fence(id, generation)).await.unwrap();
        Tenant { id, url: credentials.direct.expose_secret().to_owned() }
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
        let url = environment["DATABASE_URL"].clone();
        Tenant { id, url }
    }

    /// A superuser's connection to where the tenants of this isolation are, or to this one's.
    pub(crate) async fn inside(&self, tenant: &Tenant) -> Client {
        self.platform.inside(tenant.id, self.isolation).await
    }

    /// What is left of a tenant, past the backend.
    pub(crate) async fn traces(&self, id: TenantId) -> i64 {
        let superuser = self.platform.server.superuser(&self.platform.name).await;
        let (role, name) = (id.role_name(), id.database_name());
        let sql = "SELECT (SELECT count(*) FROM pg_roles WHERE rolname = $1)
                        + (SELECT count(*) FROM pg_database WHERE datname = $2)
                        + (SELECT count(*) FROM pg_stat_activity WHERE usename = $1)
                        + (SELECT count(*) FROM fresco_fence.barred WHERE tenant = $3)";
        let found = superuser.query_one(sql, &[&role, &name, &id.as_uuid()]).await.unwrap();
        let schemas = self.platform.server.superuser(&self.platform.schema_database()).await;
        let sql = "SELECT count(*) FROM pg_namespace WHERE nspname = $1";
        let schemas = schemas.query_one(sql, &[&name]).await.unwrap();
        found.get::<_, i64>(0) + schemas.get::<_, i64>(0)
    }
}
