//! What the settings allow a tenant to do to a real PostgreSQL.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod support;

use std::time::Duration;

use fresco_core::{
    DatabaseExcess, DatabaseOffence, DatabaseSpec, DatabaseWatch, Fence, Generation, Isolation,
    PlatformId, TenantDatabase, TenantId,
};
use fresco_postgres::PostgresTenants;
use fresco_server::settings::Values;
use fresco_server::{Config, compose};
use secrecy::ExposeSecret;
use support::postgres::{Database, Server, connect};
use tokio_postgres::Client;

/// A platform with these settings.
async fn platform(database: &Database, settings: &[(&str, &str)]) -> PostgresTenants {
    let url = [("DATABASE_URL", database.url.as_str())];
    let config = Config::read(&Values::new(url.iter().chain(settings).copied())).unwrap();
    let port = url::Url::parse(&database.url).unwrap().port().unwrap();
    let tenants = compose::tenants(&config, PlatformId::new(), "127.0.0.1".into(), port);
    PostgresTenants::connect(tenants).await.unwrap()
}

async fn tenant(platform: &PostgresTenants) -> (TenantId, Client) {
    let id = TenantId::new();
    let fence = Fence { tenant: id, generation: Generation::new(1) };
    platform.ensure(&DatabaseSpec::new(fence, Isolation::Database, 10)).await.unwrap();
    let credentials = platform.issue(fence).await.unwrap();
    (id, connect(credentials.direct.expose_secret()).await)
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn the_settings_say_how_much_a_tenant_may_keep_and_for_how_long_a_transaction_is_open() {
    let database = Server::shared().await.database().await;
    let strict = [("TENANT_DISK", "20"), ("TENANT_TRANSACTION", "1")];
    for (settings, ends) in [(&strict[..], true), (&[], false)] {
        let platform = platform(&database, settings).await;
        let (large, app) = tenant(&platform).await;
        let fill = "CREATE TABLE filler AS SELECT repeat(md5(random()::text), 30) AS t FROM generate_series(1, 20000)";
        app.batch_execute(fill).await.unwrap();
        let (slow, other) = tenant(&platform).await;
        other.batch_execute("BEGIN; SELECT 1").await.unwrap();
        tokio::time::sleep(Duration::from_millis(1500)).await;

        let mut found = platform.inspect().await.unwrap();
        found.sort_by_key(|offence| offence.excess.as_str());
        if !ends {
            assert_eq!(found, []);
            app.batch_execute("SELECT 1").await.unwrap();
            other.batch_execute("COMMIT").await.unwrap();
            continue;
        }
        let [bytes, transaction] = <[DatabaseOffence; 2]>::try_from(found).unwrap();
        assert_eq!(
            (bytes.tenant, bytes.excess, bytes.limit),
            (large, DatabaseExcess::Bytes, 20 << 20)
        );
        assert_eq!((transaction.tenant, transaction.limit), (slow, 1));
        assert_eq!(platform.barred(None).await.unwrap(), [bytes]);
    }
}
