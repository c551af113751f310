//! The wizard where there is mail: the address is shown to be somebody's before there is an account.

use poem::http::StatusCode;
use serde_json::{Value, json};

use crate::support::PASSWORD;
use crate::support::site::{Answer, Site};
use crate::support::smtp::MailServer;
use crate::{deliver, known, sign_in, site_with};

const CODE: &str = "Your code";

async fn verify(site: &Site, session: &str, code: &str) -> Answer {
    let body = json!({ "sessionId": session, "code": code });
    site.post("/api/wizard.verifyEmail", body).await
}

async fn resend(site: &Site, session: &str) -> Answer {
    site.post("/api/wizard.resendCode", json!({ "sessionId": session })).await
}

async fn shown(site: &Site, session: &str) -> Value {
    let state = site.post("/api/wizard.getSession", json!({ "sessionId": session })).await.ok();
    state.body["emailVerified"].clone()
}

/// Another code than this one.
fn another(code: &str) -> String {
    let digits: u64 = code.replace(' ', "").parse().unwrap();
    format!("{:08}", (digits + 1) % 100_000_000)
}

#[tokio::test]
#[ignore = "needs Docker and aiosmtpd"]
async fn a_deploy_needs_the_code_of_the_letter() {
    let mail = MailServer::plain();
    let site = site_with(&mail).await;
    let session = site.filled("ada@example.org", "my-study").await;
    assert_eq!(shown(&site, &session).await, false);
    site.deploy(&session).await.refuses(409, "email_unverified");
    // Before the letter was sent there is no code at all.
    verify(&site, &session, "00000000").await.refuses(403, "wrong_code");
    deliver(&site).await;
    let code = mail.secret("ada@example.org", CODE);
    assert_eq!(code.len(), 9, "{code}");
    let plain = code.replace(' ', "");
    assert!(!site.database.everything().await.contains(&plain), "a code is at rest");
    verify(&site, &session, &another(&code)).await.refuses(403, "wrong_code");
    verify(&site, &session, "").await.refuses(403, "wrong_code");
    site.deploy(&session).await.refuses(409, "email_unverified");
    assert_eq!((site.tenants().await, site.database.count("users").await), (0, 0));

    // In another session it is worth nothing.
    let other = site.filled("ada@example.org", "other-study").await;
    deliver(&site).await;
    verify(&site, &other, &code).await.refuses(403, "wrong_code");

    assert_eq!(verify(&site, &session, &code).await.ok().body["emailVerified"], true);
    verify(&site, &session, &plain).await.ok();
    let deployed = site.deploy(&session).await.is(StatusCode::ACCEPTED);
    let user = sign_in(&site, "ada@example.org", PASSWORD).await.ok().body["user"].clone();
    assert_eq!(user["emailVerified"], true);
    site.done(deployed.text("operationId")).await;
    deliver(&site).await;
    assert_eq!(mail.to("ada@example.org", "Is this your address").len(), 0, "it is known");
}

/// Whoever asks again before the first letter has left gets both at once: the last to arrive has the code that counts.
#[tokio::test]
#[ignore = "needs Docker and aiosmtpd"]
async fn of_letters_that_leave_together_the_last_has_the_code() {
    let mail = MailServer::plain();
    let site = site_with(&mail).await;
    let mut sessions = Vec::new();
    for who in ["ada@example.org", "bob@example.org"] {
        let session = site.filled(who, who.split_once('@').unwrap().0).await;
        for _ in 0..3 {
            resend(&site, &session).await.is(StatusCode::ACCEPTED);
        }
        sessions.push((who, session));
    }
    deliver(&site).await;
    for (who, session) in sessions {
        assert_eq!(mail.to(who, CODE).len(), 4);
        verify(&site, &session, &mail.secret(who, CODE)).await.ok();
    }
}

#[tokio::test]
#[ignore = "needs Docker and aiosmtpd"]
async fn codes_are_few_and_tries_are_bounded() {
    let mail = MailServer::plain();
    let site = site_with(&mail).await;
    let session = site.filled("ada@example.org", "my-study").await;
    deliver(&site).await;
    let first = mail.secret("ada@example.org", CODE);
    for _ in 0..6 {
        assert_eq!(resend(&site, &session).await.status, 202);
    }
    deliver(&site).await;
    assert_eq!(mail.to("ada@example.org", CODE).len(), 5, "five an hour");
    let last = mail.secret("ada@example.org", CODE);
    verify(&site, &session, &first).await.refuses(403, "wrong_code");
    let tries = (0..12).map(|_| verify(&site, &session, "x"));
    let answers = futures_util::future::join_all(tries).await;
    let wrong = answers.iter().filter(|answer| answer.text("code") == "wrong_code").count();
    assert_eq!(wrong, 9, "ten with the one before");
    verify(&site, &session, &last).await.refuses(403, "code_spent");
    resend(&site, "x").await.refuses(404, "unknown_session");
    verify(&site, "x", "1").await.refuses(404, "unknown_session");
}

#[tokio::test]
#[ignore = "needs Docker and aiosmtpd"]
async fn an_address_with_an_account_is_told_to_its_owner_alone() {
    let mail = MailServer::plain();
    let site = site_with(&mail).await;
    known(&site, &mail, "ada@example.org").await;
    let mut answers = Vec::new();
    for email in ["ada@example.org", "bob@example.org"] {
        let session = site.begin(email).await;
        for (step, data) in [
            (1, json!({ "password": "another password" })),
            (2, json!({ "useCase": "study" })),
            (3, json!({ "subdomain": "my-study" })),
            (4, json!({ "termsAccepted": true, "privacyAccepted": true })),
        ] {
            site.step(&session, step, data).await.ok();
        }
        deliver(&site).await;
        let asked = verify(&site, &session, "00000000").await;
        answers.push((shown(&site, &session).await, asked, site.deploy(&session).await));
    }
    assert_eq!(answers[0], answers[1]);
    answers[0].2.clone().refuses(409, "email_unverified");
    assert_eq!(mail.to("ada@example.org", "You have an account").len(), 1);
    assert_eq!(mail.to("ada@example.org", CODE).len(), 0);
    assert_eq!(mail.to("bob@example.org", CODE).len(), 1);

    // Who knows the password needs no code.
    let session = site.filled("ada@example.org", "my-study").await;
    let deployed = site.deploy(&session).await.is(StatusCode::ACCEPTED);
    assert_eq!(site.who(&deployed.cookie()).await, "ada@example.org");
}

#[tokio::test]
#[ignore = "needs Docker and aiosmtpd"]
async fn who_was_faster_has_the_account() {
    let mail = MailServer::plain();
    let site = site_with(&mail).await;
    let session = site.filled("ada@example.org", "my-study").await;
    deliver(&site).await;
    verify(&site, &session, &mail.secret("ada@example.org", CODE)).await.ok();
    let body = json!({
        "email": "ada@example.org", "password": "another password",
        "termsAccepted": true, "privacyAccepted": true,
    });
    site.post("/api/auth.signUp", body).await.ok();
    site.deploy(&session).await.refuses(401, "sign_in_required");
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn without_smtp_no_code_is_asked_for() {
    let site = Site::new().await;
    let session = site.filled("ada@example.org", "my-study").await;
    assert_eq!(shown(&site, &session).await, Value::Null);
    site.deploy(&session).await.is(StatusCode::ACCEPTED);
    assert_eq!(site.database.count("letters WHERE kind = 'wizard_code'").await, 0);
    resend(&site, &session).await.refuses(409, "no_mail");
}
