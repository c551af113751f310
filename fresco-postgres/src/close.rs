//! Closing the platform's database to everybody else.

use fresco_core::Result;
use postgres_protocol::escape::escape_identifier;
use tokio_postgres::Client;

use crate::errors::Mapped;
use crate::server::Server;

/// Of all advisory locks in the platform's database this one is for what is set up there once. Any
/// number will do, as long as it stays the same in all versions.
pub(crate) const SETUP_LOCK: i64 = 0x6672_6573_636f_0001;

/// Takes from everybody what a new PostgreSQL gives to everybody: tenants' roles live on the same
/// server, and have no business in the platform's database. The caller holds [`SETUP_LOCK`].
pub(crate) async fn close(client: &Client, server: &Server) -> Result<()> {
    let row = client
        .query_one(
            "SELECT pg_has_role(d.datdba, 'USAGE'),
                    has_database_privilege('public', d.oid, 'CONNECT, TEMPORARY'),
                    EXISTS (SELECT FROM pg_namespace WHERE nspname = 'public'
                            AND has_schema_privilege('public', oid, 'USAGE, CREATE'))
             FROM pg_database d WHERE d.datname = current_database()",
            &[],
        )
        .await
        .mapped()?;
    let (owner, open, schema_open): (bool, bool, bool) = (row.get(0), row.get(1), row.get(2));
    if !owner && (open || schema_open) {
        tracing::warn!(
            database = server.database_name(),
            "the platform's database is open to every role, and belongs to another one: revoke CONNECT and TEMPORARY on it, and all on its schema public, from PUBLIC"
        );
        return Ok(());
    }
    if open {
        let name = escape_identifier(server.database_name());
        let sql = format!("REVOKE CONNECT, TEMPORARY ON DATABASE {name} FROM PUBLIC");
        client.batch_execute(&sql).await.mapped()?;
    }
    if schema_open {
        client.batch_execute("REVOKE ALL ON SCHEMA public FROM PUBLIC").await.mapped()?;
    }
    Ok(())
}
