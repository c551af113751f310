//! Signing in and out.

use askama::Template;
use serde_json::{Value, json};

use crate::web::Pages;
use crate::web::client::Refusal;
use crate::web::layout::Page;
use crate::web::visit::{Outcome, Visit, go, go_with, show, show_refused};

/// Where somebody goes who comes from nowhere.
const FIRST: &str = "/dashboard";

#[derive(Template)]
#[template(path = "login.html")]
struct Login {
    page: Page,
    next: String,
    email: String,
    remember: bool,
    refusal: Option<Refusal>,
}

impl Login {
    fn wrong(&self, field: &str) -> Option<&str> {
        self.refusal.as_ref()?.of_field(field)
    }
}

pub(super) fn add(pages: Pages) -> Pages {
    pages.page_with_form("/login", form, sign_in).form("/logout", "/", sign_out)
}

async fn form(visit: Visit) -> Outcome {
    let next = safe(visit.query("next"));
    if visit.account().is_some() {
        return go(&next);
    }
    let page = visit.page("Sign in");
    show(&Login { page, next, email: String::new(), remember: false, refusal: None })
}

async fn sign_in(visit: Visit) -> Outcome {
    let (form, next) = (visit.form(), safe(visit.form().get("next")));
    let (email, remember) = (form.get("email").trim().to_owned(), form.ticked("remember"));
    let body = json!({"email": email, "password": form.get("password"), "remember": remember});
    match visit.call_with_cookies::<Value>("auth.signIn", body).await {
        Ok(answer) => go_with(&next, answer.cookies),
        Err(refusal) => {
            let page = visit.refused_page("Sign in", &refusal);
            let refused = Some(refusal.clone());
            show_refused(&refusal, &Login { page, next, email, remember, refusal: refused })
        }
    }
}

async fn sign_out(visit: Visit) -> Outcome {
    let answer = visit.call_with_cookies::<Value>("auth.signOut", json!({})).await?;
    go_with("/login?done=signed_out", answer.cookies)
}

/// An address of our own to go on to: whatever else it were would lead people who just typed their
/// password to somebody else's page.
pub(super) fn safe(next: &str) -> String {
    let own = next.starts_with('/')
        && !next.starts_with("//")
        && next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if own { next.to_owned() } else { FIRST.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signing_in_leads_to_pages_of_our_own_alone() {
        for (next, to) in [
            ("/instances/1?x=%2F", "/instances/1?x=%2F"),
            ("", FIRST),
            ("https://evil.example", FIRST),
            ("//evil.example", FIRST),
            ("/\\evil.example", FIRST),
            ("/\tevil.example", FIRST),
            ("javascript:alert(1)", FIRST),
            ("dashboard", FIRST),
        ] {
            assert_eq!(safe(next), to, "{next}");
        }
    }
}
