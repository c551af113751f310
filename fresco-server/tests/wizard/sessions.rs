//! Sessions, as their owner sees and ends them.

use fresco_core::fault::FaultPlan;
use serde_json::{Value, json};

use crate::support::PASSWORD;
use crate::support::postgres::Database;
use crate::support::site::Site;

async fn sign_in(site: &Site, email: &str, remember: bool) -> (String, String) {
    let body = json!({ "email": email, "password": PASSWORD, "remember": remember });
    let answer = site.post("/api/auth.signIn", body).await.ok();
    (answer.cookie(), answer.set_cookie.unwrap())
}

async fn sessions(site: &Site, cookie: &str) -> Vec<Value> {
    let answer = site.post_with(cookie, "/api/auth.listSessions", json!({})).await.ok();
    answer.body["sessions"].as_array().unwrap().clone()
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_browser_remembers_only_when_it_is_told_to() {
    let site = Site::new().await;
    site.sign_up("ada@example.org").await;
    let (_, line) = sign_in(&site, "ada@example.org", false).await;
    assert!(line.ends_with("; Path=/; HttpOnly; SameSite=Lax"), "{line}");
    let (_, line) = sign_in(&site, "ada@example.org", true).await;
    let (_, age) = line.split_once("Max-Age=").unwrap();
    let days = age.parse::<f64>().unwrap() / 86_400.0;
    assert!((29.9..=30.0).contains(&days), "{line}");
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn each_is_listed_and_can_be_ended_from_another() {
    let site = Site::new().await;
    let first = site.sign_up("ada@example.org").await;
    let (second, _) = sign_in(&site, "ada@example.org", true).await;
    let (third, _) = sign_in(&site, "ada@example.org", true).await;
    let bob = site.sign_up("bob@example.org").await;

    let seen = sessions(&site, &first).await;
    assert_eq!(seen.len(), 3);
    let own: Vec<_> = seen.iter().filter(|session| session["current"] == true).collect();
    assert_eq!(own.len(), 1, "{seen:#?}");
    assert_eq!(own[0]["address"], "127.0.0.1");
    let token = first.split_once('=').unwrap().1;
    assert!(!json!(seen).to_string().contains(token));

    // Nobody else's can be ended, and its id tells nothing.
    let id =
        sessions(&site, &second).await.iter().find(|s| s["current"] == true).unwrap()["id"].clone();
    let end = json!({ "sessionId": id });
    site.post_with(&bob, "/api/auth.revokeSession", end.clone()).await.refuses(404, "not_found");
    assert_eq!(site.who(&second).await, "ada@example.org");
    site.post_with(&first, "/api/auth.revokeSession", end.clone()).await.ok();
    assert_eq!(site.who(&second).await, Value::Null);
    site.post_with(&first, "/api/auth.revokeSession", end).await.refuses(404, "not_found");

    let ended = site.post_with(&third, "/api/auth.revokeOtherSessions", json!({})).await.ok();
    assert_eq!(ended.body, json!({ "revoked": 1 }));
    assert_eq!(site.who(&first).await, Value::Null);
    assert_eq!(sessions(&site, &third).await.len(), 1);
    assert_eq!(site.who(&bob).await, "bob@example.org");
    site.post("/api/auth.listSessions", json!({})).await.refuses(401, "not_signed_in");
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn one_that_nobody_uses_ends() {
    let database = Database::migrated().await;
    let settings = [("SESSION_DAYS", "3"), ("SESSION_IDLE_DAYS", "2")];
    let site = Site::on(database, &settings, &FaultPlan::none()).await;
    site.sign_up("ada@example.org").await;
    let (cookie, line) = sign_in(&site, "ada@example.org", true).await;
    let (_, age) = line.split_once("Max-Age=").unwrap();
    assert!((259_100..=259_200).contains(&age.parse().unwrap()), "{line}");

    let unused = |hours: u8| {
        let sql = format!(
            "UPDATE fresco_server.sessions SET last_seen_at = now() - interval '{hours} hours'"
        );
        let database = &site.database;
        async move { database.execute(&sql).await }
    };
    unused(47).await;
    assert_eq!(site.who(&cookie).await, "ada@example.org");
    // That was a use of it.
    assert_eq!(
        site.database.count("sessions WHERE last_seen_at > now() - interval '1 hour'").await,
        1
    );
    unused(49).await;
    assert_eq!(site.who(&cookie).await, Value::Null);
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn one_of_an_account_that_is_shut_is_none() {
    let site = Site::new().await;
    let cookie = site.sign_up("ada@example.org").await;
    site.database.execute("UPDATE fresco_server.users SET suspended_at = now()").await;
    assert_eq!(site.who(&cookie).await, Value::Null);
    site.database.execute("UPDATE fresco_server.users SET suspended_at = NULL").await;
    assert_eq!(site.who(&cookie).await, "ada@example.org");
}
