//! Accounts: who people are, who is signed in, and how far somebody got in the wizard.
//!
//! All of it is in the schema `fresco_server` of the platform's own database, apart from the store
//! of tenants: a tenant names its owner by [`User::owner`], and nothing else crosses.

mod claims;
mod database;
mod email;
mod idempotency;
mod migrations;
mod password;
mod sessions;
mod token;
mod users;
mod wizard;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use fresco_core::{Health, Result};
use secrecy::SecretString;

pub use claims::Claim;
pub use email::Email;
pub use password::Password;
pub use sessions::{LoginSession, NewLogin, NewSession, OpenSession};
pub use users::{NewUser, Role, User};
pub use wizard::{
    NewWizard, UseCase, WizardChoice, WizardClaim, WizardData, WizardSession, WizardStep,
    WizardUpdate,
};

use database::Database;
use password::Passwords;
use token::Keys;

/// Where accounts are kept, and under which secret.
#[derive(Clone, Debug)]
pub struct AccountsConfig {
    url: SecretString,
    secret: SecretString,
    connections: usize,
    session_life: Duration,
    session_idle: Duration,
}

impl AccountsConfig {
    /// Accounts in the database of this URL, with up to 8 connections. All keys are derived from
    /// the secret: another one ends all sessions.
    #[must_use]
    pub fn new(url: SecretString, secret: SecretString) -> Self {
        let day = Duration::from_secs(24 * 60 * 60);
        Self { url, secret, connections: 8, session_life: 30 * day, session_idle: 7 * day }
    }

    /// How long somebody stays signed in at most, and how long without a request. Default: 30 days,
    /// and 7.
    #[must_use]
    pub fn sessions(mut self, life: Duration, idle: Duration) -> Self {
        (self.session_life, self.session_idle) = (life, idle);
        self
    }

    /// How many connections are used at most, at least 1. Default: 8.
    #[must_use]
    pub fn connections(mut self, connections: usize) -> Self {
        self.connections = connections.max(1);
        self
    }
}

/// The accounts of a platform. Cheap to clone.
#[derive(Clone)]
pub struct Accounts {
    shared: Arc<Shared>,
}

struct Shared {
    database: Database,
    keys: Keys,
    passwords: Passwords,
    session_life: Duration,
    session_idle: Duration,
}

impl Accounts {
    /// How long somebody stays signed in whose browser is not to remember it.
    pub const SHORT_SESSION: Duration = Duration::from_secs(24 * 60 * 60);
    /// How long a session of the wizard lasts.
    pub const WIZARD: Duration = Duration::from_secs(60 * 60);
    /// How long a request is known by its key.
    pub const IDEMPOTENCY: Duration = Duration::from_secs(24 * 60 * 60);

    /// Connects to accounts whose tables are there already.
    ///
    /// # Errors
    /// - `Invalid`: the URL is none, or the tables are missing; [`Accounts::migrate`] makes them.
    /// - `Unsupported`: the URL asks for TLS.
    /// - `Unavailable`: PostgreSQL does not answer.
    /// - `Denied`: it refuses the login.
    pub async fn connect(config: AccountsConfig) -> Result<Self> {
        let database = Database::open(&config)?;
        let keys = Keys::derive(&config.secret)?;
        database.check(migrations::newest()).await?;
        let passwords = Passwords::new().await?;
        let AccountsConfig { session_life, session_idle, .. } = config;
        let shared = Shared { database, keys, passwords, session_life, session_idle };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Brings the tables up to date, and does nothing else. Programs that do so at the same time
    /// take turns.
    ///
    /// # Errors
    /// As [`Accounts::connect`], and `Internal` when the tables were made by a newer version.
    pub async fn migrate(config: &AccountsConfig) -> Result<()> {
        migrations::migrate(config).await
    }

    /// Whether accounts can be used now.
    ///
    /// # Errors
    /// The database's own.
    pub async fn health(&self) -> Result<Health> {
        self.shared.database.health().await
    }

    fn database(&self) -> &Database {
        &self.shared.database
    }

    fn keys(&self) -> &Keys {
        &self.shared.keys
    }

    fn passwords(&self) -> &Passwords {
        &self.shared.passwords
    }

    fn session_life(&self) -> Duration {
        self.shared.session_life
    }

    fn session_idle(&self) -> Duration {
        self.shared.session_idle
    }
}

impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accounts").field("database", self.database()).finish_non_exhaustive()
    }
}
