//! Who is to be told that their tenant was created, or could not be: read from the store of tenants
//! each time, so that no end is missed, whichever program saw it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use fresco_core::{Action, Operation, OperationStatus, Result, Tenant, TenantQuery, TenantStatus};

use crate::accounts::{EndedDeployment, Letter, ToldDeployments};
use crate::platform::Platform;

/// After how long an end is no news: it was missed while there was no mail, or no server.
const NEWS: Duration = Duration::from_secs(3 * 24 * 60 * 60);
/// Operations of a tenant that are looked through for its newest creation.
const OPERATIONS: u32 = 20;

pub(super) async fn tell(platform: &Platform) -> Result<()> {
    let page = platform.orchestrator.tenants(&TenantQuery::all()).await?;
    let ids: Vec<_> = page.tenants.iter().map(|tenant| tenant.id).collect();
    let told = platform.accounts.told_deployments(&ids).await?;
    let after = told.since.max(page.at - NEWS);
    for tenant in page.tenants.iter().filter(|tenant| is_news(tenant, after, &told)) {
        let operations = platform.orchestrator.operations(tenant.id, OPERATIONS).await?;
        let created = operations.iter().find(|one| one.action == Action::Create);
        let Some(create) = created.filter(|one| has_ended(one, after, &told)) else { continue };
        let successful = create.status == OperationStatus::Success;
        let subdomain = tenant.spec.subdomain.to_string();
        let letter = if successful {
            let gated = tenant.spec.app.claim_path.is_some();
            Letter::DeploymentDone { subdomain, url: platform.orchestrator.url(tenant), gated }
        } else {
            let error = create.error.as_ref().map(|error| error.message.clone());
            Letter::DeploymentFailed { subdomain, reason: error.unwrap_or_default() }
        };
        let ended = EndedDeployment {
            operation: create.id,
            tenant: tenant.id,
            owner: tenant.spec.owner.clone(),
            successful,
        };
        platform.accounts.tell_deployment(&ended, &letter).await?;
    }
    Ok(())
}

/// Whether there may be something to tell, as far as the tenant shows it.
fn is_news(tenant: &Tenant, after: DateTime<Utc>, told: &ToldDeployments) -> bool {
    match tenant.state.first_active_at {
        Some(at) => at > after && !told.created.contains(&tenant.id),
        None => tenant.state.status == TenantStatus::Error,
    }
}

fn has_ended(create: &Operation, after: DateTime<Utc>, told: &ToldDeployments) -> bool {
    create.finished_at.is_some_and(|at| at > after) && !told.operations.contains(&create.id)
}
