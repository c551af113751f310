//! Stores to be tried.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use fresco_core::Store;
use fresco_core::conformance::{Fixture, StoreFixture};
use fresco_postgres::{EnvironmentKeys, PostgresStore, PostgresStoreConfig};
use secrecy::SecretString;

use super::{Platform, Server};

pub struct Stores {
    platform: Platform,
    first: Arc<PostgresStore>,
    second: Arc<PostgresStore>,
}

impl Stores {
    pub async fn new(version: &'static str) -> Self {
        let platform = Server::shared(version).await.platform().await;
        let (first, second) = (open(&platform).await, open(&platform).await);
        Self { platform, first, second }
    }
}

pub fn config(platform: &Platform) -> PostgresStoreConfig {
    PostgresStoreConfig::new(platform.url()).keys(keys('k'))
}

/// The keys of a secret of this letter.
pub fn keys(letter: char) -> EnvironmentKeys {
    EnvironmentKeys::new(&secret(letter)).unwrap()
}

pub fn secret(letter: char) -> SecretString {
    letter.to_string().repeat(32).into()
}

pub async fn open(platform: &Platform) -> Arc<PostgresStore> {
    Arc::new(PostgresStore::connect(config(platform)).await.unwrap())
}

#[async_trait]
impl Fixture for Stores {
    async fn clean_up(&self) {
        let superuser = self.platform.server.superuser("postgres").await;
        let sql = format!("DROP DATABASE {} WITH (FORCE)", self.platform.name);
        superuser.batch_execute(&sql).await.unwrap();
    }
}

#[async_trait]
impl StoreFixture for Stores {
    fn store(&self) -> Arc<dyn Store> {
        self.first.clone()
    }

    fn second(&self) -> Arc<dyn Store> {
        self.second.clone()
    }

    fn ttl(&self) -> Duration {
        Duration::from_millis(600)
    }

    async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}
