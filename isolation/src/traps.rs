//! Things named like those that the platform uses, put where it might call them.

use fresco_core::Isolation;

use crate::table::{Expected, Table};
use crate::world::{World, Wrong};

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

pub(crate) async fn rows(world: &dyn World, table: &mut Table) -> Result<(), Wrong> {
    let attempt = "traps for the platform's statements (functions, operators, views, triggers of the names it uses)";
    table.add(Expected::Refused, attempt, sprung(world).await);
    Ok(())
}

async fn sprung(world: &dyn World) -> Result<String, Wrong> {
    let tenant = world.tenant().await?;
    let me = tenant.connect().await?;
    let like =
        "CREATE FUNCTION like_trap(name, varchar) RETURNS boolean LANGUAGE sql AS 'SELECT true'";
    me.batch_execute(like).await?;
    me.batch_execute(TRAPS).await?;
    world.exercise(&tenant).await?;
    let place = match world.isolation() {
        Isolation::Schema => tenant.id.database_name(),
        _ => "public".into(),
    };
    let sql = format!("SELECT coalesce(string_agg(what, ', '), '') FROM {place}.sprung");
    let what: String = world.inside(&tenant).await?.query_one(&sql, &[]).await?.get(0);
    if !what.is_empty() {
        return Err(format!("sprung: {what}").into());
    }
    world.remove_all(&tenant).await?;
    Ok("none of them was touched, also by its removal".into())
}
