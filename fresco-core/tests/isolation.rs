//! New tenants are let in only while it is proved that tenants are kept apart.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use fresco_core::memory::MemoryWorld;
use fresco_core::*;

/// Isolation that can be broken beyond repair, and whose proofs are counted.
#[derive(Clone, Debug, Default)]
struct Fragile {
    broken: Arc<AtomicBool>,
    gone: Arc<AtomicBool>,
    out_of_reach: Arc<AtomicBool>,
    proofs: Arc<AtomicUsize>,
}

#[async_trait]
impl RuntimeIsolation for Fragile {
    async fn ensure_isolation(&self) -> Result<bool> {
        if self.out_of_reach.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Denied, "no right on the bridge at 10.0.0.1"));
        }
        Ok(self.gone.swap(false, Ordering::SeqCst))
    }

    async fn probe_isolation(&self) -> Result<IsolationReport> {
        self.proofs.fetch_add(1, Ordering::SeqCst);
        let open = self.broken.load(Ordering::SeqCst);
        let seen = if open { "connected" } else { "no answer" };
        let attempt = IsolationAttempt::new("the API", "10.0.0.1:3000", false, open, seen);
        Ok(IsolationReport::new(vec![attempt]))
    }
}

impl Fragile {
    fn break_it(&self, broken: bool) {
        self.broken.store(broken, Ordering::SeqCst);
    }
}

async fn platform(fragile: &Fragile, change: impl FnOnce(&mut Settings)) -> Orchestrator {
    let backends = MemoryWorld::new().backends().with_runtime_isolation(fragile.clone());
    let builder = Orchestrator::builder(backends, "example.org".parse().unwrap());
    builder.settings(change).build().await.unwrap()
}

async fn deploy(platform: &Orchestrator, name: &str) -> Result<Accepted> {
    let image = "memory/app:1".parse().unwrap();
    let owner = OwnerId::new("owner");
    let spec = TenantSpec::new(owner, name.parse().unwrap(), AppProfile::generic(), image);
    platform.deploy(TenantId::new(), spec, Actor::System).await
}

async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(300), wait).await.expect(what);
}

fn fails(platform: &Orchestrator) -> bool {
    matches!(platform.isolation(), Some(IsolationState::Fails(_)))
}

fn holds(platform: &Orchestrator) -> bool {
    matches!(platform.isolation(), Some(IsolationState::Holds(_)))
}

#[tokio::test(start_paused = true)]
async fn a_failed_proof_refuses_new_tenants_until_one_succeeds() {
    let fragile = Fragile::default();
    fragile.break_it(true);
    let platform = platform(&fragile, |_| {}).await;
    let _workers = platform.start();
    until("the proof fails", async || fails(&platform)).await;
    let error = deploy(&platform, "early").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let why = error.context("isolation").unwrap();
    assert!(why.contains("the API (10.0.0.1:3000) can be reached"), "{why}");
    assert!(!error.message().contains("10.0.0.1"), "callers are not told of addresses: {error}");

    fragile.break_it(false);
    until("it is proved again", async || holds(&platform)).await;
    let accepted = deploy(&platform, "later").await.unwrap();
    let operation = platform.wait(accepted.operation.id).await.unwrap();
    assert_eq!(operation.status, OperationStatus::Success);
}

#[tokio::test(start_paused = true)]
async fn what_was_accepted_before_the_proof_failed_gets_no_container() {
    let fragile = Fragile::default();
    fragile.break_it(true);
    let platform = platform(&fragile, |settings| {
        settings.operation_budget = Duration::from_secs(60);
    })
    .await;
    // Nobody works yet, so nothing is known.
    let accepted = deploy(&platform, "early").await.unwrap();
    let _workers = platform.start();
    let operation = platform.wait(accepted.operation.id).await.unwrap();
    assert_eq!(operation.status, OperationStatus::Failed);
    let why = operation.error.unwrap().message;
    assert!(why.contains("kept apart"), "{why}");
    assert!(platform.inventory(accepted.tenant.id).await.unwrap().containers.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_was_put_back_is_proved_anew() {
    let fragile = Fragile::default();
    let platform = platform(&fragile, |_| {}).await;
    let _workers = platform.start();
    until("it is proved", async || holds(&platform)).await;
    let before = fragile.proofs.load(Ordering::SeqCst);
    platform.reconcile().await.unwrap();
    assert!(holds(&platform), "nothing was put back");
    fragile.gone.store(true, Ordering::SeqCst);
    fragile.break_it(true);
    until("the new proof fails", async || fails(&platform)).await;
    assert!(fragile.proofs.load(Ordering::SeqCst) > before);
}

#[tokio::test(start_paused = true)]
async fn what_was_taken_away_since_the_last_look_is_seen_before_a_container_is_made() {
    let fragile = Fragile::default();
    let platform = platform(&fragile, |settings| {
        // Nobody compares: only the new tenant's own operation looks.
        settings.reconcile_interval = None;
        settings.operation_budget = Duration::from_secs(60);
    })
    .await;
    let _workers = platform.start();
    until("it is proved", async || holds(&platform)).await;
    let before = fragile.proofs.load(Ordering::SeqCst);
    fragile.gone.store(true, Ordering::SeqCst);
    let accepted = deploy(&platform, "in-between").await.unwrap();
    let operation = platform.wait(accepted.operation.id).await.unwrap();
    assert_eq!(operation.status, OperationStatus::Success);
    assert!(!fragile.gone.load(Ordering::SeqCst), "it was put back");
    assert!(fragile.proofs.load(Ordering::SeqCst) > before, "and proved anew");

    // It can't be put back: no container, and the owner learns of no address.
    fragile.out_of_reach.store(true, Ordering::SeqCst);
    let accepted = deploy(&platform, "too-late").await.unwrap();
    let operation = platform.wait(accepted.operation.id).await.unwrap();
    assert_eq!(operation.status, OperationStatus::Failed);
    let why = operation.error.unwrap().message;
    assert!(why.contains("kept apart") && !why.contains("10.0.0.1"), "{why}");
    assert!(platform.inventory(accepted.tenant.id).await.unwrap().containers.is_empty());
}

#[tokio::test(start_paused = true)]
async fn policy_may_let_tenants_in_all_the_same() {
    let fragile = Fragile::default();
    fragile.break_it(true);
    let platform = platform(&fragile, |settings| {
        settings.allow_unenforced = BTreeSet::from([Guarantee::Network]);
    })
    .await;
    let _workers = platform.start();
    until("the proof fails", async || fails(&platform)).await;
    let accepted = deploy(&platform, "allowed").await.unwrap();
    let operation = platform.wait(accepted.operation.id).await.unwrap();
    assert_eq!(operation.status, OperationStatus::Success);
}

#[tokio::test]
async fn without_the_ability_nothing_is_told() {
    let mut backends = MemoryWorld::new().backends();
    backends.runtime_isolation = None;
    let builder = Orchestrator::builder(backends, "example.org".parse().unwrap());
    assert_eq!(builder.build().await.unwrap().isolation(), None);
}
