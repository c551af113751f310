//! Reading tenants and operations.

use super::{active, active_as, created_as, destroyed, done, requested, spec};
use crate::conformance::StoreFixture;
use crate::conformance::support::{names_a_version, refused};
use crate::{
    Action, ErrorKind, OperationId, OperationQuery, OperationStatus, OwnerId, Tenant, TenantId,
    TenantQuery, TenantStatus,
};

/// Each filter holds; offset and limit give pages without gap or overlap.
pub async fn tenants_are_filtered_and_paged<F: StoreFixture + ?Sized>(fixture: &F) {
    let store = fixture.store();
    let gone = active(&store).await;
    destroyed(&store, &gone).await;
    let mut all = Vec::new();
    for number in 0..5 {
        let mut spec = spec();
        spec.owner = OwnerId::new(if number % 2 == 0 { "even" } else { "odd" });
        // The last one is not active yet.
        let tenant = match number {
            4 => created_as(&store, &spec).await.0,
            _ => active_as(&store, &spec).await,
        };
        all.insert(0, tenant.id);
    }
    let third = done("tenants", store.tenants(&TenantQuery::one(all[2])).await).tenants.remove(0);
    let name = third.spec.subdomain.clone();
    let asking = TenantQuery::all;
    let even = vec![all[0], all[2], all[4]];
    let some_id = |id| TenantQuery { id: Some(id), ..asking() };
    for (what, query, expected) in [
        ("all", asking(), all.clone()),
        ("all and tombstones", TenantQuery { destroyed: true, ..asking() }, {
            let mut with = all.clone();
            with.push(gone.id);
            with
        }),
        ("by id", some_id(all[1]), vec![all[1]]),
        ("by the id of a tombstone", some_id(gone.id), vec![gone.id]),
        ("by an unknown id", some_id(TenantId::new()), vec![]),
        ("by owner", TenantQuery { owner: Some(OwnerId::new("even")), ..asking() }, even),
        ("by subdomain", TenantQuery { subdomain: Some(name.clone()), ..asking() }, vec![all[2]]),
        (
            "by a part of the subdomain",
            TenantQuery { search: Some(name.as_str()[3..].into()), ..asking() },
            vec![all[2]],
        ),
        (
            "by a wildcard that is none",
            TenantQuery { search: Some("%".into()), ..asking() },
            vec![],
        ),
        (
            "by status",
            TenantQuery { status: Some(TenantStatus::Active), ..asking() },
            all[1..].to_vec(),
        ),
        (
            "tombstones by status",
            TenantQuery { status: Some(TenantStatus::Destroyed), ..asking() },
            vec![gone.id],
        ),
    ] {
        let page = done("tenants", store.tenants(&query).await);
        let ids: Vec<_> = page.tenants.iter().map(|tenant| tenant.id).collect();
        assert_eq!(ids, expected, "{what}, newest first");
        assert_eq!(page.total, expected.len() as u64, "{what}: the total");
    }
    let mut paged = Vec::new();
    for offset in [0, 2, 4, 6] {
        let query = TenantQuery { offset, limit: 2, ..asking() };
        let page = done("tenants", store.tenants(&query).await);
        assert_eq!(page.total, 5, "the total of a page from {offset}");
        assert!(page.tenants.len() <= 2, "a page from {offset}: {}", page.tenants.len());
        paged.extend(page.tenants.into_iter().map(|tenant| tenant.id));
    }
    assert_eq!(paged, all, "all pages together");
}

/// An unknown one is `NotFound`.
pub async fn operation_refuses_an_unknown_one<F: StoreFixture + ?Sized>(fixture: &F) {
    let result = fixture.store().operation(OperationId::new()).await;
    refused("an unknown operation", result, ErrorKind::NotFound);
}

/// At most `limit`; an unknown tenant has none.
pub async fn operations_are_limited<F: StoreFixture + ?Sized>(fixture: &F) {
    let (store, tenant) = (fixture.store(), active(&fixture.store()).await);
    let newest = requested(&store, Action::Restart, tenant.id, tenant.generation).await;
    let one = done("operations", store.operations(tenant.id, 1).await);
    assert_eq!(one, [newest], "the newest one");
    let both = done("operations", store.operations(tenant.id, 10).await);
    let actions: Vec<_> = both.iter().map(|operation| operation.action).collect();
    assert_eq!(actions, [Action::Restart, Action::Create], "all, newest first");
    let none = done("operations", store.operations(TenantId::new(), 10).await);
    assert_eq!(none, [], "those of an unknown tenant");
}

/// Each filter holds; offset and limit give pages without gap or overlap.
pub async fn history_is_filtered_and_paged<F: StoreFixture + ?Sized>(fixture: &F) {
    let store = fixture.store();
    let (one, other) = (active(&store).await, active(&store).await);
    let restart = requested(&store, Action::Restart, one.id, one.generation).await;
    let stop = requested(&store, Action::Stop, other.id, other.generation).await;
    let all = done("history", store.history(&OperationQuery::all()).await);
    assert_eq!(all.total, 4, "the total of all");
    let name = |tenant: &Tenant| tenant.spec.subdomain.clone();
    let newest = [(name(&other), stop.clone()), (name(&one), restart.clone())];
    assert_eq!(all.operations[..2], newest, "newest first, each with its tenant's subdomain");
    let create = |number: usize| all.operations[number].1.id;
    let asking = OperationQuery::all;
    for (what, query, expected) in [
        (
            "by tenant",
            OperationQuery { tenants: Some(vec![one.id, TenantId::new()]), ..asking() },
            vec![restart.id, create(3)],
        ),
        (
            "by an unknown tenant",
            OperationQuery { tenants: Some(vec![TenantId::new()]), ..asking() },
            vec![],
        ),
        ("by no tenant at all", OperationQuery { tenants: Some(vec![]), ..asking() }, vec![]),
        (
            "by action",
            OperationQuery { action: Some(Action::Create), ..asking() },
            vec![create(2), create(3)],
        ),
        (
            "by status",
            OperationQuery { status: Some(OperationStatus::Initiated), ..asking() },
            vec![stop.id, restart.id],
        ),
        (
            "those under way",
            OperationQuery { unfinished: true, ..asking() },
            vec![stop.id, restart.id],
        ),
        (
            "those under way on one tenant",
            OperationQuery { tenants: Some(vec![other.id]), unfinished: true, ..asking() },
            vec![stop.id],
        ),
    ] {
        let page = done("history", store.history(&query).await);
        let ids: Vec<_> = page.operations.iter().map(|(_, operation)| operation.id).collect();
        assert_eq!((ids, page.total), (expected.clone(), expected.len() as u64), "{what}");
    }
    let mut paged = Vec::new();
    for offset in [0, 3, 6] {
        let query = OperationQuery { offset, limit: 3, ..asking() };
        let page = done("history", store.history(&query).await);
        assert_eq!(page.total, 4, "the total of a page from {offset}");
        assert!(page.operations.len() <= 3, "a page from {offset}: {}", page.operations.len());
        paged.extend(page.operations);
    }
    assert_eq!(paged, all.operations, "all pages together");
}

/// Those of destroyed tenants are among them.
pub async fn history_knows_destroyed_tenants<F: StoreFixture + ?Sized>(fixture: &F) {
    let store = fixture.store();
    let gone = active(&store).await;
    destroyed(&store, &gone).await;
    let page = done("history", store.history(&OperationQuery::all()).await);
    let told = page.operations.iter().map(|(name, operation)| (name, operation.action));
    let name = &gone.spec.subdomain;
    assert_eq!(told.collect::<Vec<_>>(), [(name, Action::Destroy), (name, Action::Create)]);
}

/// It names the store and its version.
pub async fn health_names_the_store<F: StoreFixture + ?Sized>(fixture: &F) {
    names_a_version(&done("health", fixture.store().health().await));
}
