//! The page at `/`.

use poem_openapi::OpenApi;
use poem_openapi::payload::{Html, PlainText, Response};

/// It loads its style, and nothing else.
const PAGE: &str = include_str!("home.html");
const STYLE: &str = include_str!("home.css");
const POLICY: &str = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

#[derive(Clone, Copy, Debug)]
pub(crate) struct HomeApi;

#[OpenApi]
impl HomeApi {
    /// Says what this is.
    #[oai(path = "/", method = "get", hidden)]
    async fn home(&self) -> Response<Html<&'static str>> {
        Response::new(Html(PAGE))
            .header("Content-Security-Policy", POLICY)
            .header("Cache-Control", "public, max-age=300")
    }

    /// How it looks.
    #[oai(path = "/home.css", method = "get", hidden)]
    async fn style(&self) -> Response<PlainText<&'static str>> {
        Response::new(PlainText(STYLE))
            .header("Content-Type", "text/css; charset=utf-8")
            .header("Cache-Control", "public, max-age=300")
    }
}
