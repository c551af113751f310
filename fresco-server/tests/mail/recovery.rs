//! A forgotten password.

use serde_json::json;

use crate::support::PASSWORD;
use crate::support::postgres::Database;
use crate::support::site::Site;
use crate::support::smtp::MailServer;
use crate::{deliver, forgot, known, reset, sign_in, site_with};
use fresco_core::fault::FaultPlan;

const RESET: &str = "Set another password";
const NEW: &str = "one more password";

#[tokio::test]
#[ignore = "needs Docker and aiosmtpd"]
async fn the_letter_sets_another_password_and_ends_all_sessions() {
    let mail = MailServer::plain();
    let site = site_with(&mail).await;
    let cookie = known(&site, &mail, "ada@example.org").await;
    let key = site.key(&cookie).await;
    forgot(&site, "ADA@example.org").await.is(202.try_into().unwrap());
    forgot(&site, "ADA@example.org").await;
    deliver(&site).await;
    assert_eq!(mail.to("ADA@example.org", RESET).len(), 2);
    let token = mail.secret("ADA@example.org", RESET);
    assert!(!site.database.everything().await.contains(&token));

    reset(&site, &token, "short").await.refuses_field("password");
    reset(&site, &token, "password123").await.refuses_field("password");
    reset(&site, &token, "ada@example.org").await.refuses_field("password");
    reset(&site, &"0".repeat(64), NEW).await.refuses(404, "unknown_token");
    assert_eq!(site.who(&cookie).await, "ada@example.org");
    reset(&site, &token, NEW).await.ok();
    assert_eq!(site.who(&cookie).await, json!(null));
    assert_eq!(site.post_key(&key, "/api/tenants.list", json!({})).await.0, 401);
    sign_in(&site, "ada@example.org", PASSWORD).await.refuses(401, "wrong_credentials");
    sign_in(&site, "ada@example.org", NEW).await.ok();

    // Once, and the other letter's is worth nothing either.
    assert_eq!(site.database.count("mail_tokens").await, 0);
    reset(&site, &token, "and one more password").await.refuses(404, "unknown_token");
    deliver(&site).await;
    assert_eq!(mail.to("ada@example.org", "Your password was changed").len(), 1);
}

#[tokio::test]
#[ignore = "needs Docker and aiosmtpd"]
async fn of_many_with_one_token_one_sets_the_password() {
    let mail = MailServer::plain();
    let site = site_with(&mail).await;
    known(&site, &mail, "ada@example.org").await;
    forgot(&site, "ada@example.org").await;
    deliver(&site).await;
    let token = mail.secret("ada@example.org", RESET);
    let all = (0..4).map(|n| {
        let (site, token) = (&site, &token);
        async move { reset(site, token, &format!("password number {n}")).await.status }
    });
    let mut statuses = futures_util::future::join_all(all).await;
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 404, 404, 404]);
}

#[tokio::test]
#[ignore = "needs Docker and aiosmtpd"]
async fn nobody_learns_whether_an_address_has_an_account() {
    let mail = MailServer::plain();
    let site = site_with(&mail).await;
    site.sign_up("ada@example.org").await;
    deliver(&site).await;
    let there = forgot(&site, "ada@example.org").await;
    let not_there = forgot(&site, "bob@example.org").await;
    assert_eq!((there.status, &there.body), (202, &json!({})));
    assert_eq!(there, not_there);
    // Neither is looked up: both are written down alike, and only one is sent.
    assert_eq!(site.database.count("letters WHERE kind = 'reset_password'").await, 2);
    deliver(&site).await;
    assert_eq!(mail.to("ada@example.org", RESET).len(), 1);
    assert_eq!(mail.to("bob@example.org", RESET).len(), 0);
    forgot(&site, "nobody").await.refuses_field("email");
    // A flood for one address is none.
    for _ in 0..7 {
        assert_eq!(forgot(&site, "ada@example.org").await.status, 202);
    }
    deliver(&site).await;
    assert_eq!(mail.to("ada@example.org", RESET).len(), 5);
}

#[tokio::test]
#[ignore = "needs Docker and aiosmtpd"]
async fn a_token_ends_with_its_hour_and_a_reset_verifies_the_address() {
    let mail = MailServer::plain();
    let site = site_with(&mail).await;
    let cookie = site.sign_up("ada@example.org").await;
    for end in [
        "UPDATE fresco_server.mail_tokens SET expires_at = now()",
        "UPDATE fresco_server.users SET password_hash = password_hash || 'x'",
        "UPDATE fresco_server.users SET email_key = 'x' || email_key, email = 'x' || email",
    ] {
        site.database.execute("DELETE FROM fresco_server.letters").await;
        let email = site.who(&cookie).await;
        let email = email.as_str().unwrap();
        forgot(&site, email).await;
        deliver(&site).await;
        let token = mail.secret(email, RESET);
        let within = "mail_tokens WHERE expires_at < now() + interval '1 hour'";
        assert!(site.database.count(within).await > 0);
        site.database.execute(end).await;
        reset(&site, &token, NEW).await.refuses(404, "unknown_token");
    }
    let email = "xada@example.org";
    forgot(&site, email).await;
    deliver(&site).await;
    reset(&site, &mail.secret(email, RESET), NEW).await.ok();
    let user = sign_in(&site, email, NEW).await.ok().body["user"].clone();
    assert_eq!(user["emailVerified"], true);
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn without_mail_in_production_it_says_so() {
    let settings = [
        ("PUBLIC_URL", "https://fresco.example.org"),
        ("BASE_DOMAIN", "fresco.example.org"),
        ("SIGNUP", "open"),
    ];
    let site = Site::on(Database::migrated().await, &settings, &FaultPlan::none()).await;
    let cookie = site.sign_up("ada@example.org").await;
    forgot(&site, "ada@example.org").await.refuses(409, "no_mail");
    site.post_with(&cookie, "/api/auth.resendVerification", json!({}))
        .await
        .refuses(409, "no_mail");
    let change = json!({ "email": "b@example.org", "password": PASSWORD });
    site.post_with(&cookie, "/api/auth.updateProfile", change).await.refuses(409, "no_mail");
    let code = json!({ "sessionId": "x", "code": "1" });
    site.post("/api/wizard.verifyEmail", code).await.refuses(409, "no_mail");
    assert_eq!(site.database.count("letters").await, 0);
    // The password is no matter of mail.
    let change = json!({ "current": PASSWORD, "new": NEW });
    site.post_with(&cookie, "/api/auth.changePassword", change).await.ok();
}
