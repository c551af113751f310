//! The tables of the accounts.

use std::time::Duration;

use fresco_core::{Error, ErrorKind, Result};
use tokio_postgres::{Client, Config, NoTls};

use super::AccountsConfig;
use super::database::{CONNECT, Mapped, meaning, parse, place, within};

mod embedded {
    #![allow(unreachable_pub, clippy::all)]
    refinery::embed_migrations!("migrations");
}

/// All of it, waiting for other programs included.
const LIMIT: Duration = Duration::from_secs(300);
/// Of all advisory locks in the platform's database this one is for these tables. Any number will
/// do that nobody else uses, as long as it stays the same in all versions.
const LOCK: i64 = 0x6672_6573_636f_0002;

/// The version of the tables that this program works with.
pub(super) fn newest() -> i64 {
    let runner = embedded::migrations::runner();
    runner
        .get_migrations()
        .iter()
        .map(|migration| i64::from(migration.version()))
        .max()
        .unwrap_or(0)
}

/// Brings the tables up to date. Programs that do so at the same time take turns.
pub(super) async fn migrate(accounts: &AccountsConfig) -> Result<()> {
    let config = parse(&accounts.url, "fresco-accounts-migrate", LIMIT)?;
    within(LIMIT, "accounts.migrate", locked(&config))
        .await
        .map_err(|error| error.with("server", place(&config)))
}

async fn locked(config: &Config) -> Result<()> {
    // The library itself is not safe when several programs begin at once, so all of it happens
    // under a lock. The lock is on a connection of its own: it ends with this program, whatever
    // happens to the connection that migrates.
    let guard = connect(config).await?;
    guard.execute("SELECT pg_advisory_lock($1)", &[&LOCK]).await.mapped()?;
    let mut client = connect(config).await?;
    client.batch_execute("CREATE SCHEMA IF NOT EXISTS fresco_server").await.mapped()?;
    let mut runner = embedded::migrations::runner();
    runner.set_migration_table_name("fresco_server.migrations");
    let report = runner.run_async(&mut client).await.map_err(failed)?;
    for migration in report.applied_migrations() {
        tracing::info!(%migration, "migrated the accounts");
    }
    guard.execute("SELECT pg_advisory_unlock($1)", &[&LOCK]).await.mapped()?;
    Ok(())
}

/// A connection of its own. It ends when the client is dropped.
async fn connect(config: &Config) -> Result<Client> {
    let Ok(opened) = tokio::time::timeout(CONNECT * 2, config.connect(NoTls)).await else {
        return Err(Error::new(
            ErrorKind::Unavailable,
            "PostgreSQL accepts no connection; is it running, and is its address right?",
        ));
    };
    let (client, connection) = opened.mapped()?;
    // Nothing depends on this task: it moves bytes, and ends with the client.
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to PostgreSQL ended");
        }
    });
    Ok(client)
}

fn failed(error: refinery::Error) -> Error {
    let cause = std::error::Error::source(&error).and_then(|cause| cause.downcast_ref());
    let (kind, words) = match cause.map(meaning) {
        Some((kind, words)) if kind != ErrorKind::Internal => (kind, words),
        _ => (
            ErrorKind::Internal,
            "the tables of the accounts can't be brought up to date; was this database last used by a newer version?",
        ),
    };
    Error::new(kind, words).with_source(error)
}
