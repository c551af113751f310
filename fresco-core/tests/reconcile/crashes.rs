//! An app that ends again and again: ever longer pauses, then an error with the reason.

use std::time::Duration;

use fresco_core::*;

use super::scene::{Scene, ends_well, platform, until, user};

const MINUTE: Duration = Duration::from_secs(60);

impl Scene {
    /// Compares once a second until the platform has asked for a repair, and waits for its end.
    async fn repair(&self, tenant: TenantId) -> Operation {
        self.repair_beside(&self.orchestrator, tenant).await
    }

    /// The same, by two servers that compare at the same time: one repair comes of it.
    async fn repair_beside(&self, other: &Orchestrator, tenant: TenantId) -> Operation {
        until("a repair", async || {
            let (own, others) = tokio::join!(self.orchestrator.reconcile(), other.reconcile());
            let repairs = own.unwrap().repairs.len() + others.unwrap().repairs.len();
            assert!(repairs < 2, "asked for twice");
            if repairs == 0 {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            repairs == 1
        })
        .await;
        let newest = self.newest(tenant).await;
        assert_eq!((newest.action, &newest.actor), (Action::Start, &Actor::System));
        self.orchestrator.wait(newest.id).await.unwrap()
    }

    /// Crashes the app until the platform gives up; tells of the operation that says so, and of
    /// how often it was started until then.
    async fn crash_until_error(&self, tenant: TenantId) -> (Operation, usize) {
        let mut started = 0;
        loop {
            self.world.outsider().crash(tenant, 3);
            let repair = self.repair(tenant).await;
            if repair.status == OperationStatus::Failed {
                return (repair, started);
            }
            started += 1;
            assert!(started < 20, "it is started for ever");
        }
    }

    async fn newest(&self, tenant: TenantId) -> Operation {
        self.orchestrator.operations(tenant, 1).await.unwrap().remove(0)
    }
}

#[tokio::test(start_paused = true)]
async fn an_app_that_ends_again_and_again_is_in_error_with_the_reason() {
    let scene = Scene::new().await;
    let (id, beside) = (scene.active("my-study").await, scene.active("beside").await);
    let (before, made) = (scene.newest(beside).await.id, scene.own(beside).await);
    // Twice in a row: a person's restart in between begins the count anew.
    for _ in 0..2 {
        let begun = tokio::time::Instant::now();
        let (gave_up, started) = scene.crash_until_error(id).await;
        assert_eq!(started, 5, "{gave_up:#?}");
        assert!(begun.elapsed() > MINUTE, "the pauses grow: {:?}", begun.elapsed());
        let tenant = scene.orchestrator.tenant(id).await.unwrap();
        assert_eq!(tenant.state.status, TenantStatus::Error);
        assert_eq!(tenant.state.desired, DesiredState::Running);
        let error = tenant.state.error.unwrap();
        assert_eq!(Some(&error), gave_up.error.as_ref());
        assert_eq!((error.kind, error.step), (ErrorKind::Unavailable, Some(Step::Start)));
        for words in ["exit code 3", "5 times", "in the last 2 min", "Look at its log", "restart"] {
            assert!(error.message.contains(words), "{words}: {}", error.message);
        }
        assert!(!error.log_tail.is_empty(), "the app's last words");
        // It is left alone for a while.
        tokio::time::sleep(MINUTE).await;
        assert_eq!(scene.reconcile().await, Reconciliation::default());
        let restart = scene.orchestrator.restart_tenant(id, user()).await.unwrap();
        ends_well(&scene.orchestrator, restart.operation.id).await;
        assert_eq!(scene.orchestrator.tenant(id).await.unwrap().state.error, None);
        scene.assert_runs(id).await;
    }
    assert_eq!(scene.newest(beside).await.id, before, "nothing was done to the other one");
    assert_eq!(scene.own(beside).await, made);
    scene.assert_runs(beside).await;
}

#[tokio::test(start_paused = true)]
async fn too_little_memory_is_named_as_such() {
    let scene = Scene::new().await;
    let id = scene.active("my-study").await;
    for _ in 0..6 {
        scene.world.outsider().exhaust_memory(id);
        scene.repair(id).await;
    }
    let error = scene.orchestrator.tenant(id).await.unwrap().state.error.unwrap();
    assert_eq!(error.kind, ErrorKind::Exhausted);
    for words in ["more than its 512 MB of memory", "Give it more memory"] {
        assert!(error.message.contains(words), "{words}: {}", error.message);
    }
    // With an update it gets more, and the count begins anew.
    let mut update = Update::default();
    update.limits = Some(Limits { memory_mb: 1024, cpus: 0.5, pids: 256 });
    let update = scene.orchestrator.update_tenant(id, update, user()).await.unwrap();
    ends_well(&scene.orchestrator, update.operation.id).await;
    scene.world.outsider().exhaust_memory(id);
    assert_eq!(scene.repair(id).await.status, OperationStatus::Success);
}

#[tokio::test(start_paused = true)]
async fn it_is_tried_again_ever_more_rarely() {
    let scene = Scene::new().await;
    let id = scene.active("my-study").await;
    scene.crash_until_error(id).await;
    let mut pauses = Vec::new();
    for _ in 0..4 {
        // What is in error is tried once, and in error again at its next end.
        let begun = tokio::time::Instant::now();
        assert_eq!(scene.repair(id).await.status, OperationStatus::Success);
        let active = scene.orchestrator.tenant(id).await.unwrap().state;
        assert_eq!((active.status, active.error), (TenantStatus::Active, None));
        pauses.push(begun.elapsed().as_secs() / 60);
        let (_, started) = scene.crash_until_error(id).await;
        assert_eq!(started, 0, "no second try");
    }
    assert!(pauses.is_sorted() && pauses[0] >= 2 && pauses[3] == 20, "{pauses:?}");
    // And one that stays well is well again.
    assert_eq!(scene.repair(id).await.status, OperationStatus::Success);
    tokio::time::sleep(31 * MINUTE).await;
    assert_eq!(scene.crash_until_error(id).await.1, 5);
}

#[tokio::test(start_paused = true)]
async fn an_app_that_ends_now_and_then_is_always_started() {
    let scene = Scene::new().await;
    let id = scene.active("my-study").await;
    for _ in 0..20 {
        tokio::time::sleep(31 * MINUTE).await;
        scene.world.outsider().crash(id, 3);
        let begun = tokio::time::Instant::now();
        assert_eq!(scene.repair(id).await.status, OperationStatus::Success);
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn several_servers_and_restarted_ones_count_together() {
    let scene = Scene::new().await;
    let id = scene.active("my-study").await;
    let mut started = 0;
    for _ in 0..10 {
        scene.world.outsider().crash(id, 3);
        // Each time a server that has just been started; it and the first one both look.
        let other = platform(scene.world.backends()).await;
        let repair = scene.repair_beside(&other, id).await;
        if repair.status == OperationStatus::Failed {
            break;
        }
        started += 1;
    }
    assert_eq!(started, 5);
}

#[tokio::test(start_paused = true)]
async fn what_was_stopped_by_a_person_is_not_started() {
    let scene = Scene::new().await;
    let id = scene.active("my-study").await;
    scene.crash_until_error(id).await;
    let stop = scene.orchestrator.stop_tenant(id, user()).await.unwrap();
    ends_well(&scene.orchestrator, stop.operation.id).await;
    tokio::time::sleep(120 * MINUTE).await;
    assert_eq!(scene.reconcile().await, Reconciliation::default());
}
