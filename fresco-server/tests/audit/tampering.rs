//! What somebody does to the log who may write to the database, and has no key.

use fresco_core::ErrorKind;
use fresco_server::accounts::{Accounts, AuditFault, AuditHead, AuditReport};

use crate::support::postgres::{Database, connect};
use crate::{note, rows, seal};

/// A log of ten sealed rows.
async fn log() -> (Database, Accounts) {
    let database = Database::migrated().await;
    let accounts = database.accounts().await;
    note(&accounts, 10).await;
    assert_eq!(seal(&accounts).await, 10);
    (database, accounts)
}

async fn verify(accounts: &Accounts) -> AuditReport {
    accounts.verify_audit(None).await.unwrap()
}

pub(crate) async fn change(database: &Database, statements: &str) {
    let sql = format!(
        "ALTER TABLE fresco_server.audit DISABLE TRIGGER USER;
         ALTER TABLE fresco_server.audit_head DISABLE TRIGGER USER;
         {statements};
         ALTER TABLE fresco_server.audit ENABLE TRIGGER USER;
         ALTER TABLE fresco_server.audit_head ENABLE TRIGGER USER"
    );
    connect(&database.url).await.batch_execute(&sql).await.unwrap();
}

const KEEP: &str = "CREATE TABLE public.rows AS TABLE fresco_server.audit;
    CREATE TABLE public.head AS TABLE fresco_server.audit_head";
const BACK: &str = "DELETE FROM fresco_server.audit;
    INSERT INTO fresco_server.audit OVERRIDING SYSTEM VALUE SELECT * FROM public.rows;
    DELETE FROM fresco_server.audit_head;
    INSERT INTO fresco_server.audit_head SELECT * FROM public.head";

#[tokio::test]
#[ignore = "needs Docker"]
async fn the_database_refuses_to_change_what_is_written() {
    let (database, accounts) = log().await;
    note(&accounts, 1).await;
    let client = connect(&database.url).await;
    for sql in [
        "UPDATE fresco_server.audit SET outcome = 'x' WHERE seq = 4",
        "UPDATE fresco_server.audit SET outcome = 'x' WHERE seq IS NULL",
        "UPDATE fresco_server.audit SET seq = 11, sealed_by = 'x', mac = 'x', outcome = 'x'
            WHERE seq IS NULL",
        "UPDATE fresco_server.audit SET seq = 12 WHERE seq = 4",
        "DELETE FROM fresco_server.audit WHERE seq = 10",
        "DELETE FROM fresco_server.audit WHERE seq IS NULL",
        "TRUNCATE fresco_server.audit",
        "DELETE FROM fresco_server.audit_head",
        "TRUNCATE fresco_server.audit_head",
    ] {
        let error = client.batch_execute(sql).await.expect_err(sql);
        let words = error.as_db_error().unwrap().message();
        assert!(words.starts_with("the audit log is append-only"), "{sql}: {words}");
    }
    assert_eq!(seal(&accounts).await, 1);
    let report = verify(&accounts).await;
    assert_eq!((report.checked, report.fault), (11, None));
}

/// A gap at the end, with further rows sealed behind it, would be one in the middle that nobody looks for.
#[tokio::test]
#[ignore = "needs Docker"]
async fn nothing_is_sealed_behind_an_end_that_was_cut_off() {
    let cut = "DELETE FROM fresco_server.audit WHERE seq > 7";
    let other = "UPDATE fresco_server.audit SET mac = '\\x00' WHERE seq = 10";
    for tampered in [cut, other] {
        let (database, accounts) = log().await;
        change(&database, tampered).await;
        note(&accounts, 1).await;
        let error = accounts.seal_audit(None).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(error.chain().contains("its last row is gone"), "{}", error.chain());
        let unsealed = "audit WHERE seq IS NULL";
        assert_eq!(database.count(unsealed).await, 1);
    }
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn every_change_shows_at_the_first_row_that_it_touches() {
    use AuditFault::{Beyond, EndGone, HeadChanged, HeadGone, RowChanged, RowGone};
    let (database, accounts) = log().await;
    assert_eq!(verify(&accounts).await.fault, None);
    change(&database, KEEP).await;
    let id = "'00000000-0000-4000-8000-000000000001'";
    let set = |what: &str| format!("UPDATE fresco_server.audit SET {what} WHERE seq = 4");
    let mut kinds: Vec<(String, AuditFault)> = [
        "at = at + interval '1 microsecond'",
        "event = 'tenants_stop'",
        "outcome = 'failed'",
        "actor = 'admin'",
        "means = 'key'",
        "address = '192.0.2.1'",
        "number = 1",
        "id = DEFAULT",
        "mac = '\\x00'",
        "mac = (SELECT mac FROM fresco_server.audit WHERE seq = 3)",
    ]
    .iter()
    .map(|what| (set(what), 4))
    .chain(
        ["actor_id", "means_id", "tenant_id", "user_id", "key_id", "session_id", "operation_id"]
            .iter()
            .map(|column| (set(&format!("{column} = {id}")), 4)),
    )
    .map(|(sql, seq)| (sql, RowChanged { seq, id: 4 }))
    .collect();
    let delete = "DELETE FROM fresco_server.audit WHERE seq";
    let head = "UPDATE fresco_server.audit_head SET";
    kinds.extend([
        (format!("{delete} = 1"), RowGone { seq: 1 }),
        (format!("{delete} = 5"), RowGone { seq: 5 }),
        (format!("{delete} = 10"), EndGone { seq: 10, until: 10 }),
        (format!("{delete} > 7"), EndGone { seq: 8, until: 10 }),
        // Cut off, and the head put back to there.
        (
            format!(
                "{delete} > 7; {head} sealed = 7, last_mac =
                 (SELECT mac FROM fresco_server.audit WHERE seq = 7)"
            ),
            HeadChanged,
        ),
        (delete.replace("WHERE seq", ""), EndGone { seq: 1, until: 10 }),
        // One taken out, and the gap closed.
        (
            format!(
                "{delete} = 5; UPDATE fresco_server.audit SET seq = -seq WHERE seq > 5;
                 UPDATE fresco_server.audit SET seq = -seq - 1 WHERE seq < 0"
            ),
            RowChanged { seq: 5, id: 6 },
        ),
        // Two in each other's place.
        (
            "UPDATE fresco_server.audit SET seq = -seq WHERE seq IN (3, 4);
             UPDATE fresco_server.audit SET seq = 7 + seq WHERE seq < 0"
                .into(),
            RowChanged { seq: 3, id: 4 },
        ),
        // One that nobody sealed.
        (
            "INSERT INTO fresco_server.audit
                (event, outcome, actor, means, seq, sealed_by, mac)
             SELECT event, outcome, actor, means, 11, sealed_by, mac
             FROM fresco_server.audit WHERE seq = 10"
                .into(),
            Beyond { seq: 11, id: 11 },
        ),
        ("DELETE FROM fresco_server.audit_head".into(), HeadGone),
        (format!("{head} sealed = 11"), HeadChanged),
        (format!("{head} begun_at = now() + interval '1 day'"), HeadChanged),
        (format!("{head} pruned = 3"), HeadChanged),
        (format!("{head} sealed_by = NULL, mac = NULL"), HeadChanged),
    ]);
    for (sql, fault) in kinds {
        change(&database, &sql).await;
        let mut found = verify(&accounts).await.fault;
        // The number that a row gets is the database's choice.
        for fault in found.iter_mut() {
            if let RowChanged { id, .. } | Beyond { id, .. } = fault
                && (sql.contains("id = DEFAULT") || sql.contains("INSERT"))
            {
                *id = if sql.contains("INSERT") { 11 } else { 4 };
            }
        }
        assert_eq!(found, Some(fault), "{sql}");
        change(&database, BACK).await;
        assert_eq!(verify(&accounts).await.fault, None, "put back after {sql}");
    }
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_head_that_was_changed_gets_no_seal() {
    let (database, accounts) = log().await;
    change(&database, KEEP).await;
    for sql in [
        "DELETE FROM fresco_server.audit WHERE seq > 7;
         UPDATE fresco_server.audit_head SET sealed = 7, last_mac =
            (SELECT mac FROM fresco_server.audit WHERE seq = 7)",
        "DELETE FROM fresco_server.audit_head",
    ] {
        change(&database, sql).await;
        note(&accounts, 1).await;
        let error = accounts.seal_audit(None).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(error.chain().contains("the audit log was tampered with"), "{}", error.chain());
        assert!(verify(&accounts).await.fault.is_some(), "it shows still");
        change(&database, BACK).await;
    }
}

/// What no seal shows: the whole log, as it was once. Its end, noted somewhere else, does.
#[tokio::test]
#[ignore = "needs Docker"]
async fn an_older_log_shows_to_who_noted_its_end() {
    let (database, accounts) = log().await;
    change(&database, KEEP).await;
    note(&accounts, 5).await;
    seal(&accounts).await;
    let noted: AuditHead = verify(&accounts).await.head.unwrap().parse().unwrap();
    let report = accounts.verify_audit(Some(&noted)).await.unwrap();
    assert_eq!((report.checked, report.fault), (15, None));

    change(&database, BACK).await;
    assert_eq!(verify(&accounts).await.fault, None, "an older log is a log");
    let report = accounts.verify_audit(Some(&noted)).await.unwrap();
    assert_eq!(report.fault, Some(AuditFault::OtherThanNoted { seq: 15 }));
    // Also when a program that did not see the later one has made it grow since.
    note(&accounts, 20).await;
    seal(&database.accounts().await).await;
    let report = accounts.verify_audit(Some(&noted)).await.unwrap();
    assert_eq!(report.fault, Some(AuditFault::OtherThanNoted { seq: 15 }));
}

/// Without a key one can still begin anew, as the migration does, and have the sealer seal other rows.
#[tokio::test]
#[ignore = "needs Docker"]
async fn a_sealer_goes_on_with_no_log_that_is_shorter_than_it_was() {
    let (database, accounts) = log().await;
    change(&database, KEEP).await;
    let anew = "DELETE FROM fresco_server.audit; UPDATE fresco_server.audit_head SET pruned = 0,
        pruned_mac = '', sealed = 0, last_mac = '', sealed_by = NULL, mac = NULL;
        INSERT INTO fresco_server.audit (event, outcome, actor, means)
            VALUES ('tenants_stop', 'ok', 'user', 'session')";
    change(&database, anew).await;
    let error = accounts.seal_audit(None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.chain().contains("put back") && error.chain().contains("seen: 10:"), "{error:?}");
    assert_eq!(rows(&accounts).await[0].seq, None);
    // As it was, it goes on.
    change(&database, BACK).await;
    note(&accounts, 1).await;
    assert_eq!(seal(&accounts).await, 1);
    assert_eq!(verify(&accounts).await.fault, None);
}

/// Without a key one could also make rows old, and have the sealer take out what nobody shall see.
#[tokio::test]
#[ignore = "needs Docker"]
async fn what_was_made_old_is_not_taken_out() {
    let year = Some(std::time::Duration::from_secs(365 * 24 * 60 * 60));
    let old = "UPDATE fresco_server.audit SET at = '2000-01-01'";
    for sql in [
        format!("{old} WHERE seq <= 4"),
        old.to_owned(),
        format!("DELETE FROM fresco_server.audit WHERE seq = 1; {old} WHERE seq <= 4"),
    ] {
        let (database, accounts) = log().await;
        change(&database, &sql).await;
        let there = rows(&accounts).await.len();
        note(&accounts, 1).await;
        let error = accounts.seal_audit(year).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{sql}");
        let told = error.chain();
        assert!(
            told.contains("an old row is not as it was sealed") && told.contains("row: 1"),
            "{told}"
        );
        let left = rows(&accounts).await;
        assert_eq!(left.len(), there + 1, "{sql}: all of it is there");
        assert!(left.iter().all(|row| row.seq.is_some()), "{sql}: what is new is sealed");
        let fault = verify(&accounts).await.fault;
        let first = |fault| match fault {
            AuditFault::RowChanged { seq, .. } | AuditFault::RowGone { seq } => seq == 1,
            _ => false,
        };
        assert!(fault.is_some_and(first), "{sql}: {fault:?}");
    }
}
