//! `TraefikLabels` on a real Traefik: the conformance suite, and what only Traefik can do wrong.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, KillContainerOptions, StartContainerOptions,
};
use common::{Corner, eventually};
use fresco_core::conformance::{Fixture, RouterFixture};
use fresco_core::{
    ContainerRuntime, Endpoint, Gate, Generation, Hostname, PlatformId, Route, RouteState, Router,
    TenantId,
};
use fresco_docker::{TraefikConfig, TraefikLabels, TraefikReport};
use fresco_ports::free_port;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const TRAEFIK: &str = "fresco-dev/traefik:3";

struct OnTraefik {
    corner: Corner,
    web: SocketAddr,
    secure: SocketAddr,
    probe: SocketAddr,
    api: SocketAddr,
    /// What its file provider reads.
    folder: PathBuf,
}

/// Where nobody listens.
fn free_address() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], free_port()))
}

impl OnTraefik {
    async fn new() -> Self {
        let corner = Corner::new().await;
        let [web, secure, probe, api] = [(); 4].map(|()| free_address());
        let folder = std::env::temp_dir().join(&corner.network);
        std::fs::create_dir(&folder).unwrap();
        let this = Self { corner, web, secure, probe, api, folder };
        this.start_traefik().await;
        this
    }

    fn name(&self) -> String {
        format!("{}-traefik", self.corner.network)
    }

    /// Ends Traefik as a crash would, and starts it again.
    async fn restart_traefik(&self) {
        let docker = &self.corner.docker;
        docker.kill_container(&self.name(), None::<KillContainerOptions>).await.unwrap();
        docker.start_container(&self.name(), None::<StartContainerOptions>).await.unwrap();
        self.traefik_answers().await;
    }

    async fn traefik_answers(&self) {
        eventually("Traefik should answer", async || {
            self.traefik().health().await.map_err(|error| error.chain())
        })
        .await;
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
            "--providers.file.directory=/routes".into(),
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
                binds: Some(vec![
                    "/var/run/docker.sock:/var/run/docker.sock:ro".into(),
                    format!("{}:/routes:ro", self.folder.display()),
                ]),
                ..Default::default()
            }),
            ..Default::default()
        };
        let name = CreateContainerOptionsBuilder::new().name(&self.name()).build();
        let created = docker.create_container(Some(name), body).await;
        let id = created.expect("fresco-dev/traefik:3: run dev/images/build").id;
        docker.start_container(&id, None::<StartContainerOptions>).await.unwrap();
        self.traefik_answers().await;
    }

    fn config(&self) -> TraefikConfig {
        TraefikConfig::new(self.corner.platform)
            .public_port(self.web.port())
            .network(&self.corner.network)
            .proxy(self.web)
            .api(self.api)
            .directory(&self.folder)
    }

    /// The status of the answer to a GET at one of the entrypoints.
    async fn get(&self, entrypoint: SocketAddr, host: &str, path: &str) -> u16 {
        let mut stream = tokio::net::TcpStream::connect(entrypoint).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer);
        answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status")
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
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[async_trait]
impl RouterFixture for OnTraefik {
    fn router(&self) -> Arc<dyn Router> {
        Arc::new(self.traefik())
    }

    fn unreachable(&self) -> Arc<dyn Router> {
        let nobody = free_address();
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
        let nobody = free_address();
        Gate::new(format!("http://{nobody}/gate"))
    }

    async fn visit(&self, route: &Route, path: &str) -> u16 {
        self.get(self.web, route.hosts[0].as_str(), path).await
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

async fn gets(what: &str, status: u16, get: impl AsyncFn() -> u16) {
    eventually(what, async || match get().await {
        seen if seen == status => Ok(()),
        seen => Err(seen.to_string()),
    })
    .await;
}

/// A route behind a gate where nobody answers, and the same with its gate opened.
fn gated(on: &OnTraefik) -> (Route, Route) {
    let gate = on.absent_gate();
    let route = on.route().gated(Some(gate.clone()));
    (route.clone(), route.gated(Some(gate.opened())))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker"]
async fn an_opened_gate_needs_nobody_also_after_a_restart_of_traefik() {
    on_traefik(async |on| {
        let router = on.traefik();
        let ((closed, _), (route, opened)) = (gated(on), gated(on));
        on.start(&router, &closed, &[]).await;
        let endpoint = on.start(&router, &route, &[]).await;
        live(&router, &closed).await;
        live(&router, &route).await;
        router.publish(&opened, &endpoint).await.unwrap();
        gets("the opened one should let everybody in", 200, async || {
            on.visit(&opened, "/signin").await
        })
        .await;
        on.restart_traefik().await;
        gets("and after a restart", 200, async || on.visit(&opened, "/signin").await).await;
        live(&router, &closed).await;
        for path in ["/", "/signin"] {
            assert_eq!(on.visit(&closed, path).await, 500, "the other one stays closed");
        }

        // Past the gate leads nothing but the container, which the file does not name.
        on.stop_app(opened.tenant).await;
        eventually("its service should be gone", async || {
            let listed = router.list().await.unwrap();
            if listed.iter().all(|entry| entry.tenant != opened.tenant) {
                Ok(())
            } else {
                Err(format!("{listed:?}"))
            }
        })
        .await;
        assert_eq!(on.visit(&opened, "/signin").await, 404, "without the container");
        router.withdraw(opened.tenant).await.unwrap();
        on.start(&router, &route, &[]).await;
        live(&router, &route).await;
        gets("what was withdrawn is closed", 500, async || on.visit(&route, "/signin").await).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker"]
async fn an_opened_gate_of_an_https_route_is_probed_past_it() {
    on_traefik(async |on| {
        let router = TraefikLabels::new(on.config().https(None, "probe", on.probe));
        let (route, opened) = gated(on);
        let endpoint = on.start(&router, &route, &[]).await;
        live(&router, &route).await;
        let host = route.hosts[0].as_str();
        assert_eq!(on.get(on.probe, host, "/signin").await, 404, "only a look passes the gate");
        router.publish(&opened, &endpoint).await.unwrap();
        gets("past the gate", 200, async || on.get(on.probe, host, "/signin").await).await;
        live(&router, &opened).await;
        assert_eq!(on.get(on.web, host, "/").await, 404, "plain http leads nowhere as before");
        assert_eq!(router.list().await.unwrap().len(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker"]
async fn a_folder_that_is_gone_keeps_no_app_down() {
    on_traefik(async |on| {
        let router = TraefikLabels::new(on.config().directory(on.folder.join("gone")));
        let gate = on.start_gate(true).await;
        let route = on.route().gated(Some(gate.clone()));
        let endpoint = on.start(&router, &route, &[]).await;
        live(&router, &route).await;
        router.publish(&route.clone().gated(Some(gate.opened())), &endpoint).await.unwrap();
        assert_eq!(on.visit(&route, "/signin").await, 200, "the gate is asked, and lets pass");
        router.withdraw(route.tenant).await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker"]
async fn a_sample_shows_whether_traefik_reads_the_folder_and_reaches_the_gate() {
    on_traefik(async |on| {
        let (router, host) = (on.traefik(), "-gate.localhost");
        let seen = async || {
            let report = TraefikReport::gather(&on.config(), "-.localhost", host).await.unwrap();
            assert!(report.providers.contains(&"File".to_owned()), "{report:?}");
            assert_eq!(report.answer.as_ref().ok(), Some(&404));
            report.gate.unwrap()
        };
        assert_eq!(seen().await, 404, "nobody has written one");
        router.write_sample(host, &on.absent_gate()).await.unwrap();
        gets("nobody answers for the gate", 500, seen).await;
        router.write_sample(host, &on.start_gate(false).await).await.unwrap();
        gets("the gate refuses", 403, seen).await;
        assert!(router.list().await.unwrap().is_empty(), "it is no tenant's route");
    })
    .await;
}
