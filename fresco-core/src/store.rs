//! The port to what must survive a restart: tenants, operations, leases and events.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures_util::stream::BoxStream;

use crate::error::Result;
use crate::health::Health;
use crate::ids::{Generation, OperationId, OwnerId, PlatformId, TenantId, WorkerId};
use crate::image::PullProgress;
use crate::operation::{Change, Event, NewOperation, Operation, OperationStatus};
use crate::stage::Stage;
use crate::step::Action;
use crate::subdomain::Subdomain;
use crate::tenant::{Tenant, TenantSpec, TenantState, TenantStatus};

/// How long a lease lasts, and how long an operation may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseTerms {
    /// From taking or renewing it until it ends by itself.
    pub ttl: Duration,
    /// From the first lease until the operation's deadline. It counts anew after a worker died,
    /// so that an operation is not failed for the time in which nobody worked on it.
    pub budget: Duration,
}

/// The right to work on one operation, until it is lost.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lease {
    /// Who holds it.
    pub worker: WorkerId,
    /// The tenant, with the generation that this lease raised it to.
    pub tenant: Tenant,
    /// The operation.
    pub operation: Operation,
    /// How far it got.
    pub stage: Stage,
    /// How many leases on this operation ended without being handed back: its workers died.
    pub deaths: u32,
    /// Time left until the operation's deadline, from the moment of the answer.
    pub remaining: Duration,
}

impl Lease {
    /// A lease.
    #[must_use]
    pub const fn new(
        worker: WorkerId,
        tenant: Tenant,
        operation: Operation,
        stage: Stage,
        deaths: u32,
        remaining: Duration,
    ) -> Self {
        Self { worker, tenant, operation, stage, deaths, remaining }
    }

    /// The generation that every write of this lease must match.
    #[must_use]
    pub const fn generation(&self) -> Generation {
        self.tenant.generation
    }
}

/// One fenced write: all of it or nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// How far the operation got.
    pub stage: Stage,
    /// What happened, if there is something to tell; it becomes the next event.
    pub change: Option<Change>,
    /// What the tenant is now.
    pub tenant: TenantState,
    /// What the tenant shall be from now on, when an operation made it so.
    pub spec: Option<TenantSpec>,
}

impl Entry {
    /// A write of a stage and of the tenant's state.
    #[must_use]
    pub const fn new(stage: Stage, tenant: TenantState) -> Self {
        Self { stage, change: None, tenant, spec: None }
    }

    /// The same write with an event.
    #[must_use]
    pub fn with_change(mut self, change: Change) -> Self {
        self.change = Some(change);
        self
    }
}

/// Which tenants to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TenantQuery {
    /// Only this one.
    pub id: Option<TenantId>,
    /// Only this owner's.
    pub owner: Option<OwnerId>,
    /// Only the one with this subdomain.
    pub subdomain: Option<Subdomain>,
    /// Only those whose subdomain contains this text.
    pub search: Option<String>,
    /// Only those with this status.
    pub status: Option<TenantStatus>,
    /// Tombstones, too. Without it they are left out, unless `id` or `status` asks for them.
    pub destroyed: bool,
    /// How many to leave out at the beginning.
    pub offset: u64,
    /// How many at most; 0 stands for all.
    pub limit: u64,
}

impl TenantQuery {
    /// All tenants but tombstones.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    /// One tenant, tombstone or not.
    #[must_use]
    pub fn one(id: TenantId) -> Self {
        Self { id: Some(id), ..Self::default() }
    }

    /// The same query in words that every store understands: PostgreSQL knows no NUL, and refuses
    /// the whole query for one. What no tenant can have becomes a search that finds none.
    pub(crate) fn askable(&self) -> Cow<'_, Self> {
        let owner = self.owner.as_ref().is_none_or(|owner| owner.validate().is_ok());
        let search = self.search.as_ref().is_none_or(|text| Subdomain::may_contain(text));
        if owner && search {
            return Cow::Borrowed(self);
        }
        Cow::Owned(Self { owner: None, search: Some(" ".to_owned()), ..self.clone() })
    }

    /// Whether this query asks for this tenant, apart from offset and limit.
    #[must_use]
    pub fn matches(&self, tenant: &Tenant) -> bool {
        let status = tenant.state.status;
        let tombstones = self.destroyed || self.id.is_some() || self.status.is_some();
        self.id.is_none_or(|id| id == tenant.id)
            && self.owner.as_ref().is_none_or(|owner| *owner == tenant.spec.owner)
            && self.subdomain.as_ref().is_none_or(|name| *name == tenant.spec.subdomain)
            && self.search.as_ref().is_none_or(|text| tenant.spec.subdomain.as_str().contains(text))
            && self.status.is_none_or(|wanted| wanted == status)
            && (tombstones || status != TenantStatus::Destroyed)
    }
}

/// Some tenants, newest first, and how many there are in all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantPage {
    /// The tenants.
    pub tenants: Vec<Tenant>,
    /// How many match, apart from offset and limit.
    pub total: u64,
    /// The store's time of this answer.
    pub at: DateTime<Utc>,
}

/// Which operations to read, of all tenants, destroyed ones included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OperationQuery {
    /// Only those on one of these tenants.
    pub tenants: Option<Vec<TenantId>>,
    /// Only those of this action.
    pub action: Option<Action>,
    /// Only those with this status.
    pub status: Option<OperationStatus>,
    /// Only those that have not ended; a tenant has one of them at most.
    pub unfinished: bool,
    /// How many to leave out at the beginning.
    pub offset: u64,
    /// How many at most; 0 stands for all.
    pub limit: u64,
}

impl OperationQuery {
    /// All operations.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    /// Whether this query asks for this operation, apart from offset and limit.
    #[must_use]
    pub fn matches(&self, operation: &Operation) -> bool {
        self.tenants.as_ref().is_none_or(|ids| ids.contains(&operation.tenant))
            && self.action.is_none_or(|action| action == operation.action)
            && self.status.is_none_or(|status| status == operation.status)
            && !(self.unfinished && operation.status.is_finished())
    }
}

/// Some operations, newest first, and how many there are in all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperationPage {
    /// The operations, each with its tenant's subdomain.
    pub operations: Vec<(Subdomain, Operation)>,
    /// How many match, apart from offset and limit.
    pub total: u64,
}

/// Keeps what must survive a restart.
///
/// All times are by the store's own clock. Every write of a worker is fenced: it takes effect only
/// while the tenant's generation is the lease's, else it is `LeaseLost` and changes nothing.
///
/// Nothing is deleted. A destroyed tenant stays as a tombstone, so that what is left of it elsewhere
/// is known; its operations and their events stay with it, as its history. The engine keeps each
/// operation small: tries end with its budget, and one that is stuck writes no event for failing as
/// before.
#[async_trait]
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// The id of the platform, made at the first call and the same ever after.
    ///
    /// # Behavior
    /// - Two calls, also at the same time, give the same id.
    async fn platform(&self) -> Result<PlatformId>;

    /// Accepts a new tenant with the operation that creates it, in one write.
    ///
    /// # Behavior
    /// - Tenant and operation are there, or neither.
    /// - Again with the same tenant id: the first tenant and its first operation, unchanged.
    /// - A subdomain that a tenant has which is not destroyed is `Conflict`.
    /// - The subdomain of a destroyed tenant is free.
    /// - Within the quota's cooldown it is free for the owner whose tenant was last reached by it, and
    ///   `Conflict` for others.
    /// - Of a former owner and another at the same time, the former owner wins.
    /// - Of many creates of one subdomain at the same time exactly one succeeds.
    /// - Without room within the operation's capacity: `Exhausted`, and nothing is written.
    /// - Of many creates at the same time, only as many succeed as there is room for.
    /// - An owner who has as many tenants as the quota allows: `Exhausted`.
    /// - Beyond the quota of creations within an hour: `Exhausted`, also when their tenants are gone.
    /// - Of many creates of one owner at the same time, only as many succeed as the quota allows.
    async fn create(
        &self,
        tenant: TenantId,
        spec: &TenantSpec,
        operation: &NewOperation,
    ) -> Result<(Tenant, Operation)>;

    /// Accepts a further operation on a tenant. The tenant's desired state follows the action.
    ///
    /// # Behavior
    /// - Again with the same operation id: the first one, unchanged.
    /// - While another one is unfinished: `Conflict`, naming it.
    /// - A destroy takes the place of an unfinished one: that one is failed as cancelled, its lease
    ///   is lost, and the destroy is accepted, all in one write.
    /// - A second destroy gives the unfinished one.
    /// - A generation other than `seen`: `Conflict`, unless it is a destroy. Whoever asks has
    ///   decided on what it saw.
    /// - An unknown or destroyed tenant is `NotFound`.
    /// - An update keeps what the tenant was as the operation's `previous`.
    /// - One after which the tenant runs, without room for it: `Exhausted`, and nothing is written.
    /// - A tenant whose creation failed is `pending` again once its creation is accepted.
    /// - To create it again counts as a creation of the owner's, within the quota of an hour.
    async fn request(
        &self,
        tenant: TenantId,
        seen: Generation,
        operation: &NewOperation,
    ) -> Result<Operation>;

    /// Takes the oldest unfinished operation that nobody holds, and raises its tenant's generation.
    ///
    /// # Behavior
    /// - Of many workers at the same time, exactly one gets it.
    /// - Without one: `None`.
    /// - One whose lease has ended is taken over, from the last stored stage, and counts a death.
    /// - One that was released for later is left until then.
    async fn lease(&self, worker: WorkerId, terms: &LeaseTerms) -> Result<Option<Lease>>;

    /// Prolongs a lease: it ends `ttl` from now.
    ///
    /// # Behavior
    /// - A renewed lease is not taken over.
    /// - One that was lost, or whose operation is finished, is `LeaseLost`.
    async fn renew(&self, lease: &Lease, ttl: Duration) -> Result<()>;

    /// Writes how far the operation got, what happened, and what the tenant is, in one write.
    /// A change that finishes the operation ends the lease.
    ///
    /// # Behavior
    /// - Stage, state and event are there, or none of them.
    /// - After the lease was lost: `LeaseLost`, and nothing is written.
    /// - Events of one operation count up from 1 without a gap.
    /// - When a tenant was destroyed is noted by the store's clock.
    /// - The app's last lines are gone with its tenant: no operation and no event tells them any more.
    async fn record(&self, lease: &Lease, entry: &Entry) -> Result<Operation>;

    /// Hands a lease back, to be taken again after this time at the earliest.
    ///
    /// # Behavior
    /// - Afterwards another worker can take it at once, or after the time.
    /// - It counts no death.
    async fn release(&self, lease: &Lease, retry_after: Duration) -> Result<()>;

    /// Tenants, newest first.
    ///
    /// # Behavior
    /// - Each filter holds; offset and limit give pages without gap or overlap.
    async fn tenants(&self, query: &TenantQuery) -> Result<TenantPage>;

    /// One operation.
    ///
    /// # Behavior
    /// - An unknown one is `NotFound`.
    async fn operation(&self, id: OperationId) -> Result<Operation>;

    /// The newest operations of a tenant, newest first.
    ///
    /// # Behavior
    /// - At most `limit`; an unknown tenant has none.
    async fn operations(&self, tenant: TenantId, limit: u32) -> Result<Vec<Operation>>;

    /// Operations of all tenants, newest first.
    ///
    /// # Behavior
    /// - Each filter holds; offset and limit give pages without gap or overlap.
    /// - Those of destroyed tenants are among them.
    async fn history(&self, query: &OperationQuery) -> Result<OperationPage>;

    /// The events of an operation after this place in its history, those to come included. The
    /// stream ends after [`Event::Done`].
    ///
    /// # Behavior
    /// - No event is missed or told twice, whenever the stream was opened.
    /// - Of a finished operation it tells the rest and ends.
    /// - What another program writes is told, too.
    /// - An unknown operation is `NotFound`.
    async fn events(
        &self,
        operation: OperationId,
        after: u64,
    ) -> Result<BoxStream<'static, Result<Event>>>;

    /// Tells those who watch now how far an image has been fetched. Nothing is stored.
    ///
    /// # Behavior
    /// - A stream that is open gets it.
    async fn announce(&self, operation: OperationId, progress: &PullProgress) -> Result<()>;

    /// Whether the store can be used now.
    ///
    /// # Behavior
    /// - It names the store and its version.
    async fn health(&self) -> Result<Health>;
}
