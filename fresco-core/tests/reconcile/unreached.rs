//! A container that runs, and whose app takes no connection.

use std::time::Duration;

use fresco_core::fault::{Call, Fault, FaultPlan, wrap};
use fresco_core::*;

use super::scene::{Scene, ends_well, user};

impl Scene {
    /// Half a minute passes, and what runs is compared.
    async fn look(&self) -> Vec<(TenantId, Action)> {
        tokio::time::sleep(Duration::from_secs(30)).await;
        self.reconcile().await.repairs
    }
}

#[tokio::test(start_paused = true)]
async fn who_takes_no_connection_for_a_while_is_restarted() {
    let scene = Scene::new().await;
    let (id, beside) = (scene.active("my-study").await, scene.active("beside").await);
    scene.world.put(id, "answer", "42").unwrap();
    let untouched = scene.orchestrator.operations(beside, 9).await.unwrap();
    for _ in 0..2 {
        scene.world.outsider().deafen(id);
        for _ in 0..2 {
            assert_eq!(scene.look().await, []);
        }
        assert_eq!(scene.look().await, [(id, Action::Restart)]);
        let restart = scene.orchestrator.operations(id, 1).await.unwrap().remove(0);
        assert_eq!(restart.actor, Actor::System);
        ends_well(&scene.orchestrator, restart.id).await;
        assert_eq!(scene.look().await, []);
        scene.assert_runs(id).await;
        assert_eq!(scene.world.data(id).unwrap()["answer"], "42", "its data");
        tokio::time::sleep(Duration::from_secs(3600)).await;
    }
    assert_eq!(scene.orchestrator.operations(beside, 9).await.unwrap(), untouched);
}

#[tokio::test(start_paused = true)]
async fn who_is_busy_is_left_alone() {
    let scene = Scene::new().await;
    let (id, _) = (scene.active("my-study").await, scene.active("beside").await);
    scene.world.outsider().make_busy(id);
    for _ in 0..20 {
        assert_eq!(scene.look().await, []);
    }
}

#[tokio::test(start_paused = true)]
async fn when_nobody_can_be_reached_the_machine_is_at_fault() {
    let scene = Scene::new().await;
    let (one, other) = (scene.active("my-study").await, scene.active("beside").await);
    scene.world.outsider().deafen(one);
    scene.world.outsider().deafen(other);
    for _ in 0..20 {
        assert_eq!(scene.look().await, []);
    }
}

#[tokio::test(start_paused = true)]
async fn the_only_tenant_is_restarted_ever_more_rarely() {
    let scene = Scene::new().await;
    let id = scene.active("my-study").await;
    let mut restarts = 0;
    for _ in 0..240 {
        scene.world.outsider().deafen(id);
        if let [(_, Action::Restart)] = *scene.look().await {
            let restart = scene.orchestrator.operations(id, 1).await.unwrap().remove(0);
            ends_well(&scene.orchestrator, restart.id).await;
            restarts += 1;
        }
    }
    assert!((8..=14).contains(&restarts), "{restarts} times in two hours");
}

#[tokio::test(start_paused = true)]
async fn the_count_begins_anew_with_what_a_person_asks_for() {
    let scene = Scene::new().await;
    let (id, _) = (scene.active("my-study").await, scene.active("beside").await);
    scene.world.outsider().deafen(id);
    assert_eq!((scene.look().await, scene.look().await), (vec![], vec![]));
    let restart = scene.orchestrator.restart_tenant(id, user()).await.unwrap();
    ends_well(&scene.orchestrator, restart.operation.id).await;
    scene.world.outsider().deafen(id);
    assert_eq!((scene.look().await, scene.look().await), (vec![], vec![]));
    assert_eq!(scene.look().await, [(id, Action::Restart)]);
}

/// What was asked a while ago may have been booting then.
#[tokio::test(start_paused = true)]
async fn who_takes_connections_again_at_the_last_moment_is_left_alone() {
    // The seventh question after the creates: two tenants at three looks, and then one once more.
    let step = Some((Direction::Forward, Step::Active));
    let last = Call { method: "runtime.probe", step, nth: 6 };
    let plan = FaultPlan::with([(last, Fault::FailBefore(ErrorKind::Unavailable))]);
    let scene = Scene::with(|backends| wrap(&backends, &plan), None).await;
    let (id, _) = (scene.active("my-study").await, scene.active("beside").await);
    scene.world.outsider().deafen(id);
    assert_eq!((scene.look().await, scene.look().await), (vec![], vec![]));
    assert_eq!(scene.look().await, [], "nobody knows at the last moment");
    assert_eq!(scene.look().await, [(id, Action::Restart)]);
}
