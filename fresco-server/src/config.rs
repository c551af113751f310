//! The configuration: every setting read once, checked, and all that is wrong told at once.

mod addresses;
mod limits;
mod mail;
mod pages;
mod reader;
mod tenants;

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use fresco_core::{Guarantee, Hostname, Quota};
use ipnet::IpNet;
use secrecy::SecretString;
use url::Url;

use crate::accounts::{Email, SignupPolicy, TrialTerms};
use crate::origin::Origin;
use crate::policy::TenantPolicy;
use crate::rates::Rates;
use crate::room::Room;
use crate::settings::{PLACEHOLDER_SECRET, Values};
use reader::Reader;

pub use mail::{SmtpConfig, SmtpTls};
pub use pages::{Contact, ContactError, LegalTexts, PageSettings};

/// An empty database has 8 MB.
const TENANT_DISK_MB: RangeInclusive<u64> = 16..=1 << 30;
/// Up to a day.
const TRANSACTION_SECONDS: RangeInclusive<u64> = 1..=86_400;

/// Characters of a secret at least.
const SHORTEST_SECRET: usize = 32;

/// How the server runs.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The platform's own database.
    pub database_url: SecretString,
    /// The server of the tenants' data.
    pub tenant_database_admin_url: SecretString,
    /// Host and port at which a tenant's container reaches that server; `None` in place of the host
    /// stands for the gateway of the tenants' network.
    pub tenant_database_host: (Option<String>, u16),
    /// The most bytes that a tenant's data may take on PostgreSQL's disk.
    pub tenant_disk: u64,
    /// The longest time that a transaction of a tenant may be open.
    pub tenant_transaction: Duration,
    /// Where to listen.
    pub listen: SocketAddr,
    /// The platform's own and only origin.
    pub public_url: Origin,
    /// The proxies whose word on where a request comes from is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// The one other origin whose pages may call the API.
    pub cors_origin: Option<Origin>,
    /// The Docker Engine.
    pub docker_host: String,
    /// The tenants' network.
    pub docker_network: String,
    /// What tenants may reach in private networks, beside their database.
    pub tenant_reach: Vec<SocketAddr>,
    /// The name servers of containers; `None` stands for those of this machine.
    pub tenant_resolvers: Option<Vec<IpAddr>>,
    /// What tenants may be.
    pub tenants: TenantPolicy,
    /// How much all tenants may take together.
    pub room: Room,
    /// The domain below which tenants live.
    pub base_domain: Hostname,
    /// The proxy.
    pub traefik: Traefik,
    /// The root of the keys under which sessions are stored and tenants' variables are encrypted.
    pub auth_secret: SecretString,
    /// The address whose account is an admin, once it is verified.
    pub admin_email: Option<Email>,
    /// Earlier ones: what is encrypted under them can be read.
    pub auth_secrets_old: Vec<SecretString>,
    /// How long somebody stays signed in at most.
    pub session_life: Duration,
    /// How long somebody stays signed in without a request.
    pub session_idle: Duration,
    /// Who may make an account.
    pub signup: SignupPolicy,
    /// The public sandbox, for who only tries things out.
    pub sandbox_url: Option<Url>,
    /// Whether somebody can show that their address is theirs: there is a way to send mail.
    pub verifies_addresses: bool,
    /// What holds for tenants of people who have not, where they can.
    pub trial: TrialTerms,
    /// How much one person may have.
    pub quota: Quota,
    /// For how long what happened is kept in the audit log.
    pub audit_keep: Duration,
    /// How often somebody may ask.
    pub rates: Rates,
    /// How long an answer may take.
    pub request_deadline: Duration,
    /// The most bytes of a request's head.
    pub head_limit: usize,
    /// The most bytes of a request's body, but for a tenant's variables.
    pub body_limit: usize,
    /// Connections at the same time.
    pub connections: usize,
    /// Connections at the same time from one network.
    pub connections_each: usize,
    /// How letters are sent; `None` in development for the log, in production for not at all.
    pub smtp: Option<SmtpConfig>,
    /// What the pages tell of the platform's operators.
    pub pages: PageSettings,
    /// Whether serving brings the tables up to date first.
    pub migrate: bool,
    /// Operations at the same time.
    pub workers: usize,
    /// How long other servers wait for one that gives no sign of life.
    pub lease: Duration,
    /// Guarantees that may be missing.
    pub allow_unenforced: BTreeSet<Guarantee>,
    /// What is logged.
    pub log: String,
    /// Whether the log is JSON.
    pub log_json: bool,
}

/// How tenants are reached through Traefik.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Traefik {
    /// Whether tenants' addresses are https.
    pub https: bool,
    /// Whether https ends at a proxy before Traefik.
    pub tls_upstream: bool,
    /// The entry point for plain http.
    pub http: SocketAddr,
    /// The port of https, as browsers see it.
    pub https_port: u16,
    /// The API.
    pub dashboard: SocketAddr,
    /// The entry point of tenants' routes, if it is not the usual one.
    pub entrypoint: Option<String>,
    /// The certificate resolver.
    pub cert_resolver: Option<String>,
    /// The entry point that the platform probes routes through when they are https.
    pub probe_entrypoint: String,
    /// Its address.
    pub probe: SocketAddr,
    /// The folder of its file provider.
    pub directory: Option<PathBuf>,
}

/// All that is wrong with the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(pub Vec<String>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("these settings are wrong (see fresco-server --help):")?;
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Whether this is production: the platform's own address is https.
    #[must_use]
    pub fn is_production(&self) -> bool {
        self.public_url.is_https()
    }

    /// Reads and checks the settings.
    ///
    /// # Errors
    /// Every problem there is, each with the setting's name and what it should be. No secret is
    /// quoted.
    pub fn read(values: &Values) -> Result<Self, ConfigError> {
        let mut from = Reader::new(values);
        let config = from.config();
        match config {
            Some(config) if from.problems.is_empty() => Ok(config),
            _ => Err(ConfigError(from.problems)),
        }
    }
}

impl Reader<'_> {
    fn config(&mut self) -> Option<Config> {
        // Each is read before any is missed: all problems are told at once.
        let database_url = self.postgres_url("DATABASE_URL");
        let admin_url = self.text("TENANT_DATABASE_ADMIN_URL");
        let admin_url = match admin_url {
            Some(_) => self.postgres_url("TENANT_DATABASE_ADMIN_URL"),
            None => database_url.clone(),
        };
        let port = self.port("PORT");
        let address = self.parse::<IpAddr>("LISTEN_ADDRESS", "an IP address such as 127.0.0.1");
        let tenant_database_host = self.tenant_database_host(admin_url.as_ref());
        let public_url = self.public_url(port);
        let production = public_url.as_ref().is_some_and(Origin::is_https);
        let cors_origin = self.cors_origin(production);
        let proxies = self.trusted_proxies(production, address);
        let tenants = self.tenants();
        let room = self.room();
        let tenant_disk = self.within("TENANT_DISK", "a whole number of MB", TENANT_DISK_MB);
        let transaction =
            self.within("TENANT_TRANSACTION", "a whole number of seconds", TRANSACTION_SECONDS);
        let base_domain = self.parse::<Hostname>("BASE_DOMAIN", "a domain such as example.org");
        let traefik = self.traefik(production);
        let auth_secret = self.auth_secret(production);
        let admin_email =
            self.optional("ADMIN_EMAIL", "an e-mail address such as name@example.org");
        let auth_secrets_old = self.auth_secrets_old();
        let [session_life, session_idle] = ["SESSION_DAYS", "SESSION_IDLE_DAYS"].map(|name| {
            let days = self.within(name, "a whole number of days", 1..=365);
            days.map(|days| Duration::from_secs(days * 24 * 60 * 60))
        });
        let signup = self.signup(production);
        let sandbox_url = self.sandbox_url();
        let (rates, quota) = (self.rates(production), self.quota(production));
        let trial = self.trial(production);
        let audit_days = self.within("AUDIT_DAYS", "a whole number of days", 1..=36_500);
        let deadline = self.within("REQUEST_DEADLINE", "a whole number of seconds", 5..=600);
        let (sizes, connections) = (self.request_sizes(), self.connections());
        let (smtp, pages) = (self.smtp(), self.pages());
        let migrate = self.one_of("MIGRATE", &[("true", true), ("false", false)]);
        let workers = self.parse::<usize>("WORKERS", "a number, 1 to 64");
        let lease = self.parse::<u32>("LEASE_SECONDS", "a whole number");
        let allow_unenforced = self.allow_unenforced();
        let log = self.log();
        let log_json = self.one_of("LOG_FORMAT", &[("text", false), ("json", true)]);
        let docker_host = self.docker_host();
        let docker_network = self.text("DOCKER_NETWORK");
        let sane = lease.is_none_or(|n| (3..=3600).contains(&n));
        self.check("LEASE_SECONDS", sane, "must be 3 to 3600");
        let reach = self.list::<SocketAddr>("TENANT_REACH", "address:port, such as 10.0.0.5:587");
        let resolvers = self.list::<IpAddr>("TENANT_RESOLVERS", "IP addresses");
        self.check("WORKERS", workers.is_none_or(|n| (1..=64).contains(&n)), "must be 1 to 64");
        let loopback = |domain: &Hostname| domain.as_str() == "localhost";
        self.check(
            "BASE_DOMAIN",
            !production || !base_domain.as_ref().is_some_and(loopback),
            "must be set in production: nobody else reaches localhost",
        );
        Some(Config {
            database_url: database_url?,
            tenant_database_admin_url: admin_url?,
            tenant_database_host: tenant_database_host?,
            tenant_disk: tenant_disk? << 20,
            tenant_transaction: Duration::from_secs(transaction?),
            listen: SocketAddr::new(address?, port?),
            public_url: public_url?,
            trusted_proxies: proxies?,
            cors_origin: cors_origin?,
            docker_host: docker_host?,
            docker_network: docker_network?,
            tenant_reach: reach?.unwrap_or_default(),
            tenant_resolvers: resolvers?,
            tenants: tenants?,
            room: room?,
            base_domain: base_domain?,
            traefik: traefik?,
            auth_secret: auth_secret?,
            admin_email: admin_email?,
            auth_secrets_old: auth_secrets_old?,
            session_life: session_life?,
            session_idle: session_idle?,
            signup: signup?,
            sandbox_url: sandbox_url?,
            verifies_addresses: self.is_set("SMTP_URL"),
            trial: trial?,
            quota: quota?,
            audit_keep: Duration::from_secs(audit_days? * 24 * 60 * 60),
            rates: rates?,
            request_deadline: Duration::from_secs(deadline?),
            head_limit: sizes?.0,
            body_limit: sizes?.1,
            connections: connections?.0,
            connections_each: connections?.1,
            smtp: smtp?,
            pages: pages?,
            migrate: migrate?,
            workers: workers?,
            lease: Duration::from_secs(lease?.into()),
            allow_unenforced: allow_unenforced?,
            log: log?,
            log_json: log_json?,
        })
    }

    fn cors_origin(&mut self, production: bool) -> Option<Option<Origin>> {
        let text = self.text("CORS_ORIGIN")?;
        // The default is a developer's own machine: nothing there may act for people in production.
        if text == "none" || production && !self.is_set("CORS_ORIGIN") {
            return Some(None);
        }
        let origin = text.parse().ok();
        self.check(
            "CORS_ORIGIN",
            origin.is_some(),
            &format!(
                "must be one origin such as https://apps.example.org, or none, but is `{text}`"
            ),
        );
        origin.map(Some)
    }

    fn traefik(&mut self, production: bool) -> Option<Traefik> {
        let https = match self.text("PUBLIC_SCHEME") {
            Some(_) => self.one_of("PUBLIC_SCHEME", &[("http", false), ("https", true)]),
            None => Some(production),
        };
        let host = self.parse::<IpAddr>("TRAEFIK_HOST", "an IP address such as 127.0.0.1");
        let [http, https_port, dashboard, probe] = [
            "TRAEFIK_HTTP_PORT",
            "TRAEFIK_HTTPS_PORT",
            "TRAEFIK_DASHBOARD_PORT",
            "TRAEFIK_PROBE_PORT",
        ]
        .map(|name| self.port(name));
        let tls_upstream = self.one_of("TRAEFIK_TLS", &[("traefik", false), ("upstream", true)]);
        let at = |port: Option<u16>| Some(SocketAddr::new(host?, port?));
        let (entrypoint, cert_resolver) =
            (self.text("TRAEFIK_ENTRYPOINT"), self.text("TRAEFIK_CERT_RESOLVER"));
        let probe_entrypoint = self.text("TRAEFIK_PROBE_ENTRYPOINT");
        let directory = self.text("TRAEFIK_DIRECTORY").map(PathBuf::from);
        let is_whole = directory.as_ref().is_none_or(|folder| folder.is_absolute());
        self.check("TRAEFIK_DIRECTORY", is_whole, "must be a whole path, beginning with /");
        Some(Traefik {
            https: https?,
            tls_upstream: tls_upstream?,
            http: at(http)?,
            https_port: https_port?,
            dashboard: at(dashboard)?,
            entrypoint,
            cert_resolver,
            probe_entrypoint: probe_entrypoint?,
            probe: at(probe)?,
            directory,
        })
    }

    fn auth_secret(&mut self, production: bool) -> Option<SecretString> {
        let text = self.text("AUTH_SECRET")?;
        self.check(
            "AUTH_SECRET",
            text.chars().count() >= SHORTEST_SECRET,
            "must have at least 32 characters; make one with: openssl rand -base64 32",
        );
        self.check(
            "AUTH_SECRET",
            !production || text != PLACEHOLDER_SECRET,
            "is the documented placeholder, which everybody knows; make one with: openssl rand -base64 32",
        );
        Some(text.into())
    }

    /// A secret may hold commas itself: then it is taken as a whole, and has to stand alone.
    fn auth_secrets_old(&mut self) -> Option<Vec<SecretString>> {
        let Some(text) = self.text("AUTH_SECRET_OLD") else { return Some(Vec::new()) };
        let long = |secret: &str| secret.chars().count() >= SHORTEST_SECRET;
        let parts: Vec<_> =
            text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
        let parts = if parts.iter().all(|part| long(part)) { parts } else { vec![text.as_str()] };
        self.check(
            "AUTH_SECRET_OLD",
            parts.iter().all(|part| long(part)),
            "must be earlier values of AUTH_SECRET, each of at least 32 characters, separated by commas",
        );
        Some(parts.into_iter().map(SecretString::from).collect())
    }

    fn allow_unenforced(&mut self) -> Option<BTreeSet<Guarantee>> {
        let text = self.text("ALLOW_UNENFORCED").unwrap_or_default();
        let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
        let guarantees: Result<_, _> =
            names.map(|name| serde_json::from_value(name.into())).collect();
        self.check(
            "ALLOW_UNENFORCED",
            guarantees.is_ok(),
            &format!("knows memory, cpus, pids, network and confinement, but is `{text}`"),
        );
        guarantees.ok()
    }

    fn log(&mut self) -> Option<String> {
        let text = self.text("LOG")?;
        let filter = tracing_subscriber::EnvFilter::builder().parse(&text);
        self.check(
            "LOG",
            filter.is_ok(),
            &format!(
                "must be a level (error, warn, info, debug, trace) or a filter, but is `{text}`"
            ),
        );
        Some(text)
    }
}

#[cfg(test)]
#[path = "config/tests.rs"]
mod tests;
