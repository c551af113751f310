//! What becomes of the tenants of somebody whose account is shut: they are stopped, their data kept.
//!
//! An app that goes on while nobody may look after it is the platform's own risk, and what an account
//! is shut for is most often what its tenants do. When the account is opened again they stay down:
//! their owner decides which of them shall run, and there may be no room for all of them at once.
//!
//! What is to be stopped is read from the accounts and the store each time, so that it happens
//! whatever dies in between: a tenant with an operation under way is stopped after that.

use std::time::Duration;

use fresco_core::{
    Actor, DesiredState, ErrorKind, OperationId, OwnerId, Result, Tenant, TenantQuery, TenantStatus,
};
use tokio_util::sync::CancellationToken;

use crate::accounts::Suspension;
use crate::platform::Platform;

/// The pause between two looks.
const PAUSE: Duration = Duration::from_secs(10);
/// Accounts of one look.
const MOST: u32 = 100;
/// Requests that were let in before the account was shut have ended by then.
const SETTLED: Duration = Duration::from_secs(600);

/// Stops what is to be stopped, until cancelled.
pub(crate) async fn keep(platform: &Platform, until: &CancellationToken) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = until.cancelled() => return,
        }
        // What was accepted is in the store, and what was not is asked for again.
        tokio::select! {
            looked = look(platform) => if let Err(error) = looked {
                tracing::warn!(error = %error.chain(), "which accounts are suspended is unknown now");
            },
            () = until.cancelled() => return,
        }
    }
}

async fn look(platform: &Platform) -> Result<()> {
    for suspension in platform.accounts.open_suspensions(MOST).await? {
        if let Err(error) = stop_tenants(platform, &suspension).await {
            tracing::warn!(user = %suspension.user, error = %error.chain(), "the tenants of a suspended account can't be stopped now");
        }
    }
    Ok(())
}

/// Asks for the stop of all tenants that run, and tells which operations these are. What can't be
/// stopped yet is left for the next look.
pub(crate) async fn stop_tenants(
    platform: &Platform,
    suspension: &Suspension,
) -> Result<Vec<OperationId>> {
    let mut query = TenantQuery::all();
    query.owner = Some(OwnerId::new(suspension.user.to_string()));
    let page = platform.orchestrator.tenants(&query).await?;
    let tenants = page.tenants;
    let actor = suspension.by.map_or(Actor::System, |id| Actor::User(id.to_string()));
    // One that can't be read is counted and not among the others, and may run.
    let (mut begun, mut left) = (Vec::new(), page.total > tenants.len() as u64);
    for tenant in tenants.iter().filter(|tenant| may_run(tenant)) {
        left = true;
        // There is nothing to stop of one that never ran: it is stopped when it does.
        if tenant.state.first_active_at.is_none() {
            continue;
        }
        match platform.orchestrator.stop_tenant(tenant.id, actor.clone()).await {
            Ok(accepted) => begun.push(accepted.operation.id),
            Err(error) if matches!(error.kind(), ErrorKind::Conflict | ErrorKind::NotFound) => {}
            Err(error) => {
                tracing::warn!(tenant = %tenant.id, error = %error.chain(), "a suspended account's tenant can't be stopped now");
            }
        }
    }
    if !left && suspension.age > SETTLED {
        platform.accounts.end_suspension(suspension).await?;
    }
    Ok(begun)
}

/// Whether it runs, or will by what was asked for.
fn may_run(tenant: &Tenant) -> bool {
    let state = &tenant.state;
    match state.status {
        TenantStatus::Destroying | TenantStatus::Destroyed => false,
        // A creation that failed left nothing.
        TenantStatus::Error if state.first_active_at.is_none() => false,
        _ => state.desired == DesiredState::Running,
    }
}
