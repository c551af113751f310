//! The page that the links of letters lead to.

use poem::endpoint::make_sync;
use poem::http::header;
use poem::{Response, Route, get};

/// What the page loads comes from here, and nothing is written in it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The addresses of the page, and of what it loads.
pub(crate) const PAGES: [&str; 4] =
    ["/verify-email", "/reset-password", "/letter.css", "/letter.js"];

/// The same routes, with the page and what it loads.
pub(super) fn add(routes: Route) -> Route {
    let page = ("text/html; charset=utf-8", include_str!("letter.html"));
    let style = ("text/css; charset=utf-8", include_str!("letter.css"));
    let script = ("text/javascript; charset=utf-8", include_str!("letter.js"));
    let parts = PAGES.into_iter().zip([page, page, style, script]);
    parts.fold(routes, |routes, (path, (kind, text))| {
        routes.at(path, get(make_sync(move |_| answer(kind, text))))
    })
}

fn answer(kind: &'static str, text: &'static str) -> Response {
    let answer = Response::builder().content_type(kind);
    answer.header(header::CONTENT_SECURITY_POLICY, POLICY).body(text)
}
