//! What happened on the platform.

use askama::Template;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use crate::web::Pages;
use crate::web::layout::Page;
use crate::web::pages::list::{Pager, asked_page};
use crate::web::visit::{Outcome, Visit, show};

/// Rows a page: they are short.
const ROWS: u32 = 50;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    id: i64,
    at: DateTime<Utc>,
    event: String,
    outcome: String,
    actor: String,
    actor_id: Option<Uuid>,
    actor_email: Option<String>,
    means: String,
    address: Option<String>,
    tenant_id: Option<Uuid>,
    user_id: Option<Uuid>,
    user_email: Option<String>,
    seq: Option<i64>,
}

impl Entry {
    /// The account that it is about, where that is not who did it.
    fn about(&self) -> Option<&Uuid> {
        self.user_id.as_ref().filter(|id| self.actor_id.as_ref() != Some(*id))
    }
}

#[derive(Debug, Deserialize)]
struct Entries {
    entries: Vec<Entry>,
    total: u64,
    page: u64,
    pages: u64,
}

#[derive(Template)]
#[template(path = "admin_audit.html")]
struct Audit {
    page: Page,
    entries: Vec<Entry>,
    total: u64,
    pager: Pager,
    tenant: String,
    user: String,
}

pub(super) fn add(pages: Pages) -> Pages {
    pages.page("/admin/audit", audit)
}

async fn audit(visit: Visit) -> Outcome {
    visit.signed_in()?;
    let filled = |name| visit.query(name).trim().to_owned();
    let (tenant, user) = (filled("tenant"), filled("user"));
    let some = |text: &String| (!text.is_empty()).then(|| text.clone());
    let body = json!({
        "page": asked_page(&visit), "limit": ROWS, "tenantId": some(&tenant), "userId": some(&user),
    });
    let Entries { entries, total, page, pages } = visit.call("admin.audit", body).await?;
    let pager = Pager::new(page, pages, "/admin/audit", &[("tenant", &tenant), ("user", &user)]);
    show(&Audit { page: visit.page("Audit log"), entries, total, pager, tenant, user })
}
