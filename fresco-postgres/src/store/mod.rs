//! What must survive a restart, in PostgreSQL.

mod accept;
mod config;
mod environment;
mod events;
mod keys;
mod lease;
mod listener;
mod query;
mod quota;
mod record;
mod reseal;
mod rows;

use std::fmt;

use async_trait::async_trait;
use deadpool_postgres::Pool;
use fresco_core::{
    Entry, Event, Generation, Health, Lease, LeaseTerms, NewOperation, Operation, OperationId,
    OperationPage, OperationQuery, PlatformId, PullProgress, Result, Store, Tenant, TenantId,
    TenantPage, TenantQuery, TenantSpec, WorkerId,
};
use futures_util::stream::BoxStream;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

pub use config::PostgresStoreConfig;
pub use keys::EnvironmentKeys;
pub use reseal::Resealed;

use crate::errors::{Mapped, within};
use crate::migrations;
use crate::server::{IN_TRANSACTION, Limits, Server, take};
use listener::Listener;

/// A [`Store`] in a PostgreSQL database.
///
/// It keeps its tables in the schema `fresco`. Any number of programs may use one database at the
/// same time; all times are by the database's clock. When PostgreSQL restarts, calls fail as
/// `Unavailable` until it is back, and then work again.
///
/// What one program can't read, such as a row that a newer version wrote, is an error in its log and
/// keeps nobody from the rest: lists of tenants leave such a row out (their `total` counts it), and
/// so do lists of operations once it is finished; a lease passes over such an operation, and looks
/// at it again after a minute. Whoever asks for that one tenant or operation is told `Internal`.
pub struct PostgresStore {
    server: Server,
    pool: Pool,
    listener: Listener,
    timeout: Duration,
    keys: Option<EnvironmentKeys>,
    /// Whose turn it is to look for room, and what the last one saw who found none.
    room: Mutex<Option<accept::Full>>,
}

impl PostgresStore {
    /// A turn to look for room. In the database all who look wait for one lock: without turns here, a
    /// crowd of them would hold every connection as long as that takes, and the workers would have none.
    async fn turn(&self, operation: &NewOperation) -> Option<accept::Turn<'_>> {
        if accept::needs_turn(operation) { Some(self.room.lock().await) } else { None }
    }

    /// Connects, and brings the tables up to date unless told not to.
    ///
    /// # Errors
    /// - `Invalid`: the URL is none.
    /// - `Unavailable`: PostgreSQL does not answer.
    /// - `Denied`: it refuses the login, or the role may not make a schema in the database.
    /// - `Internal`: the tables were made by a newer version, or hold variables of owners that are
    ///   sealed under a key that is not among the given ones. Its words name a tenant and a variable.
    pub async fn connect(config: PostgresStoreConfig) -> Result<Self> {
        if config.migrate {
            Self::migrate(&config).await?;
        }
        let limits = Limits {
            statement: config.timeout,
            lock: config.timeout,
            idle: None,
            transaction: Some(IN_TRANSACTION),
        };
        let server = Server::parse(&config.url, "fresco-store", limits)?;
        let pool = server.pool(config.connections)?;
        let listener = Listener::new(server.clone());
        let PostgresStoreConfig { timeout, keys, .. } = config;
        let store = Self { server, pool, listener, timeout, keys, room: Mutex::default() };
        store.platform().await?;
        let keys = store.keys.as_ref();
        within(timeout, "store.connect", reseal::check(&store.pool, keys)).await?;
        Ok(store)
    }

    /// Seals anew the values of all owners' variables that are not sealed under the current key:
    /// those under an old one, and those that were written before values were sealed. Afterwards
    /// nothing needs the old keys any more, if nothing is [left](Resealed::left).
    ///
    /// It goes tenant by tenant, each in one transaction that changes nothing else. So it may be
    /// killed at any time and be run again, beside any number of programs that use the store.
    ///
    /// # Errors
    /// - `Unsupported`: the store was given no keys.
    /// - `Internal`: a value can't be opened. What came before stays sealed anew.
    /// - The database's own.
    pub async fn reseal(&self) -> Result<Resealed> {
        reseal::reseal(&self.pool, self.keys.as_ref(), self.timeout).await
    }

    /// Brings the tables up to date, and does nothing else. Programs that do so at the same time
    /// take turns; one that is up to date already is no error.
    ///
    /// # Errors
    /// As [`PostgresStore::connect`].
    pub async fn migrate(config: &PostgresStoreConfig) -> Result<()> {
        let limits = Limits {
            statement: config.migration_timeout,
            lock: config.migration_timeout,
            idle: Some(config.migration_timeout),
            transaction: Some(config.migration_timeout),
        };
        let server = Server::parse(&config.url, "fresco-migrate", limits)?;
        within(config.migration_timeout, "store.migrate", migrations::migrate(&server)).await
    }
}

/// Runs a call under the store's time limit, and names it in its error.
macro_rules! call {
    ($self:ident, $name:literal, $work:expr) => {
        within($self.timeout, concat!("store.", $name), $work).await
    };
}

#[async_trait]
impl Store for PostgresStore {
    async fn platform(&self) -> Result<PlatformId> {
        call!(self, "platform", query::platform(&self.pool))
    }

    async fn create(
        &self,
        tenant: TenantId,
        spec: &TenantSpec,
        operation: &NewOperation,
    ) -> Result<(Tenant, Operation)> {
        let (asked, keys) = (Instant::now(), self.keys.as_ref());
        let turn = self.turn(operation).await;
        call!(
            self,
            "create",
            accept::create(&self.pool, keys, tenant, spec, operation, asked, turn)
        )
    }

    async fn request(
        &self,
        tenant: TenantId,
        seen: Generation,
        operation: &NewOperation,
    ) -> Result<Operation> {
        let _turn = self.turn(operation).await;
        call!(
            self,
            "request",
            accept::request(&self.pool, self.keys.as_ref(), tenant, seen, operation)
        )
    }

    async fn lease(&self, worker: WorkerId, terms: &LeaseTerms) -> Result<Option<Lease>> {
        call!(self, "lease", lease::lease(&self.pool, self.keys.as_ref(), worker, terms))
    }

    async fn renew(&self, lease: &Lease, ttl: Duration) -> Result<()> {
        call!(self, "renew", lease::renew(&self.pool, lease, ttl))
    }

    async fn record(&self, lease: &Lease, entry: &Entry) -> Result<Operation> {
        call!(self, "record", record::record(&self.pool, self.keys.as_ref(), lease, entry))
    }

    async fn release(&self, lease: &Lease, retry_after: Duration) -> Result<()> {
        call!(self, "release", lease::release(&self.pool, lease, retry_after))
    }

    async fn tenants(&self, query: &TenantQuery) -> Result<TenantPage> {
        call!(self, "tenants", query::tenants(&self.pool, self.keys.as_ref(), query))
    }

    async fn operation(&self, id: OperationId) -> Result<Operation> {
        call!(self, "operation", query::operation(&self.pool, self.keys.as_ref(), id))
    }

    async fn operations(&self, tenant: TenantId, limit: u32) -> Result<Vec<Operation>> {
        call!(self, "operations", query::operations(&self.pool, self.keys.as_ref(), tenant, limit))
    }

    async fn history(&self, query: &OperationQuery) -> Result<OperationPage> {
        call!(self, "history", query::history(&self.pool, self.keys.as_ref(), query))
    }

    async fn events(
        &self,
        operation: OperationId,
        after: u64,
    ) -> Result<BoxStream<'static, Result<Event>>> {
        let (pool, keys, timeout) = (self.pool.clone(), self.keys.clone(), self.timeout);
        let work = events::events(pool, keys, &self.listener, timeout, operation, after);
        within(timeout, "store.events", work).await
    }

    async fn announce(&self, operation: OperationId, progress: &PullProgress) -> Result<()> {
        call!(self, "announce", events::announce(&self.pool, operation, progress))
    }

    async fn health(&self) -> Result<Health> {
        call!(self, "health", async {
            let client = take(&self.pool).await?;
            // A read-only copy answers, too, but can't be used.
            let sql = "SELECT current_setting('server_version'), pg_is_in_recovery()";
            let row = client.query_one(sql, &[]).await.mapped()?;
            let (version, standby): (&str, bool) = (row.get(0), row.get(1));
            if standby {
                return Err(fresco_core::Error::new(
                    fresco_core::ErrorKind::Unavailable,
                    "this PostgreSQL is a read-only copy or in recovery",
                )
                .with("server", &self.server));
            }
            Ok(Health::new(format!("PostgreSQL {version} at {}", self.server)))
        })
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").field("server", &self.server).finish_non_exhaustive()
    }
}
