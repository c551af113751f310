//! Owners are told how the creation of their tenant ended, as the store of tenants knows it.

use fresco_core::ErrorKind;
use fresco_core::fault::{Call, Fault, FaultPlan};
use fresco_core::{Direction, OperationStatus, Step};
use poem::http::StatusCode;
use serde_json::json;

use crate::support::postgres::Database;
use crate::support::site::Site;
use crate::support::smtp::MailServer;
use crate::support::soon;
use crate::{deliver, known, site_with};

const READY: &str = "Your instance is ready";
const FAILED: &str = "Your instance could not be made";

async fn create(site: &Site, cookie: &str, subdomain: &str) -> (String, String) {
    let asked = site.post_with(cookie, "/api/tenants.create", json!({ "subdomain": subdomain }));
    let accepted = asked.await.is(StatusCode::ACCEPTED);
    (accepted.text("operationId").to_owned(), accepted.text("tenantId").to_owned())
}

#[tokio::test]
#[ignore = "needs Docker and aiosmtpd"]
async fn the_owner_is_told_once_that_a_tenant_is_ready() {
    let mail = MailServer::plain();
    let site = site_with(&mail).await;
    let cookie = known(&site, &mail, "ada@example.org").await;
    deliver(&site).await;
    let (operation, tenant) = create(&site, &cookie, "my-study").await;
    site.done(&operation).await;
    // By several servers at the same time, and again.
    let all = (0..4).map(|_| deliver(&site));
    futures_util::future::join_all(all).await;
    deliver(&site).await;
    let letters = mail.to("ada@example.org", READY);
    assert_eq!(letters.len(), 1);
    assert!(letters[0].contains("\nhttp://my-study.localhost\n"), "{}", letters[0]);

    // What comes after is no deployment.
    let again =
        site.post_with(&cookie, "/api/tenants.restart", json!({ "tenantId": tenant })).await;
    site.done(again.is(StatusCode::ACCEPTED).text("operationId")).await;
    deliver(&site).await;
    assert_eq!(mail.to("ada@example.org", READY).len(), 1);
}

#[tokio::test]
#[ignore = "needs Docker and aiosmtpd"]
async fn the_owner_is_told_of_a_failure_and_of_the_success_after_it() {
    let mail = MailServer::plain();
    let settings = mail.settings();
    let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let call =
        Call { method: "runtime.prepare", step: Some((Direction::Forward, Step::Image)), nth: 0 };
    let plan = FaultPlan::with([(call, Fault::FailBefore(ErrorKind::Invalid))]);
    let site = Site::on(Database::migrated().await, &settings, &plan).await;
    let cookie = known(&site, &mail, "ada@example.org").await;
    let (operation, tenant) = create(&site, &cookie, "my-study").await;
    let ended =
        soon("a failure", site.orchestrator.wait(operation.parse().unwrap())).await.unwrap();
    assert_eq!(ended.status, OperationStatus::Failed, "{ended:#?}");
    deliver(&site).await;
    let letters = mail.to("ada@example.org", FAILED);
    assert_eq!(letters.len(), 1);
    assert!(letters[0].contains("my-study could not be made"), "{}", letters[0]);

    let again =
        site.post_with(&cookie, "/api/tenants.restart", json!({ "tenantId": tenant })).await;
    site.done(again.is(StatusCode::ACCEPTED).text("operationId")).await;
    deliver(&site).await;
    assert_eq!(mail.to("ada@example.org", READY).len(), 1);
    assert_eq!(mail.to("ada@example.org", FAILED).len(), 1);
}

#[tokio::test]
#[ignore = "needs Docker and aiosmtpd"]
async fn nobody_is_told_of_what_ended_before_there_was_mail() {
    let mail = MailServer::plain();
    let site = site_with(&mail).await;
    let cookie = known(&site, &mail, "ada@example.org").await;
    let (operation, _) = create(&site, &cookie, "my-study").await;
    site.done(&operation).await;
    // As if the tables were made just now.
    site.database.execute("UPDATE fresco_server.told_since SET since = now()").await;
    deliver(&site).await;
    assert_eq!(mail.to("ada@example.org", READY).len(), 0);
}
