//! The explorer of the API at `/docs`.
//!
//! The library that describes the API brings the explorer as one page with all of its scripts inside.
//! The platform's pages run no script that stands in a page, so that nothing that is put into a page
//! can run: here the parts have addresses of their own.

use poem::endpoint::make_sync;
use poem::http::{HeaderValue, header};
use poem::{IntoResponse, Response, Route};

const PAGE: &str = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Fresco Platform: the API</title>
<link rel="stylesheet" href="/docs/explorer.css">
<script src="/docs/explorer.js" defer></script>
<script src="/docs/start.js" defer></script>
</head>
<body><div id="ui"></div></body>
</html>
"#;

/// What begins it. The document is fetched, since it is the same as for everybody else.
const START: &str =
    "SwaggerUIBundle({ url: '/openapi.json', dom_id: '#ui', deepLinking: true });\n";

/// It runs and loads the platform's own, calls the platform alone, and draws its arrows itself.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The pages, from the library's one.
pub(super) fn pages(whole: &str) -> Route {
    let (script, style) = (between(whole, "script"), between(whole, "style"));
    Route::new()
        .at("/", page("text/html; charset=utf-8", PAGE.to_owned()))
        .at("/start.js", page("text/javascript; charset=utf-8", START.to_owned()))
        .at("/explorer.js", page("text/javascript; charset=utf-8", script))
        .at("/explorer.css", page("text/css; charset=utf-8", style))
}

/// What stands in the first element of this name.
fn between(whole: &str, name: &str) -> String {
    let inner = || {
        let (_, after) = whole.split_once(&format!("<{name} "))?;
        let (_, after) = after.split_once('>')?;
        Some(after.split_once(&format!("</{name}>"))?.0)
    };
    inner().unwrap_or_default().to_owned()
}

fn page(kind: &'static str, text: String) -> impl poem::Endpoint<Output = Response> {
    make_sync(move |_| {
        let mut response = text.clone().into_response();
        let headers = response.headers_mut();
        for (name, value) in [
            (header::CONTENT_TYPE, kind),
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (header::CACHE_CONTROL, "public, max-age=300"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        response
    })
}
