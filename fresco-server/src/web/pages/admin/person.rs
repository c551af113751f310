//! One account, and what an admin does to it.

use askama::Template;
use poem::http::StatusCode;
use serde_json::{Value, json};

use super::people::{User, Users};
use crate::web::Pages;
use crate::web::client::Refusal;
use crate::web::layout::{Notice, Page};
use crate::web::pages::list::Question;
use crate::web::visit::{Outcome, Stop, Visit, go, show, show_refused};

#[derive(Template)]
#[template(path = "admin_user.html")]
struct Person {
    page: Page,
    user: User,
    /// Whether the admin looks at an account of their own.
    own: bool,
}

#[derive(Template)]
#[template(path = "confirm.html")]
struct Confirm {
    page: Page,
    question: Question,
}

/// What is done to an account.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Role,
    Suspend,
    Resume,
}

pub(super) fn add(pages: Pages) -> Pages {
    pages
        .page("/admin/users/{id}", person)
        .page_with_form(
            "/admin/users/{id}/role",
            |visit| ask(visit, Deed::Role),
            |visit| act(visit, Deed::Role),
        )
        .page_with_form(
            "/admin/users/{id}/suspend",
            |visit| ask(visit, Deed::Suspend),
            |visit| act(visit, Deed::Suspend),
        )
        .page_with_form(
            "/admin/users/{id}/resume",
            |visit| ask(visit, Deed::Resume),
            |visit| act(visit, Deed::Resume),
        )
}

async fn user(visit: &Visit) -> Result<User, Stop> {
    visit.signed_in()?;
    let id = visit.id("id", "There is no such account.")?;
    let Users { users, .. } = visit.call("admin.users", json!({"userId": id})).await?;
    users.into_iter().next().ok_or_else(|| {
        Refusal::new(StatusCode::NOT_FOUND, "not_found", "There is no such account.").into()
    })
}

fn is_own(visit: &Visit, user: &User) -> bool {
    visit.account().is_some_and(|account| account.id == user.id)
}

async fn person(visit: Visit) -> Outcome {
    let user = user(&visit).await?;
    let (page, own) = (visit.page(&user.email), is_own(&visit, &user));
    show(&Person { page, user, own })
}

fn question(deed: Deed, user: &User, own: bool) -> Question {
    let back = format!("/admin/users/{}", user.id);
    let ask = |heading: &str, words: &[&str], button, dangerous| {
        let (heading, words) = (heading.to_owned(), words.iter().map(|words| (*words).to_owned()));
        let mut words: Vec<String> = std::iter::once(user.called()).chain(words).collect();
        if own && dangerous {
            words.push("This is your own account.".to_owned());
        }
        Question { heading, words, button, dangerous, hidden: Vec::new(), back: back.clone() }
    };
    match deed {
        Deed::Suspend => ask(
            "Suspend this account?",
            &[
                "This person is signed out everywhere and can't sign in, and the account's API keys end for good.",
                "Its instances are stopped. Their data is kept, and you can open the account again.",
            ],
            "Suspend the account",
            true,
        ),
        Deed::Resume => ask(
            "Open this account again?",
            &[
                "This person can sign in again. The instances stay stopped until they are started by their owner, who makes new API keys, too.",
            ],
            "Open the account",
            false,
        ),
        Deed::Role if user.is_admin() => ask(
            "Take the role of an admin away?",
            &[
                "This person sees and does from then on no more than what belongs to the own account. API keys for the whole platform end.",
            ],
            "Take the role away",
            true,
        ),
        Deed::Role => ask(
            "Make this person an admin?",
            &[
                "Admins see all instances, all accounts and the audit log. They can suspend accounts, and make other admins.",
            ],
            "Make an admin",
            false,
        ),
    }
}

async fn ask(visit: Visit, deed: Deed) -> Outcome {
    let user = user(&visit).await?;
    show(&confirm(&visit, deed, &user, None))
}

fn confirm(visit: &Visit, deed: Deed, user: &User, refusal: Option<&Refusal>) -> Confirm {
    let mut question = question(deed, user, is_own(visit, user));
    if matches!(deed, Deed::Role) {
        // What was read is done, whatever another admin did meanwhile.
        let role = if user.is_admin() { "user" } else { "admin" };
        question.hidden.push(("role", role.to_owned()));
    }
    let mut page = visit.page(&question.heading);
    page.notice = refusal.map(Notice::refusal);
    Confirm { page, question }
}

async fn act(visit: Visit, deed: Deed) -> Outcome {
    visit.signed_in()?;
    let id = visit.part("id");
    let (call, body, done) = match deed {
        Deed::Role => {
            let body = json!({"userId": id, "role": visit.form().get("role")});
            ("admin.setRole", body, "role_set")
        }
        Deed::Suspend => ("admin.suspendUser", json!({"userId": id}), "suspended"),
        Deed::Resume => ("admin.resumeUser", json!({"userId": id}), "resumed"),
    };
    match visit.call::<Value>(call, body).await {
        Ok(_) => go(&format!("/admin/users/{id}?done={done}")),
        Err(refusal) => {
            let user = user(&visit).await?;
            show_refused(&refusal, &confirm(&visit, deed, &user, Some(&refusal)))
        }
    }
}
