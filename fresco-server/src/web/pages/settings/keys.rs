//! Keys for programs.

use askama::Template;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::web::Pages;
use crate::web::client::Refusal;
use crate::web::layout::{Account, Page};
use crate::web::pages::list::{Question, Wrong};
use crate::web::visit::{Outcome, Stop, Visit, go, show, show_refused};

const TITLE: &str = "API keys";
/// How long a key may last, in days.
const LIVES: [(u32, &str); 5] =
    [(7, "7 days"), (30, "30 days"), (90, "90 days"), (180, "180 days"), (365, "1 year")];
/// As long as the API makes it last.
const USUAL_LIFE: u32 = 90;

/// What a key may be for: its name, what it lets do, and whether that is for admins alone.
const SCOPES: [(&str, &str, bool); 4] = [
    ("tenants:read", "See your instances, and what is being done with them", false),
    ("tenants:write", "Create, start, stop, change and destroy your instances", false),
    ("logs:read", "Read what your apps wrote into their logs", false),
    ("admin", "Look after the whole platform", true),
];

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Key {
    id: Uuid,
    name: String,
    hint: String,
    scopes: Vec<String>,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    last_used_at: Option<DateTime<Utc>>,
}

impl Key {
    fn has_ended(&self) -> bool {
        self.expires_at <= Utc::now()
    }
}

#[derive(Debug, Deserialize)]
struct Listed {
    keys: Vec<Key>,
}

#[derive(Deserialize)]
struct Created {
    key: String,
    details: Key,
}

#[derive(Template)]
#[template(path = "settings_keys.html")]
struct Keys {
    page: Page,
    keys: Vec<Key>,
}

#[derive(Template)]
#[template(path = "settings_key_new.html")]
struct NewKey {
    page: Page,
    account: Account,
    name: String,
    scopes: Vec<String>,
    days: u32,
    wrong: Wrong,
    /// The same whenever this form is sent: it makes one key.
    once: Uuid,
}

impl NewKey {
    fn has(&self, scope: &str) -> bool {
        self.scopes.iter().any(|chosen| chosen == scope)
    }
}

#[derive(Template)]
#[template(path = "settings_key_made.html")]
struct MadeKey {
    page: Page,
    key: String,
    details: Key,
}

#[derive(Template)]
#[template(path = "confirm.html")]
struct Confirm {
    page: Page,
    question: Question,
}

pub(super) fn add(pages: Pages) -> Pages {
    pages
        .page("/settings/keys", keys)
        .page_with_form("/settings/keys/new", form, create)
        .page_with_form("/settings/keys/{id}/revoke", ask, revoke)
}

async fn keys(visit: Visit) -> Outcome {
    visit.signed_in()?;
    let Listed { keys } = visit.call("apiKeys.list", json!({})).await?;
    show(&Keys { page: visit.page(TITLE), keys })
}

async fn form(visit: Visit) -> Outcome {
    let account = visit.signed_in()?.clone();
    let (page, scopes, once) = (visit.page("A new key"), Vec::new(), Uuid::new_v4());
    let (name, days, wrong) = (String::new(), USUAL_LIFE, Wrong::default());
    show(&NewKey { page, account, name, scopes, days, wrong, once })
}

/// The key is in the answer to the form itself: it is shown this once, and is in no address. A form that
/// is sent once more, as by loading that answer again, makes no second one.
async fn create(visit: Visit) -> Outcome {
    let account = visit.signed_in()?.clone();
    let form = visit.form();
    let scopes: Vec<String> = form.all("scope").map(str::to_owned).collect();
    let (name, days) =
        (form.get("name").to_owned(), form.get("days").parse().unwrap_or(USUAL_LIFE));
    let once = form.get("once").parse().unwrap_or_else(|_| Uuid::new_v4());
    let body = json!({"name": name, "scopes": scopes, "expiresInDays": days});
    match visit.call_once::<Created>("apiKeys.create", body, &once.to_string()).await {
        Ok(Created { key, details }) => {
            show(&MadeKey { page: visit.page("Your new key"), key, details })
        }
        Err(refusal) => {
            let (page, wrong) = (visit.refused_page("A new key", &refusal), Wrong::of(&refusal));
            // Whoever sends it once more now wants a further one; else it may have been made after all.
            let once = if refusal.code == "key_exists" { Uuid::new_v4() } else { once };
            show_refused(&refusal, &NewKey { page, account, name, scopes, days, wrong, once })
        }
    }
}

async fn ask(visit: Visit) -> Outcome {
    visit.signed_in()?;
    let Listed { keys } = visit.call("apiKeys.list", json!({})).await?;
    let key = keys.into_iter().find(|key| key.id.to_string() == visit.part("id"));
    let key = key.ok_or_else(unknown)?;
    let question = Question {
        heading: format!("Revoke the key “{}”?", key.name),
        words: vec![format!(
            "Programs that use the key {}… can do nothing with it from that moment on. It can't be brought back.",
            key.hint
        )],
        button: "Revoke the key",
        dangerous: true,
        hidden: Vec::new(),
        back: "/settings/keys".to_owned(),
    };
    show(&Confirm { page: visit.page("Revoke a key"), question })
}

const UNKNOWN: &str = "You have no such key, or it was revoked before.";

fn unknown() -> Stop {
    Refusal::new(poem::http::StatusCode::NOT_FOUND, "not_found", UNKNOWN).into()
}

async fn revoke(visit: Visit) -> Outcome {
    visit.signed_in()?;
    visit.call::<Value>("apiKeys.revoke", json!({"keyId": visit.id("id", UNKNOWN)?})).await?;
    go("/settings/keys?done=key_revoked")
}
