//! Dropping what a tenant made, in portions: one transaction holds a lock on each thing that it
//! drops, and the server has room for some thousands of locks in all.

use fresco_core::{Error, ErrorKind, Result, TenantId};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::names::ident;
use crate::errors::{Mapped, from_driver};

/// Things that are dropped in one transaction. A table brings indexes, sequences and types along.
const PORTION: i64 = 200;

/// What a schema may hold in large numbers: how to drop it, and the names of some. Tables that
/// others inherit from come after those: dropping them first would drop all at once. What is left
/// of the other kinds is dropped with the schema.
const KINDS: [(&str, &str); 8] = [
    (
        "TABLE",
        "c.relkind IN ('r', 'p') AND NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = c.oid)",
    ),
    ("TABLE", "c.relkind IN ('r', 'p')"),
    ("FOREIGN TABLE", "c.relkind = 'f'"),
    ("MATERIALIZED VIEW", "c.relkind = 'm'"),
    ("VIEW", "c.relkind = 'v'"),
    ("SEQUENCE", "c.relkind = 'S'"),
    ("ROUTINE", ""),
    ("TYPE", ""),
];

/// The statement that names a portion of a kind; `$1` is the schema, `$2` how many.
fn names(kind: &str, condition: &str) -> String {
    match kind {
        "ROUTINE" => "SELECT p.oid::regprocedure::text FROM pg_proc p
            JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = $1 LIMIT $2"
            .into(),
        // Not those that come with a table, an array or a range.
        "TYPE" => "SELECT format('%I.%I', n.nspname, t.typname) FROM pg_type t
            JOIN pg_namespace n ON n.oid = t.typnamespace
            LEFT JOIN pg_class c ON c.oid = t.typrelid
            WHERE n.nspname = $1 AND (t.typtype IN ('d', 'e', 'r') OR c.relkind = 'c') LIMIT $2"
            .into(),
        _ => format!(
            "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c
             JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE n.nspname = $1 AND ({condition}) LIMIT $2"
        ),
    }
}

/// Drops the tenant's schema. Absent is success.
pub(super) async fn schema(client: &Client, tenant: TenantId) -> Result<()> {
    let schema = tenant.database_name();
    for (kind, condition) in KINDS {
        portions(client, &schema, kind, &names(kind, condition)).await?;
    }
    let sql = format!("DROP SCHEMA IF EXISTS {} CASCADE", ident(&schema));
    client.batch_execute(&sql).await.mapped()
}

async fn portions(client: &Client, schema: &str, kind: &str, names: &str) -> Result<()> {
    let mut size = PORTION;
    loop {
        let rows = client.query(names, &[&schema, &size]).await.mapped()?;
        if rows.is_empty() {
            return Ok(());
        }
        let list: Vec<&str> = rows.iter().map(|row| row.get(0)).collect();
        let sql = format!("DROP {kind} {} CASCADE", list.join(", "));
        match client.batch_execute(&sql).await {
            Ok(()) => {}
            // Each of them has more to it than most have.
            Err(e) if e.code() == Some(&SqlState::OUT_OF_MEMORY) && size > 1 => size /= 2,
            Err(e) => return Err(from_driver(e)),
        }
    }
}

/// Drops what the role owns in this database, and what it was granted. An absent role is success.
pub(super) async fn owned(client: &Client, role: &str) -> Result<()> {
    let exists = "SELECT FROM pg_roles WHERE rolname = $1";
    if client.query_opt(exists, &[&role]).await.mapped()?.is_none() {
        return Ok(());
    }
    // Large objects can be many, and belong to no schema.
    let unlink = "SELECT count(lo_unlink(oid)) FROM (
                      SELECT l.oid FROM pg_largeobject_metadata l
                      JOIN pg_roles r ON r.oid = l.lomowner WHERE r.rolname = $1 LIMIT $2) portion";
    loop {
        let row = client.query_one(unlink, &[&role, &PORTION]).await.mapped()?;
        if row.get::<_, i64>(0) == 0 {
            break;
        }
    }
    client.batch_execute(&format!("DROP OWNED BY {} CASCADE", ident(role))).await.mapped()
}

/// Other databases that hold something of the role: rights that others gave it, or what it made
/// where the server let everybody in.
pub(super) async fn places(client: &Client, role: &str) -> Result<Vec<String>> {
    let rows = client
        .query(
            "SELECT DISTINCT d.datname, d.datconnlimit = -2 OR NOT d.datallowconn
             FROM pg_shdepend s
             JOIN pg_roles r ON r.oid = s.refobjid
             JOIN pg_database d ON d.oid = s.dbid
             WHERE s.refclassid = 'pg_authid'::regclass AND r.rolname = $1
               AND d.datname <> current_database()",
            &[&role],
        )
        .await
        .mapped()?;
    if let Some(row) = rows.iter().find(|row| row.get(1)) {
        return Err(Error::new(
            ErrorKind::Conflict,
            "something of this role is in a database that takes no connections",
        )
        .with("role", role)
        .with("database", row.get::<_, &str>(0)));
    }
    Ok(rows.iter().map(|row| row.get(0)).collect())
}
