//! How to reach the platform's database.

use std::time::Duration;

use secrecy::SecretString;

/// Where the store is, and the limits of its use.
#[derive(Clone, Debug)]
pub struct PostgresStoreConfig {
    pub(super) url: SecretString,
    pub(super) connections: usize,
    pub(super) timeout: Duration,
    pub(super) migrate: bool,
    pub(super) migration_timeout: Duration,
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
        }
    }

    /// The same with another number of connections, at least 1. One more is used while somebody
    /// watches events.
    #[must_use]
    pub fn with_connections(mut self, connections: usize) -> Self {
        self.connections = connections.max(1);
        self
    }

    /// The same with another time limit for each call.
    #[must_use]
    pub const fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The same, but the tables must be there already, as
    /// [`PostgresStore::migrate`](crate::PostgresStore::migrate) makes them.
    #[must_use]
    pub const fn without_migration(mut self) -> Self {
        self.migrate = false;
        self
    }
}
