//! The page at `/`.

use poem_openapi::OpenApi;
use poem_openapi::payload::{Html, Response};

/// It holds its own style, and loads nothing.
const PAGE: &str = include_str!("home.html");
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

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
}
