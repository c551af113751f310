//! The watch over time: a server that is restarted under an attack, and many tenants.

use std::sync::Arc;
use std::time::Duration;

use fresco_core::{
    DatabaseSpec, DatabaseWatch, Isolation, PlatformId, TenantDatabase, TenantId, TenantStatus,
};
use fresco_isolation::{Attack, Harm, LOCKS, Tenant};
use fresco_ports::free_port;
use fresco_postgres::PostgresTenants;
use futures_util::{StreamExt, TryStreamExt, stream};
use secrecy::ExposeSecret;
use tokio::time::Instant;

use crate::TURN;
use crate::support::tenants::{config, fence};
use crate::support::{Server, connect, until};
use crate::world::{World, patient};

/// From the server's return to the offender's stop.
const LIMIT: Duration = Duration::from_secs(10);
const MANY: usize = 50;

/// An app that does harm a moment after it has connected: one that is faster than the watch is when a
/// server comes back can keep it out.
const LATE: Harm = Harm { first: "SET statement_timeout = 0; SELECT pg_sleep(1)", ..LOCKS };

/// Twice in a row: what the first time left must not disturb the second.
async fn restarted(version: &'static str, isolation: Isolation) {
    let _turn = TURN.lock().await;
    let world = World::at(version, isolation, Some(free_port())).await;
    let bystander = world.deploy().await;
    for _ in 0..2 {
        let offender = world.deploy().await;
        let attack = Attack::begin(&offender, &[LATE; 4]);
        until("the attack goes on", async || attack.logins() > 0).await;
        world.platform.server.restart().await;
        let back = Instant::now();
        while state(&world, &offender).await != TenantStatus::Stopped {
            assert!(back.elapsed() < LIMIT, "not stopped {:?} after the restart", back.elapsed());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        println!(
            "PostgreSQL {version}, {isolation:?}: stopped {:?} after the restart",
            back.elapsed()
        );
        attack.ended(LIMIT * 2).await.unwrap();
        // The others go on, the first one's place included.
        bystander.connect().await.unwrap().batch_execute("SELECT 1").await.unwrap();
        assert_eq!(state(&world, &bystander).await, TenantStatus::Active);
        world.deploy().await.connect().await.unwrap().batch_execute("SELECT 1").await.unwrap();
    }
}

async fn state(world: &World, tenant: &Tenant) -> TenantStatus {
    patient(|| world.orchestrator.tenant(tenant.id)).await.unwrap().state.status
}

/// What a look costs with many tenants, of which each has a session and tables.
async fn many(version: &'static str, isolation: Isolation) {
    let _turn = TURN.lock().await;
    let platform = Arc::new(Server::start(version, None).await).platform().await;
    // So low that the schemas are added up, and so high that nobody's is too large.
    let config = config(&platform, PlatformId::new()).size_limit(24 << 20);
    let database = Arc::new(PostgresTenants::connect(config).await.unwrap());
    let make = async |_| {
        let fence = fence(TenantId::new(), 1);
        database.ensure(&DatabaseSpec::new(fence, isolation, 20)).await?;
        let url = database.issue(fence).await?.direct;
        let client = connect(url.expose_secret()).await.unwrap();
        let tables = "DO $$BEGIN FOR i IN 1..20 LOOP
                          EXECUTE format('CREATE TABLE t%s (id int PRIMARY KEY, t text)', i);
                          EXECUTE format('INSERT INTO t%s VALUES (1, %L)', i, 'x');
                      END LOOP; END$$";
        client.batch_execute(tables).await.unwrap();
        Ok::<_, fresco_core::Error>(client)
    };
    let apps: Vec<_> =
        stream::iter(0..MANY).map(make).buffer_unordered(4).try_collect().await.unwrap();
    assert_eq!(database.inspect().await.unwrap(), [], "the first opens its connections");
    let (mut longest, mut sum) = (Duration::ZERO, Duration::ZERO);
    for app in apps.iter().cycle().take(2 * MANY) {
        // Each look sees a change.
        app.batch_execute("INSERT INTO t1 SELECT 1 + count(*), repeat('x', 500000) FROM t1")
            .await
            .unwrap();
        let begun = Instant::now();
        assert_eq!(database.inspect().await.unwrap(), []);
        let took = begun.elapsed();
        (longest, sum) = (longest.max(took), sum + took);
    }
    let mean = sum / u32::try_from(2 * MANY).unwrap();
    println!(
        "PostgreSQL {version}, {isolation:?}: a look at {MANY} tenants takes {mean:?}, at most {longest:?}"
    );
    // It is done every two seconds.
    assert!(mean < Duration::from_millis(200) && longest < Duration::from_secs(1));
}

macro_rules! lasting {
    ($($module:ident $version:literal $isolation:ident)*) => {$(
        mod $module {
            #[tokio::test(flavor = "multi_thread")]
            #[ignore = "needs Docker"]
            async fn it_ends_an_attack_although_the_server_is_restarted() {
                super::restarted($version, fresco_core::Isolation::$isolation).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            #[ignore = "needs Docker"]
            async fn looking_stays_cheap_with_fifty_tenants() {
                super::many($version, fresco_core::Isolation::$isolation).await;
            }
        }
    )*};
}

lasting! {
    long_postgres_15_schema "15" Schema
    long_postgres_15_database "15" Database
    long_postgres_16_schema "16" Schema
    long_postgres_16_database "16" Database
    long_postgres_18_schema "18" Schema
    long_postgres_18_database "18" Database
}
