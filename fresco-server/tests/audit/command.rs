//! `fresco-server audit`, as the program does it.

use std::process::{Command, Output};

use fresco_core::TenantId;
use fresco_server::accounts::{AuditEvent, Role};
use fresco_server::settings::Values;
use fresco_server::{Config, compose};
use serde_json::Value;

use crate::support::SECRET;
use crate::support::postgres::{Database, connect};
use crate::{note, rows, seal};

fn run(database: &Database, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fresco-server"));
    command.env("DATABASE_URL", &database.url).env("AUTH_SECRET", SECRET);
    command.args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn verify_says_what_is_wrong_and_ends_with_one() {
    let database = Database::migrated().await;
    let accounts = database.accounts().await;
    note(&accounts, 5).await;
    seal(&accounts).await;
    let good = run(&database, &["audit", "verify"]);
    assert!(good.status.success(), "{good:?}");
    let out = text(&good.stdout);
    assert!(out.starts_with("5 rows are as they were sealed\nhead 5:"), "{out}");
    let head = out.lines().last().unwrap().strip_prefix("head ").unwrap().to_owned();
    note(&accounts, 1).await;
    seal(&accounts).await;
    let good = run(&database, &["audit", "verify", "--head", &head]);
    assert!(good.status.success(), "{good:?}");

    let client = connect(&database.url).await;
    client
        .batch_execute(
            "ALTER TABLE fresco_server.audit DISABLE TRIGGER USER;
             UPDATE fresco_server.audit SET outcome = 'x' WHERE seq = 3",
        )
        .await
        .unwrap();
    let bad = run(&database, &["audit", "verify"]);
    assert_eq!(bad.status.code(), Some(1), "{bad:?}");
    let out = text(&bad.stdout);
    assert!(out.contains("tampered with: row 3 (id 3) is not as it was sealed"), "{out}");
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_tenant_s_rows_are_exported_as_lines_of_json() {
    let database = Database::migrated().await;
    let accounts = database.accounts().await;
    let (tenant, other) = (TenantId::new(), TenantId::new());
    for (number, id) in [tenant, other, tenant].into_iter().enumerate() {
        let mut event = AuditEvent::of_system("tenant_expired");
        event.about.tenant = Some(id.as_uuid());
        event.number = Some(number as u64);
        accounts.note(&event).await.unwrap();
    }
    seal(&accounts).await;
    let done = run(&database, &["audit", "export", "--tenant", &tenant.to_string()]);
    assert!(done.status.success(), "{done:?}");
    let lines: Vec<Value> =
        text(&done.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let numbers: Vec<_> = lines.iter().map(|line| line["number"].as_i64().unwrap()).collect();
    assert_eq!(numbers, [0, 2]);
    for line in lines {
        assert_eq!(line["tenantId"], tenant.to_string());
        assert_eq!(line["mac"].as_str().unwrap().len(), 64);
        assert!(line.get("userId").is_none(), "{line}");
    }
    let none = run(&database, &["audit", "export", "--tenant", &TenantId::new().to_string()]);
    assert!(none.status.success() && none.stdout.is_empty());
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn commands_are_written_down() {
    let database = Database::migrated().await;
    let migrated = run(&database, &["migrate"]);
    assert!(migrated.status.success(), "{migrated:?}");
    let config = Config::read(&Values::new([
        ("DATABASE_URL", database.url.as_str()),
        ("AUTH_SECRET", SECRET),
    ]))
    .unwrap();
    let accounts = database.accounts().await;
    let sql =
        "INSERT INTO fresco_server.users (id, email, email_key, password_hash, terms_accepted_at)
               VALUES (gen_random_uuid(), 'ada@example.org', 'ada@example.org', 'x', now())";
    database.execute(sql).await;
    let ada = "ada@example.org".parse().unwrap();
    let id = accounts.user_of(&ada).await.unwrap().unwrap().id;
    for arguments in [
        &["admin", "grant", "ada@example.org"][..],
        &["invite", "eve@example.org"],
        &["rotate-secrets"],
    ] {
        let done = run(&database, arguments);
        assert!(done.status.success(), "{arguments:?} {done:?}");
    }
    let last = run(&database, &["admin", "revoke", "ada@example.org"]);
    assert_eq!(last.status.code(), Some(1), "the last admin");
    compose::invite(&config, "ada@example.org").await.unwrap_err();
    let nobody = "nobody@example.org".parse().unwrap();
    compose::set_role(&config, &nobody, Role::Admin).await.unwrap_err();
    compose::delete_account(&config, &nobody).await.unwrap_err();
    let found: Vec<_> = rows(&accounts)
        .await
        .into_iter()
        .map(|row| {
            assert_eq!((&*row.actor, &*row.means), ("operator", "command"));
            (row.event, row.outcome, row.user_id)
        })
        .collect();
    let row = |event: &str, outcome: &str, user| (event.to_owned(), outcome.to_owned(), user);
    assert_eq!(
        found,
        [
            row("command_migrate", "ok", None),
            row("command_admin_grant", "ok", Some(id)),
            row("command_invite", "ok", None),
            row("command_rotate_secrets", "ok", None),
            row("command_admin_revoke", "last_admin", Some(id)),
            row("command_invite", "refused", None),
            row("command_admin_grant", "not_found", None),
            row("command_account_delete", "not_found", None),
        ]
    );
}
