//! Forgotten passwords, without any script; what is in letters is tested in tests/mail.

use crate::{Visitor, site};

#[tokio::test]
#[ignore = "needs Docker"]
async fn whether_an_address_has_an_account_is_told_to_nobody() {
    let site = site(&[]).await;
    site.sign_up("ada@example.org").await;
    for email in ["ada@example.org", "nobody@example.org"] {
        let mut visitor = Visitor::new(&site);
        let fields = [("email", email)];
        visitor.send("/forgot-password", &fields).await.leads_to("/forgot-password?done=letter");
    }
    let visitor = Visitor::new(&site);
    let page = visitor.get("/forgot-password?done=letter").await.is(200);
    page.has("If the address you gave has an account").has("printed in its log");
    let page = visitor.get("/forgot-password").await.is(200);
    page.has("action=\"/forgot-password\"").has("<label for=\"email\">");
    let refused = Visitor::new(&site).send("/forgot-password", &[("email", "ada")]).await.is(422);
    refused.has("aria-describedby=\"email-wrong\"").has("value=\"ada\"");
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn where_there_is_no_mail_people_are_told_whom_to_ask() {
    let production = [
        ("PUBLIC_URL", "https://fresco.example.org"),
        ("TRUSTED_PROXIES", "127.0.0.1"),
        ("BASE_DOMAIN", "fresco.example.org"),
        ("SIGNUP", "open"),
    ];
    let named = [("OPERATOR_NAME", "The lab"), ("OPERATOR_CONTACT", "help@example.org")];
    let nameless = site(&production).await;
    let page = Visitor::new(&nameless).get("/forgot-password").await.is(200);
    page.has("This platform sends no mail")
        .lacks("<form class")
        .has("whoever gave you this address");
    let named = site(&[&production[..], &named[..]].concat()).await;
    let page = Visitor::new(&named).get("/forgot-password").await.is(200);
    page.has("operators, The lab: <a").has("mailto:help@example.org").lacks("<form class");
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_link_that_is_good_no_more_says_how_to_get_another() {
    let site = site(&[]).await;
    for (path, again) in [("/reset-password", "/forgot-password"), ("/verify-email", "/settings")] {
        let mut visitor = Visitor::new(&site);
        let page = visitor.get(path).await.is(200);
        page.has("letter.js").has("name=\"token\"").has(&format!("action=\"{path}\""));
        page.lacks("Ask for another letter");
        let fields = [("token", "of-none"), ("password", "quite another password")];
        let page = visitor.send(path, &fields).await.is(404);
        page.has("<h1>This link is good no more</h1>").has("Ask for another letter");
        page.has(&format!("href=\"{again}\"")).lacks("quite another password").lacks("<form class");
    }
    let weak = [("token", "of-none"), ("password", "short")];
    let page = Visitor::new(&site).send("/reset-password", &weak).await.is(422);
    // The token stays, so that only the password is typed again.
    page.has("id=\"password-wrong\"").has("value=\"of-none\"").has("aria-invalid=\"true\"");
    let done = Visitor::new(&site).get("/verify-email?done=confirmed").await.is(200);
    done.has("Your address is confirmed").has("href=\"/login\"").lacks("name=\"token\"");
}
