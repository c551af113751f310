//! `TraefikLabels` on a real Traefik: the conformance suite, and what only Traefik can do wrong.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use async_trait::async_trait;
use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{CreateContainerOptions, StartContainerOptions};
use common::{Corner, eventually};
use fresco_core::conformance::{Fixture, RouterFixture};
use fresco_core::{
    ContainerRuntime, Endpoint, Gate, Generation, Hostname, PlatformId, Route, RouteState, Router,
    TenantId,
};
use fresco_docker::{TraefikConfig, TraefikLabels};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const TRAEFIK: &str = "fresco-dev/traefik:3";

struct OnTraefik {
    corner: Corner,
    web: SocketAddr,
    secure: SocketAddr,
    probe: SocketAddr,
    api: SocketAddr,
}

/// Ports that were free a moment ago, all different.
fn free_ports<const N: usize>() -> [SocketAddr; N] {
    let held = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    held.map(|listener| listener.local_addr().unwrap())
}

impl OnTraefik {
    async fn new() -> Self {
        let corner = Corner::new().await;
        let [web, secure, probe, api] = free_ports();
        let this = Self { corner, web, secure, probe, api };
        this.start_traefik().await;
        this
    }

    async fn start_traefik(&self) {
        let network = &self.corner.network;
        let (web, secure, probe, api) = (self.web, self.secure, self.probe, self.api);
        let command = [
            format!("--entrypoints.web.address={web}"),
            format!("--entrypoints.websecure.address={secure}"),
            format!("--entrypoints.probe.address={probe}"),
            format!("--entrypoints.traefik.address={api}"),
            "--api.insecure=true".into(),
            "--providers.docker=true".into(),
            "--providers.docker.exposedByDefault=false".into(),
            format!("--providers.docker.constraints=Label(`traefik.docker.network`,`{network}`)"),
            "--providers.providersThrottleDuration=100ms".into(),
            "--global.checkNewVersion=false".into(),
            "--global.sendAnonymousUsage=false".into(),
        ];
        let docker = &self.corner.docker;
        let body = ContainerCreateBody {
            image: Some(TRAEFIK.into()),
            cmd: Some(command.into()),
            labels: Some(self.corner.test_label()),
            host_config: Some(HostConfig {
                network_mode: Some("host".into()),
                binds: Some(vec!["/var/run/docker.sock:/var/run/docker.sock:ro".into()]),
                ..Default::default()
            }),
            ..Default::default()
        };
        let created = docker.create_container(None::<CreateContainerOptions>, body).await;
        let id = created.expect("fresco-dev/traefik:3: run dev/images/build").id;
        docker.start_container(&id, None::<StartContainerOptions>).await.unwrap();
        eventually("Traefik should answer", async || {
            self.traefik().health().await.map_err(|error| error.chain())
        })
        .await;
    }

    fn config(&self) -> TraefikConfig {
        TraefikConfig::new(self.corner.platform)
            .public_port(self.web.port())
            .network(&self.corner.network)
            .proxy(self.web)
            .api(self.api)
    }

    fn traefik(&self) -> TraefikLabels {
        TraefikLabels::new(self.config())
    }

    fn route(&self) -> Route {
        let tenant = TenantId::new();
        let host = self.host(&format!("t{}", &tenant.as_uuid().simple().to_string()[..12]));
        Route::new(tenant, Generation::new(1), host, 3000).probed_at("/signin", 200)
    }

    /// Starts an app for a route, led there by this router's annotations.
    async fn start(&self, router: &dyn Router, route: &Route, env: &[(&str, &str)]) -> Endpoint {
        let runtime = &self.corner.runtime;
        self.stop_app(route.tenant).await;
        let mut spec = self.corner.spec(env).await;
        spec.tenant = route.tenant;
        spec.generation = route.generation;
        spec.annotations = router.plan(route).annotations;
        let made = runtime.ensure(&spec).await.unwrap();
        runtime.start(&made.id).await.unwrap().endpoint.unwrap()
    }
}

#[async_trait]
impl Fixture for OnTraefik {
    async fn clean_up(&self) {
        self.corner.remove_all().await;
    }
}

#[async_trait]
impl RouterFixture for OnTraefik {
    fn router(&self) -> Arc<dyn Router> {
        Arc::new(self.traefik())
    }

    fn unreachable(&self) -> Arc<dyn Router> {
        let [nobody] = free_ports();
        Arc::new(TraefikLabels::new(self.config().proxy(nobody).api(nobody)))
    }

    fn host(&self, label: &str) -> Hostname {
        format!("{label}.localhost").parse().unwrap()
    }

    fn port(&self) -> u16 {
        3000
    }

    async fn start_app(&self, route: &Route, answers: bool) -> Endpoint {
        let environment: &[_] = if answers { &[] } else { &[("SILENT", "1")] };
        self.start(&self.traefik(), route, environment).await
    }

    async fn stop_app(&self, tenant: TenantId) {
        for instance in self.corner.runtime.list(Some(tenant)).await.unwrap() {
            self.corner.runtime.remove(&instance.id).await.unwrap();
        }
    }

    async fn start_impostor(&self, route: &Route) {
        let name = format!("impostor-{}", route.tenant);
        let host = &route.hosts[0];
        let labels = HashMap::from([
            ("traefik.enable".to_owned(), "true".to_owned()),
            ("traefik.docker.network".into(), self.corner.network.clone()),
            (format!("traefik.http.routers.{name}.rule"), format!("Host(`{host}`)")),
            (format!("traefik.http.services.{name}.loadbalancer.server.port"), "3000".into()),
        ]);
        self.corner.make(&name, labels, &[]).await;
        let none = None::<StartContainerOptions>;
        self.corner.docker.start_container(&name, none).await.unwrap();
    }

    async fn start_gate(&self, allows: bool) -> Gate {
        // Traefik is on the host's network, so it reaches this program's loopback.
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/gate", listener.local_addr().unwrap());
        let answer = if allows { "204 No Content" } else { "403 Forbidden" };
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 8192];
                let _ = stream.read(&mut request).await;
                let answer =
                    format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        Gate::new(url)
    }

    fn absent_gate(&self) -> Gate {
        let [nobody] = free_ports();
        Gate::new(format!("http://{nobody}/gate"))
    }

    async fn visit(&self, route: &Route, path: &str) -> u16 {
        let mut stream = tokio::net::TcpStream::connect(self.web).await.unwrap();
        let host = &route.hosts[0];
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer);
        answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status")
    }
}

fresco_core::router_conformance!(OnTraefik::new().await, #[ignore = "needs Docker"]);

async fn on_traefik(test: impl AsyncFnOnce(&OnTraefik)) {
    fresco_core::conformance::run(OnTraefik::new().await, test).await;
}

async fn live(router: &dyn Router, route: &Route) {
    eventually("the route should be live", async || match router.probe(route).await {
        Ok(RouteState::Live) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker"]
async fn an_app_cannot_speak_for_another_generation_or_tenant() {
    on_traefik(async |on| {
        let router = on.traefik();
        let (victim, route) = (TenantId::new(), on.route());
        for forged in [format!("{}.2", route.tenant), format!("{victim}.1")] {
            let header = format!("X-Fresco-Instance: {forged}");
            on.start(&router, &route, &[("HEADER", &header)]).await;
            // Live as what it is: what the app sent is replaced, not added to.
            live(&router, &route).await;
            let mut other = route.clone();
            other.generation = Generation::new(2);
            let state = router.probe(&other).await.unwrap();
            assert!(matches!(state, RouteState::Pending(_)), "{state:?}");
            let mut other = route.clone();
            other.tenant = victim;
            let state = router.probe(&other).await.unwrap();
            assert!(matches!(state, RouteState::Pending(_)), "{state:?}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker"]
async fn an_https_route_is_probed_on_an_entrypoint_of_its_own() {
    on_traefik(async |on| {
        let route = on.route();
        let router = TraefikLabels::new(on.config().https(None, "probe", on.probe));
        on.start(&router, &route, &[]).await;
        live(&router, &route).await;
        // The plain entrypoint of everybody does not lead to the tenant.
        assert_eq!(on.traefik().probe(&route).await.unwrap(), RouteState::Absent);
        let listed = router.list().await.unwrap();
        assert_eq!(listed.len(), 1, "two routers, one route: {listed:?}");
        assert_eq!(listed[0].hosts, route.hosts);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker"]
async fn another_platforms_routes_are_not_listed() {
    on_traefik(async |on| {
        let other = TraefikLabels::new(
            TraefikConfig::new(PlatformId::new())
                .network(&on.corner.network)
                .proxy(on.web)
                .api(on.api),
        );
        let (ours, theirs) = (on.route(), on.route());
        on.start(&on.traefik(), &ours, &[]).await;
        on.start(&other, &theirs, &[]).await;
        live(&on.traefik(), &ours).await;
        live(&other, &theirs).await;
        let listed = |all: Vec<fresco_core::RouteEntry>| -> Vec<TenantId> {
            all.into_iter().map(|entry| entry.tenant).collect()
        };
        assert_eq!(listed(on.traefik().list().await.unwrap()), [ours.tenant]);
        assert_eq!(listed(other.list().await.unwrap()), [theirs.tenant]);
    })
    .await;
}
