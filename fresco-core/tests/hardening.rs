//! What must hold when something is broken beside the work: one bad container, a panic in a backend,
//! an image that is gone, an operation that is stuck for a day.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use async_trait::async_trait;
use fresco_core::fault::{Call, Fault, FaultPlan, wrap};
use fresco_core::memory::{MemoryApp, MemoryRuntime, MemoryWorld};
use fresco_core::*;
use futures_util::stream::BoxStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;
use tokio::time::Instant;

fn spec(subdomain: &str, image: &str) -> TenantSpec {
    TenantSpec::new(
        OwnerId::new("alice"),
        subdomain.parse().unwrap(),
        AppProfile::generic(),
        image.parse().unwrap(),
    )
}
async fn orch(backends: Backends, change: impl FnOnce(&mut Settings)) -> Orchestrator {
    Orchestrator::builder(backends, "example.org".parse().unwrap())
        .settings(|s| {
            s.reconcile_interval = None;
            change(s);
        })
        .build()
        .await
        .unwrap()
}
async fn active(o: &Orchestrator, name: &str) -> TenantId {
    let a = o.deploy(TenantId::new(), spec(name, "memory/app:1"), Actor::System).await.unwrap();
    let op = o.wait(a.operation.id).await.unwrap();
    assert_eq!(op.status, OperationStatus::Success, "{op:#?}");
    a.tenant.id
}

/// A runtime whose parts can be made to fail.
#[derive(Debug, Clone)]
struct Wrapped {
    inner: MemoryRuntime,
    no_start: Arc<AtomicU32>,
    no_remove: Arc<AtomicBool>,
    panic_list: Arc<AtomicBool>,
    dead_probe: Arc<AtomicBool>,
    no_image: Arc<AtomicBool>,
    endless_image: Arc<AtomicBool>,
    /// How many calls that were under way have been dropped.
    dropped: Arc<AtomicU32>,
    lists: Arc<AtomicU32>,
}
/// Counts when it is dropped.
struct Dropped(Arc<AtomicU32>);
impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}
impl Wrapped {
    fn new(inner: MemoryRuntime) -> Self {
        Self {
            inner,
            no_start: Default::default(),
            no_remove: Default::default(),
            panic_list: Default::default(),
            dead_probe: Default::default(),
            no_image: Default::default(),
            endless_image: Default::default(),
            dropped: Default::default(),
            lists: Default::default(),
        }
    }
}
#[async_trait]
impl ContainerRuntime for Wrapped {
    async fn prepare(&self, image: &ImageSource, progress: &ProgressSink) -> Result<ImageId> {
        if self.endless_image.load(Ordering::SeqCst) {
            let _guard = Dropped(self.dropped.clone());
            std::future::pending::<()>().await;
        }
        if self.no_image.load(Ordering::SeqCst) && matches!(image, ImageSource::Pinned(..)) {
            return Err(Error::new(
                ErrorKind::NotFound,
                "the one in use is gone: update the tenant",
            ));
        }
        self.inner.prepare(image, progress).await
    }
    async fn ensure(&self, spec: &InstanceSpec) -> Result<Instance> {
        self.inner.ensure(spec).await
    }
    async fn start(&self, instance: &InstanceId) -> Result<Instance> {
        if self.no_start.load(Ordering::SeqCst) > 0 {
            self.no_start.fetch_sub(1, Ordering::SeqCst);
            return Err(Error::new(ErrorKind::Internal, "OCI runtime create failed, once"));
        }
        self.inner.start(instance).await
    }
    async fn stop(&self, instance: &InstanceId, grace: Duration) -> Result<()> {
        self.inner.stop(instance, grace).await
    }
    async fn remove(&self, instance: &InstanceId) -> Result<()> {
        if self.no_remove.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Exhausted, "device or resource busy"));
        }
        self.inner.remove(instance).await
    }
    async fn list(&self, tenant: Option<TenantId>) -> Result<Vec<Instance>> {
        if tenant.is_none() {
            self.lists.fetch_add(1, Ordering::SeqCst);
            if self.panic_list.swap(false, Ordering::SeqCst) {
                panic!("a backend's bug")
            }
        }
        self.inner.list(tenant).await
    }
    async fn logs(
        &self,
        i: &InstanceId,
        q: &LogQuery,
    ) -> Result<BoxStream<'static, Result<LogLine>>> {
        self.inner.logs(i, q).await
    }
    async fn probe(&self, i: &InstanceId, port: u16, path: &str) -> Result<Reach> {
        if self.dead_probe.load(Ordering::SeqCst) {
            return Ok(Reach::Status(500));
        }
        self.inner.probe(i, port, path).await
    }
    async fn health(&self) -> Result<Health> {
        self.inner.health().await
    }
}
fn wrapped(world: &MemoryWorld) -> (Backends, Wrapped) {
    let w = Wrapped::new(world.runtime());
    (Backends::new(world.store(), w.clone(), world.database(), world.router()), w)
}

/// A repair that failed once is tried again.
#[tokio::test(start_paused = true)]
async fn a_repair_that_fails_once_is_tried_again() {
    let world = MemoryWorld::new();
    let (b, w) = wrapped(&world);
    let o = orch(b, |_| {}).await;
    let _workers = o.start();
    let id = active(&o, "study-1").await;
    world.outsider().crash(id, 1);
    w.no_start.store(1, Ordering::SeqCst);
    for round in 0..60 {
        let found = o.reconcile().await.unwrap();
        if let Some(op) = o.operations(id, 1).await.unwrap().first() {
            let _ = o.wait(op.id).await;
        }
        if round < 3 {
            println!("round {round}: {found:?} {:?}", o.tenant(id).await.unwrap().state.status);
        }
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    let t = o.tenant(id).await.unwrap();
    assert_eq!(
        t.state.status,
        TenantStatus::Active,
        "an hour later: desired {:?}",
        t.state.desired
    );
}

/// One container that can't be removed does not keep the others from being mended.
#[tokio::test(start_paused = true)]
async fn one_bad_container_does_not_stop_other_repairs() {
    let world = MemoryWorld::new();
    let (b, w) = wrapped(&world);
    let o = orch(b, |_| {}).await;
    let _workers = o.start();
    let a = active(&o, "study-1").await;
    let c = active(&o, "study-2").await;
    world.outsider().add_surplus(a).unwrap();
    w.no_remove.store(true, Ordering::SeqCst);
    world.outsider().crash(c, 1);
    let found = o.reconcile().await;
    println!("{found:?}");
    assert!(found.is_ok_and(|f| f.repairs.iter().any(|r| r.0 == c)), "study-2 was not repaired");
}

/// A panic in a backend does not end reconciling.
#[tokio::test(start_paused = true)]
async fn a_panic_does_not_end_reconciling() {
    let world = MemoryWorld::new();
    let (b, w) = wrapped(&world);
    let o = orch(b, |s| s.reconcile_interval = Some(Duration::from_secs(30))).await;
    let _workers = o.start();
    tokio::time::sleep(Duration::from_secs(100)).await;
    w.panic_list.store(true, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(100)).await;
    let before = w.lists.load(Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert!(w.lists.load(Ordering::SeqCst) > before, "no comparison in 10 minutes");
}

/// A failed update whose previous image is gone has an end.
#[tokio::test(start_paused = true)]
async fn a_failed_update_whose_old_image_is_gone_has_an_end() {
    let world = MemoryWorld::new();
    let (b, w) = wrapped(&world);
    let o = orch(b, |_| {}).await;
    let _workers = o.start();
    let id = active(&o, "study-1").await;
    world.image("bad:1".parse().unwrap(), MemoryApp::exits(1, ["x"]));
    let up =
        o.update_tenant(id, Update::image("bad:1".parse().unwrap()), Actor::System).await.unwrap();
    w.no_image.store(true, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(3600)).await;
    let op = o.operation(up.operation.id).await.unwrap();
    println!("after an hour: {:?} {:?}", op.status, op.error);
    let again =
        o.update_tenant(id, Update::image("memory/app:2".parse().unwrap()), Actor::System).await;
    assert!(again.is_ok(), "{again:?}");
}

/// Starting a running tenant whose app is sick does not stop it.
#[tokio::test(start_paused = true)]
async fn a_failed_start_does_not_stop_what_it_did_not_start() {
    let world = MemoryWorld::new();
    let (b, w) = wrapped(&world);
    let o = orch(b, |_| {}).await;
    let _workers = o.start();
    let id = active(&o, "study-1").await;
    w.dead_probe.store(true, Ordering::SeqCst);
    let s = o.start_tenant(id, Actor::System).await.unwrap();
    o.wait(s.operation.id).await.unwrap();
    assert!(o.inventory(id).await.unwrap().containers[0].is_running());
}

/// A stuck operation writes little, however long it is stuck.
#[tokio::test(start_paused = true)]
async fn a_stuck_operation_does_not_grow_for_ever() {
    use futures_util::StreamExt;
    let world = MemoryWorld::new();
    let (b, w) = wrapped(&world);
    let o = orch(b, |_| {}).await;
    let _workers = o.start();
    let id = active(&o, "study-1").await;
    w.no_remove.store(true, Ordering::SeqCst);
    let d = o.destroy_tenant(id, Actor::System).await.unwrap();
    tokio::time::sleep(Duration::from_secs(24 * 3600)).await;
    w.no_remove.store(false, Ordering::SeqCst);
    let mut n = 0;
    let mut bytes = 0;
    let mut events = o.watch(d.operation.id, 0).await.unwrap();
    while let Some(e) = events.next().await {
        if let Event::Step { operation, .. } | Event::Done { operation, .. } = e.unwrap() {
            n += 1;
            bytes += serde_json::to_vec(&operation).unwrap().len();
        }
    }
    println!("{n} events, {bytes} bytes in a day");
    assert!(n < 200, "{n} events");
}

/// Long log lines are cut before they are stored many times.
#[tokio::test(start_paused = true)]
async fn log_tails_are_bounded() {
    use futures_util::StreamExt;
    let world = MemoryWorld::new();
    let o = orch(world.backends(), |_| {}).await;
    let _workers = o.start();
    let line = "x".repeat(256 * 1024);
    world.image("bad:1".parse().unwrap(), MemoryApp::exits(1, (0..20).map(|_| line.clone())));
    let a = o.deploy(TenantId::new(), spec("study-1", "bad:1"), Actor::System).await.unwrap();
    let mut bytes = 0;
    let mut events = o.watch(a.operation.id, 0).await.unwrap();
    while let Some(e) = events.next().await {
        if let Event::Step { operation, .. } | Event::Done { operation, .. } = e.unwrap() {
            bytes += serde_json::to_vec(&operation).unwrap().len();
        }
    }
    println!("{bytes} bytes of events");
    assert!(bytes < 1 << 20, "{bytes} bytes of events");
}

/// A stopped tenant whose container runs is stopped.
#[tokio::test(start_paused = true)]
async fn a_stopped_tenant_whose_container_runs_is_stopped() {
    let world = MemoryWorld::new();
    let (b, _w) = wrapped(&world);
    let o = orch(b, |_| {}).await;
    let _workers = o.start();
    let id = active(&o, "study-1").await;
    let s = o.stop_tenant(id, Actor::User("alice".into())).await.unwrap();
    o.wait(s.operation.id).await.unwrap();
    let c = o.tenant(id).await.unwrap().state.container.unwrap();
    world.runtime().start(&c.id).await.unwrap(); // a late start, or `docker start` by hand
    o.reconcile().await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(!o.inventory(id).await.unwrap().containers[0].is_running());
}

/// A stored tenant stays readable when a name is reserved later.
#[test]
fn a_stored_subdomain_that_is_reserved_now_is_readable() {
    assert!(serde_json::from_str::<Subdomain>("\"www\"").is_ok());
}

/// A re-create keeps what an update asked for.
#[tokio::test(start_paused = true)]
async fn an_update_before_the_first_success_is_kept() {
    let world = MemoryWorld::new();
    let o = orch(world.backends(), |_| {}).await;
    let _workers = o.start();
    let a = o.deploy(TenantId::new(), spec("study-1", "typo:1"), Actor::System).await.unwrap();
    o.wait(a.operation.id).await.unwrap();
    let u = o
        .update_tenant(a.tenant.id, Update::image("right:1".parse().unwrap()), Actor::System)
        .await
        .unwrap();
    println!("{:?} {:?}", u.operation.action, o.wait(u.operation.id).await.unwrap().status);
    world.image("right:1".parse().unwrap(), MemoryApp::healthy());
    let r = o.restart_tenant(a.tenant.id, Actor::System).await.unwrap();
    let r = o.wait(r.operation.id).await.unwrap();
    assert_eq!(r.status, OperationStatus::Success, "{:?}", r.error.map(|e| e.message));
}

/// After destroy nothing of the owner's secrets is stored.
#[tokio::test(start_paused = true)]
async fn a_tombstone_holds_no_secret() {
    let world = MemoryWorld::new();
    let o = orch(world.backends(), |_| {}).await;
    let _workers = o.start();
    let s = spec("study-1", "memory/app:1")
        .with_env("API_KEY".parse().unwrap(), "hunter2".parse().unwrap());
    let a = o.deploy(TenantId::new(), s, Actor::System).await.unwrap();
    o.wait(a.operation.id).await.unwrap();
    let d = o.destroy_tenant(a.tenant.id, Actor::System).await.unwrap();
    o.wait(d.operation.id).await.unwrap();
    let t = serde_json::to_string(&o.tenant(a.tenant.id).await.unwrap()).unwrap();
    let ops = serde_json::to_string(&o.operations(a.tenant.id, 9).await.unwrap()).unwrap();
    assert!(
        !t.contains("hunter2") && !ops.contains("hunter2"),
        "tombstone {} operations {}",
        t.contains("hunter2"),
        ops.matches("hunter2").count()
    );
}

/// A call that takes longer than the lease goes on while the lease is renewed, and is dropped before
/// the lease ends once it can't be: when the store refuses to answer, and when it never answers.
#[tokio::test(start_paused = true)]
async fn a_long_call_is_dropped_when_the_lease_can_not_be_renewed() {
    // Five renewals, one each third of 25 s, hold a lease for longer than it lasts.
    let away = Fault::FailBefore(ErrorKind::Unavailable);
    for (renewed, fault) in [(5, away), (5, Fault::Hang), (0, away)] {
        let world = MemoryWorld::new();
        let (b, w) = wrapped(&world);
        let step = Some((Direction::Forward, Step::Image));
        let renewals =
            (renewed..1000).map(|nth| (Call { method: "store.renew", step, nth }, fault));
        let plan = FaultPlan::with(renewals);
        let o = orch(wrap(&b, &plan), |_| {}).await;
        let (ttl, margin) = (o.settings().lease_ttl, o.settings().lease_margin);
        w.endless_image.store(true, Ordering::SeqCst);
        let _workers = o.start();
        let begun = Instant::now();
        o.deploy(TenantId::new(), spec("study-1", "memory/app:1"), Actor::System).await.unwrap();
        let dropped = async {
            while w.dropped.load(Ordering::SeqCst) == 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(3600), dropped).await.expect("it is dropped");
        let end = (ttl - margin) / 3 * renewed + ttl;
        let (took, slack) = (begun.elapsed(), Duration::from_millis(500));
        assert!(took + slack > end - margin, "{fault}: {took:?}, the lease ends at {end:?}");
        assert!(took < end - margin + slack, "{fault}: {took:?}, the lease ends at {end:?}");
    }
}
