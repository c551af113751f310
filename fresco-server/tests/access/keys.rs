//! Keys: made, used and ended.

use std::time::Duration;

use fresco_core::Actor;
use fresco_server::accounts::Accounts;
use futures_util::future::join_all;
use poem::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::site::{Answer, Site};
use crate::support::soon;

const LIST: &str = "/api/tenants.list";
const CREATE: &str = "/api/apiKeys.create";

async fn create(site: &Site, cookie: &str, scopes: &[&str]) -> Answer {
    let body = json!({ "name": "my script", "scopes": scopes });
    site.post_with(cookie, CREATE, body).await
}

/// A new key, and its id.
async fn key(site: &Site, cookie: &str, scopes: &[&str]) -> (String, String) {
    let made = create(site, cookie, scopes).await.ok();
    let id = made.body["details"]["id"].as_str().unwrap().to_owned();
    (made.text("key").to_owned(), id)
}

async fn keys(site: &Site, cookie: &str) -> Vec<Value> {
    let answer = site.post_with(cookie, "/api/apiKeys.list", json!({})).await.ok();
    answer.body["keys"].as_array().unwrap().clone()
}

async fn revoke(site: &Site, cookie: &str, id: &str) -> Answer {
    site.post_with(cookie, "/api/apiKeys.revoke", json!({ "keyId": id })).await
}

/// The status of a list with this key.
async fn listed(site: &Site, key: &str) -> u16 {
    site.post_key(key, LIST, json!({})).await.0
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_key_does_what_its_scopes_say_and_is_kept_nowhere() {
    let site = Site::new().await;
    let ada = site.sign_up("ada@example.org").await;
    let (key, id) = key(&site, &ada, &["tenants:write", "tenants:read", "tenants:read"]).await;
    assert!(key.starts_with("fpk_") && key.len() == 77, "{key}");
    let (status, begun) =
        site.post_key(&key, "/api/tenants.create", json!({ "subdomain": "by-key" })).await;
    assert_eq!(status, 202, "{begun}");
    let operation = begun["operationId"].as_str().unwrap();
    site.done(operation).await;
    // The key's own doing, and its owner's tenant.
    let kept = site.orchestrator.operation(operation.parse().unwrap()).await.unwrap();
    assert_eq!(kept.actor, Actor::Key(id.clone()));
    let seen = site.post_with(&ada, LIST, json!({})).await.ok();
    assert_eq!((&seen.body["total"], listed(&site, &key).await), (&json!(1), 200));
    let (status, refusal) =
        site.post_key(&key, "/api/tenants.getLogs", json!({ "tenantId": begun["tenantId"] })).await;
    assert_eq!((status, &refusal["code"]), (403, &json!("insufficient_scope")));
    assert!(refusal["detail"].as_str().unwrap().contains("logs:read"), "{refusal}");

    let kept = keys(&site, &ada).await;
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0]["scopes"], json!(["tenants:read", "tenants:write"]));
    let hint = kept[0]["hint"].as_str().unwrap();
    assert!(key.starts_with(hint) && hint.len() == 10, "{hint}");
    let everything = site.database.everything().await + &kept[0].to_string();
    for part in key.split('_').skip(1) {
        assert!(!everything.contains(part), "a part of the key is kept");
    }
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn when_a_key_was_used_is_written_once_a_minute() {
    let site = Site::new().await;
    let ada = site.sign_up("ada@example.org").await;
    let (key, _) = key(&site, &ada, &["tenants:read"]).await;
    assert_eq!(keys(&site, &ada).await[0]["lastUsedAt"], Value::Null);
    assert_eq!(listed(&site, &key).await, 200);
    let used = keys(&site, &ada).await[0]["lastUsedAt"].clone();
    assert!(used.is_string());
    let back = |seconds: u32| {
        let sql = "UPDATE fresco_server.api_keys SET last_used_at = now() - interval";
        let (site, sql) = (&site, format!("{sql} '{seconds} s'"));
        async move { site.database.execute(&sql).await }
    };
    for (seconds, written) in [(50, false), (70, true)] {
        back(seconds).await;
        let before = keys(&site, &ada).await[0]["lastUsedAt"].clone();
        assert_eq!(listed(&site, &key).await, 200);
        assert_eq!(keys(&site, &ada).await[0]["lastUsedAt"] != before, written, "{seconds} s");
    }
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_key_ends_by_its_time_and_by_its_owner() {
    let site = Site::new().await;
    let (ada, bob) = (site.sign_up("ada@example.org").await, site.sign_up("bob@example.org").await);
    let (first, id) = key(&site, &ada, &["tenants:read"]).await;
    let (second, _) = key(&site, &ada, &["tenants:read"]).await;
    revoke(&site, &bob, &id).await.refuses(404, "not_found");
    assert_eq!(listed(&site, &first).await, 200);
    revoke(&site, &ada, &id).await.ok();
    revoke(&site, &ada, &id).await.refuses(404, "not_found");
    assert_eq!((listed(&site, &first).await, listed(&site, &second).await), (401, 200));
    let ended = "UPDATE fresco_server.api_keys SET expires_at = now()";
    assert_eq!(site.database.execute(ended).await, 1);
    let (status, refusal) = site.post_key(&second, LIST, json!({})).await;
    assert_eq!((status, &refusal["code"]), (401, &json!("invalid_key")));
    assert_eq!(keys(&site, &ada).await.len(), 1, "its owner sees that it ended");
    // Keys are of one secret.
    let (third, _) = key(&site, &ada, &["tenants:read"]).await;
    let settings = [("AUTH_SECRET", "ffffffffffffffffffffffffffffffff")];
    let faults = fresco_core::fault::FaultPlan::none();
    let other = Site::on(site.database.clone(), &settings, &faults).await;
    assert_eq!((listed(&other, &third).await, listed(&site, &third).await), (401, 200));
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn an_account_has_so_many_keys_whoever_asks_at_once() {
    let site = Site::new().await;
    let ada = site.sign_up("ada@example.org").await;
    let all = join_all((0..55).map(|_| create(&site, &ada, &["logs:read"]))).await;
    let made = all.iter().filter(|answer| answer.status == 200).count();
    assert_eq!((made, keys(&site, &ada).await.len()), (50, 50));
    let (one, rest) = (keys(&site, &ada).await, create(&site, &ada, &["logs:read"]).await);
    rest.refuses(409, "too_many_keys");
    revoke(&site, &ada, one[0]["id"].as_str().unwrap()).await.ok();
    create(&site, &ada, &["logs:read"]).await.ok();
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn what_can_not_be_a_key_is_refused_field_by_field() {
    let site = Site::new().await;
    let ada = site.sign_up("ada@example.org").await;
    let ask = |body: Value| site.post_with(&ada, CREATE, body);
    for (name, scopes, days, field) in [
        ("", vec!["admin"], 1, "name"),
        (" ", vec!["logs:read"], 1, "name"),
        ("a\0", vec!["logs:read"], 1, "name"),
        (&"n".repeat(101), vec!["logs:read"], 1, "name"),
        ("a", vec![], 1, "scopes"),
        ("a", vec!["logs:read"], 0, "expiresInDays"),
        ("a", vec!["logs:read"], 366, "expiresInDays"),
    ] {
        ask(json!({ "name": name, "scopes": scopes, "expiresInDays": days }))
            .await
            .refuses_field(field);
    }
    let unknown = ask(json!({ "name": "a", "scopes": ["logs:read", "all"] })).await;
    assert_eq!(unknown.refuses(400, "invalid_request").text("field"), "scopes[1]");
    // Nobody gives away what they have not.
    let refused = create(&site, &ada, &["logs:read", "admin"]).await.refuses(403, "not_admin");
    assert_eq!(refused.text("field"), "scopes");
    assert_eq!(site.database.count("api_keys").await, 0);
    let long = ask(json!({ "name": "a", "scopes": ["logs:read"], "expiresInDays": 365 })).await;
    assert_eq!(long.ok().body["details"]["name"], "a");
}

/// A list with these headers: its status, its code, and what it asks for.
async fn send(site: &Site, headers: &[(&str, &str)]) -> (u16, String, String) {
    let mut request = site.request(Method::POST, LIST).body_json(&json!({}));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send().await.0;
    let asks = response.headers().get("www-authenticate");
    let asks = asks.map(|text| text.to_str().unwrap().to_owned()).unwrap_or_default();
    let status = response.status().as_u16();
    let body: Value = response.into_body().into_json().await.unwrap();
    (status, body["code"].as_str().unwrap_or_default().to_owned(), asks)
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn what_is_sent_is_one_thing_or_nothing() {
    let site = Site::new().await;
    let ada = site.sign_up("ada@example.org").await;
    let (key, _) = key(&site, &ada, &["tenants:read"]).await;
    let bearer = format!("Bearer {key}");
    let twice = format!("{ada}; {ada}");
    for (headers, status, code) in [
        (vec![("authorization", bearer.as_str())], 200, ""),
        (vec![("authorization", &format!("bearer  {key} "))], 200, ""),
        (vec![("authorization", &bearer), ("cookie", "other=1")], 200, ""),
        (vec![("authorization", &bearer), ("cookie", &ada)], 400, "two_credentials"),
        (vec![("authorization", &bearer), ("cookie", &twice)], 400, "two_credentials"),
        (vec![("authorization", &bearer), ("cookie", "fresco_session=x")], 400, "two_credentials"),
        (vec![("authorization", "Bearer fpk_x"), ("cookie", &ada)], 400, "two_credentials"),
        (vec![("authorization", &bearer), ("authorization", &bearer)], 400, "invalid_request"),
        // Of a proxy in front; it is no matter of the platform's.
        (vec![("authorization", "Basic dTpw"), ("cookie", &ada)], 200, ""),
        (vec![("authorization", "Basic dTpw")], 401, "not_signed_in"),
        (vec![("authorization", "Bearer ")], 401, "invalid_key"),
        (vec![("authorization", &format!("{bearer}0"))], 401, "invalid_key"),
        (vec![("authorization", &bearer.replace("fpk_", "FPK_"))], 401, "invalid_key"),
    ] {
        let (answer, what, asks) = send(&site, &headers).await;
        assert_eq!((answer, what.as_str()), (status, code), "{headers:?}");
        assert_eq!(asks.contains("Bearer realm"), status == 401, "{headers:?}: {asks}");
    }
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn what_guards_cookies_does_not_hinder_keys_but_the_type_is_json() {
    let site = Site::new().await;
    let ada = site.sign_up("ada@example.org").await;
    let (key, _) = key(&site, &ada, &["tenants:read"]).await;
    let bearer = format!("Bearer {key}");
    for origin in [
        vec![("origin", "https://demo.fresco.example.org")],
        vec![("origin", "null")],
        vec![("sec-fetch-site", "cross-site")],
        vec![("origin", "http://demo.localhost"), ("sec-fetch-site", "same-site")],
    ] {
        let by_key = [&origin[..], &[("authorization", &bearer)]].concat();
        let by_cookie = [&origin[..], &[("cookie", &ada)]].concat();
        assert_eq!(send(&site, &by_key).await.0, 200, "{origin:?}");
        assert_eq!(send(&site, &by_cookie).await.1, "foreign_origin", "{origin:?}");
        // A key that is none opens nothing that a cookie would.
        let both = [&by_cookie[..], &[("authorization", "Bearer x")]].concat();
        assert_eq!(send(&site, &both).await.1, "two_credentials", "{origin:?}");
    }
    let form = site.request(Method::POST, LIST).header("authorization", &bearer);
    let form = form.content_type("text/plain").body("{}").send().await;
    form.assert_status(StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_stream_ends_soon_after_its_key() {
    let site = Site::new().await;
    let ada = site.sign_up("ada@example.org").await;
    let (key, id) = key(&site, &ada, &["logs:read"]).await;
    let created =
        site.post_with(&ada, "/api/tenants.create", json!({ "subdomain": "heard" })).await;
    site.done(created.text("operationId")).await;
    let path = format!("/api/tenants/{}/logs", created.text("tenantId"));
    let request = site.request(Method::GET, &path);
    let response = request.header("authorization", format!("Bearer {key}")).send().await.0;
    assert_eq!(response.status(), StatusCode::OK);
    let mut told = Box::pin(response.into_body().into_string());
    // Longer than it takes to look whether the key still lives.
    let early = tokio::time::timeout(Duration::from_secs(12), &mut told).await;
    assert!(early.is_err(), "it ended while the key lived");
    revoke(&site, &ada, &id).await.ok();
    soon("the end of the stream", told).await.unwrap();
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_wish_that_is_sent_twice_makes_one_key() {
    let site = Site::new().await;
    let (ada, eve) = (site.sign_up("ada@example.org").await, site.sign_up("eve@example.org").await);
    let send = |by, key: &'static str| {
        let body = json!({ "name": "k", "scopes": ["tenants:read"] });
        site.post_from(by, ("idempotency-key", key), CREATE, body)
    };
    // At the same moment, as a double click does.
    let answers = join_all((0..4).map(|_| send(&ada, "mine"))).await;
    let (made, others): (Vec<_>, Vec<_>) = answers.into_iter().partition(|a| a.status == 200);
    assert_eq!((made.len(), others.len()), (1, 3));
    assert!(others.iter().all(|a| a.status == 409 && a.body["code"] == "key_exists"), "{others:?}");
    assert_eq!(keys(&site, &ada).await.len(), 1);
    // It is a key of one's own.
    send(&eve, "mine").await.ok();
    send(&ada, "another").await.ok();
    // What was made and revoked is not made again by what comes late.
    revoke(&site, &ada, made[0].body["details"]["id"].as_str().unwrap()).await.ok();
    send(&ada, "mine").await.refuses(409, "key_exists");
    for none in ["", "two words", "\u{e4}"] {
        send(&ada, none).await.refuses_field("Idempotency-Key");
    }
    // What was refused made none: it can be sent again.
    let wrong = json!({ "name": "k", "scopes": [] });
    let once = ("idempotency-key", "once");
    site.post_from(&ada, once, CREATE, wrong).await.refuses_field("scopes");
    send(&ada, "once").await.ok();
    // Also where there is room for no more.
    for _ in keys(&site, &ada).await.len()..usize::try_from(Accounts::API_KEYS).unwrap() {
        create(&site, &ada, &["tenants:read"]).await.ok();
    }
    send(&ada, "once").await.refuses(409, "key_exists");
    send(&ada, "further").await.refuses(409, "too_many_keys");
}
