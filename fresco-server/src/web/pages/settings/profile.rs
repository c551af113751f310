//! Name and address.

use askama::Template;
use serde_json::{Value, json};

use crate::web::Pages;
use crate::web::client::Refusal;
use crate::web::layout::{Account, Page};
use crate::web::pages::list::Wrong;
use crate::web::visit::{Outcome, Visit, go, show, show_refused};

const TITLE: &str = "Your profile";

#[derive(Template)]
#[template(path = "settings_profile.html")]
struct Profile {
    page: Page,
    account: Account,
    name: String,
    email: String,
    wrong: Wrong,
}

pub(super) fn add(pages: Pages) -> Pages {
    pages
        .page_with_form("/settings", profile, save_name)
        .form("/settings/email", "/settings", change_email)
        .form("/settings/verification", "/settings", resend)
}

async fn profile(visit: Visit) -> Outcome {
    let account = visit.signed_in()?.clone();
    let name = account.name.clone().unwrap_or_default();
    let (page, email, wrong) = (visit.page(TITLE), String::new(), Wrong::default());
    show(&Profile { page, account, name, email, wrong })
}

/// The page with what was typed into one of its forms.
fn refused(visit: &Visit, refusal: &Refusal) -> Outcome {
    let account = visit.signed_in()?.clone();
    let (form, wrong) = (visit.form(), Wrong::of(refusal));
    // Only one of the forms was sent; the other one shows what is.
    let sent_name = form.some("email").is_none() && form.get("password").is_empty();
    let kept = account.name.clone().unwrap_or_default();
    let name = if sent_name { form.get("name").to_owned() } else { kept };
    let (page, email) = (visit.refused_page(TITLE, refusal), form.get("email").to_owned());
    show_refused(refusal, &Profile { page, account, name, email, wrong })
}

async fn save_name(visit: Visit) -> Outcome {
    visit.signed_in()?;
    let body = json!({"name": visit.form().get("name").trim()});
    match visit.call::<Value>("auth.updateProfile", body).await {
        Ok(_) => go("/settings?done=name_saved"),
        Err(refusal) => refused(&visit, &refusal),
    }
}

async fn change_email(visit: Visit) -> Outcome {
    visit.signed_in()?;
    let form = visit.form();
    let body = json!({"email": form.get("email").trim(), "password": form.get("password")});
    match visit.call::<Value>("auth.updateProfile", body).await {
        // The present address takes back the other one.
        Ok(account) if account["pendingEmail"].is_null() => go("/settings?done=email_kept"),
        Ok(_) => go("/settings?done=email_pending"),
        Err(refusal) => refused(&visit, &refusal),
    }
}

async fn resend(visit: Visit) -> Outcome {
    visit.signed_in()?;
    visit.call::<Value>("auth.resendVerification", json!({})).await?;
    go("/settings?done=letter_sent")
}
