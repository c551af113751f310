//! A further instance.

use askama::Template;
use fresco_core::{Isolation, Subdomain};
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use crate::web::Pages;
use crate::web::client::Refusal;
use crate::web::layout::Page;
use crate::web::pages::list::address;
use crate::web::visit::{Outcome, Stop, Visit, go, show, show_refused};

/// The answer of `tenants.create`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Created {
    tenant_id: Uuid,
}

/// The answer of `wizard.checkSubdomain`.
#[derive(Debug, Default, Deserialize)]
struct Availability {
    suggestions: Vec<String>,
}

const PAGE: &str = "/instances/new";

#[derive(Template)]
#[template(path = "new_instance.html")]
struct NewInstance {
    page: Page,
    /// What stands behind the name in its address.
    after: String,
    subdomain: String,
    /// What tells one wish from the next: the same form, sent once more, makes no second instance.
    once: Uuid,
    /// Whether it gets a database of its own.
    own_database: bool,
    /// What is wrong with the subdomain.
    wrong: Option<String>,
    suggestions: Vec<String>,
}

impl NewInstance {
    fn of(visit: &Visit, page: Page, subdomain: &str) -> Self {
        let ((_, after), subdomain) = (visit.address_around(), subdomain.trim().to_owned());
        let own_database = visit.config().tenants.isolation == Isolation::Database;
        let once = visit.form().get("once").parse().unwrap_or_else(|_| Uuid::new_v4());
        let suggestions = Vec::new();
        Self { page, after, subdomain, once, own_database, wrong: None, suggestions }
    }
}

pub(super) fn add(pages: Pages) -> Pages {
    pages.page_with_form(PAGE, form, create)
}

async fn form(visit: Visit) -> Outcome {
    visit.signed_in()?;
    let page = visit.page("A new instance");
    show(&NewInstance::of(&visit, page, visit.query("subdomain")))
}

async fn create(visit: Visit) -> Outcome {
    // Names have no capital letters, which phones like to begin with.
    let subdomain = visit.form().get("subdomain").trim().to_lowercase();
    // What was typed is there again after signing in.
    let sign_in = || go(&address(PAGE, &[("subdomain", &subdomain)]));
    match visit.signed_in() {
        Err(Stop::Refused(refusal)) if refusal.is_not_signed_in() => return sign_in(),
        known => known?,
    };
    let wish = json!({"subdomain": subdomain});
    let once: Option<Uuid> = visit.form().get("once").parse().ok();
    let created: Result<Created, _> = match once.zip(subdomain.parse::<Subdomain>().ok()) {
        // Another name is another wish of the same form.
        Some((once, name)) => {
            visit.call_once("tenants.create", wish, &format!("{once}.{name}")).await
        }
        None => visit.call("tenants.create", wish).await,
    };
    let refusal = match created {
        Ok(created) => return go(&format!("/instances/{}?done=creating", created.tenant_id)),
        Err(refusal) if refusal.is_not_signed_in() => return sign_in(),
        Err(refusal) => refusal,
    };
    if !is_of_the_name(&refusal) {
        let page = visit.refused_page("A new instance", &refusal);
        return show_refused(&refusal, &NewInstance::of(&visit, page, &subdomain));
    }
    let found: Result<Availability, _> =
        visit.call("wizard.checkSubdomain", json!({"subdomain": subdomain})).await;
    let mut shown = NewInstance::of(&visit, visit.page("A new instance"), &subdomain);
    shown.wrong = Some(refusal.detail.clone());
    // Without suggestions the page is as good.
    shown.suggestions = found.unwrap_or_default().suggestions;
    show_refused(&refusal, &shown)
}

fn is_of_the_name(refusal: &Refusal) -> bool {
    refusal.field.as_deref() == Some("subdomain") || refusal.code.starts_with("subdomain_")
}
