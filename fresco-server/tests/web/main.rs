//! What a person sees in a browser: pages, and forms that are sent without any script. Accounts on a real
//! PostgreSQL, tenants in memory.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

#[path = "../support/mod.rs"]
mod support;

mod admin;
mod forms;
mod instances;
mod legal;
mod public;
mod recovery;
mod settings;
mod sign_in;
mod sign_up;

use fresco_core::fault::FaultPlan;
use poem::Response;
use poem::http::{HeaderMap, Method};
use poem::test::TestRequestBuilder;
use support::postgres::Database;
use support::site::Site;

/// Where the service of the tests is.
const ORIGIN: &str = "http://localhost:3000";

async fn site(settings: &[(&str, &str)]) -> Site {
    Site::on(Database::migrated().await, settings, &FaultPlan::none()).await
}

/// Somebody with a browser, which keeps cookies and follows nothing.
struct Visitor<'a> {
    site: &'a Site,
    cookie: String,
}

/// What a browser was answered.
#[derive(Debug)]
struct Shown {
    status: u16,
    headers: HeaderMap,
    text: String,
}

impl Shown {
    async fn of(response: Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { status, headers, text: response.into_body().into_string().await.unwrap() }
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// A page with this status.
    #[track_caller]
    fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.header("content-type"), "text/html; charset=utf-8");
        self
    }

    /// It leads to this address.
    #[track_caller]
    fn leads_to(&self, to: &str) {
        assert_eq!((self.status, self.header("location")), (303, to), "{}", self.text);
    }

    #[track_caller]
    fn has(&self, words: &str) -> &Self {
        assert!(self.text.contains(words), "`{words}` is missing in:\n{}", self.text);
        self
    }

    #[track_caller]
    fn lacks(&self, words: &str) -> &Self {
        assert!(!self.text.contains(words), "`{words}` stands in:\n{}", self.text);
        self
    }
}

impl<'a> Visitor<'a> {
    /// Nobody yet.
    const fn new(site: &'a Site) -> Self {
        Self { site, cookie: String::new() }
    }

    /// Somebody who has just signed up.
    async fn known(site: &'a Site, email: &str) -> Self {
        Self { site, cookie: site.sign_up(email).await }
    }

    fn request(
        &self,
        method: Method,
        path: &str,
    ) -> TestRequestBuilder<'_, impl poem::Endpoint + use<>> {
        let request = self.site.request(method, path).header("accept", "text/html,*/*;q=0.8");
        if self.cookie.is_empty() { request } else { request.header("cookie", &self.cookie) }
    }

    /// Looks at a page.
    async fn get(&self, path: &str) -> Shown {
        Shown::of(self.request(Method::GET, path).send().await.0).await
    }

    /// Sends a form, as one of our own pages does, and keeps the cookie that is set.
    async fn send(&mut self, path: &str, fields: &[(&str, &str)]) -> Shown {
        let request = self.request(Method::POST, path).header("origin", ORIGIN);
        let request = request.content_type("application/x-www-form-urlencoded").body(form(fields));
        let shown = Shown::of(request.send().await.0).await;
        if let Some((cookie, _)) = shown.header("set-cookie").split_once(';') {
            self.cookie = cookie.to_owned();
        }
        shown
    }
}

/// The body of a form.
fn form(fields: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}
