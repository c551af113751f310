//! How to reach the platform's database.

use std::time::Duration;

use secrecy::SecretString;

use super::keys::EnvironmentKeys;

/// Where the store is, and the limits of its use.
#[derive(Clone, Debug)]
pub struct PostgresStoreConfig {
    pub(super) url: SecretString,
    pub(super) connections: usize,
    pub(super) timeout: Duration,
    pub(super) migrate: bool,
    pub(super) migration_timeout: Duration,
    pub(super) keys: Option<EnvironmentKeys>,
}

impl PostgresStoreConfig {
    /// The store in the database of this URL (`postgresql://role:password@host:5432/database`),
    /// with up to 8 connections and 10 seconds for each call. The role must be allowed to make a
    /// schema there, and should own the database, so that it can close it to other roles.
    pub fn new(url: impl Into<SecretString>) -> Self {
        Self {
            url: url.into(),
            connections: 8,
            timeout: Duration::from_secs(10),
            migrate: true,
            migration_timeout: Duration::from_secs(300),
            keys: None,
        }
    }

    /// The keys under which the values of owners' variables
    /// ([`TenantSpec::environment`](fresco_core::TenantSpec::environment)) are kept.
    ///
    /// Without keys the store keeps no such value in clear: tenants with variables are refused as
    /// `Unsupported`. Tenants without variables need no keys.
    #[must_use]
    pub fn keys(mut self, keys: EnvironmentKeys) -> Self {
        self.keys = Some(keys);
        self
    }

    /// How many connections are used at most, at least 1. Default: 8. One more is used while
    /// somebody watches events.
    #[must_use]
    pub fn connections(mut self, connections: usize) -> Self {
        self.connections = connections.max(1);
        self
    }

    /// The time that each call may take. Default: 10 seconds.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Whether [`PostgresStore::connect`](crate::PostgresStore::connect) brings the tables up to
    /// date. Default: yes. Else they must be there already, as
    /// [`PostgresStore::migrate`](crate::PostgresStore::migrate) makes them.
    #[must_use]
    pub const fn migrate(mut self, migrate: bool) -> Self {
        self.migrate = migrate;
        self
    }
}
