//! The instances of all, and the work on them.

use askama::Template;
use serde::Deserialize;
use serde_json::json;

use crate::web::Pages;
use crate::web::layout::Page;
use crate::web::pages::list::{Pager, address, asked_page};
use crate::web::shapes::{ACTIONS, Operation, STANDINGS, STATUSES, Tenant};
use crate::web::visit::{Outcome, Visit, show};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Owned {
    tenant: Tenant,
    owner_id: String,
    owner_email: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Tenants {
    tenants: Vec<Owned>,
    total: u64,
    page: u64,
    pages: u64,
}

#[derive(Template)]
#[template(path = "admin_tenants.html")]
struct Instances {
    page: Page,
    tenants: Vec<Owned>,
    total: u64,
    pager: Pager,
    search: String,
    status: String,
    /// Whose alone.
    owner: String,
    /// That account's address, once one of its instances tells it.
    owner_email: Option<String>,
}

impl Instances {
    fn is_filtered(&self) -> bool {
        !(self.search.is_empty() && self.status.is_empty() && self.owner.is_empty())
    }

    /// The same without the owner.
    fn of_all(&self) -> String {
        address("/admin/tenants", &[("search", &self.search), ("status", &self.status)])
    }
}

pub(super) fn add(pages: Pages) -> Pages {
    pages.page("/admin/tenants", instances).page("/admin/operations", operations)
}

async fn instances(visit: Visit) -> Outcome {
    visit.signed_in()?;
    let filled = |name| visit.query(name).trim().to_owned();
    let (search, status, owner) = (filled("search"), filled("status"), filled("owner"));
    let some = |text: &String| (!text.is_empty()).then(|| text.clone());
    let body = json!({
        "page": asked_page(&visit), "search": some(&search), "status": some(&status),
        "ownerId": some(&owner),
    });
    let Tenants { tenants, total, page, pages } = visit.call("admin.tenants", body).await?;
    let filters = [("search", &*search), ("status", &*status), ("owner", &*owner)];
    let pager = Pager::new(page, pages, "/admin/tenants", &filters);
    let owner_email = tenants.first().and_then(|tenant| tenant.owner_email.clone());
    let page = visit.page("All instances");
    show(&Instances { page, tenants, total, pager, search, status, owner, owner_email })
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asked {
    operation: Operation,
    subdomain: String,
    actor: String,
    actor_id: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Listed {
    operations: Vec<Asked>,
    total: u64,
    page: u64,
    pages: u64,
}

#[derive(Template)]
#[template(path = "admin_operations.html")]
struct Operations {
    page: Page,
    operations: Vec<Asked>,
    total: u64,
    pager: Pager,
    action: String,
    status: String,
    /// Of which instance alone.
    tenant: String,
}

impl Operations {
    fn is_filtered(&self) -> bool {
        !(self.action.is_empty() && self.status.is_empty() && self.tenant.is_empty())
    }

    /// The name of the one instance that is shown.
    fn subdomain(&self) -> Option<&str> {
        let first = self.operations.first().filter(|_| !self.tenant.is_empty());
        first.map(|asked| asked.subdomain.as_str())
    }

    /// The same of all instances.
    fn of_all(&self) -> String {
        address("/admin/operations", &[("action", &self.action), ("status", &self.status)])
    }
}

async fn operations(visit: Visit) -> Outcome {
    visit.signed_in()?;
    let filled = |name| visit.query(name).trim().to_owned();
    let (tenant, action, status) = (filled("tenant"), filled("action"), filled("status"));
    // What is no id and no word of the API's is left to the API to refuse.
    let some = |text: &String| (!text.is_empty()).then(|| text.clone());
    let body = json!({
        "page": asked_page(&visit), "tenantId": some(&tenant), "action": some(&action),
        "status": some(&status),
    });
    let Listed { operations, total, page, pages } = visit.call("admin.operations", body).await?;
    let filters = [("tenant", &*tenant), ("action", &*action), ("status", &*status)];
    let pager = Pager::new(page, pages, "/admin/operations", &filters);
    let page = visit.page("Operations");
    show(&Operations { page, operations, total, pager, action, status, tenant })
}
