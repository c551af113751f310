//! Tenants' databases to be tried.

use std::sync::Arc;

use async_trait::async_trait;
use fresco_core::conformance::{
    DatabaseClient, DatabaseFixture, DatabaseMetricsFixture, DatabaseSnapshotsFixture,
    DatabaseWatchFixture, Fixture,
};
use fresco_core::{
    DatabaseMetrics, DatabaseSnapshots, DatabaseSpec, DatabaseWatch, Error, ErrorKind, Fence,
    Generation, Isolation, PlatformId, Result, TenantDatabase, TenantId,
};
use fresco_postgres::{PostgresTenants, PostgresTenantsConfig};
use secrecy::{ExposeSecret, SecretString};
use tokio_postgres::Client;

use super::{Platform, Server, connect};

/// What tenants of [`Tenants::watched`] may keep; an empty database has 8 MB.
const TOO_MUCH: usize = 16 << 20;

pub struct Tenants {
    pub platform: Platform,
    pub database: Arc<PostgresTenants>,
    /// The platform's id.
    pub id: PlatformId,
    /// The same platform in another program.
    second: Arc<PostgresTenants>,
    other: Arc<PostgresTenants>,
    isolation: Isolation,
}

impl Tenants {
    pub async fn new(version: &'static str, isolation: Isolation) -> Self {
        Self::with(version, isolation, |config| config).await
    }

    /// Tenants that may keep little.
    pub async fn watched(version: &'static str, isolation: Isolation) -> Self {
        Self::with(version, isolation, |config| config.size_limit(TOO_MUCH as u64)).await
    }

    async fn with(
        version: &'static str,
        isolation: Isolation,
        change: impl Fn(PostgresTenantsConfig) -> PostgresTenantsConfig,
    ) -> Self {
        let platform = Server::shared(version).await.platform().await;
        // Two platforms that share all that can be shared: only their ids differ.
        let id = PlatformId::new();
        let open = async |id| {
            let config = config(&platform, id).programs(platform.server.programs().await);
            Arc::new(PostgresTenants::connect(change(config)).await.unwrap())
        };
        let (database, other) = (open(id).await, open(PlatformId::new()).await);
        let second = open(id).await;
        Self { platform, database, id, second, other, isolation }
    }

    pub fn spec(&self, tenant: TenantId, generation: i64) -> DatabaseSpec {
        DatabaseSpec::new(fence(tenant, generation), self.isolation, 20)
    }

    /// A tenant that is there, and its app's connection.
    pub async fn tenant(&self) -> (TenantId, Client) {
        let tenant = TenantId::new();
        self.database.ensure(&self.spec(tenant, 1)).await.unwrap();
        (tenant, self.log_in(tenant).await)
    }

    /// A session with new credentials.
    pub async fn log_in(&self, tenant: TenantId) -> Client {
        let credentials = self.database.issue(fence(tenant, 1)).await.unwrap();
        connect(credentials.direct.expose_secret()).await.unwrap()
    }

    /// What the server holds of a tenant, past the backend: objects of its names, and records in
    /// any database that its role has something there.
    pub async fn traces(&self, tenant: TenantId) -> i64 {
        let names = [&tenant.role_name(), &tenant.database_name()];
        let shared = self.platform.server.superuser("postgres").await;
        let sql = "SELECT (SELECT count(*) FROM pg_roles WHERE rolname = $1)
                        + (SELECT count(*) FROM pg_database WHERE datname = $2)
                        + (SELECT count(*) FROM pg_stat_activity WHERE usename = $1)";
        let found: i64 = shared.query_one(sql, &[names[0], names[1]]).await.unwrap().get(0);
        let schemas = self.platform.server.superuser(&self.platform.schema_database()).await;
        let sql = "SELECT (SELECT count(*) FROM pg_namespace WHERE nspname = $1)";
        found + schemas.query_one(sql, &[names[1]]).await.unwrap().get::<_, i64>(0)
    }
}

pub fn fence(tenant: TenantId, generation: i64) -> Fence {
    Fence { tenant, generation: Generation::new(generation) }
}

pub fn config(platform: &Platform, id: PlatformId) -> PostgresTenantsConfig {
    PostgresTenantsConfig::new(platform.url(), id, "127.0.0.1", platform.server.port)
        .schema_database(platform.schema_database())
}

#[async_trait]
impl Fixture for Tenants {
    async fn clean_up(&self) {
        let server = &self.platform.server;
        let superuser = server.superuser("postgres").await;
        let sql = "SELECT datname FROM pg_database d JOIN pg_roles r ON r.oid = d.datdba
                   WHERE r.rolname = $1";
        for row in superuser.query(sql, &[&self.platform.name]).await.unwrap() {
            let sql = format!("DROP DATABASE \"{}\" WITH (FORCE)", row.get::<_, &str>(0));
            superuser.batch_execute(&sql).await.unwrap();
        }
    }
}

#[async_trait]
impl DatabaseFixture for Tenants {
    fn database(&self) -> Arc<dyn TenantDatabase> {
        self.database.clone()
    }

    fn other_platform(&self) -> Arc<dyn TenantDatabase> {
        self.other.clone()
    }

    fn isolation(&self) -> Isolation {
        self.isolation
    }

    async fn connect(&self, url: &SecretString) -> Result<Box<dyn DatabaseClient>> {
        Ok(Box::new(App(connect(url.expose_secret()).await.map_err(refused)?)))
    }

    async fn make_unmarked(&self, tenant: TenantId) {
        let (role, name) = (tenant.role_name(), tenant.database_name());
        let superuser = self.platform.server.superuser("postgres").await;
        superuser.batch_execute(&format!("CREATE ROLE {role}")).await.unwrap();
        match self.isolation {
            Isolation::Schema => {
                let inside = self.platform.inside(tenant, self.isolation).await;
                inside.batch_execute(&format!("CREATE SCHEMA {name}")).await.unwrap();
            }
            Isolation::Database => {
                superuser.batch_execute(&format!("CREATE DATABASE {name}")).await.unwrap();
            }
        }
    }

    async fn unmarked_is_there(&self, tenant: TenantId) -> bool {
        let (role, name) = (tenant.role_name(), tenant.database_name());
        let sql = match self.isolation {
            Isolation::Schema => {
                "SELECT count(*) FROM pg_roles r, pg_namespace s
                WHERE r.rolname = $1 AND s.nspname = $2
                  AND shobj_description(r.oid, 'pg_authid') IS NULL
                  AND obj_description(s.oid, 'pg_namespace') IS NULL"
            }
            Isolation::Database => {
                "SELECT count(*) FROM pg_roles r, pg_database s
                WHERE r.rolname = $1 AND s.datname = $2
                  AND shobj_description(r.oid, 'pg_authid') IS NULL
                  AND shobj_description(s.oid, 'pg_database') IS NULL"
            }
        };
        let inside = self.platform.inside(tenant, self.isolation).await;
        inside.query_one(sql, &[&role, &name]).await.unwrap().get::<_, i64>(0) == 1
    }

    async fn drop_role(&self, tenant: TenantId) {
        let role = tenant.role_name();
        let server = &self.platform.server;
        let superuser = server.superuser("postgres").await;
        superuser.batch_execute(&format!("ALTER ROLE {role} NOLOGIN")).await.unwrap();
        let end = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = $1";
        superuser.query(end, &[&role]).await.unwrap();
        // Its tables stay, as the superuser's.
        let inside = self.platform.inside(tenant, self.isolation).await;
        let sql = format!("REASSIGN OWNED BY {role} TO postgres; DROP OWNED BY {role}");
        inside.batch_execute(&sql).await.unwrap();
        superuser.batch_execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await.unwrap();
    }

    async fn drop_storage(&self, tenant: TenantId) {
        let name = tenant.database_name();
        match self.isolation {
            Isolation::Schema => {
                let inside = self.platform.inside(tenant, self.isolation).await;
                inside.batch_execute(&format!("DROP SCHEMA {name} CASCADE")).await.unwrap();
            }
            Isolation::Database => {
                let superuser = self.platform.server.superuser("postgres").await;
                let sql = format!("DROP DATABASE {name} WITH (FORCE)");
                superuser.batch_execute(&sql).await.unwrap();
            }
        }
    }
}

impl DatabaseMetricsFixture for Tenants {
    fn metrics(&self) -> Arc<dyn DatabaseMetrics> {
        self.database.clone()
    }
}

impl DatabaseWatchFixture for Tenants {
    fn watch(&self) -> Arc<dyn DatabaseWatch> {
        self.database.clone()
    }

    fn second_watch(&self) -> Arc<dyn DatabaseWatch> {
        self.second.clone()
    }

    fn too_many_bytes(&self) -> usize {
        TOO_MUCH
    }
}

#[async_trait]
impl DatabaseSnapshotsFixture for Tenants {
    fn snapshots(&self) -> Arc<dyn DatabaseSnapshots> {
        self.database.clone()
    }

    async fn leftovers(&self) -> Vec<String> {
        let superuser = self.platform.server.superuser("postgres").await;
        // The platform is granted the roles that it makes, and owns the databases they work in.
        let sql = "SELECT DISTINCT r.rolname::text FROM pg_roles r
                   JOIN pg_auth_members m ON m.roleid = r.oid
                   JOIN pg_roles p ON p.oid = m.member AND p.rolname = $1
                   WHERE r.rolname LIKE 'fresco\\_copy\\_%'
                   UNION ALL
                   SELECT 'a session in ' || a.datname FROM pg_stat_activity a
                   JOIN pg_database d ON d.oid = a.datid
                   JOIN pg_roles p ON p.oid = d.datdba AND p.rolname = $1
                   WHERE a.usename LIKE 'fresco\\_copy\\_%' OR a.application_name = 'fresco-copy'";
        let rows = superuser.query(sql, &[&self.platform.name]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }
}

/// A session of a tenant's app.
#[derive(Debug)]
struct App(Client);

fn refused(error: tokio_postgres::Error) -> Error {
    Error::new(ErrorKind::Denied, "the database refuses").with_source(error)
}

#[async_trait]
impl DatabaseClient for App {
    async fn put(&self, key: &str, value: &str) -> Result<()> {
        let make = "CREATE TABLE IF NOT EXISTS pairs (key text PRIMARY KEY, value text NOT NULL)";
        self.0.batch_execute(make).await.map_err(refused)?;
        let sql = "INSERT INTO pairs VALUES ($1, $2)
                   ON CONFLICT (key) DO UPDATE SET value = excluded.value";
        self.0.execute(sql, &[&key, &value]).await.map_err(refused)?;
        Ok(())
    }

    async fn get(&self, key: &str) -> Result<Option<String>> {
        let there = "SELECT to_regclass('pairs') IS NOT NULL";
        if !self.0.query_one(there, &[]).await.map_err(refused)?.get::<_, bool>(0) {
            return Ok(None);
        }
        let sql = "SELECT value FROM pairs WHERE key = $1";
        let row = self.0.query_opt(sql, &[&key]).await.map_err(refused)?;
        Ok(row.map(|row| row.get(0)))
    }

    async fn change_role(&self) -> Result<()> {
        // Once for all databases, and once for this one.
        let sql = "SELECT format('ALTER ROLE CURRENT_USER IN DATABASE %I SET work_mem = ''65kB''',
                                 current_database())";
        let sql: String = self.0.query_one(sql, &[]).await.map_err(refused)?.get(0);
        self.0.batch_execute(&sql).await.map_err(refused)?;
        let sql = "ALTER ROLE CURRENT_USER SET extra_float_digits = 2";
        self.0.batch_execute(sql).await.map_err(refused)
    }

    async fn has_role_setting(&self) -> Result<bool> {
        let sql = "SELECT current_setting('work_mem') = '65kB'
                       OR current_setting('extra_float_digits') = '2'";
        Ok(self.0.query_one(sql, &[]).await.map_err(refused)?.get(0))
    }

    async fn lock(&self) -> Result<()> {
        let sql = "BEGIN; LOCK TABLE pairs IN ACCESS EXCLUSIVE MODE";
        self.0.batch_execute(sql).await.map_err(refused)
    }

    async fn is_open(&self) -> bool {
        self.0.batch_execute("SELECT 1").await.is_ok()
    }

    async fn close(self: Box<Self>) {}
}
