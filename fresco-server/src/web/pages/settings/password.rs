//! Another password.

use askama::Template;
use serde_json::{Value, json};

use crate::web::Pages;
use crate::web::layout::{Account, Page};
use crate::web::pages::list::Wrong;
use crate::web::visit::{Outcome, Visit, go, show, show_refused};

const TITLE: &str = "Your password";

#[derive(Template)]
#[template(path = "settings_password.html")]
struct Password {
    page: Page,
    account: Account,
    wrong: Wrong,
}

pub(super) fn add(pages: Pages) -> Pages {
    pages.page_with_form("/settings/password", form, change)
}

async fn form(visit: Visit) -> Outcome {
    let account = visit.signed_in()?.clone();
    show(&Password { page: visit.page(TITLE), account, wrong: Wrong::default() })
}

async fn change(visit: Visit) -> Outcome {
    let account = visit.signed_in()?.clone();
    let form = visit.form();
    let body = json!({"current": form.get("current"), "new": form.get("new")});
    match visit.call::<Value>("auth.changePassword", body).await {
        Ok(_) => go("/settings/password?done=password_changed"),
        Err(refusal) => {
            let (page, wrong) = (visit.refused_page(TITLE, &refusal), Wrong::of(&refusal));
            show_refused(&refusal, &Password { page, account, wrong })
        }
    }
}
