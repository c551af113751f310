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
        }
    }

    /// The same with a pool (such as PgBouncer) that tenants' containers reach under this host and
    /// port.
    #[must_use]
    pub fn with_pool(mut self, host: impl Into<String>, port: u16) -> Self {
        self.pooled = Some((host.into(), port));
        self
    }

    /// The same with another database for tenants that are kept apart by schemas; it is made when
    /// it is absent. The default is `fresco_tenants`.
    #[must_use]
    pub fn with_schema_database(mut self, name: impl Into<String>) -> Self {
        self.schema_database = name.into();
        self
    }

    /// The same with another number of tenants that are changed at the same time, at least 1; the
    /// default is 4. Each takes up to two connections.
    #[must_use]
    pub fn with_concurrency(mut self, tenants: usize) -> Self {
        self.concurrency = tenants.max(1);
        self
    }

    /// The same with another time limit for each call; the default is 60 seconds. The server itself
    /// ends a statement after this time, also one whose caller is gone.
    #[must_use]
    pub const fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The same with another time after which a transaction of a tenant that does nothing is ended;
    /// the default is 5 minutes. It is a default: a tenant can lift it for a session, and for its
    /// role until the next credentials are issued.
    #[must_use]
    pub const fn with_idle_in_transaction(mut self, timeout: Duration) -> Self {
        self.idle_in_transaction = timeout;
        self
    }

    /// The same with the folder that holds `pg_dump` and `pg_restore`, of the server's version or
    /// newer; by default they are looked for as any program is. Only copying tenants' data out and
    /// in needs them.
    #[must_use]
    pub fn with_programs(mut self, folder: impl Into<PathBuf>) -> Self {
        self.programs = Some(folder.into());
        self
    }

    /// The same with another time limit for copying one tenant's data out or in; the default is an
    /// hour. The login that is made for it is good for as long.
    #[must_use]
    pub const fn with_copy_timeout(mut self, timeout: Duration) -> Self {
        self.copy_timeout = timeout;
        self
    }
}
