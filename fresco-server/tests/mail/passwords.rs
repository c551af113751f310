//! Which passwords are refused, and how one is changed.

use serde_json::json;

use crate::support::PASSWORD;
use crate::support::smtp::MailServer;
use crate::{deliver, forgot, known, reset, sign_in, site_with};

const NEW: &str = "one more password";

#[tokio::test]
#[ignore = "needs Docker and aiosmtpd"]
async fn what_everybody_tries_first_is_refused_wherever_a_password_is_chosen() {
    let mail = MailServer::plain();
    let site = site_with(&mail).await;
    let cookie = known(&site, &mail, "ada.lovelace@example.org").await;
    forgot(&site, "ada.lovelace@example.org").await;
    deliver(&site).await;
    let token = mail.secret("ada.lovelace@example.org", "Set another password");
    let session = site.begin("ada.lovelace@example.org").await;
    for common in
        ["Password123", "qwertyuiop", "1234567890", "Ada.Lovelace", "ada.lovelace@Example.org"]
    {
        let new = json!({
            "email": "ada.lovelace@example.org", "password": common,
            "termsAccepted": true, "privacyAccepted": true,
        });
        site.post("/api/auth.signUp", new).await.refuses_field("password");
        site.step(&session, 1, json!({ "password": common })).await.refuses_field("password");
        let change = json!({ "current": PASSWORD, "new": common });
        site.post_with(&cookie, "/api/auth.changePassword", change).await.refuses_field("new");
        reset(&site, &token, common).await.refuses_field("password");
    }
    assert_eq!(site.who(&cookie).await, "ada.lovelace@example.org");
    reset(&site, &token, NEW).await.ok();
}

#[tokio::test]
#[ignore = "needs Docker and aiosmtpd"]
async fn another_password_ends_the_other_sessions_and_is_told() {
    let mail = MailServer::plain();
    let site = site_with(&mail).await;
    let cookie = known(&site, &mail, "ada@example.org").await;
    let other = sign_in(&site, "ada@example.org", PASSWORD).await.ok().cookie();
    forgot(&site, "ada@example.org").await;
    deliver(&site).await;
    let token = mail.secret("ada@example.org", "Set another password");
    let change = |current: &str, new: &str| {
        let body = json!({ "current": current, "new": new });
        let (site, cookie) = (&site, &cookie);
        async move { site.post_with(cookie, "/api/auth.changePassword", body).await }
    };
    let wrong = change("a wrong password", NEW).await.refuses(403, "wrong_password");
    assert_eq!(wrong.text("field"), "current");
    change(PASSWORD, "short").await.refuses_field("new");
    assert_eq!(site.who(&other).await, "ada@example.org");

    assert_eq!(change(PASSWORD, NEW).await.ok().body, json!({}));
    assert_eq!(site.who(&cookie).await, "ada@example.org");
    assert_eq!(site.who(&other).await, json!(null));
    sign_in(&site, "ada@example.org", PASSWORD).await.refuses(401, "wrong_credentials");
    sign_in(&site, "ada@example.org", NEW).await.ok();
    reset(&site, &token, "and one more password").await.refuses(404, "unknown_token");
    deliver(&site).await;
    assert_eq!(mail.to("ada@example.org", "Your password was changed").len(), 1);
    let nobody = json!({ "current": NEW, "new": PASSWORD });
    site.post("/api/auth.changePassword", nobody).await.refuses(401, "not_signed_in");
}
