//! Tenants and operations, as the API shows them.

use chrono::{DateTime, Utc};
use fresco_core::{Accepted, Failure, Orchestrator, PullProgress};
use poem_openapi::payload::Json;
use poem_openapi::types::ToJSON;
use poem_openapi::{ApiResponse, Enum, Object};
use uuid::Uuid;

use crate::accounts::{Accounts, User};

/// Where a tenant stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case", remote = "fresco_core::TenantStatus")]
pub(crate) enum TenantStatus {
    Pending,
    Provisioning,
    Active,
    Stopped,
    Error,
    Destroying,
    Destroyed,
}

/// What its owner wants a tenant to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case", remote = "fresco_core::DesiredState")]
pub(crate) enum DesiredState {
    Running,
    Stopped,
}

/// What a tenant has of its own in PostgreSQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case", remote = "fresco_core::Isolation")]
pub(crate) enum Isolation {
    Schema,
    Database,
}

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case", remote = "fresco_core::Action")]
pub(crate) enum Action {
    Create,
    Start,
    Stop,
    Restart,
    Update,
    Destroy,
}

/// Where an operation stands. `stuck`: it can't be finished now and is tried again until it can.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case", remote = "fresco_core::OperationStatus")]
pub(crate) enum OperationStatus {
    Initiated,
    InProgress,
    Success,
    Failed,
    Stuck,
}

/// Where a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case", remote = "fresco_core::StepStatus")]
pub(crate) enum StepStatus {
    Pending,
    Running,
    Done,
    Failed,
}

/// One step of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case", remote = "fresco_core::Step")]
pub(crate) enum StepName {
    Image,
    Database,
    Container,
    Start,
    Ready,
    Route,
    Active,
    Withdraw,
    Stop,
    RemoveContainer,
    RemoveDatabase,
    Tombstone,
}

/// What somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case", remote = "crate::accounts::Role")]
pub(crate) enum Role {
    /// Look after their own tenants.
    User,
    /// Look after the platform as well.
    Admin,
}

impl Role {
    /// What this person may do.
    pub(crate) fn of(accounts: &Accounts, user: &User) -> Self {
        if accounts.is_admin(user) { Self::Admin } else { Self::User }
    }
}

/// The most that a tenant's container may use.
#[derive(Clone, Copy, Debug, Object)]
#[oai(rename_all = "camelCase")]
pub(crate) struct Limits {
    /// Memory in MB (2²⁰ bytes).
    memory_mb: u32,
    /// CPUs: 0.5 is half of one core.
    cpus: f64,
    /// Processes and threads.
    pids: u32,
}

/// How an operation failed.
#[derive(Clone, Debug, Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
pub(crate) struct OperationError {
    /// What went wrong, as a stable word for programs: `not_found`, `conflict`, `invalid`,
    /// `denied`, `unsupported`, `exhausted`, `unavailable`, `timed_out`, `lease_lost` or `internal`.
    code: String,
    /// The step that failed; absent when the operation was cancelled.
    step: Option<StepName>,
    /// What happened and what to do, for people.
    message: String,
    /// The last lines of the app's log, when it was the app that failed.
    log_tail: Vec<String>,
}

impl From<&Failure> for OperationError {
    fn from(failure: &Failure) -> Self {
        Self {
            code: failure.kind.as_str().into(),
            step: failure.step.map(Into::into),
            message: failure.message.clone(),
            log_tail: failure.log_tail.clone(),
        }
    }
}

/// An operation that has not ended, in short.
#[derive(Clone, Copy, Debug, Object)]
#[oai(rename_all = "camelCase")]
pub(crate) struct OperationUnderWay {
    /// Its id.
    id: Uuid,
    /// What it does.
    action: Action,
    /// Where it stands.
    status: OperationStatus,
}

/// A tenant: one instance of the app, with a container, data and an address of its own.
#[derive(Clone, Debug, Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
pub(crate) struct Tenant {
    /// Its id.
    id: Uuid,
    /// Its name below the platform's domain.
    subdomain: String,
    /// Its address.
    url: String,
    /// Where it stands.
    status: TenantStatus,
    /// What its owner wants.
    desired_state: DesiredState,
    /// The image that it runs.
    image: String,
    /// What it has of its own in PostgreSQL.
    isolation: Isolation,
    /// The most that it may use.
    limits: Limits,
    /// When it was accepted.
    created_at: DateTime<Utc>,
    /// When it last became reachable with a new container.
    last_deployed_at: Option<DateTime<Utc>>,
    /// How the last operation failed, or why the platform stopped the tenant (code `exhausted`);
    /// absent once one succeeded.
    error: Option<OperationError>,
    /// What is being done with it; absent when nothing is.
    operation: Option<OperationUnderWay>,
    /// When it is destroyed, with all its data, unless its owner verifies their e-mail address before;
    /// absent when it is not to be.
    expires_at: Option<DateTime<Utc>>,
    /// Whether its app waits for its owner, and is kept from everybody else until then: see `claim` of
    /// `tenants.get`.
    unclaimed: bool,
}

impl Tenant {
    /// The same tenant, whose app waits for its owner, or does not.
    pub(crate) fn waiting(mut self, unclaimed: bool) -> Self {
        self.unclaimed = unclaimed;
        self
    }

    /// The same tenant, with which this is being done.
    pub(crate) fn under(mut self, operation: Option<&fresco_core::Operation>) -> Self {
        self.operation = operation.map(|operation| OperationUnderWay {
            id: operation.id.as_uuid(),
            action: operation.action.into(),
            status: operation.status.into(),
        });
        self
    }

    /// The same tenant, which ends at this time, if it does.
    pub(crate) fn expiring(mut self, at: Option<DateTime<Utc>>) -> Self {
        self.expires_at = at;
        self
    }

    /// A tenant of this orchestrator, which knows its address.
    pub(crate) fn of(orchestrator: &Orchestrator, tenant: &fresco_core::Tenant) -> Self {
        let fresco_core::Tenant { spec, state, .. } = tenant;
        Self {
            id: tenant.id.as_uuid(),
            subdomain: spec.subdomain.to_string(),
            url: orchestrator.url(tenant),
            status: state.status.into(),
            desired_state: state.desired.into(),
            image: spec.image.to_string(),
            isolation: spec.isolation.into(),
            limits: Limits {
                memory_mb: spec.limits.memory_mb,
                cpus: spec.limits.cpus,
                pids: spec.limits.pids,
            },
            created_at: tenant.created_at,
            last_deployed_at: state.last_deployed_at,
            error: state.error.as_ref().map(Into::into),
            operation: None,
            expires_at: None,
            unclaimed: false,
        }
    }
}

/// A step of an operation, with its times.
#[derive(Clone, Debug, Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
pub(crate) struct Step {
    /// Which step.
    name: StepName,
    /// Whether it takes back what an earlier one made; absent for those that go forward.
    undo: Option<bool>,
    /// Where it stands.
    status: StepStatus,
    /// When it was first begun.
    started_at: Option<DateTime<Utc>>,
    /// When it was done, or failed.
    finished_at: Option<DateTime<Utc>>,
    /// A few words for people: what it found, or why it is tried again.
    detail: Option<String>,
}

/// How far an image has been fetched.
#[derive(Clone, Debug, Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
pub(crate) struct Progress {
    /// What is being done, for people.
    detail: String,
    /// Bytes so far.
    done_bytes: u64,
    /// Bytes in all, as far as known.
    total_bytes: Option<u64>,
}

/// One durable piece of work on a tenant: once accepted, it ends, whatever happens on the way.
#[derive(Clone, Debug, Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
pub(crate) struct Operation {
    /// Its id.
    id: Uuid,
    /// The tenant.
    tenant_id: Uuid,
    /// What it does.
    action: Action,
    /// Where it stands.
    status: OperationStatus,
    /// Its steps, in order.
    steps: Vec<Step>,
    /// How it failed.
    error: Option<OperationError>,
    /// When it was accepted.
    created_at: DateTime<Utc>,
    /// When it ended.
    finished_at: Option<DateTime<Utc>>,
    /// In events named `progress` only: how far an image has been fetched.
    progress: Option<Progress>,
}

impl From<&fresco_core::Operation> for Operation {
    fn from(operation: &fresco_core::Operation) -> Self {
        let steps = operation.steps.iter().map(|step| Step {
            name: step.name.into(),
            undo: step.undo.then_some(true),
            status: step.status.into(),
            started_at: step.started_at,
            finished_at: step.finished_at,
            detail: step.detail.clone(),
        });
        Self {
            id: operation.id.as_uuid(),
            tenant_id: operation.tenant.as_uuid(),
            action: operation.action.into(),
            status: operation.status.into(),
            steps: steps.collect(),
            error: operation.error.as_ref().map(Into::into),
            created_at: operation.created_at,
            finished_at: operation.finished_at,
            progress: None,
        }
    }
}

impl Operation {
    /// The same operation, while this much of an image has been fetched.
    pub(crate) fn with_progress(mut self, progress: PullProgress) -> Self {
        let PullProgress { detail, bytes, total_bytes } = progress;
        self.progress = Some(Progress { detail, done_bytes: bytes, total_bytes });
        self
    }
}

/// A new tenant that was accepted, and the operation that creates it.
#[derive(Clone, Debug, Object)]
#[oai(rename = "AcceptedTenant", rename_all = "camelCase")]
pub(crate) struct Deployed {
    /// The tenant.
    tenant_id: Uuid,
    /// The operation; watch it at `/api/operations/{id}/events`.
    operation_id: Uuid,
    /// Its name below the platform's domain.
    subdomain: String,
    /// Its address, which answers once the operation is done.
    url: String,
}

impl Deployed {
    /// What was accepted by this orchestrator.
    pub(crate) fn of(orchestrator: &Orchestrator, accepted: &Accepted) -> Self {
        Self {
            tenant_id: accepted.tenant.id.as_uuid(),
            operation_id: accepted.operation.id.as_uuid(),
            subdomain: accepted.tenant.spec.subdomain.to_string(),
            url: orchestrator.url(&accepted.tenant),
        }
    }
}

/// Work that was accepted.
#[derive(Clone, Debug, Object)]
#[oai(rename = "AcceptedOperation", rename_all = "camelCase")]
pub(crate) struct Begun {
    /// The operation; watch it at `/api/operations/{id}/events`.
    operation_id: Uuid,
}

impl From<Accepted> for Begun {
    fn from(accepted: Accepted) -> Self {
        Self { operation_id: accepted.operation.id.as_uuid() }
    }
}

/// The answer to what will be done.
#[derive(ApiResponse)]
pub(crate) enum Answer<T: ToJSON> {
    /// Accepted: it is written down, and will be done.
    #[oai(status = 202)]
    Accepted(Json<T>),
}
