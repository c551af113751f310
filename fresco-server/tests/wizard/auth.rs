//! Accounts and their sessions.

use fresco_core::fault::FaultPlan;
use serde_json::json;

use crate::support::postgres::Database;
use crate::support::site::{Answer, Site};
use crate::support::{PASSWORD, SECRET};

async fn sign_in(site: &Site, email: &str, password: &str) -> Answer {
    site.post("/api/auth.signIn", json!({ "email": email, "password": password })).await
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn in_and_out() {
    let site = Site::new().await;
    let body = json!({
        "email": "Ada@example.org", "password": PASSWORD, "name": " Ada ",
        "termsAccepted": true, "privacyAccepted": true,
    });
    let made = site.post("/api/auth.signUp", body.clone()).await.ok();
    let line = made.set_cookie.clone().unwrap();
    let (pair, rest) = line.split_once(';').unwrap();
    assert_eq!(rest, " Path=/; HttpOnly; SameSite=Lax");
    assert_eq!(pair.strip_prefix("fresco_session=").map(str::len), Some(64));
    assert_eq!(made.body["user"]["name"], "Ada");
    assert!(!made.body.to_string().contains(PASSWORD));
    let taken = site.post("/api/auth.signUp", body).await.refuses(409, "email_taken");
    assert_eq!((taken.text("field"), taken.set_cookie.as_ref()), ("email", None));

    let first = made.cookie();
    let second = sign_in(&site, "ada@EXAMPLE.org", PASSWORD).await.ok();
    assert_eq!(second.body["user"], made.body["user"]);
    let second = second.cookie();
    assert_ne!(first, second);
    let shown = site.post_with(&first, "/api/auth.getSession", json!({})).await.ok();
    assert_eq!(shown.body, made.body);

    let out = site.post_with(&first, "/api/auth.signOut", json!({})).await.ok();
    let cleared = "fresco_session=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0";
    assert_eq!((out.body, out.set_cookie.as_deref()), (json!({}), Some(cleared)));
    let nobody = site.post_with(&first, "/api/auth.getSession", json!({})).await.ok();
    assert_eq!((nobody.body, nobody.set_cookie), (json!({}), None));
    assert_eq!(site.who(&second).await, "Ada@example.org");
    site.post("/api/auth.signOut", json!({})).await.ok();
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_wrong_password_and_an_unknown_address_are_refused_alike() {
    let site = Site::new().await;
    site.sign_up("ada@example.org").await;
    let wrong = sign_in(&site, "ada@example.org", "another password").await;
    let unknown = sign_in(&site, "bob@example.org", PASSWORD).await;
    assert_eq!(wrong.refuses(401, "wrong_credentials"), unknown);
    sign_in(&site, "ada@example.org", "").await.refuses(401, "wrong_credentials");
    sign_in(&site, "nobody", PASSWORD).await.refuses_field("email");
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn an_account_needs_all_of_it() {
    let site = Site::new().await;
    let good = json!({
        "email": "ada@example.org", "password": PASSWORD,
        "termsAccepted": true, "privacyAccepted": true,
    });
    for (field, value) in [
        ("email", json!("ada")),
        ("password", json!("short")),
        ("name", json!("x".repeat(201))),
        ("termsAccepted", json!(false)),
        ("privacyAccepted", json!(false)),
    ] {
        let mut body = good.clone();
        body[field] = value;
        site.post("/api/auth.signUp", body).await.refuses_field(field);
    }
    for (field, value) in [
        ("email", json!(["ada@example.org"])),
        ("admin", json!(true)),
        ("termsAccepted", json!(null)),
    ] {
        let mut body = good.clone();
        body[field] = value;
        site.post("/api/auth.signUp", body).await.refuses(400, "invalid_request");
    }
    assert_eq!(site.database.count("users").await, 0);
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_session_ends() {
    let database = Database::migrated().await;
    let site = Site::on(database.clone(), &[], &FaultPlan::none()).await;
    let cookie = site.sign_up("ada@example.org").await;
    let list = "/api/tenants.list";
    site.post_with(&cookie, list, json!({})).await.ok();

    // With the secret: another server on the same database knows it, until the secret changes.
    let twin = Site::on(database.clone(), &[], &FaultPlan::none()).await;
    assert_eq!(twin.who(&cookie).await, "ada@example.org");
    let changed = SECRET.replace('0', "1");
    let other = Site::on(database, &[("AUTH_SECRET", &changed)], &FaultPlan::none()).await;
    assert_eq!(other.who(&cookie).await, json!(null));
    other.post_with(&cookie, list, json!({})).await.refuses(401, "not_signed_in");
    assert_eq!(sign_in(&other, "ada@example.org", PASSWORD).await.ok().status, 200);

    // With time.
    site.database.execute("UPDATE fresco_server.sessions SET expires_at = now()").await;
    assert_eq!(site.who(&cookie).await, json!(null));
    site.post_with(&cookie, list, json!({})).await.refuses(401, "not_signed_in");
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_cookie_that_was_planted_beside_is_not_believed() {
    let site = Site::new().await;
    let own = site.sign_up("ada@example.org").await;
    let planted = site.sign_up("eve@example.org").await;
    for cookie in [format!("{own}; {planted}"), format!("{planted}; {own}")] {
        assert_eq!(site.who(&cookie).await, json!(null));
    }
    assert_eq!(site.who(&format!("theme=dark; {own}")).await, "ada@example.org");
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn over_https_the_cookie_is_of_this_host_alone() {
    let settings = [
        ("PUBLIC_URL", "https://fresco.example.org"),
        ("TRUSTED_PROXIES", "127.0.0.1"),
        ("BASE_DOMAIN", "fresco.example.org"),
        ("SIGNUP", "open"),
    ];
    let site = Site::on(Database::migrated().await, &settings, &FaultPlan::none()).await;
    let session = site.filled("ada@example.org", "my-study").await;
    let deployed = site.deploy(&session).await;
    assert_eq!(deployed.text("url"), "http://my-study.fresco.example.org");
    let line = deployed.set_cookie.clone().unwrap();
    assert!(line.starts_with("__Host-fresco_session="), "{line}");
    assert!(line.ends_with("; Path=/; HttpOnly; SameSite=Lax; Secure"), "{line}");
    let cookie = deployed.cookie();
    assert_eq!(site.who(&cookie).await, "ada@example.org");
    // A sibling site can plant the other name.
    assert_eq!(site.who(cookie.trim_start_matches("__Host-")).await, json!(null));
}
