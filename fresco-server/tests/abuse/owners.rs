//! How much one person may have, for how long a subdomain is kept, and how often one may ask.

use fresco_core::fault::FaultPlan;
use serde_json::json;

use crate::support::PASSWORD;
use crate::support::postgres::Database;
use crate::support::site::{Answer, Site};

async fn site(settings: &[(&str, &str)]) -> Site {
    Site::on(Database::migrated().await, settings, &FaultPlan::none()).await
}

async fn create(site: &Site, cookie: &str, subdomain: &str) -> Answer {
    site.post_with(cookie, "/api/tenants.create", json!({ "subdomain": subdomain })).await
}

async fn destroy(site: &Site, cookie: &str, created: &Answer, subdomain: &str) {
    site.done(created.text("operationId")).await;
    let body = json!({ "tenantId": created.text("tenantId"), "confirmation": subdomain });
    let begun = site.post_with(cookie, "/api/tenants.destroy", body).await;
    site.done(begun.text("operationId")).await;
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn one_person_has_so_many_tenants_and_another_their_own() {
    let site = site(&[("TENANTS_PER_USER", "2")]).await;
    let (ada, bob) = (site.sign_up("ada@example.org").await, site.sign_up("bob@b.org").await);
    let first = create(&site, &ada, "study-one").await;
    create(&site, &ada, "study-two").await;
    let told = create(&site, &ada, "study-three").await.refuses(409, "too_many_tenants");
    assert!(told.text("detail").contains("one may have here: 2"), "{}", told.body);
    assert_eq!(create(&site, &bob, "study-three").await.status, 202);
    destroy(&site, &ada, &first, "study-one").await;
    assert_eq!(create(&site, &ada, "study-four").await.status, 202);
    // The wizard asks the same store, and makes no account for who is refused.
    let session = site.filled("ada@example.org", "study-five").await;
    site.deploy(&session).await.refuses(409, "too_many_tenants");
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn one_person_asks_for_so_many_tenants_within_an_hour_destroyed_or_not() {
    let site = site(&[("DEPLOYS_PER_HOUR", "2")]).await;
    let ada = site.sign_up("ada@example.org").await;
    let first = create(&site, &ada, "study-one").await;
    destroy(&site, &ada, &first, "study-one").await;
    create(&site, &ada, "study-two").await;
    let told = create(&site, &ada, "study-three").await.refuses(429, "too_many_deploys");
    let wait: u64 = told.retry_after.unwrap().parse().unwrap();
    assert!((3500..=3600).contains(&wait), "{wait}");
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_subdomain_is_kept_for_its_former_owner() {
    let site = site(&[("SUBDOMAIN_COOLDOWN", "90")]).await;
    let (ada, bob) = (site.sign_up("ada@example.org").await, site.sign_up("bob@b.org").await);
    let made = create(&site, &ada, "ants").await;
    destroy(&site, &ada, &made, "ants").await;
    let check = async |cookie: &str| {
        let body = json!({ "subdomain": "ants" });
        site.post_with(cookie, "/api/wizard.checkSubdomain", body).await.ok().body
    };
    for cookie in ["", bob.as_str()] {
        let told = check(cookie).await;
        assert_eq!((&told["available"], &told["reason"]), (&json!(false), &json!("cooldown")));
        let from = told["availableFrom"].as_str().unwrap();
        let from: chrono::DateTime<chrono::Utc> = from.parse().unwrap();
        let days = (from - chrono::Utc::now()).num_hours();
        assert!((90 * 24 - 1..=90 * 24).contains(&days), "{from}");
        assert!(!told["suggestions"].as_array().unwrap().is_empty());
    }
    assert_eq!(check(&ada).await["available"], json!(true));
    create(&site, &bob, "ants").await.refuses(409, "subdomain_cooldown");
    let session = site.begin("eve@example.org").await;
    site.step(&session, 1, json!({ "password": PASSWORD })).await.ok();
    site.step(&session, 2, json!({ "useCase": "study" })).await.ok();
    let told = site.step(&session, 3, json!({ "subdomain": "ants" })).await;
    told.refuses(409, "subdomain_cooldown");
    // In the store it is decided: of many at the same time, its former owner has it.
    let all = tokio::join!(
        create(&site, &bob, "ants"),
        create(&site, &ada, "ants"),
        create(&site, &bob, "ants"),
    );
    assert_eq!([all.0.status, all.1.status, all.2.status], [409, 202, 409]);
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn too_many_calls_of_one_account_wait_wherever_they_come_from() {
    let settings = [("RATE_CHANGES", "3/hour"), ("TRUSTED_PROXIES", "127.0.0.1")];
    let site = site(&settings).await;
    let ada = site.sign_up("ada@example.org").await;
    let revoke = async |address: &str| {
        let from = ("x-forwarded-for", address);
        site.post_from(&ada, from, "/api/auth.revokeOtherSessions", json!({})).await
    };
    for address in ["192.0.2.1", "192.0.2.2", "192.0.2.3"] {
        revoke(address).await.ok();
    }
    let told = revoke("192.0.2.4").await.refuses(429, "rate_limited");
    let wait: u64 = told.retry_after.unwrap().parse().unwrap();
    assert!((1..=1200).contains(&wait), "{wait}");
    // Looking is another kind.
    assert_eq!(site.who(&ada).await, "ada@example.org");
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn passwords_are_tried_so_often_and_a_stranger_locks_nobody_out() {
    let settings = [("RATE_ATTEMPTS", "4/hour"), ("TRUSTED_PROXIES", "127.0.0.1")];
    let site = site(&settings).await;
    let try_from = async |email: &str, password: &str, address: &str| {
        let body = json!({ "email": email, "password": password });
        site.post_from("", ("x-forwarded-for", address), "/api/auth.signIn", body).await
    };
    let up = json!({
        "email": "ada@example.org", "password": PASSWORD, "termsAccepted": true, "privacyAccepted": true,
    });
    let home = ("x-forwarded-for", "2001:db8::7");
    let cookie = site.post_from("", home, "/api/auth.signUp", up).await.ok().cookie();
    site.post_with(&cookie, "/api/auth.signOut", json!({})).await.ok();
    // Each from another address, with and without an account: the same.
    for email in ["ada@example.org", "nobody@example.org"] {
        for number in 0..4 {
            let from = format!("192.0.2.{number}");
            let told = try_from(email, "not the password", &from).await;
            told.refuses(401, "wrong_credentials");
        }
        let told = try_from(email, PASSWORD, "192.0.2.9").await.refuses(429, "rate_limited");
        let wait: u64 = told.retry_after.unwrap().parse().unwrap();
        assert!((1..=900).contains(&wait), "{wait}");
    }
    // Its owner comes in from the network where it was signed in before, although signed out.
    try_from("ada@example.org", PASSWORD, "2001:db8::8").await.ok();
    // The wizard's first step tries a password, too.
    let session = site.begin("ada@example.org").await;
    let told = site.step(&session, 1, json!({ "password": PASSWORD })).await;
    told.refuses(429, "rate_limited");
    // And so do calls of who is signed in, who may have found a browser that is.
    let away = ("x-forwarded-for", "198.51.100.1");
    let change = json!({ "current": PASSWORD, "new": "one more password" });
    let cookie = try_from("ada@example.org", PASSWORD, "2001:db8::8").await.ok().cookie();
    let told = site.post_from(&cookie, away, "/api/auth.changePassword", change).await;
    told.refuses(429, "rate_limited");
    let change = json!({ "email": "b@example.org", "password": PASSWORD });
    let told = site.post_from(&cookie, away, "/api/auth.updateProfile", change).await;
    told.refuses(429, "rate_limited");
}
