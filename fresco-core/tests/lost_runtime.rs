//! The runtime is lost and comes back, as when Docker is restarted: all that ran on it has ended.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use fresco_core::fault::{Call, Fault, FaultPlan, wrap};
use fresco_core::memory::MemoryWorld;
use fresco_core::*;
use futures_util::stream::{self, BoxStream, StreamExt};
use tokio::sync::Notify;
use tokio::time::Instant;

/// A runtime's abilities, which go away with it.
#[derive(Clone, Debug, Default)]
struct Lossy {
    away: Arc<AtomicBool>,
    lost: Arc<Notify>,
    /// How long a proof takes.
    time: Duration,
    /// How long a comparison takes, which begins with this.
    comparison: Duration,
    begun: Arc<AtomicUsize>,
    ended: Arc<AtomicUsize>,
}

impl Lossy {
    fn answer(&self) -> Result<()> {
        if self.away.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Unavailable, "it is away"));
        }
        Ok(())
    }

    fn backends(&self) -> Backends {
        let backends = MemoryWorld::new().backends();
        backends.with_runtime_events(self.clone()).with_runtime_isolation(self.clone())
    }

    fn lose(&self) {
        self.away.store(true, Ordering::SeqCst);
        self.lost.notify_waiters();
    }
}

#[async_trait]
impl RuntimeEvents for Lossy {
    async fn watch(&self) -> Result<BoxStream<'static, Result<RuntimeEvent>>> {
        self.answer()?;
        // What happened before it was lost is told one by one: each is there only after a moment.
        let told = stream::unfold((self.lost.clone(), 0), |(lost, told)| async move {
            match told {
                0 => lost.notified().await,
                _ => tokio::time::sleep(Duration::from_millis(1)).await,
            }
            let (tenant, kind) = (TenantId::new(), RuntimeEventKind::Exited);
            let event = match told {
                0..10 => Ok(RuntimeEvent { tenant, instance: InstanceId::new("x"), kind }),
                _ => Err(Error::new(ErrorKind::Unavailable, "it was lost")),
            };
            Some((event, (lost, told + 1)))
        });
        Ok(told.boxed())
    }
}

#[async_trait]
impl RuntimeIsolation for Lossy {
    async fn ensure_isolation(&self) -> Result<bool> {
        tokio::time::sleep(self.comparison).await;
        Ok(false)
    }

    async fn probe_isolation(&self) -> Result<IsolationReport> {
        self.answer()?;
        self.begun.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(self.time).await;
        self.ended.fetch_add(1, Ordering::SeqCst);
        let attempt = IsolationAttempt::new("the API", "10.0.0.1:3000", false, false, "no answer");
        Ok(IsolationReport::new(vec![attempt]))
    }
}

async fn platform(backends: Backends) -> Orchestrator {
    Orchestrator::builder(backends, "example.org".parse().unwrap()).build().await.unwrap()
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(300), wait).await.expect(what);
}

#[tokio::test(start_paused = true)]
async fn once_it_is_back_all_is_looked_at_and_proved_without_delay() {
    let lossy = Lossy::default();
    let platform = platform(lossy.backends()).await;
    let _workers = platform.start();
    let holds = || matches!(platform.isolation(), Some(IsolationState::Holds(_)));
    until("it is proved", holds).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    lossy.lose();
    until("it is proved no more", || !holds()).await;
    tokio::time::sleep(Duration::from_secs(7)).await;
    lossy.away.store(false, Ordering::SeqCst);
    let back = Instant::now();
    until("it is proved again", holds).await;
    assert!(back.elapsed() < Duration::from_secs(12), "after {:?}", back.elapsed());
}

#[tokio::test(start_paused = true)]
async fn that_it_is_lost_is_noticed_at_once_whatever_happened_before() {
    let lossy = Lossy { comparison: Duration::from_secs(2), ..Lossy::default() };
    let platform = platform(lossy.backends()).await;
    let _workers = platform.start();
    let holds = || matches!(platform.isolation(), Some(IsolationState::Holds(_)));
    until("it is proved", holds).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let lost = Instant::now();
    lossy.lose();
    until("it is proved no more", || !holds()).await;
    assert!(lost.elapsed() < Duration::from_secs(1), "after {:?}", lost.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_proof_that_began_before_it_was_lost_proves_nothing() {
    let lossy = Lossy { time: Duration::from_secs(10), ..Lossy::default() };
    let platform = platform(lossy.backends()).await;
    let _workers = platform.start();
    until("a proof has begun", || lossy.begun.load(Ordering::SeqCst) == 1).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    // It is back before anybody asks.
    lossy.lose();
    lossy.away.store(false, Ordering::SeqCst);
    until("it is proved", || matches!(platform.isolation(), Some(IsolationState::Holds(_)))).await;
    assert_eq!(lossy.ended.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_proof_under_way_ends_before_the_program_does() {
    let lossy = Lossy { time: Duration::from_secs(3), ..Lossy::default() };
    let workers = platform(lossy.backends()).await.start();
    until("a proof has begun", || lossy.begun.load(Ordering::SeqCst) == 1).await;
    workers.shutdown().await;
    assert_eq!(lossy.ended.load(Ordering::SeqCst), 1, "it takes away what it made");

    // One that hangs is not waited for.
    let lossy = Lossy { time: Duration::from_secs(3000), ..Lossy::default() };
    let platform = platform(lossy.backends()).await;
    let workers = platform.start();
    until("a proof has begun", || lossy.begun.load(Ordering::SeqCst) == 1).await;
    let told = Instant::now();
    workers.shutdown().await;
    assert!(told.elapsed() <= platform.settings().shutdown_grace + Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn an_app_that_ends_while_its_route_is_awaited_is_started_once_more() {
    let world = MemoryWorld::new();
    let lost =
        Call { method: "router.probe", step: Some((Direction::Forward, Step::Route)), nth: 0 };
    let plan = FaultPlan::with([(lost, Fault::FailBefore(ErrorKind::Unavailable))]);
    let platform = platform(wrap(&world.backends(), &plan)).await;
    let _workers = platform.start();
    let image = "memory/app:1".parse().unwrap();
    let name = "my-study".parse().unwrap();
    let spec = TenantSpec::new(OwnerId::new("alice"), name, AppProfile::generic(), image);
    let accepted = platform.deploy(TenantId::new(), spec, Actor::System).await.unwrap();
    loop {
        let operation = platform.operation(accepted.operation.id).await.unwrap();
        assert!(!operation.status.is_finished(), "{operation:#?}");
        if operation.steps.iter().any(|step| step.name == Step::Route && step.detail.is_some()) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    world.outsider().crash(accepted.tenant.id, 137);
    let operation = platform.wait(accepted.operation.id).await.unwrap();
    assert_eq!(operation.status, OperationStatus::Success, "{operation:#?}");
}
