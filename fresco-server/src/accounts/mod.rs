//! Accounts: who people are, who is signed in, and how far somebody got in the wizard.
//!
//! All of it is in the schema `fresco_server` of the platform's own database, apart from the store
//! of tenants: a tenant names its owner by [`User::owner`], and nothing else crosses.

mod admins;
mod api_keys;
mod audit;
mod claims;
mod database;
mod deletion;
mod deployments;
mod email;
mod idempotency;
mod letters;
mod migrations;
mod networks;
mod open;
mod password;
mod profile;
mod proofs;
mod scope;
mod sessions;
mod signup;
mod token;
mod trials;
mod users;
mod wizard;

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fresco_core::{Health, Result};
use secrecy::SecretString;

pub use admins::{Suspension, UserChange, UserPage, UserQuery};
pub use api_keys::{ApiKey, KeyCreation, KeyHolder, NewApiKey};
pub use audit::{
    AUDIT_OK, AuditAbout, AuditActor, AuditEvent, AuditFault, AuditHead, AuditMeans, AuditPage,
    AuditQuery, AuditReport, AuditRow, EndedOperation, Sealed,
};
pub use claims::Claim;
pub use deletion::UserDeletion;
pub use deployments::{EndedDeployment, ToldDeployments};
pub use email::Email;
pub use letters::{LeasedLetter, Letter, LetterEnd};
pub use open::OpenedLetter;
pub use password::Password;
pub use profile::{NewProfile, PasswordChange, ProfileChange};
pub use proofs::Verification;
pub use scope::Scope;
pub use sessions::{LoginSession, NewLogin, NewSession, OpenSession};
pub use signup::{NewInvite, SignupPolicy};
pub use trials::{Trial, TrialTerms};
pub use users::{NewUser, Role, User};
pub(crate) use wizard::is_refusal;
pub use wizard::{
    NewWizard, UseCase, WizardChoice, WizardClaim, WizardCode, WizardData, WizardSession,
    WizardStep, WizardUpdate,
};

use audit::AuditKeys;
use database::Database;
use password::Passwords;
use token::Keys;

/// Where accounts are kept, and under which secret.
#[derive(Clone, Debug)]
pub struct AccountsConfig {
    url: SecretString,
    secret: SecretString,
    secrets_old: Vec<SecretString>,
    connections: usize,
    session_life: Duration,
    session_idle: Duration,
    admin_email: Option<Email>,
    signup: SignupPolicy,
    trial: Option<TrialTerms>,
    mail: bool,
    mailed_code: bool,
}

impl AccountsConfig {
    /// Accounts in the database of this URL, with up to 8 connections. All keys are derived from
    /// the secret: another one ends all sessions.
    #[must_use]
    pub fn new(url: SecretString, secret: SecretString) -> Self {
        let day = Duration::from_secs(24 * 60 * 60);
        Self {
            url,
            secret,
            secrets_old: Vec::new(),
            connections: 8,
            session_life: 30 * day,
            session_idle: 7 * day,
            admin_email: None,
            signup: SignupPolicy::Open,
            trial: None,
            mail: false,
            mailed_code: false,
        }
    }

    /// Earlier secrets: what they sealed in the audit log can be checked, and goes on under the present
    /// one. Default: none.
    #[must_use]
    pub fn secrets_old(mut self, secrets: Vec<SecretString>) -> Self {
        self.secrets_old = secrets;
        self
    }

    /// Whether somebody sends the letters that are written down, and whether the wizard demands the
    /// code of one before it makes an account. Default: neither.
    #[must_use]
    pub const fn mail(mut self, sent: bool, code_demanded: bool) -> Self {
        (self.mail, self.mailed_code) = (sent, sent && code_demanded);
        self
    }

    /// How long somebody stays signed in at most, and how long without a request. Default: 30 days,
    /// and 7.
    #[must_use]
    pub fn sessions(mut self, life: Duration, idle: Duration) -> Self {
        (self.session_life, self.session_idle) = (life, idle);
        self
    }

    /// Whoever verifies this address is an admin. Default: nobody.
    #[must_use]
    pub fn admin_email(mut self, email: Option<Email>) -> Self {
        self.admin_email = email;
        self
    }

    /// Who may make an account. Default: everybody.
    #[must_use]
    pub fn signup(mut self, policy: SignupPolicy) -> Self {
        self.signup = policy;
        self
    }

    /// What holds for tenants of people with an unverified address; `None`, the default, where no
    /// address can be verified: what holds for all.
    #[must_use]
    pub fn trial(mut self, terms: Option<TrialTerms>) -> Self {
        self.trial = terms;
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
    audit: AuditKeys,
    /// The last place in the audit log that this program saw sealed, and its seal.
    audit_seen: Mutex<(i64, Vec<u8>)>,
    passwords: Passwords,
    session_life: Duration,
    session_idle: Duration,
    admin_email: Option<Email>,
    signup: SignupPolicy,
    trial: Option<TrialTerms>,
    mail: bool,
    mailed_code: bool,
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
        let audit = AuditKeys::derive(&config.secret, &config.secrets_old)?;
        database.check(migrations::newest()).await?;
        let passwords = Passwords::new().await?;
        let shared = Shared {
            database,
            keys,
            audit,
            audit_seen: Mutex::default(),
            passwords,
            session_life: config.session_life,
            session_idle: config.session_idle,
            admin_email: config.admin_email,
            signup: config.signup,
            trial: config.trial,
            mail: config.mail,
            mailed_code: config.mailed_code,
        };
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

    /// Whether letters are sent. Without it, none is written down.
    #[must_use]
    pub fn has_mail(&self) -> bool {
        self.shared.mail
    }

    /// Whether the wizard demands the code of a letter before it makes an account.
    #[must_use]
    pub fn demands_code(&self) -> bool {
        self.shared.mailed_code
    }

    fn database(&self) -> &Database {
        &self.shared.database
    }

    fn keys(&self) -> &Keys {
        &self.shared.keys
    }

    fn audit_keys(&self) -> &AuditKeys {
        &self.shared.audit
    }

    fn audit_seen(&self) -> &Mutex<(i64, Vec<u8>)> {
        &self.shared.audit_seen
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

    fn admin_email(&self) -> Option<&Email> {
        self.shared.admin_email.as_ref()
    }

    fn signup(&self) -> &SignupPolicy {
        &self.shared.signup
    }

    fn trial(&self) -> Option<TrialTerms> {
        self.shared.trial
    }
}

impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accounts").field("database", self.database()).finish_non_exhaustive()
    }
}
