//! What an instance's app wrote.

use askama::Template;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::json;

use super::instances::details;
use crate::web::Pages;
use crate::web::layout::Page;
use crate::web::shapes::Tenant;
use crate::web::visit::{Outcome, Visit, show};

/// The answer of `tenants.getLogs`.
#[derive(Debug, Default, Deserialize)]
struct Lines {
    lines: Vec<Line>,
}

#[derive(Debug, Deserialize)]
struct Line {
    at: DateTime<Utc>,
    stream: String,
    text: String,
}

#[derive(Template)]
#[template(path = "log.html")]
struct Log {
    page: Page,
    tenant: Tenant,
    lines: Vec<Line>,
    /// Why there are no lines at the moment.
    missing: Option<String>,
    now: DateTime<Utc>,
}

/// When a line was written, with its day when that is not today.
fn clock(at: &DateTime<Utc>, now: &DateTime<Utc>) -> String {
    let today = at.date_naive() == now.date_naive();
    at.format(if today { "%H:%M:%S UTC" } else { "%-d %b %Y, %H:%M:%S UTC" }).to_string()
}

pub(super) fn add(pages: Pages) -> Pages {
    pages.page("/instances/{id}/log", log)
}

async fn log(visit: Visit) -> Outcome {
    let tenant = details(&visit).await?.tenant;
    let page = visit.page(&format!("Log of {}", tenant.subdomain));
    // As many as the live log begins with.
    let read: Result<Lines, _> = if tenant.status == "destroyed" {
        Ok(Lines::default())
    } else {
        visit.call("tenants.getLogs", json!({"tenantId": tenant.id})).await
    };
    let (lines, missing) = match read {
        Ok(read) => (read.lines, None),
        // While its container is being replaced, and while Docker is away.
        Err(refusal) if refusal.status == 503 => (Vec::new(), Some(refusal.detail)),
        Err(refusal) => return Err(refusal.into()),
    };
    show(&Log { page, tenant, lines, missing, now: Utc::now() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_another_day_says_of_which() {
        let [evening, midnight] = ["2026-01-31T23:59:58Z", "2026-02-01T00:00:00Z"];
        let [evening, midnight] = [evening, midnight].map(|at| at.parse().unwrap());
        assert_eq!(clock(&evening, &evening), "23:59:58 UTC");
        assert_eq!(clock(&evening, &midnight), "31 Jan 2026, 23:59:58 UTC");
        assert_eq!(clock(&midnight, &midnight), "00:00:00 UTC");
    }
}
