//! Everything the app is told by its environment, checked in one place.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use hyper::Uri;
use tokio_postgres::config::{Host, SslMode};

/// The settings of one run. The database URLs are kept parsed only: their `Debug` hides the password.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// Where the app listens.
    pub(crate) listen: SocketAddr,
    /// The database for requests (through a pooler, if there is one).
    pub(crate) pooled: tokio_postgres::Config,
    /// The same database, directly: for the migration.
    pub(crate) direct: tokio_postgres::Config,
    /// The address people use, as given.
    pub(crate) public_url: String,
    /// The host in [`Config::public_url`]: which tenant this is.
    pub(crate) public_host: String,
    /// The version to show.
    pub(crate) version: String,
    /// A line to show on the page.
    pub(crate) greeting: Option<String>,
    /// The switches for tests.
    pub(crate) switches: Switches,
}

/// Ways to misbehave, all off by default.
#[derive(Debug, Clone, Default)]
pub(crate) struct Switches {
    /// `APP_SQL_PUBLIC`
    pub(crate) sql_public: bool,
    /// `APP_BOOT_DELAY`
    pub(crate) boot_delay: Option<Duration>,
    /// `APP_EXIT_AT_BOOT`
    pub(crate) exit_at_boot: Option<u8>,
    /// `APP_EXIT_AFTER`
    pub(crate) exit_after: Option<Duration>,
    /// `APP_IGNORE_TERM`
    pub(crate) ignore_term: bool,
    /// `APP_EAT_MEMORY`, in MB
    pub(crate) eat_memory_mb: Option<usize>,
    /// `APP_NEVER_HEALTHY`
    pub(crate) never_healthy: bool,
    /// `APP_NO_DATABASE`
    pub(crate) no_database: bool,
    /// `APP_CLAIM`
    pub(crate) claim: bool,
}

impl Config {
    /// Reads the settings through `lookup`.
    ///
    /// # Errors
    /// Every problem at once, one sentence each. No value of a variable that may hold a secret is repeated.
    pub(crate) fn read(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, Vec<String>> {
        let mut reader = Reader { lookup, problems: Vec::new() };
        let pooled = reader.database("DATABASE_URL");
        let direct = reader.database("DATABASE_URL_UNPOOLED");
        let public = reader.public_url();
        let port = reader.parsed("PORT", "a port, 1 to 65535", |text| {
            text.parse().ok().filter(|port| *port != 0_u16)
        });
        // A name is not looked up: Docker puts the container's id here unless told otherwise.
        let address = reader
            .text("HOSTNAME")
            .and_then(|text| text.parse::<IpAddr>().ok())
            .unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let version = reader.text("APP_VERSION");
        let greeting = reader.text("GREETING");
        let switches = Switches {
            sql_public: reader.flag("APP_SQL_PUBLIC"),
            boot_delay: reader.seconds("APP_BOOT_DELAY"),
            exit_at_boot: reader
                .parsed("APP_EXIT_AT_BOOT", "an exit code, 0 to 255", |text| text.parse().ok()),
            exit_after: reader.seconds("APP_EXIT_AFTER"),
            ignore_term: reader.flag("APP_IGNORE_TERM"),
            eat_memory_mb: reader
                .parsed("APP_EAT_MEMORY", "a number of MB", |text| text.parse().ok()),
            never_healthy: reader.flag("APP_NEVER_HEALTHY"),
            no_database: reader.flag("APP_NO_DATABASE"),
            claim: reader.flag("APP_CLAIM"),
        };
        match (pooled, direct, public) {
            (Some(pooled), Some(direct), Some((public_url, public_host)))
                if reader.problems.is_empty() =>
            {
                Ok(Self {
                    listen: SocketAddr::new(address, port.unwrap_or(3000)),
                    pooled,
                    direct,
                    public_url,
                    public_host,
                    version: version.unwrap_or_else(|| env!("CARGO_PKG_VERSION").to_owned()),
                    greeting,
                    switches,
                })
            }
            _ => Err(reader.problems),
        }
    }
}

/// Reads one variable after another and collects what is wrong.
struct Reader<L> {
    lookup: L,
    problems: Vec<String>,
}

impl<L: Fn(&str) -> Option<String>> Reader<L> {
    /// A variable that says something; blank counts as missing.
    fn text(&self, name: &str) -> Option<String> {
        (self.lookup)(name).filter(|text| !text.trim().is_empty())
    }

    fn required(&mut self, name: &str) -> Option<String> {
        let text = self.text(name);
        if text.is_none() {
            self.problems.push(format!("{name} is missing or blank; it must be set"));
        }
        text
    }

    fn parsed<T>(
        &mut self,
        name: &str,
        wanted: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let text = self.text(name)?;
        let value = parse(text.trim());
        if value.is_none() {
            self.problems.push(format!("{name} must be {wanted}"));
        }
        value
    }

    fn flag(&mut self, name: &str) -> bool {
        self.parsed(name, "1 or 0", |text| match text {
            "1" => Some(true),
            "0" => Some(false),
            _ => None,
        })
        .unwrap_or(false)
    }

    fn seconds(&mut self, name: &str) -> Option<Duration> {
        self.parsed(name, "a number of seconds", |text| {
            Duration::try_from_secs_f64(text.parse().ok()?).ok()
        })
    }

    fn public_url(&mut self) -> Option<(String, String)> {
        let text = self.required("PUBLIC_URL")?;
        let host = text.trim().parse::<Uri>().ok().and_then(|uri| {
            let web = matches!(uri.scheme_str(), Some("http" | "https"));
            uri.host().filter(|_| web).map(str::to_owned)
        });
        if host.is_none() {
            self.problems.push("PUBLIC_URL must be an http:// or https:// address".to_owned());
        }
        Some((text.trim().to_owned(), host?))
    }

    fn database(&mut self, name: &str) -> Option<tokio_postgres::Config> {
        let url = self.required(name)?;
        match database_url(&url) {
            Ok(config) => Some(config),
            Err(problem) => {
                self.problems.push(format!("{name} {problem}"));
                None
            }
        }
    }
}

/// Parses a database URL, refusing what this app can't do.
///
/// The parser's own error is not repeated: with a badly escaped password it can hold a part of it.
fn database_url(url: &str) -> Result<tokio_postgres::Config, &'static str> {
    let config: tokio_postgres::Config = url.trim().parse().map_err(
        |_| "cannot be read; write postgresql://user:password@ip-address:port/database, special signs percent-encoded",
    )?;
    if config.get_user().is_none() || config.get_dbname().is_none() {
        return Err("must name both the user and the database");
    }
    if config.get_ssl_mode() == SslMode::Require {
        return Err("asks for TLS (sslmode=require), which this app does not speak");
    }
    // A static program can't look a host name up without files that the image doesn't hold.
    let by_address = config.get_hosts().iter().all(|host| match host {
        Host::Tcp(name) => name.parse::<IpAddr>().is_ok(),
        Host::Unix(_) => true,
    });
    let none = config.get_hosts().is_empty() && config.get_hostaddrs().is_empty();
    if none || (config.get_hostaddrs().is_empty() && !by_address) {
        return Err(
            "must give the database's host as an IP address: this app cannot look names up",
        );
    }
    Ok(config)
}

#[cfg(test)]
mod tests;
