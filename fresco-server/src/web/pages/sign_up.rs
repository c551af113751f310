//! Signing up: the wizard, whose steps are done by its script, and the deployment that it leads to.

use askama::Template;
use chrono::Utc;
use serde::Deserialize;
use serde_json::{Value, json};

use super::instances;
use crate::accounts::SignupPolicy;
use crate::web::Pages;
use crate::web::client::Refusal;
use crate::web::layout::{Notice, Page};
use crate::web::shapes::{Claim, Operation, Tenant};
use crate::web::visit::{Outcome, Stop, Visit, go, show, show_refused};
use crate::web::words::span;

/// The steps of the wizard: the word in the address, and what people read.
const STEPS: [(&str, &str); 6] = [
    ("account", "Account"),
    ("use", "Use"),
    ("address", "Address"),
    ("terms", "Terms"),
    ("deployment", "Set-up"),
    ("ready", "Ready"),
];

/// One step, as the list of them shows it.
struct WayStep {
    word: &'static str,
    title: &'static str,
    here: bool,
    done: bool,
}

fn way(current: &str) -> Vec<WayStep> {
    let place = STEPS.iter().position(|(word, _)| *word == current).unwrap_or_default();
    let step = |(at, (word, title))| WayStep { word, title, here: at == place, done: at < place };
    STEPS.into_iter().enumerate().map(step).collect()
}

#[derive(Template)]
#[template(path = "signup.html")]
struct SignUp {
    page: Page,
    way: Vec<WayStep>,
    /// What an address has before and after the name that is chosen.
    before: String,
    after: String,
    invited: bool,
    sandbox: Option<String>,
}

#[derive(Template)]
#[template(path = "signup_closed.html")]
struct Closed {
    page: Page,
}

/// The answer of `tenants.get`.
#[derive(Debug, Deserialize)]
struct Details {
    tenant: Tenant,
    operations: Vec<Operation>,
    claim: Option<Claim>,
}

/// What of the answer of `wizard.getDeploymentStatus` no other call tells.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Expected {
    expected_seconds: Option<u32>,
}

/// The answer of `tenants.list`.
#[derive(Debug, Deserialize)]
struct Newest {
    tenants: Vec<Tenant>,
}

#[derive(Template)]
#[template(path = "deployment.html")]
struct Deployment {
    page: Page,
    way: Vec<WayStep>,
    /// `working`, `failed` or `ready`.
    state: &'static str,
    tenant: Tenant,
    operation: Operation,
    claim: Option<Claim>,
    expected: Option<u32>,
    /// How long the app may take to start, in minutes.
    patience: u32,
    /// Whether instances run Network Canvas Fresco.
    is_fresco: bool,
}

impl Deployment {
    fn elapsed(&self) -> i64 {
        let end = self.operation.finished_at.unwrap_or_else(Utc::now);
        (end - self.operation.created_at).num_seconds().max(0)
    }

    fn elapsed_words(&self) -> String {
        span(self.elapsed())
    }

    fn steps_done(&self) -> usize {
        self.operation.steps.iter().filter(|step| step.status == "done").count()
    }

    fn usual(&self) -> String {
        self.expected.map_or_else(
            || {
                let minutes = if self.patience == 1 { "minute" } else { "minutes" };
                format!(
                    "it is the first one here, so nobody knows how long it takes; the app has up to {} {minutes} to start",
                    self.patience
                )
            },
            |seconds| format!("lately it took about {}", span(i64::from(seconds))),
        )
    }
}

pub(super) fn add(pages: Pages) -> Pages {
    pages.page("/signup", wizard).page_with_form("/signup/{id}", deployment, retry)
}

async fn wizard(visit: Visit) -> Outcome {
    if visit.account().is_some() {
        return further(&visit).await;
    }
    let config = visit.config();
    if config.signup == SignupPolicy::Closed {
        return show(&Closed { page: visit.page("Signing up is closed") });
    }
    let (before, after) = visit.address_around();
    show(&SignUp {
        page: visit.page("Sign up"),
        way: way("account"),
        before,
        after,
        invited: config.signup == SignupPolicy::Invite,
        sandbox: config.sandbox_url.as_ref().map(ToString::to_string),
    })
}

/// Who is signed in needs no account: they come back to what they began, or get a further instance.
async fn further(visit: &Visit) -> Outcome {
    let newest: Newest = visit.call("tenants.list", json!({"limit": 1})).await?;
    match newest.tenants.first() {
        Some(tenant) if tenant.last_deployed_at.is_none() => go(&format!("/signup/{}", tenant.id)),
        _ => go("/instances/new"),
    }
}

async fn deployment(visit: Visit) -> Outcome {
    shown(&visit, None).await
}

/// Runs a set-up that failed once more. A page that was left open may show one that has long been tried.
async fn retry(visit: Visit) -> Outcome {
    let details = details(&visit).await?;
    let page = format!("/signup/{}", details.tenant.id);
    if details.standing() != Some("failed") {
        return go(&page);
    }
    let id = json!({"tenantId": details.tenant.id});
    match visit.call::<Value>("tenants.restart", id).await {
        Ok(_) => go(&page),
        // It was asked for in another tab, too.
        Err(refusal) if refusal.code == "operation_in_progress" => go(&page),
        Err(refusal) => shown(&visit, Some(refusal)).await,
    }
}

async fn details(visit: &Visit) -> Result<Details, Stop> {
    visit.signed_in()?;
    Ok(visit.call("tenants.get", json!({"tenantId": instances::id(visit)?})).await?)
}

impl Details {
    /// How its set-up stands; `None` once it has had a life since. One that failed is set up again by the
    /// same action.
    fn standing(&self) -> Option<&'static str> {
        let now = self.operations.first().filter(|now| now.action == "create")?;
        match now.status.as_str() {
            "failed" => Some("failed"),
            // The tenant was read before its operation: it may have become active in between.
            _ if now.is_open() || self.tenant.is_busy() => Some("working"),
            _ if self.tenant.status == "active" => Some("ready"),
            _ => None,
        }
    }
}

async fn shown(visit: &Visit, refusal: Option<Refusal>) -> Outcome {
    let details = details(visit).await?;
    let state = details.standing();
    let Details { tenant, operations, claim } = details;
    let id = json!({"tenantId": tenant.id});
    let Expected { expected_seconds } = visit.call("wizard.getDeploymentStatus", id).await?;
    let Some((state, operation)) = state.zip(operations.into_iter().next()) else {
        // It has had a life since.
        return go(&format!("/instances/{}", tenant.id));
    };
    let app = &visit.config().tenants.app;
    let title = match state {
        "working" => "Setting up your instance",
        "failed" => "It did not work this time",
        _ => "Your instance is ready",
    };
    let page = visit.page(title).with_notice(refusal.as_ref().map(Notice::refusal));
    let page = Deployment {
        page,
        way: way(if state == "ready" { "ready" } else { "deployment" }),
        state,
        tenant,
        operation,
        claim,
        expected: expected_seconds,
        patience: app.boot_seconds.div_ceil(60),
        is_fresco: app.name == "fresco",
    };
    match refusal {
        Some(refusal) => show_refused(&refusal, &page),
        None => show(&page),
    }
}
