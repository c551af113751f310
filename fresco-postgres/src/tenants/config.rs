//! How to reach the server that keeps the tenants' data.

use std::path::PathBuf;
use std::time::Duration;

use fresco_core::PlatformId;
use secrecy::SecretString;

/// Where the tenants' server is, from here and from a tenant's container.
#[derive(Clone, Debug)]
pub struct PostgresTenantsConfig {
    pub(super) url: SecretString,
    pub(super) platform: PlatformId,
    pub(super) direct: (String, u16),
    pub(super) pooled: Option<(String, u16)>,
    pub(super) schema_database: String,
    pub(super) concurrency: usize,
    pub(super) timeout: Duration,
    pub(super) idle_in_transaction: Duration,
    pub(super) programs: Option<PathBuf>,
    pub(super) copy_timeout: Duration,
    pub(super) limits: Limits,
}

/// What a tenant may do to what all share, before it is ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) bytes: u64,
    pub(super) locks: Option<u32>,
    pub(super) notifications: u8,
    pub(super) transaction: Duration,
}

impl PostgresTenantsConfig {
    /// The server of this URL (`postgresql://role:password@host:5432/database`), which tenants'
    /// containers reach under this host and port.
    ///
    /// The role needs `CREATEROLE` and `CREATEDB`, and should not be a superuser. It must be
    /// allowed to make a schema in the URL's database: there the backend remembers which
    /// generations it has seen. That database should be closed to other roles, as the store's is.
    pub fn new(
        url: impl Into<SecretString>,
        platform: PlatformId,
        host: impl Into<String>,
        port: u16,
    ) -> Self {
        Self {
            url: url.into(),
            platform,
            direct: (host.into(), port),
            pooled: None,
            schema_database: "fresco_tenants".into(),
            concurrency: 4,
            timeout: Duration::from_secs(60),
            idle_in_transaction: Duration::from_secs(300),
            programs: None,
            copy_timeout: Duration::from_secs(3600),
            limits: Limits {
                bytes: 5 << 30,
                locks: None,
                notifications: 5,
                transaction: Duration::from_secs(300),
            },
        }
    }

    /// A pool (such as PgBouncer) that tenants' containers reach under this host and port. Default:
    /// none; what an app is given for its pool leads straight to the server.
    ///
    /// The pool must learn a role's password from the server, since each issue of credentials makes
    /// a new one. It must do so without a session of its own in a tenant's database: the platform's
    /// role may not end that, so that the database can't be removed. For PgBouncer these are
    /// `auth_user` and `auth_dbname` (1.19 and newer).
    #[must_use]
    pub fn pool(mut self, host: impl Into<String>, port: u16) -> Self {
        self.pooled = Some((host.into(), port));
        self
    }

    /// The database for tenants that are kept apart by schemas; it is made when it is absent.
    /// Default: `fresco_tenants`.
    #[must_use]
    pub fn schema_database(mut self, name: impl Into<String>) -> Self {
        self.schema_database = name.into();
        self
    }

    /// How many tenants are changed at the same time, at least 1. Default: 4. Each takes up to two
    /// connections.
    #[must_use]
    pub fn concurrency(mut self, tenants: usize) -> Self {
        self.concurrency = tenants.max(1);
        self
    }

    /// The time that each call may take, apart from copying and removing a tenant's data. Default:
    /// 60 seconds. The server itself ends a statement after this time, also one whose caller is
    /// gone.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The time after which a transaction of a tenant that does nothing is ended. Default: 5
    /// minutes. It is no more than a default for the tenant, too: it can lift it for a session, and
    /// for its role until the next credentials are issued.
    #[must_use]
    pub const fn idle_in_transaction(mut self, timeout: Duration) -> Self {
        self.idle_in_transaction = timeout;
        self
    }

    /// The folder that holds `pg_dump` and `pg_restore`, of the server's version or newer. Default:
    /// they are looked for as any program is. Only copying tenants' data out and in needs them.
    #[must_use]
    pub fn programs(mut self, folder: impl Into<PathBuf>) -> Self {
        self.programs = Some(folder.into());
        self
    }

    /// The time that copying one tenant's data out or in may take. Default: an hour. The login that
    /// is made for it is good for as long.
    #[must_use]
    pub const fn copy_timeout(mut self, timeout: Duration) -> Self {
        self.copy_timeout = timeout;
        self
    }

    /// The most bytes on disk that a tenant may keep, indexes included. A tenant that keeps more is
    /// barred ([`DatabaseWatch`](fresco_core::DatabaseWatch)). Default: 5 GB (5 · 2³⁰ bytes).
    ///
    /// An empty database has about 8 MB, an empty schema none.
    #[must_use]
    pub const fn size_limit(mut self, bytes: u64) -> Self {
        self.limits.bytes = bytes;
        self
    }

    /// The most places in the server's table of locks that a tenant may hold; one that holds more is
    /// barred. Default: a quarter of the table, which has `max_locks_per_transaction` ×
    /// (`max_connections` + `max_prepared_transactions`) places.
    #[must_use]
    pub const fn lock_limit(mut self, locks: u32) -> Self {
        self.limits.locks = Some(locks);
        self
    }

    /// How full the server's queue of notifications may be, in hundredths, before those who send to
    /// it are barred. Default: 5, of a queue of 8 GB.
    #[must_use]
    pub const fn notification_limit(mut self, percent: u8) -> Self {
        self.limits.notifications = percent;
        self
    }

    /// The longest time that a transaction of a tenant may be open, whether it does something or
    /// not. Then its session is ended, and nothing more. Default: 5 minutes.
    #[must_use]
    pub const fn transaction_limit(mut self, time: Duration) -> Self {
        self.limits.transaction = time;
        self
    }
}
