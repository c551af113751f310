//! What happens without a call.

use std::collections::BTreeMap;

use chrono::SubsecRound;

use fresco_core::fault::{Call, Fault, FaultPlan};
use fresco_core::{Actor, DatabaseExcess, DatabaseOffence, Direction, ErrorKind, Step, TenantId};
use fresco_server::Platform;
use fresco_server::accounts::AuditRow;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::support::postgres::Database;
use crate::support::site::Site;
use crate::support::soon;
use crate::tampering::change;
use crate::{note, rows, seal};

fn ends(rows: &[AuditRow]) -> Vec<(&str, &str, &str)> {
    let ends = rows.iter().filter(|row| row.event.starts_with("operation_"));
    ends.map(|row| (&*row.event, &*row.outcome, &*row.actor)).collect()
}

async fn look(platform: &Platform) -> usize {
    platform.audit_operations().await.unwrap()
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn the_end_of_each_operation_is_told_once() {
    let call =
        Call { method: "runtime.prepare", step: Some((Direction::Forward, Step::Image)), nth: 1 };
    let plan = FaultPlan::with([(call, Fault::FailBefore(ErrorKind::Invalid))]);
    let site = Site::on(Database::migrated().await, &[], &plan).await;
    let ada = site.sign_up("ada@example.org").await;
    assert_eq!(look(&site.platform).await, 0, "there was none");
    let create = async |name: &str| {
        let body = json!({ "subdomain": name });
        site.post_with(&ada, "/api/tenants.create", body).await
    };
    let made = create("study").await;
    site.done(made.text("operationId")).await;
    // Several look at the same time.
    let (one, two) = tokio::join!(look(&site.platform), look(&site.platform));
    assert_eq!(one + two, 1);
    assert_eq!(look(&site.platform).await, 0);
    let id: TenantId = made.text("tenantId").parse().unwrap();
    let stopped = site.orchestrator.stop_tenant(id, Actor::System).await.unwrap();
    site.done(&stopped.operation.id.to_string()).await;
    assert_eq!(look(&site.platform).await, 1);
    // One that fails.
    let failing = create("failing").await;
    let failed = site.orchestrator.wait(failing.text("operationId").parse().unwrap());
    let failed = soon("a failure", failed).await.unwrap();
    assert_eq!(look(&site.platform).await, 1);
    // One that is gone when somebody looks.
    let body = json!({ "tenantId": made.text("tenantId"), "confirmation": "study" });
    let gone = site.post_with(&ada, "/api/tenants.destroy", body).await;
    site.done(gone.text("operationId")).await;
    assert_eq!(look(&site.platform).await, 1);
    // Made and gone between two looks.
    let short = create("short").await;
    site.done(short.text("operationId")).await;
    let body = json!({ "tenantId": short.text("tenantId"), "confirmation": "short" });
    let gone = site.post_with(&ada, "/api/tenants.destroy", body).await;
    site.done(gone.text("operationId")).await;
    assert_eq!(look(&site.platform).await, 2);
    assert_eq!(look(&site.platform).await, 0);

    let all = rows(&site.platform.accounts).await;
    assert_eq!(
        ends(&all),
        [
            ("operation_create", "ok", "user"),
            ("operation_stop", "ok", "system"),
            ("operation_create", "invalid at image", "user"),
            ("operation_destroy", "ok", "user"),
            ("operation_create", "ok", "user"),
            ("operation_destroy", "ok", "user"),
        ]
    );
    let row = all.iter().find(|row| {
        row.operation_id == Some(failed.id.as_uuid()) && row.event == "operation_create"
    });
    let row = row.unwrap();
    let ended = failed.finished_at.map(|at| at.trunc_subsecs(6));
    assert_eq!(Some(row.at), ended, "when it ended, not when it was told");
    assert_eq!(row.tenant_id.unwrap().to_string(), failing.text("tenantId"));
}

/// More than are looked through at first.
#[tokio::test]
#[ignore = "needs Docker"]
async fn ends_are_told_however_many_there_were_between_two_looks() {
    let site = Site::new().await;
    let ada = site.sign_up("ada@example.org").await;
    let made = site.post_with(&ada, "/api/tenants.create", json!({ "subdomain": "study" })).await;
    site.done(made.text("operationId")).await;
    assert_eq!(look(&site.platform).await, 1);
    let id: TenantId = made.text("tenantId").parse().unwrap();
    for _ in 0..45 {
        let restarted = site.orchestrator.restart_tenant(id, Actor::System).await.unwrap();
        site.done(&restarted.operation.id.to_string()).await;
    }
    assert_eq!(look(&site.platform).await, 45);
    assert_eq!(look(&site.platform).await, 0);
    let all = rows(&site.platform.accounts).await;
    let restarts = ends(&all).iter().filter(|(event, ..)| *event == "operation_restart").count();
    assert_eq!(restarts, 45);
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn who_is_barred_is_told_once() {
    let database = Database::migrated().await;
    let (one, two) = (database.accounts().await, database.accounts().await);
    let (first, second) = (TenantId::new(), TenantId::new());
    let of = |tenant| DatabaseOffence::new(tenant, DatabaseExcess::Locks, 10, 5);
    let both = [of(first), of(second)];
    let (left, right) = tokio::join!(one.tell_barred(&both), two.tell_barred(&both));
    left.and(right).unwrap();
    one.tell_barred(&[of(second)]).await.unwrap();
    one.tell_barred(&[of(second)]).await.unwrap();
    let mut told: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for row in rows(&one).await {
        told.entry(row.tenant_id.unwrap()).or_default().push((row.event, row.outcome));
    }
    let barred = ("tenant_barred".to_owned(), "locks".to_owned());
    let admitted = ("tenant_admitted".to_owned(), "ok".to_owned());
    assert_eq!(told[&first.as_uuid()], [barred.clone(), admitted]);
    assert_eq!(told[&second.as_uuid()], [barred]);
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn tenants_that_expire_and_accounts_whose_tenants_are_stopped() {
    let verifies = |config: &mut fresco_server::Config| config.verifies_addresses = true;
    let database = Database::migrated().await;
    let site = Site::changed(database, &[], &FaultPlan::none(), verifies).await;
    let ada = site.sign_up("ada@example.org").await;
    let made = site.post_with(&ada, "/api/tenants.create", json!({ "subdomain": "study" })).await;
    site.done(made.text("operationId")).await;
    site.database.execute("UPDATE fresco_server.trials SET expires_at = now()").await;
    assert_eq!(site.platform.expire_unverified().await.unwrap(), 1);
    let last = rows(&site.platform.accounts).await.pop().unwrap();
    assert_eq!((&*last.event, &*last.actor), ("tenant_expired", "system"));
    assert_eq!(last.tenant_id.unwrap().to_string(), made.text("tenantId"));

    let accounts = &site.platform.accounts;
    let user = accounts.user_of(&"ada@example.org".parse().unwrap()).await.unwrap().unwrap();
    accounts.suspend(user.id, None).await.unwrap();
    let suspension = accounts.open_suspensions(10).await.unwrap()[0];
    for _ in 0..2 {
        accounts.end_suspension(&suspension).await.unwrap();
    }
    let all = rows(accounts).await;
    let done: Vec<_> = all.iter().filter(|row| row.event == "suspension_done").collect();
    assert_eq!((done.len(), done[0].user_id), (1, Some(user.id)));
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_gate_that_opens_by_itself_is_told_once() {
    let database = Database::migrated().await;
    let accounts = database.accounts().await;
    let (due, early) = (TenantId::new(), TenantId::new());
    for (tenant, minutes) in [(due, 121), (early, 119)] {
        accounts.close_claim(tenant).await.unwrap();
        let sql = format!(
            "UPDATE fresco_server.claims SET entered_at = now() - interval '{minutes} minutes'
             WHERE tenant = '{tenant}'"
        );
        database.execute(&sql).await;
    }
    let (one, two) = tokio::join!(accounts.open_due_claims(), accounts.open_due_claims());
    assert_eq!(one.unwrap() + two.unwrap(), 1);
    let all = rows(&accounts).await;
    assert_eq!(all.len(), 1);
    assert_eq!((&*all[0].event, all[0].tenant_id), ("gate_opened", Some(due.as_uuid())));
    assert!(accounts.claim(due).await.unwrap().unwrap().open);
    assert!(!accounts.claim(early).await.unwrap().unwrap().open);
}

/// Beside a server's requests all of it goes on by itself.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker"]
async fn a_server_looks_and_seals_by_itself() {
    let site = Site::new().await;
    let ada = site.sign_up("ada@example.org").await;
    let made = site.post_with(&ada, "/api/tenants.create", json!({ "subdomain": "study" })).await;
    site.done(made.text("operationId")).await;
    let (stop, platform) = (CancellationToken::new(), site.platform.clone());
    let chores = tokio::spawn({
        let stop = stop.clone();
        async move { platform.chores(&stop).await }
    });
    let accounts = &site.platform.accounts;
    let sealed = async {
        loop {
            let all = rows(accounts).await;
            if ends(&all).len() == 1 && all.iter().all(|row| row.seq.is_some()) {
                return all;
            }
        }
    };
    let all = soon("sealed rows", sealed).await;
    assert_eq!(all.len(), 3, "{all:#?}");
    stop.cancel();
    soon("the chores' end", chores).await.unwrap();
    soon("the last rows", site.platform.settle()).await;
    let report = accounts.verify_audit(None).await.unwrap();
    assert_eq!((report.checked, report.fault), (3, None));
}

/// An old row that can't be taken out, since it is not as it was sealed, does not hold up the others.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker"]
async fn a_server_seals_beside_an_old_row_that_stays() {
    let site = Site::new().await;
    let accounts = &site.platform.accounts;
    note(accounts, 1).await;
    assert_eq!(seal(accounts).await, 1);
    change(&site.database, "UPDATE fresco_server.audit SET at = '2000-01-01'").await;
    let (stop, platform) = (CancellationToken::new(), site.platform.clone());
    let chores = tokio::spawn({
        let stop = stop.clone();
        async move { platform.chores(&stop).await }
    });
    // The first turn looks at what is old; each further row is sealed by a turn of its own.
    let begun = std::time::Instant::now();
    for further in 2..=4 {
        note(accounts, 1).await;
        let sealed = async { while rows(accounts).await.iter().any(|row| row.seq.is_none()) {} };
        soon("a sealed row", sealed).await;
        assert_eq!(rows(accounts).await.len(), further, "the old one is there");
    }
    // With the pause after a failure of the database it would take three of them.
    assert!(begun.elapsed() < std::time::Duration::from_secs(60), "{:?}", begun.elapsed());
    stop.cancel();
    soon("the chores' end", chores).await.unwrap();
}
