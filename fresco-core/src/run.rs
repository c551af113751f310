//! Walks one operation through its steps, from wherever it stands to its defined end.
//!
//! Each turn: the step's beginning is stored, then what it saw (its intent), then its effect takes
//! place, then its result is stored. A crash at any point leaves the stored stage of the turn, and
//! the next worker repeats the step; every step can be run twice.
//!
//! A call may take longer than the lease lasts: an image takes minutes. Its deadline is its own; the
//! [worker](crate::worker) renews the lease meanwhile, and drops the whole walk, call and all, when
//! it can't. So nothing is begun, and nothing is waited for, on a lease that may have ended.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::backends::{Backends, call};
use crate::error::{Error, ErrorKind, Result};
use crate::ids::Generation;
use crate::operation::{Change, Failure, Operation, OperationStatus, Target};
use crate::prove::Proof;
use crate::settings::Settings;
use crate::stage::{Direction, Stage};
use crate::step::{Action, Step};
use crate::steps;
use crate::store::{Entry, Lease};
use crate::tenant::{DesiredState, TenantState, TenantStatus};
use crate::worker::Shop;

/// How a worker's turn at an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The operation is finished.
    Finished,
    /// It can't go on now: hand it back for later.
    Later(Duration),
}

/// One operation under way.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    pub(crate) backends: &'a Backends,
    pub(crate) settings: &'a Settings,
    pub(crate) lease: &'a Lease,
    pub(crate) stage: Stage,
    pub(crate) tenant: TenantState,
    /// The operation as it was last written.
    operation: Operation,
    /// Whether it was stuck and nothing has come of it since: then each try is one try, and tells
    /// only what is new, however long it goes on.
    stuck: bool,
    /// Whether tenants are kept apart.
    pub(crate) proof: &'a Proof,
    cancel: &'a CancellationToken,
    pub(crate) deadline: Instant,
}

/// What a step led to, in words, for people.
pub(crate) type Detail = Option<String>;

impl<'a> Run<'a> {
    pub(crate) fn new(shop: &'a Shop, lease: &'a Lease, cancel: &'a CancellationToken) -> Self {
        Self {
            backends: &shop.backends,
            settings: &shop.settings,
            proof: &shop.proof,
            lease,
            stage: lease.stage.clone(),
            tenant: lease.tenant.state.clone(),
            operation: lease.operation.clone(),
            stuck: lease.operation.status == OperationStatus::Stuck,
            cancel,
            deadline: Instant::now() + lease.remaining,
        }
    }

    pub(crate) const fn action(&self) -> Action {
        self.lease.operation.action
    }

    pub(crate) const fn generation(&self) -> Generation {
        self.lease.generation()
    }

    /// What the current direction leads to: the operation's target, or what was before it.
    pub(crate) fn target(&self) -> &Target {
        match (self.stage.direction, &self.lease.operation.previous) {
            (Direction::Undo, Some(previous)) => previous,
            _ => &self.lease.operation.target,
        }
    }

    /// Walks until the operation is finished or can't go on now.
    ///
    /// # Errors
    /// The store's own: `LeaseLost` when somebody else works on the tenant now, `Unavailable` when
    /// the store can't be reached. The work then goes on from the last stored stage.
    pub(crate) async fn walk(mut self) -> Result<Ended> {
        let action = self.action();
        while let Some(step) = self.stage.next {
            if self.cancel.is_cancelled() {
                return Ok(Ended::Later(Duration::ZERO));
            }
            if let Some(status) = action.working_status() {
                self.tenant.status = status;
            }
            let direction = self.stage.direction;
            let started = Change::StepStarted(direction, step);
            self.record((!self.stuck).then_some(started)).await?;
            match self.try_step(step).await? {
                Ok(detail) => {
                    self.stuck = false;
                    self.stage = self.stage.advanced(action);
                    if self.restored() {
                        self.tenant.status = TenantStatus::Active;
                    }
                    let done = Change::StepDone(direction, step, detail);
                    self.record(Some(done)).await?;
                }
                Err(None) => return Ok(Ended::Later(Duration::ZERO)),
                Err(Some(error)) => {
                    let failure = self.failure(step, &error).await;
                    if let Some(ended) = self.give_up(step, failure, error.is_retryable()).await? {
                        return Ok(ended);
                    }
                }
            }
        }
        self.finish().await?;
        Ok(Ended::Finished)
    }

    /// Runs a step until it succeeds or fails for good. The inner error is `None` when the program
    /// is shutting down.
    async fn try_step(&mut self, step: Step) -> Result<Result<Detail, Option<Error>>> {
        let mut pause = self.settings.retry_min;
        let end = self.retry_end();
        loop {
            let died_often = self.lease.deaths > self.settings.max_deaths;
            if died_often && self.may_undo() {
                return Ok(Err(Some(Error::new(
                    ErrorKind::Internal,
                    "the platform ended in the middle of this operation again and again",
                ))));
            }
            let error = match self.step_once(step).await {
                Ok(detail) => return Ok(Ok(detail)),
                Err(error) => error,
            };
            if error.kind() == ErrorKind::LeaseLost {
                return Err(error);
            }
            let late = Instant::now() + pause >= end;
            if !error.is_retryable() || late || self.stuck {
                return Ok(Err(Some(error)));
            }
            tracing::warn!(
                tenant = %self.lease.tenant.id, action = %self.action(), step = %step,
                error = %error.chain(), "a step failed and will be tried again"
            );
            let why = Change::StepRetried(self.stage.direction, step, error.chain());
            self.record(Some(why)).await?;
            tokio::select! {
                () = self.cancel.cancelled() => return Ok(Err(None)),
                () = tokio::time::sleep(pause) => {}
            }
            pause = (pause * 2).min(self.settings.retry_max);
        }
    }

    async fn step_once(&mut self, step: Step) -> Result<Detail> {
        if steps::intend(self, step).await? {
            // The intent must be stored before the effect. A store that is away is not this
            // step's failure, so it ends the turn with the same error as any other write.
            self.record(None).await.map_err(as_lease_end)?;
        }
        steps::perform(self, step).await
    }

    /// Until when failed steps are tried again.
    fn retry_end(&self) -> Instant {
        match self.stage.direction {
            Direction::Forward => self.deadline,
            Direction::Undo => self.deadline.max(Instant::now() + self.settings.undo_budget),
        }
    }

    fn may_undo(&self) -> bool {
        self.stage.direction == Direction::Forward && !self.action().only_forward()
    }

    /// A step failed for good: begin to take back, or leave it for later.
    async fn give_up(
        &mut self,
        step: Step,
        failure: Failure,
        may_pass: bool,
    ) -> Result<Option<Ended>> {
        tracing::warn!(
            tenant = %self.lease.tenant.id, action = %self.action(), step = %step,
            error = %failure.message, "a step failed"
        );
        if self.may_undo() {
            let direction = self.stage.direction;
            let stage = self.stage.clone().undoing(self.action(), failure.clone());
            self.stage = stage;
            self.record(Some(Change::StepFailed(direction, step, failure))).await?;
            return Ok(None);
        }
        // The version before a failed update does not come up either, or can't be made again (its
        // image is gone): that is an end, not a thing to repeat for ever. The tenant is in error,
        // its data is kept.
        let hopeless = matches!(step, Step::Ready | Step::Route)
            || (self.action() == Action::Update && !may_pass);
        if hopeless && self.stage.direction == Direction::Undo {
            self.stage.next = None;
            self.tenant.status = TenantStatus::Error;
            self.record(Some(Change::StepFailed(Direction::Undo, step, failure))).await?;
            return Ok(None);
        }
        let known = self.stuck && self.operation.error.as_ref() == Some(&failure);
        self.record((!known).then_some(Change::Stuck(failure))).await?;
        Ok(Some(Ended::Later(self.settings.stuck_retry)))
    }

    /// Whether a failed update runs its previous version again, whole.
    fn restored(&self) -> bool {
        self.action() == Action::Update
            && self.stage.direction == Direction::Undo
            && self.stage.next.is_none()
    }

    async fn finish(&mut self) -> Result<()> {
        let change = match self.stage.failure.clone() {
            None => {
                self.note_times();
                self.tenant.status = self.action().end_status();
                // A stop says itself what it was for.
                if self.action() != Action::Stop {
                    self.tenant.error = None;
                }
                Change::Succeeded
            }
            Some(mut failure) => {
                self.end_failed(&mut failure);
                self.tenant.error = Some(failure.clone());
                Change::Failed(failure)
            }
        };
        let succeeded = change == Change::Succeeded;
        let mut spec = self.lease.operation.target.spec.clone();
        if self.action() == Action::Destroy {
            // The tombstone is kept for ever; the owner's variables may be secrets.
            spec.environment.clear();
        }
        // What a failed create was to make is what a restart creates.
        let takes_over = match self.action() {
            Action::Create | Action::Destroy => true,
            Action::Update => succeeded,
            Action::Start | Action::Stop | Action::Restart => false,
        };
        if succeeded && matches!(self.action(), Action::Create | Action::Update) {
            // Until now the tenant's image was the one before, which a failed update goes back to.
            self.tenant.image.clone_from(&self.stage.image);
        }
        let mut entry = Entry::new(self.stage.clone(), self.tenant.clone()).with_change(change);
        entry.spec = takes_over.then_some(spec);
        self.write(&entry).await
    }

    /// The tenant's state after a failed action.
    fn end_failed(&mut self, failure: &mut Failure) {
        match self.action() {
            Action::Update if self.stage.container.is_none() => {
                // It never touched the tenant, which stays as it was.
                if self.tenant.status == TenantStatus::Stopped {
                    self.tenant.desired = DesiredState::Stopped;
                }
            }
            Action::Update => failure.message.push_str(match self.tenant.status {
                TenantStatus::Active => {
                    ". The previous version runs again; the new one may have changed the database already"
                }
                _ => {
                    ". The previous version does not come up either; the new one may have changed the database already"
                }
            }),
            _ => self.tenant.status = TenantStatus::Error,
        }
    }

    /// The store's times, taken over where the tenant keeps them.
    fn note_times(&mut self) {
        let active = self.operation.steps.iter().find(|record| record.name == Step::Active);
        let Some(at) = active.and_then(|record| record.finished_at) else { return };
        self.tenant.first_active_at.get_or_insert(at);
        if matches!(self.action(), Action::Create | Action::Update) {
            self.tenant.last_deployed_at = Some(at);
        }
    }

    /// The failure of a step, with the app's last words where it may be the app's.
    async fn failure(&self, step: Step, error: &Error) -> Failure {
        let failure = Failure::of(step, error);
        match step {
            Step::Container | Step::Start | Step::Ready | Step::Route => {
                failure.with_log_tail(steps::log_tail(self).await)
            }
            _ => failure,
        }
    }

    async fn record(&mut self, change: Option<Change>) -> Result<()> {
        let mut entry = Entry::new(self.stage.clone(), self.tenant.clone());
        entry.change = change;
        self.write(&entry).await
    }

    /// Writes, and goes on trying while the store is away: whoever keeps the lease ends the turn
    /// when it can no longer be renewed.
    async fn write(&mut self, entry: &Entry) -> Result<()> {
        loop {
            let write = self.backends.store.record(self.lease, entry);
            match call("store.record", self.settings.call_deadline, write).await {
                Err(error) if error.is_retryable() => {
                    tracing::warn!(
                        tenant = %self.lease.tenant.id, error = %error.chain(),
                        "the store is away; the work pauses"
                    );
                    tokio::time::sleep(self.settings.retry_min).await;
                }
                answer => {
                    self.operation = answer?;
                    return Ok(());
                }
            }
        }
    }
}

/// A store that can't take a write ends the worker's turn, as a lost lease does: the work is taken
/// up again from the last stored stage.
fn as_lease_end(error: Error) -> Error {
    match error.kind() {
        ErrorKind::LeaseLost => error,
        _ => Error::new(ErrorKind::LeaseLost, "the store did not take what was about to be done")
            .with_source(error),
    }
}
