//! What tenants can do to each other and to the platform, and what is left of them.

#![allow(clippy::unwrap_used, clippy::expect_used)] // What fails here fails the test.

#[macro_use]
mod support;

use std::time::Duration;

use fresco_core::conformance::Fixture;
use fresco_core::{DatabaseMetrics, ErrorKind, Isolation, TenantDatabase, TenantId};
use futures_util::future::join_all;
use support::tenants::{Tenants, fence};
use support::{connect, until};

on_every_server! { each_test:
    a_tenant_reaches_no_other
    hostile_things_leave_no_trace
    a_statement_of_a_dead_client_changes_nothing
    a_lock_of_a_tenant_keeps_nobody_out
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker"]
async fn fifty_schemas_at_once() {
    fifty_at_once(&Tenants::new("16", Isolation::Schema).await).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker"]
async fn fifty_databases_at_once() {
    fifty_at_once(&Tenants::new("16", Isolation::Database).await).await;
}

async fn fifty_at_once(tenants: &Tenants) {
    let ids: Vec<_> = (0..50).map(|_| TenantId::new()).collect();
    let database = &tenants.database;
    let ensured = join_all(ids.iter().map(|id| async move {
        database.ensure(&tenants.spec(*id, 1)).await?;
        database.issue(fence(*id, 1)).await
    }));
    for result in ensured.await {
        result.unwrap();
    }
    assert_eq!(database.list(None).await.unwrap().len(), 50);
    for result in join_all(ids.iter().map(|id| database.remove(fence(*id, 2)))).await {
        result.unwrap();
    }
    assert_eq!(database.list(None).await.unwrap(), []);
    assert_eq!(tenants.traces(ids[0]).await, 0);
}

async fn a_tenant_reaches_no_other(tenants: &Tenants) {
    let (mine, me) = tenants.tenant().await;
    let (theirs, they) = tenants.tenant().await;
    they.batch_execute("CREATE TABLE secrets (text text); INSERT INTO secrets VALUES ('x')")
        .await
        .unwrap();
    let name = theirs.database_name();
    let place = match they.query_one("SELECT current_schema()", &[]).await.unwrap().get(0) {
        "public" => None,
        schema => Some(schema.to_owned()),
    };
    assert_eq!(place.is_some(), place.as_deref() == Some(&name), "{place:?}");

    // Each as a statement of its own, in the database that the tenant is let into.
    let mut refused = vec![
        format!("SET ROLE {}", theirs.role_name()),
        format!("GRANT {} TO {}", theirs.role_name(), mine.role_name()),
        format!("ALTER ROLE {} PASSWORD 'x'", theirs.role_name()),
        format!("SET ROLE {}", tenants.platform.name),
        format!("COMMENT ON ROLE {} IS 'x'", mine.role_name()),
        format!("ALTER ROLE {} CONNECTION LIMIT 1000", mine.role_name()),
        "CREATE ROLE another".into(),
        "CREATE DATABASE another".into(),
        "SELECT pg_read_file('/etc/passwd')".into(),
        "COPY (SELECT 1) TO PROGRAM 'true'".into(),
        "SELECT rolpassword FROM pg_authid".into(),
    ];
    if place.is_some() {
        refused.push(format!("SELECT * FROM {name}.secrets"));
        refused.push(format!("CREATE TABLE {name}.mine (id int)"));
        refused.push("CREATE TABLE public.mine (id int)".into());
        refused.push("CREATE SCHEMA mine".into());
        refused.push(format!("DROP SCHEMA {} CASCADE", mine.database_name()));
    }
    for sql in refused {
        let error = me.batch_execute(&sql).await.expect_err(&sql);
        assert_eq!(error.code().unwrap().code(), "42501", "{sql}: {error:?}");
    }
    // And other databases, with its own right password.
    let credentials = tenants.database.issue(fence(mine, 1)).await.unwrap();
    let url = secrecy::ExposeSecret::expose_secret(&credentials.direct).to_owned();
    let (base, _) = url.rsplit_once('/').unwrap();
    let mut closed = vec!["postgres", "template1", &tenants.platform.name];
    if place.is_none() {
        closed.push(&name);
    }
    let schemas = tenants.platform.schema_database();
    if place.is_none() {
        closed.push(&schemas);
    }
    for database in closed {
        let error = connect(&format!("{base}/{database}")).await.expect_err(database);
        assert_eq!(error.code().unwrap().code(), "42501", "{database}: {error:?}");
    }
}

async fn hostile_things_leave_no_trace(tenants: &Tenants) {
    let (one, client) = tenants.tenant().await;
    let (other, neighbour) = tenants.tenant().await;
    // All that a tenant can make, with bodies that fail or hang when anybody touches them.
    let sql = "CREATE FUNCTION trap() RETURNS integer LANGUAGE plpgsql
                   AS 'BEGIN PERFORM pg_sleep(60); RAISE ''trapped''; END';
               CREATE TABLE plain (id serial PRIMARY KEY, text text DEFAULT trap()::text);
               INSERT INTO plain (text) SELECT 'x' FROM generate_series(1, 100);
               CREATE VIEW spy AS SELECT trap();
               CREATE MATERIALIZED VIEW kept AS SELECT * FROM plain;
               CREATE TABLE parts (id int) PARTITION BY RANGE (id);
               CREATE TABLE part_1 PARTITION OF parts FOR VALUES FROM (0) TO (10);
               CREATE TABLE part_2 PARTITION OF parts FOR VALUES FROM (10) TO (20);
               CREATE TYPE mood AS ENUM ('good', 'bad');
               CREATE DOMAIN small AS integer CHECK (VALUE < 10);
               CREATE SEQUENCE \"od\"\"d; DROP ROLE\";
               CREATE TABLE \"od\"\"d name\" (mood mood, small small);
               CREATE FUNCTION version() RETURNS text LANGUAGE sql AS 'SELECT trap()::text';
               CREATE PROCEDURE act() LANGUAGE sql AS 'SELECT trap()';
               CREATE AGGREGATE total (integer) (SFUNC = int4pl, STYPE = integer);
               ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC;
               SELECT lo_create(0) FROM generate_series(1, 300);
               ALTER ROLE CURRENT_USER SET search_path = nowhere";
    client.batch_execute(sql).await.unwrap();
    // Rights for another tenant, and things of another tenant for this one.
    let (role, other_role) = (one.role_name(), other.role_name());
    let sql = format!(
        "GRANT ALL ON plain TO {other_role}; GRANT EXECUTE ON FUNCTION trap() TO {other_role}"
    );
    client.batch_execute(&sql).await.unwrap();
    let sql = format!(
        "CREATE TABLE lent (id int); GRANT ALL ON lent TO {role};
         ALTER TABLE lent ENABLE ROW LEVEL SECURITY;
         CREATE POLICY for_the_other ON lent TO {role} USING (true);
         GRANT USAGE ON SCHEMA {} TO {role};
         SELECT lo_create(4711); GRANT SELECT ON LARGE OBJECT 4711 TO {role}",
        "current_schema"
    );
    // Only a schema's owner, the platform, can let others into it.
    let sql = sql.replace("GRANT USAGE ON SCHEMA current_schema", "-- GRANT USAGE");
    neighbour.batch_execute(&sql).await.unwrap();
    client.batch_execute("BEGIN; LOCK TABLE plain").await.unwrap();

    let sample = tenants.database.measure(one).await.unwrap();
    assert!(sample.tables >= 4 && sample.bytes > 0, "{sample:?}");
    assert_eq!(sample.connections, 1);

    tokio::time::timeout(Duration::from_secs(20), tenants.database.remove(fence(one, 2)))
        .await
        .expect("a removal waits for no trap")
        .unwrap();
    assert_eq!(tenants.traces(one).await, 0);
    neighbour.batch_execute("INSERT INTO lent VALUES (1)").await.unwrap();
    tenants.database.remove(fence(other, 2)).await.unwrap();
    assert_eq!(tenants.traces(other).await, 0);
}

/// An `ensure` of generation 1 hangs in its last statement, in the tenant's own place, and its
/// client dies. A `remove` of generation 2 must wait for that statement, and leave nothing.
async fn a_statement_of_a_dead_client_changes_nothing(tenants: &Tenants) {
    let (tenant, _) = tenants.tenant().await;
    let role = tenant.role_name();
    // A lock of the server's own on the catalog of schemas stops any change of a schema's rights.
    let inside = tenants.platform.inside(tenant, tenants.spec(tenant, 1).isolation).await;
    inside.batch_execute("BEGIN; LOCK TABLE pg_namespace IN SHARE MODE").await.unwrap();
    let watcher = tenants.platform.server.superuser("postgres").await;
    let stuck = "SELECT count(*) FROM pg_stat_activity
                 WHERE usename = $1 AND wait_event_type = 'Lock' AND wait_event = 'relation'
                   AND query LIKE '%GRANT%'";
    let stuck = async || {
        let row = watcher.query_one(stuck, &[&tenants.platform.name]).await.unwrap();
        row.get::<_, i64>(0)
    };
    {
        let spec = tenants.spec(tenant, 1);
        let ensure = tenants.database.ensure(&spec);
        tokio::pin!(ensure);
        tokio::select! {
            result = &mut ensure => panic!("it should hang, but ended: {result:?}"),
            () = until("ensure hangs", || async { stuck().await > 0 }) => {}
        }
    } // Here its client dies.
    // Not by what it waits for: every second it looks for deadlocks, and waits for nothing then.
    let active = "SELECT count(*) FROM pg_stat_activity
                  WHERE usename = $1 AND state = 'active' AND query LIKE '%GRANT%'";
    let row = watcher.query_one(active, &[&tenants.platform.name]).await.unwrap();
    assert!(row.get::<_, i64>(0) > 0, "the statement goes on without its client");

    let removal = tenants.database.remove(fence(tenant, 2));
    tokio::pin!(removal);
    let blocked = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";
    if tenants.spec(tenant, 1).isolation == Isolation::Schema {
        tokio::select! {
            result = &mut removal => panic!("it should wait, but ended: {result:?}"),
            () = until("remove waits for the older statement", || async {
                watcher.query_one(blocked, &[]).await.unwrap().get::<_, i64>(0) > 0
            }) => {}
        }
        inside.batch_execute("COMMIT").await.unwrap();
    }
    // A database is dropped together with the sessions that hang in it.
    drop(inside);
    removal.await.unwrap();
    assert_eq!(tenants.traces(tenant).await, 0);

    let late = tenants.database.ensure(&tenants.spec(tenant, 1)).await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::LeaseLost);
    assert_eq!(tenants.traces(tenant).await, 0);
    let again = watcher.query_opt("SELECT FROM pg_roles WHERE rolname = $1", &[&role]).await;
    assert!(again.unwrap().is_none());
}

async fn a_lock_of_a_tenant_keeps_nobody_out(tenants: &Tenants) {
    let (victim, _) = tenants.tenant().await;
    let (_, attacker) = match tenants.spec(victim, 1).isolation {
        Isolation::Schema => tenants.tenant().await,
        // Nobody else can come in, but the tenant itself can.
        Isolation::Database => (victim, tenants.log_in(victim).await),
    };
    attacker.execute("SELECT pg_advisory_lock($1)", &[&victim.lock_key()]).await.unwrap();
    tokio::time::timeout(
        Duration::from_secs(15),
        tenants.database.ensure(&tenants.spec(victim, 2)),
    )
    .await
    .expect("the platform gets its lock")
    .unwrap();
    assert!(attacker.batch_execute("SELECT 1").await.is_err(), "the holder was ended");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker"]
async fn an_old_ensure_races_a_removal_in_schemas() {
    old_ensures_race_removals(&Tenants::new("16", Isolation::Schema).await).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker"]
async fn an_old_ensure_races_a_removal_in_databases() {
    old_ensures_race_removals(&Tenants::new("16", Isolation::Database).await).await;
}

/// Whoever comes first, nothing is left, and nothing comes back.
async fn old_ensures_race_removals(tenants: &Tenants) {
    let races = (0..8).map(|_| async {
        let tenant = TenantId::new();
        let (spec, database) = (tenants.spec(tenant, 1), &tenants.database);
        let (ensured, removed, again) = futures_util::join!(
            database.ensure(&spec),
            database.remove(fence(tenant, 2)),
            database.ensure(&spec),
        );
        removed.unwrap();
        for ensured in [ensured, again, database.ensure(&spec).await] {
            if let Err(error) = ensured {
                assert_eq!(error.kind(), ErrorKind::LeaseLost, "{error:?}");
            }
        }
        assert_eq!(tenants.traces(tenant).await, 0);
        let late = database.ensure(&spec).await.unwrap_err();
        assert_eq!(late.kind(), ErrorKind::LeaseLost);
    });
    join_all(races).await;
    assert_eq!(tenants.database.list(None).await.unwrap(), []);
    tenants.clean_up().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker"]
async fn a_half_made_database_is_finished_or_removed() {
    let tenants = Tenants::new("16", Isolation::Database).await;
    for finish in [true, false] {
        let (tenant, _) = tenants.tenant().await;
        let name = tenant.database_name();
        // As it is left behind by a program that died right after this statement.
        let admin = connect(&tenants.platform.url()).await.unwrap();
        admin.batch_execute(&format!("DROP DATABASE {name} WITH (FORCE)")).await.unwrap();
        let half = format!("CREATE DATABASE {name} TEMPLATE template0 ALLOW_CONNECTIONS false");
        admin.batch_execute(&half).await.unwrap();
        let listed = tenants.database.list(Some(tenant)).await.unwrap();
        assert_eq!(listed[0].storage, Some(Isolation::Database));
        if finish {
            tenants.database.ensure(&tenants.spec(tenant, 2)).await.unwrap();
            let credentials = tenants.database.issue(fence(tenant, 2)).await.unwrap();
            let url = secrecy::ExposeSecret::expose_secret(&credentials.direct);
            connect(url).await.unwrap().batch_execute("CREATE TABLE x (id int)").await.unwrap();
        }
        tenants.database.remove(fence(tenant, 3)).await.unwrap();
        assert_eq!(tenants.traces(tenant).await, 0);
    }
    tenants.clean_up().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker"]
async fn a_large_schema_is_dropped_in_portions() {
    let tenants = Tenants::new("16", Isolation::Schema).await;
    let (tenant, client) = tenants.tenant().await;
    let sql = "DO $$ BEGIN
        CREATE TABLE parts (id int) PARTITION BY RANGE (id);
        FOR i IN 1..450 LOOP
            EXECUTE format('CREATE TABLE t%s (id serial PRIMARY KEY)', i);
            EXECUTE format('CREATE TABLE p%s PARTITION OF parts FOR VALUES FROM (%s) TO (%s)', i, i, i + 1);
            EXECUTE format('CREATE FUNCTION f%s(x int) RETURNS int LANGUAGE sql AS ''SELECT 1''', i);
            EXECUTE format('CREATE TYPE e%s AS ENUM (''a'')', i);
            EXECUTE format('CREATE TYPE c%s AS (a int)', i);
        END LOOP; END $$";
    client.batch_execute(sql).await.unwrap();
    let sample = tenants.database.measure(tenant).await.unwrap();
    assert_eq!(sample.tables, 901);
    tenants.database.remove(fence(tenant, 2)).await.unwrap();
    assert_eq!(tenants.traces(tenant).await, 0);
    tenants.clean_up().await;
}
