//! The proxy.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::MemoryWorld;
use super::engine::Container;
use crate::error::{Error, ErrorKind, Result};
use crate::health::Health;
use crate::ids::TenantId;
use crate::instance::Endpoint;
use crate::router::{Route, RouteEntry, RoutePlan, RouteState, Router};
use crate::runtime::Reach;
use crate::subdomain::Hostname;

/// The host names that lead to a container, with a blank between them.
pub(super) const HOSTS: &str = "memory.hosts";
const TENANT: &str = "memory.tenant";
const GENERATION: &str = "memory.generation";
/// Who is asked before each request.
const GATE: &str = "memory.gate";

/// The proxy of a [`MemoryWorld`]. It finds routes by what running containers carry, as Traefik
/// does with labels, so there is nothing to publish or withdraw but that a gate was opened.
#[derive(Clone, Debug)]
pub struct MemoryRouter {
    world: MemoryWorld,
    reachable: bool,
}

impl MemoryRouter {
    pub(super) const fn new(world: MemoryWorld) -> Self {
        Self { world, reachable: true }
    }

    /// The same router, but its proxy does not run.
    #[must_use]
    pub const fn without_proxy(mut self) -> Self {
        self.reachable = false;
        self
    }

    /// The status of the answer to a visitor's GET through the proxy: 404 without a route, 403 when
    /// the route's gate refuses and 500 when it does not answer, 502 when the app does not.
    #[must_use]
    pub fn visit(&self, host: &Hostname, path: &str) -> u16 {
        let world = self.world.state();
        let mut running = world.engine.containers.iter().filter(|c| c.is_running());
        let Some(found) = running.find(|c| hosts(c).contains(host)) else { return 404 };
        let tenant = found.annotations.get(TENANT).and_then(|tenant| tenant.parse().ok());
        let opened = tenant.is_some_and(|tenant| world.engine.opened.contains(&tenant));
        let gate = found.annotations.get(GATE).filter(|_| !opened);
        let allows = gate.map(|gate| world.engine.gates.get(gate).copied());
        match allows {
            Some(Some(false)) => 403,
            Some(None) => 500,
            None | Some(Some(true)) => match found.reach(found.profile.port, path) {
                Reach::Status(status) => status,
                _ => 502,
            },
        }
    }

    fn reached(&self) -> Result<()> {
        if self.reachable {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Unavailable, "the in-memory proxy does not run"))
    }
}

fn hosts(container: &Container) -> Vec<Hostname> {
    let text = container.annotations.get(HOSTS).map(String::as_str).unwrap_or_default();
    text.split_whitespace().filter_map(|host| host.parse().ok()).collect()
}

fn state(container: &Container, route: &Route) -> RouteState {
    let Reach::Status(status) = container.reach(route.port, &route.probe_path) else {
        return RouteState::Pending("the app does not answer the proxy yet (502)".into());
    };
    // The mark of the proxy: it tells which route an answer came by.
    let mark = |key| container.annotations.get(key).map(String::as_str);
    let (tenant, generation) = (route.tenant.to_string(), route.generation.to_string());
    if mark(TENANT) != Some(&tenant) || mark(GENERATION) != Some(&generation) {
        return RouteState::Pending("another container answers under this host name".into());
    }
    if status != route.probe_status {
        let wanted = route.probe_status;
        return RouteState::Pending(format!("the app answers {status} instead of {wanted}"));
    }
    RouteState::Live
}

#[async_trait]
impl Router for MemoryRouter {
    fn plan(&self, route: &Route) -> RoutePlan {
        let names: Vec<_> = route.hosts.iter().map(Hostname::as_str).collect();
        let mut annotations = BTreeMap::from([
            (HOSTS.to_owned(), names.join(" ")),
            (TENANT.to_owned(), route.tenant.to_string()),
            (GENERATION.to_owned(), route.generation.to_string()),
        ]);
        annotations.extend(route.closed_gate().map(|gate| (GATE.to_owned(), gate.url.clone())));
        let url = format!("http://{}", names.first().copied().unwrap_or_default());
        RoutePlan { url, annotations }
    }

    async fn publish(&self, route: &Route, _endpoint: &Endpoint) -> Result<()> {
        self.reached()?;
        let opened = &mut self.world.state().engine.opened;
        if route.has_open_gate() {
            opened.insert(route.tenant);
        } else {
            opened.remove(&route.tenant);
        }
        Ok(())
    }

    async fn withdraw(&self, tenant: TenantId) -> Result<()> {
        self.reached()?;
        self.world.state().engine.opened.remove(&tenant);
        Ok(())
    }

    async fn probe(&self, route: &Route) -> Result<RouteState> {
        self.reached()?;
        let world = self.world.state();
        let mut running = world.engine.containers.iter().filter(|c| c.is_running());
        let found = running.find(|c| route.hosts.first().is_some_and(|h| hosts(c).contains(h)));
        Ok(found.map_or(RouteState::Absent, |container| state(container, route)))
    }

    async fn list(&self) -> Result<Vec<RouteEntry>> {
        self.reached()?;
        let world = self.world.state();
        let running = world.engine.containers.iter().filter(|c| c.is_running());
        let ours = running.filter_map(|container| {
            let marks = container.marks.as_ref().filter(|m| m.platform == self.world.platform)?;
            let entry = RouteEntry { tenant: marks.tenant, hosts: hosts(container) };
            (!entry.hosts.is_empty()).then_some(entry)
        });
        Ok(ours.collect())
    }

    async fn health(&self) -> Result<Health> {
        self.reached()?;
        Ok(Health::new(concat!("memory proxy ", env!("CARGO_PKG_VERSION"))))
    }
}
