//! Comparing what runs with the store, while operations and time go on in between.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

mod crashes;
mod drift;
mod events;
mod scene;
mod unreached;

use std::sync::atomic::Ordering;

use fresco_core::*;
use scene::{Scene, ends_well, user};

#[tokio::test(start_paused = true)]
async fn a_container_of_an_operation_under_way_is_not_surplus() {
    let scene = Scene::new().await;
    let id = scene.active("my-study").await;
    let update = scene.update_at_its_start(id).await;
    assert_eq!(scene.reconcile().await, Reconciliation::default());
    let made = scene.runtime.inner.list(Some(id)).await.unwrap().remove(0).id;
    scene.runtime.held.send_replace(false);
    ends_well(&scene.orchestrator, update).await;
    assert_eq!(scene.own(id).await, made, "the update runs in the container that it made");
    scene.assert_runs(id).await;
}

#[tokio::test(start_paused = true)]
async fn a_container_that_became_the_tenants_own_since_the_store_was_read_is_not_surplus() {
    let scene = Scene::new().await;
    let id = scene.active("my-study").await;
    let update = scene.update_at_its_start(id).await;
    let (held, orchestrator) = (scene.runtime.held.clone(), scene.orchestrator.clone());
    // The comparison has listed the new container, and read that the old one is the tenant's own.
    scene.store.read.set(async move {
        held.send_replace(false);
        ends_well(&orchestrator, update).await;
    });
    // Neither is the new one surplus, nor must the tenant be started since the old one is gone.
    assert_eq!(scene.reconcile().await, Reconciliation::default());
    scene.assert_runs(id).await;
}

#[tokio::test(start_paused = true)]
async fn what_an_operation_started_since_containers_were_listed_is_not_started_again() {
    let scene = Scene::new().await;
    let id = scene.active("my-study").await;
    scene.world.outsider().crash(id, 1);
    let orchestrator = scene.orchestrator.clone();
    scene.runtime.listed.set(async move {
        let restart = orchestrator.restart_tenant(id, user()).await.unwrap();
        ends_well(&orchestrator, restart.operation.id).await;
    });
    assert_eq!(scene.reconcile().await, Reconciliation::default());
    let newest = scene.orchestrator.operations(id, 1).await.unwrap().remove(0);
    assert_eq!(newest.action, Action::Restart, "nothing was asked for since");
    // One that is really down is repaired.
    scene.world.outsider().crash(id, 1);
    assert_eq!(scene.reconcile().await.repairs, [(id, Action::Start)]);
}

#[tokio::test(start_paused = true)]
async fn a_comparison_reads_no_tombstone_that_nothing_is_left_of() {
    let scene = Scene::new().await;
    let mut gone = Vec::new();
    for number in 0..5 {
        let id = scene.active(&format!("study-{number}")).await;
        let destroy = scene.orchestrator.destroy_tenant(id, user()).await.unwrap();
        ends_well(&scene.orchestrator, destroy.operation.id).await;
        gone.push(id);
    }
    scene.active("my-study").await;
    scene.store.tenants.store(0, Ordering::SeqCst);
    assert_eq!(scene.reconcile().await, Reconciliation::default());
    assert_eq!(scene.store.tenants.load(Ordering::SeqCst), 1, "only the one that lives");

    // What is left of a tombstone is removed; what the store never knew is reported.
    let unknown = TenantId::new();
    scene.world.outsider().add_surplus(gone[2]).unwrap();
    scene.world.outsider().add_surplus(unknown).unwrap();
    let found = scene.reconcile().await;
    assert_eq!((found.removed, found.unknown), (vec![gone[2]], vec![unknown]));
    let left = scene.runtime.inner.list(Some(unknown)).await.unwrap();
    assert_eq!(left.len(), 1, "what is unknown is left alone");
}

#[tokio::test(start_paused = true)]
async fn an_operation_that_began_while_a_repair_was_considered_is_not_repaired() {
    let scene = Scene::new().await;
    let id = scene.active("my-study").await;
    scene.world.outsider().crash(id, 1);
    let (orchestrator, runtime) = (scene.orchestrator.clone(), scene.runtime.clone());
    // Nothing is under way, the repair reads. Then a restart begins, and ends right after the repair
    // has looked at the container that it had stopped.
    scene.store.asked.set(async move {
        runtime.held.send_replace(true);
        let restart = orchestrator.restart_tenant(id, user()).await.unwrap().operation.id;
        runtime.start_is_held().await;
        let held = runtime.held.clone();
        runtime.listed_one.set(async move {
            held.send_replace(false);
            ends_well(&orchestrator, restart).await;
        });
    });
    assert_eq!(scene.reconcile().await, Reconciliation::default());
    scene.runtime.held.send_replace(false);
    let newest = scene.orchestrator.operations(id, 1).await.unwrap().remove(0);
    assert_eq!(newest.action, Action::Restart, "nothing was asked for since");
    ends_well(&scene.orchestrator, newest.id).await;
    scene.assert_runs(id).await;
}

#[tokio::test(start_paused = true)]
async fn one_tenant_that_cannot_be_read_does_not_keep_others_from_being_mended() {
    let scene = Scene::new().await;
    let (bad, gone, good) = (
        scene.active("unreadable").await,
        scene.active("destroyed").await,
        scene.active("my-study").await,
    );
    let destroy = scene.orchestrator.destroy_tenant(gone, user()).await.unwrap();
    ends_well(&scene.orchestrator, destroy.operation.id).await;
    scene.world.outsider().add_surplus(bad).unwrap();
    scene.world.outsider().add_surplus(gone).unwrap();
    scene.world.outsider().crash(good, 1);
    for unreadable in [bad, gone] {
        *scene.store.unreadable.lock().unwrap() = Some(unreadable);
        let found = scene.reconcile().await;
        assert!(!found.removed.contains(&unreadable), "{found:?}");
        assert_eq!(found.unknown, []);
        assert_eq!(found.removed.len(), 1, "the other's surplus went: {found:?}");
        scene.world.outsider().add_surplus(if unreadable == bad { gone } else { bad }).unwrap();
    }
    assert_eq!(scene.orchestrator.operations(good, 1).await.unwrap()[0].action, Action::Start);
}
