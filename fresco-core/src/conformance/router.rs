//! The cases of [`Router`].

use std::sync::Arc;

use super::RouterFixture;
use super::support::{done, eventually, names_a_version, refused, subdomain};
use crate::{
    Endpoint, ErrorKind, Gate, Generation, Route, RouteEntry, RouteState, Router, TenantId,
};

/// The names of all cases of this port, in order.
pub const CASES: &[&str] = &crate::__router_cases!(__conformance_names);

const PATH: &str = "/signin";

/// A route of a new tenant, in generation 1.
fn route<F: RouterFixture + ?Sized>(fixture: &F) -> Route {
    let host = fixture.host(subdomain().as_str());
    Route::new(TenantId::new(), Generation::new(1), host, fixture.port()).probed_at(PATH, 200)
}

fn in_generation(route: &Route, generation: i64) -> Route {
    Route { generation: Generation::new(generation), ..route.clone() }
}

async fn probe(router: &Arc<dyn Router>, route: &Route) -> RouteState {
    done("probe", router.probe(route).await)
}

async fn becomes_live(router: &Arc<dyn Router>, route: &Route) {
    eventually("the route should become live", async || match probe(router, route).await {
        RouteState::Live => Ok(()),
        state => Err(state),
    })
    .await;
}

async fn becomes_pending(why: &str, router: &Arc<dyn Router>, route: &Route) {
    eventually(why, async || match probe(router, route).await {
        RouteState::Pending(_) => Ok(()),
        // A pending route may have been absent; but what must not be believed never is live.
        RouteState::Live => panic!("{why}, but it is live"),
        RouteState::Absent => Err(RouteState::Absent),
    })
    .await;
}

/// A route that is live.
async fn live<F: RouterFixture + ?Sized>(fixture: &F) -> (Route, Endpoint) {
    let (router, route) = (fixture.router(), route(fixture));
    let endpoint = fixture.start_app(&route, true).await;
    done("publish", router.publish(&route, &endpoint).await);
    becomes_live(&router, &route).await;
    (route, endpoint)
}

async fn listed(router: &Arc<dyn Router>, route: &Route) -> Vec<RouteEntry> {
    let all = done("list", router.list().await);
    all.into_iter().filter(|entry| entry.tenant == route.tenant).collect()
}

/// The URL begins with a scheme and holds the first host name.
pub async fn plan_gives_a_url<F: RouterFixture + ?Sized>(fixture: &F) {
    let mut route = route(fixture);
    route.hosts.push(fixture.host(subdomain().as_str()));
    let url = fixture.router().plan(&route).url;
    let scheme = ["http://", "https://"].iter().find_map(|scheme| url.strip_prefix(scheme));
    let rest = scheme.unwrap_or_else(|| panic!("{url} should begin with a scheme"));
    let host = rest.split(':').next().unwrap_or_default();
    assert_eq!(host, route.hosts[0].as_str(), "the host of {url}");
    assert!(!url.ends_with('/'), "{url} should not end with a slash");
}

/// The same route gives the same plan.
pub async fn plan_is_the_same_every_time<F: RouterFixture + ?Sized>(fixture: &F) {
    let (router, route) = (fixture.router(), route(fixture));
    assert_eq!(router.plan(&route), router.plan(&route.clone()), "two plans of one route");
}

/// A tenant's subdomain stands in no name that other tenants can see.
pub async fn plan_hides_the_subdomain<F: RouterFixture + ?Sized>(fixture: &F) {
    let name = subdomain();
    let mut route = route(fixture);
    route.hosts = vec![fixture.host(name.as_str())];
    let plan = fixture.router().plan(&route);
    // The values say which host leads here; the keys are names in the proxy.
    let telling: Vec<_> =
        plan.annotations.keys().filter(|key| key.contains(name.as_str())).collect();
    assert!(telling.is_empty(), "these names tell the subdomain: {telling:?}");
}

/// A published route with a running app becomes `Live` within seconds.
pub async fn publish_makes_it_live<F: RouterFixture + ?Sized>(fixture: &F) {
    live(fixture).await;
}

/// Publishing twice changes nothing.
pub async fn publish_twice_changes_nothing<F: RouterFixture + ?Sized>(fixture: &F) {
    let (router, (route, endpoint)) = (fixture.router(), live(fixture).await);
    done("publish again", router.publish(&route, &endpoint).await);
    assert_eq!(probe(&router, &route).await, RouteState::Live, "the route should stay live");
    let entries = listed(&router, &route).await;
    assert_eq!(entries.len(), 1, "the tenant should have one route: {entries:?}");
}

/// Publishing with a new endpoint moves the route.
pub async fn publish_moves_the_route<F: RouterFixture + ?Sized>(fixture: &F) {
    let (router, (old, _)) = (fixture.router(), live(fixture).await);
    let new = in_generation(&old, 2);
    let endpoint = fixture.start_app(&new, true).await;
    done("publish with a new endpoint", router.publish(&new, &endpoint).await);
    becomes_live(&router, &new).await;
    let state = probe(&router, &old).await;
    assert_ne!(state, RouteState::Live, "the route should not lead to the old container");
}

/// A live route with this gate.
async fn live_behind<F: RouterFixture + ?Sized>(fixture: &F, gate: Gate) -> (Route, Endpoint) {
    let (router, route) = (fixture.router(), route(fixture).gated(Some(gate)));
    let endpoint = fixture.start_app(&route, true).await;
    done("publish", router.publish(&route, &endpoint).await);
    becomes_live(&router, &route).await;
    (route, endpoint)
}

/// Publishes the route with its gate opened, and waits until everybody reaches the same container.
async fn open<F: RouterFixture + ?Sized>(fixture: &F, route: &Route, endpoint: &Endpoint) -> Route {
    let router = fixture.router();
    let opened = route.clone().gated(route.gate.clone().map(Gate::opened));
    done("publish with the gate opened", router.publish(&opened, endpoint).await);
    visits_get(fixture, &opened, 200).await;
    becomes_live(&router, &opened).await;
    opened
}

async fn visits_get<F: RouterFixture + ?Sized>(fixture: &F, route: &Route, status: u16) {
    eventually("a visitor should get another answer", async || {
        match fixture.visit(route, PATH).await {
            seen if seen == status => Ok(()),
            seen => Err((seen, "instead of", status)),
        }
    })
    .await;
}

/// A route with a gate does so, too, whatever the gate answers.
pub async fn publish_of_a_gated_one_makes_it_live<F: RouterFixture + ?Sized>(fixture: &F) {
    let mut live = vec![live_behind(fixture, fixture.absent_gate()).await.0];
    for allows in [true, false] {
        live.push(live_behind(fixture, fixture.start_gate(allows).await).await.0);
    }
    for route in &live {
        let entry = RouteEntry { tenant: route.tenant, hosts: route.hosts.clone() };
        assert_eq!(listed(&fixture.router(), route).await, [entry], "the gated route");
    }
}

/// A gate keeps out whom it refuses.
pub async fn publish_with_a_gate_keeps_out_whom_it_refuses<F: RouterFixture + ?Sized>(fixture: &F) {
    let (route, _) = live_behind(fixture, fixture.start_gate(false).await).await;
    for path in [PATH, "/", "/setup"] {
        assert_eq!(fixture.visit(&route, path).await, 403, "the gate's own answer, for {path}");
    }
}

/// A gate lets in whom it allows.
pub async fn publish_with_a_gate_lets_in_whom_it_allows<F: RouterFixture + ?Sized>(fixture: &F) {
    let (route, _) = live_behind(fixture, fixture.start_gate(true).await).await;
    assert_eq!(fixture.visit(&route, PATH).await, 200, "the app's own answer");
}

/// A gate that gives no answer keeps everybody out.
pub async fn publish_with_a_gate_that_is_away_keeps_all_out<F: RouterFixture + ?Sized>(
    fixture: &F,
) {
    let (route, _) = live_behind(fixture, fixture.absent_gate()).await;
    for path in [PATH, "/", "/setup"] {
        let status = fixture.visit(&route, path).await;
        assert!(status >= 500, "{path}: {status}");
    }
    // Without the gate the same app lets everybody in.
    let (open, _) = live(fixture).await;
    assert_eq!(fixture.visit(&open, PATH).await, 200, "the app's own answer");
}

/// Publishing with the gate opened lets everybody in, without another container, also when the gate
/// gives no answer.
pub async fn publish_with_an_opened_gate_lets_all_in<F: RouterFixture + ?Sized>(fixture: &F) {
    for gate in [fixture.absent_gate(), fixture.start_gate(false).await] {
        let (route, endpoint) = live_behind(fixture, gate).await;
        assert!(fixture.visit(&route, PATH).await >= 403, "nobody comes in yet");
        let opened = open(fixture, &route, &endpoint).await;
        // Doing it again changes nothing.
        done("publish it again", fixture.router().publish(&opened, &endpoint).await);
        assert_eq!(fixture.visit(&opened, PATH).await, 200, "the app's own answer");
        let entries = listed(&fixture.router(), &opened).await;
        assert_eq!(entries.len(), 1, "the tenant should have one route: {entries:?}");
    }
}

/// Publishing with the gate closed again keeps out whom it refuses.
pub async fn publish_with_a_gate_closed_again_keeps_out<F: RouterFixture + ?Sized>(fixture: &F) {
    let (route, endpoint) = live_behind(fixture, fixture.start_gate(false).await).await;
    open(fixture, &route, &endpoint).await;
    done("publish with the gate closed", fixture.router().publish(&route, &endpoint).await);
    visits_get(fixture, &route, 403).await;
    becomes_live(&fixture.router(), &route).await;
}

/// Once the container is stopped too, the route is no longer live.
pub async fn withdraw_ends_it<F: RouterFixture + ?Sized>(fixture: &F) {
    let (router, (route, _)) = (fixture.router(), live(fixture).await);
    done("withdraw", router.withdraw(route.tenant).await);
    fixture.stop_app(route.tenant).await;
    eventually("the route should be live no longer", async || match probe(&router, &route).await {
        RouteState::Live => Err("it is live"),
        RouteState::Absent | RouteState::Pending(_) => Ok(()),
    })
    .await;
}

/// Withdrawing an absent one is success.
pub async fn withdraw_tolerates_an_absent_one<F: RouterFixture + ?Sized>(fixture: &F) {
    let router = fixture.router();
    done("withdraw of an unknown route", router.withdraw(TenantId::new()).await);
    let (route, _) = live(fixture).await;
    done("withdraw", router.withdraw(route.tenant).await);
    done("withdraw again", router.withdraw(route.tenant).await);
}

/// An unknown route is `Absent`.
pub async fn probe_of_an_unknown_route_is_absent<F: RouterFixture + ?Sized>(fixture: &F) {
    let state = probe(&fixture.router(), &route(fixture)).await;
    assert_eq!(state, RouteState::Absent, "a route that nobody published");
}

/// A route whose app does not answer, or answers with another status, is `Pending`.
pub async fn probe_of_a_wrong_answer_is_pending<F: RouterFixture + ?Sized>(fixture: &F) {
    let (router, silent) = (fixture.router(), route(fixture));
    let endpoint = fixture.start_app(&silent, false).await;
    done("publish", router.publish(&silent, &endpoint).await);
    becomes_pending("an app that does not answer should be pending", &router, &silent).await;

    let (route, _) = live(fixture).await;
    let other = route.probed_at(PATH, 204);
    let state = probe(&router, &other).await;
    assert!(matches!(state, RouteState::Pending(_)), "200 instead of 204: {state:?}");
}

/// A route that leads to another generation's container is `Pending`.
pub async fn probe_of_another_generation_is_pending<F: RouterFixture + ?Sized>(fixture: &F) {
    let (router, (route, _)) = (fixture.router(), live(fixture).await);
    for generation in [0, 2, 11] {
        let state = probe(&router, &in_generation(&route, generation)).await;
        let pending = matches!(state, RouteState::Pending(_));
        assert!(pending, "generation {generation} of a container of generation 1: {state:?}");
    }
}

/// A page that merely looks right is not believed: the proxy's own mark counts.
pub async fn probe_believes_only_the_proxys_mark<F: RouterFixture + ?Sized>(fixture: &F) {
    let (router, route) = (fixture.router(), route(fixture));
    fixture.start_impostor(&route).await;
    becomes_pending("a page without the mark should be pending", &router, &route).await;
}

/// A proxy that can't be reached is `Unavailable`.
pub async fn probe_without_a_proxy_is_unavailable<F: RouterFixture + ?Sized>(fixture: &F) {
    let router = fixture.unreachable();
    let result = router.probe(&route(fixture)).await;
    refused("probe without a proxy", result, ErrorKind::Unavailable);
    refused("health without a proxy", router.health().await, ErrorKind::Unavailable);
}

/// A live route is listed.
pub async fn list_includes_a_live_route<F: RouterFixture + ?Sized>(fixture: &F) {
    let (router, (route, _)) = (fixture.router(), live(fixture).await);
    let entry = RouteEntry { tenant: route.tenant, hosts: route.hosts.clone() };
    assert_eq!(listed(&router, &route).await, [entry], "the live route");
}

/// Once it is withdrawn and the container is gone, it is no longer listed.
pub async fn list_leaves_out_what_is_gone<F: RouterFixture + ?Sized>(fixture: &F) {
    let (router, (route, _)) = (fixture.router(), live(fixture).await);
    done("withdraw", router.withdraw(route.tenant).await);
    fixture.stop_app(route.tenant).await;
    eventually("the route should be listed no longer", async || {
        let entries = listed(&router, &route).await;
        if entries.is_empty() { Ok(()) } else { Err(entries) }
    })
    .await;
}

/// It names the proxy and its version.
pub async fn health_names_the_proxy<F: RouterFixture + ?Sized>(fixture: &F) {
    names_a_version(&done("health", fixture.router().health().await));
}
