//! One PostgreSQL server, and how this crate connects to it.

use std::fmt;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use fresco_core::{Error, ErrorKind, Result};
use secrecy::{ExposeSecret, SecretString};
use tokio_postgres::config::{ChannelBinding, Host, SslMode};
use tokio_postgres::tls::NoTlsStream;
use tokio_postgres::{AsyncMessage, Client, Config, Connection, NoTls, Socket};

use crate::errors::{Mapped, from_pool};

/// Waiting for a connection, be it from the server or from the pool.
pub(crate) const CONNECT: Duration = Duration::from_secs(5);

/// A server, a database on it, and the time limits of sessions there.
#[derive(Clone)]
pub(crate) struct Server {
    config: Config,
}

/// How long our own transactions may do nothing: less than anybody waits for a lock in all.
pub(crate) const IN_TRANSACTION: Duration = Duration::from_secs(8);

/// Time limits that the server itself keeps for a session: they also end what a dead client left.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// For one statement.
    pub(crate) statement: Duration,
    /// For waiting on one lock.
    pub(crate) lock: Duration,
    /// For a session that does nothing.
    pub(crate) idle: Option<Duration>,
    /// For a transaction in which nothing is done: that of a program which hangs, or is frozen, holds
    /// locks that others wait for.
    pub(crate) transaction: Option<Duration>,
}

impl Server {
    /// The server of this URL.
    pub(crate) fn parse(url: &SecretString, name: &str, limits: Limits) -> Result<Self> {
        let mut config: Config = url.expose_secret().parse().map_err(|e| unusable(&e))?;
        if config.get_hosts().is_empty() {
            return Err(invalid());
        }
        if config.get_ssl_mode() == SslMode::Require {
            return Err(without_tls("sslmode=require"));
        }
        if config.get_channel_binding() == ChannelBinding::Require {
            return Err(without_tls("channel_binding=require"));
        }
        config
            .application_name(name)
            .connect_timeout(CONNECT)
            .keepalives_idle(Duration::from_secs(30))
            .keepalives_interval(Duration::from_secs(10))
            .keepalives_retries(3)
            .tcp_user_timeout(Duration::from_secs(60));
        let mut options = config.get_options().map(|text| format!("{text} ")).unwrap_or_default();
        // Without a schema of anybody in the path, no object of a tenant can take the place of a
        // built-in one. The temporary schema, which is searched first if it is not named, is last.
        options.push_str("-c search_path=pg_catalog,pg_temp -c TimeZone=UTC -c client_min_messages=warning -c standard_conforming_strings=on");
        options.push_str(
            " -c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3",
        );
        options.push_str(&format!(
            " -c statement_timeout={} -c lock_timeout={}",
            limits.statement.as_millis(),
            limits.lock.as_millis()
        ));
        for (name, limit) in [
            ("idle_session_timeout", limits.idle),
            ("idle_in_transaction_session_timeout", limits.transaction),
        ] {
            if let Some(limit) = limit {
                options.push_str(&format!(" -c {name}={}", limit.as_millis()));
            }
        }
        config.options(options);
        Ok(Self { config })
    }

    /// The same server with another database.
    pub(crate) fn database(&self, name: &str) -> Self {
        let mut config = self.config.clone();
        config.dbname(name);
        Self { config }
    }

    /// The same server and database with another login.
    pub(crate) fn login(&self, role: &str, password: &SecretString) -> Self {
        let mut config = self.config.clone();
        config.user(role).password(password.expose_secret());
        Self { config }
    }

    /// Where this is, in the environment variables of PostgreSQL's own programs: without role and
    /// password, and without TLS, as all connections of this crate.
    pub(crate) fn environment(&self) -> [(&'static str, String); 5] {
        let hosts = self.config.get_hosts().iter().map(|host| match host {
            Host::Tcp(name) => name.clone(),
            #[cfg(unix)]
            Host::Unix(path) => path.display().to_string(),
        });
        let ports = self.config.get_ports().iter().map(u16::to_string);
        let addresses = self.config.get_hostaddrs().iter().map(ToString::to_string);
        [
            ("PGHOST", hosts.collect::<Vec<_>>().join(",")),
            ("PGPORT", ports.collect::<Vec<_>>().join(",")),
            ("PGHOSTADDR", addresses.collect::<Vec<_>>().join(",")),
            ("PGDATABASE", self.database_name().to_owned()),
            ("PGSSLMODE", "disable".to_owned()),
        ]
    }

    /// The name of the database.
    pub(crate) fn database_name(&self) -> &str {
        // As PostgreSQL itself: without a name, the role's.
        self.config.get_dbname().or_else(|| self.config.get_user()).unwrap_or_default()
    }

    /// A connection of its own. It ends when the client is dropped.
    pub(crate) async fn connect(&self) -> Result<Client> {
        let (client, connection) = self.open().await?;
        // Nothing depends on this task: it moves bytes, and ends with the client.
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to PostgreSQL ended");
            }
        });
        Ok(client)
    }

    /// A connection of its own, whose messages the caller moves.
    pub(crate) async fn open(&self) -> Result<(Client, Connection<Socket, NoTlsStream>)> {
        match tokio::time::timeout(CONNECT * 2, self.config.connect(NoTls)).await {
            Ok(result) => result.mapped().map_err(|error| error.with("server", self)),
            Err(_) => Err(Error::new(
                ErrorKind::Unavailable,
                "PostgreSQL accepts no connection; is it running, and is its address right?",
            )
            .with("server", self)),
        }
    }

    /// A pool of at most this many connections. It connects when it must.
    pub(crate) fn pool(&self, size: usize) -> Result<Pool> {
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Verified };
        let manager = Manager::from_config(self.config.clone(), NoTls, recycling);
        Pool::builder(manager)
            .max_size(size)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(CONNECT))
            .create_timeout(Some(CONNECT * 2))
            .recycle_timeout(Some(CONNECT))
            .build()
            .map_err(|e| {
                Error::new(ErrorKind::Internal, "the pool of connections can't be made")
                    .with_source(e)
            })
    }
}

/// Options of other programs' URLs that ask for TLS, or are of no use without it.
const TLS_OPTIONS: [&str; 10] = [
    "sslcert",
    "sslcertmode",
    "sslcompression",
    "sslcrl",
    "sslcrldir",
    "sslkey",
    "sslpassword",
    "sslrootcert",
    "ssl_min_protocol_version",
    "ssl_max_protocol_version",
];

/// What is wrong with a URL that the driver can't parse. Its own words may quote a part of the URL,
/// and with it a part of the password, so only names that are known here are said.
fn unusable(error: &tokio_postgres::Error) -> Error {
    let words = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    let quoted = |text: &str| Some(words.strip_prefix(text)?.strip_suffix('`')?.to_owned());
    if let Some(name) = quoted("invalid value for option `") {
        return match name.as_str() {
            "sslmode" => without_tls("sslmode"),
            _ => Error::new(
                ErrorKind::Invalid,
                "an option in the URL of PostgreSQL has a value that is not supported; correct it, or take it out",
            )
            .with("option", name),
        };
    }
    let tls = quoted("unknown option `").filter(|name| TLS_OPTIONS.contains(&name.as_str()));
    tls.map_or_else(invalid, |name| without_tls(&name))
}

fn without_tls(option: &str) -> Error {
    Error::new(
        ErrorKind::Unsupported,
        "connections to PostgreSQL are made without TLS: sslmode may be disable or prefer, or be absent, and certificates are not used; take the option out of the URL, and reach the server over loopback, a Unix socket or a private network",
    )
    .with("option", option)
}

fn invalid() -> Error {
    Error::new(
        ErrorKind::Invalid,
        "this is no PostgreSQL URL, or one with an option that is not supported; it looks like postgresql://role:password@host:5432/database, with special characters of the password in percent-encoding",
    )
}

/// A connection from a pool.
pub(crate) async fn take(pool: &Pool) -> Result<deadpool_postgres::Client> {
    pool.get().await.map_err(from_pool)
}

/// The text of a notification on a connection, if this message is one.
pub(crate) fn notification(message: AsyncMessage) -> Option<String> {
    match message {
        AsyncMessage::Notification(note) => Some(note.payload().to_owned()),
        _ => None,
    }
}

/// Address and database, without role and password.
impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ports = self.config.get_ports();
        for (index, host) in self.config.get_hosts().iter().enumerate() {
            let port = ports.get(index).or(ports.first()).copied().unwrap_or(5432);
            let separator = if index == 0 { "" } else { "," };
            match host {
                Host::Tcp(name) => write!(f, "{separator}{name}:{port}")?,
                #[cfg(unix)]
                Host::Unix(path) => write!(f, "{separator}{}:{port}", path.display())?,
            }
        }
        write!(f, "/{}", self.database_name())
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Server({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        statement: Duration::from_secs(1),
        lock: Duration::from_secs(1),
        idle: None,
        transaction: None,
    };

    #[test]
    fn a_password_is_never_shown() {
        let url = SecretString::from("postgresql://role:hunter2@db:5433/app");
        let server = Server::parse(&url, "test", LIMITS).unwrap();
        assert_eq!(server.to_string(), "db:5433/app");
        assert!(!format!("{server:?}").contains("hunter2"));
        let broken = SecretString::from("postgresql://role:hunter2@db:port/app?x=y");
        let error = Server::parse(&broken, "test", LIMITS).unwrap_err();
        assert!(!error.chain().contains("hunter2"), "{}", error.chain());
    }

    #[test]
    fn without_a_database_it_is_the_roles() {
        let url = SecretString::from("postgresql://role@db");
        let server = Server::parse(&url, "test", LIMITS).unwrap();
        assert_eq!(server.to_string(), "db:5432/role");
        assert_eq!(server.database("x").database_name(), "x");
    }

    #[test]
    fn a_demand_for_tls_is_refused_with_what_to_do_before_anything_is_sent() {
        for (query, option) in [
            ("sslmode=require", "sslmode=require"),
            ("sslmode=verify-full", "sslmode"),
            ("sslmode=verify-ca", "sslmode"),
            ("sslmode=allow", "sslmode"),
            ("sslrootcert=/ca.pem&sslmode=verify-full", "sslrootcert"),
            ("channel_binding=require", "channel_binding=require"),
        ] {
            let url = format!("postgresql://role:hunter2@db/x?{query}").into();
            let error = Server::parse(&url, "test", LIMITS).expect_err(query);
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{query}: {error}");
            let words = error.chain();
            assert!(words.contains("without TLS"), "{words}");
            assert!(words.contains("disable or prefer"), "{words}");
            assert!(words.contains(&format!("option: {option})")), "{words}");
            assert!(!words.contains("hunter2"), "{words}");
        }
        for mode in ["disable", "prefer"] {
            let url = format!("postgresql://role@db/x?sslmode={mode}").into();
            Server::parse(&url, "test", LIMITS).expect(mode);
        }
    }

    #[test]
    fn another_wrong_option_is_not_called_a_wrong_url() {
        let parse = |url: &str| Server::parse(&SecretString::from(url), "test", LIMITS);
        let words = parse("postgresql://role@db/x?target_session_attrs=primary").unwrap_err();
        assert_eq!(words.kind(), ErrorKind::Invalid);
        assert!(words.chain().contains("option: target_session_attrs)"), "{}", words.chain());
        // What looks like the name of an option may be a part of the password.
        let words = parse("postgresql://role@db/x?hunter2=1").unwrap_err().chain();
        assert!(words.contains("an option that is not supported"), "{words}");
        assert!(!words.contains("hunter2"), "{words}");
    }
}
