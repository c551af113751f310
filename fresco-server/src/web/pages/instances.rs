//! One instance: how it stands, what is done with it, and its end.

use askama::Template;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::list::Question;
use super::sign_in::safe;
use crate::web::Pages;
use crate::web::layout::Page;
use crate::web::shapes::{Claim, Operation, Tenant};
use crate::web::visit::{Outcome, Stop, Visit, go, show, show_refused};

/// The answer of `tenants.get`.
#[derive(Debug, Deserialize)]
pub(super) struct Details {
    pub(super) tenant: Tenant,
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
    /// Where this page is: it is also shown in answer to a form.
    address: String,
}

#[derive(Template)]
#[template(path = "destroy.html")]
struct Destroy {
    page: Page,
    tenant: Tenant,
    wrong: Option<String>,
}

#[derive(Template)]
#[template(path = "confirm.html")]
struct Confirm {
    page: Page,
    question: Question,
}

const PAGE: &str = "/instances/{id}";

pub(super) fn add(pages: Pages) -> Pages {
    pages
        .page(PAGE, instance)
        .form("/instances/{id}/start", PAGE, |visit| act(visit, "tenants.start", "starting"))
        .form("/instances/{id}/stop", PAGE, |visit| act(visit, "tenants.stop", "stopping"))
        .form("/instances/{id}/restart", PAGE, |visit| act(visit, "tenants.restart", "restarting"))
        .page_with_form("/instances/{id}/open", ask_to_open, |visit| {
            act(visit, "tenants.openGate", "opened")
        })
        .page_with_form("/instances/{id}/destroy", ask, destroy)
}

/// Which instance the address means.
pub(super) fn id(visit: &Visit) -> Result<Uuid, Stop> {
    visit.id("id", "There is no such instance.")
}

pub(super) async fn details(visit: &Visit) -> Result<Details, Stop> {
    visit.signed_in()?;
    Ok(visit.call("tenants.get", json!({"tenantId": id(visit)?})).await?)
}

impl Instance {
    fn new(page: Page, Details { tenant, operations, claim }: Details) -> Self {
        let address = format!("/instances/{}", tenant.id);
        Self { page, tenant, operations, claim, address }
    }

    /// Of the buttons: the first thing to do with one that failed, or rests, is to try it.
    fn kind(&self) -> &'static str {
        if self.tenant.status == "active" { "quiet" } else { "" }
    }
}

async fn instance(visit: Visit) -> Outcome {
    let details = details(&visit).await?;
    let page = visit.page(&details.tenant.subdomain);
    show(&Instance::new(page, details))
}

/// Asks for what a button says, and leads back to where it was pressed.
async fn act(visit: Visit, call: &'static str, word: &'static str) -> Outcome {
    visit.signed_in()?;
    let id = id(&visit)?;
    let done: Result<Value, _> = visit.call(call, json!({"tenantId": id})).await;
    match done {
        Ok(_) => {
            // In a list it leads back to where the instance is; to no link of it, which a key held down would follow.
            let (back, place) = match visit.form().get("back") {
                "" => (format!("/instances/{id}"), String::new()),
                back => (safe(back), format!("#at-{id}")),
            };
            let mark = if back.contains('?') { '&' } else { '?' };
            go(&format!("{back}{mark}done={word}{place}"))
        }
        // Of what can't be done now, the instance's own page tells why and how it stands.
        Err(refusal) if matches!(refusal.status, 409 | 429 | 503) => {
            let details = details(&visit).await?;
            let page = visit.refused_page(&details.tenant.subdomain, &refusal);
            show_refused(&refusal, &Instance::new(page, details))
        }
        Err(refusal) => Err(refusal.into()),
    }
}

/// What is open can't be closed again.
async fn ask_to_open(visit: Visit) -> Outcome {
    let Details { tenant, claim, .. } = details(&visit).await?;
    let back = format!("/instances/{}", tenant.id);
    if claim.is_none() {
        return go(&back);
    }
    let question = Question {
        heading: format!("Let everybody reach {}?", tenant.subdomain),
        words: vec![
            "Have you made your account in the app? If not, whoever comes first makes it, and owns the app."
                .to_owned(),
            "This can't be taken back.".to_owned(),
        ],
        button: "Yes, let everybody in",
        dangerous: false,
        hidden: Vec::new(),
        back,
    };
    show(&Confirm { page: visit.page("Let everybody in"), question })
}

async fn ask(visit: Visit) -> Outcome {
    let tenant = details(&visit).await?.tenant;
    if tenant.is_leaving() {
        return go(&format!("/instances/{}", tenant.id));
    }
    let page = visit.page(&format!("Remove {}", tenant.subdomain));
    show(&Destroy { page, tenant, wrong: None })
}

async fn destroy(visit: Visit) -> Outcome {
    let tenant = details(&visit).await?.tenant;
    let typed = visit.form().get("confirmation").trim();
    let body = json!({"tenantId": tenant.id, "confirmation": typed});
    let done: Result<Value, _> = visit.call("tenants.destroy", body).await;
    match done {
        Ok(_) => go(&format!("/instances/{}?done=removing", tenant.id)),
        Err(refusal) if refusal.code == "confirmation_mismatch" => {
            let wrong = format!("This is not its name. Type {} to remove it.", tenant.subdomain);
            let page = visit.page(&format!("Remove {}", tenant.subdomain));
            show_refused(&refusal, &Destroy { page, tenant, wrong: Some(wrong) })
        }
        Err(refusal) => Err(refusal.into()),
    }
}
