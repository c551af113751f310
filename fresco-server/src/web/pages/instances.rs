//! A person's instances.

use askama::Template;
use serde::Deserialize;
use serde_json::json;

use crate::web::Pages;
use crate::web::layout::Page;
use crate::web::shapes::{Claim, Operation, Tenant};
use crate::web::visit::{Outcome, Visit, show};

/// The answer of `tenants.get`.
#[derive(Debug, Deserialize)]
struct Details {
    tenant: Tenant,
    operations: Vec<Operation>,
    claim: Option<Claim>,
}

#[derive(Template)]
#[template(path = "instance.html")]
struct Instance {
    page: Page,
    tenant: Tenant,
    operations: Vec<Operation>,
    claim: Option<Claim>,
}

pub(super) fn add(pages: Pages) -> Pages {
    pages.page("/instances/{id}", instance)
}

async fn instance(visit: Visit) -> Outcome {
    visit.signed_in()?;
    let details: Details = visit.call("tenants.get", json!({"tenantId": visit.part("id")})).await?;
    let page = visit.page(&details.tenant.subdomain);
    let Details { tenant, operations, claim } = details;
    show(&Instance { page, tenant, operations, claim })
}
