//! An address is known to be somebody's once a letter to it was answered.

use fresco_server::accounts::{Email, Role};
use fresco_server::settings::Values;
use fresco_server::{Config, compose};
use serde_json::json;

use crate::support::postgres::Database;
use crate::support::smtp::MailServer;
use crate::support::{PASSWORD, SECRET};
use crate::{deliver, known, sign_in, site_on, site_with, verify};

const ASKED: &str = "Is this your address";

#[tokio::test]
#[ignore = "needs Docker and aiosmtpd"]
async fn the_letter_of_a_new_account_verifies_its_address_once() {
    let mail = MailServer::plain();
    let site = site_with(&mail).await;
    let first = site.sign_up("Ada@example.org").await;
    let second = sign_in(&site, "ada@example.org", PASSWORD).await.ok();
    assert_eq!(second.body["user"]["emailVerified"], false);
    let second = second.cookie();
    let key = site.key(&second).await;
    let stranger = site.sign_up("bob@example.org").await;
    // Until it is sent, no token is anywhere.
    assert_eq!(site.database.count("letters WHERE ended_at IS NULL").await, 2);
    assert_eq!(site.database.count("mail_tokens").await, 0);
    deliver(&site).await;
    assert_eq!(site.database.count("letters WHERE outcome = 'sent'").await, 2);
    let token = mail.secret("Ada@example.org", ASKED);
    assert_eq!(token.len(), 64);
    assert!(!site.database.everything().await.contains(&token), "a token is at rest");
    let letter = mail.to("Ada@example.org", ASKED).remove(0);
    assert!(letter.contains("From: Fresco <fresco@example.org>\n"), "{letter}");
    assert!(letter.contains("\nhttp://localhost:3000/verify-email#"), "{letter}");

    for wrong in ["", "nonsense", &"0".repeat(64), &token.to_uppercase()] {
        verify(&site, wrong).await.refuses(404, "unknown_token");
    }
    assert_eq!(verify(&site, &token).await.ok().body, json!({ "email": "Ada@example.org" }));
    // Whoever was in before may be somebody else.
    for cookie in [&first, &second] {
        assert_eq!(site.who(cookie).await, json!(null));
    }
    assert_eq!(site.post_key(&key, "/api/tenants.list", json!({})).await.0, 401);
    assert_eq!(site.who(&stranger).await, "bob@example.org");
    verify(&site, &token).await.refuses(404, "unknown_token");
    let again = sign_in(&site, "ada@example.org", PASSWORD).await.ok();
    assert_eq!(again.body["user"]["emailVerified"], true);

    // Nothing is left to ask.
    site.post_with(&again.cookie(), "/api/auth.resendVerification", json!({})).await;
    deliver(&site).await;
    assert_eq!(mail.to("Ada@example.org", ASKED).len(), 1);
    assert_eq!(site.who(&again.cookie()).await, "Ada@example.org");
}

#[tokio::test]
#[ignore = "needs Docker and aiosmtpd"]
async fn a_token_ends_with_its_day_and_with_the_password() {
    let mail = MailServer::plain();
    let site = site_with(&mail).await;
    let cookie = site.sign_up("ada@example.org").await;
    deliver(&site).await;
    let first = mail.secret("ada@example.org", ASKED);
    let left = "mail_tokens WHERE expires_at BETWEEN now() + interval '23 hours' AND now() + interval '24 hours'";
    assert_eq!(site.database.count(left).await, 1);
    site.database.execute("UPDATE fresco_server.mail_tokens SET expires_at = now()").await;
    verify(&site, &first).await.refuses(404, "unknown_token");

    let resend = || site.post_with(&cookie, "/api/auth.resendVerification", json!({}));
    assert_eq!(resend().await.status, 202);
    deliver(&site).await;
    let second = mail.secret("ada@example.org", ASKED);
    assert_ne!(first, second);
    site.database
        .execute("UPDATE fresco_server.users SET password_hash = password_hash || 'x'")
        .await;
    verify(&site, &second).await.refuses(404, "unknown_token");

    // Five an hour, the first one among them, however often it is asked for.
    for _ in 0..6 {
        assert_eq!(resend().await.status, 202);
    }
    deliver(&site).await;
    assert_eq!(mail.to("ada@example.org", ASKED).len(), 5);
    site.post("/api/auth.resendVerification", json!({})).await.refuses(401, "not_signed_in");
}

#[tokio::test]
#[ignore = "needs Docker and aiosmtpd"]
async fn a_token_of_one_purpose_is_none_of_another() {
    let mail = MailServer::plain();
    let site = site_with(&mail).await;
    known(&site, &mail, "ada@example.org").await;
    crate::forgot(&site, "ada@example.org").await;
    deliver(&site).await;
    let token = mail.secret("ada@example.org", "Set another password");
    verify(&site, &token).await.refuses(404, "unknown_token");
    crate::reset(&site, &token, "one more password").await.ok();
}

/// Somebody signs up with another's address and waits for the other to follow the link.
#[tokio::test]
#[ignore = "needs Docker and aiosmtpd"]
async fn who_does_not_know_the_accounts_password_confirms_nothing() {
    let mail = MailServer::plain();
    let site = site_with(&mail).await;
    let squatter = site.sign_up("ada@example.org").await;
    deliver(&site).await;
    let token = mail.secret("ada@example.org", ASKED);
    let body = json!({ "token": token, "password": "whatever Ada may try" });
    let refused = site.post("/api/auth.verifyEmail", body).await.refuses(403, "wrong_password");
    assert_eq!(refused.body["field"], "password");
    let user = site.post_with(&squatter, "/api/auth.getSession", json!({})).await.ok();
    assert_eq!(user.body["user"]["emailVerified"], false);
    verify(&site, &token).await.ok();
}

/// Else whoever got a letter by mistake could try passwords all day.
#[tokio::test]
#[ignore = "needs Docker and aiosmtpd"]
async fn passwords_are_tried_so_often_with_a_letter_too() {
    let mail = MailServer::plain();
    let site = site_on(Database::migrated().await, &mail, &[("RATE_ATTEMPTS", "3/hour")]).await;
    site.sign_up("ada@example.org").await;
    deliver(&site).await;
    let token = mail.secret("ada@example.org", "Is this your address");
    let try_it = |password: &str| {
        let body = json!({ "token": token, "password": password });
        async { site.post("/api/auth.verifyEmail", body).await }
    };
    let mut refused = 0;
    while refused < 10 {
        let answer = try_it("a wrong password").await;
        if answer.status == 429 {
            break;
        }
        answer.refuses(403, "wrong_password");
        refused += 1;
    }
    assert!((1..=3).contains(&refused), "{refused}");
    try_it(PASSWORD).await.refuses(429, "rate_limited");
}

/// Anybody may have signed up with the address that an operator has in mind.
#[tokio::test]
#[ignore = "needs Docker and aiosmtpd"]
async fn who_has_not_shown_that_an_address_is_theirs_is_made_no_admin() {
    let mail = MailServer::plain();
    let site = site_with(&mail).await;
    let root = known(&site, &mail, "root@example.org").await;
    site.database.execute("UPDATE fresco_server.users SET role = 'admin'").await;
    site.sign_up("ada@example.org").await;
    let ada: Email = "ada@example.org".parse().unwrap();
    let id = site.platform.accounts.user_of(&ada).await.unwrap().unwrap().id;
    let grant = json!({ "userId": id, "role": "admin" });
    let asked = site.post_with(&root, "/api/admin.setRole", grant.clone()).await;
    asked.refuses(409, "email_unverified");
    let settings = mail.settings();
    let settings = settings.iter().map(|(name, value)| (*name, value.as_str()));
    let own = [("DATABASE_URL", site.database.url.as_str()), ("AUTH_SECRET", SECRET)];
    let config = Config::read(&Values::new(own.into_iter().chain(settings))).unwrap();
    let error = compose::set_role(&config, &ada, Role::Admin).await.unwrap_err();
    assert!(error.chain().contains("the account may be anybody's"), "{}", error.chain());
    deliver(&site).await;
    verify(&site, &mail.secret("ada@example.org", "Is this your address")).await.ok();
    let told = compose::set_role(&config, &ada, Role::Admin).await.unwrap();
    assert!(told.contains("has the role admin"), "{told}");
    site.post_with(&root, "/api/admin.setRole", grant).await.ok();
}
