//! Accounts that are deleted, by `fresco-server account delete`.

use std::process::{Command, Output};
use std::sync::Arc;

use fresco_core::fault::FaultPlan;
use fresco_core::memory::MemoryWorld;
use fresco_core::{
    Accepted, Actor, AppProfile, OperationStatus, Orchestrator, OwnerId, Store, TenantId,
    TenantSpec,
};
use fresco_postgres::{PostgresStore, PostgresStoreConfig};
use fresco_server::accounts::AuditQuery;
use serde_json::json;

use crate::support::postgres::Database;
use crate::support::site::Site;
use crate::support::{PASSWORD, SECRET, secret, soon};

fn delete(site: &Site, address: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fresco-server"));
    command.env("DATABASE_URL", &site.database.url).env("AUTH_SECRET", SECRET);
    command.args(["account", "delete", address]).output().unwrap()
}

/// It did not do so, and says why in these words.
#[track_caller]
fn refuses(output: &Output, words: &[&str]) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(words.iter().all(|word| text.contains(word)), "{text}");
}

/// Tenants in the store that the command looks into.
async fn orchestrator(database: &Database) -> Orchestrator {
    let store = PostgresStore::connect(PostgresStoreConfig::new(secret(&database.url)));
    let store = store.await.unwrap();
    let world = MemoryWorld::new().as_platform(store.platform().await.unwrap());
    let mut backends = world.backends();
    backends.store = Arc::new(store);
    Orchestrator::builder(backends, "example.org".parse().unwrap()).build().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker"]
async fn an_account_goes_with_all_that_is_kept_of_it_once_its_instances_are_gone() {
    let site = Site::on(Database::migrated().await, &[], &FaultPlan::none()).await;
    let orchestrator = orchestrator(&site.database).await;
    let workers = orchestrator.start();
    let done = async |accepted: Accepted| {
        let ended = soon("an operation", orchestrator.wait(accepted.operation.id)).await.unwrap();
        assert_eq!(ended.status, OperationStatus::Success, "{ended:#?}");
    };

    let cookie = site.sign_up("Ada@example.org").await;
    site.sign_up("bob@example.org").await;
    site.key(&cookie).await;
    site.filled("ada@example.org", "another").await;
    let accounts = site.database.accounts().await;
    let email = "ada@example.org".parse().unwrap();
    let ada = accounts.user_of(&email).await.unwrap().unwrap();
    let change = json!({ "email": "countess@example.org", "password": PASSWORD });
    site.post_with(&cookie, "/api/auth.updateProfile", change).await.ok();
    let id = ada.id;
    for sql in [
        "INSERT INTO fresco_server.invites (token_hash, email_key, expires_at)
         VALUES ('x', 'ada@example.org', now())"
            .to_owned(),
        format!(
            "INSERT INTO fresco_server.known_networks (user_id, network) VALUES ('{id}', '::')
             ON CONFLICT DO NOTHING"
        ),
        format!(
            "INSERT INTO fresco_server.trials (tenant_id, user_id, expires_at)
             VALUES (gen_random_uuid(), '{id}', now())"
        ),
    ] {
        site.database.execute(&sql).await;
    }

    let (tenant, actor) = (TenantId::new(), Actor::User(id.to_string()));
    let (owner, image) = (OwnerId::new(id.to_string()), "memory/app:1".parse().unwrap());
    let spec = TenantSpec::new(owner, "my-study".parse().unwrap(), AppProfile::generic(), image);
    done(orchestrator.deploy(tenant, spec, actor.clone()).await.unwrap()).await;
    let of_hers = [
        format!("users WHERE id = '{id}'"),
        format!("sessions WHERE user_id = '{id}'"),
        format!("api_keys WHERE user_id = '{id}'"),
        format!("known_networks WHERE user_id = '{id}'"),
        format!("trials WHERE user_id = '{id}'"),
        "wizard_sessions WHERE email_key = 'ada@example.org'".to_owned(),
        "letters WHERE recipient_key = 'ada@example.org'".to_owned(),
        "letters WHERE recipient_key = 'countess@example.org'".to_owned(),
        "invites WHERE email_key = 'ada@example.org'".to_owned(),
    ];
    refuses(&delete(&site, "ada@example.org"), &["my-study", "nothing was deleted", "its owner"]);
    for rows in &of_hers {
        assert!(site.database.count(rows).await > 0, "{rows}");
    }
    assert_eq!(site.who(&cookie).await, "Ada@example.org");

    done(orchestrator.destroy_tenant(tenant, actor).await.unwrap()).await;
    let output = delete(&site, "ADA@example.org");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    assert!(text.starts_with("Ada@example.org has no account any more"), "{text}");
    assert!(text.contains("365 days") && text.contains(&id.to_string()), "{text}");
    for rows in &of_hers {
        assert_eq!(site.database.count(rows).await, 0, "{rows}");
    }
    assert_eq!(site.who(&cookie).await, json!(null));
    assert_eq!(site.database.count("users WHERE email_key = 'bob@example.org'").await, 1);
    assert!(site.database.count("letters WHERE recipient_key = 'bob@example.org'").await > 0);
    refuses(&delete(&site, "ada@example.org"), &["has no account"]);

    let query = AuditQuery { limit: 100, ..AuditQuery::default() };
    let rows = accounts.audit(&query).await.unwrap().rows;
    let rows = rows.iter().filter(|row| row.event == "command_account_delete");
    let told: Vec<_> = rows.map(|row| (row.outcome.as_str(), row.user_id)).collect();
    assert_eq!(told, [("not_found", None), ("ok", Some(id)), ("has_tenants", Some(id))]);
    workers.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker"]
async fn the_last_admin_is_not_deleted() {
    let site = Site::new().await;
    let _store = orchestrator(&site.database).await;
    site.sign_up("root@example.org").await;
    site.database.execute("UPDATE fresco_server.users SET role = 'admin'").await;
    site.sign_up("ada@example.org").await;
    refuses(&delete(&site, "root@example.org"), &["last admin", "admin grant"]);
    assert_eq!(site.database.count("users").await, 2);
    site.database.execute("UPDATE fresco_server.users SET role = 'admin'").await;
    assert!(delete(&site, "root@example.org").status.success());
    refuses(&delete(&site, "ada@example.org"), &["last admin"]);
}
