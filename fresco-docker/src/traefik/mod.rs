//! Routes by labels that Traefik reads.

mod api;
mod config;
mod labels;
mod open;
mod probe;
mod report;
mod rule;

use async_trait::async_trait;
use fresco_core::{
    Endpoint, Gate, Health, Result, Route, RouteEntry, RoutePlan, RouteState, Router, TenantId,
};

pub use config::TraefikConfig;
pub use report::TraefikReport;

/// Leads requests to tenants by labels that their containers carry and Traefik reads.
///
/// It knows Traefik and no container engine: its annotations suit every provider of Traefik that
/// reads labels (Docker, Podman).
///
/// A route stands and falls with its container: publishing and withdrawing do nothing, but for gates.
///
/// **How a route is known to be live.** A middleware of ours, one for each tenant, sets the header
/// `X-Fresco-Instance: <tenant>.<generation>` on every answer that comes through the route. It
/// replaces what an app sends under that name, so that an app can speak neither for another tenant
/// nor for another container of its own.
///
/// **Gates** are Traefik's `forwardAuth`. A route with one has a second router that leads past it,
/// for `HEAD` at the probe's path alone. The labels stay as long as the container. So publishing a
/// route with an opened gate writes a third router, past the gate, to the folder of Traefik's file
/// provider ([`TraefikConfig::directory`]): from then on the route needs nobody but Traefik and the
/// container, also after Traefik was restarted. Without such a folder, or while it can't be written,
/// a gate goes on being asked until a container is made without it.
#[derive(Clone, Debug)]
pub struct TraefikLabels {
    config: TraefikConfig,
}

impl TraefikLabels {
    /// A router for a Traefik that is set up like this.
    #[must_use]
    pub fn new(config: TraefikConfig) -> Self {
        Self { config }
    }

    /// Writes a route of nobody's behind a gate to the folder of the file provider, for a host that no
    /// tenant can have: [`TraefikReport::gather`] sees by it that Traefik reads the folder and reaches
    /// the gate, which should refuse. Without a folder it does nothing.
    ///
    /// # Errors
    /// `Unavailable` when the folder can't be written.
    pub async fn write_sample(&self, host: &str, gate: &Gate) -> Result<()> {
        open::sample(&self.config, host, gate).await
    }
}

#[async_trait]
impl Router for TraefikLabels {
    fn plan(&self, route: &Route) -> RoutePlan {
        labels::plan(&self.config, route)
    }

    async fn publish(&self, route: &Route, _endpoint: &Endpoint) -> Result<()> {
        match &route.gate {
            None => Ok(()),
            Some(gate) if gate.is_open => {
                // No reason to keep the app down: the gate itself lets everybody pass, too.
                if let Err(error) = open::open(&self.config, route).await {
                    tracing::warn!(tenant = %route.tenant, error = %error.chain(), "Traefik goes on asking a gate that was opened");
                }
                Ok(())
            }
            Some(_) => {
                let close = open::close(&self.config, route.tenant);
                close.await.map_err(|error| error.during("router.publish"))
            }
        }
    }

    async fn withdraw(&self, tenant: TenantId) -> Result<()> {
        // What is left leads nowhere without the container.
        if let Err(error) = open::close(&self.config, tenant).await {
            tracing::warn!(%tenant, error = %error.chain(), "a router that leads nowhere is left over");
        }
        Ok(())
    }

    async fn probe(&self, route: &Route) -> Result<RouteState> {
        probe::probe(&self.config, route).await.map_err(|error| error.during("router.probe"))
    }

    async fn list(&self) -> Result<Vec<RouteEntry>> {
        api::list(&self.config).await.map_err(|error| error.during("router.list"))
    }

    async fn health(&self) -> Result<Health> {
        api::health(&self.config).await.map_err(|error| error.during("router.health"))
    }
}
