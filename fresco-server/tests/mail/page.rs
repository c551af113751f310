//! The page that a letter's link leads to.

use std::collections::BTreeSet;

use poem::http::{Method, StatusCode};
use poem::test::TestClient;

use crate::support::PASSWORD;
use crate::support::site::Site;
use crate::support::smtp::MailServer;
use crate::{deliver, forgot, known, sign_in, site_with};

#[tokio::test]
#[ignore = "needs Docker and aiosmtpd"]
async fn the_links_of_letters_lead_to_a_page_without_inline_script() {
    let mail = MailServer::plain();
    let site = site_with(&mail).await;
    known(&site, &mail, "ada@example.org").await;
    forgot(&site, "ada@example.org").await;
    deliver(&site).await;
    let client = TestClient::new(fresco_server::app(site.platform.clone()));
    let get = |path: String| client.get(path).header("host", "localhost:3000").send();
    let mut links = Vec::new();
    for letter in mail.letters() {
        let link = letter.lines().find(|line| line.contains('#')).unwrap();
        let path = link.strip_prefix("http://localhost:3000").unwrap();
        links.push(path.split('#').next().unwrap().to_owned());
    }
    assert_eq!(links, ["/verify-email", "/reset-password"]);
    let mut loaded = BTreeSet::new();
    for path in links {
        let answer = get(path.clone()).await;
        answer.assert_status(StatusCode::OK);
        let header = |name| answer.0.headers().get(name).unwrap().to_str().unwrap().to_owned();
        let policy = header("content-security-policy");
        assert!(policy.contains("script-src 'self'") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.0.headers().get_all("content-type").iter().count(), 1, "{path}");
        assert!(!header("content-type").contains("plain"), "{path}");
        let text = answer.0.into_body().into_string().await.unwrap();
        assert!(!text.contains(" style=") && !text.contains("onclick"), "{path}");
        for line in text.lines().filter(|line| line.contains("<script") || line.contains("<link")) {
            let part = line.split('"').find(|part| part.starts_with("/assets/")).expect(line);
            loaded.insert(part.to_owned());
        }
        // The token is used when a person says so, by a form that works without the script, too.
        assert!(text.contains(&format!(
            "<form class=\"card\" id=\"letter\" method=\"post\" action=\"{path}\">"
        )));
        assert!(text.contains("<input id=\"token\" name=\"token\""), "{path}");
    }
    assert!(loaded.iter().any(|path| path.ends_with("/letter.js")), "{loaded:?}");
    for path in loaded {
        let answer = get(path.clone()).await;
        answer.assert_status(StatusCode::OK);
        let kind = answer.0.content_type().unwrap();
        assert!(
            ["text/css", "text/javascript", "image/svg"]
                .iter()
                .any(|known| kind.starts_with(known)),
            "{path}: {kind}"
        );
    }
}

/// What the browser is led to after this form.
async fn sent(site: &Site, path: &str, fields: &[(&str, &str)]) -> String {
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let request = site.request(Method::POST, path).header("origin", "http://localhost:3000");
    let request = request.content_type("application/x-www-form-urlencoded").body(body);
    let answer = request.send().await.0;
    let to = answer.headers().get("location").map(|to| to.to_str().unwrap().to_owned());
    to.unwrap_or_else(|| answer.status().to_string())
}

#[tokio::test]
#[ignore = "needs Docker and aiosmtpd"]
async fn the_forms_of_those_pages_work_without_a_script() {
    let mail = MailServer::plain();
    let site = site_with(&mail).await;
    site.sign_up("ada@example.org").await;
    deliver(&site).await;
    let token = mail.secret("ada@example.org", "Is this your address");
    let fields = [("token", token.as_str()), ("password", "not mine at all")];
    assert_eq!(sent(&site, "/verify-email", &fields).await, "403 Forbidden");
    let fields = [("token", token.as_str()), ("password", PASSWORD)];
    assert_eq!(sent(&site, "/verify-email", &fields).await, "/verify-email?done=confirmed");

    let asked = sent(&site, "/forgot-password", &[("email", "ada@example.org")]).await;
    assert_eq!(asked, "/forgot-password?done=letter");
    deliver(&site).await;
    let token = mail.secret("ada@example.org", "Set another password");
    // Without a script somebody copies the whole link.
    let link = format!(" http://localhost:3000/reset-password#{token}\n");
    let new = "some other battery";
    let fields = [("token", link.as_str()), ("password", new)];
    assert_eq!(sent(&site, "/reset-password", &fields).await, "/login?done=password_set");
    assert_eq!(sent(&site, "/reset-password", &fields).await, "404 Not Found", "once");
    sign_in(&site, "ada@example.org", new).await.ok();
}
