//! What the one who runs all this meets: a wrong setting, a pool, a large tenant, a store that was
//! restored from a backup.

#![allow(clippy::unwrap_used, clippy::expect_used)] // What fails here fails the test.

#[macro_use]
mod support;

use std::time::Duration;

use fresco_core::conformance::Fixture;
use fresco_core::{ErrorKind, Isolation, PlatformId, TenantDatabase, TenantId};
use fresco_ports::free_port;
use fresco_postgres::{PostgresTenants, PostgresTenantsConfig};
use futures_util::future::join_all;
use secrecy::ExposeSecret;
use support::logs::Logs;
use support::pooler::Pooler;
use support::tenants::{Tenants, config, fence};
use support::{Server, connect};
use tokio_postgres::SimpleQueryMessage;

on_every_server! { each_test:
    a_session_of_a_pool_is_as_new_as_its_last_use
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker"]
async fn the_administration_is_not_where_tenants_schemas_are() {
    let platform = Server::shared("16").await.platform().await;
    let wrong = config(&platform, PlatformId::new()).schema_database(&platform.name);
    let error = PostgresTenants::connect(wrong).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let words = error.chain();
    assert!(words.contains("needs another database"), "{words}");
    assert!(words.contains(&format!("database: {}", platform.name)), "{words}");
    let inside = platform.server.superuser(&platform.name).await;
    let made = "SELECT to_regnamespace('fresco_fence') IS NOT NULL";
    assert!(!inside.query_one(made, &[]).await.unwrap().get::<_, bool>(0), "it changes nothing");
    PostgresTenants::connect(config(&platform, PlatformId::new())).await.unwrap();
}

/// Each has a database of its own; what they share is made by all of them in the same moment.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker"]
async fn platforms_that_share_a_database_start_together() {
    let platform = Server::shared("16").await.platform().await;
    let superuser = platform.server.superuser("postgres").await;
    let mut configs = Vec::new();
    for number in 0..12 {
        let name = format!("{}_{number}", platform.name);
        let sql = format!("CREATE DATABASE {name} OWNER {}", platform.name);
        superuser.batch_execute(&sql).await.unwrap();
        let url = platform.server.url(&platform.name, &platform.name, &name);
        let port = platform.server.port;
        let config = PostgresTenantsConfig::new(url, PlatformId::new(), "127.0.0.1", port);
        configs.push(config.schema_database(platform.schema_database()));
    }
    join_all(configs.into_iter().map(|config| async {
        PostgresTenants::connect(config).await.unwrap();
    }))
    .await;
    let sql = "SELECT datallowconn AND NOT has_database_privilege('public', oid, 'CONNECT')
               FROM pg_database WHERE datname = $1";
    let row = superuser.query_one(sql, &[&platform.schema_database()]).await.unwrap();
    assert!(row.get::<_, bool>(0), "it is closed to all but those who are let in");
}

async fn a_session_of_a_pool_is_as_new_as_its_last_use(tenants: &Tenants) {
    let (server, port) = (tenants.platform.server.port, free_port());
    let pooled = config(&tenants.platform, PlatformId::new()).pool("127.0.0.1", port);
    let database = PostgresTenants::connect(pooled).await.unwrap();
    let tenant = TenantId::new();
    database.ensure(&tenants.spec(tenant, 1)).await.unwrap();
    let credentials = database.issue(fence(tenant, 1)).await.unwrap();
    let _pooler = Pooler::start(port, server, &credentials.pooled).await;

    // A container comes, and goes.
    let first = session(credentials.pooled.expose_secret()).await;
    let before = database.activity(tenant).await.unwrap();
    assert_eq!(before.sessions, 1, "the pool keeps its session: {before:?}");
    assert!(before.newest_session < Some(before.now), "{before:?}");
    // So does the next one, with the same credentials.
    let second = session(credentials.pooled.expose_secret()).await;
    assert_eq!(first, second, "the pool lends the same session");
    let after = database.activity(tenant).await.unwrap();
    assert!(after.newest_session > Some(before.now), "{after:?}, before: {before:?}");
    assert!(after.newest_session < Some(after.now), "{after:?}");
    database.remove(fence(tenant, 2)).await.unwrap();
}

/// Logs in, asks who serves it, and leaves.
async fn session(url: &str) -> String {
    let client = connect(url).await.unwrap();
    // In one message: between two the pool may lend another session.
    let answer = client.simple_query("SELECT pg_backend_pid()").await.unwrap();
    let row = answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    row.expect("a row").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker"]
async fn a_removal_has_the_time_that_it_takes() {
    let tenants = Tenants::new("16", Isolation::Schema).await;
    let (tenant, client) = tenants.tenant().await;
    client.batch_execute("CREATE TABLE large (id int)").await.unwrap();
    // One statement of the removal takes longer than any other call may, and longer than the
    // connection with the tenant's lock may do nothing.
    let timeout = Duration::from_secs(4);
    let longer = timeout + Duration::from_secs(32);
    let inside = tenants.platform.inside(tenant, Isolation::Schema).await;
    let slow = format!(
        "CREATE FUNCTION public.slow() RETURNS event_trigger LANGUAGE plpgsql
             AS 'BEGIN PERFORM pg_sleep({}); END';
         CREATE EVENT TRIGGER slow ON ddl_command_start WHEN TAG IN ('DROP TABLE')
             EXECUTE FUNCTION public.slow()",
        longer.as_secs()
    );
    inside.batch_execute(&slow).await.unwrap();
    let database = PostgresTenants::connect(config(&tenants.platform, tenants.id).timeout(timeout));
    let (database, begun) = (database.await.unwrap(), tokio::time::Instant::now());
    database.remove(fence(tenant, 2)).await.unwrap();
    assert!(begun.elapsed() >= longer, "it took {:?}", begun.elapsed());
    assert_eq!(tenants.traces(tenant).await, 0);
    tenants.clean_up().await;
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_store_that_is_older_than_the_server_is_told_of() {
    let tenants = Tenants::new("16", Isolation::Schema).await;
    let tenant = TenantId::new();
    tenants.database.ensure(&tenants.spec(tenant, 7)).await.unwrap();
    let logs = Logs::default();
    let guard = logs.keep();
    let error = tenants.database.ensure(&tenants.spec(tenant, 3)).await.unwrap_err();
    drop(guard);
    assert_eq!(error.kind(), ErrorKind::LeaseLost);
    let words = error.chain();
    for part in [
        "restored from a backup?",
        "raise the tenant's generation in the store",
        &format!("tenant: {tenant}, generation: 3, seen: 7"),
    ] {
        assert!(words.contains(part), "{part}: {words}");
    }
    let told = logs.with("refused a change of a tenant's database");
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("WARN") && told[0].contains("generation: 3, seen: 7"), "{told:?}");

    // What to do, done.
    tenants.database.ensure(&tenants.spec(tenant, 8)).await.unwrap();
    assert_eq!(logs.with("refused").len(), 1);
    tenants.clean_up().await;
}
