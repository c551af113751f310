//! A look at a PostgreSQL server that changes nothing.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use fresco_core::{Result, TenantId};
use secrecy::SecretString;
use tokio_postgres::Client;

use crate::errors::{Mapped, within};
use crate::server::{Limits, Server};

/// The time that the whole look may take.
const TIME: Duration = Duration::from_secs(10);

/// What a PostgreSQL server is and what the role of a URL may do there, for people who look for
/// what is wrong.
///
/// [`PostgresStore::connect`](crate::PostgresStore::connect) and
/// [`PostgresTenants::connect`](crate::PostgresTenants::connect) make tables; this makes nothing.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PostgresReport {
    /// The server's version as a number: 160004 is 16.4.
    pub version_number: i32,
    /// The server's version in words.
    pub version: String,
    /// The number that its cluster of databases has for life: two URLs that lead to one server show
    /// the same.
    pub cluster: i64,
    /// Whether it is a read-only copy or in recovery.
    pub read_only: bool,
    /// By how much its clock is ahead of this program's; negative when it is behind.
    pub clock_ahead: TimeDelta,
    /// The database that was reached.
    pub database: String,
    /// Whether the role may make schemas in that database.
    pub makes_schemas: bool,
    /// The role.
    pub role: String,
    /// Whether it is a superuser.
    pub superuser: bool,
    /// Whether it may make roles.
    pub makes_roles: bool,
    /// Whether it may make databases.
    pub makes_databases: bool,
    /// Databases that every role may use, the role's own left out (`CONNECT` or `TEMPORARY` for `PUBLIC`).
    pub open_databases: Vec<String>,
    /// Sessions that roles without special rights can have at the same time.
    pub max_sessions: u32,
    /// The most bytes of temporary files that one session can have at the same time
    /// (`temp_file_limit`); `None`: no limit.
    pub temp_file_limit: Option<u64>,
    /// Tenants' roles on this server, of all platforms.
    pub tenants: u32,
}

impl PostgresReport {
    /// Logs in with this URL and looks, for at most 10 s.
    ///
    /// # Errors
    /// - `Invalid` or `Unsupported`: the URL is none, or asks for what is not supported.
    /// - `Unavailable`: PostgreSQL does not answer.
    /// - `Denied`: it refuses the login.
    /// - `NotFound`: it has no database of this name.
    pub async fn gather(url: &SecretString) -> Result<Self> {
        let time = TIME / 2;
        let limits =
            Limits { statement: time, lock: time, idle: Some(TIME), transaction: Some(TIME) };
        let server = Server::parse(url, "fresco-report", limits)?;
        within(TIME, "database.report", async { look(&server.connect().await?).await }).await
    }
}

/// How many sessions there may be of roles that nothing is kept for.
pub(crate) const ORDINARY_SESSIONS: &str = "current_setting('max_connections')::integer
    - current_setting('superuser_reserved_connections')::integer
    - coalesce(current_setting('reserved_connections', true)::integer, 0)";

async fn look(client: &Client) -> Result<PostgresReport> {
    let sql = format!(
        "SELECT current_setting('server_version_num')::integer,
                      current_setting('server_version'),
                      (SELECT system_identifier FROM pg_control_system()),
                      pg_is_in_recovery(),
                      current_database()::text,
                      has_database_privilege(current_database(), 'CREATE'),
                      rolname::text, rolsuper, rolcreaterole, rolcreatedb,
                      {ORDINARY_SESSIONS},
                      (SELECT setting::bigint * 1024 FROM pg_settings WHERE name = 'temp_file_limit')
               FROM pg_roles WHERE rolname = current_user"
    );
    let row = client.query_one(&sql, &[]).await.mapped()?;
    let sql = "SELECT datname::text FROM pg_database
               WHERE datallowconn
                     AND (datname IN ('postgres', 'template1') OR datdba <> (SELECT oid FROM pg_roles WHERE rolname = current_user))
                     AND has_database_privilege('public', oid, 'CONNECT, TEMPORARY')
               ORDER BY datname";
    let open = client.query(sql, &[]).await.mapped()?;
    let sql = "SELECT rolname::text FROM pg_roles WHERE rolname LIKE 'tenant\\_user\\_%'";
    let roles = client.query(sql, &[]).await.mapped()?;
    let tenants = roles.iter().filter(|row| TenantId::from_role_name(row.get(0)).is_some()).count();
    Ok(PostgresReport {
        version_number: row.get(0),
        version: row.get(1),
        cluster: row.get(2),
        read_only: row.get(3),
        clock_ahead: clock_ahead(client).await?,
        database: row.get(4),
        makes_schemas: row.get(5),
        role: row.get(6),
        superuser: row.get(7),
        makes_roles: row.get(8),
        makes_databases: row.get(9),
        open_databases: open.iter().map(|row| row.get(0)).collect(),
        max_sessions: row.get::<_, i32>(10).try_into().unwrap_or_default(),
        temp_file_limit: row.get::<_, i64>(11).try_into().ok(),
        tenants: tenants.try_into().unwrap_or(u32::MAX),
    })
}

/// The server's clock is read somewhere between asking and having the answer: in the middle, as far
/// as one can know.
async fn clock_ahead(client: &Client) -> Result<TimeDelta> {
    let statement = client.prepare("SELECT clock_timestamp()").await.mapped()?;
    let asked = Utc::now();
    let theirs: DateTime<Utc> = client.query_one(&statement, &[]).await.mapped()?.get(0);
    let ours = asked + (Utc::now() - asked) / 2;
    Ok(theirs - ours)
}
