//! What strangers bring about is bounded, and what was left out is told.

use poem::http::Method;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::rows;
use crate::support::site::Site;
use crate::support::{PASSWORD, soon};

#[tokio::test]
#[ignore = "needs Docker"]
async fn who_tries_passwords_all_day_does_not_fill_the_disk() {
    let site = Site::new().await;
    let ada = site.sign_up("ada@example.org").await;
    // Cheap to refuse: no password is looked at.
    for _ in 0..100 {
        site.post("/api/auth.signIn", json!({})).await;
    }
    let accounts = &site.platform.accounts;
    let failures = |rows: Vec<fresco_server::accounts::AuditRow>| {
        rows.iter().filter(|row| row.event == "auth_sign_in" && row.outcome != "ok").count()
    };
    assert_eq!(failures(rows(accounts).await), 20, "of one network");
    // Of somebody known everything is written that was done.
    for _ in 0..30 {
        let body = json!({ "name": "Ada" });
        site.post_with(&ada, "/api/auth.updateProfile", body).await.ok();
    }
    let all = rows(accounts).await;
    assert_eq!(all.iter().filter(|row| row.event == "auth_update_profile").count(), 30);
    let body = json!({ "email": "ada@example.org", "password": PASSWORD });
    site.post("/api/auth.signIn", body).await.ok();
    assert_eq!(rows(accounts).await.last().unwrap().outcome, "ok", "nor is a sign-in left out");

    // The last look tells, when the server stops.
    let stopped = CancellationToken::new();
    stopped.cancel();
    soon("the chores' end", site.platform.chores(&stopped)).await;
    let last = rows(accounts).await.pop().unwrap();
    assert_eq!((&*last.event, &*last.actor, last.number), ("rows_left_out", "system", Some(80)));
    soon("the chores' end", site.platform.chores(&stopped)).await;
    assert_eq!(rows(accounts).await.len(), all.len() + 2, "once");
}

/// What a page of another site makes its visitors' browsers send keeps nothing else out of the log.
#[tokio::test]
#[ignore = "needs Docker"]
async fn pages_of_other_sites_have_room_of_their_own() {
    let site = Site::new().await;
    let foreign = ("origin", "https://evil.example");
    for _ in 0..40 {
        let answer = site.post_from("", foreign, "/api/auth.signIn", json!({})).await;
        answer.refuses(403, "foreign_origin");
    }
    site.post("/api/auth.signIn", json!({})).await.refuses(400, "invalid_request");
    let all = rows(&site.platform.accounts).await;
    let of = |outcome: &str| all.iter().filter(|row| row.outcome == outcome).count();
    assert_eq!((of("foreign_origin"), of("invalid_request"), all.len()), (5, 1, 6), "{all:#?}");
}

/// Who signs out without having been signed in has done nothing, however often.
#[tokio::test]
#[ignore = "needs Docker"]
async fn who_is_not_signed_in_and_signs_out_is_not_written_down() {
    let site = Site::new().await;
    let ada = site.sign_up("ada@example.org").await;
    site.post_with(&ada, "/api/auth.signOut", json!({})).await.ok();
    for cookie in ["", &ada, "fresco_session=nonsense"] {
        site.post_with(cookie, "/api/auth.signOut", json!({})).await.ok();
    }
    let all = rows(&site.platform.accounts).await;
    let outs: Vec<_> = all.iter().filter(|row| row.event == "auth_sign_out").collect();
    assert_eq!((outs.len(), &*outs[0].actor), (1, "user"), "{all:#?}");
}

/// What strangers do keeps what somebody known was refused out of the log no more than what they did; nor
/// does another account.
#[tokio::test]
#[ignore = "needs Docker"]
async fn refusals_of_who_is_signed_in_have_room_of_their_own() {
    let site = Site::new().await;
    let (ada, eve) = (site.sign_up("ada@example.org").await, site.sign_up("eve@example.org").await);
    let refused = async |cookie: &str, times: usize| {
        for _ in 0..times {
            site.post_with(cookie, "/api/admin.users", json!({})).await.refuses(403, "not_admin");
        }
    };
    for _ in 0..30 {
        site.post("/api/auth.signIn", json!({})).await.refuses(400, "invalid_request");
    }
    refused(&eve, 15).await;
    refused(&ada, 1).await;
    let all = rows(&site.platform.accounts).await;
    let of = |outcome: &str| all.iter().filter(|row| row.outcome == outcome).count();
    assert_eq!((of("invalid_request"), of("not_admin")), (20, 11), "{all:#?}");
    let (last, signed_up) = (all.last().unwrap(), &all[0]);
    assert_eq!((&*last.event, last.actor_id), ("admin_users", signed_up.actor_id));
}

/// What was typed into a field that is none of a secret's is not kept either.
#[tokio::test]
#[ignore = "needs Docker"]
async fn nothing_that_was_typed_is_written_down() {
    let site = Site::new().await;
    let ada = site.sign_up("ada@example.org").await;
    let typed = "typed-by-mistake";
    for (path, body) in [
        ("auth.signIn", json!({ "email": format!("{typed}@example.org"), "password": typed })),
        ("auth.signIn", json!({ "email": typed, "password": typed })),
        ("auth.signIn", json!({ "email": "ada@example.org", "password": typed, typed: typed })),
        ("apiKeys.create", json!({ "name": "x", "scopes": [typed] })),
        ("tenants.create", json!({ "subdomain": typed.to_uppercase() })),
        ("tenants.stop", json!({ "tenantId": typed })),
        ("auth.resetPassword", json!({ "token": typed, "password": "typed-by-mistake-1" })),
        ("wizard.deployTenant", json!({ "sessionId": typed })),
        ("admin.setRole", json!({ "userId": typed, "role": typed })),
    ] {
        site.post_with(&ada, &format!("/api/{path}"), body).await;
    }
    let request = site.request(Method::POST, &format!("/api/{typed}"));
    request.body_json(&json!({})).send().await;
    let all = rows(&site.platform.accounts).await;
    assert!(all.len() >= 9, "{all:#?}");
    let text = serde_json::to_string(&all).unwrap();
    assert!(!text.to_lowercase().contains(typed), "{text}");
}
