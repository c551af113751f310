//! The platform's database, as accounts use it.

use std::fmt;
use std::time::Duration;

use deadpool_postgres::{
    Client, Manager, ManagerConfig, Pool, PoolError, RecyclingMethod, Runtime, TimeoutType,
};
use fresco_core::{Error, ErrorKind, Health, Result};
use secrecy::{ExposeSecret, SecretString};
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Config, NoTls};

use super::AccountsConfig;

/// Waiting for a connection, be it from the server or from the pool.
pub(super) const CONNECT: Duration = Duration::from_secs(5);
/// One call, all of its statements together.
const CALL: Duration = Duration::from_secs(10);

const MISSING: &str =
    "this database holds no tables of accounts; make them with: fresco-server migrate";

const OLD: &str = "this database's tables of accounts are of an older version; bring them up to date with: fresco-server migrate";

/// A pool of connections.
pub(super) struct Database {
    pool: Pool,
    place: String,
}

impl Database {
    /// A pool that connects when it must.
    pub(super) fn open(accounts: &AccountsConfig) -> Result<Self> {
        let config = parse(&accounts.url, "fresco-accounts", CALL)?;
        let place = place(&config);
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Verified };
        let pool = Pool::builder(Manager::from_config(config, NoTls, recycling))
            .max_size(accounts.connections)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(CONNECT))
            .create_timeout(Some(CONNECT * 2))
            .recycle_timeout(Some(CONNECT))
            .build()
            .map_err(|error| {
                Error::new(ErrorKind::Internal, "the pool of connections can't be made")
                    .with_source(error)
            })?;
        Ok(Self { pool, place })
    }

    /// A connection. It goes back when it is dropped; a transaction that was not committed is
    /// rolled back then.
    pub(super) async fn client(&self) -> Result<Client> {
        self.pool.get().await.map_err(from_pool)
    }

    /// Whether the tables are there, up to this migration or a later one.
    pub(super) async fn check(&self, newest: i64) -> Result<()> {
        within(CALL, "accounts.connect", async {
            let client = self.client().await?;
            let sql = "SELECT to_regclass('fresco_server.migrations') IS NOT NULL";
            if !client.query_one(sql, &[]).await.mapped()?.get::<_, bool>(0) {
                return Err(Error::new(ErrorKind::Invalid, MISSING));
            }
            let sql = "SELECT coalesce(max(version), 0)::int8 FROM fresco_server.migrations";
            let made: i64 = client.query_one(sql, &[]).await.mapped()?.get(0);
            if made < newest {
                return Err(Error::new(ErrorKind::Invalid, OLD));
            }
            Ok(())
        })
        .await
        .map_err(|error| error.with("server", &self.place))
    }

    pub(super) async fn health(&self) -> Result<Health> {
        within(CALL, "accounts.health", async {
            let sql = "SELECT current_setting('server_version'), pg_is_in_recovery()";
            let row = self.client().await?.query_one(sql, &[]).await.mapped()?;
            let (version, standby): (&str, bool) = (row.get(0), row.get(1));
            if standby {
                let words = "this PostgreSQL is a read-only copy or in recovery";
                return Err(Error::new(ErrorKind::Unavailable, words));
            }
            Ok(Health::new(format!("PostgreSQL {version} at {}", self.place)))
        })
        .await
        .map_err(|error| error.with("server", &self.place))
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Database({})", self.place)
    }
}

/// How to connect: with a name, time limits that the server keeps, and no schema in the path but
/// PostgreSQL's own.
pub(super) fn parse(url: &SecretString, name: &str, limit: Duration) -> Result<Config> {
    // The driver's own words may quote a part of the password.
    let invalid = |_| {
        Error::new(
            ErrorKind::Invalid,
            "this is no PostgreSQL URL; it looks like postgresql://role:password@host:5432/database, with special characters of the password in percent-encoding",
        )
    };
    let mut config: Config = url.expose_secret().parse().map_err(invalid)?;
    if config.get_ssl_mode() == SslMode::Require {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "connections to PostgreSQL are made without TLS; take sslmode out of the URL, and reach the server over loopback, a Unix socket or a private network",
        ));
    }
    let own = config.get_options().map(|text| format!("{text} ")).unwrap_or_default();
    let limit = limit.as_millis();
    config
        .application_name(name)
        .connect_timeout(CONNECT)
        .keepalives_idle(Duration::from_secs(30))
        .tcp_user_timeout(Duration::from_secs(60))
        .options(format!(
            "{own}-c search_path=pg_catalog,pg_temp -c TimeZone=UTC -c client_min_messages=warning -c statement_timeout={limit} -c lock_timeout={limit} -c idle_in_transaction_session_timeout={limit}"
        ));
    Ok(config)
}

/// Address and database, without role and password.
pub(super) fn place(config: &Config) -> String {
    let ports = config.get_ports();
    let hosts = config.get_hosts().iter().enumerate().map(|(index, host)| {
        let port = ports.get(index).or(ports.first()).copied().unwrap_or(5432);
        match host {
            Host::Tcp(name) => format!("{name}:{port}"),
            #[cfg(unix)]
            Host::Unix(path) => format!("{}:{port}", path.display()),
        }
    });
    let database = config.get_dbname().or_else(|| config.get_user()).unwrap_or_default();
    format!("{}/{database}", hosts.collect::<Vec<_>>().join(","))
}

/// Runs a call of accounts under its time limit, and names it in its error.
pub(super) async fn call<T>(
    operation: &'static str,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    within(CALL, operation, work).await
}

/// Names the call in an error, and ends the call after this time.
pub(super) async fn within<T>(
    time: Duration,
    operation: &'static str,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    match tokio::time::timeout(time, work).await {
        Ok(result) => result.map_err(|error| error.during(operation)),
        Err(_) => Err(Error::new(
            ErrorKind::TimedOut,
            "PostgreSQL did not answer in time; whether it did what it was asked for is unknown",
        )
        .during(operation)
        .with("seconds", time.as_secs())),
    }
}

fn from_pool(error: PoolError) -> Error {
    match error {
        PoolError::Backend(error) => from_driver(error),
        PoolError::Timeout(TimeoutType::Wait) => Error::new(
            ErrorKind::Unavailable,
            "all connections to PostgreSQL are in use; try again",
        ),
        other => Error::new(
            ErrorKind::Unavailable,
            "PostgreSQL does not answer; is it running, and is its address right?",
        )
        .with_source(other),
    }
}

fn from_driver(error: tokio_postgres::Error) -> Error {
    let (kind, words) = meaning(&error);
    let mapped = Error::new(kind, words);
    match error.as_db_error() {
        // What the server says in detail quotes values of rows.
        Some(db) => {
            let code = db.code().code();
            mapped.with_source(format!("{} (SQLSTATE {code})", db.message()))
        }
        None => mapped.with_source(error),
    }
}

/// What an error of the driver means to accounts.
pub(super) fn meaning(error: &tokio_postgres::Error) -> (ErrorKind, &'static str) {
    use ErrorKind as Kind;
    let Some(code) = error.code() else {
        return match error.to_string().starts_with("error serializing") {
            true => (Kind::Internal, "a request to PostgreSQL is malformed"),
            false => (
                Kind::Unavailable,
                "the connection to PostgreSQL failed; is it running, and is its address right?",
            ),
        };
    };
    match code.code() {
        "57014" | "55P03" => (Kind::TimedOut, "PostgreSQL did not finish in time"),
        "40001" | "40P01" => (Kind::Unavailable, "two writes met; try again"),
        "25006" => (Kind::Unavailable, "this PostgreSQL is a read-only copy or in recovery"),
        "53300" => (Kind::Unavailable, "PostgreSQL takes no more connections now"),
        "55000" if accepts_nobody(error) => {
            (Kind::Unavailable, "the platform's database takes no connections now")
        }
        "28000" | "28P01" => {
            (Kind::Denied, "PostgreSQL refuses the login; check role and password in the URL")
        }
        "42501" => (Kind::Denied, "the platform's role lacks a right in PostgreSQL"),
        // Not `NotFound`: what a caller asked for is another thing.
        "3D000" => (Kind::Internal, "PostgreSQL has no database of this name"),
        "42P01" | "3F000" => (Kind::Internal, MISSING),
        "57P01" | "57P02" | "57P03" | "25P03" => {
            (Kind::Unavailable, "PostgreSQL ended the session or is starting; try again")
        }
        other if other.starts_with("08") => {
            (Kind::Unavailable, "the connection to PostgreSQL failed")
        }
        other if other.starts_with("53") => {
            (Kind::Exhausted, "PostgreSQL has no more memory, disk or locks")
        }
        _ => (Kind::Internal, "PostgreSQL refuses a statement of this program"),
    }
}

/// Whether this is the driver's error for a violated unique constraint.
pub(super) fn is_duplicate(error: &tokio_postgres::Error) -> bool {
    error.code() == Some(&SqlState::UNIQUE_VIOLATION)
}

/// Whether a database was shut, as for a backup that is put back.
fn accepts_nobody(error: &tokio_postgres::Error) -> bool {
    let message = error.as_db_error().map(tokio_postgres::error::DbError::message);
    message.is_some_and(|text| text.contains("not currently accepting connections"))
}

/// `?` for the driver's errors.
pub(super) trait Mapped<T> {
    fn mapped(self) -> Result<T>;
}

impl<T> Mapped<T> for Result<T, tokio_postgres::Error> {
    fn mapped(self) -> Result<T> {
        self.map_err(from_driver)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        let config = |url: &str| parse(&SecretString::from(url), "test", CALL);
        let good = config("postgresql://role:hunter2@db:5433/app").unwrap();
        assert_eq!(place(&good), "db:5433/app");
        for url in ["postgresql://role:hunter2@db:port/app", "postgresql://role@db/x?hunter2=1"] {
            let words = config(url).unwrap_err().chain();
            assert!(!words.contains("hunter2"), "{words}");
        }
        let words = config("postgresql://role:hunter2@db/x?sslmode=require").unwrap_err().chain();
        assert!(words.contains("without TLS") && !words.contains("hunter2"), "{words}");
    }
}
