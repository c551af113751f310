//! What the store keeps: tenants, operations, leases and events.

use chrono::{DateTime, Utc};
use tokio::sync::broadcast;

use super::clock::after;
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{OperationId, OwnerId, PlatformId, TenantId, WorkerId};
use crate::image::PullProgress;
use crate::operation::{Change, Operation};
use crate::quota::Quota;
use crate::stage::Stage;
use crate::step::Action;
use crate::store::Lease;
use crate::subdomain::Subdomain;
use crate::tenant::{Tenant, TenantStatus};

/// Signals that a slow listener may lag behind. It loses only progress by that: what is stored it
/// reads again.
const SIGNALS: usize = 256;

pub(super) struct Works {
    pub(super) platform: PlatformId,
    /// Oldest first.
    pub(super) tenants: Vec<Tenant>,
    /// Oldest first.
    pub(super) works: Vec<Work>,
}

/// One operation with all that belongs to it.
pub(super) struct Work {
    pub(super) operation: Operation,
    pub(super) stage: Stage,
    pub(super) holder: Option<Holder>,
    /// It is not leased again before this.
    pub(super) not_before: DateTime<Utc>,
    pub(super) deaths: u32,
    pub(super) deadline: Option<DateTime<Utc>>,
    /// The operation after each change: event n stands at n - 1.
    pub(super) history: Vec<Operation>,
    pub(super) signals: broadcast::Sender<Signal>,
}

#[derive(Clone, Copy)]
pub(super) struct Holder {
    pub(super) worker: WorkerId,
    pub(super) until: DateTime<Utc>,
}

/// What those who watch an operation are told.
#[derive(Clone, Debug)]
pub(super) enum Signal {
    /// There is more in the history.
    Changed,
    Progress(PullProgress),
}

impl Works {
    pub(super) const fn new(platform: PlatformId) -> Self {
        Self { platform, tenants: Vec::new(), works: Vec::new() }
    }

    pub(super) fn tenant(&self, id: TenantId) -> Option<&Tenant> {
        self.tenants.iter().find(|tenant| tenant.id == id)
    }

    pub(super) fn tenant_mut(&mut self, id: TenantId) -> Option<&mut Tenant> {
        self.tenants.iter_mut().find(|tenant| tenant.id == id)
    }

    /// The tenant, not a tombstone, that has this subdomain.
    pub(super) fn holder_of(&self, subdomain: &Subdomain) -> Option<&Tenant> {
        let alive = |tenant: &&Tenant| tenant.state.status != TenantStatus::Destroyed;
        self.tenants.iter().filter(alive).find(|tenant| tenant.spec.subdomain == *subdomain)
    }

    /// How many tenants this owner has.
    pub(super) fn living_of(&self, owner: &OwnerId) -> u64 {
        let alive = |tenant: &&Tenant| tenant.state.status != TenantStatus::Destroyed;
        let own = self.tenants.iter().filter(|tenant| tenant.spec.owner == *owner);
        own.filter(alive).count() as u64
    }

    /// When this owner's creations of the last hour were asked for, the oldest first.
    pub(super) fn recent_of(&self, owner: &OwnerId, now: DateTime<Utc>) -> Vec<DateTime<Utc>> {
        let own = |work: &&Work| {
            let tenant = self.tenant(work.operation.tenant);
            tenant.is_some_and(|tenant| tenant.spec.owner == *owner)
        };
        let creates = self.works.iter().filter(|work| work.operation.action == Action::Create);
        let times = creates.filter(own).map(|work| work.operation.created_at);
        times.filter(|at| after(*at, Quota::HOUR) > now).collect()
    }

    pub(super) fn work(&self, id: OperationId) -> Result<&Work> {
        self.works.iter().find(|work| work.operation.id == id).ok_or_else(|| unknown(id))
    }

    pub(super) fn works_of(&self, tenant: TenantId) -> impl DoubleEndedIterator<Item = &Work> {
        self.works.iter().filter(move |work| work.operation.tenant == tenant)
    }

    /// Forgets what the app of this tenant said before it failed.
    pub(super) fn forget_last_lines(&mut self, tenant: TenantId) {
        for work in self.works.iter_mut().filter(|work| work.operation.tenant == tenant) {
            let told = work.history.iter_mut().chain([&mut work.operation]);
            let told = told.filter_map(|operation| operation.error.as_mut());
            for failure in told.chain(&mut work.stage.failure) {
                failure.log_tail.clear();
            }
        }
    }

    /// The tenant's operation that is not finished.
    pub(super) fn unfinished(&mut self, tenant: TenantId) -> Option<&mut Work> {
        let of_tenant = self.works.iter_mut().filter(|work| work.operation.tenant == tenant);
        of_tenant.into_iter().find(|work| !work.operation.status.is_finished())
    }

    /// Tenant and operation of a lease that still holds.
    pub(super) fn held(&mut self, lease: &Lease) -> Result<(&mut Tenant, &mut Work)> {
        let tenant = self.tenants.iter_mut().find(|tenant| tenant.id == lease.tenant.id);
        let work = self.works.iter_mut().find(|work| work.operation.id == lease.operation.id);
        let both = tenant.zip(work).filter(|(tenant, work)| {
            tenant.generation == lease.generation()
                && work.holder.is_some_and(|holder| holder.worker == lease.worker)
        });
        both.ok_or_else(|| {
            Error::new(ErrorKind::LeaseLost, "this operation is no longer held by this worker")
                .with("operation", lease.operation.id)
                .with("generation", lease.generation())
        })
    }
}

impl Work {
    pub(super) fn new(operation: Operation, now: DateTime<Utc>) -> Self {
        Self {
            stage: Stage::first(operation.action),
            operation,
            holder: None,
            not_before: now,
            deaths: 0,
            deadline: None,
            history: Vec::new(),
            signals: broadcast::Sender::new(SIGNALS),
        }
    }

    /// Whether a worker may take it now.
    pub(super) fn is_free(&self, now: DateTime<Utc>) -> bool {
        !self.operation.status.is_finished()
            && self.not_before <= now
            && self.holder.is_none_or(|holder| holder.until <= now)
    }

    /// Takes in what happened, and tells it.
    pub(super) fn apply(&mut self, change: &Change, now: DateTime<Utc>) {
        self.operation.apply(change, now);
        self.history.push(self.operation.clone());
        if self.operation.status.is_finished() {
            self.holder = None;
        }
        self.signal(Signal::Changed);
    }

    pub(super) fn signal(&self, signal: Signal) {
        // Without a listener there is nobody to tell.
        let _ = self.signals.send(signal);
    }
}

fn unknown(id: OperationId) -> Error {
    Error::new(ErrorKind::NotFound, "there is no such operation").with("operation", id)
}
