//! Accounts that are shut.

use std::time::Duration;

use fresco_core::memory::MemoryApp;
use fresco_core::{Action, Actor, DesiredState, Tenant, TenantId, TenantStatus};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::support::site::{Answer, Site};
use crate::support::{PASSWORD, soon};

struct World {
    site: Site,
    root: String,
    ada: String,
    root_id: String,
    ada_id: String,
}

impl World {
    async fn new() -> Self {
        let site = Site::new().await;
        let root = site.sign_up("root@example.org").await;
        site.database.execute("UPDATE fresco_server.users SET role = 'admin'").await;
        let ada = site.sign_up("ada@example.org").await;
        let mut ids = Vec::new();
        for cookie in [&root, &ada] {
            let session = site.post_with(cookie, "/api/auth.getSession", json!({})).await.ok();
            ids.push(session.body["user"]["id"].as_str().unwrap().to_owned());
        }
        let [root_id, ada_id] = ids.try_into().unwrap();
        Self { site, root, ada, root_id, ada_id }
    }

    async fn suspend(&self) -> Answer {
        let body = json!({ "userId": self.ada_id });
        self.site.post_with(&self.root, "/api/admin.suspendUser", body).await.ok()
    }

    async fn resume(&self) {
        let body = json!({ "userId": self.ada_id });
        self.site.post_with(&self.root, "/api/admin.resumeUser", body).await.ok();
    }

    async fn sign_in(&self, password: &str) -> Answer {
        let body = json!({ "email": "ada@example.org", "password": password });
        self.site.post("/api/auth.signIn", body).await
    }

    async fn create(&self, subdomain: &str) -> (TenantId, String) {
        let body = json!({ "subdomain": subdomain });
        let answer = self.site.post_with(&self.ada, "/api/tenants.create", body).await;
        let operation = answer.text("operationId").to_owned();
        (answer.text("tenantId").parse().unwrap(), operation)
    }

    async fn tenant(&self, id: TenantId) -> Tenant {
        self.site.orchestrator.tenant(id).await.unwrap()
    }
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn all_that_opens_the_account_ends_at_once_and_for_good() {
    let world = World::new().await;
    let site = &world.site;
    let body = json!({ "name": "k", "scopes": ["tenants:read"] });
    let key = site.post_with(&world.ada, "/api/apiKeys.create", body).await.ok();
    let key = key.text("key");
    let wizard = site.filled("ada@example.org", "by-wizard").await;
    let shut = world.suspend().await;
    assert!(shut.body["user"]["suspendedAt"].is_string(), "{}", shut.body);
    let again = world.suspend().await;
    assert_eq!(again.body["user"], shut.body["user"], "again is as once");
    let list = "/api/tenants.list";
    let closed = || async {
        site.post_with(&world.ada, list, json!({})).await.refuses(401, "not_signed_in");
        assert_eq!(site.post_key(key, list, json!({})).await.0, 401);
    };
    closed().await;
    // Who does not know the password learns nothing.
    world.sign_in("wrong password").await.refuses(401, "wrong_credentials");
    let refused = world.sign_in(PASSWORD).await.refuses(403, "suspended");
    assert_eq!(refused.set_cookie, None);
    site.deploy(&wizard).await.refuses(404, "unknown_session");
    assert_eq!((site.tenants().await, site.database.count("sessions").await), (0, 1));

    world.resume().await;
    closed().await;
    let cookie = world.sign_in(PASSWORD).await.ok().cookie();
    site.post_with(&cookie, list, json!({})).await.ok();
    // The wizard's secret let somebody in, too, and has ended as the sessions have.
    site.deploy(&wizard).await.refuses(404, "unknown_session");
    assert_eq!(site.tenants().await, 0);
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn tenants_are_stopped_by_the_admin_and_stay_so() {
    let world = World::new().await;
    let (runs, operation) = world.create("runs").await;
    world.site.done(&operation).await;
    let (rests, operation) = world.create("rests").await;
    world.site.done(&operation).await;
    let body = json!({ "tenantId": rests.to_string() });
    let stopped = world.site.post_with(&world.ada, "/api/tenants.stop", body).await;
    world.site.done(stopped.text("operationId")).await;

    let shut = world.suspend().await;
    let begun = shut.body["operations"].as_array().unwrap().clone();
    assert_eq!(begun.len(), 1, "{}", shut.body);
    let operation = begun[0].as_str().unwrap();
    world.site.done(operation).await;
    let kept = world.site.orchestrator.operation(operation.parse().unwrap()).await.unwrap();
    assert_eq!((kept.tenant, kept.action), (runs, Action::Stop));
    assert_eq!(kept.actor, Actor::User(world.root_id.clone()));
    world.resume().await;
    world.site.orchestrator.reconcile().await.unwrap();
    let now = world.tenant(runs).await.state;
    assert_eq!((now.status, now.desired), (TenantStatus::Stopped, DesiredState::Stopped));
    // Its owner decides.
    let cookie = world.sign_in(PASSWORD).await.ok().cookie();
    let body = json!({ "tenantId": runs.to_string() });
    let started = world.site.post_with(&cookie, "/api/tenants.start", body).await;
    world.site.done(started.text("operationId")).await;
    assert_eq!(world.tenant(runs).await.state.status, TenantStatus::Active);
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_tenant_that_is_being_made_is_stopped_after_that() {
    let world = World::new().await;
    let slow = MemoryApp::slow(Duration::from_secs(5));
    world.site.world.image("memory/app:1".parse().unwrap(), slow);
    let (tenant, operation) = world.create("being-made").await;
    let shut = world.suspend().await;
    assert_eq!(shut.body["operations"], json!([]));
    let waiting = "users WHERE suspended_at IS NOT NULL AND suspension_done_at IS NULL";
    let (until, platform) = (CancellationToken::new(), world.site.platform.clone());
    let work = tokio::spawn({
        let until = until.clone();
        async move { platform.chores(&until).await }
    });
    world.site.done(&operation).await;
    soon("the stop", async {
        while world.tenant(tenant).await.state.status != TenantStatus::Stopped {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
    // Whatever was let in before has ended in ten minutes; then nobody looks any more.
    assert_eq!(world.site.database.count(waiting).await, 1);
    let back = "UPDATE fresco_server.users SET suspended_at = now() - interval '11 min'
                WHERE suspended_at IS NOT NULL";
    world.site.database.execute(back).await;
    soon("the end", async {
        while world.site.database.count(waiting).await != 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
    until.cancel();
    soon("the chores", work).await.unwrap();
}
