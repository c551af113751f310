//! What the wizard refuses, and in which words.

use serde_json::{Value, json};

use crate::support::PASSWORD;
use crate::support::site::Site;

#[tokio::test]
#[ignore = "needs Docker"]
async fn an_address_must_be_one() {
    let site = Site::new().await;
    let long = format!("{}@example.org", "a".repeat(300));
    for email in ["", "ada", "ada@", "Ada <ada@example.org>", "a\u{0}@b.org", &long] {
        let answer = site.post("/api/wizard.createSession", json!({ "email": email })).await;
        answer.refuses_field("email");
    }
    for body in [
        json!({}),
        json!({ "email": ["a@b.org"] }),
        json!({ "email": "a@b.org", "x": 1 }),
        json!([]),
    ] {
        let answer = site.post("/api/wizard.createSession", body).await;
        answer.refuses(400, "invalid_request");
    }
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn an_address_is_answered_alike_with_an_account_and_without() {
    let site = Site::new().await;
    site.sign_up("ada@example.org").await;
    for email in ["ada@example.org", "bob@example.org"] {
        let session = site.begin(email).await;
        let state = site.step(&session, 1, json!({ "password": PASSWORD })).await.ok().body;
        let expected = json!({
            "email": email, "stepCompleted": 1, "data": {}, "expiresAt": state["expiresAt"],
        });
        assert_eq!((session.len(), state), (64, expected));
    }
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn each_step_has_its_fields() {
    let site = Site::new().await;
    let session = site.begin("ada@example.org").await;
    let (long, nul) = ("x".repeat(129), "nul in a \u{0} password");
    for (step, data, field) in [
        (0, json!({}), "step"),
        (5, json!({}), "step"),
        (1, json!({}), "password"),
        (1, json!({ "password": "too short" }), "password"),
        (1, json!({ "password": long }), "password"),
        (1, json!({ "password": nul }), "password"),
        (1, json!({ "password": PASSWORD, "name": "x".repeat(201) }), "name"),
        (1, json!({ "password": PASSWORD, "name": "a\u{0}" }), "name"),
        (1, json!({ "password": PASSWORD, "subdomain": "my-study" }), "subdomain"),
        (2, json!({}), "useCase"),
        (2, json!({ "useCase": "study", "otherText": "x".repeat(1001) }), "otherText"),
        (2, json!({ "useCase": "study", "password": PASSWORD }), "password"),
        (3, json!({}), "subdomain"),
        (4, json!({}), "termsAccepted"),
        (4, json!({ "termsAccepted": true }), "privacyAccepted"),
        (4, json!({ "termsAccepted": false, "privacyAccepted": true }), "termsAccepted"),
        (4, json!({ "termsAccepted": true, "privacyAccepted": true, "name": "Ada" }), "name"),
    ] {
        site.step(&session, step, data).await.refuses_field(field);
    }
    let long = "a".repeat(64);
    for name in ["", "a", "-x", "x_y", "WWW", "www", "x`) || Host(`y", &long, "a--b", "1234"] {
        site.step(&session, 3, json!({ "subdomain": name })).await.refuses_field("subdomain");
    }
    for data in [
        json!({ "password": 1 }),
        json!({ "useCase": "fun" }),
        json!({ "passwort": "x" }),
        json!({ "termsAccepted": "true" }),
        Value::Null,
        json!("x"),
    ] {
        site.step(&session, 1, data).await.refuses(400, "invalid_request");
    }
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn steps_come_in_order() {
    let site = Site::new().await;
    let session = site.begin("ada@example.org").await;
    let early = site.step(&session, 3, json!({ "subdomain": "my-study" })).await;
    let early = early.refuses(409, "wizard_incomplete");
    assert!(early.text("detail").contains("Step 1"), "{early:?}");
    site.deploy(&session).await.refuses(409, "wizard_incomplete");
    site.step(&session, 1, json!({ "password": PASSWORD })).await.ok();
    site.step(&session, 2, json!({ "useCase": "other", "otherText": "a\ncourse" })).await.ok();
    site.step(&session, 3, json!({ "subdomain": "my-study" })).await.ok();
    let missing = site.deploy(&session).await.refuses(409, "wizard_incomplete");
    assert!(missing.text("detail").contains("Step 4"), "{missing:?}");
    // Back to another use case: what was done since stays.
    let state = site.step(&session, 2, json!({ "useCase": "testing" })).await.ok().body;
    assert_eq!(
        (&state["stepCompleted"], &state["data"]["subdomain"]),
        (&json!(3), &json!("my-study"))
    );
    assert_eq!(state["data"].get("otherText"), None);
    assert_eq!((site.tenants().await, site.database.count("users").await), (0, 0));
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn without_a_session_there_is_no_way_in() {
    let site = Site::new().await;
    let real = site.filled("ada@example.org", "my-study").await;
    for session in ["", "nonsense", &"a".repeat(64), &real.to_uppercase(), &format!("{real} ")] {
        let body = json!({ "sessionId": session });
        site.step(session, 2, json!({ "useCase": "study" })).await.refuses(404, "unknown_session");
        site.post("/api/wizard.getSession", body).await.refuses(404, "unknown_session");
        site.deploy(session).await.refuses(404, "unknown_session");
    }
    site.database.execute("UPDATE fresco_server.wizard_sessions SET expires_at = now()").await;
    site.deploy(&real).await.refuses(404, "unknown_session");
    site.step(&real, 2, json!({ "useCase": "study" })).await.refuses(404, "unknown_session");
}
