//! A container that runs, and is not as it must be: other limits, or locked out of its database.

use fresco_core::memory::MemoryDatabase;
use fresco_core::*;

use super::scene::{Scene, ends_well, user};

const OTHER: Limits = Limits { memory_mb: 4096, cpus: 4.0, pids: 9999 };

/// What was done to a tenant: nothing, when it is the same before and after.
#[derive(Debug, PartialEq)]
struct Seen {
    operation: OperationId,
    container: InstanceId,
    starts: usize,
}

impl Scene {
    async fn resizable() -> Self {
        Self::with_world(|backends, world| backends.with_runtime_resize(world.runtime()), None)
            .await
    }

    async fn watched() -> Self {
        Self::with_world(|backends, world| backends.with_database_watch(world.database()), None)
            .await
    }

    async fn seen(&self, tenant: TenantId) -> Seen {
        let operation = self.orchestrator.operations(tenant, 1).await.unwrap().remove(0).id;
        let container = self.own(tenant).await;
        Seen { operation, starts: self.starts(&container).await, container }
    }

    /// How often a container was started.
    async fn starts(&self, container: &InstanceId) -> usize {
        use futures_util::StreamExt;
        let lines = self.runtime.inner.logs(container, &LogQuery::last(100)).await.unwrap();
        let starts = lines.filter(|line| {
            let said = line.as_ref().is_ok_and(|line| line.text.starts_with("listening"));
            std::future::ready(said)
        });
        starts.count().await
    }

    async fn change_limits(&self, tenant: TenantId) {
        let own = self.own(tenant).await;
        self.runtime.inner.resize(&own, &OTHER).await.unwrap();
    }

    /// New credentials that no container receives, as a call that was given up leaves them.
    async fn issue(&self, tenant: TenantId) {
        let generation = self.orchestrator.tenant(tenant).await.unwrap().generation;
        self.world.database().issue(Fence { tenant, generation }).await.unwrap();
    }

    /// The comparison asks for one repair, of this tenant; once it is done, nothing is left to do.
    async fn is_mended(&self, tenant: TenantId) {
        assert_eq!(self.reconcile().await.repairs, [(tenant, Action::Start)]);
        let repair = self.orchestrator.operations(tenant, 1).await.unwrap().remove(0);
        assert_eq!(repair.actor, Actor::System);
        ends_well(&self.orchestrator, repair.id).await;
        assert_eq!(self.reconcile().await, Reconciliation::default());
        self.assert_runs(tenant).await;
        let limits = self.orchestrator.tenant(tenant).await.unwrap().spec.limits;
        assert_eq!(self.world.outsider().limits(&self.own(tenant).await), Some(limits));
        assert_eq!(self.world.data(tenant).unwrap()["answer"], "42", "its data");
    }

    async fn calm(&self) {
        tokio::time::sleep(std::time::Duration::from_secs(3600)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn changed_limits_are_set_again_without_a_pause_for_people() {
    let scene = Scene::resizable().await;
    let (id, beside) = (scene.active("my-study").await, scene.active("beside").await);
    scene.world.put(id, "answer", "42").unwrap();
    let (own, untouched) = (scene.seen(id).await, scene.seen(beside).await);
    for _ in 0..2 {
        scene.change_limits(id).await;
        scene.is_mended(id).await;
        let now = scene.seen(id).await;
        assert_eq!((now.container, now.starts), (own.container.clone(), own.starts), "it ran on");
        scene.calm().await;
    }
    assert_eq!(scene.seen(beside).await, untouched);
}

#[tokio::test(start_paused = true)]
async fn limits_that_are_changed_for_ever_are_set_again_ever_more_rarely() {
    let scene = Scene::resizable().await;
    let id = scene.active("my-study").await;
    scene.world.put(id, "answer", "42").unwrap();
    let own = scene.seen(id).await;
    let mut pauses = Vec::new();
    for _ in 0..10 {
        scene.change_limits(id).await;
        let begun = tokio::time::Instant::now();
        super::scene::until("a repair", async || {
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            !scene.reconcile().await.repairs.is_empty()
        })
        .await;
        pauses.push(begun.elapsed().as_secs());
        let repair = scene.orchestrator.operations(id, 1).await.unwrap().remove(0);
        ends_well(&scene.orchestrator, repair.id).await;
    }
    assert!(pauses.is_sorted() && pauses[0] < 5 && pauses[9] > 1000, "{pauses:?}");
    let now = scene.seen(id).await;
    assert_eq!((now.container, now.starts), (own.container, own.starts), "it ran on all the time");
    scene.assert_runs(id).await;
}

#[tokio::test(start_paused = true)]
async fn each_limit_counts() {
    let scene = Scene::resizable().await;
    let id = scene.active("my-study").await;
    scene.world.put(id, "answer", "42").unwrap();
    let right = scene.orchestrator.tenant(id).await.unwrap().spec.limits;
    for limits in [
        Limits { memory_mb: 4096, ..right },
        Limits { cpus: 4.0, ..right },
        Limits { pids: 9999, ..right },
    ] {
        scene.runtime.inner.resize(&scene.own(id).await, &limits).await.unwrap();
        scene.is_mended(id).await;
        scene.calm().await;
    }
}

#[tokio::test(start_paused = true)]
async fn limits_that_cannot_be_set_again_are_given_to_another_container() {
    let scene = Scene::new().await;
    let id = scene.active("my-study").await;
    scene.world.put(id, "answer", "42").unwrap();
    let own = scene.own(id).await;
    scene.change_limits(id).await;
    scene.is_mended(id).await;
    assert_ne!(scene.own(id).await, own);
}

#[tokio::test(start_paused = true)]
async fn credentials_out_of_step_are_issued_anew() {
    let scene = Scene::resizable().await;
    let (id, beside) = (scene.active("my-study").await, scene.active("beside").await);
    scene.world.put(id, "answer", "42").unwrap();
    let untouched = scene.seen(beside).await;
    let sessions = async || scene.world.database().activity(id).await.unwrap().sessions;
    let logged_in = sessions().await;
    let image = scene.orchestrator.tenant(id).await.unwrap().state.image;
    for change in ["issued", "locked", "dropped"] {
        let before = scene.own(id).await;
        match change {
            "issued" => scene.issue(id).await,
            "locked" => scene.world.outsider().lock_role(id),
            _ => scene.world.outsider().drop_role(id),
        }
        scene.is_mended(id).await;
        assert_ne!(scene.own(id).await, before, "{change}: another container");
        let tenant = scene.orchestrator.tenant(id).await.unwrap();
        assert_eq!(tenant.state.image, image, "{change}: the same image");
        assert_eq!(sessions().await, logged_in, "{change}: it has its sessions");
        scene.calm().await;
    }
    assert_eq!(scene.seen(beside).await, untouched);
}

#[tokio::test(start_paused = true)]
async fn a_restart_by_a_person_mends_as_well() {
    let scene = Scene::resizable().await;
    let id = scene.active("my-study").await;
    scene.world.put(id, "answer", "42").unwrap();
    scene.change_limits(id).await;
    scene.world.outsider().drop_role(id);
    let restart = scene.orchestrator.restart_tenant(id, user()).await.unwrap();
    ends_well(&scene.orchestrator, restart.operation.id).await;
    assert_eq!(scene.reconcile().await, Reconciliation::default());
    scene.assert_runs(id).await;
}

#[tokio::test(start_paused = true)]
async fn a_tenant_without_its_data_is_left_alone() {
    let scene = Scene::resizable().await;
    let id = scene.active("my-study").await;
    let before = scene.seen(id).await;
    scene.world.outsider().drop_storage(id);
    scene.world.outsider().lock_role(id);
    assert_eq!(scene.reconcile().await, Reconciliation::default());
    scene.world.outsider().drop_role(id);
    assert_eq!(scene.reconcile().await, Reconciliation::default());
    assert_eq!(scene.seen(id).await, before);
}

#[tokio::test(start_paused = true)]
async fn a_barred_tenant_is_not_let_in_again() {
    let scene = Scene::watched().await;
    let id = scene.active("my-study").await;
    scene.world.put(id, "all", &"x".repeat(MemoryDatabase::SIZE_LIMIT as usize)).unwrap();
    scene.world.database().inspect().await.unwrap();
    // Its role can't log in, and it runs until its stop was asked for.
    assert_eq!(scene.reconcile().await, Reconciliation::default());
    // Nor is it restarted since nobody reaches it, beside one that is reached.
    scene.active("beside").await;
    scene.world.outsider().deafen(id);
    for _ in 0..5 {
        assert_eq!(scene.reconcile().await, Reconciliation::default());
        tokio::time::sleep(std::time::Duration::from_secs(30)).await;
    }
    scene.stays_barred(id).await;
}

impl Scene {
    async fn stays_barred(&self, tenant: TenantId) {
        let barred = async || self.world.database().barred(Some(tenant)).await.unwrap();
        assert_eq!(barred().await.len(), 1);
        self.orchestrator.watch_database().await.unwrap();
        let stop = self.orchestrator.operations(tenant, 1).await.unwrap().remove(0);
        assert_eq!(stop.action, Action::Stop);
        ends_well(&self.orchestrator, stop.id).await;
        assert_eq!(self.reconcile().await, Reconciliation::default());
        assert_eq!(barred().await.len(), 1, "still barred");
    }
}

#[tokio::test(start_paused = true)]
async fn what_an_operation_under_way_will_mend_is_left_to_it() {
    let scene = Scene::resizable().await;
    let id = scene.active("my-study").await;
    // In the middle of an update the role has new credentials, and the store knows the container
    // with the old ones.
    let update = scene.update_at_its_start(id).await;
    let made = scene.runtime.inner.list(Some(id)).await.unwrap().remove(0).id;
    scene.runtime.inner.resize(&made, &OTHER).await.unwrap();
    assert_eq!(scene.reconcile().await, Reconciliation::default());
    scene.runtime.held.send_replace(false);
    ends_well(&scene.orchestrator, update).await;
    // What it left is mended after it.
    scene.world.put(id, "answer", "42").unwrap();
    scene.is_mended(id).await;
}

#[tokio::test(start_paused = true)]
async fn an_operation_that_began_while_credentials_were_compared_is_not_repaired() {
    let scene = Scene::resizable().await;
    let id = scene.active("my-study").await;
    scene.issue(id).await;
    let orchestrator = scene.orchestrator.clone();
    // Nothing is under way, and the credentials are out of step. Then a restart mends that.
    scene.store.asked.set(async move {
        let restart = orchestrator.restart_tenant(id, user()).await.unwrap();
        ends_well(&orchestrator, restart.operation.id).await;
    });
    assert_eq!(scene.reconcile().await, Reconciliation::default());
    let newest = scene.orchestrator.operations(id, 1).await.unwrap().remove(0);
    assert_eq!(newest.action, Action::Restart, "nothing was asked for since");
    scene.assert_runs(id).await;
}

#[tokio::test(start_paused = true)]
async fn one_that_runs_and_cannot_be_reached_is_made_anew() {
    let scene = Scene::resizable().await;
    let (id, beside) = (scene.active("my-study").await, scene.active("beside").await);
    scene.world.put(id, "answer", "42").unwrap();
    let untouched = scene.seen(beside).await;
    // Twice: the second time is no other than the first.
    for _ in 0..2 {
        let own = scene.own(id).await;
        scene.world.outsider().cut_off(id);
        scene.is_mended(id).await;
        assert_ne!(scene.own(id).await, own, "another container");
        scene.calm().await;
    }
    assert_eq!(scene.seen(beside).await, untouched);
}

#[tokio::test(start_paused = true)]
async fn a_person_who_restarts_one_that_cannot_be_reached_mends_it() {
    let scene = Scene::resizable().await;
    let id = scene.active("my-study").await;
    scene.world.put(id, "answer", "42").unwrap();
    scene.world.outsider().cut_off(id);
    let accepted = scene.orchestrator.restart_tenant(id, user()).await.unwrap();
    ends_well(&scene.orchestrator, accepted.operation.id).await;
    scene.assert_runs(id).await;
    assert_eq!(scene.reconcile().await, Reconciliation::default());
    assert_eq!(scene.world.data(id).unwrap()["answer"], "42", "its data");
}

#[tokio::test(start_paused = true)]
async fn an_app_that_changed_its_own_password_gets_another() {
    let scene = Scene::resizable().await;
    let (id, beside) = (scene.active("my-study").await, scene.active("beside").await);
    scene.world.put(id, "answer", "42").unwrap();
    let untouched = scene.seen(beside).await;
    for _ in 0..2 {
        // It holds its session, so nobody sees it until it ends.
        scene.world.outsider().change_password(id);
        assert_eq!(scene.reconcile().await, Reconciliation::default());
        scene.world.outsider().crash(id, 1);
        assert_eq!(scene.reconcile().await.repairs, [(id, Action::Start)]);
        let repair = scene.orchestrator.operations(id, 1).await.unwrap().remove(0);
        let repair = scene.orchestrator.wait(repair.id).await.unwrap();
        assert_eq!(repair.status, OperationStatus::Failed, "it can't log in");
        scene.calm().await;
        scene.is_mended(id).await;
        scene.calm().await;
    }
    assert_eq!(scene.seen(beside).await, untouched);
}
