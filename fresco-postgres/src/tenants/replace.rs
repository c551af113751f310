//! Dropping all that a tenant has, as the tenant, within a transaction.

use fresco_core::{Result, TenantId};
use tokio_postgres::Transaction;

use crate::errors::Mapped;

/// All that the role owns in this database, as the server itself names it. Containers come first,
/// and what brings others along: each is dropped if it is still there.
const OWNED: &str = "
    SELECT o.type, o.identity, s.objid FROM pg_shdepend s
    JOIN pg_roles r ON r.oid = s.refobjid AND r.rolname = $1
    JOIN pg_database d ON d.oid = s.dbid AND d.datname = current_database(),
    LATERAL pg_identify_object(s.classid, s.objid, s.objsubid) o
    WHERE s.refclassid = 'pg_authid'::regclass AND s.deptype = 'o' AND o.type IS NOT NULL
    ORDER BY array_position(ARRAY['extension', 'publication', 'schema', 'table', 'foreign table',
        'materialized view', 'view', 'sequence'], o.type) NULLS LAST, o.identity";

/// Statements in one message to the server.
const PORTION: usize = 200;

/// Drops all that the tenant owns in this database. The transaction acts as the tenant.
pub(super) async fn all_of(transaction: &Transaction<'_>, tenant: TenantId) -> Result<()> {
    let rows = transaction.query(OWNED, &[&tenant.role_name()]).await.mapped()?;
    let statements: Vec<String> =
        rows.iter().map(|row| drop_statement(row.get(0), row.get(1), row.get(2))).collect();
    for portion in statements.chunks(PORTION) {
        transaction.batch_execute(&portion.concat()).await.mapped()?;
    }
    Ok(())
}

fn drop_statement(kind: &str, identity: &str, oid: u32) -> String {
    let kind = match kind {
        "large object" => return format!("SELECT lo_unlink({oid});"),
        "function" | "procedure" | "aggregate" => "routine",
        "statistics object" => "statistics",
        // Rights are no data.
        "default acl" => return String::new(),
        other => other,
    };
    format!("DROP {kind} IF EXISTS {identity} CASCADE;")
}
