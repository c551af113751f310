//! What an orchestrator refuses, and what it says then.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use fresco_core::memory::MemoryWorld;
use fresco_core::{
    Accepted, Actor, AppProfile, DiskSpace, Error, ErrorKind, OperationStatus, Orchestrator,
    OwnerId, Result, Settings, TenantId, TenantSpec, Update,
};

async fn build(change: impl FnOnce(&mut Settings)) -> Result<Orchestrator> {
    let backends = MemoryWorld::new().backends();
    let builder = Orchestrator::builder(backends, "example.org".parse().unwrap());
    builder.settings(change).build().await
}

fn spec(owner: &str) -> TenantSpec {
    let (name, image) = ("my-study".parse().unwrap(), "memory/app:1".parse().unwrap());
    TenantSpec::new(OwnerId::new(owner), name, AppProfile::generic(), image)
}

fn refused<T: std::fmt::Debug>(answer: Result<T>) -> Error {
    let error = answer.expect_err("it should be refused");
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    error
}

const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
const TOO_LONG: Duration = YEAR.saturating_add(Duration::from_millis(1));

/// A way to one setting of time.
type Time = fn(&mut Settings) -> &mut Duration;

const TIMES: [(&str, Time); 14] = [
    ("lease_ttl", |s| &mut s.lease_ttl),
    ("lease_margin", |s| &mut s.lease_margin),
    ("operation_budget", |s| &mut s.operation_budget),
    ("call_deadline", |s| &mut s.call_deadline),
    ("image_deadline", |s| &mut s.image_deadline),
    ("removal_deadline", |s| &mut s.removal_deadline),
    ("route_deadline", |s| &mut s.route_deadline),
    ("poll_interval", |s| &mut s.poll_interval),
    ("retry_min", |s| &mut s.retry_min),
    ("retry_max", |s| &mut s.retry_max),
    ("undo_budget", |s| &mut s.undo_budget),
    ("stuck_retry", |s| &mut s.stuck_retry),
    ("work_interval", |s| &mut s.work_interval),
    ("shutdown_grace", |s| &mut s.shutdown_grace),
];
const MAY_BE_ZERO: [&str; 3] = ["lease_margin", "undo_budget", "shutdown_grace"];

#[tokio::test]
async fn each_setting_that_can_not_be_is_refused_by_its_name() {
    for (name, time) in TIMES {
        let error = refused(build(|settings| *time(settings) = TOO_LONG).await);
        assert!(error.to_string().contains(&format!("{name} must be")), "{name}: {error}");
        let zero = build(|settings| *time(settings) = Duration::ZERO).await;
        if MAY_BE_ZERO.contains(&name) {
            zero.unwrap();
        } else {
            let error = refused(zero).to_string();
            assert!(error.contains(&format!("{name} must be")), "{name}: {error}");
        }
    }
    for interval in [Duration::ZERO, TOO_LONG, Duration::MAX] {
        let error = refused(build(|settings| settings.reconcile_interval = Some(interval)).await);
        assert!(error.to_string().contains("reconcile_interval"), "{error}");
    }
    for workers in [0, usize::MAX] {
        let error = refused(build(|settings| settings.workers = workers).await);
        assert!(error.to_string().contains("workers"), "{error}");
    }
}

#[tokio::test]
async fn all_wrong_settings_are_named_at_once() {
    let change = |settings: &mut Settings| {
        settings.workers = 0;
        settings.poll_interval = Duration::ZERO;
        settings.lease_margin = settings.lease_ttl;
        settings.retry_min = settings.retry_max + Duration::from_secs(1);
    };
    assert_eq!(
        refused(build(change).await).message(),
        "settings that can't be: workers must be 1 to 1000; poll_interval must be 1 ms to 365 days; \
         lease_margin must be shorter than lease_ttl; retry_min must not be longer than retry_max"
    );
}

#[tokio::test]
async fn the_longest_settings_work() {
    let change = |settings: &mut Settings| {
        for (name, time) in TIMES {
            if name != "lease_margin" {
                *time(settings) = YEAR;
            }
        }
        settings.reconcile_interval = Some(YEAR);
    };
    let orchestrator = build(change).await.unwrap();
    let workers = orchestrator.start();
    let deploy = orchestrator.deploy(TenantId::new(), spec("alice"), Actor::System).await.unwrap();
    let wait = orchestrator.wait(deploy.operation.id);
    let operation = tokio::time::timeout(Duration::from_secs(30), wait).await.unwrap().unwrap();
    assert!(operation.error.is_none(), "{operation:#?}");
    workers.shutdown().await;
}

#[tokio::test]
async fn a_name_that_no_store_can_keep_is_refused() {
    let orchestrator = build(|_| {}).await.unwrap();
    let deploy = |owner: &str, actor| orchestrator.deploy(TenantId::new(), spec(owner), actor);
    for name in ["a\0b", &"a".repeat(257)] {
        let error = refused(deploy(name, Actor::System).await).to_string();
        assert!(error.contains("name of an owner") && error.contains("256"), "{error}");
        let error = refused(deploy("alice", Actor::User(name.into())).await).to_string();
        assert!(error.contains("name of an actor"), "{error}");
    }
    let longest = "ä".repeat(128);
    let tenant = deploy(&longest, Actor::Key(longest.clone())).await.unwrap().tenant.id;
    for name in ["a\0b", &"a".repeat(257)] {
        refused(orchestrator.destroy_tenant(tenant, Actor::Key(name.into())).await);
    }
}

fn full<T: std::fmt::Debug>(answer: Result<T>, what: &str) {
    let error = answer.expect_err("there is no room");
    assert_eq!((error.kind(), error.context("capacity")), (ErrorKind::Exhausted, Some(what)));
}

async fn ended(orchestrator: &Orchestrator, accepted: Result<Accepted>) -> TenantId {
    let accepted = accepted.unwrap();
    let operation = orchestrator.wait(accepted.operation.id).await.unwrap();
    assert_eq!(operation.status, OperationStatus::Success, "{operation:#?}");
    accepted.tenant.id
}

fn named(name: &str) -> TenantSpec {
    let image = "memory/app:1".parse().unwrap();
    TenantSpec::new(OwnerId::new("alice"), name.parse().unwrap(), AppProfile::generic(), image)
}

#[tokio::test(start_paused = true)]
async fn a_full_platform_refuses_what_would_run_and_nothing_else() {
    let change = |settings: &mut Settings| settings.capacity.memory_limits_mb = Some(1024);
    let orchestrator = build(change).await.unwrap();
    let _workers = orchestrator.start();
    let user = || Actor::User("alice".into());
    let deploy = |name| orchestrator.deploy(TenantId::new(), named(name), user());
    let one = ended(&orchestrator, deploy("one").await).await;
    let two = ended(&orchestrator, deploy("two").await).await;
    full(deploy("three").await, "memory limits");
    let mut limits = named("one").limits;
    limits.memory_mb += 1;
    let more = Update::default().with_limits(limits);
    full(orchestrator.update_tenant(one, more, user()).await, "memory limits");
    // What has its room goes on in it.
    ended(&orchestrator, orchestrator.restart_tenant(one, user()).await).await;
    ended(&orchestrator, orchestrator.stop_tenant(two, user()).await).await;
    ended(&orchestrator, deploy("three").await).await;
    full(orchestrator.start_tenant(two, user()).await, "memory limits");
    ended(&orchestrator, orchestrator.destroy_tenant(one, user()).await).await;
    ended(&orchestrator, orchestrator.start_tenant(two, user()).await).await;
}

#[derive(Debug, Default)]
struct Disk(AtomicU64);

#[async_trait]
impl DiskSpace for Disk {
    async fn free_mb(&self) -> Result<u64> {
        Ok(self.0.load(Ordering::SeqCst))
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_refuses_what_would_run_and_nothing_else() {
    let disk = Arc::new(Disk(AtomicU64::new(500)));
    let backends = MemoryWorld::new().backends().with_disk_space(disk.clone());
    let builder = Orchestrator::builder(backends, "example.org".parse().unwrap());
    let builder = builder.settings(|settings| settings.min_free_disk_mb = 500);
    let orchestrator = builder.build().await.unwrap();
    let _workers = orchestrator.start();
    let user = || Actor::User("alice".into());
    let deploy = |name| orchestrator.deploy(TenantId::new(), named(name), user());
    let one = ended(&orchestrator, deploy("one").await).await;
    disk.0.store(499, Ordering::SeqCst);
    full(deploy("two").await, "disk");
    // Asked again for what it accepted, it does not refuse; what starts again takes no more.
    ended(&orchestrator, orchestrator.deploy(one, named("one"), user()).await).await;
    ended(&orchestrator, orchestrator.restart_tenant(one, user()).await).await;
    full(orchestrator.update_tenant(one, Update::default(), user()).await, "disk");
    ended(&orchestrator, orchestrator.stop_tenant(one, user()).await).await;
    full(orchestrator.start_tenant(one, user()).await, "disk");
    ended(&orchestrator, orchestrator.destroy_tenant(one, user()).await).await;
}
