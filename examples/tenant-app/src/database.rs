//! The app's tables, its migration and its one session.

use std::error::Error as _;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::timeout;
use tokio_postgres::config::Host;
use tokio_postgres::{Client, NoTls};

use crate::config::Config;
use crate::log;

/// The whole migration, waiting for the lock included.
const MIGRATION_LIMIT: Duration = Duration::from_secs(60);
/// Everything a request may ask of the database, connecting included.
const REQUEST_LIMIT: Duration = Duration::from_secs(2);
/// Taken while migrating; PostgreSQL counts advisory locks per database.
const MIGRATION_LOCK: i64 = 0x7465_6e61_6e74;

/// Why the database did not do what was asked, in words that hold no secret.
#[derive(Debug)]
pub(crate) struct DatabaseError(String);

impl fmt::Display for DatabaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who and where the app is, as its database sees it.
#[derive(Debug)]
pub(crate) struct Standing {
    /// `current_database()`
    pub(crate) database: String,
    /// `current_schema()`; empty when the search path names no schema that exists
    pub(crate) schema: String,
    /// `current_user`
    pub(crate) role: String,
    /// The visits counted so far.
    pub(crate) visits: i64,
}

/// The database of this tenant.
#[derive(Debug)]
pub(crate) struct Database {
    pooled: tokio_postgres::Config,
    direct: tokio_postgres::Config,
    /// What stands before a table's name in SQL: nothing, or `"public".`
    prefix: &'static str,
    /// Whether it is never to be reached, as a test asks.
    unused: bool,
    session: Mutex<Option<Arc<Client>>>,
    /// Whether the last request was answered; only to log a change once.
    answering: AtomicBool,
}

impl Database {
    /// Nothing is connected yet.
    pub(crate) fn new(config: &Config) -> Self {
        let prefix = if config.switches.sql_public { "\"public\"." } else { "" };
        Self {
            pooled: config.pooled.clone(),
            direct: config.direct.clone(),
            prefix,
            unused: config.switches.no_database,
            session: Mutex::new(None),
            answering: AtomicBool::new(true),
        }
    }

    /// Where the migration connects to, without the password.
    pub(crate) fn describe(&self) -> String {
        let hosts: Vec<String> = self
            .direct
            .get_hosts()
            .iter()
            .map(|host| match host {
                Host::Tcp(name) => name.clone(),
                Host::Unix(path) => path.display().to_string(),
            })
            .collect();
        format!(
            "database {} at {} as {}",
            self.direct.get_dbname().unwrap_or_default(),
            hosts.join(","),
            self.direct.get_user().unwrap_or_default()
        )
    }

    /// Creates the tables on a connection of its own, under the lock. Does no harm when run again.
    ///
    /// # Errors
    /// The database's own words: no connection, no right, or no end within a minute.
    pub(crate) async fn migrate(&self) -> Result<(), DatabaseError> {
        let migration = async {
            // Ending the connection gives the lock back, whatever happened.
            let client = connect(&self.direct).await?;
            client.batch_execute(&self.migration_sql()).await
        };
        within(MIGRATION_LIMIT, &self.direct, migration).await
    }

    fn migration_sql(&self) -> String {
        let p = self.prefix;
        format!(
            "SELECT pg_catalog.pg_advisory_lock({MIGRATION_LOCK});
             BEGIN;
             CREATE TEMPORARY TABLE migration_defaults (key text, value text) ON COMMIT DROP;
             INSERT INTO migration_defaults VALUES ('migration', '1');
             CREATE TABLE IF NOT EXISTS {p}visits (
                 only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
                 total bigint NOT NULL DEFAULT 0
             );
             CREATE TABLE IF NOT EXISTS {p}settings (key text PRIMARY KEY, value text NOT NULL);
             INSERT INTO {p}visits DEFAULT VALUES ON CONFLICT DO NOTHING;
             INSERT INTO {p}settings SELECT key, value FROM migration_defaults ON CONFLICT DO NOTHING;
             COMMIT;"
        )
    }

    /// Who and where the app is. Changes nothing.
    ///
    /// # Errors
    /// The database did not answer in two seconds, or refused.
    pub(crate) async fn standing(&self) -> Result<Standing, DatabaseError> {
        self.ask(async |client| {
            let row = client
                .query_one(
                    &format!(
                        "SELECT current_database()::text, coalesce(current_schema()::text, ''),
                                current_user::text, (SELECT total FROM {}visits)",
                        self.prefix
                    ),
                    &[],
                )
                .await?;
            Ok(Standing {
                database: row.try_get(0)?,
                schema: row.try_get(1)?,
                role: row.try_get(2)?,
                visits: row.try_get::<_, Option<i64>>(3)?.unwrap_or(0),
            })
        })
        .await
    }

    /// Counts one visit.
    ///
    /// # Errors
    /// As [`Database::standing`]; the visit may have been counted when the answer was lost.
    pub(crate) async fn count_visit(&self) -> Result<(), DatabaseError> {
        self.ask(async |client| {
            client
                .execute(&format!("UPDATE {}visits SET total = total + 1", self.prefix), &[])
                .await
        })
        .await
        .map(drop)
    }

    /// Makes this visitor the owner; `false` when the app has one already.
    ///
    /// # Errors
    /// As [`Database::standing`].
    pub(crate) async fn claim(&self) -> Result<bool, DatabaseError> {
        // One statement decides, so two first visitors can't both win.
        self.ask(async |client| {
            client
                .execute(
                    &format!(
                        "INSERT INTO {}settings VALUES ('owner', 'first visitor at ' || now())
                         ON CONFLICT DO NOTHING",
                        self.prefix
                    ),
                    &[],
                )
                .await
        })
        .await
        .map(|rows| rows == 1)
    }

    /// Runs `question` on the session, opening it again if it was lost.
    async fn ask<T>(
        &self,
        question: impl AsyncFnOnce(&Client) -> Result<T, tokio_postgres::Error>,
    ) -> Result<T, DatabaseError> {
        if self.unused {
            return Err(DatabaseError("not used, as APP_NO_DATABASE asks".to_owned()));
        }
        let answer = within(REQUEST_LIMIT, &self.pooled, async {
            let client = self.session().await?;
            question(&client).await
        })
        .await;
        match &answer {
            Ok(_) => {
                if !self.answering.swap(true, Ordering::Relaxed) {
                    log::info("the database answers again");
                }
            }
            Err(error) => {
                if self.answering.swap(false, Ordering::Relaxed) {
                    log::error(format!("the database does not answer: {error}"));
                }
                // A session that hangs is not closed: the next request must not wait on it as well.
                // Locked means that another request is opening a new one already.
                if let Ok(mut session) = self.session.try_lock() {
                    *session = None;
                }
            }
        }
        answer
    }

    async fn session(&self) -> Result<Arc<Client>, tokio_postgres::Error> {
        let mut session = self.session.lock().await;
        if let Some(client) = session.as_ref().filter(|client| !client.is_closed()) {
            return Ok(Arc::clone(client));
        }
        let client = Arc::new(connect(&self.pooled).await?);
        *session = Some(Arc::clone(&client));
        Ok(client)
    }
}

/// Opens a session; it ends when the client is dropped.
async fn connect(config: &tokio_postgres::Config) -> Result<Client, tokio_postgres::Error> {
    let mut config = config.clone();
    config.application_name("tenant-app");
    let (client, connection) = config.connect(NoTls).await?;
    // Its error reaches whoever asks next: the client is closed then.
    tokio::spawn(connection);
    Ok(client)
}

async fn within<T>(
    limit: Duration,
    config: &tokio_postgres::Config,
    work: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, DatabaseError> {
    match timeout(limit, work).await {
        Ok(result) => result.map_err(|error| explain(&error, config)),
        Err(_) => Err(DatabaseError(format!("no answer in {} seconds", limit.as_secs()))),
    }
}

/// The error with its causes, and with the SQLSTATE when the server gave one.
fn explain(error: &tokio_postgres::Error, config: &tokio_postgres::Config) -> DatabaseError {
    let text = match error.as_db_error() {
        Some(db) => format!("{} {}: {}", db.severity(), db.code().code(), db.message()),
        None => {
            let mut text = error.to_string();
            let mut cause = error.source();
            while let Some(next) = cause {
                text = format!("{text}: {next}");
                cause = next.source();
            }
            text
        }
    };
    let password = String::from_utf8_lossy(config.get_password().unwrap_or_default());
    DatabaseError(log::redact(&text, &password))
}
