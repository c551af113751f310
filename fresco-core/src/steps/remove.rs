//! The steps that take something away: withdraw, stop, remove container, remove database.

use tokio::time::Instant;

use crate::backends::call;
use crate::database_watch::DatabaseOffence;
use crate::error::{Error, ErrorKind, Result};
use crate::operation::{Actor, Failure};
use crate::router::RouteState;
use crate::run::{Detail, Run};
use crate::stage::{Direction, Intent};
use crate::step::Action;

pub(super) async fn withdraw(run: &mut Run<'_>) -> Result<Detail> {
    if ran_before(run) {
        return Ok(Some("kept: it ran before".into()));
    }
    let withdraw = run.backends.router.withdraw(run.tenant_id());
    call("router.withdraw", run.settings.call_deadline, withdraw).await?;
    Ok(None)
}

/// Stops every container of the tenant, and waits until the proxy no longer leads to it.
pub(super) async fn stop(run: &mut Run<'_>) -> Result<Detail> {
    if ran_before(run) {
        return Ok(Some("kept: it ran before".into()));
    }
    let grace = run.target().spec.app.stop_grace();
    for instance in run.instances().await? {
        let stop = run.backends.runtime.stop(&instance.id, grace);
        call("runtime.stop", run.settings.call_deadline + grace, stop).await?;
    }
    until_unreachable(run).await?;
    if run.action() != Action::Stop {
        return Ok(None);
    }
    // Whoever stops it: the owner of a barred tenant must learn why it can't use its database.
    let offence = match run.offence().await {
        Ok(offence) => offence,
        Err(error) if run.lease.operation.actor == Actor::System => return Err(error),
        Err(error) => {
            tracing::warn!(tenant = %run.tenant_id(), error = %error.chain(), "could not look up whether the tenant is barred");
            None
        }
    };
    run.tenant.error = offence.as_ref().map(stopped);
    Ok(offence.map(|offence| offence.to_string()))
}

/// Why the platform stopped a tenant, for its owner.
fn stopped(offence: &DatabaseOffence) -> Failure {
    let message = format!(
        "The platform stopped this tenant: {offence}. Its data is kept. If it is not clear why, ask whoever runs the platform before you start it again"
    );
    Failure { kind: ErrorKind::Exhausted, step: None, message, log_tail: Vec::new() }
}

/// Whether a start is taken back that found its container running: there is nothing to take back.
fn ran_before(run: &Run<'_>) -> bool {
    run.action() == Action::Start
        && run.stage.direction == Direction::Undo
        && run.stage.container == Some(Intent::Keep)
}

pub(super) async fn remove_container(run: &mut Run<'_>) -> Result<Detail> {
    let removed = run.remove_instances(None).await?;
    until_unreachable(run).await?;
    run.tenant.container = None;
    run.stage.instance = None;
    Ok((removed == 0).then(|| "there was none".into()))
}

/// Removes the data: on destroy always; when a create is taken back, only what that create made,
/// and never that of a tenant that was once active.
pub(super) async fn remove_database(run: &mut Run<'_>) -> Result<Detail> {
    if run.stage.direction == Direction::Undo {
        if run.tenant.first_active_at.is_some() {
            return Ok(Some("kept: the tenant was active before".into()));
        }
        if run.stage.database != Some(Intent::Make) {
            return Ok(Some("this operation made none".into()));
        }
    }
    let remove = run.backends.database.remove(run.fence());
    call("database.remove", run.settings.removal_deadline, remove).await?;
    Ok(None)
}

/// A proxy takes a moment to notice. One that can't be reached leads nowhere, which is as good.
async fn until_unreachable(run: &Run<'_>) -> Result<()> {
    let Some(container) = run.tenant.container.as_ref().or(run.stage.instance.as_ref()) else {
        return Ok(());
    };
    let route = run.route_to(container.generation).await?;
    let end = Instant::now() + run.settings.route_deadline;
    loop {
        let probe = run.backends.router.probe(&route);
        match call("router.probe", run.settings.call_deadline, probe).await {
            Ok(RouteState::Live) => {}
            Ok(_) => return Ok(()),
            Err(error) if error.is_retryable() => return Ok(()),
            Err(error) => return Err(error),
        }
        if Instant::now() >= end {
            let message = "the proxy still leads to the tenant although its container does not run";
            return Err(Error::new(ErrorKind::TimedOut, message));
        }
        tokio::time::sleep(run.settings.poll_interval).await;
    }
}
