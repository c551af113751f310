//! The port to the reverse proxy.

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;

use crate::error::Result;
use crate::gate::Gate;
use crate::health::Health;
use crate::ids::{Generation, TenantId};
use crate::instance::Endpoint;
use crate::subdomain::Hostname;

/// A way from host names to a tenant's app.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Route {
    /// The tenant.
    pub tenant: TenantId,
    /// The generation of the container behind it. The proxy names both in its answers, which is
    /// how a route is known to be live.
    pub generation: Generation,
    /// The host names; the first is the one that people are given. Never empty.
    pub hosts: Vec<Hostname>,
    /// The port that the app listens on inside its container.
    pub port: u16,
    /// A path that the app answers, for probes.
    pub probe_path: String,
    /// The status that it answers with there.
    pub probe_status: u16,
    /// Who is asked before each request, unless it is open; without one everybody may pass.
    pub gate: Option<Gate>,
}

impl Route {
    /// A route of one host name, probed at `/` for status 200.
    #[must_use]
    pub fn new(tenant: TenantId, generation: Generation, host: Hostname, port: u16) -> Self {
        Self {
            tenant,
            generation,
            hosts: vec![host],
            port,
            probe_path: "/".into(),
            probe_status: 200,
            gate: None,
        }
    }

    /// The same route with another probe.
    #[must_use]
    pub fn probed_at(mut self, path: impl Into<String>, status: u16) -> Self {
        self.probe_path = path.into();
        self.probe_status = status;
        self
    }

    /// The same route with a gate, or without one.
    #[must_use]
    pub fn gated(mut self, gate: Option<Gate>) -> Self {
        self.gate = gate;
        self
    }

    /// The gate, if it is closed: only then the proxy has to ask it.
    #[must_use]
    pub fn closed_gate(&self) -> Option<&Gate> {
        self.gate.as_ref().filter(|gate| !gate.is_open)
    }

    /// Whether there is a gate and it is open: a container that was made before may still carry what
    /// names it.
    #[must_use]
    pub fn has_open_gate(&self) -> bool {
        self.gate.as_ref().is_some_and(|gate| gate.is_open)
    }
}

/// What a route needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoutePlan {
    /// The address for people, with scheme and without a slash at its end.
    pub url: String,
    /// What the container must carry so that the proxy finds it (labels, for Traefik).
    pub annotations: BTreeMap<String, String>,
}

/// What a probe of a route saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteState {
    /// The proxy knows no such route.
    Absent,
    /// The route is known or may be, but the tenant's app does not answer through it yet: why.
    Pending(String),
    /// A request through the proxy reached this container of this tenant.
    Live,
}

/// A route that the proxy knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteEntry {
    /// The tenant.
    pub tenant: TenantId,
    /// Its host names.
    pub hosts: Vec<Hostname>,
}

/// Leads requests for tenants' host names to their apps.
#[async_trait]
pub trait Router: fmt::Debug + Send + Sync + 'static {
    /// What the route needs. It touches nothing and always gives the same answer.
    ///
    /// # Behavior
    /// - The URL begins with a scheme and holds the first host name.
    /// - The same route gives the same plan.
    /// - A tenant's subdomain stands in no name that other tenants can see.
    fn plan(&self, route: &Route) -> RoutePlan;

    /// Writes the route where the proxy reads it. Routers whose annotations say it all do nothing.
    ///
    /// # Behavior
    /// - A published route with a running app becomes `Live` within seconds.
    /// - A route with a gate does so, too, whatever the gate answers.
    /// - A gate keeps out whom it refuses.
    /// - A gate lets in whom it allows.
    /// - A gate that gives no answer keeps everybody out.
    /// - Publishing with the gate opened lets everybody in, without another container, also when the
    ///   gate gives no answer.
    /// - Publishing with the gate closed again keeps out whom it refuses.
    /// - Publishing twice changes nothing.
    /// - Publishing with a new endpoint moves the route.
    async fn publish(&self, route: &Route, endpoint: &Endpoint) -> Result<()>;

    /// Takes the tenant's route back. Where a route stands on the container's annotations it goes
    /// with the container.
    ///
    /// # Behavior
    /// - Once the container is stopped too, the route is no longer live.
    /// - Withdrawing an absent one is success.
    async fn withdraw(&self, tenant: TenantId) -> Result<()>;

    /// Sends one request through the proxy and tells what came back.
    ///
    /// # Behavior
    /// - An unknown route is `Absent`.
    /// - A route whose app does not answer, or answers with another status, is `Pending`.
    /// - A route that leads to another generation's container is `Pending`.
    /// - A page that merely looks right is not believed: the proxy's own mark counts.
    /// - A proxy that can't be reached is `Unavailable`.
    async fn probe(&self, route: &Route) -> Result<RouteState>;

    /// The routes of this platform that the proxy knows.
    ///
    /// # Behavior
    /// - A live route is listed.
    /// - Once it is withdrawn and the container is gone, it is no longer listed.
    async fn list(&self) -> Result<Vec<RouteEntry>>;

    /// Whether the proxy can be used now.
    ///
    /// # Behavior
    /// - It names the proxy and its version.
    async fn health(&self) -> Result<Health>;
}
