//! The accounts of all.

use askama::Template;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use crate::web::Pages;
use crate::web::layout::Page;
use crate::web::pages::list::{Pager, asked_page};
use crate::web::visit::{Outcome, Visit, show};

/// An account, as admins see it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct User {
    pub(super) id: Uuid,
    pub(super) email: String,
    pub(super) name: Option<String>,
    pub(super) role: String,
    pub(super) created_at: DateTime<Utc>,
    pub(super) email_verified_at: Option<DateTime<Utc>>,
    pub(super) suspended_at: Option<DateTime<Utc>>,
}

impl User {
    pub(super) fn is_admin(&self) -> bool {
        self.role == "admin"
    }

    /// Names are what people call themselves: the address goes with it.
    pub(super) fn called(&self) -> String {
        match &self.name {
            Some(name) => format!("{name} ({})", self.email),
            None => self.email.clone(),
        }
    }
}

/// One page of accounts.
#[derive(Debug, Deserialize)]
pub(super) struct Users {
    pub(super) users: Vec<User>,
    total: u64,
    page: u64,
    pages: u64,
}

#[derive(Template)]
#[template(path = "admin_users.html")]
struct People {
    page: Page,
    users: Vec<User>,
    total: u64,
    pager: Pager,
    search: String,
}

pub(super) fn add(pages: Pages) -> Pages {
    pages.page("/admin/users", people)
}

async fn people(visit: Visit) -> Outcome {
    visit.signed_in()?;
    let search = visit.query("search").trim().to_owned();
    let body = json!({"page": asked_page(&visit), "search": search});
    let Users { users, total, page, pages } = visit.call("admin.users", body).await?;
    let pager = Pager::new(page, pages, "/admin/users", &[("search", &search)]);
    show(&People { page: visit.page("People"), users, total, pager, search })
}
