//! The cases of [`Store`].

mod create;
mod events;
mod lease;
mod look;
mod quota;
mod record;
mod request;

use std::sync::Arc;
use std::time::Duration;

pub use create::*;
pub use events::*;
use futures_util::TryStreamExt;
pub use lease::*;
pub use look::*;
pub use quota::*;
pub use record::*;
pub use request::*;

use super::support::{done, soon, subdomain};
use crate::{
    Action, Actor, AppProfile, Change, Direction, Entry, Event, Generation, Lease, LeaseTerms,
    NewOperation, Operation, OperationId, OwnerId, Stage, Step, Store, Target, Tenant, TenantId,
    TenantQuery, TenantSpec, TenantState, TenantStatus, WorkerId,
};

/// The names of all cases of this port, in order.
pub const CASES: &[&str] = &crate::__store_cases!(__conformance_names);

const HOUR: Duration = Duration::from_secs(3600);
/// A lease that lasts longer than any case.
const LONG: LeaseTerms = LeaseTerms { ttl: HOUR, budget: HOUR };

fn spec() -> TenantSpec {
    let image = "example/app:1".parse().expect("an image's name");
    TenantSpec::new(OwnerId::new("owner"), subdomain(), AppProfile::generic(), image)
}

fn asked(action: Action, spec: &TenantSpec) -> NewOperation {
    let target = Target { spec: spec.clone(), image: None };
    NewOperation::new(action, Actor::User("owner".into()), target)
}

async fn created_as(store: &Arc<dyn Store>, spec: &TenantSpec) -> (Tenant, Operation) {
    let result = store.create(TenantId::new(), spec, &asked(Action::Create, spec)).await;
    done("create", result)
}

async fn created(store: &Arc<dyn Store>) -> (Tenant, Operation) {
    created_as(store, &spec()).await
}

async fn requested(
    store: &Arc<dyn Store>,
    action: Action,
    tenant: TenantId,
    seen: Generation,
) -> Operation {
    let spec = tenant_now(store, tenant).await.spec;
    done("request", store.request(tenant, seen, &asked(action, &spec)).await)
}

async fn leased(store: &Arc<dyn Store>, terms: &LeaseTerms) -> Lease {
    let lease = done("lease", store.lease(WorkerId::new(), terms).await);
    lease.expect("there is an operation that nobody holds, but nothing was leased")
}

async fn nothing_to_lease(what: &str, store: &Arc<dyn Store>) {
    let lease = done("lease", store.lease(WorkerId::new(), &LONG).await);
    assert!(lease.is_none(), "{what}: nothing should be leased, but it was {lease:?}");
}

/// A write that finishes an operation well.
fn success(lease: &Lease) -> Entry {
    let action = lease.operation.action;
    let state = TenantState { status: action.end_status(), ..lease.tenant.state.clone() };
    let stage = Stage { next: None, ..lease.stage.clone() };
    Entry::new(stage, state).with_change(Change::Succeeded)
}

/// A write that begins a step.
fn begun(lease: &Lease, step: Step) -> Entry {
    Entry::new(lease.stage.clone(), lease.tenant.state.clone())
        .with_change(Change::StepStarted(Direction::Forward, step))
}

async fn recorded(store: &Arc<dyn Store>, lease: &Lease, entry: &Entry) -> Operation {
    done("record", store.record(lease, entry).await)
}

/// A tenant whose create succeeded.
async fn active_as(store: &Arc<dyn Store>, spec: &TenantSpec) -> Tenant {
    let (tenant, _) = created_as(store, spec).await;
    let lease = leased(store, &LONG).await;
    assert_eq!(lease.tenant.id, tenant.id, "the only operation is that of the new tenant");
    recorded(store, &lease, &success(&lease)).await;
    tenant_now(store, tenant.id).await
}

async fn active(store: &Arc<dyn Store>) -> Tenant {
    active_as(store, &spec()).await
}

async fn destroyed(store: &Arc<dyn Store>, tenant: &Tenant) {
    requested(store, Action::Destroy, tenant.id, tenant.generation).await;
    let lease = leased(store, &LONG).await;
    recorded(store, &lease, &success(&lease)).await;
    let now = tenant_now(store, tenant.id).await;
    assert_eq!(now.state.status, TenantStatus::Destroyed, "the tenant should be a tombstone");
}

async fn tenant_now(store: &Arc<dyn Store>, id: TenantId) -> Tenant {
    let page = done("tenants", store.tenants(&TenantQuery::one(id)).await);
    page.tenants.into_iter().next().expect("the tenant should be there")
}

async fn operation_now(store: &Arc<dyn Store>, id: OperationId) -> Operation {
    done("operation", store.operation(id).await)
}

/// All events of a finished operation after this one.
async fn told(store: &Arc<dyn Store>, operation: OperationId, after: u64) -> Vec<Event> {
    let stream = done("events", store.events(operation, after).await);
    done("reading events", soon("the end of the events", stream.try_collect()).await)
}

fn numbers(events: &[Event]) -> Vec<u64> {
    events.iter().filter_map(Event::seq).collect()
}
