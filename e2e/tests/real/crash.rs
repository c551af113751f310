//! `kill -9` in the middle of each step, and another program goes on.

use std::process::Stdio;
use std::time::Duration;

use fresco_core::{
    Accepted, Action, Actor, Direction, Event, Isolation, Step, StepStatus, Tenant, TenantStatus,
    Update,
};
use fresco_e2e::{Stack, World};
use futures_util::StreamExt;
use tokio::process::{Child, Command};

pub(crate) async fn killed_in_each_step_of_create(stack: &Stack) {
    each_step(stack, Action::Create).await;
}

pub(crate) async fn killed_in_each_step_of_start(stack: &Stack) {
    each_step(stack, Action::Start).await;
}

pub(crate) async fn killed_in_each_step_of_stop(stack: &Stack) {
    each_step(stack, Action::Stop).await;
}

pub(crate) async fn killed_in_each_step_of_restart(stack: &Stack) {
    each_step(stack, Action::Restart).await;
}

pub(crate) async fn killed_in_each_step_of_update(stack: &Stack) {
    each_step(stack, Action::Update).await;
}

pub(crate) async fn killed_in_each_step_of_destroy(stack: &Stack) {
    each_step(stack, Action::Destroy).await;
}

async fn each_step(stack: &Stack, action: Action) {
    let world = World::new(stack).await;
    for step in action.steps() {
        killed_in(&world, action, *step).await;
    }
}

async fn killed_in(world: &World, action: Action, step: Step) {
    let before = match action {
        Action::Create => None,
        _ => Some(scene(world, action).await),
    };
    let accepted = request(world, action, before.as_ref()).await;
    let id = accepted.tenant.id;

    let mut victim = platform(world);
    reached(world, &accepted, step).await;
    victim.kill().await.expect("kill -9");
    let other = platform(world);
    let operation = world.success(&accepted).await;
    drop(other);
    assert!(operation.steps.iter().all(|s| s.status == StepStatus::Done), "{operation:#?}");

    let inventory = world.orchestrator.inventory(id).await.unwrap();
    let tenant = world.tenant(id).await;
    match action {
        Action::Destroy => assert!(inventory.is_empty(), "{action}/{step}: {inventory:#?}"),
        Action::Stop => {
            assert_eq!(tenant.state.status, TenantStatus::Stopped);
            assert!(inventory.containers.iter().all(|c| !c.is_running()), "{action}/{step}");
        }
        _ => {
            assert_eq!(inventory.containers.len(), 1, "{action}/{step}");
            let visits = world.whoami(&tenant).await["visits"].clone();
            assert_eq!(visits, i64::from(before.is_some()), "{action}/{step}: its data");
        }
    }
    if action != Action::Destroy {
        let workers = world.work();
        world.destroyed(id).await;
        workers.shutdown().await;
    }
}

/// A tenant that the action can work on, with some data.
async fn scene(world: &World, action: Action) -> Tenant {
    let workers = world.work();
    let tenant = world.deployed(world.spec(Isolation::Schema, &[])).await;
    assert_eq!(world.get(&tenant, "/visit").await.0, 200);
    if action == Action::Start {
        let stop = world.orchestrator.stop_tenant(tenant.id, Actor::System).await.unwrap();
        world.success(&stop).await;
    }
    workers.shutdown().await;
    tenant
}

async fn request(world: &World, action: Action, tenant: Option<&Tenant>) -> Accepted {
    let (door, actor) = (&world.orchestrator, Actor::System);
    let Some(id) = tenant.map(|t| t.id) else {
        return world.deploy(world.spec(Isolation::Schema, &[])).await;
    };
    let accepted = match action {
        Action::Create => unreachable!("it has no tenant yet"),
        Action::Start => door.start_tenant(id, actor).await,
        Action::Stop => door.stop_tenant(id, actor).await,
        Action::Restart => door.restart_tenant(id, actor).await,
        Action::Update => {
            let update = Update::image("fresco-dev/tenant-app:2".parse().unwrap());
            door.update_tenant(id, update, actor).await
        }
        Action::Destroy => door.destroy_tenant(id, actor).await,
    };
    accepted.unwrap()
}

/// Waits until the step has begun.
async fn reached(world: &World, accepted: &Accepted, step: Step) {
    let mut events = world.orchestrator.watch(accepted.operation.id, 0).await.unwrap();
    let begun = async {
        while let Some(event) = events.next().await {
            let (Event::Step { operation, .. } | Event::Done { operation, .. }) = event.unwrap()
            else {
                continue;
            };
            let record = operation.steps.iter().find(|s| s.name == step && !s.undo);
            if record.is_some_and(|s| s.status != StepStatus::Pending) {
                return;
            }
        }
        panic!("it ended before its step {step} ({:?})", Direction::Forward);
    };
    tokio::time::timeout(Duration::from_secs(180), begun).await.expect("the step begins");
}

fn platform(world: &World) -> Child {
    Command::new(env!("CARGO_BIN_EXE_fresco-e2e-platform"))
        .envs(world.wiring.to_env())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("the platform's program")
}
