//! Things named like those that the platform uses, put where it might call them.

use fresco_core::{DatabaseMetrics, DatabaseWatch, TenantDatabase};

use crate::support::tenants::fence;
use crate::table::{Expected, Table};
use crate::world::{CONNECTIONS, World};

/// Each leaves a row in `sprung` when anybody calls or reads it, and fails.
const TRAPS: &str = r"
    CREATE TABLE sprung (what text);
    CREATE FUNCTION spring(what text) RETURNS bigint LANGUAGE plpgsql
        AS 'BEGIN INSERT INTO sprung VALUES (what); RAISE WARNING ''sprung %'', what; RETURN 1; END';
    CREATE FUNCTION pg_database_size(oid) RETURNS bigint LANGUAGE sql AS 'SELECT spring(''size'')';
    CREATE FUNCTION pg_total_relation_size(oid) RETURNS bigint LANGUAGE sql AS 'SELECT spring(''relation'')';
    CREATE FUNCTION current_setting(varchar) RETURNS bigint LANGUAGE sql AS 'SELECT spring(''setting'')';
    CREATE FUNCTION pg_advisory_lock(integer) RETURNS bigint LANGUAGE sql AS 'SELECT spring(''lock'')';
    CREATE FUNCTION same(text, name) RETURNS boolean LANGUAGE sql AS 'SELECT spring(''equal'') = 1';
    CREATE OPERATOR = (LEFTARG = text, RIGHTARG = name, FUNCTION = same);
    CREATE OPERATOR ~~ (LEFTARG = name, RIGHTARG = varchar, FUNCTION = like_trap);
    CREATE VIEW pg_class AS SELECT spring('class') AS oid;
    CREATE VIEW pg_namespace AS SELECT spring('namespace') AS oid;
    CREATE VIEW pg_roles AS SELECT spring('roles') AS oid;
    CREATE VIEW pg_locks AS SELECT spring('locks') AS relation;
    CREATE TABLE bait (id int DEFAULT spring('default'));
    CREATE INDEX ON bait ((id + 1));
    CREATE FUNCTION fire() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM spring(''trigger''); RETURN NEW; END';
    CREATE TRIGGER fire BEFORE INSERT OR UPDATE OR DELETE ON bait EXECUTE FUNCTION fire();
    CREATE RULE watch AS ON INSERT TO bait DO ALSO SELECT spring('rule');
    INSERT INTO sprung VALUES ('ready');
    DELETE FROM sprung;
    ALTER ROLE CURRENT_USER SET search_path = public, pg_catalog";

pub(crate) async fn rows(world: &World, table: &mut Table) {
    let attempt = "traps for the platform's statements (functions, operators, views, triggers of the names it uses)";
    table.add(Expected::Refused, attempt, sprung(world).await);
}

async fn sprung(world: &World) -> Result<String, String> {
    let tenant = world.tenant().await;
    let me = tenant.connect().await;
    let like =
        "CREATE FUNCTION like_trap(name, varchar) RETURNS boolean LANGUAGE sql AS 'SELECT true'";
    me.batch_execute(like).await.map_err(|e| e.to_string())?;
    me.batch_execute(TRAPS).await.map_err(|e| format!("the traps: {e:?}"))?;
    let (database, id) = (&world.database, tenant.id);
    let calls = async {
        database.list(None).await?;
        database.measure(id).await?;
        database.activity(id).await?;
        database.inspect().await?;
        let spec = fresco_core::DatabaseSpec::new(fence(id, 2), world.isolation, CONNECTIONS);
        database.ensure(&spec).await?;
        database.issue(fence(id, 2)).await
    };
    calls.await.map_err(|e: fresco_core::Error| e.chain())?;
    let place = match world.isolation {
        fresco_core::Isolation::Schema => id.database_name(),
        _ => "public".into(),
    };
    let sql = format!("SELECT coalesce(string_agg(what, ', '), '') FROM {place}.sprung");
    let what: String = world.inside(&tenant).await.query_one(&sql, &[]).await.unwrap().get(0);
    if !what.is_empty() {
        return Err(format!("sprung: {what}"));
    }
    database.remove(fence(id, 3)).await.map_err(|e| e.chain())?;
    match world.traces(id).await {
        0 => Ok("none of them was touched, also by its removal".into()),
        left => Err(format!("{left} traces are left")),
    }
}
