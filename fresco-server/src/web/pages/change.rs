//! Other limits, or another version of the app.

use askama::Template;
use serde_json::{Map, Value, json};

use super::instances::details;
use crate::policy::LimitRange;
use crate::web::Pages;
use crate::web::layout::{Notice, Page};
use crate::web::shapes::Tenant;
use crate::web::visit::{Outcome, Visit, go, show, show_refused};

#[derive(Template)]
#[template(path = "change.html")]
struct Change {
    page: Page,
    tenant: Tenant,
    memory: LimitRange<u32>,
    cpus: LimitRange<f64>,
    typed: Typed,
    /// The field that was refused, and why.
    wrong: Option<(String, String)>,
}

/// What stands in the form.
#[derive(Clone, Debug)]
struct Typed {
    memory: String,
    cpus: String,
    image: String,
    newest: bool,
}

impl Change {
    fn of(visit: &Visit, page: Page, tenant: Tenant, typed: Typed) -> Self {
        let policy = &visit.config().tenants;
        let mut memory = policy.memory_mb;
        memory.min = memory.min.max(policy.app.min_memory_mb);
        Self { page, tenant, memory, cpus: policy.cpus, typed, wrong: None }
    }

    /// What is wrong with this field.
    fn wrong(&self, field: &str) -> Option<&str> {
        self.wrong.as_ref().filter(|(wrong, _)| wrong == field).map(|(_, words)| words.as_str())
    }
}

impl Typed {
    fn now(tenant: &Tenant) -> Self {
        Self {
            memory: tenant.limits.memory_mb.to_string(),
            cpus: tenant.limits.cpus.to_string(),
            image: tenant.image.clone(),
            newest: false,
        }
    }

    /// What of it is to be changed; `Err` names a field that is no number.
    fn changes(&self, tenant: &Tenant) -> Result<Map<String, Value>, &'static str> {
        let memory: u32 = self.memory.parse().map_err(|_| "limits.memoryMb")?;
        let cpus: f64 = self.cpus.replace(',', ".").parse().map_err(|_| "limits.cpus")?;
        // "inf" and "nan" are numbers, too, and no limits.
        if !cpus.is_finite() {
            return Err("limits.cpus");
        }
        let mut limits = Map::new();
        if memory != tenant.limits.memory_mb {
            limits.insert("memoryMb".into(), json!(memory));
        }
        if (cpus - tenant.limits.cpus).abs() > f64::EPSILON {
            limits.insert("cpus".into(), json!(cpus));
        }
        let mut changes = Map::new();
        if self.newest || self.image != tenant.image {
            changes.insert("image".into(), json!(self.image));
        }
        if !limits.is_empty() {
            changes.insert("limits".into(), Value::Object(limits));
        }
        Ok(changes)
    }
}

pub(super) fn add(pages: Pages) -> Pages {
    pages.page_with_form("/instances/{id}/change", form, change)
}

fn title(tenant: &Tenant) -> String {
    format!("Change {}", tenant.subdomain)
}

async fn form(visit: Visit) -> Outcome {
    let tenant = details(&visit).await?.tenant;
    if tenant.is_leaving() {
        return go(&format!("/instances/{}", tenant.id));
    }
    let (page, typed) = (visit.page(&title(&tenant)), Typed::now(&tenant));
    show(&Change::of(&visit, page, tenant, typed))
}

async fn change(visit: Visit) -> Outcome {
    let tenant = details(&visit).await?.tenant;
    let form = visit.form();
    let field = |name| form.get(name).trim().to_owned();
    let typed = Typed {
        memory: field("memory"),
        cpus: field("cpus"),
        image: field("image"),
        newest: form.ticked("newest"),
    };
    let changes = match typed.changes(&tenant) {
        Ok(changes) => changes,
        Err(field) => {
            let page = visit.page(&title(&tenant));
            let mut shown = Change::of(&visit, page, tenant, typed);
            shown.wrong = Some((field.to_owned(), "Type a number.".to_owned()));
            let status = poem::http::StatusCode::UNPROCESSABLE_ENTITY;
            return crate::web::visit::show_with(status, &shown);
        }
    };
    if changes.is_empty() {
        let notice = Notice { kind: "info", text: "Nothing was changed.".to_owned() };
        let page = visit.page(&title(&tenant)).with_notice(Some(notice));
        return show(&Change::of(&visit, page, tenant, typed));
    }
    let mut body = changes;
    body.insert("tenantId".into(), json!(tenant.id));
    let begun: Result<Value, _> = visit.call("tenants.update", Value::Object(body)).await;
    match begun {
        Ok(_) => go(&format!("/instances/{}?done=changing", tenant.id)),
        Err(refusal) if matches!(refusal.status, 400 | 409 | 422 | 429 | 503) => {
            let page = visit.refused_page(&title(&tenant), &refusal);
            let mut shown = Change::of(&visit, page, tenant, typed);
            shown.wrong = refusal.field.clone().map(|field| (field, refusal.detail.clone()));
            show_refused(&refusal, &shown)
        }
        Err(refusal) => Err(refusal.into()),
    }
}
