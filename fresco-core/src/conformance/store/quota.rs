//! What one owner may have, and for how long a subdomain is kept.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use super::{
    HOUR, LONG, asked, created_as, destroyed, done, leased, recorded, requested, spec, success,
    tenant_now,
};
use crate::conformance::StoreFixture;
use crate::conformance::support::{refused, subdomain};
use crate::{
    Action, Actor, Change, ErrorKind, Failure, NewOperation, OwnerId, Quota, Result, Store, Tenant,
    TenantId, TenantQuery, TenantSpec, TenantStatus,
};

fn owned_by(owner: &str, spec: &TenantSpec) -> TenantSpec {
    TenantSpec { owner: OwnerId::new(owner), ..spec.clone() }
}

fn keeping(spec: &TenantSpec, cooldown: Duration) -> NewOperation {
    let mut quota = Quota::unlimited();
    quota.cooldown = cooldown;
    asked(Action::Create, spec).under(quota)
}

fn hourly(spec: &TenantSpec, most: u64) -> NewOperation {
    let mut quota = Quota::unlimited();
    quota.creations_per_hour = Some(most);
    asked(Action::Create, spec).under(quota)
}

fn at_most(spec: &TenantSpec, tenants: u64) -> NewOperation {
    let mut quota = Quota::unlimited();
    quota.tenants = Some(tenants);
    asked(Action::Create, spec).under(quota)
}

async fn create(store: &Arc<dyn Store>, spec: &TenantSpec, new: &NewOperation) -> Result<TenantId> {
    store.create(TenantId::new(), spec, new).await.map(|(tenant, _)| tenant.id)
}

/// A tombstone of this owner's, whose tenant people could reach before if `reached`.
async fn tombstone(store: &Arc<dyn Store>, spec: &TenantSpec, reached: bool) -> Tenant {
    let (tenant, operation) = created_as(store, spec).await;
    let lease = leased(store, &LONG).await;
    let mut entry = success(&lease);
    entry.tenant.first_active_at = reached.then_some(operation.created_at);
    recorded(store, &lease, &entry).await;
    destroyed(store, &tenant_now(store, tenant.id).await).await;
    tenant_now(store, tenant.id).await
}

/// Within the quota's cooldown it is free for the owner whose tenant was last reached by it, and
/// `Conflict` for others.
pub async fn create_keeps_a_subdomain_for_its_former_owner<F: StoreFixture + ?Sized>(fixture: &F) {
    let (store, spec) = (fixture.store(), spec());
    let (ada, bob) = (owned_by("ada", &spec), owned_by("bob", &spec));
    tombstone(&store, &ada, true).await;
    let error = refused(
        "another's create within the cooldown",
        create(&store, &bob, &keeping(&bob, HOUR)).await,
        ErrorKind::Conflict,
    );
    assert!(error.context("kept_until").is_some(), "until when it is kept: {error:?}");
    let all = TenantQuery { subdomain: Some(spec.subdomain.clone()), ..TenantQuery::all() };
    assert_eq!(done("tenants", store.tenants(&all).await).total, 0, "nothing should be written");
    let back = done("create", create(&store, &ada, &keeping(&ada, HOUR)).await);
    destroyed_while_pending(&store, back).await;
    // Her second one was never active, and takes nothing from anybody; without a cooldown it is free.
    let again = create(&store, &bob, &keeping(&bob, HOUR)).await;
    refused("another's create, still", again, ErrorKind::Conflict);
    done("create", create(&store, &bob, &keeping(&bob, Duration::ZERO)).await);
}

async fn destroyed_while_pending(store: &Arc<dyn Store>, id: TenantId) {
    requested(store, Action::Destroy, id, tenant_now(store, id).await.generation).await;
    let lease = leased(store, &LONG).await;
    recorded(store, &lease, &success(&lease)).await;
}

/// Of a former owner and another at the same time, the former owner wins.
pub async fn create_of_a_kept_subdomain_by_two<F: StoreFixture + ?Sized>(fixture: &F) {
    let (store, spec) = (fixture.store(), spec());
    let (ada, bob) = (owned_by("ada", &spec), owned_by("bob", &spec));
    tombstone(&store, &ada, true).await;
    let results = join_all((0..8).map(|number| {
        let store = if number % 3 == 0 { fixture.store() } else { fixture.second() };
        let spec = if number % 2 == 0 { ada.clone() } else { bob.clone() };
        async move { (number, create(&store, &spec, &keeping(&spec, HOUR)).await) }
    }))
    .await;
    let (won, lost): (Vec<_>, Vec<_>) = results.into_iter().partition(|(_, made)| made.is_ok());
    assert_eq!(won.len(), 1, "exactly one should succeed: {won:?} {lost:?}");
    assert_eq!(won[0].0 % 2, 0, "it should be the former owner's: {won:?}");
    for (_, result) in lost {
        refused("a create that lost", result, ErrorKind::Conflict);
    }
}

/// An owner who has as many tenants as the quota allows: `Exhausted`.
pub async fn create_within_an_owners_tenants<F: StoreFixture + ?Sized>(fixture: &F) {
    let store = fixture.store();
    let specs: Vec<_> = (0..3).map(|_| owned_by("ada", &spec())).collect();
    let first = tombstone(&store, &specs[0], true).await;
    assert_eq!(first.state.status, TenantStatus::Destroyed, "it counts no more");
    let second = done("create", create(&store, &specs[1], &at_most(&specs[1], 1)).await);
    let error = create(&store, &specs[2], &at_most(&specs[2], 1)).await;
    let error = refused("one too many", error, ErrorKind::Exhausted);
    assert_eq!(error.context("quota"), Some("tenants"), "{error:?}");
    assert!(error.context("capacity").is_none(), "the platform has room: {error:?}");
    // What was accepted is accepted; others' tenants are not counted; the platform is not bounded.
    done("again", store.create(second, &specs[1], &at_most(&specs[1], 0)).await);
    let bobs = owned_by("bob", &specs[2]);
    done("another's", create(&store, &bobs, &at_most(&bobs, 1)).await);
    let mut own = at_most(&specs[0], 1);
    own.actor = Actor::System;
    done("the platform's own", create(&store, &specs[0], &own).await);
}

/// Beyond the quota of creations within an hour: `Exhausted`, also when their tenants are gone.
pub async fn create_within_an_owners_hour<F: StoreFixture + ?Sized>(fixture: &F) {
    let store = fixture.store();
    let specs: Vec<_> = (0..3).map(|_| owned_by("ada", &spec())).collect();
    tombstone(&store, &specs[0], true).await;
    done("the second", create(&store, &specs[1], &hourly(&specs[1], 2)).await);
    let result = create(&store, &specs[2], &hourly(&specs[2], 2)).await;
    let error = refused("the third", result, ErrorKind::Exhausted);
    assert_eq!(error.context("quota"), Some("creations"), "{error:?}");
    let wait: u64 = error.context("seconds").unwrap_or_default().parse().unwrap_or_default();
    assert!((3400..=3600).contains(&wait), "until the first is an hour old: {error:?}");
    let bobs = owned_by("bob", &specs[2]);
    done("another's", create(&store, &bobs, &hourly(&bobs, 2)).await);
}

/// Of many creates of one owner at the same time, only as many succeed as the quota allows.
pub async fn create_of_many_by_one_owner<F: StoreFixture + ?Sized>(fixture: &F) {
    let base = spec();
    let results = join_all((0..8).map(|number| {
        let store = if number % 2 == 0 { fixture.store() } else { fixture.second() };
        let spec = TenantSpec { subdomain: subdomain(), ..base.clone() };
        async move { create(&store, &spec, &at_most(&spec, 3)).await }
    }))
    .await;
    let (won, lost): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    assert_eq!(won.len(), 3, "three should succeed: {won:?} {lost:?}");
    for result in lost {
        refused("a create beyond the quota", result, ErrorKind::Exhausted);
    }
}

/// To create it again counts as a creation of the owner's, within the quota of an hour.
pub async fn request_of_a_create_counts_as_one<F: StoreFixture + ?Sized>(fixture: &F) {
    let (store, spec) = (fixture.store(), spec());
    let (tenant, _) = created_as(&store, &spec).await;
    let fail = async || {
        let lease = leased(&store, &LONG).await;
        let mut entry = success(&lease);
        entry.tenant.status = TenantStatus::Error;
        entry.change = Some(Change::Failed(Failure::cancelled()));
        recorded(&store, &lease, &entry).await;
        tenant_now(&store, tenant.id).await
    };
    let failed = fail().await;
    let again = hourly(&spec, 2);
    done("create again", store.request(tenant.id, failed.generation, &again).await);
    let failed = fail().await;
    let result = store.request(tenant.id, failed.generation, &hourly(&spec, 2)).await;
    refused("once more", result, ErrorKind::Exhausted);
    assert_eq!(tenant_now(&store, tenant.id).await, failed, "the tenant should be as it was");
}

/// When a tenant was destroyed is noted by the store's clock.
pub async fn record_notes_when_a_tenant_was_destroyed<F: StoreFixture + ?Sized>(fixture: &F) {
    let (store, spec) = (fixture.store(), spec());
    let gone = tombstone(&store, &spec, true).await;
    let page = done("tenants", store.tenants(&TenantQuery::one(gone.id)).await);
    let at = gone.state.destroyed_at.expect("the time should be noted");
    assert!(gone.created_at < at && at <= page.at, "{gone:?} at {}", page.at);
}
