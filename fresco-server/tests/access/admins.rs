//! Who is an admin, and what an admin sees.

use std::time::Duration;

use fresco_core::fault::{Call, Fault, FaultPlan};
use fresco_core::memory::MemoryApp;
use fresco_core::{Direction, ErrorKind, Step};
use fresco_server::accounts::Role;
use fresco_server::settings::Values;
use fresco_server::{Config, compose};
use serde_json::{Value, json};

use crate::support::postgres::Database;
use crate::support::site::{Answer, Site};
use crate::support::soon;

/// The id of whoever is signed in with this cookie.
async fn id(site: &Site, cookie: &str) -> String {
    let session = site.post_with(cookie, "/api/auth.getSession", json!({})).await.ok();
    session.body["user"]["id"].as_str().unwrap().to_owned()
}

async fn call(site: &Site, cookie: &str, what: &str, body: Value) -> Answer {
    site.post_with(cookie, &format!("/api/admin.{what}"), body).await
}

async fn set_role(site: &Site, cookie: &str, user: &str, role: &str) -> Answer {
    call(site, cookie, "setRole", json!({ "userId": user, "role": role })).await
}

/// A site with an admin.
async fn site() -> (Site, String) {
    let site = Site::new().await;
    let root = site.sign_up("root@example.org").await;
    site.database.execute("UPDATE fresco_server.users SET role = 'admin'").await;
    (site, root)
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn the_address_of_the_setting_counts_once_it_is_verified() {
    let settings = [("ADMIN_EMAIL", "Root@Example.org")];
    let site = Site::on(Database::migrated().await, &settings, &FaultPlan::none()).await;
    let root = site.sign_up("root@example.org").await;
    let ada = site.sign_up("ada@example.org").await;
    call(&site, &root, "users", json!({})).await.refuses(403, "not_admin");
    site.database.execute("UPDATE fresco_server.users SET email_verified_at = now()").await;
    call(&site, &ada, "users", json!({})).await.refuses(403, "not_admin");
    let users = call(&site, &root, "users", json!({ "search": "ROOT" })).await.ok();
    assert_eq!(users.body["users"][0]["role"], "admin", "{}", users.body);
    let (me, other) = (id(&site, &root).await, id(&site, &ada).await);
    // It is the setting's word, and not the role's.
    set_role(&site, &root, &me, "user").await.refuses(409, "admin_by_setting");
    let suspend = json!({ "userId": me });
    call(&site, &root, "suspendUser", suspend.clone()).await.refuses(409, "last_admin");
    set_role(&site, &root, &other, "admin").await.ok();
    call(&site, &ada, "suspendUser", suspend).await.ok();
    call(&site, &root, "users", json!({})).await.refuses(401, "not_signed_in");
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn the_last_admin_stays_also_when_two_remove_each_other() {
    let (site, root) = site().await;
    let me = id(&site, &root).await;
    set_role(&site, &root, &me, "user").await.refuses(409, "last_admin");
    let suspend = json!({ "userId": me });
    call(&site, &root, "suspendUser", suspend).await.refuses(409, "last_admin");
    let ada = site.sign_up("ada@example.org").await;
    let other = id(&site, &ada).await;
    for round in 0..5 {
        site.database.execute("UPDATE fresco_server.users SET role = 'admin'").await;
        let (one, two) = tokio::join!(
            set_role(&site, &root, &other, "user"),
            set_role(&site, &ada, &me, "user"),
        );
        assert_eq!(site.database.count("users WHERE role = 'admin'").await, 1, "{round}");
        let done = [one, two].iter().filter(|answer| answer.status == 200).count();
        assert_eq!(done, 1, "{round}");
    }
    // An admin whose account is shut is nobody to rely on.
    site.database.execute("UPDATE fresco_server.users SET role = 'admin'").await;
    call(&site, &root, "suspendUser", json!({ "userId": other })).await.ok();
    set_role(&site, &root, &me, "user").await.refuses(409, "last_admin");
    set_role(&site, &root, &other, "admin").await.refuses(409, "account_suspended");
    let unknown = uuid::Uuid::new_v4().to_string();
    set_role(&site, &root, &unknown, "admin").await.refuses(404, "not_found");
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn who_is_an_admin_no_more_loses_the_keys_for_that() {
    let (site, root) = site().await;
    let ada = site.sign_up("ada@example.org").await;
    let user = id(&site, &ada).await;
    set_role(&site, &root, &user, "admin").await.ok();
    let mut keys = Vec::new();
    for scopes in [json!(["admin", "tenants:read"]), json!(["tenants:read"])] {
        let body = json!({ "name": "k", "scopes": scopes });
        let made = site.post_with(&ada, "/api/apiKeys.create", body).await.ok();
        keys.push(made.text("key").to_owned());
    }
    assert_eq!(site.post_key(&keys[0], "/api/admin.users", json!({})).await.0, 200);
    set_role(&site, &root, &user, "user").await.ok();
    call(&site, &ada, "users", json!({})).await.refuses(403, "not_admin");
    assert_eq!(site.post_key(&keys[0], "/api/tenants.list", json!({})).await.0, 401);
    assert_eq!(site.post_key(&keys[1], "/api/tenants.list", json!({})).await.0, 200);
    // And it gets none of it back with the role.
    set_role(&site, &root, &user, "admin").await.ok();
    assert_eq!(site.post_key(&keys[0], "/api/admin.users", json!({})).await.0, 401);
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn the_command_makes_the_first_admin_and_keeps_the_last() {
    let site = Site::new().await;
    let ada = site.sign_up("ada@example.org").await;
    let values = [("DATABASE_URL", site.database.url.as_str())];
    let config = Config::read(&Values::new(values)).unwrap();
    let set = |address: &str, role| {
        let (config, email) = (&config, address.parse().unwrap());
        async move { compose::set_role(config, &email, role).await }
    };
    let nobody = set("bob@example.org", Role::Admin).await.unwrap_err().chain();
    assert!(nobody.contains("has no account"), "{nobody}");
    let words = set("ADA@example.org", Role::Admin).await.unwrap();
    assert_eq!(words, "ada@example.org has the role admin from now on\n");
    call(&site, &ada, "users", json!({})).await.ok();
    let last = set("ada@example.org", Role::User).await.unwrap_err().chain();
    assert!(last.contains("last admin"), "{last}");
    site.sign_up("bob@example.org").await;
    set("bob@example.org", Role::Admin).await.unwrap();
    set("ada@example.org", Role::User).await.unwrap();
    call(&site, &ada, "users", json!({})).await.refuses(403, "not_admin");
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn admins_find_accounts_page_by_page() {
    let (site, root) = site().await;
    let body = json!({
        "email": "grace@navy.example", "password": crate::support::PASSWORD, "name": "Grace Höpper",
        "termsAccepted": true, "privacyAccepted": true,
    });
    site.post("/api/auth.signUp", body).await.ok();
    site.sign_up("Ada_L@example.org").await;
    for (search, expected) in [
        (json!({}), vec!["Ada_L@example.org", "grace@navy.example", "root@example.org"]),
        (json!({ "search": " HÖPPER " }), vec!["grace@navy.example"]),
        (json!({ "search": "EXAMPLE.org" }), vec!["Ada_L@example.org", "root@example.org"]),
        (json!({ "search": "_" }), vec!["Ada_L@example.org"]),
        (json!({ "search": "%" }), vec![]),
        (json!({ "search": "a\0" }), vec![]),
        (json!({ "limit": 1, "page": 2 }), vec!["grace@navy.example"]),
        (json!({ "page": 9 }), vec![]),
    ] {
        let page = call(&site, &root, "users", search.clone()).await.ok().body;
        let users = page["users"].as_array().unwrap().iter();
        let found: Vec<_> = users.map(|user| user["email"].as_str().unwrap()).collect();
        assert_eq!(found, expected, "{search}");
        if search["limit"] == 1 {
            assert_eq!((&page["total"], &page["pages"]), (&json!(3), &json!(3)));
        }
    }
    call(&site, &root, "users", json!({ "page": 0 })).await.refuses_field("page");
    // What the database can't be asked for is told to the caller.
    let none = call(&site, &root, "audit", json!({ "event": "a\0" })).await.ok();
    assert_eq!((&none.body["total"], &none.body["entries"]), (&json!(0), &json!([])));
    for (field, time) in [("from", "-9999-01-01T00:00:00Z"), ("until", "+12000-01-01T00:00:00Z")] {
        call(&site, &root, "audit", json!({ field: time })).await.refuses_field(field);
    }
    call(&site, &root, "users", json!({ "limit": 101 })).await.refuses_field("limit");
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn admins_see_all_tenants_what_is_done_and_what_went_wrong() {
    let (site, root) = site().await;
    let ada = site.sign_up("ada@example.org").await;
    let owner = id(&site, &ada).await;
    let create = |name: &str| {
        let (site, ada, body) = (&site, &ada, json!({ "subdomain": name }));
        async move { site.post_with(ada, "/api/tenants.create", body).await }
    };
    let good = create("good").await;
    site.done(good.text("operationId")).await;
    assert_eq!(call(&site, &root, "alerts", json!({})).await.ok().body["alerts"], json!([]));
    site.world.image("memory/app:1".parse().unwrap(), MemoryApp::exits(1, ["no way"]));
    let bad = create("bad").await;
    let failed = site.orchestrator.wait(bad.text("operationId").parse().unwrap()).await.unwrap();
    let alerts = call(&site, &root, "alerts", json!({})).await.ok().body;
    assert_eq!(alerts["alerts"].as_array().unwrap().len(), 1, "{alerts}");
    let alert = &alerts["alerts"][0];
    assert_eq!(
        (&alert["kind"], &alert["tenantId"]),
        (&json!("tenant_failed"), &bad.body["tenantId"])
    );
    assert_eq!(alert["message"].as_str().unwrap(), failed.error.unwrap().message);

    let tenants = call(&site, &root, "tenants", json!({ "search": "goo" })).await.ok().body;
    assert_eq!(tenants["total"], 1);
    let one = &tenants["tenants"][0];
    assert_eq!(one["tenant"]["id"], good.body["tenantId"]);
    assert_eq!((&one["ownerId"], &one["ownerEmail"]), (&json!(owner), &json!("ada@example.org")));
    let none = json!({ "ownerId": id(&site, &root).await });
    assert_eq!(call(&site, &root, "tenants", none).await.ok().body["total"], 0);
    let all = call(&site, &root, "operations", json!({})).await.ok().body;
    let seen: Vec<_> = all["operations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            (one["operation"]["tenantId"].clone(), one["actor"].clone(), one["actorId"].clone())
        })
        .collect();
    let asked = |of: &Answer| (of.body["tenantId"].clone(), json!("user"), json!(owner));
    assert_eq!(seen, [asked(&bad), asked(&good)]);
    let of = json!({ "tenantId": good.text("tenantId") });
    let one = call(&site, &root, "operations", of).await.ok().body;
    assert_eq!(one["operations"].as_array().unwrap().len(), 1, "{one}");
    let of = json!({ "tenantId": owner });
    call(&site, &root, "operations", of).await.refuses(404, "not_found");
}

/// The alerts of a kind.
async fn alerts(site: &Site, root: &str, kind: &str) -> Vec<Value> {
    let all = call(site, root, "alerts", json!({})).await.ok().body;
    let all = all["alerts"].as_array().unwrap().iter();
    all.filter(|alert| alert["kind"] == kind).cloned().collect()
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn what_is_down_barred_or_stuck_is_told() {
    let remove = Some((Direction::Forward, Step::RemoveDatabase));
    let faults = FaultPlan::with([
        (
            Call { method: "router.health", step: None, nth: 0 },
            Fault::FailBefore(ErrorKind::Unavailable),
        ),
        (
            Call { method: "database.remove", step: remove, nth: 0 },
            Fault::FailBefore(ErrorKind::Denied),
        ),
    ]);
    let site = Site::on(Database::migrated().await, &[], &faults).await;
    let root = site.sign_up("root@example.org").await;
    site.database.execute("UPDATE fresco_server.users SET role = 'admin'").await;
    let down = alerts(&site, &root, "part_unhealthy").await;
    assert_eq!((down.len(), &down[0]["part"]), (1, &json!("traefik")), "{down:?}");
    assert_eq!(alerts(&site, &root, "part_unhealthy").await, [] as [Value; 0]);

    let created = site.post_with(&root, "/api/tenants.create", json!({ "subdomain": "greedy" }));
    let created = created.await;
    site.done(created.text("operationId")).await;
    let tenant = created.text("tenantId");
    site.world.put(tenant.parse().unwrap(), "k", &"x".repeat(1 << 20)).unwrap();
    site.orchestrator.watch_database().await.unwrap();
    let barred = alerts(&site, &root, "tenant_barred").await;
    assert_eq!((barred.len(), &barred[0]["tenantId"]), (1, &json!(tenant)), "{barred:?}");

    let body = json!({ "tenantId": tenant, "confirmation": "greedy" });
    let destroy = site.post_with(&root, "/api/tenants.destroy", body).await;
    let operation = destroy.text("operationId");
    let stuck = soon("the stuck operation", async {
        loop {
            if let [alert] = &alerts(&site, &root, "operation_stuck").await[..] {
                return alert.clone();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let stuck = stuck.await;
    assert_eq!((&stuck["operationId"], &stuck["tenantId"]), (&json!(operation), &json!(tenant)));
    assert!(stuck["message"].as_str().is_some_and(|words| !words.is_empty()), "{stuck}");
}
