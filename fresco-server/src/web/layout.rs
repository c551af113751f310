//! The frame of every page.

use std::sync::Arc;

use serde::Deserialize;
use uuid::Uuid;

use crate::accounts::SignupPolicy;
use crate::config::{Config, Contact};
use crate::web::assets;
use crate::web::client::Refusal;
use crate::web::legal::Legal;
use crate::web::words;

/// What is the same on all pages.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    /// Where the styles and scripts of this version are.
    pub(super) assets: String,
    /// Whether anybody may sign up at all.
    pub(super) sign_up: bool,
    /// Whether letters are sent.
    pub(super) mail: bool,
    /// Who runs the platform, and how they are reached.
    pub(super) operator: Option<String>,
    pub(super) contact: Option<Contact>,
    /// How much an instance may keep, in MB.
    pub(super) disk_mb: u64,
    /// On what terms it is offered.
    pub(super) legal: Legal,
}

impl Site {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            assets: assets::folder(),
            sign_up: !matches!(config.signup, SignupPolicy::Closed),
            mail: config.verifies_addresses,
            operator: config.pages.operator.clone(),
            contact: config.pages.contact.clone(),
            disk_mb: config.tenant_disk >> 20,
            legal: Legal::new(config),
        }
    }
}

/// Who is signed in.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Account {
    pub(super) id: Uuid,
    pub(super) email: String,
    pub(super) email_verified: bool,
    pub(super) pending_email: Option<String>,
    pub(super) name: Option<String>,
    /// Whether this is an admin of the platform; told beside the account.
    #[serde(skip)]
    pub(super) admin: bool,
}

/// The answer of `auth.getSession`.
#[derive(Debug, Deserialize)]
pub(super) struct SignedIn {
    user: Option<Account>,
    role: Option<String>,
}

impl SignedIn {
    pub(super) fn account(self) -> Option<Account> {
        let admin = self.role.as_deref() == Some("admin");
        self.user.map(|user| Account { admin, ..user })
    }
}

/// What came of something, told at the top of a page.
#[derive(Clone, Debug)]
pub(super) struct Notice {
    /// `success`, `info` or `error`, as the style knows them.
    pub(super) kind: &'static str,
    pub(super) text: String,
}

impl Notice {
    /// Of an action that led here. The address says which, in a word: what it said is nobody else's.
    pub(super) fn done(word: &str) -> Option<Self> {
        let (kind, text) = words::done(word)?;
        Some(Self { kind, text: text.to_owned() })
    }

    pub(super) fn refusal(refusal: &Refusal) -> Self {
        Self { kind: "error", text: refusal.detail.clone() }
    }
}

/// The frame of one page.
#[derive(Clone, Debug)]
pub(super) struct Page {
    pub(super) site: Arc<Site>,
    pub(super) title: String,
    pub(super) path: String,
    pub(super) account: Option<Account>,
    /// Whether it is known who is signed in, or that nobody is.
    pub(super) known: bool,
    pub(super) notice: Option<Notice>,
}

impl Page {
    /// `asked` is who is signed in, or why nobody knows.
    pub(super) fn new(
        site: &Arc<Site>,
        asked: &Result<Option<Account>, Refusal>,
        path: &str,
        title: &str,
    ) -> Self {
        let (site, title, path) = (Arc::clone(site), title.to_owned(), path.to_owned());
        let (account, known) = (asked.as_ref().ok().cloned().flatten(), asked.is_ok());
        Self { site, title, path, account, known, notice: None }
    }

    pub(super) fn with_notice(mut self, notice: Option<Notice>) -> Self {
        self.notice = notice;
        self
    }

    /// For links of the navigation: whether this page is in this part of the site.
    pub(super) fn within(&self, part: &str) -> bool {
        self.path == part || self.path.strip_prefix(part).is_some_and(|rest| rest.starts_with('/'))
    }
}
