//! The step that makes a tenant's container run, as it is or mended.

use super::build;
use crate::backends::call;
use crate::database::DatabaseEntry;
use crate::error::{Error, ErrorKind, Result};
use crate::fit::{self, Misfit};
use crate::instance::Instance;
use crate::operation::{Actor, OperationStatus};
use crate::repairs::{self, Repairs};
use crate::run::{Detail, Run};
use crate::stage::Intent;
use crate::step::{Action, Step};

/// The database's time is taken once: the app's session must be newer than the first try to start
/// it, and a repeated try finds it running. One that runs on is not started, so that any session of
/// it counts.
pub(super) async fn intend(run: &mut Run<'_>) -> Result<bool> {
    if run.stage.container.is_some() {
        return Ok(false);
    }
    let there = look(run).await?;
    let down = matches!(there.misfit, Some(Misfit::Down(_)));
    let runs_on = !down && !there.needs_another(run);
    run.stage.container = Some(if runs_on { Intent::Keep } else { Intent::Make });
    run.stage.started_after = if runs_on { None } else { Some(run.database_now().await?) };
    Ok(true)
}

/// Starts the container, and mends what keeps it from being as it must be. Another one is made, of
/// the same image and for the same data, only where this one can't be mended.
pub(super) async fn perform(run: &mut Run<'_>) -> Result<Detail> {
    open_database(run).await?;
    let there = look(run).await?;
    // Whose log a failure quotes.
    run.stage.instance.clone_from(&run.tenant.container);
    check_patience(run, &there).await?;
    if there.needs_another(run) {
        let without_role = |entry: &DatabaseEntry| entry.storage.is_some() && !entry.role;
        if there.failed_before || there.database.as_ref().is_some_and(without_role) {
            build::database(run).await?;
        }
        build::container(run).await?;
        let why = match there.misfit {
            _ if there.failed_before => "it did not come up as it was",
            Some(Misfit::LockedOut) => "it could not log in to its database",
            Some(Misfit::CutOff) => "it was paused or off its network",
            Some(Misfit::Limits) => "its limits had been changed",
            _ => "its container was gone",
        };
        return Ok(Some(format!("{why}; made anew")));
    }
    let Some(own) = there.own else { return Ok(None) };
    run.remove_instances(Some(&own.id)).await?;
    let (deadline, limits) = (run.settings.call_deadline, run.target().spec.limits);
    let resize = run.backends.runtime_resize.as_ref().filter(|_| !own.keeps_within(&limits));
    if let Some(resize) = resize {
        call("runtime.resize", deadline, resize.resize(&own.id, &limits)).await?;
    }
    let started = call("runtime.start", deadline, run.backends.runtime.start(&own.id)).await?;
    if started.is_running() && started.endpoint.is_none() {
        // It was taken off its network while it ran, and a start does not put it back.
        build::container(run).await?;
        return Ok(Some("it could not be reached; made anew".into()));
    }
    Ok(resize.map(|_| "its limits had been changed; set again".into()))
}

/// What there is of the tenant, and what is wrong with it.
struct Sight {
    own: Option<Instance>,
    database: Option<DatabaseEntry>,
    misfit: Option<Misfit>,
    /// Whether it was started as it is before, and did not come up.
    failed_before: bool,
}

async fn look(run: &Run<'_>) -> Result<Sight> {
    let container = run.tenant.container.as_ref();
    let mut instances = run.instances().await?.into_iter();
    let own = instances.find(|instance| container.is_some_and(|own| own.id == instance.id));
    let database = run.database_entry().await?;
    let misfit = fit::misfit(own.as_ref(), &run.target().spec.limits, database.as_ref());
    let down = matches!(misfit, Some(Misfit::Down(_)));
    let failed_before = down && failed_before(run).await?;
    Ok(Sight { own, database, misfit, failed_before })
}

/// Whether the operation before this one started the same container in vain. What nobody can see from
/// outside may be wrong with it, such as a password that the app itself has changed: new credentials,
/// and rights granted anew, mend that.
async fn failed_before(run: &Run<'_>) -> Result<bool> {
    let this = &run.lease.operation;
    let history = run.backends.store.operations(this.tenant, 2);
    let history = call("store.operations", run.settings.call_deadline, history).await?;
    let last = history.iter().find(|operation| operation.id != this.id);
    Ok(last.is_some_and(|last| {
        let at = last.error.as_ref().and_then(|error| error.step);
        matches!(last.action, Action::Start | Action::Restart)
            && last.status == OperationStatus::Failed
            && at == Some(Step::Ready)
    }))
}

impl Sight {
    /// Whether only another container mends it.
    fn needs_another(&self, run: &Run<'_>) -> bool {
        match self.misfit {
            Some(Misfit::Gone | Misfit::LockedOut | Misfit::CutOff) => true,
            Some(Misfit::Limits) => run.backends.runtime_resize.is_none(),
            Some(Misfit::Down(_)) => self.failed_before,
            None => false,
        }
    }
}

/// Lets a barred role in again, if it is a person who wants the tenant to run: that the platform
/// itself repairs something must not undo what it was stopped for.
async fn open_database(run: &Run<'_>) -> Result<()> {
    let (Some(watch), Some(offence)) = (&run.backends.database_watch, run.offence().await?) else {
        return Ok(());
    };
    if run.lease.operation.actor == Actor::System {
        let message = format!("The platform stopped this tenant, and does not start it: {offence}");
        return Err(Error::new(ErrorKind::Exhausted, message).permanent());
    }
    call("database_watch.admit", run.settings.call_deadline, watch.admit(run.fence())).await
}

/// Fails a repair that the platform has made too often. A person may start as often as they want.
async fn check_patience(run: &Run<'_>, there: &Sight) -> Result<()> {
    let operation = &run.lease.operation;
    let is_repair = operation.actor == Actor::System && operation.action == Action::Start;
    let Some(misfit) = there.misfit.as_ref().filter(|_| is_repair) else { return Ok(()) };
    let history = run.backends.store.operations(operation.tenant, repairs::SEEN);
    let history = call("store.operations", run.settings.call_deadline, history).await?;
    let before = history.iter().filter(|other| other.id != operation.id);
    let repairs = Repairs::among(before, operation.created_at);
    repairs.give_up(misfit, &run.target().spec.limits).map_or(Ok(()), Err)
}
