//! Statements that the server must refuse: each in a session of the tenant, as it is.

use fresco_core::Isolation;
use tokio_postgres::Client;

use crate::table::{Expected, Table, said};
use crate::world::{World, Wrong};

/// What a statement is for, the statement, and what the server may say beside 42501 (no right).
/// `{me}`, `{they}`, `{platform}` are roles, `{mine}` and `{theirs}` schemas or databases, `{here}`
/// the database, `{pid}` a session of the other tenant.
const STATEMENTS: &[(&str, &str, &[&str])] = &[
    ("become another tenant", "SET ROLE {they}", &[]),
    ("become the platform", "SET ROLE {platform}", &[]),
    ("become a superuser (SET SESSION AUTHORIZATION)", "SET SESSION AUTHORIZATION postgres", &[]),
    ("join another tenant", "GRANT {they} TO {me}", &[]),
    ("join the platform", "GRANT {platform} TO {me}", &[]),
    ("join pg_read_server_files", "GRANT pg_read_server_files TO {me}", &[]),
    ("join pg_monitor", "GRANT pg_monitor TO {me}", &[]),
    ("make a role", "CREATE ROLE another", &[]),
    ("make itself a superuser", "ALTER ROLE {me} SUPERUSER", &[]),
    ("give itself CREATEROLE", "ALTER ROLE {me} CREATEROLE", &[]),
    ("give itself CREATEDB", "ALTER ROLE {me} CREATEDB", &[]),
    ("give itself REPLICATION", "ALTER ROLE {me} REPLICATION", &[]),
    ("give itself BYPASSRLS", "ALTER ROLE {me} BYPASSRLS", &[]),
    ("lift its own connection limit", "ALTER ROLE {me} CONNECTION LIMIT -1", &[]),
    ("rename itself", "ALTER ROLE {me} RENAME TO another", &["0A000"]),
    ("change another tenant's password", "ALTER ROLE {they} PASSWORD 'x'", &[]),
    ("put a setting on another tenant's role", "ALTER ROLE {they} SET work_mem = '1MB'", &[]),
    ("put a setting on every role", "ALTER ROLE ALL SET work_mem = '1MB'", &[]),
    ("drop another tenant's role", "DROP ROLE {they}", &[]),
    ("drop what another tenant owns", "DROP OWNED BY {they} CASCADE", &[]),
    ("take what another tenant owns", "REASSIGN OWNED BY {they} TO {me}", &[]),
    ("forge the platform's mark on its role", "COMMENT ON ROLE {me} IS 'x'", &[]),
    ("forge the platform's mark on its database", "COMMENT ON DATABASE {here} IS 'x'", &[]),
    ("make a database", "CREATE DATABASE another", &[]),
    ("copy another tenant's database", "CREATE DATABASE another TEMPLATE {theirs}", &["3D000"]),
    ("change a setting of its database", "ALTER DATABASE {here} SET work_mem = '1MB'", &[]),
    ("lift its database's connection limit", "ALTER DATABASE {here} CONNECTION LIMIT -1", &[]),
    ("drop its database", "DROP DATABASE {here}", &["55006"]),
    (
        "open its database to all",
        "DO $$BEGIN GRANT CONNECT ON DATABASE {here} TO PUBLIC; IF NOT has_database_privilege('public', current_database(), 'CONNECT') THEN RAISE insufficient_privilege; END IF; END$$",
        &[],
    ),
    ("change the server's configuration", "ALTER SYSTEM SET max_connections = 1", &[]),
    ("reload the server's configuration", "SELECT pg_reload_conf()", &[]),
    ("lift the limit of temporary files", "SET temp_file_limit = -1", &[]),
    ("the same for its role", "ALTER ROLE {me} SET temp_file_limit = -1", &[]),
    ("turn off the log of its statements", "SET log_statement = 'none'", &[]),
    ("load a library into sessions", "SET session_preload_libraries = 'x'", &[]),
    ("load a library by path", "LOAD '/tmp/x.so'", &["58P01"]),
    ("make a tablespace", "CREATE TABLESPACE t LOCATION '/tmp'", &[]),
    (
        "make an event trigger",
        "CREATE FUNCTION hook() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; CREATE EVENT TRIGGER e ON ddl_command_start EXECUTE FUNCTION hook()",
        &[],
    ),
    (
        "make a subscription (connect elsewhere)",
        "CREATE SUBSCRIPTION s CONNECTION 'host=127.0.0.1' PUBLICATION p WITH (connect = false)",
        &[],
    ),
    ("make a replication slot", "SELECT pg_create_physical_replication_slot('s')", &[]),
    ("publish all tables", "CREATE PUBLICATION p FOR ALL TABLES", &[]),
    ("prepare a transaction that outlives it", "BEGIN; PREPARE TRANSACTION 'x'", &["55000"]),
    ("read a file (pg_read_file)", "SELECT pg_read_file('/etc/passwd')", &[]),
    ("read a file (pg_read_binary_file)", "SELECT pg_read_binary_file('PG_VERSION')", &[]),
    ("list a folder (pg_ls_dir)", "SELECT pg_ls_dir('.')", &[]),
    ("see a file (pg_stat_file)", "SELECT pg_stat_file('PG_VERSION')", &[]),
    ("read a file (COPY)", "CREATE TEMPORARY TABLE f (t text); COPY f FROM '/etc/passwd'", &[]),
    ("write a file (COPY)", "COPY (SELECT 1) TO '/tmp/x'", &[]),
    ("run a program (COPY TO PROGRAM)", "COPY (SELECT 1) TO PROGRAM 'true'", &[]),
    (
        "run a program (COPY FROM PROGRAM)",
        "CREATE TEMPORARY TABLE g (t text); COPY g FROM PROGRAM 'id'",
        &[],
    ),
    ("read a file (lo_import)", "SELECT lo_import('/etc/passwd')", &[]),
    ("write a file (lo_export)", "SELECT lo_export(lo_create(0), '/tmp/x')", &[]),
    ("make a function in C", "CREATE FUNCTION c() RETURNS int LANGUAGE c AS '/tmp/x.so', 'f'", &[]),
    (
        "make an internal function",
        "CREATE FUNCTION i() RETURNS int LANGUAGE internal AS 'pg_backend_pid'",
        &[],
    ),
    ("make an untrusted language", "CREATE EXTENSION plpython3u", &["58P01", "0A000"]),
    ("connect from inside (dblink)", "CREATE EXTENSION dblink", &["58P01", "0A000"]),
    ("connect from inside (postgres_fdw)", "CREATE EXTENSION postgres_fdw", &["58P01", "0A000"]),
    ("read files as tables (file_fdw)", "CREATE EXTENSION file_fdw", &["58P01", "0A000"]),
    ("make a language", "CREATE LANGUAGE l HANDLER plpgsql_call_handler", &[]),
    ("make a foreign data wrapper", "CREATE FOREIGN DATA WRAPPER w", &[]),
    ("make a base type", "CREATE TYPE b", &[]),
    (
        "run a function as the platform (SECURITY DEFINER)",
        "CREATE FUNCTION esc() RETURNS name LANGUAGE sql SECURITY DEFINER AS 'SELECT current_user'; ALTER FUNCTION esc() OWNER TO {platform}",
        &[],
    ),
    ("read passwords", "SELECT rolpassword FROM pg_authid", &[]),
    ("read passwords (pg_shadow)", "SELECT * FROM pg_shadow", &[]),
    ("read the rules of who may log in", "SELECT * FROM pg_hba_file_rules", &[]),
    ("read the server's files of settings", "SELECT * FROM pg_file_settings", &[]),
    ("read all large objects at once", "SELECT * FROM pg_largeobject", &[]),
    ("read another tenant's large object", "SELECT lo_get({object})", &["42704"]),
    ("change the catalog", "UPDATE pg_catalog.pg_class SET relname = relname", &[]),
    ("lock the catalog", "BEGIN; LOCK TABLE pg_catalog.pg_class IN ACCESS EXCLUSIVE MODE", &[]),
    (
        "make a function in pg_catalog",
        "CREATE FUNCTION pg_catalog.count(text) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        &[],
    ),
    ("end another tenant's session", "SELECT pg_terminate_backend({pid})", &[]),
    ("cancel another tenant's statement", "SELECT pg_cancel_backend({pid})", &[]),
    ("reset the statistics", "SELECT pg_stat_reset()", &[]),
    ("force a checkpoint", "CHECKPOINT", &[]),
    ("switch the log of writes", "SELECT pg_switch_wal()", &[]),
    ("write sessions' memory to the log", "SELECT pg_log_backend_memory_contexts({pid})", &[]),
];

/// For a schema in a database that tenants share.
const IN_SCHEMA: &[(&str, &str, &[&str])] = &[
    ("read another tenant's table", "SELECT * FROM {theirs}.secrets", &[]),
    ("write another tenant's table", "INSERT INTO {theirs}.secrets VALUES ('x')", &[]),
    ("drop another tenant's table", "DROP TABLE {theirs}.secrets", &[]),
    ("make a table in another tenant's schema", "CREATE TABLE {theirs}.t (id int)", &[]),
    ("make a table in public", "CREATE TABLE public.t (id int)", &[]),
    (
        "make a function in public",
        "CREATE FUNCTION public.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        &[],
    ),
    (
        "make an operator in public",
        "CREATE OPERATOR public.= (LEFTARG = text, RIGHTARG = text, FUNCTION = texteq)",
        &[],
    ),
    ("make a schema", "CREATE SCHEMA another", &[]),
    ("drop its schema", "DROP SCHEMA {mine} CASCADE", &[]),
    (
        "open its schema to all",
        "DO $$BEGIN GRANT USAGE ON SCHEMA {mine} TO PUBLIC; IF NOT has_schema_privilege('public', '{mine}', 'USAGE') THEN RAISE insufficient_privilege; END IF; END$$",
        &[],
    ),
    ("install a trusted extension for all", "CREATE EXTENSION pgcrypto", &["58P01", "0A000"]),
];

pub(crate) async fn rows(world: &dyn World, table: &mut Table) -> Result<(), Wrong> {
    let (mine, theirs) = tokio::try_join!(world.tenant(), world.tenant())?;
    let they = theirs.connect().await?;
    they.batch_execute("CREATE TABLE secrets (text text); INSERT INTO secrets VALUES ('x')")
        .await?;
    let object = "SELECT lo_from_bytea(0, 'secret')::text, pg_backend_pid()::text";
    let row = they.query_one(object, &[]).await?;
    let (object, pid): (&str, &str) = (row.get(0), row.get(1));
    let me = mine.connect().await?;
    let here: String = me.query_one("SELECT current_database()::text", &[]).await?.get(0);
    let names = [
        ("{me}", mine.id.role_name()),
        ("{they}", theirs.id.role_name()),
        ("{platform}", world.names().role.clone()),
        ("{mine}", mine.id.database_name()),
        ("{theirs}", theirs.id.database_name()),
        ("{here}", here),
        ("{pid}", pid.to_owned()),
        ("{object}", object.to_owned()),
    ];
    let own: &[_] = if world.isolation() == Isolation::Schema { IN_SCHEMA } else { &[] };
    for (attempt, sql, codes) in STATEMENTS.iter().chain(own) {
        let filled =
            names.iter().fold((*sql).to_owned(), |sql, (key, name)| sql.replace(key, name));
        table.add(Expected::Refused, *attempt, tried(&me, &filled, codes).await);
    }
    Ok(())
}

async fn tried(me: &Client, sql: &str, codes: &[&str]) -> Result<String, Wrong> {
    let result = me.batch_execute(sql).await;
    // Whatever it has begun.
    let _ = me.batch_execute("ROLLBACK").await;
    match result {
        Ok(()) => Err("done".into()),
        Err(error) => {
            let Some(db) = error.as_db_error() else { return Err(error.into()) };
            let (code, words) = (db.code().code(), said(db));
            match code == "42501" || codes.contains(&code) {
                true => Ok(words),
                false => Err(words.into()),
            }
        }
    }
}
