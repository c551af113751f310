//! Tenants' routes, with their gates as these stand now.
//!
//! What a running container carries can't be changed. So when a gate was opened since the container
//! was made, its route is published once more: from then on the proxy asks nobody.

use crate::backends::{Backends, call};
use crate::error::Result;
use crate::ids::{Generation, TenantId};
use crate::instance::Instance;
use crate::router::Route;
use crate::settings::Settings;
use crate::store::TenantQuery;
use crate::tenant::{Tenant, TenantSpec, TenantStatus};
use crate::worker::Shop;

/// The route of a tenant to its container of this generation.
pub(crate) async fn to(
    backends: &Backends,
    settings: &Settings,
    tenant: TenantId,
    spec: &TenantSpec,
    was_active: bool,
    generation: Generation,
) -> Result<Route> {
    let host = settings.base_domain.join(&spec.subdomain);
    let route = Route::new(tenant, generation, host, spec.app.port)
        .probed_at(&spec.app.health_path, spec.app.health_status);
    let (Some(gates), Some(_)) = (&backends.claim_gates, &spec.app.claim_path) else {
        return Ok(route);
    };
    let gate = gates.gate(tenant, was_active);
    Ok(route.gated(call("claim_gates.gate", settings.call_deadline, gate).await?))
}

/// Tells the proxy of gates that were opened, of tenants that run. Another time will do for what
/// can't be told now: until then the gates themselves let everybody pass.
pub(crate) async fn publish_opened(shop: &Shop, running: &[(&Tenant, &Instance)]) {
    for (tenant, own) in running {
        if let Err(error) = publish_if_opened(shop, tenant, own).await {
            tracing::warn!(tenant = %tenant.id, error = %error.chain(), "could not tell the proxy whether a gate was opened");
            // What keeps this one most likely keeps the others, too.
            return;
        }
    }
}

/// Publishes the route to this container of the tenant, if it has a gate that is open.
pub(crate) async fn publish_if_opened(shop: &Shop, tenant: &Tenant, own: &Instance) -> Result<()> {
    let Shop { backends, settings, .. } = shop;
    let Some(endpoint) = &own.endpoint else { return Ok(()) };
    let was_active = tenant.state.first_active_at.is_some();
    let route = to(backends, settings, tenant.id, &tenant.spec, was_active, own.generation).await?;
    if !route.has_open_gate() {
        return Ok(());
    }
    let publish = backends.router.publish(&route, endpoint);
    call("router.publish", settings.call_deadline, publish).await?;
    // A destroy that took its route away in between is not to find it there again.
    let query = TenantQuery::one(tenant.id);
    let now = backends.store.tenants(&query);
    let now = call("store.tenants", settings.call_deadline, now).await?;
    let leaves = now.tenants.iter().all(|tenant| {
        matches!(tenant.state.status, TenantStatus::Destroying | TenantStatus::Destroyed)
    });
    if leaves {
        let withdraw = backends.router.withdraw(tenant.id);
        call("router.withdraw", settings.call_deadline, withdraw).await?;
    }
    Ok(())
}
