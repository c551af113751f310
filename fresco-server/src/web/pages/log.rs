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
}

pub(super) fn add(pages: Pages) -> Pages {
    pages.page("/instances/{id}/log", log)
}

async fn log(visit: Visit) -> Outcome {
    let tenant = details(&visit).await?.tenant;
    let page = visit.page(&format!("Log of {}", tenant.subdomain));
    let read: Result<Lines, _> = if tenant.status == "destroyed" {
        Ok(Lines::default())
    } else {
        visit.call("tenants.getLogs", json!({"tenantId": tenant.id, "lines": 200})).await
    };
    let (lines, missing) = match read {
        Ok(read) => (read.lines, None),
        // While its container is being replaced, and while Docker is away.
        Err(refusal) if refusal.status == 503 => (Vec::new(), Some(refusal.detail)),
        Err(refusal) => return Err(refusal.into()),
    };
    show(&Log { page, tenant, lines, missing })
}
