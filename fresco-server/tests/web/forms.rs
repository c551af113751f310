//! Forms are taken from pages of our own origin alone, and signing in leads to our own pages.

use poem::http::Method;

use crate::support::PASSWORD;
use crate::{ORIGIN, Shown, Visitor, form, site};

const FORM: &str = "application/x-www-form-urlencoded";

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_form_of_another_origin_does_nothing() {
    let site = site(&[]).await;
    let ada = Visitor::known(&site, "ada@example.org").await;
    let body = form(&[("email", "ada@example.org"), ("password", PASSWORD)]);
    let send = async |path, headers: &[(&str, &str)], kind: &str, body: &str| {
        let mut request = ada.request(Method::POST, path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.content_type(kind).body(body.to_owned());
        Shown::of(request.send().await.0).await
    };
    let own = ("origin", ORIGIN);
    for headers in [
        &[][..],
        &[("origin", "null")],
        &[("origin", "https://evil.example")],
        // A tenant's page is one of the same site.
        &[("origin", "http://ants.localhost:3000"), ("sec-fetch-site", "same-site")],
        // The other origin that may call the API has no forms here.
        &[("origin", "http://localhost:3001")],
        &[("sec-fetch-site", "same-origin")],
        &[own, ("origin", "https://evil.example")],
        &[own, ("sec-fetch-site", "cross-site")],
    ] {
        for path in ["/login", "/logout", "/forgot-password", "/reset-password", "/verify-email"] {
            let refused = send(path, headers, FORM, &body).await;
            assert!(matches!(refused.status, 400 | 403), "{path} {headers:?}: {refused:?}");
            assert_eq!(refused.header("set-cookie"), "", "{path} {headers:?}");
        }
    }
    assert_eq!(site.who(&ada.cookie).await, "ada@example.org", "still signed in");
    for kind in ["application/json", "text/plain", "multipart/form-data; boundary=x"] {
        let refused = send("/logout", &[own], kind, "").await;
        assert_eq!(refused.status, 415, "{kind}: {refused:?}");
    }
    // An API key instead of an origin is none that a page would send.
    let key = [("authorization", "Bearer fresco_0000")];
    assert_eq!(send("/logout", &key, FORM, "").await.status, 403);
    assert_eq!(site.who(&ada.cookie).await, "ada@example.org", "still signed in");
    send("/logout", &[own], FORM, "").await.leads_to("/login?done=signed_out");
    assert!(site.who(&ada.cookie).await.is_null(), "signed out");
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_form_that_is_too_long_is_a_page_of_its_own() {
    let site = site(&[]).await;
    let mut visitor = Visitor::new(&site);
    let long = "x".repeat(4 << 20);
    let refused = visitor.send("/login", &[("email", &long), ("password", "x")]).await.is(413);
    refused.has("<h1>").has("/assets/");
}
