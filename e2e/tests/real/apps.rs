//! Apps that do not behave: each leaves a defined end, and words that help.

use fresco_core::{Actor, ErrorKind, Generation, Isolation, Operation, Step, TenantStatus, Update};
use fresco_e2e::{Stack, World};

pub(crate) async fn public_in_its_sql_works_in_a_database_of_its_own(stack: &Stack) {
    let world = World::new(stack).await;
    let workers = world.work();
    let tenant = world.deployed(world.spec(Isolation::Database, &[("APP_SQL_PUBLIC", "1")])).await;
    assert_eq!(world.whoami(&tenant).await["schema"], "public");
    world.destroyed(tenant.id).await;
    workers.shutdown().await;
}

pub(crate) async fn public_in_its_sql_fails_in_a_schema(stack: &Stack) {
    let failed = failed_create(stack, Isolation::Schema, &[("APP_SQL_PUBLIC", "1")], 60).await;
    let error = failed.error.unwrap();
    assert_eq!(error.step, Some(Step::Ready), "{error:?}");
    assert!(error.message.contains("exit code"), "{error:?}");
    let log = error.log_tail.join("\n");
    assert!(log.contains("permission denied for schema public"), "{log}");
    println!("{error}\n{log}");
}

pub(crate) async fn exits_at_boot(stack: &Stack) {
    let failed = failed_create(stack, Isolation::Schema, &[("APP_EXIT_AT_BOOT", "7")], 60).await;
    let error = failed.error.unwrap();
    assert_eq!((error.kind, error.step), (ErrorKind::Unavailable, Some(Step::Ready)));
    assert!(error.message.contains("exit code 7"), "{error:?}");
    assert!(!error.log_tail.is_empty());
}

pub(crate) async fn never_becomes_healthy(stack: &Stack) {
    let failed = failed_create(stack, Isolation::Database, &[("APP_NEVER_HEALTHY", "1")], 15).await;
    let error = failed.error.unwrap();
    assert_eq!((error.kind, error.step), (ErrorKind::TimedOut, Some(Step::Ready)));
    assert!(error.message.contains("500"), "{error:?}");
}

pub(crate) async fn is_green_without_its_database(stack: &Stack) {
    let failed = failed_create(stack, Isolation::Schema, &[("APP_NO_DATABASE", "1")], 15).await;
    let error = failed.error.unwrap();
    assert_eq!((error.kind, error.step), (ErrorKind::TimedOut, Some(Step::Ready)));
    assert!(error.message.contains("no session in its database"), "{error:?}");
}

pub(crate) async fn image_does_not_exist(stack: &Stack) {
    let world = World::with(stack, |settings| {
        settings.operation_budget = std::time::Duration::from_secs(5);
    })
    .await;
    let workers = world.work();
    let mut spec = world.spec(Isolation::Schema, &[]);
    spec.image = "127.0.0.1:9/no/such-image:1".parse().unwrap();
    let create = world.deploy(spec).await;
    let error = world.failure(&create).await.error.unwrap();
    assert_eq!(error.step, Some(Step::Image), "{error:?}");
    assert!(error.message.contains("no/such-image:1"), "{error:?}");
    world.nothing_left(create.tenant.id).await;
    workers.shutdown().await;
}

/// A create that must fail, and leave nothing but a tenant in error, which can be destroyed.
/// The create of an app that has so long to become ready.
async fn failed_create(
    stack: &Stack,
    isolation: Isolation,
    switches: &[(&str, &str)],
    boot_seconds: u32,
) -> Operation {
    let world = World::new(stack).await;
    let workers = world.work();
    let mut spec = world.spec(isolation, switches);
    spec.app.boot_seconds = boot_seconds;
    let create = world.deploy(spec).await;
    let operation = world.failure(&create).await;
    let id = create.tenant.id;
    let tenant = world.tenant(id).await;
    assert_eq!(tenant.state.status, TenantStatus::Error);
    assert_eq!(tenant.state.error, operation.error);
    world.nothing_left(id).await;
    // Restart runs the create again, which fails again in the same way; and again nothing is left.
    let again = world.orchestrator.restart_tenant(id, Actor::System).await.unwrap();
    let again = world.failure(&again).await;
    assert_eq!(again.action, fresco_core::Action::Create);
    world.nothing_left(id).await;
    world.destroyed(id).await;
    workers.shutdown().await;
    operation
}

pub(crate) async fn failed_update_goes_back(stack: &Stack) {
    let world = World::new(stack).await;
    let workers = world.work();
    let tenant = world.deployed(world.spec(Isolation::Database, &[])).await;
    assert_eq!(world.get(&tenant, "/visit").await.0, 200);
    let broken = [("APP_EXIT_AT_BOOT".parse().unwrap(), "3".parse().unwrap())];
    let update = Update::image("fresco-dev/tenant-app:2".parse().unwrap())
        .with_environment(broken.into_iter().collect());
    let update = world.orchestrator.update_tenant(tenant.id, update, Actor::System).await.unwrap();
    let error = world.failure(&update).await.error.unwrap();
    assert!(error.message.contains("previous version runs again"), "{error:?}");
    let me = world.whoami(&tenant).await;
    assert_eq!((me["version"].as_str(), me["visits"].as_i64()), (Some("1"), Some(1)));
    let after = world.tenant(tenant.id).await;
    assert_eq!(after.state.status, TenantStatus::Active);
    assert_eq!((after.spec, after.state.image), (tenant.spec, tenant.state.image));
    world.destroyed(tenant.id).await;
    workers.shutdown().await;
}

pub(crate) async fn secrets_stay_out_of_what_is_stored(stack: &Stack) {
    let world = World::new(stack).await;
    let workers = world.work();
    let tenant = world.deployed(world.spec(Isolation::Schema, &[])).await;
    // The password is in the container alone: find it there, and look for it everywhere else.
    let container = tenant.state.container.as_ref().unwrap().id.to_string();
    let inspect = std::process::Command::new("docker")
        .args(["inspect", "-f", "{{range .Config.Env}}{{println .}}{{end}}", &container])
        .output()
        .unwrap();
    let environment = String::from_utf8(inspect.stdout).unwrap();
    let url = environment.lines().find_map(|l| l.strip_prefix("DATABASE_URL=")).unwrap();
    let password = url.split([':', '@']).nth(2).unwrap();
    assert!(password.len() >= 32, "found no password");
    let database = world.wiring.store_url.rsplit('/').next().unwrap();
    for table in ["tenants", "operations", "events"] {
        let query = format!("SELECT t::text FROM fresco.{table} t");
        let rows = stack.superuser_in(database, &query).await;
        assert!(!rows.is_empty(), "{table} is empty");
        assert!(!rows.iter().any(|row| row.contains(password)), "{table} holds the password");
    }
    assert_ne!(tenant.generation, Generation::new(0));
    world.destroyed(tenant.id).await;
    workers.shutdown().await;
}
