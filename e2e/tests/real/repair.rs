//! What was changed by hand is mended; what the store does not know is left alone.

use std::process::Command;
use std::time::Duration;

use fresco_core::{Action, Isolation, OperationStatus, Tenant, TenantStatus};
use fresco_e2e::{Stack, World};

pub(crate) async fn container_removed_by_hand(stack: &Stack) {
    by_hand(stack, &["rm", "-f"]).await;
}

pub(crate) async fn container_killed_by_hand(stack: &Stack) {
    by_hand(stack, &["kill"]).await;
}

async fn by_hand(stack: &Stack, command: &[&str]) {
    let world = World::with(stack, |settings| {
        settings.reconcile_interval = Some(Duration::from_secs(60));
    })
    .await;
    let workers = world.work();
    let tenant = world.deployed(world.spec(Isolation::Database, &[])).await;
    assert_eq!(world.get(&tenant, "/visit").await.0, 200);
    docker(command, &container(&tenant));
    // The interval is longer than this waits: it is the runtime's event that leads to the repair.
    world
        .until("the platform has repaired it", async || {
            let operations = world.orchestrator.operations(tenant.id, 1).await.unwrap();
            let repair = &operations[0];
            repair.action == Action::Start && repair.status == OperationStatus::Success
        })
        .await;
    assert_eq!(world.whoami(&tenant).await["visits"], 1, "its data");
    assert_eq!(world.tenant(tenant.id).await.state.status, TenantStatus::Active);
    world.destroyed(tenant.id).await;
    workers.shutdown().await;
}

pub(crate) async fn surplus_is_removed_and_the_unknown_left_alone(stack: &Stack) {
    let world = World::new(stack).await;
    let workers = world.work();
    let tenant = world.deployed(world.spec(Isolation::Schema, &[])).await;
    let own = container(&tenant);
    let id = tenant.id.to_string();
    // A second container of the same tenant, and one of a tenant that nobody knows.
    let surplus = copy(&world, &id, "surplus");
    let stranger = uuid::Uuid::new_v4().to_string();
    let unknown = copy(&world, &stranger, "unknown");

    let found = world.orchestrator.reconcile().await.unwrap();
    assert_eq!(found.removed, [tenant.id], "{found:?}");
    assert_eq!(found.unknown.len(), 1, "{found:?}");
    assert_eq!(found.unknown[0].to_string(), stranger);
    assert!(!exists(&surplus), "the surplus container is left");
    assert!(exists(&unknown), "the unknown container was removed");
    assert!(exists(&own), "the tenant's own container was removed");
    docker(&["rm", "-f"], &unknown);
    world.destroyed(tenant.id).await;
    workers.shutdown().await;
}

fn container(tenant: &Tenant) -> String {
    tenant.state.container.as_ref().expect("a container").id.to_string()
}

/// A container that carries the platform's marks, made by hand.
fn copy(world: &World, tenant: &str, name: &str) -> String {
    let name = format!("{name}-{tenant}");
    let label = |key: &str, value: &str| format!("--label={key}={value}");
    let labels = [
        label("fresco.platform", &world.platform.to_string()),
        label("fresco.tenant.id", tenant),
        label("fresco.tenant.subdomain", "by-hand"),
        label("fresco.generation", "1"),
        label("fresco.revision", "by-hand"),
        label("fresco.credential", &uuid::Uuid::new_v4().to_string()),
        label("fresco.port", "3000"),
        label("fresco.test", "by-hand"),
    ];
    let output = Command::new("docker")
        .args(["create", "--name", &name])
        .args(labels)
        .arg("fresco-dev/tenant-app:1")
        .output()
        .expect("the docker client");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn docker(command: &[&str], container: &str) {
    let output = Command::new("docker").args(command).arg(container).output().expect("docker");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn exists(container: &str) -> bool {
    let output = Command::new("docker").args(["inspect", container]).output().expect("docker");
    output.status.success()
}
