//! What a visitor sees when there is no page.

use std::sync::Arc;

use askama::Template;
use poem::http::{Method, StatusCode, header};
use poem::{IntoResponse, Request, Response};

use crate::http::edge;
use crate::http::problem::{Problem, ProblemWords};
use crate::web::Web;
use crate::web::client::{OnBehalf, Refusal};
use crate::web::layout::{Account, Page, Site};
use crate::web::visit::{Stop, go, html};

/// Who asked for a page that can't be shown.
#[derive(Debug)]
pub(super) struct Asker {
    pub(super) site: Arc<Site>,
    /// Who that is, or why nobody knows.
    pub(super) account: Result<Option<Account>, Refusal>,
    /// Where to come back to after signing in.
    pub(super) target: String,
    pub(super) path: String,
    pub(super) had_session: bool,
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    page: Page,
    status: u16,
    heading: &'static str,
    words: String,
}

/// The answer in place of a page.
pub(super) fn answer(asker: &Asker, stop: Stop) -> Response {
    match stop {
        Stop::Refused(refusal) if refusal.is_not_signed_in() => to_sign_in(asker),
        Stop::Refused(refusal) => {
            let page = |title: &str| Page::new(&asker.site, &asker.account, &asker.path, title);
            rendered(page, refusal.status, refusal.detail)
        }
        Stop::Template(error) => {
            tracing::error!(%error, path = asker.path, "a page could not be rendered");
            Problem::internal().into_response()
        }
    }
}

fn to_sign_in(asker: &Asker) -> Response {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("next", &asker.target);
    if asker.had_session {
        query.append_pair("done", "session_ended");
    }
    let to = format!("/login?{}", query.finish());
    go(&to).unwrap_or_else(|_| Problem::internal().into_response())
}

fn rendered(page: impl Fn(&str) -> Page, status: u16, words: String) -> Response {
    let heading = match status {
        403 => "This is not for you",
        404 => "There is nothing here",
        421 => "This is not our address",
        429 => "Too fast",
        503 => "Not at the moment",
        status if status < 500 => "This can't be done like that",
        _ => "Something went wrong",
    };
    let code = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    match (ErrorPage { page: page(heading), status, heading, words }).render() {
        Ok(text) => html(code, text),
        Err(error) => {
            tracing::error!(%error, "the page of errors could not be rendered");
            Problem::internal().into_response()
        }
    }
}

/// Whether somebody looks at this address in a browser, and would rather not read JSON.
pub(super) fn looks_at_a_page(request: &Request) -> bool {
    let path = request.uri().path();
    let form = |kind: &str| kind.starts_with("application/x-www-form-urlencoded");
    let looks = matches!(*request.method(), Method::GET | Method::HEAD)
        || request.content_type().is_some_and(form);
    let accepts = request.header(header::ACCEPT).unwrap_or("");
    looks && !path.starts_with("/api/") && accepts.contains("text/html")
}

/// The same answer, as a page when it is a problem.
pub(super) async fn for_people(
    web: &Web,
    by: &OnBehalf,
    answer: poem::Result<Response>,
) -> Response {
    let answer = answer.unwrap_or_else(edge::response);
    let Some(ProblemWords(words)) = answer.data().cloned() else { return answer };
    let account = web.account(by).await;
    let page = |title: &str| Page::new(&web.site, &account, "", title);
    let words = match answer.status() {
        // To programs it says where the calls are listed.
        StatusCode::NOT_FOUND => {
            "Look whether you have the whole address, or go on from the start.".to_owned()
        }
        _ => words,
    };
    let mut shown = rendered(page, answer.status().as_u16(), words);
    // When to come again, and which methods there are.
    for name in [header::RETRY_AFTER, header::ALLOW] {
        if let Some(value) = answer.headers().get(&name) {
            shown.headers_mut().insert(name, value.clone());
        }
    }
    shown
}
