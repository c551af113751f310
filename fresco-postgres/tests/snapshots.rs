//! Copies of tenants' data: with whose rights they are made, and who may end them.

#![allow(clippy::unwrap_used, clippy::expect_used)] // What fails here fails the test.

#[macro_use]
mod support;

use std::time::Duration;

use fresco_core::conformance::{DatabaseSnapshotsFixture, Fixture};
use fresco_core::{DatabaseSnapshots, ErrorKind, Isolation, PlatformId, TenantDatabase, TenantId};
use fresco_postgres::PostgresTenants;
use futures_util::{StreamExt, TryStreamExt, stream};
use support::tenants::{Tenants, config, fence};
use support::{connect, until};

on_every_server! { each_test:
    all_kinds_of_things_come_back_and_act_as_the_tenant
    a_removal_ends_a_copy
    a_newer_generation_ends_a_restore
}

async fn all_kinds_of_things_come_back_and_act_as_the_tenant(tenants: &Tenants) {
    let (tenant, client) = tenants.tenant().await;
    let isolation = tenants.spec(tenant, 1).isolation;
    let row = client.query_one("SELECT current_schema()::text", &[]).await.unwrap();
    let place: String = row.get(0);
    // A check that writes down who it runs for, and would fail for the platform.
    let sql = r#"
        CREATE TABLE seen (session text, acting text);
        CREATE FUNCTION spy(x int) RETURNS boolean LANGUAGE plpgsql AS $f$ BEGIN
            INSERT INTO PLACE.seen VALUES (session_user, current_user); RETURN true; END $f$;
        CREATE FUNCTION sly() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $f$ BEGIN
            PERFORM PLACE.spy(1); RETURN new; END $f$;
        CREATE FUNCTION odd(x int) RETURNS int LANGUAGE sql IMMUTABLE
            BEGIN ATOMIC SELECT x + 1; END;
        CREATE FUNCTION text_of_a_script() RETURNS text LANGUAGE sql AS $f$ SELECT '
SET lock_timeout = 0;
COPY x FROM stdin;
\.
\restrict x
\! touch /tmp/never
' $f$;
        CREATE TYPE mood AS ENUM ('good', 'it''s; bad');
        CREATE DOMAIN small AS int CHECK (VALUE < 1000000);
        CREATE TABLE things (id int PRIMARY KEY GENERATED ALWAYS AS IDENTITY, mood mood, small small,
            twice int GENERATED ALWAYS AS (small * 2) STORED, text text, CHECK (PLACE.spy(1)));
        INSERT INTO things (mood, small, text)
            SELECT 'good', n, repeat(n::text, 20) || E'\n\\.\n\t"''' FROM generate_series(1, 3000) n;
        CREATE TRIGGER sly BEFORE INSERT ON things FOR EACH ROW EXECUTE FUNCTION sly();
        CREATE INDEX ON things (odd(small));
        CREATE VIEW few AS SELECT * FROM things WHERE small < 10;
        CREATE MATERIALIZED VIEW kept AS SELECT count(*) AS n FROM things;
        CREATE TABLE parts (id int REFERENCES things) PARTITION BY RANGE (id);
        CREATE TABLE part_1 PARTITION OF parts FOR VALUES FROM (0) TO (10);
        INSERT INTO parts VALUES (1), (2);
        CREATE TABLE "od""d;
\! touch /tmp/never
COPY x FROM stdin;" ("a;'b" text);
        INSERT INTO "od""d;
\! touch /tmp/never
COPY x FROM stdin;" VALUES ('\.');
        ALTER TABLE things ENABLE ROW LEVEL SECURITY;
        CREATE POLICY nobody ON things USING (false);
        TRUNCATE seen;
    "#;
    client.batch_execute(&sql.replace("PLACE", &place)).await.unwrap();
    let look = r#"SELECT concat_ws('|', (SELECT md5(string_agg(t::text, ',' ORDER BY id)) FROM things t),
        (SELECT n FROM kept), (SELECT count(*) FROM few), (SELECT count(*) FROM part_1),
        (SELECT string_agg("a;'b", ',') FROM "od""d;
\! touch /tmp/never
COPY x FROM stdin;"), odd(1), text_of_a_script(),
        (SELECT count(*) FROM pg_trigger WHERE tgname = 'sly'),
        (SELECT count(*) FROM pg_policy WHERE polname = 'nobody'))"#;
    let then: String = client.query_one(look, &[]).await.unwrap().get(0);
    if isolation == Isolation::Database {
        let more = "SELECT lo_from_bytea(4711, '\\x00ff5c27');
                    CREATE SCHEMA \"my own\"; CREATE TABLE \"my own\".t AS SELECT 7 AS x";
        client.batch_execute(more).await.unwrap();
    }
    let copy: Vec<u8> =
        tenants.database.dump(tenant).await.unwrap().try_concat().await.expect("a whole copy");

    let change = "DELETE FROM parts; UPDATE things SET small = 0; DROP VIEW few;
        CREATE TABLE later (id int REFERENCES things); CREATE VIEW late AS SELECT * FROM things;
        CREATE FUNCTION late() RETURNS mood LANGUAGE sql AS $$ SELECT NULL::mood $$;
        CREATE AGGREGATE total (integer) (SFUNC = int4pl, STYPE = integer);
        SELECT lo_create(4712); TRUNCATE seen";
    client.batch_execute(change).await.unwrap();
    let stream = stream::iter([Ok(copy)]).boxed();
    tenants.database.restore(fence(tenant, 1), stream).await.unwrap();

    let client = tenants.log_in(tenant).await;
    let now: String = client.query_one(look, &[]).await.unwrap().get(0);
    assert_eq!(now, then);
    let sql = "SELECT count(*) FILTER (WHERE session LIKE 'fresco\\_copy\\_%' AND acting = $1),
                      count(*) FROM seen";
    let row = client.query_one(sql, &[&tenant.role_name()]).await.unwrap();
    let (as_copier, all): (i64, i64) = (row.get(0), row.get(1));
    assert_eq!((as_copier, all), (3000, 3000), "for whom the tenant's code ran");
    let gone = "SELECT count(*) FROM pg_class WHERE relname IN ('later', 'late')";
    assert_eq!(client.query_one(gone, &[]).await.unwrap().get::<_, i64>(0), 0);
    let objects = "SELECT count(*) FROM pg_largeobject_metadata l
                   JOIN pg_roles r ON r.oid = l.lomowner WHERE r.rolname = $1";
    let objects: i64 = client.query_one(objects, &[&tenant.role_name()]).await.unwrap().get(0);
    if isolation == Isolation::Database {
        assert_eq!(objects, 1);
        let sql = "SELECT lo_get(4711) = '\\x00ff5c27' AND (SELECT x FROM \"my own\".t) = 7";
        assert!(client.query_one(sql, &[]).await.unwrap().get::<_, bool>(0));
    } else {
        assert_eq!(objects, 0);
        client.batch_execute("SELECT lo_create(0)").await.unwrap();
        let error = tenants.database.dump(tenant).await.err().expect("a copy would lack it");
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
    }
    // The counter goes on where it was.
    let next = "INSERT INTO things (mood) VALUES ('good') RETURNING id";
    assert_eq!(client.query_one(next, &[]).await.unwrap().get::<_, i32>(0), 3001);
    // All of it is the tenant's, so all of it goes with the tenant.
    tenants.database.remove(fence(tenant, 2)).await.unwrap();
    assert_eq!(tenants.traces(tenant).await, 0);
    assert_eq!(tenants.leftovers().await, [""; 0]);
}

async fn a_removal_ends_a_copy(tenants: &Tenants) {
    let (tenant, client) = tenants.tenant().await;
    // More than fits into any buffer on the way, and can't be made smaller.
    let sql = "CREATE TABLE large AS SELECT gen_random_uuid() AS a, gen_random_uuid() AS b
               FROM generate_series(1, 600000)";
    client.batch_execute(sql).await.unwrap();
    let mut copy = tenants.database.dump(tenant).await.unwrap();
    assert!(!copy.next().await.unwrap().unwrap().is_empty());
    let removal = tenants.database.remove(fence(tenant, 2));
    tokio::time::timeout(Duration::from_secs(20), removal)
        .await
        .expect("a removal waits for nobody who reads slowly")
        .unwrap();
    assert_eq!(tenants.traces(tenant).await, 0);
    let rest = copy.try_collect::<Vec<_>>().await;
    let error = rest.expect_err("half a copy must not look like a whole one");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    until("nothing is left", || async { tenants.leftovers().await.is_empty() }).await;
}

async fn a_newer_generation_ends_a_restore(tenants: &Tenants) {
    let (tenant, client) = tenants.tenant().await;
    client.batch_execute("CREATE TABLE t AS SELECT 1 AS x").await.unwrap();
    let copy: Vec<u8> =
        tenants.database.dump(tenant).await.unwrap().try_concat().await.expect("a whole copy");
    client.batch_execute("UPDATE t SET x = 2").await.unwrap();
    // Somebody whom the restore can't end keeps it from going on.
    let isolation = tenants.spec(tenant, 1).isolation;
    let blocker = tenants.platform.inside(tenant, isolation).await;
    let place = match isolation {
        Isolation::Schema => tenant.database_name(),
        Isolation::Database => "public".into(),
    };
    blocker.batch_execute(&format!("BEGIN; LOCK TABLE {place}.t")).await.unwrap();
    let stream = stream::iter([Ok(copy)]).boxed();
    let restore = tenants.database.restore(fence(tenant, 1), stream);
    let watcher = tenants.platform.server.superuser("postgres").await;
    let stuck = "SELECT count(*) FROM pg_stat_activity a JOIN pg_database d ON d.oid = a.datid
                 JOIN pg_roles p ON p.oid = d.datdba AND p.rolname = $1
                 WHERE a.usename LIKE 'fresco\\_copy\\_%' AND a.wait_event_type = 'Lock'
                   AND a.query LIKE 'DROP%'";
    let takeover = async {
        until("the restore hangs", || async {
            let row = watcher.query_one(stuck, &[&tenants.platform.name]).await.unwrap();
            row.get::<_, i64>(0) > 0
        })
        .await;
        tenants.database.ensure(&tenants.spec(tenant, 2)).await.unwrap();
    };
    let (restored, ()) = tokio::join!(restore, takeover);
    let error = restored.expect_err("somebody else has taken over");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    blocker.batch_execute("COMMIT").await.unwrap();
    let value = blocker.query_one(&format!("SELECT x FROM {place}.t"), &[]).await.unwrap();
    assert_eq!(value.get::<_, i32>(0), 2, "nothing is changed");
    until("nothing is left", || async { tenants.leftovers().await.is_empty() }).await;
    drop(blocker);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker"]
async fn what_a_dead_program_left_is_swept() {
    let tenants = Tenants::new("16", Isolation::Schema).await;
    let (tenant, neighbour) = tenants.tenant().await;
    let id = PlatformId::new();
    let roles: Vec<String> =
        (0..3).map(|_| format!("fresco_copy_{}", TenantId::new().as_uuid().simple())).collect();
    let admin = connect(&tenants.platform.url()).await.unwrap();
    let other = PlatformId::new();
    for (role, platform, until) in
        [(&roles[0], id, "-1 min"), (&roles[1], id, "1 min"), (&roles[2], other, "-1 min")]
    {
        let sql = format!(
            "DO $$ BEGIN EXECUTE format('CREATE ROLE {role} LOGIN VALID UNTIL %L',
                 now() + interval '{until}'); END $$;
             COMMENT ON ROLE {role} IS 'fresco platform={platform} copy={tenant}';
             GRANT {role} TO CURRENT_USER WITH INHERIT TRUE, SET TRUE"
        );
        admin.batch_execute(&sql).await.unwrap();
    }
    // A tenant tries to keep it.
    let sql = format!("CREATE TABLE mine (id int); GRANT SELECT ON mine TO {}", roles[0]);
    neighbour.batch_execute(&sql).await.unwrap();
    let open = PostgresTenants::connect(config(&tenants.platform, id)).await.unwrap();
    let mut left = tenants.leftovers().await;
    left.sort();
    let mut expected = vec![roles[1].clone(), roles[2].clone()];
    expected.sort();
    assert_eq!(left, expected, "only what is ours, and over, is removed");
    drop(open);
    tenants.clean_up().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker"]
async fn programs_that_are_missing_are_named() {
    let tenants = Tenants::new("16", Isolation::Schema).await;
    let id = PlatformId::new();
    let without = config(&tenants.platform, id).programs("/nowhere");
    let without = PostgresTenants::connect(without).await.unwrap();
    let tenant = TenantId::new();
    without.ensure(&tenants.spec(tenant, 1)).await.unwrap();
    let error = without.dump(tenant).await.err().expect("there is no program");
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.chain().contains("/nowhere/pg_dump"), "{}", error.chain());
    let nothing = stream::empty().boxed();
    let error = without.restore(fence(tenant, 1), nothing).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert_eq!(tenants.leftovers().await, [""; 0]);
    tenants.clean_up().await;
}
