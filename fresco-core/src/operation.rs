//! An operation: one durable piece of work on a tenant, and how it changes.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::capacity::Capacity;
use crate::error::{Error, ErrorKind};
use crate::ids::{ImageId, OperationId, TenantId, check_name};
use crate::image::{ImageSource, PullProgress};
use crate::quota::Quota;
use crate::stage::Direction;
use crate::step::{Action, Step};
use crate::tenant::{DesiredState, TenantSpec};

/// Who asked for an operation; a name has at most 256 bytes without a NUL.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "type", content = "id", rename_all = "snake_case")]
pub enum Actor {
    /// A person.
    User(String),
    /// An API key.
    Key(String),
    /// The platform itself.
    System,
}

impl Actor {
    pub(crate) fn validate(&self) -> Result<(), Error> {
        match self {
            Self::User(id) | Self::Key(id) => check_name("the name of an actor", id),
            Self::System => Ok(()),
        }
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => write!(f, "user {id}"),
            Self::Key(id) => write!(f, "key {id}"),
            Self::System => f.write_str("system"),
        }
    }
}

/// Where an operation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperationStatus {
    /// Accepted; no worker has begun.
    Initiated,
    /// A worker is, or was, at it.
    InProgress,
    /// Done.
    Success,
    /// Failed, and all that had to be taken back was.
    Failed,
    /// It can't be finished now. It is tried again until it can.
    Stuck,
}

impl OperationStatus {
    /// Whether nothing more will happen.
    #[must_use]
    pub const fn is_finished(self) -> bool {
        matches!(self, Self::Success | Self::Failed)
    }

    /// The status's stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Initiated => "initiated",
            Self::InProgress => "in_progress",
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Stuck => "stuck",
        }
    }
}

/// Where a step of an operation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepStatus {
    /// Not begun.
    Pending,
    /// Under way.
    Running,
    /// Done.
    Done,
    /// Failed for good.
    Failed,
}

/// A step of an operation, with its times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StepRecord {
    /// Which step.
    pub name: Step,
    /// Whether it is one of those that take back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub undo: bool,
    /// Where it stands.
    pub status: StepStatus,
    /// When it was first begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<DateTime<Utc>>,
    /// When it was done or failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<DateTime<Utc>>,
    /// A few words for people: what it found, or why it is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// How an operation failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Failure {
    /// The kind.
    pub kind: ErrorKind,
    /// The step that failed; `None` when the operation was cancelled.
    pub step: Option<Step>,
    /// What happened and what to do, for people.
    pub message: String,
    /// The last lines of the app's log, when it was the app that failed; none once the tenant is destroyed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log_tail: Vec<String>,
}

impl Failure {
    /// A failure of a step.
    pub fn new(kind: ErrorKind, step: Step, message: impl Into<String>) -> Self {
        Self { kind, step: Some(step), message: message.into(), log_tail: Vec::new() }
    }

    /// The failure of an operation that another one took the place of.
    #[must_use]
    pub fn cancelled() -> Self {
        Self {
            kind: ErrorKind::Conflict,
            step: None,
            message: "cancelled: the tenant is being destroyed".into(),
            log_tail: Vec::new(),
        }
    }

    /// The failure of a step with this error; the whole chain becomes its message.
    #[must_use]
    pub fn of(step: Step, error: &Error) -> Self {
        Self::new(error.kind(), step, error.chain())
    }

    /// The same failure with the last lines of the app's log.
    #[must_use]
    pub fn with_log_tail(mut self, lines: Vec<String>) -> Self {
        self.log_tail = lines;
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.step {
            Some(step) => write!(f, "{step}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

/// What an operation leads to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// The spec to run.
    pub spec: TenantSpec,
    /// The exact image to keep; `None` looks up the spec's image by name.
    pub image: Option<ImageId>,
}

impl Target {
    /// What [`Step::Image`] prepares.
    #[must_use]
    pub fn image_source(&self) -> ImageSource {
        match &self.image {
            Some(id) => ImageSource::Pinned(id.clone(), self.spec.image.clone()),
            None => ImageSource::Named(self.spec.image.clone()),
        }
    }
}

/// An operation that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewOperation {
    /// Its id, chosen by the caller: asking twice with the same id is asking once.
    pub id: OperationId,
    /// What to do.
    pub action: Action,
    /// Who asks.
    pub actor: Actor,
    /// What it leads to.
    pub target: Target,
    /// How much all tenants may take together: without room for this one it is not accepted. It is
    /// asked only of actions after which the tenant runs.
    pub capacity: Capacity,
    /// How much its owner may have. It is asked only of creations.
    pub quota: Quota,
}

impl NewOperation {
    /// An operation with an id of its own, whatever room there is.
    #[must_use]
    pub fn new(action: Action, actor: Actor, target: Target) -> Self {
        let (capacity, quota) = (Capacity::unlimited(), Quota::unlimited());
        Self { id: OperationId::new(), action, actor, target, capacity, quota }
    }

    /// The same, accepted only while there is room.
    #[must_use]
    pub const fn within(mut self, capacity: Capacity) -> Self {
        self.capacity = capacity;
        self
    }

    /// The same, accepted only while its owner may have it.
    #[must_use]
    pub const fn under(mut self, quota: Quota) -> Self {
        self.quota = quota;
        self
    }

    /// Whether the store must count what the owner has.
    #[must_use]
    pub fn needs_quota(&self) -> bool {
        let asked = !matches!(self.actor, Actor::System);
        self.action == Action::Create && asked && self.quota.is_bounded()
    }

    /// Whether the store must look for room.
    #[must_use]
    pub fn needs_room(&self) -> bool {
        self.action.desired_state() == DesiredState::Running && self.capacity.is_bounded()
    }
}

/// One durable piece of work on a tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// Its id.
    pub id: OperationId,
    /// The tenant.
    pub tenant: TenantId,
    /// What it does.
    pub action: Action,
    /// Who asked.
    pub actor: Actor,
    /// What it leads to.
    pub target: Target,
    /// What the tenant was when an update was asked for: where a failed update goes back to.
    pub previous: Option<Target>,
    /// Where it stands.
    pub status: OperationStatus,
    /// Its steps.
    pub steps: Vec<StepRecord>,
    /// How it failed.
    pub error: Option<Failure>,
    /// When it was accepted, by the store's clock.
    pub created_at: DateTime<Utc>,
    /// When it was finished, by the store's clock.
    pub finished_at: Option<DateTime<Utc>>,
}

/// What happened to an operation; [`Operation::apply`] is what it means.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// A step begins, or begins again.
    StepStarted(Direction, Step),
    /// A step will be tried again, for this reason.
    StepRetried(Direction, Step, String),
    /// A step is done, with a few words for people.
    StepDone(Direction, Step, Option<String>),
    /// A step failed for good.
    StepFailed(Direction, Step, Failure),
    /// The operation can't be finished now, for this reason; it will be tried again.
    Stuck(Failure),
    /// All is done.
    Succeeded,
    /// All that had to be taken back was.
    Failed(Failure),
}

impl Operation {
    /// A new operation, accepted now.
    #[must_use]
    pub fn accept(
        tenant: TenantId,
        new: NewOperation,
        previous: Option<Target>,
        now: DateTime<Utc>,
    ) -> Self {
        let steps = new.action.steps().iter().map(|step| StepRecord::pending(*step, false));
        Self {
            id: new.id,
            tenant,
            action: new.action,
            actor: new.actor,
            target: new.target,
            previous,
            status: OperationStatus::Initiated,
            steps: steps.collect(),
            error: None,
            created_at: now,
            finished_at: None,
        }
    }

    /// Takes in what happened, at this moment of the store's clock.
    pub fn apply(&mut self, change: &Change, now: DateTime<Utc>) {
        match change {
            Change::StepStarted(direction, step) => {
                self.status = OperationStatus::InProgress;
                let record = self.step_mut(*direction, *step);
                record.status = StepStatus::Running;
                record.started_at.get_or_insert(now);
            }
            Change::StepRetried(direction, step, why) => {
                self.step_mut(*direction, *step).detail = Some(why.clone());
            }
            Change::StepDone(direction, step, detail) => {
                let record = self.step_mut(*direction, *step);
                record.status = StepStatus::Done;
                record.finished_at = Some(now);
                record.detail.clone_from(detail);
            }
            Change::StepFailed(direction, step, failure) => {
                let record = self.step_mut(*direction, *step);
                record.status = StepStatus::Failed;
                record.finished_at = Some(now);
                record.detail = Some(failure.message.clone());
                self.error.get_or_insert_with(|| failure.clone());
            }
            Change::Stuck(failure) => {
                self.status = OperationStatus::Stuck;
                self.error = Some(failure.clone());
            }
            Change::Succeeded => {
                self.finish(OperationStatus::Success, None, now);
            }
            Change::Failed(failure) => {
                self.finish(OperationStatus::Failed, Some(failure.clone()), now);
            }
        }
    }

    fn finish(&mut self, status: OperationStatus, error: Option<Failure>, now: DateTime<Utc>) {
        (self.status, self.error, self.finished_at) = (status, error, Some(now));
        // The owner's variables may be secrets. What is finished needs them no more, and is kept.
        self.target.spec.environment.clear();
        if let Some(previous) = &mut self.previous {
            previous.spec.environment.clear();
        }
    }

    fn step_mut(&mut self, direction: Direction, step: Step) -> &mut StepRecord {
        let undo = direction == Direction::Undo;
        let found = self.steps.iter().position(|r| r.name == step && r.undo == undo);
        let index = found.unwrap_or_else(|| {
            self.steps.push(StepRecord::pending(step, undo));
            self.steps.len() - 1
        });
        &mut self.steps[index]
    }
}

impl StepRecord {
    const fn pending(name: Step, undo: bool) -> Self {
        Self {
            name,
            undo,
            status: StepStatus::Pending,
            started_at: None,
            finished_at: None,
            detail: None,
        }
    }
}

/// Something to tell those who watch an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The operation changed.
    Step {
        /// Its place in the operation's history, from 1; a stream can be resumed after it.
        seq: u64,
        /// The operation, as it was then.
        operation: Box<Operation>,
    },
    /// An image is being fetched. Not stored: whoever comes later does not see it.
    Progress(PullProgress),
    /// The operation is finished; always the last.
    Done {
        /// Its place in the operation's history.
        seq: u64,
        /// The operation, as it ended.
        operation: Box<Operation>,
    },
}

impl Event {
    /// The event that a stored change leads to.
    #[must_use]
    pub fn stored(seq: u64, operation: Operation) -> Self {
        let operation = Box::new(operation);
        if operation.status.is_finished() {
            Self::Done { seq, operation }
        } else {
            Self::Step { seq, operation }
        }
    }

    /// The place in the operation's history; `None` for progress.
    #[must_use]
    pub const fn seq(&self) -> Option<u64> {
        match self {
            Self::Step { seq, .. } | Self::Done { seq, .. } => Some(*seq),
            Self::Progress(_) => None,
        }
    }
}
