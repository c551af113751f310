//! Compares what runs with what the store says, and mends the difference.
//!
//! A tenant is only ever changed by an operation, so a repair never races one. Containers are
//! listed before the store is read, so what is listed and not known afterwards is nobody's. But an
//! operation may have gone on in between: before anything is removed or repaired, that tenant is
//! looked at once more. What belongs to a tenant that the store never knew is reported and left
//! alone: a wrong setting must not empty a machine.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::backends::call;
use crate::database::DatabaseEntry;
use crate::error::{ErrorKind, Result};
use crate::fit::{self, Misfit};
use crate::ids::TenantId;
use crate::instance::Instance;
use crate::operation::{Actor, NewOperation, Operation, Target};
use crate::prove;
use crate::repairs::{self, Repairs};
use crate::routes;
use crate::runtime::RuntimeEvent;
use crate::step::Action;
use crate::store::TenantQuery;
use crate::tenant::{DesiredState, Tenant, TenantStatus};
use crate::unreached;
use crate::worker::Shop;

/// What a comparison found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reconciliation {
    /// Repairs that were asked for: tenant and action.
    pub repairs: Vec<(TenantId, Action)>,
    /// Containers beside a tenant's own, or of a destroyed tenant, that were removed.
    pub removed: Vec<TenantId>,
    /// Tenants that have a container or data here and that the store does not know. Left alone.
    pub unknown: Vec<TenantId>,
}

/// Reconciles now and then, and soon after something happened to a container.
pub(crate) async fn keep(shop: Arc<Shop>, cancel: CancellationToken) {
    let Some(interval) = shop.settings.reconcile_interval else { return };
    tokio::select! {
        () = cancel.cancelled() => {}
        () = keep_on(&shop, interval) => {}
    }
}

type Events = BoxStream<'static, Result<RuntimeEvent>>;

async fn keep_on(shop: &Shop, interval: Duration) {
    let mut lost = false;
    loop {
        // Subscribed before the comparison: what happens after it is not missed.
        let events = subscribe(shop).await;
        let silent = events.is_none() && shop.backends.runtime_events.is_some();
        if lost && !silent {
            // A proof that was tried meanwhile has failed, and would be tried again much later.
            shop.proof.doubt();
        }
        lost = silent;
        // While the runtime is away it is looked for more often: whatever ran on it waits.
        let interval = if silent { interval.min(shop.settings.retry_max) } else { interval };
        let changed = Notify::new();
        tokio::select! {
            () = listen(events, &changed) => {
                // The runtime was lost, restarted perhaps, and its network with it.
                shop.proof.doubt();
                lost = true;
                // Subscribe again, but not in a hurry.
                tokio::time::sleep(shop.settings.work_interval).await;
            }
            () = compare(shop, &changed, interval, silent) => {}
        }
    }
}

/// Passes on that something happens to containers, until the events end. That is noticed at once,
/// however long a comparison takes and however many events came before it.
async fn listen(events: Option<Events>, changed: &Notify) {
    let Some(mut events) = events else { return std::future::pending().await };
    while let Some(Ok(_)) = events.next().await {
        changed.notify_one();
    }
}

/// Compares now and then, and soon after something happened; for one interval only if nobody tells
/// what happens.
async fn compare(shop: &Shop, changed: &Notify, interval: Duration, silent: bool) {
    loop {
        match once(shop).await {
            Ok(found) => report(&found),
            Err(error) => {
                tracing::warn!(error = %error.chain(), "could not compare what runs with the store");
            }
        }
        if tokio::time::timeout(interval, changed.notified()).await.is_ok() {
            tokio::time::sleep(shop.settings.poll_interval).await;
            // One comparison answers all that happened until now.
            let _ = changed.notified().now_or_never();
        }
        if silent {
            return;
        }
    }
}

/// The runtime's events; `None` when it has none, or does not give them now.
async fn subscribe(shop: &Shop) -> Option<Events> {
    let watch = shop.backends.runtime_events.as_ref()?.watch();
    match call("runtime.watch", shop.settings.call_deadline, watch).await {
        Ok(events) => Some(events),
        Err(error) => {
            tracing::warn!(error = %error.chain(), "the runtime does not tell what happens; only looking now and then");
            None
        }
    }
}

fn report(found: &Reconciliation) {
    for (tenant, action) in &found.repairs {
        tracing::warn!(%tenant, %action, "a tenant is not as it should be; repairing it");
    }
    for tenant in &found.removed {
        tracing::warn!(%tenant, "removed a container that is not the tenant's own");
    }
    for tenant in &found.unknown {
        tracing::error!(%tenant, "there is a container or data of a tenant that the store does not know; left alone");
    }
}

/// One comparison.
pub(crate) async fn once(shop: &Shop) -> Result<Reconciliation> {
    prove::ensure(shop).await;
    let there = look(shop, None).await?;
    let (backends, deadline) = (&shop.backends, shop.settings.call_deadline);
    // Tombstones grow for ever: they are read one by one, where something is left of them.
    let live = TenantQuery::all();
    let live = call("store.tenants", deadline, backends.store.tenants(&live)).await?;
    let mut tenants: BTreeMap<_, _> = live.tenants.into_iter().map(|t| (t.id, t)).collect();

    let mut found = Reconciliation::default();
    let owners = there.instances.iter().map(|i| i.tenant).chain(there.databases.keys().copied());
    let others: BTreeSet<_> = owners.filter(|id| !tenants.contains_key(id)).collect();
    for id in others {
        match tenant(shop, id).await {
            Ok(Some(tombstone)) => drop(tenants.insert(id, tombstone)),
            Ok(None) => found.unknown.push(id),
            Err(error) => {
                tracing::warn!(tenant = %id, error = %error.chain(), "could not look up whose this is; left alone");
            }
        }
    }

    // What can't be looked at or mended now must not keep the others from being mended.
    for instance in &there.instances {
        let known = tenants.get(&instance.tenant);
        if known.is_none_or(|tenant| is_own(tenant, instance)) {
            continue;
        }
        match remove_surplus(shop, instance).await {
            Ok(true) => found.removed.push(instance.tenant),
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(tenant = %instance.tenant, error = %error.chain(), "could not remove a container that seems surplus");
            }
        }
    }
    let well = tenants.values().filter(|tenant| fault(tenant, &there).is_none());
    let running = well
        .filter(|tenant| tenant.state.status == TenantStatus::Active && should_run(tenant, &there));
    let running: Vec<_> =
        running.filter_map(|tenant| Some((tenant, own(tenant, &there)?))).collect();
    routes::publish_opened(shop, &running).await;
    let unreached = unreached::look(shop, running).await;
    for tenant in tenants.values() {
        let is_unreached = unreached.contains(&tenant.id);
        if is_unreached || fault(tenant, &there).is_some() {
            match repair(shop, tenant, is_unreached, live.at).await {
                Ok(Some(action)) => found.repairs.push((tenant.id, action)),
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(tenant = %tenant.id, error = %error.chain(), "could not ask for a repair");
                }
            }
        }
    }
    Ok(found)
}

/// What is there of all tenants, or of one.
struct Sight {
    instances: Vec<Instance>,
    databases: BTreeMap<TenantId, DatabaseEntry>,
    /// Whose database is barred: those stay down until a person starts them.
    barred: BTreeSet<TenantId>,
}

async fn look(shop: &Shop, tenant: Option<TenantId>) -> Result<Sight> {
    let (backends, deadline) = (&shop.backends, shop.settings.call_deadline);
    let instances = call("runtime.list", deadline, backends.runtime.list(tenant)).await?;
    let databases = call("database.list", deadline, backends.database.list(tenant)).await?;
    let barred = match &backends.database_watch {
        // After the databases: whose role was locked by a bar is known as barred.
        Some(watch) => call("database_watch.barred", deadline, watch.barred(tenant)).await?,
        None => Vec::new(),
    };
    Ok(Sight {
        instances,
        databases: databases.into_iter().map(|entry| (entry.tenant, entry)).collect(),
        barred: barred.into_iter().map(|offence| offence.tenant).collect(),
    })
}

pub(crate) fn is_own(tenant: &Tenant, instance: &Instance) -> bool {
    tenant.state.container.as_ref().is_some_and(|container| container.id == instance.id)
}

/// Removes a container, if it is nobody's.
async fn remove_surplus(shop: &Shop, instance: &Instance) -> Result<bool> {
    if !is_surplus(shop, instance).await? {
        return Ok(false);
    }
    let remove = shop.backends.runtime.remove(&instance.id);
    call("runtime.remove", shop.settings.call_deadline, remove).await?;
    Ok(true)
}

/// Whether a container that was not the tenant's own a moment ago is nobody's.
///
/// An operation that made it may have been finished since: so first, that none is under way, and
/// after that once more, what the tenant's own is.
async fn is_surplus(shop: &Shop, instance: &Instance) -> Result<bool> {
    if !history(shop, instance.tenant).await?.first().is_none_or(is_finished) {
        return Ok(false);
    }
    let tenant = tenant(shop, instance.tenant).await?;
    Ok(tenant.is_some_and(|tenant| !is_own(&tenant, instance)))
}

/// What is wrong with a tenant.
enum Fault {
    /// It should run, and this is wrong with its container. A start mends it.
    Unfit(Misfit),
    /// It runs as it should, and nobody has reached it for a while.
    Unreached,
    /// It should rest, and runs.
    Runs,
}

impl Fault {
    const fn repair(&self) -> Action {
        match self {
            Self::Unfit(_) => Action::Start,
            Self::Unreached => Action::Restart,
            Self::Runs => Action::Stop,
        }
    }

    const fn misfit(&self) -> Option<&Misfit> {
        match self {
            Self::Unfit(misfit) => Some(misfit),
            Self::Unreached | Self::Runs => None,
        }
    }
}

/// The tenant's own container.
fn own<'a>(tenant: &Tenant, there: &'a Sight) -> Option<&'a Instance> {
    there.instances.iter().find(|instance| is_own(tenant, instance))
}

fn should_run(tenant: &Tenant, there: &Sight) -> bool {
    // A start that failed is tried again, ever more rarely: what it failed of may have passed.
    let once_ran = tenant.state.status == TenantStatus::Active
        || (tenant.state.status == TenantStatus::Error && tenant.state.first_active_at.is_some());
    once_ran && tenant.state.desired == DesiredState::Running && !there.barred.contains(&tenant.id)
}

fn fault(tenant: &Tenant, there: &Sight) -> Option<Fault> {
    let should_rest = tenant.state.status == TenantStatus::Stopped
        && tenant.state.desired == DesiredState::Stopped;
    tenant.state.container.as_ref()?;
    let own = own(tenant, there);
    if should_run(tenant, there) {
        let database = there.databases.get(&tenant.id);
        return fit::misfit(own, &tenant.spec.limits, database).map(Fault::Unfit);
    }
    (should_rest && own.is_some_and(Instance::is_running)).then_some(Fault::Runs)
}

/// Asks for a repair, unless something is under way or it was repaired a moment ago.
///
/// What was seen may be older than an operation that has ended since. So the tenant is looked at
/// again, and only what is needed then is asked for. That sight is whole: nothing is under way, its
/// generation tells that nothing began since `seen`, and the request tells that nothing did until
/// it was accepted.
async fn repair(
    shop: &Shop,
    seen: &Tenant,
    is_unreached: bool,
    now: DateTime<Utc>,
) -> Result<Option<Action>> {
    let history = history(shop, seen.id).await?;
    if !history.first().is_none_or(is_finished) {
        return Ok(None);
    }
    let tenant = tenant(shop, seen.id).await?;
    let Some(tenant) = tenant.filter(|tenant| tenant.generation == seen.generation) else {
        return Ok(None);
    };
    let there = look(shop, Some(tenant.id)).await?;
    let repairs = Repairs::among(&history, now);
    let unreached = match own(&tenant, &there) {
        // Asked once more: what did not answer may have been booting.
        Some(own) if is_unreached && should_run(&tenant, &there) => {
            unreached::ask(shop, &tenant, own).await.map(|_| Fault::Unreached)
        }
        _ => None,
    };
    let fault = fault(&tenant, &there).or(unreached).filter(|fault| repairs.rested(fault.misfit()));
    let Some(action) = fault.map(|fault| fault.repair()) else { return Ok(None) };
    let target = Target { spec: tenant.spec.clone(), image: tenant.state.image.clone() };
    // It has its room already.
    let operation = NewOperation::new(action, Actor::System, target);
    let request = shop.backends.store.request(tenant.id, tenant.generation, &operation);
    match call("store.request", shop.settings.call_deadline, request).await {
        Ok(_) => {
            shop.work.notify_one();
            Ok(Some(action))
        }
        // Somebody was faster; the next comparison sees what came of it.
        Err(error) if matches!(error.kind(), ErrorKind::Conflict | ErrorKind::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The tenant as it is now; `None` if the store never knew it.
pub(crate) async fn tenant(shop: &Shop, id: TenantId) -> Result<Option<Tenant>> {
    let query = TenantQuery::one(id);
    let tenants = shop.backends.store.tenants(&query);
    let page = call("store.tenants", shop.settings.call_deadline, tenants).await?;
    Ok(page.tenants.into_iter().next())
}

async fn history(shop: &Shop, tenant: TenantId) -> Result<Vec<Operation>> {
    let history = shop.backends.store.operations(tenant, repairs::SEEN);
    call("store.operations", shop.settings.call_deadline, history).await
}

fn is_finished(operation: &Operation) -> bool {
    operation.status.is_finished()
}
