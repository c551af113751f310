//! Who is to be told that their tenant was created, or could not be: read from the store of tenants
//! each time, so that no end is missed, whichever program saw it.

use fresco_core::{Action, Operation, OperationStatus, Result, Tenant, TenantQuery, TenantStatus};

use crate::accounts::{EndedDeployment, Letter, ToldDeployments};
use crate::platform::Platform;

/// Operations of a tenant that are looked through for its newest creation.
const OPERATIONS: u32 = 20;

pub(super) async fn tell(platform: &Platform) -> Result<()> {
    let tenants = platform.orchestrator.tenants(&TenantQuery::all()).await?.tenants;
    let ids: Vec<_> = tenants.iter().map(|tenant| tenant.id).collect();
    let told = platform.accounts.told_deployments(&ids).await?;
    for tenant in tenants.iter().filter(|tenant| is_news(tenant, &told)) {
        let operations = platform.orchestrator.operations(tenant.id, OPERATIONS).await?;
        let created = operations.iter().find(|one| one.action == Action::Create);
        let Some(create) = created.filter(|one| has_ended(one, &told)) else { continue };
        let successful = create.status == OperationStatus::Success;
        let subdomain = tenant.spec.subdomain.to_string();
        let letter = if successful {
            Letter::DeploymentDone { subdomain, url: platform.orchestrator.url(tenant) }
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
fn is_news(tenant: &Tenant, told: &ToldDeployments) -> bool {
    match tenant.state.first_active_at {
        Some(at) => at > told.since && !told.created.contains(&tenant.id),
        None => tenant.state.status == TenantStatus::Error,
    }
}

fn has_ended(create: &Operation, told: &ToldDeployments) -> bool {
    create.finished_at.is_some_and(|at| at > told.since) && !told.operations.contains(&create.id)
}
