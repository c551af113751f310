//! Calls of the API, as the log tells of them.

use fresco_core::fault::FaultPlan;
use fresco_server::accounts::AuditRow;
use poem::http::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::postgres::{Database, connect};
use crate::support::site::{Answer, Site};
use crate::support::{PASSWORD, soon};
use crate::{rows, seal};

/// The rows that came since, and how many there are now.
struct Log<'a> {
    site: &'a Site,
    seen: usize,
}

impl<'a> Log<'a> {
    fn new(site: &'a Site) -> Self {
        Self { site, seen: 0 }
    }

    /// The one row that was written since the last look.
    async fn one(&mut self) -> AuditRow {
        let mut new = self.new_rows().await;
        assert_eq!(new.len(), 1, "{new:#?}");
        new.remove(0)
    }

    async fn new_rows(&mut self) -> Vec<AuditRow> {
        let all = rows(&self.site.platform.accounts).await;
        let new = all[self.seen..].to_vec();
        self.seen = all.len();
        new
    }

    /// The one row that was written since: what, its outcome, and who did it by what.
    async fn is(&mut self, event: &str, outcome: &str, actor: &str, means: &str) -> AuditRow {
        let row = self.one().await;
        let found = (&*row.event, &*row.outcome, &*row.actor, &*row.means);
        assert_eq!(found, (event, outcome, actor, means));
        assert_eq!(row.address.as_deref(), Some("127.0.0.1"));
        row
    }
}

async fn id_of(site: &Site, email: &str) -> Uuid {
    let email = email.parse().unwrap();
    site.platform.accounts.user_of(&email).await.unwrap().unwrap().id
}

fn sign_in(email: &str, password: &str) -> Value {
    json!({ "email": email, "password": password })
}

async fn post(site: &Site, cookie: &str, call: &str, body: Value) -> Answer {
    site.post_with(cookie, &format!("/api/{call}"), body).await
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn who_signs_in_and_who_fails_to() {
    let site = Site::new().await;
    let mut log = Log::new(&site);
    let ada = site.sign_up("ada@example.org").await;
    let id = id_of(&site, "ada@example.org").await;
    let row = log.is("auth_sign_up", "ok", "user", "none").await;
    assert_eq!((row.actor_id, row.user_id), (Some(id), Some(id)));

    post(&site, "", "auth.signIn", sign_in("Ada@example.org", PASSWORD)).await.ok();
    let row = log.is("auth_sign_in", "ok", "user", "none").await;
    assert_eq!(row.user_id, Some(id));
    post(&site, "", "auth.signIn", sign_in("ada@example.org", "wrong password")).await;
    let row = log.is("auth_sign_in", "wrong_credentials", "anonymous", "none").await;
    assert_eq!((row.actor_id, row.user_id), (None, Some(id)), "whose account was tried");
    post(&site, "", "auth.signIn", sign_in("nobody@example.org", PASSWORD)).await;
    let row = log.is("auth_sign_in", "wrong_credentials", "anonymous", "none").await;
    assert_eq!(row.user_id, None);
    post(&site, "", "auth.signIn", json!({ "email": "x" })).await.is(StatusCode::BAD_REQUEST);
    log.is("auth_sign_in", "invalid_request", "anonymous", "none").await;

    let body = json!({ "current": PASSWORD, "new": "another long password" });
    post(&site, &ada, "auth.changePassword", body).await.ok();
    let row = log.is("auth_change_password", "ok", "user", "session").await;
    assert_eq!(row.actor_id, Some(id));
    assert!(row.means_id.is_some(), "by which session");
    post(&site, &ada, "auth.signOut", json!({})).await.ok();
    log.is("auth_sign_out", "ok", "user", "session").await;
    post(&site, &ada, "auth.changePassword", json!({ "current": "x", "new": "y" })).await;
    log.is("auth_change_password", "not_signed_in", "anonymous", "none").await;

    // Who only looks is not written down.
    post(&site, "", "auth.getSession", json!({})).await.ok();
    assert!(log.new_rows().await.is_empty());
    assert_eq!(seal(&site.platform.accounts).await, 8);
    let report = site.platform.accounts.verify_audit(None).await.unwrap();
    assert_eq!((report.checked, report.fault), (8, None));
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn what_is_done_with_tenants_keys_and_sessions() {
    let site = Site::new().await;
    let mut log = Log::new(&site);
    let (ada, eve) = (site.sign_up("ada@example.org").await, site.sign_up("eve@example.org").await);
    let id = id_of(&site, "ada@example.org").await;
    log.new_rows().await;

    let made = post(&site, &ada, "tenants.create", json!({ "subdomain": "study" })).await;
    let row = log.is("tenants_create", "ok", "user", "session").await;
    let tenant = made.text("tenantId").to_owned();
    let same = |row: &AuditRow| row.tenant_id.map(|id| id.to_string()) == Some(tenant.clone());
    assert!(same(&row));
    assert_eq!(row.operation_id.unwrap().to_string(), made.text("operationId"));
    site.done(made.text("operationId")).await;
    // The tenant of somebody else: the log says which was tried.
    let whole = json!({ "tenantId": tenant });
    post(&site, &eve, "tenants.stop", whole.clone()).await.refuses(404, "not_found");
    let row = log.is("tenants_stop", "not_found", "user", "session").await;
    assert!(same(&row) && row.actor_id != Some(id));

    let body = json!({ "name": "ci", "scopes": ["tenants:write"] });
    let key = post(&site, &ada, "apiKeys.create", body).await.ok();
    let row = log.is("api_keys_create", "ok", "user", "session").await;
    let key_id: Uuid = key.body["details"]["id"].as_str().unwrap().parse().unwrap();
    assert_eq!(row.key_id, Some(key_id));
    let (status, begun) = site.post_key(key.text("key"), "/api/tenants.stop", whole.clone()).await;
    assert_eq!(status, 202, "{begun}");
    let row = log.is("tenants_stop", "ok", "user", "key").await;
    assert_eq!((row.actor_id, row.means_id), (Some(id), Some(key_id)));
    site.done(begun["operationId"].as_str().unwrap()).await;
    site.post_key(key.text("key"), "/api/auth.signOut", json!({})).await;
    log.is("auth_sign_out", "session_required", "anonymous", "none").await;
    site.post_key("fpk_none", "/api/tenants.stop", whole.clone()).await;
    log.is("tenants_stop", "invalid_key", "anonymous", "none").await;
    let body = json!({ "keyId": key_id });
    post(&site, &ada, "apiKeys.revoke", body).await.ok();
    assert_eq!(log.is("api_keys_revoke", "ok", "user", "session").await.key_id, Some(key_id));

    let session = Uuid::new_v4();
    post(&site, &ada, "auth.revokeSession", json!({ "sessionId": session })).await;
    let row = log.is("auth_revoke_session", "not_found", "user", "session").await;
    assert_eq!(row.session_id, Some(session));
    post(&site, &ada, "tenants.openGate", whole.clone()).await.ok();
    assert!(same(&log.is("tenants_open_gate", "ok", "user", "session").await));
    for call in ["start", "restart"] {
        let begun = post(&site, &ada, &format!("tenants.{call}"), whole.clone()).await;
        assert!(same(&log.is(&format!("tenants_{call}"), "ok", "user", "session").await));
        site.done(begun.text("operationId")).await;
    }
    let body = json!({ "tenantId": tenant, "environment": { "A": "b" } });
    let begun = post(&site, &ada, "tenants.update", body).await;
    assert!(same(&log.is("tenants_update", "ok", "user", "session").await));
    site.done(begun.text("operationId")).await;
    let body = json!({ "tenantId": tenant, "confirmation": "other" });
    post(&site, &ada, "tenants.destroy", body).await;
    assert!(same(&log.is("tenants_destroy", "confirmation_mismatch", "user", "session").await));
    let body = json!({ "tenantId": tenant, "confirmation": "study" });
    post(&site, &ada, "tenants.destroy", body).await;
    assert!(same(&log.is("tenants_destroy", "ok", "user", "session").await));
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn the_wizard_and_the_admins() {
    let site = Site::new().await;
    let mut log = Log::new(&site);
    let session = site.filled("ada@example.org", "study").await;
    let deployed = site.deploy(&session).await;
    let found = log.new_rows().await;
    let events: Vec<_> = found.iter().map(|row| &*row.event).collect();
    let step = "wizard_update_session";
    let expected = ["wizard_create_session", step, step, step, step, "wizard_deploy_tenant"];
    assert_eq!(events, expected);
    let ada = id_of(&site, "ada@example.org").await;
    let last = found.last().unwrap();
    assert_eq!((last.actor_id, last.user_id), (Some(ada), Some(ada)));
    assert_eq!(last.tenant_id.unwrap().to_string(), deployed.text("tenantId"));
    assert_eq!(found[1].tenant_id, last.tenant_id, "a step is about the tenant to come");

    let root = site.sign_up("root@example.org").await;
    let sql = "UPDATE fresco_server.users SET role = 'admin' WHERE email = 'root@example.org'";
    site.database.execute(sql).await;
    log.new_rows().await;
    let user = json!({ "userId": ada });
    for (call, event, body) in [
        ("admin.setRole", "admin_set_role_admin", json!({ "userId": ada, "role": "admin" })),
        ("admin.suspendUser", "admin_suspend_user", user.clone()),
        ("admin.resumeUser", "admin_resume_user", user.clone()),
    ] {
        post(&site, &root, call, body).await.ok();
        assert_eq!(log.is(event, "ok", "admin", "session").await.user_id, Some(ada));
    }
    // What admins read of it.
    let all = post(&site, &root, "admin.audit", json!({ "limit": 2 })).await.ok().body;
    assert_eq!((&all["total"], &all["pages"]), (&json!(10), &json!(5)), "{all}");
    assert_eq!(all["entries"][0]["event"], "admin_resume_user");
    assert_eq!(all["entries"][0]["userId"], ada.to_string());
    let body = json!({ "tenantId": deployed.text("tenantId") });
    let of_tenant = post(&site, &root, "admin.audit", body).await.ok().body;
    assert_eq!(of_tenant["total"], 5, "{of_tenant}");
    let of_user = post(&site, &root, "admin.audit", user).await.ok().body;
    assert_eq!(of_user["total"], 4, "{of_user}");
    let of_kind = post(&site, &root, "admin.audit", json!({ "event": "suspend" })).await.ok().body;
    assert_eq!(of_kind["total"], 1, "{of_kind}");
    let at = &all["entries"][0]["at"];
    let since = post(&site, &root, "admin.audit", json!({ "from": at })).await.ok().body;
    assert_eq!((&since["total"], &since["entries"][0]), (&json!(1), &all["entries"][0]), "{since}");
    let before = post(&site, &root, "admin.audit", json!({ "until": at })).await.ok().body;
    assert_eq!(before["total"], 9, "{before}");
    post(&site, "", "admin.audit", json!({})).await.refuses(401, "not_signed_in");
    assert!(log.new_rows().await.is_empty(), "who looks is not written down");
}

/// Nobody gets what the log does not tell of.
#[tokio::test]
#[ignore = "needs Docker"]
async fn an_answer_that_can_t_be_written_down_is_not_given() {
    let site = Site::new().await;
    let ada = site.sign_up("ada@example.org").await;
    site.database.execute("ALTER TABLE fresco_server.audit RENAME TO elsewhere").await;
    let answer = post(&site, "", "auth.signIn", sign_in("ada@example.org", PASSWORD)).await;
    let answer = answer.refuses(503, "audit_unavailable");
    assert_eq!(answer.set_cookie, None, "no session");
    assert!(answer.retry_after.is_some());
    let body = json!({ "name": "ci", "scopes": ["tenants:read"] });
    let answer = post(&site, &ada, "apiKeys.create", body).await;
    let answer = answer.refuses(503, "audit_unavailable");
    assert!(!answer.body.to_string().contains("fpk_"), "no key");
    // What was refused is told as ever, and who only looks is answered.
    let wrong = sign_in("ada@example.org", "wrong password");
    post(&site, "", "auth.signIn", wrong).await.refuses(401, "wrong_credentials");
    assert_eq!(site.who(&ada).await, "ada@example.org");
    site.database.execute("ALTER TABLE fresco_server.elsewhere RENAME TO audit").await;
    post(&site, "", "auth.signIn", sign_in("ada@example.org", PASSWORD)).await.ok();
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn who_does_not_wait_for_the_answer_is_written_down() {
    let site = Site::new().await;
    let ada = site.sign_up("ada@example.org").await;
    let id = id_of(&site, "ada@example.org").await;
    let mut log = Log::new(&site);
    log.new_rows().await;
    // The answer waits for this.
    let mut other = connect(&site.database.url).await;
    let held = other.transaction().await.unwrap();
    held.execute("LOCK TABLE fresco_server.api_keys IN ACCESS EXCLUSIVE MODE", &[]).await.unwrap();
    let body = json!({ "name": "ci", "scopes": ["tenants:read"] });
    let watch = connect(&site.database.url).await;
    let waits = async {
        let sql = "SELECT count(*) FROM pg_stat_activity
                   WHERE datname = current_database() AND wait_event_type = 'Lock'";
        while watch.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        _ = post(&site, &ada, "apiKeys.create", body) => panic!("it was answered"),
        () = soon("a call that waits", waits) => {}
    }
    let written = async {
        loop {
            let new = log.new_rows().await;
            if !new.is_empty() {
                return new;
            }
        }
    };
    let new = soon("the row", written).await;
    assert_eq!(new.len(), 1);
    let found = (&*new[0].event, &*new[0].outcome, new[0].actor_id);
    assert_eq!(found, ("api_keys_create", "unanswered", Some(id)));
    held.rollback().await.unwrap();
}

/// Of calls that only look, what was refused; of what changes something, also what came no further than
/// the guard.
#[tokio::test]
#[ignore = "needs Docker"]
async fn who_is_not_let_in_is_written_down() {
    let (database, faults) = (Database::migrated().await, FaultPlan::none());
    let site = Site::on(database, &[("RATE_CHANGES", "3/hour")], &faults).await;
    let ada = site.sign_up("ada@example.org").await;
    let id = id_of(&site, "ada@example.org").await;
    let body = json!({ "name": "ci", "scopes": ["logs:read"] });
    let key = post(&site, &ada, "apiKeys.create", body).await.ok().text("key").to_owned();
    let mut log = Log::new(&site);
    log.new_rows().await;

    post(&site, &ada, "tenants.list", json!({})).await.ok();
    post(&site, "", "tenants.list", json!({})).await.refuses(401, "not_signed_in");
    post(&site, &ada, "tenants.list", json!({ "page": 0 })).await;
    assert_eq!(log.new_rows().await, [], "nobody was kept from anything");
    post(&site, &ada, "admin.audit", json!({})).await.refuses(403, "not_admin");
    let row = log.is("admin_audit", "not_admin", "user", "session").await;
    assert_eq!(row.actor_id, Some(id));
    assert_eq!(site.post_key(&key, "/api/tenants.list", json!({})).await.0, 403);
    log.is("tenants_list", "insufficient_scope", "user", "key").await;
    assert_eq!(site.post_key("fpk_nonsense", "/api/tenants.list", json!({})).await.0, 401);
    log.is("tenants_list", "invalid_key", "anonymous", "none").await;

    let logs = format!("/api/tenants/{id}/logs");
    let listens = site.request(Method::GET, &logs).header("authorization", "Bearer fpk_nonsense");
    assert_eq!(listens.send().await.0.status(), 401);
    log.is("tenants_logs", "invalid_key", "anonymous", "none").await;

    let foreign = ("origin", "https://evil.example");
    site.post_from(&ada, foreign, "/api/tenants.stop", json!({}))
        .await
        .refuses(403, "foreign_origin");
    log.is("tenants_stop", "foreign_origin", "anonymous", "none").await;
    let form = site.request(Method::POST, "/instances/new").header(foreign.0, foreign.1);
    assert_eq!(form.send().await.0.status(), 403);
    log.is("page_form", "foreign_origin", "anonymous", "none").await;
    // A browser that asks whether the one other origin may call calls nothing.
    for (method, status) in [(Method::OPTIONS, 204), (Method::GET, 405)] {
        let asks =
            site.request(method, "/api/tenants.stop").header("origin", "http://localhost:3001");
        assert_eq!(asks.send().await.0.status().as_u16(), status);
    }
    assert_eq!(log.new_rows().await, []);
    for _ in 0..3 {
        post(&site, &ada, "auth.revokeOtherSessions", json!({})).await;
    }
    log.new_rows().await;
    let often = post(&site, &ada, "auth.revokeOtherSessions", json!({})).await;
    often.refuses(429, "rate_limited");
    log.is("auth_revoke_other_sessions", "rate_limited", "anonymous", "none").await;
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn no_spelling_of_an_address_leads_past_the_log() {
    let site = Site::on(Database::migrated().await, &[], &FaultPlan::none()).await;
    site.sign_up("ada@example.org").await;
    let mut log = Log::new(&site);
    log.new_rows().await;
    for path in [
        "/api/auth.sign%49n",
        "//api/auth.signIn",
        "/api//auth.signIn",
        "/api/auth.signIn/",
        "/./api/auth.signIn",
        "/api/auth.signIn?x=1",
        "/API/auth.signIn",
    ] {
        let request = site.request(Method::POST, path);
        let response = request.body_json(&sign_in("ada@example.org", PASSWORD)).send().await.0;
        let (status, written) = (response.status(), log.new_rows().await.len());
        assert_eq!(written, usize::from(status.is_success()), "{path}: {status}");
    }
}
