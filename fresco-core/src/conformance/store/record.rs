//! Fenced writes.

use std::time::Duration;

use super::{
    HOUR, LONG, begun, created, destroyed, done, leased, numbers, operation_now, recorded, success,
    tenant_now, told,
};
use crate::conformance::StoreFixture;
use crate::conformance::support::refused;
use crate::{
    Change, Direction, Entry, ErrorKind, Event, Failure, ImageId, LeaseTerms, OperationStatus,
    Step, StepStatus, TenantStatus,
};

/// Stage, state and event are there, or none of them.
pub async fn record_is_all_or_nothing<F: StoreFixture + ?Sized>(fixture: &F) {
    let (store, second) = (fixture.store(), fixture.second());
    let (tenant, operation) = created(&store).await;
    let lease = leased(&store, &LONG).await;
    let mut entry = begun(&lease, Step::Image);
    entry.stage = entry.stage.advanced(operation.action);
    entry.stage.image = Some(ImageId::new("sha256:1"));
    entry.tenant.status = TenantStatus::Provisioning;
    entry.tenant.image = Some(ImageId::new("sha256:1"));
    let mut spec = tenant.spec.clone();
    spec.image = "example/app:2".parse().expect("an image's name");
    entry.spec = Some(spec.clone());
    let now = recorded(&store, &lease, &entry).await;
    assert_eq!(now.status, OperationStatus::InProgress, "the operation");
    assert_eq!(now.steps[0].status, StepStatus::Running, "its first step");
    assert_eq!(operation_now(&second, operation.id).await, now, "the operation, as stored");
    let stored = tenant_now(&second, tenant.id).await;
    assert_eq!(stored.state, entry.tenant, "the tenant's state");
    assert_eq!(stored.spec, spec, "the tenant's spec");
    assert_eq!(stored.generation, lease.generation(), "a write raises no generation");
    done("release", store.release(&lease, Duration::ZERO).await);
    let next = leased(&second, &LONG).await;
    assert_eq!(next.stage, entry.stage, "the stage");
    recorded(&second, &next, &success(&next)).await;
    let events = told(&store, operation.id, 0).await;
    let first = Event::Step { seq: 1, operation: Box::new(now) };
    assert_eq!(events[0], first, "the event holds the operation as it was then");
}

/// After the lease was lost: `LeaseLost`, and nothing is written.
pub async fn record_after_losing_the_lease_writes_nothing<F: StoreFixture + ?Sized>(fixture: &F) {
    let store = fixture.store();
    let (tenant, operation) = created(&store).await;
    let lost = leased(&store, &LeaseTerms { ttl: fixture.ttl(), budget: HOUR }).await;
    fixture.pass(fixture.ttl()).await;
    // The same worker takes it up anew: only the generation tells the two leases apart.
    let held = done("lease", store.lease(lost.worker, &LONG).await).expect("it can be leased");
    let before = (tenant_now(&store, tenant.id).await, operation_now(&store, operation.id).await);
    for mut entry in [begun(&lost, Step::Image), success(&lost)] {
        entry.stage.image = Some(ImageId::new("sha256:late"));
        entry.spec = Some(super::spec());
        entry.tenant.status = TenantStatus::Error;
        let result = store.record(&lost, &entry).await;
        refused("record after losing the lease", result, ErrorKind::LeaseLost);
    }
    let result = store.release(&lost, Duration::ZERO).await;
    refused("release after losing the lease", result, ErrorKind::LeaseLost);
    let after = (tenant_now(&store, tenant.id).await, operation_now(&store, operation.id).await);
    assert_eq!(after, before, "tenant and operation should be as they were");
    done("release", store.release(&held, Duration::ZERO).await);
    let next = leased(&store, &LONG).await;
    assert_eq!(next.stage, held.stage, "the stage should be as it was");
    recorded(&store, &next, &success(&next)).await;
    assert_eq!(numbers(&told(&store, operation.id, 0).await), [1], "events");
}

/// Events of one operation count up from 1 without a gap.
pub async fn record_numbers_events<F: StoreFixture + ?Sized>(fixture: &F) {
    let store = fixture.store();
    let (_, other) = created(&store).await;
    let (_, operation) = created(&store).await;
    let leases = [leased(&store, &LONG).await, leased(&store, &LONG).await];
    // Two operations take turns, and one write tells nothing.
    for lease in &leases {
        recorded(&store, lease, &begun(lease, Step::Image)).await;
    }
    for lease in &leases {
        let entry = Entry::new(lease.stage.clone(), lease.tenant.state.clone());
        recorded(&store, lease, &entry).await;
        let change = Change::StepDone(Direction::Forward, Step::Image, Some("there".into()));
        recorded(&store, lease, &entry.with_change(change)).await;
    }
    for lease in &leases {
        recorded(&store, lease, &success(lease)).await;
    }
    for id in [other.id, operation.id] {
        assert_eq!(numbers(&told(&store, id, 0).await), [1, 2, 3], "the events' numbers");
    }
}

/// The app's last lines are gone with its tenant: no operation and no event tells them any more.
pub async fn record_of_the_end_forgets_the_apps_last_lines<F: StoreFixture + ?Sized>(fixture: &F) {
    let store = fixture.store();
    let mut failed = Vec::new();
    for _ in 0..2 {
        let (tenant, operation) = created(&store).await;
        let lease = leased(&store, &LONG).await;
        let mut entry = success(&lease);
        entry.tenant.status = TenantStatus::Error;
        let failure = Failure::new(ErrorKind::Internal, Step::Ready, "it exited with code 1");
        entry.change = Some(Change::Failed(failure.with_log_tail(vec!["of somebody".into()])));
        recorded(&store, &lease, &entry).await;
        failed.push((tenant.id, operation.id));
    }
    let [(gone, gones), (_, stays)] = [failed[0], failed[1]];
    destroyed(&store, &tenant_now(&store, gone).await).await;
    for (operation, lines) in [(gones, 0), (stays, 1)] {
        let now = operation_now(&store, operation).await;
        let error = now.error.as_ref().expect("why it failed stays");
        assert_eq!(error.message, "it exited with code 1", "the words");
        assert_eq!(error.log_tail.len(), lines, "the app's lines, in the operation");
        let events = told(&store, operation, 0).await;
        let Some(Event::Done { operation: last, .. }) = events.last() else {
            panic!("the last event tells the failure, not {events:?}");
        };
        assert_eq!(**last, now, "the operation in its last event");
    }
}
