//! What people change of their own account.

use serde_json::{Value, json};

use crate::support::PASSWORD;
use crate::support::site::{Answer, Site};
use crate::support::smtp::MailServer;
use crate::{deliver, forgot, known, reset, sign_in, site_on, site_with, verify};

const ASKED: &str = "Is this your address";

async fn update(site: &Site, cookie: &str, change: Value) -> Answer {
    site.post_with(cookie, "/api/auth.updateProfile", change).await
}

#[tokio::test]
#[ignore = "needs Docker and aiosmtpd"]
async fn a_name_is_changed_and_removed() {
    let mail = MailServer::plain();
    let site = site_with(&mail).await;
    let cookie = site.sign_up("ada@example.org").await;
    let named = update(&site, &cookie, json!({ "name": " Ada " })).await.ok();
    assert_eq!(named.body["name"], "Ada");
    assert_eq!(update(&site, &cookie, json!({})).await.ok().body["name"], "Ada");
    assert_eq!(update(&site, &cookie, json!({ "name": "" })).await.ok().body.get("name"), None);
    let long = "x".repeat(201);
    update(&site, &cookie, json!({ "name": long })).await.refuses_field("name");
    update(&site, "", json!({ "name": "Eve" })).await.refuses(401, "not_signed_in");
}

#[tokio::test]
#[ignore = "needs Docker and aiosmtpd"]
async fn another_address_holds_once_its_letter_is_answered() {
    let mail = MailServer::plain();
    let site = site_with(&mail).await;
    let cookie = known(&site, &mail, "ada@example.org").await;
    let to = |email: &str, password: &str| json!({ "email": email, "password": password });
    update(&site, &cookie, json!({ "email": "new@example.org" })).await.refuses_field("password");
    let wrong = update(&site, &cookie, to("new@example.org", "a wrong password")).await;
    assert_eq!(wrong.refuses(403, "wrong_password").text("field"), "password");
    // A letter for a password that was asked for before.
    forgot(&site, "ada@example.org").await;
    let asked = update(&site, &cookie, to("New@example.org", PASSWORD)).await.ok();
    assert_eq!(asked.text("pendingEmail"), "New@example.org");
    assert_eq!(
        (asked.text("email"), &asked.body["emailVerified"]),
        ("ada@example.org", &json!(true))
    );
    deliver(&site).await;
    let notice = mail.to("ada@example.org", "is to have another address").remove(0);
    assert!(notice.contains("New@example.org"), "{notice}");
    assert_eq!(site.who(&cookie).await, "ada@example.org");
    sign_in(&site, "new@example.org", PASSWORD).await.refuses(401, "wrong_credentials");

    let old_reset = mail.secret("ada@example.org", "Set another password");
    let token = mail.secret("New@example.org", ASKED);
    assert_eq!(verify(&site, &token).await.ok().text("email"), "New@example.org");
    assert_eq!(site.who(&cookie).await, Value::Null, "sessions from before end");
    sign_in(&site, "ada@example.org", PASSWORD).await.refuses(401, "wrong_credentials");
    let user = sign_in(&site, "new@example.org", PASSWORD).await.ok().body["user"].clone();
    assert_eq!((&user["emailVerified"], user.get("pendingEmail")), (&json!(true), None));
    reset(&site, &old_reset, "one more password").await.refuses(404, "unknown_token");
    deliver(&site).await;
    for address in ["ada@example.org", "New@example.org"] {
        assert_eq!(mail.to(address, "Your account has another address").len(), 1, "{address}");
    }
}

/// A letter that is under way when only some domains may sign up leads to none of another.
#[tokio::test]
#[ignore = "needs Docker and aiosmtpd"]
async fn another_address_is_of_the_named_domains_when_it_is_answered() {
    let mail = MailServer::plain();
    let site = site_with(&mail).await;
    let cookie = known(&site, &mail, "ada@example.org").await;
    let asked = json!({ "email": "ada@evil.example", "password": PASSWORD });
    update(&site, &cookie, asked).await.ok();
    deliver(&site).await;
    let token = mail.secret("ada@evil.example", ASKED);
    let named = [("SIGNUP", "domains"), ("SIGNUP_EMAIL_DOMAINS", "example.org")];
    let later = site_on(site.database.clone(), &mail, &named).await;
    verify(&later, &token).await.refuses(403, "email_domain_refused");
    assert_eq!(later.who(&cookie).await, "ada@example.org", "nobody was signed out");
    verify(&site, &token).await.ok();
}

#[tokio::test]
#[ignore = "needs Docker and aiosmtpd"]
async fn another_accounts_address_is_not_told_and_not_taken() {
    let mail = MailServer::plain();
    let site = site_with(&mail).await;
    let cookie = known(&site, &mail, "ada@example.org").await;
    known(&site, &mail, "bob@example.org").await;
    let change = json!({ "email": "bob@example.org", "password": PASSWORD });
    let taken = update(&site, &cookie, change).await.ok();
    assert_eq!(taken.text("pendingEmail"), "bob@example.org");
    deliver(&site).await;
    assert_eq!(mail.to("bob@example.org", ASKED).len(), 1, "the one of the sign-up alone");
    assert_eq!(mail.to("bob@example.org", "You have an account").len(), 1);

    // Of two who want one address, the first whose letter is answered gets it.
    let eve = known(&site, &mail, "eve@example.org").await;
    let mut tokens = Vec::new();
    for cookie in [&cookie, &eve] {
        let change = json!({ "email": "free@example.org", "password": PASSWORD });
        update(&site, cookie, change).await.ok();
        deliver(&site).await;
        tokens.push(mail.secret("free@example.org", ASKED));
    }
    verify(&site, &tokens[1]).await.ok();
    verify(&site, &tokens[0]).await.refuses(409, "email_taken");
    sign_in(&site, "ada@example.org", PASSWORD).await.ok();
}

#[tokio::test]
#[ignore = "needs Docker and aiosmtpd"]
async fn a_letter_to_an_address_that_was_given_up_leads_nowhere() {
    let mail = MailServer::plain();
    let site = site_with(&mail).await;
    let cookie = known(&site, &mail, "ada@example.org").await;
    let to = |email: &str| json!({ "email": email, "password": PASSWORD });
    update(&site, &cookie, to("one@example.org")).await.ok();
    deliver(&site).await;
    let other = update(&site, &cookie, to("two@example.org")).await.ok();
    assert_eq!(other.text("pendingEmail"), "two@example.org");
    verify(&site, &mail.secret("one@example.org", ASKED)).await.refuses(404, "unknown_token");
    // Back to the present one, spelt in another way: nothing is asked.
    let back = update(&site, &cookie, to("ADA@example.org")).await.ok();
    assert_eq!((back.text("email"), back.body.get("pendingEmail")), ("ADA@example.org", None));
    deliver(&site).await;
    assert_eq!(mail.to("two@example.org", ASKED).len(), 0, "dropped: it is wanted no more");
}
