//! The store.

use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use tokio::sync::broadcast::error::RecvError;

use super::MemoryWorld;
use super::clock::after;
use super::work::{Holder, Signal, Work};
use crate::error::{Error, ErrorKind, Result};
use crate::health::Health;
use crate::ids::{Generation, OperationId, PlatformId, TenantId, WorkerId};
use crate::image::PullProgress;
use crate::operation::{Change, Event, Failure, NewOperation, Operation, Target};
use crate::step::Action;
use crate::store::{
    Entry, Lease, LeaseTerms, OperationPage, OperationQuery, Store, TenantPage, TenantQuery,
};
use crate::tenant::{Tenant, TenantSpec, TenantState, TenantStatus};

/// The store of a [`MemoryWorld`]. It keeps all that a store keeps, until the world is gone.
#[derive(Clone, Debug)]
pub struct MemoryStore {
    world: MemoryWorld,
}

impl MemoryStore {
    pub(super) const fn new(world: MemoryWorld) -> Self {
        Self { world }
    }
}

/// One page of what there is (a limit of 0 stands for all), and how much there is.
fn page<T>(all: impl Iterator<Item = T>, offset: u64, limit: u64) -> (Vec<T>, u64) {
    let offset = usize::try_from(offset).unwrap_or(usize::MAX);
    let limit = match limit {
        0 => usize::MAX,
        limit => usize::try_from(limit).unwrap_or(usize::MAX),
    };
    let all: Vec<_> = all.collect();
    let total = all.len() as u64;
    (all.into_iter().skip(offset).take(limit).collect(), total)
}

#[async_trait]
impl Store for MemoryStore {
    async fn platform(&self) -> Result<PlatformId> {
        Ok(self.world.works().platform)
    }

    async fn create(
        &self,
        id: TenantId,
        spec: &TenantSpec,
        operation: &NewOperation,
    ) -> Result<(Tenant, Operation)> {
        let now = self.world.shared.clock.now();
        let mut works = self.world.works();
        if let Some((tenant, first)) = works.tenant(id).zip(works.works_of(id).next()) {
            return Ok((tenant.clone(), first.operation.clone()));
        }
        if works.holder_of(&spec.subdomain).is_some() {
            let what = "this subdomain is taken; choose another one";
            return Err(Error::new(ErrorKind::Conflict, what).with("subdomain", &spec.subdomain));
        }
        if works.work(operation.id).is_ok() {
            let what = "this operation's id belongs to another tenant";
            return Err(Error::new(ErrorKind::Conflict, what).with("operation", operation.id));
        }
        let had = works.tenants.iter().filter(|tenant| tenant.spec.subdomain == spec.subdomain);
        operation.quota.admit_subdomain(&spec.owner, &spec.subdomain, had, now)?;
        if operation.needs_room() {
            operation.capacity.admit(id, spec, &works.tenants)?;
        }
        if operation.needs_quota() {
            operation.quota.admit_tenant(works.living_of(&spec.owner))?;
            operation.quota.admit_creation(&works.recent_of(&spec.owner, now), now)?;
        }
        let tenant = Tenant {
            id,
            spec: spec.clone(),
            state: TenantState::pending(),
            generation: Generation::new(1),
            created_at: now,
        };
        let accepted = Operation::accept(id, operation.clone(), None, now);
        works.tenants.push(tenant.clone());
        works.works.push(Work::new(accepted.clone(), now));
        Ok((tenant, accepted))
    }

    async fn request(
        &self,
        id: TenantId,
        seen: Generation,
        new: &NewOperation,
    ) -> Result<Operation> {
        let now = self.world.shared.clock.now();
        let mut works = self.world.works();
        if let Some(first) = works.works_of(id).find(|work| work.operation.id == new.id) {
            return Ok(first.operation.clone());
        }
        let alive = works.tenant(id).filter(|t| t.state.status != TenantStatus::Destroyed);
        let tenant = alive.cloned().ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "there is no such tenant").with("tenant", id)
        })?;
        let destroy = new.action == Action::Destroy;
        match works.unfinished(id) {
            Some(work) if destroy && work.operation.action == Action::Destroy => {
                return Ok(work.operation.clone());
            }
            Some(work) if destroy => work.apply(&Change::Failed(Failure::cancelled()), now),
            Some(work) => {
                let what = "another operation on this tenant is under way; wait for its end";
                let error = Error::new(ErrorKind::Conflict, what);
                return Err(error.with("operation", work.operation.id));
            }
            None if seen != tenant.generation && !destroy => {
                let what = "the tenant changed meanwhile; look at it again";
                let error = Error::new(ErrorKind::Conflict, what).with("seen", seen);
                return Err(error.with("generation", tenant.generation));
            }
            None => {}
        }
        if new.needs_room() {
            new.capacity.admit(id, &new.target.spec, &works.tenants)?;
        }
        if new.needs_quota() {
            new.quota.admit_creation(&works.recent_of(&tenant.spec.owner, now), now)?;
        }
        let previous = (new.action == Action::Update)
            .then(|| Target { spec: tenant.spec.clone(), image: tenant.state.image.clone() });
        let accepted = Operation::accept(id, new.clone(), previous, now);
        works.works.push(Work::new(accepted.clone(), now));
        if let Some(tenant) = works.tenant_mut(id) {
            tenant.generation = tenant.generation.next();
            tenant.state.accept(new.action);
        }
        Ok(accepted)
    }

    async fn lease(&self, worker: WorkerId, terms: &LeaseTerms) -> Result<Option<Lease>> {
        let now = self.world.shared.clock.now();
        let mut works = self.world.works();
        let Some(work) = works.works.iter_mut().find(|work| work.is_free(now)) else {
            return Ok(None);
        };
        if work.holder.is_some() {
            work.deaths += 1;
            work.deadline = None;
        }
        let deadline = *work.deadline.get_or_insert(after(now, terms.budget));
        work.holder = Some(Holder { worker, until: after(now, terms.ttl) });
        let (operation, stage, deaths) = (work.operation.clone(), work.stage.clone(), work.deaths);
        let remaining = (deadline - now).to_std().unwrap_or(Duration::ZERO);
        let tenant = works.tenant_mut(operation.tenant).ok_or_else(|| {
            Error::new(ErrorKind::Internal, "an operation has no tenant")
                .with("operation", operation.id)
        })?;
        tenant.generation = tenant.generation.next();
        Ok(Some(Lease::new(worker, tenant.clone(), operation, stage, deaths, remaining)))
    }

    async fn renew(&self, lease: &Lease, ttl: Duration) -> Result<()> {
        let until = after(self.world.shared.clock.now(), ttl);
        let mut works = self.world.works();
        let (_, work) = works.held(lease)?;
        work.holder = Some(Holder { worker: lease.worker, until });
        Ok(())
    }

    async fn record(&self, lease: &Lease, entry: &Entry) -> Result<Operation> {
        let now = self.world.shared.clock.now();
        let mut works = self.world.works();
        let (tenant, work) = works.held(lease)?;
        tenant.state = entry.tenant.clone();
        tenant.state.note_destroyed(now);
        if let Some(spec) = &entry.spec {
            tenant.spec = spec.clone();
        }
        work.stage = entry.stage.clone();
        if let Some(change) = &entry.change {
            work.apply(change, now);
        }
        let operation = work.operation.clone();
        if entry.tenant.status == TenantStatus::Destroyed {
            works.forget_last_lines(lease.tenant.id);
        }
        Ok(operation)
    }

    async fn release(&self, lease: &Lease, retry_after: Duration) -> Result<()> {
        let now = self.world.shared.clock.now();
        let mut works = self.world.works();
        let (_, work) = works.held(lease)?;
        work.holder = None;
        work.not_before = after(now, retry_after);
        Ok(())
    }

    async fn tenants(&self, query: &TenantQuery) -> Result<TenantPage> {
        let at = self.world.shared.clock.now();
        let works = self.world.works();
        let all = works.tenants.iter().rev().filter(|tenant| query.matches(tenant));
        let (tenants, total) = page(all.cloned(), query.offset, query.limit);
        Ok(TenantPage { tenants, total, at })
    }

    async fn operation(&self, id: OperationId) -> Result<Operation> {
        Ok(self.world.works().work(id)?.operation.clone())
    }

    async fn operations(&self, tenant: TenantId, limit: u32) -> Result<Vec<Operation>> {
        let works = self.world.works();
        let newest = works.works_of(tenant).rev().take(limit as usize);
        Ok(newest.map(|work| work.operation.clone()).collect())
    }

    async fn history(&self, query: &OperationQuery) -> Result<OperationPage> {
        let works = self.world.works();
        let all = works.works.iter().rev().map(|work| &work.operation);
        let all = all.filter(|operation| query.matches(operation)).filter_map(|operation| {
            let tenant = works.tenants.iter().find(|tenant| tenant.id == operation.tenant)?;
            Some((tenant.spec.subdomain.clone(), operation.clone()))
        });
        let (operations, total) = page(all, query.offset, query.limit);
        Ok(OperationPage { operations, total })
    }

    async fn events(
        &self,
        id: OperationId,
        after: u64,
    ) -> Result<BoxStream<'static, Result<Event>>> {
        // Subscribed before the history is read: what comes in between is told twice, not never.
        let signals = self.world.works().work(id)?.signals.subscribe();
        let world = self.world.clone();
        let told = stream::unfold((after, signals), move |(told, mut signals)| {
            let world = world.clone();
            async move {
                loop {
                    match next(&world, id, told) {
                        Next::Event(event) => {
                            return Some((Ok(event), (told + 1, signals)));
                        }
                        Next::End => return None,
                        Next::Wait => {}
                    }
                    match signals.recv().await {
                        Ok(Signal::Progress(progress)) => {
                            return Some((Ok(Event::Progress(progress)), (told, signals)));
                        }
                        // Whoever lagged behind reads the history again.
                        Ok(Signal::Changed) | Err(RecvError::Lagged(_)) => {}
                        Err(RecvError::Closed) => return None,
                    }
                }
            }
        });
        Ok(told.boxed())
    }

    async fn announce(&self, operation: OperationId, progress: &PullProgress) -> Result<()> {
        self.world.works().work(operation)?.signal(Signal::Progress(progress.clone()));
        Ok(())
    }

    async fn health(&self) -> Result<Health> {
        Ok(Health::new(concat!("memory store ", env!("CARGO_PKG_VERSION"))))
    }
}

enum Next {
    Event(Event),
    Wait,
    End,
}

/// What follows this place of an operation's history.
fn next(world: &MemoryWorld, id: OperationId, told: u64) -> Next {
    let works = world.works();
    let Ok(work) = works.work(id) else { return Next::End };
    let at = usize::try_from(told).unwrap_or(usize::MAX);
    match work.history.get(at) {
        Some(operation) => Next::Event(Event::stored(told + 1, operation.clone())),
        None if work.operation.status.is_finished() => Next::End,
        None => Next::Wait,
    }
}
