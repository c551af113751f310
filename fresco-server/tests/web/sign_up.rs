//! The pages of signing up: the wizard's own, and the deployment that it leads to.

use std::time::Duration;

use fresco_core::memory::MemoryApp;
use serde_json::json;

use crate::support::site::Site;
use crate::support::soon;
use crate::{Visitor, site};

/// Waits until an operation ends, well or not.
async fn over(site: &Site, operation: &str) {
    let id = operation.parse().unwrap();
    soon("an operation", site.orchestrator.wait(id)).await.unwrap();
}

/// Somebody whose sign-up has asked for an instance of this name; its page.
async fn deployed<'a>(site: &'a Site, subdomain: &str) -> (Visitor<'a>, String, String) {
    deployed_by(site, "ada@example.org", subdomain).await
}

async fn deployed_by<'a>(
    site: &'a Site,
    email: &str,
    subdomain: &str,
) -> (Visitor<'a>, String, String) {
    let session = site.filled(email, subdomain).await;
    let answer = site.deploy(&session).await;
    let visitor = Visitor { site, cookie: answer.cookie() };
    let page = format!("/signup/{}", answer.text("tenantId"));
    (visitor, page, answer.text("operationId").to_owned())
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn the_wizard_is_for_who_has_no_account() {
    let open = site(&[("SANDBOX_URL", "https://sandbox.example.org")]).await;
    let page = Visitor::new(&open).get("/signup").await.is(200);
    page.has("id=\"account-form\"").has("needs JavaScript").lacks("id=\"invite\"");
    page.has("https://sandbox.example.org");
    let ada = Visitor::known(&open, "ada@example.org").await;
    ada.get("/signup").await.leads_to("/instances/new");

    let invite = site(&[("SIGNUP", "invite")]).await;
    Visitor::new(&invite).get("/signup").await.is(200).has("id=\"invite\"");
    let closed = site(&[("SIGNUP", "closed")]).await;
    let page = Visitor::new(&closed).get("/signup").await.is(200);
    page.has("Signing up is closed").lacks("account-form");
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_set_up_is_followed_to_its_end_without_a_script() {
    let site = site(&[]).await;
    let slow = MemoryApp::slow(Duration::from_secs(600));
    site.world.image("memory/app:1".parse().unwrap(), slow);
    let (mut ada, page, operation) = deployed(&site, "ants").await;
    ada.get(&page).await.is(200).has("data-state=\"working\"").has("Look again");
    // Whoever comes back is where they were.
    ada.get("/signup").await.leads_to(&page);
    // It is tried already.
    ada.send(&page, &[]).await.leads_to(&page);
    let mut eve = Visitor::known(&site, "eve@example.org").await;
    eve.get(&page).await.is(404).lacks("ants");
    eve.send(&page, &[]).await.is(404).lacks("ants");
    let to = format!("/login?next={}", page.replace('/', "%2F"));
    let mut nobody = Visitor::new(&site);
    nobody.get(&page).await.leads_to(&to);
    nobody.send(&page, &[]).await.leads_to(&to);

    let id = page.strip_prefix("/signup/").unwrap();
    ada.send(&format!("/instances/{id}/destroy"), &[("confirmation", "ants")]).await;
    over(&site, &operation).await;
    // It has had a life since.
    ada.get(&page).await.leads_to(&format!("/instances/{id}"));
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn what_failed_is_said_and_tried_again() {
    let site = site(&[]).await;
    let image = || "memory/app:1".parse().unwrap();
    site.world.image(image(), MemoryApp::exits(3, ["no <b>luck</b>"]));
    let (mut ada, page, operation) = deployed(&site, "ants").await;
    over(&site, &operation).await;
    let failed = ada.get(&page).await.is(200);
    failed.has("It did not work this time").has("no &#60;b&#62;luck").has("Try again");
    ada.get("/signup").await.leads_to(&page);

    site.world.image(image(), MemoryApp::healthy());
    ada.send(&page, &[]).await.leads_to(&page);
    let id = page.strip_prefix("/signup/").unwrap();
    let now = site.post_with(&ada.cookie, "/api/tenants.get", json!({"tenantId": id})).await;
    site.done(now.ok().body["operations"][0]["id"].as_str().unwrap()).await;
    let ready = ada.get(&page).await.is(200);
    ready.has("Your instance is ready").has("http://ants.localhost");
    ada.get("/signup").await.leads_to("/instances/new");
}

/// A page that was left open for long: its button does nothing to an instance that runs.
#[tokio::test]
#[ignore = "needs Docker"]
async fn what_has_had_a_life_since_is_left_alone() {
    let site = site(&[]).await;
    let image = || "memory/app:1".parse().unwrap();
    // Long enough for a slow machine to show the page meanwhile.
    site.world.image(image(), MemoryApp::slow(Duration::from_secs(8)));
    let (mut ada, page, operation) = deployed(&site, "ants").await;
    ada.get(&page).await.has("it is the first one here").has("so far");
    site.done(&operation).await;
    ada.get(&page).await.is(200).has("Your instance is ready").has("It was set up in");
    ada.send(&page, &[]).await.leads_to(&page);
    let id = page.strip_prefix("/signup/").unwrap();
    let body = json!({"tenantId": id});
    let newest = async |cookie: &str| {
        let told = site.post_with(cookie, "/api/tenants.get", body.clone()).await.ok();
        told.body["operations"][0]["action"].as_str().unwrap().to_owned()
    };
    assert_eq!(newest(&ada.cookie).await, "create", "nothing was asked for");

    let own = format!("/instances/{id}");
    for action in ["restart", "stop", "start"] {
        let call = format!("/api/tenants.{action}");
        let begun = site.post_with(&ada.cookie, &call, body.clone()).await;
        site.done(begun.text("operationId")).await;
        ada.get(&page).await.leads_to(&own);
        ada.send(&page, &[]).await.leads_to(&page);
        assert_eq!(newest(&ada.cookie).await, action);
    }

    site.world.image(image(), MemoryApp::slow(Duration::from_secs(600)));
    // The next one knows from it how long that takes.
    let (bob, page, _) = deployed_by(&site, "bob@example.org", "bees").await;
    bob.get(&page).await.is(200).has("lately it took about");
}

/// A link that lost its end leads to a page that says so, in nobody's words but the pages'.
#[tokio::test]
#[ignore = "needs Docker"]
async fn what_is_no_id_is_not_found() {
    let site = site(&[]).await;
    let mut ada = Visitor::known(&site, "ada@example.org").await;
    for path in ["/signup/abc", "/instances/abc", "/instances/abc/change"] {
        ada.get(path).await.is(404).lacks("UUID").lacks("tenantId");
    }
    ada.send("/settings/keys/abc/revoke", &[]).await.is(404).lacks("UUID");
}
