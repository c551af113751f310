//! Tenants of people who have not verified their address.

use fresco_core::fault::{Call, Fault, FaultPlan};
use fresco_core::{Action, Actor, Direction, ErrorKind, Step, TenantId, TenantStatus};
use serde_json::json;

use crate::support::postgres::Database;
use crate::support::site::{Answer, Site};

/// A service that can verify addresses.
async fn site(database: &Database, settings: &[(&str, &str)]) -> Site {
    let verifies = |config: &mut fresco_server::Config| config.verifies_addresses = true;
    Site::changed(database.clone(), settings, &FaultPlan::none(), verifies).await
}

async fn create(site: &Site, cookie: &str, subdomain: &str) -> Answer {
    site.post_with(cookie, "/api/tenants.create", json!({ "subdomain": subdomain })).await
}

async fn verify(database: &Database, email: &str) {
    let sql = format!(
        "UPDATE fresco_server.users SET email_verified_at = now() WHERE email_key = '{email}'"
    );
    assert_eq!(database.execute(&sql).await, 1);
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn people_who_verified_no_address_share_few_places() {
    let database = Database::migrated().await;
    let site = site(&database, &[("UNVERIFIED_TENANTS", "2")]).await;
    let (ada, bob) = (site.sign_up("ada@example.org").await, site.sign_up("bob@b.org").await);
    let first = create(&site, &ada, "study-one").await;
    create(&site, &bob, "study-two").await;
    create(&site, &ada, "study-three").await.refuses(403, "verification_required");
    let session = site.filled("eve@example.org", "study-four").await;
    site.deploy(&session).await.refuses(403, "verification_required");
    assert_eq!(database.count("users").await, 2, "no account without its tenant");
    // A refusal of the store's takes no place.
    verify(&database, "bob@b.org").await;
    assert_eq!(create(&site, &bob, "study-three").await.status, 202, "whoever verified has none");
    site.platform.expire_unverified().await.unwrap();
    create(&site, &ada, "study-two").await.refuses(409, "subdomain_taken");
    assert_eq!(database.count("trials").await, 1);
    // Of many at the same time, one has the last place.
    let all = tokio::join!(
        create(&site, &ada, "study-five"),
        create(&site, &ada, "study-six"),
        create(&site, &ada, "study-seven"),
    );
    let all = [all.0.status, all.1.status, all.2.status];
    assert_eq!(all.iter().filter(|status| **status == 202).count(), 1, "{all:?}");
    // A tenant that is gone frees its place.
    site.done(first.text("operationId")).await;
    let body = json!({ "tenantId": first.text("tenantId"), "confirmation": "study-one" });
    let begun = site.post_with(&ada, "/api/tenants.destroy", body).await;
    site.done(begun.text("operationId")).await;
    site.platform.expire_unverified().await.unwrap();
    assert_eq!(create(&site, &ada, "study-eight").await.status, 202);
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn their_tenants_end_after_a_day_unless_they_verify_it() {
    let database = Database::migrated().await;
    let site = site(&database, &[]).await;
    let (ada, bob) = (site.sign_up("ada@example.org").await, site.sign_up("bob@b.org").await);
    let (adas, bobs) = (create(&site, &ada, "adas").await, create(&site, &bob, "bobs").await);
    for made in [&adas, &bobs] {
        site.done(made.text("operationId")).await;
    }
    let shown = async |cookie: &str, made: &Answer| {
        let body = json!({ "tenantId": made.text("tenantId") });
        let one = site.post_with(cookie, "/api/tenants.get", body).await.ok().body;
        let list = site.post_with(cookie, "/api/tenants.list", json!({})).await.ok().body;
        assert_eq!(one["tenant"]["expiresAt"], list["tenants"][0]["expiresAt"], "{list}");
        one["tenant"]["expiresAt"].as_str().map(str::to_owned)
    };
    let ends: chrono::DateTime<chrono::Utc> = shown(&ada, &adas).await.unwrap().parse().unwrap();
    let hours = (ends - chrono::Utc::now()).num_minutes();
    assert!((23 * 60..=24 * 60).contains(&hours), "{ends}");
    assert_eq!(site.platform.expire_unverified().await.unwrap(), 0, "not yet");

    verify(&database, "bob@b.org").await;
    assert_eq!(shown(&bob, &bobs).await, None, "nothing of bob's ends any more");
    database.execute("UPDATE fresco_server.trials SET expires_at = now()").await;
    // Two servers that look at the same time ask for one end.
    let (one, two) =
        tokio::join!(site.platform.expire_unverified(), site.platform.expire_unverified());
    assert!(one.unwrap() + two.unwrap() >= 1);
    let id: TenantId = adas.text("tenantId").parse().unwrap();
    let operations = site.orchestrator.operations(id, 10).await.unwrap();
    assert_eq!(operations.len(), 2, "{operations:#?}");
    assert_eq!((operations[0].action, &operations[0].actor), (Action::Destroy, &Actor::System));
    site.done(&operations[0].id.to_string()).await;
    let gone = site.orchestrator.tenant(id).await.unwrap();
    assert_eq!(gone.state.status, TenantStatus::Destroyed);
    let kept: TenantId = bobs.text("tenantId").parse().unwrap();
    let kept = site.orchestrator.tenant(kept).await.unwrap();
    assert_eq!(kept.state.status, TenantStatus::Active);
    site.platform.expire_unverified().await.unwrap();
    assert_eq!(database.count("trials").await, 0);
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn one_whose_end_cant_be_asked_for_keeps_no_other_from_its_own() {
    let database = Database::migrated().await;
    // The first end that is asked for once all are made.
    let step = Some((Direction::Forward, Step::Active));
    let asked = Call { method: "store.request", step, nth: 0 };
    let faults = FaultPlan::with([(asked, Fault::FailBefore(ErrorKind::Internal))]);
    let verifies = |config: &mut fresco_server::Config| config.verifies_addresses = true;
    let site = Site::changed(database.clone(), &[], &faults, verifies).await;
    let ada = site.sign_up("ada@example.org").await;
    for subdomain in ["study-one", "study-two"] {
        site.done(create(&site, &ada, subdomain).await.text("operationId")).await;
    }
    database.execute("UPDATE fresco_server.trials SET expires_at = now()").await;
    assert_eq!(site.platform.expire_unverified().await.unwrap(), 1);
    assert_eq!(faults.struck(), 1);
    assert_eq!(site.platform.expire_unverified().await.unwrap(), 1, "it is tried again");
}

/// What somebody left who was shut out is kept for who looks into it.
#[tokio::test]
#[ignore = "needs Docker"]
async fn the_time_stands_still_while_somebody_is_suspended() {
    let database = Database::migrated().await;
    let site = site(&database, &[("UNVERIFIED_TENANTS", "1")]).await;
    let (root, ada) = (site.sign_up("root@b.org").await, site.sign_up("ada@example.org").await);
    let admin = "UPDATE fresco_server.users SET role = 'admin' WHERE email_key = 'root@b.org'";
    database.execute(admin).await;
    let made = create(&site, &ada, "adas").await;
    site.done(made.text("operationId")).await;
    let session = site.post_with(&ada, "/api/auth.getSession", json!({})).await.ok();
    let who = json!({ "userId": session.body["user"]["id"] });
    let shut = site.post_with(&root, "/api/admin.suspendUser", who.clone()).await.ok();
    site.done(shut.body["operations"][0].as_str().unwrap()).await;
    // Nor does it take anybody's place.
    let body = json!({ "subdomain": "roots" });
    assert_eq!(site.post_with(&root, "/api/tenants.create", body).await.status, 202);
    database.execute("DELETE FROM fresco_server.trials WHERE user_id <> (SELECT id FROM fresco_server.users WHERE suspended_at IS NOT NULL)").await;
    // A day and an hour later.
    database
        .execute(
            "UPDATE fresco_server.users SET suspended_at = now() - interval '25 h'
             WHERE suspended_at IS NOT NULL",
        )
        .await;
    let later = "UPDATE fresco_server.trials SET expires_at = now() - interval '1 h'";
    database.execute(later).await;
    assert_eq!(site.platform.expire_unverified().await.unwrap(), 0);
    site.post_with(&root, "/api/admin.resumeUser", who).await.ok();
    assert_eq!(site.platform.expire_unverified().await.unwrap(), 0);
    let left =
        "trials WHERE expires_at BETWEEN now() + interval '23 h' AND now() + interval '25 h'";
    assert_eq!(database.count(left).await, 1);
    database.execute(later).await;
    assert_eq!(site.platform.expire_unverified().await.unwrap(), 1);
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn where_no_address_can_be_verified_nothing_ends() {
    let database = Database::migrated().await;
    let settings = [("UNVERIFIED_TENANTS", "0")];
    let site = Site::on(database.clone(), &settings, &FaultPlan::none()).await;
    let ada = site.sign_up("ada@example.org").await;
    let made = create(&site, &ada, "adas").await;
    let id: TenantId = made.text("tenantId").parse().unwrap();
    // Of a time when mail could be sent.
    let sql = format!(
        "INSERT INTO fresco_server.trials VALUES ('{id}', (SELECT id FROM fresco_server.users), now(), now())"
    );
    database.execute(&sql).await;
    assert_eq!(site.platform.expire_unverified().await.unwrap(), 0);
    site.done(made.text("operationId")).await;
    let tenant = site.orchestrator.tenant(id).await.unwrap();
    assert_eq!(tenant.state.status, TenantStatus::Active);
}
