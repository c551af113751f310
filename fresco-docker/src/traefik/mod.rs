//! Routes by labels that Traefik reads.

mod api;
mod config;
mod labels;
mod probe;
mod report;
mod rule;

use async_trait::async_trait;
use fresco_core::{
    Endpoint, Health, Result, Route, RouteEntry, RoutePlan, RouteState, Router, TenantId,
};

pub use config::TraefikConfig;
pub use report::TraefikReport;

/// Leads requests to tenants by labels that their containers carry and Traefik reads.
///
/// It knows Traefik and no container engine: its annotations suit every provider of Traefik that
/// reads labels (Docker, Podman).
///
/// A route stands and falls with its container: publishing and withdrawing do nothing.
///
/// **How a route is known to be live.** A middleware of ours, one for each tenant, sets the header
/// `X-Fresco-Instance: <tenant>.<generation>` on every answer that comes through the route. It
/// replaces what an app sends under that name, so that an app can speak neither for another tenant
/// nor for another container of its own.
///
/// **Gates** are Traefik's `forwardAuth`. A route with one has a second router that leads past it,
/// for `HEAD` at the probe's path alone. The labels stay as long as the container: once a gate lets
/// everybody pass it goes on being asked, until a container is made without it.
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
}

#[async_trait]
impl Router for TraefikLabels {
    fn plan(&self, route: &Route) -> RoutePlan {
        labels::plan(&self.config, route)
    }

    async fn publish(&self, _route: &Route, _endpoint: &Endpoint) -> Result<()> {
        Ok(())
    }

    async fn withdraw(&self, _tenant: TenantId) -> Result<()> {
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
