//! Accepting further operations.

use super::{
    LONG, active, active_as, asked, created, destroyed, done, leased, operation_now, recorded,
    requested, spec, success, tenant_now, told,
};
use crate::conformance::StoreFixture;
use crate::conformance::support::refused;
use crate::{
    Action, Capacity, Change, DesiredState, Entry, ErrorKind, Event, Failure, Generation, ImageId,
    OperationStatus, Target, TenantId, TenantQuery, TenantStatus,
};

/// Again with the same operation id: the first one, unchanged.
pub async fn request_again_gives_the_first<F: StoreFixture + ?Sized>(fixture: &F) {
    let (store, tenant) = (fixture.store(), active(&fixture.store()).await);
    let new = asked(Action::Stop, &tenant.spec);
    let first = done("request", store.request(tenant.id, tenant.generation, &new).await);
    let now = tenant_now(&store, tenant.id).await;
    assert_eq!(now.state.desired, DesiredState::Stopped, "the desired state after asking to stop");
    assert!(now.generation > tenant.generation, "a request should raise the generation");
    let again = store.request(tenant.id, tenant.generation, &new).await;
    assert_eq!(done("request again", again), first, "it should give the first");
    let lease = leased(&store, &LONG).await;
    let finished = recorded(&store, &lease, &success(&lease)).await;
    let again = store.request(tenant.id, tenant.generation, &new).await;
    assert_eq!(done("request after its end", again), finished, "it should give the first");
    assert_eq!(done("operations", store.operations(tenant.id, 10).await).len(), 2, "operations");
}

/// While another one is unfinished: `Conflict`, naming it.
pub async fn request_refuses_while_one_is_unfinished<F: StoreFixture + ?Sized>(fixture: &F) {
    let (store, (tenant, first)) = (fixture.store(), created(&fixture.store()).await);
    for action in [Action::Start, Action::Stop, Action::Restart, Action::Update] {
        let new = asked(action, &tenant.spec);
        let result = store.request(tenant.id, tenant.generation, &new).await;
        let error = refused("request while one is unfinished", result, ErrorKind::Conflict);
        let text = error.to_string();
        assert!(text.contains(&first.id.to_string()), "it should name {}: {text}", first.id);
        let unknown = store.operation(new.id).await;
        refused("the refused operation", unknown, ErrorKind::NotFound);
    }
    assert_eq!(tenant_now(&store, tenant.id).await, tenant, "the tenant should be as it was");
}

/// A destroy takes the place of an unfinished one: that one is failed as cancelled, its lease
/// is lost, and the destroy is accepted, all in one write.
pub async fn request_of_a_destroy_cancels<F: StoreFixture + ?Sized>(fixture: &F) {
    let (store, (tenant, first)) = (fixture.store(), created(&fixture.store()).await);
    let lease = leased(&store, &LONG).await;
    let destroy = requested(&store, Action::Destroy, tenant.id, tenant.generation).await;
    assert_eq!(destroy.status, OperationStatus::Initiated, "the destroy");
    let cancelled = operation_now(&store, first.id).await;
    assert_eq!(cancelled.status, OperationStatus::Failed, "the operation before it");
    assert!(cancelled.finished_at.is_some(), "it should be finished: {cancelled:?}");
    let failure = cancelled.error.clone().expect("it should say how it failed");
    assert_eq!(failure, crate::Failure::cancelled(), "how it failed");
    let events = told(&store, first.id, 0).await;
    let done_event = Event::Done { seq: 1, operation: Box::new(cancelled) };
    assert_eq!(events, [done_event], "those who watch it should be told");
    refused("renew", store.renew(&lease, LONG.ttl).await, ErrorKind::LeaseLost);
    let late = store.record(&lease, &success(&lease)).await;
    refused("record by the worker of the cancelled one", late, ErrorKind::LeaseLost);
    let next = leased(&store, &LONG).await;
    assert_eq!(next.operation.id, destroy.id, "the destroy is what is to be done next");
    assert_eq!(next.deaths, 0, "nobody died at the destroy");
}

/// A second destroy gives the unfinished one.
pub async fn request_of_a_second_destroy_gives_the_first<F: StoreFixture + ?Sized>(fixture: &F) {
    let (store, tenant) = (fixture.store(), active(&fixture.store()).await);
    let first = requested(&store, Action::Destroy, tenant.id, tenant.generation).await;
    let lease = leased(&store, &LONG).await;
    let second = requested(&store, Action::Destroy, tenant.id, tenant.generation).await;
    assert_eq!(second, first, "the second destroy");
    // The work on the first goes on.
    recorded(&store, &lease, &success(&lease)).await;
}

/// A generation other than `seen`: `Conflict`, unless it is a destroy. Whoever asks has
/// decided on what it saw.
pub async fn request_refuses_another_generation<F: StoreFixture + ?Sized>(fixture: &F) {
    let (store, tenant) = (fixture.store(), active(&fixture.store()).await);
    let number = tenant.generation.number();
    for seen in [number - 1, number + 1] {
        let new = asked(Action::Stop, &tenant.spec);
        let result = store.request(tenant.id, Generation::new(seen), &new).await;
        refused("request with another generation", result, ErrorKind::Conflict);
    }
    assert_eq!(tenant_now(&store, tenant.id).await, tenant, "the tenant should be as it was");
    requested(&store, Action::Destroy, tenant.id, Generation::new(number - 1)).await;
}

/// An unknown or destroyed tenant is `NotFound`.
pub async fn request_refuses_unknown_and_destroyed_tenants<F: StoreFixture + ?Sized>(fixture: &F) {
    let (store, tenant) = (fixture.store(), active(&fixture.store()).await);
    destroyed(&store, &tenant).await;
    let seen = tenant_now(&store, tenant.id).await.generation;
    for (what, id) in [("an unknown tenant", TenantId::new()), ("a destroyed tenant", tenant.id)] {
        for action in [Action::Start, Action::Destroy] {
            let result = store.request(id, seen, &asked(action, &tenant.spec)).await;
            refused(&format!("{action} of {what}"), result, ErrorKind::NotFound);
        }
    }
}

/// An update keeps what the tenant was as the operation's `previous`.
pub async fn request_of_an_update_keeps_the_previous<F: StoreFixture + ?Sized>(fixture: &F) {
    let store = fixture.store();
    let tenant = active_as(&store, &spec()).await;
    // An update that works pins an image ...
    let mut wanted = tenant.spec.clone();
    wanted.image = "example/app:2".parse().expect("an image's name");
    let pinned = Some(ImageId::new("sha256:2"));
    let new = asked(Action::Update, &wanted);
    let update = done("update", store.request(tenant.id, tenant.generation, &new).await);
    let was = Target { spec: tenant.spec.clone(), image: None };
    assert_eq!(update.previous, Some(was), "what the tenant was before the first update");
    assert_eq!(update.target.spec, wanted, "what the first update leads to");
    assert_eq!(tenant_now(&store, tenant.id).await.spec, tenant.spec, "the spec until it is done");
    let lease = leased(&store, &LONG).await;
    let mut entry: Entry = success(&lease);
    entry.tenant.image.clone_from(&pinned);
    entry.spec = Some(wanted.clone());
    recorded(&store, &lease, &entry).await;
    // ... and the next one keeps it.
    let now = tenant_now(&store, tenant.id).await;
    assert_eq!(now.spec, wanted, "the spec after the update");
    let update = requested(&store, Action::Update, tenant.id, now.generation).await;
    let was = Target { spec: wanted, image: pinned };
    assert_eq!(update.previous, Some(was), "what the tenant was before the second update");
}

/// One after which the tenant runs, without room for it: `Exhausted`, and nothing is written.
pub async fn request_needs_room<F: StoreFixture + ?Sized>(fixture: &F) {
    let store = fixture.store();
    let tenant = active(&store).await;
    let mut capacity = Capacity::unlimited();
    capacity.memory_limits_mb = Some(tenant.spec.limits.memory_mb.into());
    // It has its room, and may stop and start in it ...
    let mut now = tenant.clone();
    for action in [Action::Restart, Action::Stop] {
        let new = asked(action, &tenant.spec).within(capacity);
        done("request", store.request(tenant.id, now.generation, &new).await);
        let lease = leased(&store, &LONG).await;
        recorded(&store, &lease, &success(&lease)).await;
        now = tenant_now(&store, tenant.id).await;
    }
    // ... until another has taken it.
    active(&store).await;
    for action in [Action::Start, Action::Update] {
        let new = asked(action, &tenant.spec).within(capacity);
        let result = store.request(tenant.id, now.generation, &new).await;
        refused(&format!("{action} without room"), result, ErrorKind::Exhausted);
        refused("the refused operation", store.operation(new.id).await, ErrorKind::NotFound);
    }
    assert_eq!(tenant_now(&store, tenant.id).await, now, "the tenant should be as it was");
    let new = asked(Action::Destroy, &tenant.spec).within(capacity);
    done("destroy", store.request(tenant.id, now.generation, &new).await);
}

/// A tenant whose creation failed is `pending` again once its creation is accepted.
pub async fn request_of_a_create_takes_its_room<F: StoreFixture + ?Sized>(fixture: &F) {
    let (store, (tenant, _)) = (fixture.store(), created(&fixture.store()).await);
    let lease = leased(&store, &LONG).await;
    let mut entry = success(&lease);
    entry.tenant.status = TenantStatus::Error;
    entry.change = Some(Change::Failed(Failure::cancelled()));
    recorded(&store, &lease, &entry).await;
    let failed = tenant_now(&store, tenant.id).await;
    requested(&store, Action::Create, tenant.id, failed.generation).await;
    let pending = TenantQuery { status: Some(TenantStatus::Pending), ..TenantQuery::all() };
    let page = done("tenants", store.tenants(&pending).await);
    assert_eq!(page.tenants.len(), 1, "it should be found as pending: {page:?}");
    assert_eq!(page.tenants[0].state.status, TenantStatus::Pending, "its status");
}
