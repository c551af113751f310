//! Leases.

use futures_util::future::join_all;

use super::{
    HOUR, LONG, begun, created, done, leased, nothing_to_lease, recorded, success, tenant_now,
};
use crate::conformance::StoreFixture;
use crate::conformance::support::refused;
use crate::{ErrorKind, LeaseTerms, Stage, Step, WorkerId};

/// Of many workers at the same time, exactly one gets it.
pub async fn lease_goes_to_one_of_many<F: StoreFixture + ?Sized>(fixture: &F) {
    let store = fixture.store();
    let (tenant, operation) = created(&store).await;
    let results = join_all((0..8).map(|number| {
        let store = if number % 2 == 0 { fixture.store() } else { fixture.second() };
        async move {
            let worker = WorkerId::new();
            (worker, store.lease(worker, &LONG).await)
        }
    }))
    .await;
    let mut leases = Vec::new();
    for (worker, result) in results {
        leases.extend(done("lease", result).map(|lease| (worker, lease)));
    }
    assert_eq!(leases.len(), 1, "exactly one of eight should get it: {leases:?}");
    let (worker, lease) = leases.remove(0);
    assert_eq!(lease.worker, worker, "who holds it");
    assert_eq!(lease.operation, operation, "the operation");
    assert_eq!(lease.stage, Stage::first(operation.action), "how far it got");
    assert_eq!(lease.deaths, 0, "nobody died");
    assert!(lease.generation() > tenant.generation, "a lease should raise the generation");
    assert_eq!(tenant_now(&store, tenant.id).await, lease.tenant, "the tenant, as stored");
    assert!(lease.remaining <= HOUR, "time left: {:?}", lease.remaining);
    assert!(lease.remaining > HOUR / 2, "time left: {:?}", lease.remaining);
}

/// Without one: `None`.
pub async fn lease_without_work_is_none<F: StoreFixture + ?Sized>(fixture: &F) {
    let store = fixture.store();
    nothing_to_lease("in an empty store", &store).await;
    let (_, older) = created(&store).await;
    let (_, newer) = created(&store).await;
    let first = leased(&store, &LONG).await;
    assert_eq!(first.operation.id, older.id, "the oldest should come first");
    let second = leased(&store, &LONG).await;
    assert_eq!(second.operation.id, newer.id, "then the other one");
    nothing_to_lease("while both are held", &store).await;
    recorded(&store, &first, &success(&first)).await;
    nothing_to_lease("while one is finished and one is held", &store).await;
}

/// One whose lease has ended is taken over, from the last stored stage, and counts a death.
pub async fn lease_takes_over_a_dead_workers<F: StoreFixture + ?Sized>(fixture: &F) {
    let (store, second) = (fixture.store(), fixture.second());
    let (_, operation) = created(&store).await;
    let terms = LeaseTerms { ttl: fixture.ttl(), budget: HOUR };
    let dead = leased(&store, &terms).await;
    let mut entry = begun(&dead, Step::Image);
    entry.stage = entry.stage.advanced(operation.action);
    recorded(&store, &dead, &entry).await;
    nothing_to_lease("while the lease lasts", &second).await;
    for deaths in 1..=2 {
        fixture.pass(terms.ttl).await;
        let heir = leased(&second, &terms).await;
        assert_eq!(heir.operation.id, operation.id, "the operation");
        assert_eq!(heir.stage, entry.stage, "it should go on from the last stored stage");
        assert_eq!(heir.deaths, deaths, "workers that died");
        assert!(heir.generation() > dead.generation(), "it should raise the generation");
        let left = heir.remaining;
        assert!(left > terms.budget - terms.ttl / 2, "the deadline counts anew: {left:?}");
    }
}

/// One that was released for later is left until then.
pub async fn lease_leaves_what_was_released_for_later<F: StoreFixture + ?Sized>(fixture: &F) {
    let store = fixture.store();
    let (_, operation) = created(&store).await;
    let lease = leased(&store, &LONG).await;
    done("release", store.release(&lease, fixture.ttl()).await);
    nothing_to_lease("before its time", &store).await;
    fixture.pass(fixture.ttl()).await;
    let next = leased(&store, &LONG).await;
    assert_eq!(next.operation.id, operation.id, "once its time came");
    let left = next.remaining;
    assert!(left <= LONG.budget - fixture.ttl(), "its deadline is the one before: {left:?}");
}

/// A renewed lease is not taken over.
pub async fn renew_keeps_a_lease<F: StoreFixture + ?Sized>(fixture: &F) {
    let store = fixture.store();
    created(&store).await;
    let ttl = fixture.ttl();
    let lease = leased(&store, &LeaseTerms { ttl, budget: HOUR }).await;
    for _ in 0..4 {
        fixture.pass(ttl / 2).await;
        done("renew", store.renew(&lease, ttl).await);
        nothing_to_lease("after renewing", &store).await;
    }
    recorded(&store, &lease, &success(&lease)).await;
}

/// One that was lost, or whose operation is finished, is `LeaseLost`.
pub async fn renew_refuses_a_lost_one<F: StoreFixture + ?Sized>(fixture: &F) {
    let store = fixture.store();
    created(&store).await;
    let lost = leased(&store, &LeaseTerms { ttl: fixture.ttl(), budget: HOUR }).await;
    fixture.pass(fixture.ttl()).await;
    let held = leased(&store, &LONG).await;
    refused("renew of a lost one", store.renew(&lost, HOUR).await, ErrorKind::LeaseLost);
    done("renew of the one that is held", store.renew(&held, HOUR).await);
    recorded(&store, &held, &success(&held)).await;
    refused("renew of a finished one", store.renew(&held, HOUR).await, ErrorKind::LeaseLost);
}

/// Afterwards another worker can take it at once, or after the time.
pub async fn release_lets_others_in<F: StoreFixture + ?Sized>(fixture: &F) {
    let (store, second) = (fixture.store(), fixture.second());
    created(&store).await;
    let first = leased(&store, &LONG).await;
    done("release", store.release(&first, std::time::Duration::ZERO).await);
    let next = leased(&second, &LONG).await;
    assert_eq!(next.operation.id, first.operation.id, "the operation that was handed back");
    assert!(next.generation() > first.generation(), "it should raise the generation");
    let late = store.record(&first, &success(&first)).await;
    refused("record by the one who handed it back", late, ErrorKind::LeaseLost);
}

/// It counts no death.
pub async fn release_counts_no_death<F: StoreFixture + ?Sized>(fixture: &F) {
    let store = fixture.store();
    created(&store).await;
    for _ in 0..3 {
        let lease = leased(&store, &LONG).await;
        assert_eq!(lease.deaths, 0, "handing back is no death");
        done("release", store.release(&lease, std::time::Duration::ZERO).await);
    }
}
