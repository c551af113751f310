//! Tenants' data in PostgreSQL: a schema or a database each, behind a role of its own.

mod catalog;
mod config;
mod copier;
mod discard;
mod ensure;
mod fence;
mod issue;
mod metrics;
mod names;
mod programs;
mod remove;
mod replace;
mod script;
mod sessions;
mod setup;
mod snapshots;
mod watch;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use deadpool_postgres::Pool;
use fresco_core::{
    Credentials, DatabaseActivity, DatabaseCopy, DatabaseEntry, DatabaseMetrics, DatabaseOffence,
    DatabaseSample, DatabaseSnapshots, DatabaseSpec, DatabaseWatch, Fence, Health, Isolation,
    PlatformId, Result, TenantDatabase, TenantId,
};
use tokio::sync::Semaphore;

pub use config::PostgresTenantsConfig;

use self::watch::Watch;
use crate::errors::{Mapped, within};
use crate::report::ORDINARY_SESSIONS;
use crate::server::{IN_TRANSACTION, Limits, Server, take};

/// For a call that only reads.
const READ: Duration = Duration::from_secs(10);
/// For each statement of watching.
const LOOK_LIMIT: Duration = Duration::from_secs(3);
/// For removing a tenant, and for each statement of it: how long that takes follows from the
/// tenant's data, and it is whoever calls that sets a limit. This one is for a server that hangs.
const REMOVAL: Duration = Duration::from_secs(3600);

/// A [`TenantDatabase`] in PostgreSQL 15 and newer, and its measurements.
///
/// A tenant gets a role that can't do more than use its own storage, and either a database of its
/// own ([`Isolation::Database`]) or a schema in a database that tenants share
/// ([`Isolation::Schema`]). Databases and schemas belong to the platform's role; the tenant is
/// granted what it needs.
///
/// - In schema mode the role's `search_path` leads to its schema. An app that names the schema
///   `public` in its SQL needs a database.
/// - Limits that a tenant's role gets as settings (the end of idle transactions) are defaults: a
///   tenant can lift them. The connection limit it can't lift.
/// - Nothing that belongs to a tenant is ever read or called. Names, comments and statistics come
///   from the catalog, and counts of rows are the server's estimates.
///
/// How long a removal may take is up to the caller
/// ([`Settings::removal_deadline`](fresco_core::Settings::removal_deadline)); here nothing ends it
/// for an hour, neither as a whole nor one of its statements. What a schema holds is dropped in
/// portions, and what is dropped stays so: a removal whose caller gave up is finished by the next
/// one, which waits for the statement that was under way.
///
/// Each change carries a generation, and the server remembers the highest. A *store that was
/// restored from a backup* gives out generations that are over: changes are refused as `LeaseLost`,
/// and the log warns of each with the tenant and both numbers. Then let no program work, and bring
/// the generations of the store's tenants up to what `fresco_fence.tenants` says in the database of
/// this backend's URL; with a [`PostgresStore`](crate::PostgresStore) for each tenant by
/// `UPDATE fresco.tenants SET generation = … WHERE id = '…'`.
///
/// Behind a pool ([`PostgresTenantsConfig::pool`]) a session may be older than the container that
/// uses it. So the newest session in [`DatabaseActivity`] is the one that began, or was asked
/// something, last.
///
/// Copies of a tenant's data ([`DatabaseSnapshots`]) are archives of `pg_dump` in its custom format,
/// which `pg_restore` reads, too. Both programs must be there, of the server's version or newer.
///
/// - They log in with a role that is made for one copy and is a member of the tenant's role alone.
///   It is removed afterwards; what a program that died left behind, the next one removes.
/// - A copy holds no rights of roles on things, and no settings of the tenant's role. A tenant that
///   keeps large objects beside its schema, or forces row security on its own role, can't be copied.
/// - Copying in is one transaction: all or nothing. It has a lock for each thing that it drops and
///   makes, so a tenant with many thousands of tables needs a server with as many locks
///   (`max_locks_per_transaction`); else it is `Exhausted`, and nothing is changed. Until it is
///   done the old and the new data take room at the same time, and the copy lies in the folder for
///   temporary files, without a name.
///
/// On PostgreSQL 15 a role with `CREATEROLE` can get all rights on the server; use 16 or newer in
/// production.
pub struct PostgresTenants {
    config: PostgresTenantsConfig,
    /// For changes: connections of their own, with locks that end with them.
    changes: Server,
    /// The same, with the time limit of removals.
    removals: Server,
    /// For reading, in the platform's database and in the one that holds schemas.
    admin: Pool,
    schemas: Pool,
    /// For copying data out and in, with the time limit of that.
    copies: Server,
    /// The server's version as a number: 160004 is 16.4.
    version: i32,
    slots: Semaphore,
    /// For watching: the connection that looks, those that measure and bar, and what is kept.
    eyes: Server,
    watching: Server,
    watch: Watch,
}

impl PostgresTenants {
    /// Connects, checks the role's rights, and makes what is shared by all tenants: the record of
    /// generations and the database for schemas. Programs that do so at the same time take turns.
    ///
    /// # Errors
    /// - `Invalid`: the URL is none.
    /// - `Unavailable`: PostgreSQL does not answer.
    /// - `Denied`: it refuses the login, or the role lacks a right; the message says which.
    /// - `Unsupported`: it is older than 15.
    pub async fn connect(config: PostgresTenantsConfig) -> Result<Self> {
        let timeout = config.timeout;
        // A session that does nothing is one whose program is gone or hangs: its lock must not
        // stay for ever. It outlives the call, so that it never ends in the middle of one.
        let limits = Limits {
            statement: timeout,
            lock: timeout / 2,
            idle: Some(timeout + Duration::from_secs(30)),
            transaction: Some(IN_TRANSACTION),
        };
        let reading =
            Limits { statement: READ, lock: READ, idle: None, transaction: Some(IN_TRANSACTION) };
        let changes = Server::parse(&config.url, "fresco-tenants", limits)?;
        let removing = Limits { statement: REMOVAL, ..limits };
        let removals = Server::parse(&config.url, "fresco-tenants", removing)?;
        let reads = Server::parse(&config.url, "fresco-tenants-read", reading)?;
        let schemas = reads.database(&config.schema_database).pool(config.concurrency + 1)?;
        let admin = reads.pool(config.concurrency + 2)?;
        let copying =
            Limits { statement: config.copy_timeout, idle: None, transaction: None, ..limits };
        let copies = Server::parse(&config.url, "fresco-copy", copying)?;
        let version = within(timeout, "database.connect", async {
            let version = setup::prepare(&changes, &config).await?;
            copier::sweep(&changes, config.platform).await?;
            Ok(version)
        })
        .await?;
        let slots = Semaphore::new(config.concurrency);
        let watch = Limits {
            statement: LOOK_LIMIT,
            lock: LOOK_LIMIT / 6,
            // A program that hangs keeps no connection; one that only looks rarely opens others.
            idle: Some(Duration::from_secs(60)),
            transaction: Some(IN_TRANSACTION),
        };
        let eyes = Server::parse(&config.url, "fresco-watch", watch)?;
        let watching = Server::parse(&config.url, "fresco-watch-act", watch)?;
        let watch = Watch::default();
        Ok(Self {
            config,
            changes,
            removals,
            admin,
            schemas,
            copies,
            version,
            slots,
            eyes,
            watching,
            watch,
        })
    }

    /// How many sessions there may be at the same time, of the platform and of all tenants.
    ///
    /// # Errors
    /// `Unavailable` when PostgreSQL does not answer.
    pub async fn max_connections(&self) -> Result<u32> {
        within(READ, "database.max_connections", async {
            let sql = format!("SELECT {ORDINARY_SESSIONS}");
            let sessions: i32 =
                take(&self.admin).await?.query_one(&sql, &[]).await.mapped()?.get(0);
            Ok(u32::try_from(sessions).unwrap_or(0))
        })
        .await
    }

    /// How a role is granted so that whoever has it may do all that it may. From 16 on that has to
    /// be said.
    fn grant_options(&self) -> &'static str {
        if self.version >= 160_000 { "WITH INHERIT TRUE, SET TRUE" } else { "" }
    }

    fn platform(&self) -> PlatformId {
        self.config.platform
    }
}

#[async_trait]
impl TenantDatabase for PostgresTenants {
    fn supports(&self, isolation: Isolation) -> bool {
        matches!(isolation, Isolation::Schema | Isolation::Database)
    }

    async fn ensure(&self, spec: &DatabaseSpec) -> Result<()> {
        within(self.config.timeout, "database.ensure", self.ensure_tenant(spec)).await
    }

    async fn issue(&self, fence: Fence) -> Result<Credentials> {
        within(self.config.timeout, "database.issue", self.issue_credentials(fence)).await
    }

    async fn remove(&self, fence: Fence) -> Result<()> {
        within(REMOVAL, "database.remove", self.remove_tenant(fence)).await
    }

    async fn list(&self, tenant: Option<TenantId>) -> Result<Vec<DatabaseEntry>> {
        within(READ, "database.list", self.entries(tenant)).await
    }

    async fn activity(&self, tenant: TenantId) -> Result<DatabaseActivity> {
        within(READ, "database.activity", self.role_activity(tenant)).await
    }

    async fn health(&self) -> Result<Health> {
        within(READ, "database.health", async {
            let client = take(&self.admin).await?;
            // Both must be reachable: tenants are made with the one and live in the other.
            let _inside = take(&self.schemas).await?;
            let sql = "SELECT current_setting('server_version')";
            let row = client.query_one(sql, &[]).await.mapped()?;
            Ok(Health::new(format!("PostgreSQL {} at {}", row.get::<_, &str>(0), self.changes)))
        })
        .await
    }
}

#[async_trait]
impl DatabaseMetrics for PostgresTenants {
    async fn measure(&self, tenant: TenantId) -> Result<DatabaseSample> {
        within(READ * 2, "database.measure", self.sample(tenant)).await
    }
}

#[async_trait]
impl DatabaseSnapshots for PostgresTenants {
    async fn dump(&self, tenant: TenantId) -> Result<DatabaseCopy> {
        within(self.config.timeout, "database.dump", self.copy_out(tenant)).await
    }

    async fn restore(&self, fence: Fence, copy: DatabaseCopy) -> Result<()> {
        let work = self.copy_in(fence, copy);
        within(self.config.copy_timeout, "database.restore", work).await
    }
}

#[async_trait]
impl DatabaseWatch for PostgresTenants {
    async fn inspect(&self) -> Result<Vec<DatabaseOffence>> {
        within(READ * 2, "database_watch.inspect", self.look_around()).await
    }

    async fn barred(&self, tenant: Option<TenantId>) -> Result<Vec<DatabaseOffence>> {
        within(READ, "database_watch.barred", self.barred_tenants(tenant)).await
    }

    async fn admit(&self, fence: Fence) -> Result<()> {
        within(self.config.timeout, "database_watch.admit", self.admit_tenant(fence)).await
    }
}

impl fmt::Debug for PostgresTenants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresTenants")
            .field("server", &self.changes)
            .field("platform", &self.config.platform)
            .finish_non_exhaustive()
    }
}
