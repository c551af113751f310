//! Where the attempts are made: a platform, its tenants, and how to look at them from outside.

use std::any::Any;
use std::error::Error as _;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use fresco_core::{Isolation, TenantId};
use tokio_postgres::config::Host;
use tokio_postgres::{Client, Config, NoTls};

use crate::wire::{self, Wire};

/// Why an attempt did not end as expected, or could not be made; for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong(pub String);

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<String> for Wrong {
    fn from(words: String) -> Self {
        Self(words)
    }
}

impl From<&str> for Wrong {
    fn from(words: &str) -> Self {
        Self(words.into())
    }
}

impl From<std::io::Error> for Wrong {
    fn from(error: std::io::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<fresco_core::Error> for Wrong {
    fn from(error: fresco_core::Error) -> Self {
        Self(error.chain())
    }
}

impl From<tokio_postgres::Error> for Wrong {
    fn from(error: tokio_postgres::Error) -> Self {
        let source = error.source().map(|source| format!(": {source}")).unwrap_or_default();
        Self(format!("{error}{source}"))
    }
}

/// A tenant, and how its app connects to its database.
#[derive(Clone, Debug)]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    config: Config,
    kept: Option<Arc<dyn Any + Send + Sync>>,
}

impl Tenant {
    /// A tenant that connects like this: by TCP, or through a socket in a folder.
    #[must_use]
    pub fn new(id: TenantId, mut config: Config) -> Self {
        config.connect_timeout(Duration::from_secs(20));
        Self { id, config, kept: None }
    }

    /// The same, which keeps this until it is dropped.
    #[must_use]
    pub fn keeping(mut self, kept: Arc<dyn Any + Send + Sync>) -> Self {
        self.kept = Some(kept);
        self
    }

    /// What it keeps.
    #[must_use]
    pub fn kept(&self) -> Option<Arc<dyn Any + Send + Sync>> {
        self.kept.clone()
    }

    /// A session of its app.
    ///
    /// # Errors
    /// The server's.
    pub async fn connect(&self) -> Result<Client, tokio_postgres::Error> {
        let (client, connection) = self.config.connect(NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// The same tenant in another database.
    #[must_use]
    pub fn in_database(&self, name: &str) -> Self {
        let mut tenant = self.clone();
        tenant.config.dbname(name);
        tenant
    }

    /// The same tenant with another password.
    #[must_use]
    pub fn with_password(&self, password: &str) -> Self {
        let mut tenant = self.clone();
        tenant.config.password(password);
        tenant
    }

    /// A bare connection to the server, on which nobody has logged in.
    pub(crate) async fn wire(&self) -> std::io::Result<Wire> {
        let port = self.config.get_ports().first().copied().unwrap_or(5432);
        match self.config.get_hosts().first() {
            Some(Host::Tcp(host)) => wire::tcp(host, port).await,
            Some(Host::Unix(folder)) => wire::unix(folder, port).await,
            None => Err(std::io::Error::other("the tenant's database has no address")),
        }
    }
}

/// What a platform uses on the server that holds its tenants.
#[derive(Clone, Debug)]
pub struct Names {
    /// Its role.
    pub role: String,
    /// Its own database, with the record of barred tenants.
    pub database: String,
    /// The database of tenants that have a schema.
    pub schemas: String,
}

/// What the platform lets a tenant have.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The longest transaction.
    pub transaction: Duration,
    /// Bytes on disk.
    pub disk: u64,
    /// Percent of the queue of notifications.
    pub queue: u8,
}

/// How a tenant is, as its owner sees it.
#[derive(Clone, Debug)]
pub struct Standing {
    /// Its status.
    pub status: String,
    /// Whether it is stopped, and meant to be.
    pub stopped: bool,
    /// What the platform says of its trouble.
    pub trouble: String,
}

/// A running platform on a server of PostgreSQL.
#[async_trait]
pub trait World: Send + Sync {
    /// What each tenant has of its own.
    fn isolation(&self) -> Isolation;

    /// What the platform uses.
    fn names(&self) -> &Names;

    /// What the platform lets a tenant have.
    fn limits(&self) -> Limits;

    /// A superuser's session, which looks at things past the platform.
    async fn superuser(&self, database: &str) -> Result<Client, Wrong>;

    /// A new tenant for attempts that stop nobody.
    async fn tenant(&self) -> Result<Tenant, Wrong>;

    /// A new tenant whose container the platform runs, and may stop.
    async fn deploy(&self) -> Result<Tenant, Wrong>;

    /// A new tenant that is made at this very moment, whatever goes on.
    async fn newcomer(&self) -> Result<Tenant, Wrong> {
        self.deploy().await
    }

    /// New credentials of a tenant; the ones before are of no use afterwards.
    async fn issue(&self, tenant: &Tenant) -> Result<Tenant, Wrong>;

    /// The platform does with a tenant's database all that it ever does, but for removing it.
    async fn exercise(&self, tenant: &Tenant) -> Result<(), Wrong>;

    /// One round of the platform's calls about a tenant.
    async fn ask(&self, tenant: TenantId) -> Result<(), Wrong>;

    /// How a tenant is.
    async fn standing(&self, tenant: TenantId) -> Result<Standing, Wrong>;

    /// Destroys a tenant.
    async fn remove(&self, tenant: &Tenant) -> Result<(), Wrong>;
}

impl dyn World + '_ {
    /// A superuser's session where a tenant's tables are.
    pub(crate) async fn inside(&self, tenant: &Tenant) -> Result<Client, Wrong> {
        match self.isolation() {
            Isolation::Schema => self.superuser(&self.names().schemas).await,
            _ => self.superuser(&tenant.id.database_name()).await,
        }
    }

    /// Whether the platform keeps a tenant from its database.
    pub(crate) async fn is_barred(&self, tenant: &Tenant) -> Result<bool, Wrong> {
        let superuser = self.superuser(&self.names().database).await?;
        let sql = "SELECT count(*) FROM fresco_fence.barred WHERE tenant = $1";
        let row = superuser.query_one(sql, &[&tenant.id.as_uuid()]).await?;
        Ok(row.get::<_, i64>(0) != 0)
    }

    /// Destroys a tenant, and fails when anything is left of it on the server.
    pub(crate) async fn remove_all(&self, tenant: &Tenant) -> Result<(), Wrong> {
        self.remove(tenant).await?;
        let superuser = self.superuser(&self.names().database).await?;
        let (role, name) = (tenant.id.role_name(), tenant.id.database_name());
        let sql = "SELECT (SELECT count(*) FROM pg_roles WHERE rolname = $1)
                        + (SELECT count(*) FROM pg_database WHERE datname = $2)
                        + (SELECT count(*) FROM pg_stat_activity WHERE usename = $1)
                        + (SELECT count(*) FROM fresco_fence.barred WHERE tenant = $3)";
        let found = superuser.query_one(sql, &[&role, &name, &tenant.id.as_uuid()]).await?;
        let schemas = self.superuser(&self.names().schemas).await?;
        let sql = "SELECT count(*) FROM pg_namespace WHERE nspname = $1";
        let schemas = schemas.query_one(sql, &[&name]).await?;
        match found.get::<_, i64>(0) + schemas.get::<_, i64>(0) {
            0 => Ok(()),
            left => Err(format!("{left} traces of a destroyed tenant are left").into()),
        }
    }

    /// A number that the server is set to.
    pub(crate) async fn server_setting(&self, name: &str) -> Result<u64, Wrong> {
        let superuser = self.superuser(&self.names().database).await?;
        let sql = "SELECT setting FROM pg_settings WHERE name = $1";
        let text: String = superuser.query_one(sql, &[&name]).await?.get(0);
        text.parse().map_err(|_| format!("{name} is {text}, which is no number").into())
    }
}
