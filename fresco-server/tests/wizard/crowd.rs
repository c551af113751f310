//! Many sessions of the wizard at a time.

use serde_json::json;

use crate::support::PASSWORD;
use crate::support::site::Site;

/// Sessions that live at a time.
const MOST: i64 = 10_000;

/// Adds sessions of others: so many with a password, and so many without, which are younger.
async fn fill(site: &Site, with: i64, without: i64) {
    let sql = format!(
        "INSERT INTO fresco_server.wizard_sessions
            (id_hash, email, email_key, user_id, tenant_id, step_completed, data,
             password_hash, created_at, expires_at)
         SELECT sha256(n::text::bytea), n || '@b.org', n || '@b.org', gen_random_uuid(),
            gen_random_uuid(), (n > {without})::int, '{{}}', 'hash',
            now() - n * interval '10 ms', now() + interval '1 h'
         FROM generate_series(1, {with} + {without}) n"
    );
    site.database.execute(&sql).await;
}

async fn count(site: &Site, which: &str) -> i64 {
    site.database.count(&format!("wizard_sessions {which}")).await
}

/// Whether the session of this number, as [`fill`] made it, is there.
async fn is_there(site: &Site, number: i64) -> bool {
    count(site, &format!("WHERE email_key = '{number}@b.org'")).await == 1
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_stranger_who_knows_an_address_ends_no_session_of_it() {
    let site = Site::new().await;
    let own = site.begin("ada@example.org").await;
    futures_util::future::join_all((0..50).map(|_| site.begin("Ada@example.org"))).await;
    site.step(&own, 1, json!({ "password": PASSWORD })).await.ok();
    assert_eq!(count(&site, "").await, 51);
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn of_too_many_the_oldest_without_a_password_ends_first() {
    let site = Site::new().await;
    fill(&site, 3, MOST - 3).await;
    let fresh = site.begin("ada@example.org").await;
    assert_eq!(count(&site, "").await, MOST);
    assert_eq!(count(&site, "WHERE step_completed > 0").await, 3);
    assert!(!is_there(&site, MOST - 3).await && is_there(&site, MOST - 4).await);
    site.step(&fresh, 1, json!({ "password": PASSWORD })).await.ok();
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn of_too_many_with_a_password_the_oldest_ends() {
    let site = Site::new().await;
    fill(&site, MOST, 0).await;
    let fresh = site.begin("ada@example.org").await;
    assert_eq!(count(&site, "").await, MOST);
    assert!(!is_there(&site, MOST).await && is_there(&site, MOST - 1).await);
    // This one has no password yet, so it ends before theirs do.
    let next = site.begin("bob@example.org").await;
    assert!(is_there(&site, MOST - 1).await);
    let update = site.step(&fresh, 1, json!({ "password": PASSWORD })).await;
    update.refuses(404, "unknown_session");
    site.step(&next, 1, json!({ "password": PASSWORD })).await.ok();
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn what_has_ended_by_itself_takes_nobodys_place() {
    let site = Site::new().await;
    let one = site.begin("ada@example.org").await;
    fill(&site, MOST + 500, 0).await;
    let end =
        "UPDATE fresco_server.wizard_sessions SET expires_at = now() WHERE step_completed > 0";
    site.database.execute(end).await;
    let two = site.begin("bob@example.org").await;
    for session in [one, two] {
        site.step(&session, 1, json!({ "password": PASSWORD })).await.ok();
    }
}
