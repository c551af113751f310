//! The tables of the store, and who may come near them.

use fresco_core::{Error, ErrorKind, Result};

use crate::close::{SETUP_LOCK, close};
use crate::errors::{Mapped, classify};
use crate::server::Server;

mod embedded {
    #![allow(unreachable_pub, clippy::all)]
    refinery::embed_migrations!("migrations");
}

/// Brings the tables up to date. Programs that do so at the same time take turns.
pub(crate) async fn migrate(server: &Server) -> Result<()> {
    // The library itself is not safe when several programs begin at once, so all of it happens
    // under a lock. The lock is on a connection of its own: it ends with this program, whatever
    // happens to the connection that migrates.
    let guard = server.connect().await?;
    guard.execute("SELECT pg_advisory_lock($1)", &[&SETUP_LOCK]).await.mapped()?;
    let mut client = server.connect().await?;
    client.batch_execute("CREATE SCHEMA IF NOT EXISTS fresco").await.mapped()?;
    let mut runner = embedded::migrations::runner();
    runner.set_migration_table_name("fresco.migrations");
    let report = runner.run_async(&mut client).await.map_err(|e| failed(e, server))?;
    for migration in report.applied_migrations() {
        tracing::info!(%migration, "migrated the platform's database");
    }
    close(&client, server).await?;
    guard.execute("SELECT pg_advisory_unlock($1)", &[&SETUP_LOCK]).await.mapped()?;
    Ok(())
}

fn failed(error: refinery::Error, server: &Server) -> Error {
    let cause = std::error::Error::source(&error).and_then(|e| e.downcast_ref());
    let (kind, message) = match cause.map(classify) {
        Some((kind, message)) if kind != ErrorKind::Internal => (kind, message),
        _ => (
            ErrorKind::Internal,
            "the platform's tables can't be brought up to date; was this database last used by a newer version?",
        ),
    };
    Error::new(kind, message).with("database", server).with_source(error)
}
