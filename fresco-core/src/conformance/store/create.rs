//! The platform's id, and accepting tenants.

use futures_util::future::join_all;

use super::{active_as, asked, created, destroyed, done, operation_now, spec, tenant_now};
use crate::conformance::StoreFixture;
use crate::conformance::support::refused;
use crate::{
    Action, Capacity, ErrorKind, Operation, OperationStatus, TenantId, TenantQuery, TenantState,
};

/// Two calls, also at the same time, give the same id.
pub async fn platform_is_always_the_same<F: StoreFixture + ?Sized>(fixture: &F) {
    let stores = [fixture.store(), fixture.second(), fixture.store(), fixture.second()];
    let ids = join_all(stores.iter().map(|store| store.platform())).await;
    let ids: Vec<_> = ids.into_iter().map(|id| done("platform", id)).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "calls at the same time: {ids:?}");
    assert_eq!(done("platform", fixture.second().platform().await), ids[0], "a later call");
}

/// Tenant and operation are there, or neither.
pub async fn create_is_all_or_nothing<F: StoreFixture + ?Sized>(fixture: &F) {
    let (store, id, spec) = (fixture.store(), TenantId::new(), spec());
    let new = asked(Action::Create, &spec);
    let (tenant, operation) = done("create", store.create(id, &spec, &new).await);
    assert_eq!(tenant.id, id, "the tenant's id");
    assert_eq!(tenant.spec, spec, "the tenant's spec");
    assert_eq!(tenant.state, TenantState::pending(), "the tenant's state");
    let expected = Operation::accept(id, new, None, operation.created_at);
    assert_eq!(operation, expected, "the operation");
    assert_eq!(operation.status, OperationStatus::Initiated, "the operation's status");
    let second = fixture.second();
    assert_eq!(tenant_now(&second, id).await, tenant, "the tenant, for another program");
    assert_eq!(operation_now(&second, operation.id).await, operation, "the operation there");
    let all = done("operations", second.operations(id, 10).await);
    assert_eq!(all, [operation], "the tenant's operations");
}

/// Again with the same tenant id: the first tenant and its first operation, unchanged.
pub async fn create_again_gives_the_first<F: StoreFixture + ?Sized>(fixture: &F) {
    let (store, (tenant, operation)) = (fixture.store(), created(&fixture.store()).await);
    let other = spec();
    for spec in [&tenant.spec, &other] {
        let again = store.create(tenant.id, spec, &asked(Action::Create, spec)).await;
        let first = (tenant.clone(), operation.clone());
        assert_eq!(done("create again", again), first, "it should give the first");
    }
    let all = done("operations", store.operations(tenant.id, 10).await);
    assert_eq!(all, [operation], "there should be no second operation");
}

/// A subdomain that a tenant has which is not destroyed is `Conflict`.
pub async fn create_refuses_a_taken_subdomain<F: StoreFixture + ?Sized>(fixture: &F) {
    let (store, (tenant, _)) = (fixture.store(), created(&fixture.store()).await);
    let (id, new) = (TenantId::new(), asked(Action::Create, &tenant.spec));
    let result = store.create(id, &tenant.spec, &new).await;
    refused("create with a taken subdomain", result, ErrorKind::Conflict);
    let page = done("tenants", store.tenants(&TenantQuery::one(id)).await);
    assert_eq!(page.total, 0, "the refused tenant should not be there: {page:?}");
    refused("the refused operation", store.operation(new.id).await, ErrorKind::NotFound);
}

/// The subdomain of a destroyed tenant is free.
pub async fn create_reuses_a_destroyed_tenants_subdomain<F: StoreFixture + ?Sized>(fixture: &F) {
    let (store, spec) = (fixture.store(), spec());
    let first = active_as(&store, &spec).await;
    destroyed(&store, &first).await;
    let second = active_as(&store, &spec).await;
    assert_ne!(second.id, first.id, "it should be another tenant");
    assert_eq!(second.spec.subdomain, first.spec.subdomain, "with the same subdomain");
}

/// Of many creates of one subdomain at the same time exactly one succeeds.
pub async fn create_of_one_subdomain_by_many<F: StoreFixture + ?Sized>(fixture: &F) {
    let spec = spec();
    let results = join_all((0..8).map(|number| {
        let store = if number % 2 == 0 { fixture.store() } else { fixture.second() };
        let spec = spec.clone();
        async move { store.create(TenantId::new(), &spec, &asked(Action::Create, &spec)).await }
    }))
    .await;
    let (won, lost): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    assert_eq!(won.len(), 1, "exactly one should succeed: {won:?} {lost:?}");
    for result in lost {
        refused("a create that came too late", result, ErrorKind::Conflict);
    }
    let page = done("tenants", fixture.store().tenants(&TenantQuery::all()).await);
    assert_eq!(page.total, 1, "one tenant should be there: {page:?}");
}

/// Without room within the operation's capacity: `Exhausted`, and nothing is written.
pub async fn create_needs_room<F: StoreFixture + ?Sized>(fixture: &F) {
    let (store, (first, _)) = (fixture.store(), created(&fixture.store()).await);
    let (id, spec) = (TenantId::new(), spec());
    let need = first.spec.limits.memory_mb + spec.limits.memory_mb;
    let within = |memory_mb: u32| {
        let mut capacity = Capacity::unlimited();
        capacity.memory_limits_mb = Some(memory_mb.into());
        asked(Action::Create, &spec).within(capacity)
    };
    let new = within(need - 1);
    refused("create without room", store.create(id, &spec, &new).await, ErrorKind::Exhausted);
    let page = done("tenants", store.tenants(&TenantQuery::one(id)).await);
    assert_eq!(page.total, 0, "the refused tenant should not be there: {page:?}");
    refused("the refused operation", store.operation(new.id).await, ErrorKind::NotFound);
    let accepted = done("create", store.create(id, &spec, &within(need)).await);
    // What was accepted is accepted, however little room there is now.
    let again = done("create again", store.create(id, &spec, &within(1)).await);
    assert_eq!(again, accepted, "the same again");
}

/// Of many creates at the same time, only as many succeed as there is room for.
pub async fn create_of_many_for_little_room<F: StoreFixture + ?Sized>(fixture: &F) {
    let mut capacity = Capacity::unlimited();
    capacity.reserve_mb = spec().app.min_memory_mb.max(100);
    capacity.reserved_memory_mb = Some(u64::from(capacity.reserve_mb) * 3 + 1);
    let results = join_all((0..8).map(|number| {
        let store = if number % 2 == 0 { fixture.store() } else { fixture.second() };
        let spec = spec();
        let new = asked(Action::Create, &spec).within(capacity);
        async move { store.create(TenantId::new(), &spec, &new).await }
    }))
    .await;
    let (won, lost): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    assert_eq!(won.len(), 3, "three should succeed: {won:?} {lost:?}");
    for result in lost {
        refused("a create without room", result, ErrorKind::Exhausted);
    }
}
