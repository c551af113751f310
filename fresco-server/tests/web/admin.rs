//! What admins look at, and do.

use fresco_core::fault::{Call, Fault, FaultPlan};
use fresco_core::{Direction, ErrorKind, Step};
use serde_json::json;

use crate::support::postgres::Database;
use crate::support::site::Site;
use crate::{Visitor, site};

async fn id(site: &Site, visitor: &Visitor<'_>) -> String {
    let who = site.post_with(&visitor.cookie, "/api/auth.getSession", json!({})).await.ok();
    who.body["user"]["id"].as_str().unwrap().to_owned()
}

/// An admin, and somebody else.
async fn people(site: &Site) -> (Visitor<'_>, Visitor<'_>) {
    let root = Visitor::known(site, "root@example.org").await;
    site.database.execute("UPDATE fresco_server.users SET role = 'admin'").await;
    (root, Visitor::known(site, "ada@example.org").await)
}

/// A further instance, and its id.
async fn instance(site: &Site, visitor: &Visitor<'_>, subdomain: &str) -> String {
    let body = json!({ "subdomain": subdomain });
    let made = site.post_with(&visitor.cookie, "/api/tenants.create", body).await;
    site.orchestrator.wait(made.text("operationId").parse().unwrap()).await.unwrap();
    made.text("tenantId").to_owned()
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn nobody_else_sees_anything_of_it() {
    let site = site(&[]).await;
    let (_, mut ada) = people(&site).await;
    let me = id(&site, &ada).await;
    for path in ["", "/tenants", "/operations", "/users", "/audit", &format!("/users/{me}")] {
        let page = ada.get(&format!("/admin{path}")).await.is(403);
        page.lacks("root@example.org").lacks("href=\"/admin\"");
    }
    let role = format!("/admin/users/{me}/role");
    ada.get(&role).await.is(403);
    ada.send(&role, &[("role", "admin")]).await.is(403);
    ada.get("/admin").await.is(403);
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn the_overview_tells_what_to_look_at_and_how_full_it_is() {
    let step = Some((Direction::Forward, Step::Container));
    let failing = Call { method: "runtime.ensure", step, nth: 0 };
    let faults = FaultPlan::with([(failing, Fault::FailBefore(ErrorKind::Invalid))]);
    let settings = [("TENANT_MEMORY", "1024"), ("MIN_MEMORY", "256"), ("TENANTS_PER_USER", "10")];
    let site = Site::on(Database::migrated().await, &settings, &faults).await;
    let (root, ada) = people(&site).await;
    let page = root.get("/admin").await.is(200);
    page.has("no instance is in error").has("Room for 4 more instances").has("0 MB of 1.0 GB");
    let broken = instance(&site, &ada, "ants").await;
    for name in ["bees", "wasps", "moths", "flies"] {
        instance(&site, &ada, name).await;
    }
    let page = root.get("/admin").await.is(200);
    page.has("<strong>ants is in error</strong>")
        .has(&format!("/admin/operations?tenant={broken}"));
    page.has("Full: no further instance can run").has("1.0 GB of 1.0 GB").has("4 instances run");
    // What the API says is what the page shows.
    let told = site.post_with(&root.cookie, "/api/admin.capacity", json!({})).await.ok().body;
    let (room, running) = (&told["roomFor"], &told["running"]);
    assert_eq!((room, running), (&json!(0), &json!(4)), "{told}");
    assert_eq!(told["reservedMemoryMb"], json!({ "taken": 1024, "most": 1024 }), "{told}");
    assert_eq!((&told["tenants"]["active"], &told["tenants"]["error"]), (&json!(4), &json!(1)));
    assert_eq!(told.get("freeDiskMb"), None, "nothing here can tell it");
    let refused =
        site.post_with(&ada.cookie, "/api/tenants.create", json!({ "subdomain": "mites" })).await;
    refused.refuses(503, "at_capacity");
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn instances_are_found_and_what_was_done_with_them() {
    let site = site(&[("TENANTS_PER_USER", "30"), ("DEPLOYS_PER_HOUR", "30")]).await;
    let (root, ada) = people(&site).await;
    root.get("/admin/tenants").await.is(200).has("There is no instance yet.");
    root.get("/admin/operations").await.is(200).has("There is nothing here yet.");
    let ants = instance(&site, &ada, "ants").await;
    instance(&site, &root, "bees").await;
    let page = root.get("/admin/tenants").await.is(200);
    page.has("2 instances")
        .has(">ants<")
        .has(">bees<")
        .has("ada@example.org")
        .lacks("rel=\"next\"");
    root.get("/admin/tenants?search=AN").await.is(200).has(">ants<").lacks(">bees<");
    let none = root.get("/admin/tenants?status=stopped").await.is(200);
    none.has("No instance is like that.").has("value=\"stopped\" selected");
    root.get("/admin/tenants?status=nonsense").await.is(400);
    let ada_id = id(&site, &ada).await;
    let owned = root.get(&format!("/admin/tenants?owner={ada_id}")).await.is(200);
    owned.has("Only those of <strong>ada@example.org</strong>").lacks(">bees<");
    let all = root.get("/admin/operations").await.is(200);
    all.has("Setting up ants").has("Setting up bees").has("Wait until the app answers");
    let one = root.get(&format!("/admin/operations?tenant={ants}")).await.is(200);
    one.has("Setting up ants").lacks("bees").has(&format!("/admin/users/{ada_id}"));
    root.get(&format!("/admin/operations?tenant={ada_id}")).await.is(404);
    let done = root.get("/admin/operations?action=create&status=success").await.is(200);
    done.has("Setting up ants").has("value=\"create\" selected").has("value=\"success\" selected");
    let none = root.get("/admin/operations?action=destroy").await.is(200);
    none.has("Nothing like that was done.").lacks("Setting up ants");
    root.get("/admin/operations?action=nonsense").await.is(400);
    for number in 0..19 {
        instance(&site, &ada, &format!("more-{number}")).await;
    }
    let first = root.get("/admin/tenants?search=-1").await.is(200);
    first.lacks("rel=\"next\"");
    let first = root.get("/admin/tenants").await.is(200);
    first.has("21 instances").has("href=\"/admin/tenants?page=2\"").has("Page 1 of 2");
    let second = root.get("/admin/tenants?page=2").await.is(200);
    second.has(">ants<").has("href=\"/admin/tenants?page=1\"").lacks("rel=\"next\"");
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn an_account_gets_a_role_and_is_shut_and_opened_after_a_question() {
    let site = site(&[]).await;
    let (mut root, ada) = people(&site).await;
    let (me, her) = (id(&site, &root).await, id(&site, &ada).await);
    let list = root.get("/admin/users").await.is(200);
    list.has("2 people").has(&format!("/admin/users/{her}")).has(">Admin<");
    root.get("/admin/users?search=ADA").await.is(200).has("1 person").lacks("root@example.org</a>");
    root.get("/admin/users?search=nobody").await.is(200).has("Nobody is called like that.");
    let page = root.get(&format!("/admin/users/{her}")).await.is(200);
    page.has("Not an admin").has("Suspend the account").has(&format!("/admin/audit?user={her}"));
    root.get(&format!("/admin/users/{}", uuid::Uuid::nil())).await.is(404);

    let role = format!("/admin/users/{her}/role");
    root.get(&role)
        .await
        .is(200)
        .has("Make this person an admin?")
        .has("<p>ada@example.org</p>")
        .has("value=\"admin\"");
    let to = format!("/admin/users/{her}?done=role_set");
    root.send(&role, &[("role", "admin")]).await.leads_to(&to);
    ada.get("/admin").await.is(200);
    root.get(&role).await.has("Take the role of an admin").has("value=\"user\"");
    root.send(&role, &[("role", "user")]).await.leads_to(&to);
    // Who is the last one stays it, and reads why.
    let own = format!("/admin/users/{me}/role");
    root.get(&own).await.is(200).has("This is your own account.");
    root.send(&own, &[("role", "user")]).await.is(409).has("This is the last admin.");

    let suspend = format!("/admin/users/{her}/suspend");
    root.get(&suspend)
        .await
        .is(200)
        .has("Suspend this account?")
        .has("<p>ada@example.org</p>")
        .has("Their data is kept");
    let to = format!("/admin/users/{her}?done=suspended");
    root.send(&suspend, &[]).await.leads_to(&to);
    root.get(&to).await.is(200).has("The account is suspended").has(">Open the account</a>");
    ada.get("/settings").await.leads_to("/login?next=%2Fsettings&done=session_ended");
    let resume = format!("/admin/users/{her}/resume");
    root.get(&resume).await.is(200).has("Open this account again?");
    let to = format!("/admin/users/{her}?done=resumed");
    root.send(&resume, &[]).await.leads_to(&to);
    site.post(
        "/api/auth.signIn",
        json!({ "email": "ada@example.org", "password": crate::support::PASSWORD }),
    )
    .await
    .ok();
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn the_audit_log_is_read_by_instance_and_by_account() {
    let site = site(&[]).await;
    let (root, ada) = people(&site).await;
    let ants = instance(&site, &ada, "ants").await;
    site.platform.settle().await;
    let all = root.get("/admin/audit").await.is(200);
    all.has("auth_sign_up").has("tenants_create").has(&format!("/admin/audit?tenant={ants}"));
    all.has(">ada@example.org</a>");
    let one = root.get(&format!("/admin/audit?tenant={ants}")).await.is(200);
    one.has("tenants_create").lacks("auth_sign_up").has(&format!("value=\"{ants}\""));
    let nobody = uuid::Uuid::nil();
    let none = root.get(&format!("/admin/audit?user={nobody}")).await.is(200);
    none.has("Nothing like that is written down.");
    let signed_up = root.get("/admin/audit?event=sign_up&from=2020-01-01").await.is(200);
    signed_up.has("auth_sign_up").lacks("tenants_create").has("value=\"sign_up\"");
    let long_ago = root.get("/admin/audit?from=2020-01-01&to=2020-12-31").await.is(200);
    long_ago.has("Nothing like that is written down.").has("value=\"2020-12-31\"");
    for wrong in ["user=ada", "from=yesterday", "to=2026-13-01"] {
        let wrong = root.get(&format!("/admin/audit?{wrong}")).await;
        assert_eq!(wrong.status, 400, "{}", wrong.text);
    }
    // The form stays, with what was typed.
    let wrong = root.get("/admin/audit?tenant=ants&event=sign_up").await.is(400);
    wrong.has("role=\"alert\"").has("value=\"ants\"").has("value=\"sign_up\"");
}
