//! What happened on the platform.

use askama::Template;
use chrono::{DateTime, Days, NaiveDate, Utc};
use poem::http::StatusCode;
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use crate::web::Pages;
use crate::web::client::Refusal;
use crate::web::layout::Page;
use crate::web::pages::list::{Pager, asked_page};
use crate::web::visit::{Outcome, Visit, show, show_refused};

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
    event: String,
    /// The first day and the last one, as `2026-11-24`.
    from: String,
    to: String,
}

impl Audit {
    fn is_filtered(&self) -> bool {
        [&self.tenant, &self.user, &self.event, &self.from, &self.to]
            .iter()
            .any(|it| !it.is_empty())
    }
}

/// The moment a day begins, or the one so many days after. What is no day is left to the API to refuse.
fn day(text: &str, days_on: u64) -> Option<String> {
    if text.is_empty() {
        return None;
    }
    let day: Option<NaiveDate> = text.parse().ok();
    let day = day.and_then(|day| day.checked_add_days(Days::new(days_on)));
    Some(day.map_or_else(|| text.to_owned(), |day| format!("{day}T00:00:00Z")))
}

pub(super) fn add(pages: Pages) -> Pages {
    pages.page("/admin/audit", audit)
}

async fn audit(visit: Visit) -> Outcome {
    visit.signed_in()?;
    let filled = |name| visit.query(name).trim().to_owned();
    let (tenant, user, event) = (filled("tenant"), filled("user"), filled("event"));
    let (from, to) = (filled("from"), filled("to"));
    let is_id = |text: &str| text.is_empty() || Uuid::parse_str(text).is_ok();
    if !is_id(&tenant) || !is_id(&user) {
        let words = "An id is 32 digits and letters a to f, with hyphens in between. It stands in the address of the page of an instance or an account.";
        let refusal = Refusal::new(StatusCode::BAD_REQUEST, "invalid", words);
        let page = visit.refused_page("Audit log", &refusal);
        let (entries, pager) = (Vec::new(), Pager::new(1, 0, "/admin/audit", &[]));
        let refused = Audit { page, entries, total: 0, pager, tenant, user, event, from, to };
        return show_refused(&refusal, &refused);
    }
    let some = |text: &String| (!text.is_empty()).then(|| text.clone());
    let body = json!({
        "page": asked_page(&visit), "limit": ROWS, "tenantId": some(&tenant), "userId": some(&user),
        "event": some(&event), "from": day(&from, 0), "until": day(&to, 1),
    });
    let Entries { entries, total, page, pages } = visit.call("admin.audit", body).await?;
    let filters =
        [("tenant", &*tenant), ("user", &user), ("event", &event), ("from", &from), ("to", &to)];
    let pager = Pager::new(page, pages, "/admin/audit", &filters);
    let page = visit.page("Audit log");
    show(&Audit { page, entries, total, pager, tenant, user, event, from, to })
}
