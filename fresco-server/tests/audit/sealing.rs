//! Who seals, when, and under which key.

use std::time::{Duration, Instant};

use fresco_core::ErrorKind;
use fresco_server::accounts::{Accounts, AuditFault};
use futures_util::future::join_all;

use crate::support::postgres::{Database, connect};
use crate::support::{SECRET, secret, soon};
use crate::{note, rows, seal};

const NEXT: &str = "another secret of 32 characters, or more";

async fn with_secrets(database: &Database, now: &str, old: &[&str]) -> Accounts {
    let old = old.iter().map(|text| secret(text)).collect();
    Accounts::connect(database.config(now).secrets_old(old)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker"]
async fn many_sealers_make_one_chain_of_what_many_write() {
    let database = Database::migrated().await;
    let programs = [database.accounts().await, database.accounts().await];
    let writers = (0..4).map(|number| note(&programs[number % 2], 100));
    let sealers = (0..4).map(|number| {
        let accounts = programs[number % 2].clone();
        async move {
            let mut all = 0;
            while all < 400 {
                all += accounts.seal_audit(None).await.unwrap().now;
                let last = rows(&accounts).await;
                if last.len() == 400 && last.iter().all(|row| row.seq.is_some()) {
                    break;
                }
            }
            all
        }
    });
    let work = async { tokio::join!(join_all(writers), join_all(sealers)) };
    let (_, sealed) = soon("400 sealed rows", work).await;
    assert_eq!(sealed.iter().sum::<usize>(), 400, "each once: {sealed:?}");
    let report = programs[0].verify_audit(None).await.unwrap();
    assert_eq!((report.checked, report.unsealed, report.fault), (400, 0, None));
}

/// The one who seals dies when it has sealed and not yet committed.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker"]
async fn a_sealer_that_dies_leaves_nothing_half_done() {
    let database = Database::migrated().await;
    let accounts = database.accounts().await;
    note(&accounts, 20).await;
    assert_eq!(seal(&accounts).await, 20);
    note(&accounts, 20).await;
    // Somebody is in the way of one row.
    let mut other = connect(&database.url).await;
    let held = other.transaction().await.unwrap();
    held.execute(
        "SELECT FROM fresco_server.audit WHERE seq IS NULL ORDER BY id DESC LIMIT 1 FOR UPDATE",
        &[],
    )
    .await
    .unwrap();
    let sealer = accounts.clone();
    let sealer = tokio::spawn(async move { sealer.seal_audit(None).await });
    let watch = connect(&database.url).await;
    let killed = async {
        let sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                   WHERE datname = current_database() AND wait_event_type = 'Lock'
                     AND query LIKE 'UPDATE fresco_server.audit a SET seq%'";
        while watch.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) == 0 {
            tokio::task::yield_now().await;
        }
    };
    soon("a sealer that waits", killed).await;
    assert!(soon("its end", sealer).await.unwrap().is_err());
    held.rollback().await.unwrap();
    let report = accounts.verify_audit(None).await.unwrap();
    assert_eq!((report.checked, report.unsealed, report.fault), (20, 20, None));
    assert_eq!(seal(&accounts).await, 20);
    let report = accounts.verify_audit(None).await.unwrap();
    assert_eq!((report.checked, report.unsealed, report.fault), (40, 0, None));
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn the_chain_goes_on_under_the_next_secret() {
    let database = Database::migrated().await;
    let first = with_secrets(&database, SECRET, &[]).await;
    note(&first, 3).await;
    seal(&first).await;

    let alone = with_secrets(&database, NEXT, &[]).await;
    note(&alone, 2).await;
    for error in
        [alone.seal_audit(None).await.unwrap_err(), alone.verify_audit(None).await.unwrap_err()]
    {
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(error.chain().contains("AUTH_SECRET_OLD"), "{}", error.chain());
    }
    let both = with_secrets(&database, NEXT, &[SECRET]).await;
    assert_eq!(seal(&both).await, 2);
    let report = both.verify_audit(None).await.unwrap();
    assert_eq!((report.checked, report.fault), (5, None));
    let by: Vec<_> = rows(&both).await.into_iter().map(|row| row.sealed_by.unwrap()).collect();
    assert!(by[0] == by[2] && by[2] != by[3] && by[3] == by[4], "{by:?}");
    // From then on the next secret alone seals; what came before can't be checked without the other.
    note(&alone, 1).await;
    assert_eq!(seal(&alone).await, 1);
    assert!(alone.verify_audit(None).await.is_err());
    assert_eq!(both.verify_audit(None).await.unwrap().checked, 6);
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn what_is_old_is_taken_out_from_the_beginning() {
    let database = Database::migrated().await;
    let accounts = database.accounts().await;
    for days in [400, 399, 10, 398, 0] {
        let sql = format!(
            "INSERT INTO fresco_server.audit (at, event, outcome, actor, means)
             VALUES (now() - interval '{days} days', 'tenant_barred', 'locks', 'system', 'none')"
        );
        database.execute(&sql).await;
    }
    let year = Some(Duration::from_secs(365 * 24 * 60 * 60));
    let sealed = accounts.seal_audit(year).await.unwrap();
    assert_eq!((sealed.now, sealed.pruned), (5, 2), "up to the first that is not old");
    assert_eq!(accounts.seal_audit(year).await.unwrap().pruned, 0);
    let report = accounts.verify_audit(None).await.unwrap();
    assert_eq!((report.checked, report.pruned, report.fault), (3, 2, None));
    assert_eq!(accounts.audit(&Default::default()).await.unwrap().total, 3);
    let client = connect(&database.url).await;
    let delete = "DELETE FROM fresco_server.audit WHERE seq = 3";
    client.batch_execute(delete).await.expect_err("it is no part of what was taken out");
    // Nor can one come back.
    let back = "INSERT INTO fresco_server.audit (event, outcome, actor, means, seq, sealed_by, mac)
                VALUES ('tenant_barred', 'locks', 'system', 'none', 2, 'x', 'x')";
    database.execute(back).await;
    let report = accounts.verify_audit(None).await.unwrap();
    assert_eq!(report.fault, Some(AuditFault::Back { seq: 2 }));
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn ten_thousand_rows_are_looked_at_in_seconds() {
    let database = Database::migrated().await;
    let accounts = database.accounts().await;
    database
        .execute(
            "INSERT INTO fresco_server.audit
                (event, outcome, actor, actor_id, means, means_id, address, tenant_id)
             SELECT 'tenants_stop', 'ok', 'user', gen_random_uuid(), 'session',
                    gen_random_uuid(), '192.0.2.1', gen_random_uuid()
             FROM generate_series(1, 10000)",
        )
        .await;
    let start = Instant::now();
    assert_eq!(seal(&accounts).await, 10_000);
    let sealed = start.elapsed();
    let start = Instant::now();
    let report = accounts.verify_audit(None).await.unwrap();
    let verified = start.elapsed();
    assert_eq!((report.checked, report.fault), (10_000, None));
    let size = database.count("audit").await;
    let bytes: i64 = connect(&database.url)
        .await
        .query_one("SELECT pg_total_relation_size('fresco_server.audit')", &[])
        .await
        .unwrap()
        .get(0);
    let mut out = std::io::stderr();
    let _ = std::io::Write::write_fmt(
        &mut out,
        format_args!(
            "{size} rows: sealed in {sealed:?}, looked at in {verified:?}, {} bytes a row\n",
            bytes / size
        ),
    );
    assert!(verified < Duration::from_secs(10), "{verified:?}");
}
