//! The fixture of the in-memory backends.
// A fixture may panic when it can't do what it is asked for: the case fails then, as it should.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use fresco_core::conformance::{
    DatabaseClient, DatabaseFixture, DatabaseMetricsFixture, DatabaseSnapshotsFixture,
    DatabaseWatchFixture, Example, ExampleApp, Fixture, RouterFixture, RuntimeEventsFixture,
    RuntimeFetchFixture, RuntimeFixture, RuntimeIsolationFixture, RuntimeMetricsFixture,
    RuntimeResizeFixture, StoreFixture,
};
use fresco_core::memory::{MemoryApp, MemoryDatabase, MemorySession, MemoryWorld};
use fresco_core::{
    AppProfile, ContainerRuntime, CredentialId, DatabaseMetrics, DatabaseSnapshots, DatabaseWatch,
    Endpoint, Gate, Guarantee, Hostname, ImageId, ImageRef, ImageSource, InstanceId, InstanceSpec,
    Isolation, Limits, LogStream, PlatformId, ProgressSink, Result, Route, Router, RuntimeEvents,
    RuntimeIsolation, RuntimeMetrics, RuntimeResize, Store, TenantDatabase, TenantId,
};
use secrecy::SecretString;

/// A world of its own, seen by two platforms.
pub(crate) struct MemoryFixture {
    world: MemoryWorld,
    other: MemoryWorld,
    isolation: Isolation,
    behind_an_arc: bool,
}

impl MemoryFixture {
    pub(crate) async fn new() -> Self {
        let world = MemoryWorld::new();
        let other = world.as_platform(PlatformId::new());
        let prints = MemoryApp::healthy()
            .printing(LogStream::Stdout, "to stdout")
            .printing(LogStream::Stderr, "to stderr");
        world.image(image(ExampleApp::Serves), MemoryApp::healthy());
        world.image(image(ExampleApp::IgnoresStop), MemoryApp::healthy().ignoring_stop());
        world.image(image(ExampleApp::ExitsAtBoot), MemoryApp::exits(3, ["no"]));
        world.image(image(ExampleApp::Hangs), MemoryApp::hangs());
        world.image(image(ExampleApp::Prints), prints);
        // For the router's cases.
        world.image(silent_image(), MemoryApp::never_ready());
        for example in [
            ExampleApp::Serves,
            ExampleApp::IgnoresStop,
            ExampleApp::ExitsAtBoot,
            ExampleApp::Hangs,
            ExampleApp::Prints,
        ] {
            let source = ImageSource::Named(image(example));
            world.runtime().prepare(&source, &ProgressSink::ignore()).await.unwrap();
        }
        Self { world, other, isolation: Isolation::Schema, behind_an_arc: false }
    }

    pub(crate) fn with(self, isolation: Isolation) -> Self {
        Self { isolation, ..self }
    }

    /// The same, but each port is behind one `Arc` more than it need be.
    pub(crate) fn behind_an_arc(self) -> Self {
        Self { behind_an_arc: true, ..self }
    }
}

fn image(example: ExampleApp) -> ImageRef {
    format!("example/{example:?}:1").parse().unwrap()
}

fn silent_image() -> ImageRef {
    "example/silent:1".parse().unwrap()
}

/// A backend as its port, perhaps behind one `Arc` more.
macro_rules! port {
    ($fixture:expr, $port:ident, $backend:expr) => {{
        let backend: Arc<dyn $port> = Arc::new($backend);
        if $fixture.behind_an_arc { Arc::new(backend) } else { backend }
    }};
}

#[async_trait]
impl Fixture for MemoryFixture {
    /// The world goes with the fixture.
    async fn clean_up(&self) {}
}

#[async_trait]
impl RuntimeFixture for MemoryFixture {
    fn runtime(&self) -> Arc<dyn ContainerRuntime> {
        port!(self, ContainerRuntime, self.world.runtime())
    }

    fn other_platform(&self) -> Arc<dyn ContainerRuntime> {
        port!(self, ContainerRuntime, self.other.runtime())
    }

    fn app(&self) -> AppProfile {
        AppProfile::generic()
    }

    fn example(&self, app: ExampleApp) -> Example {
        let environment =
            [("GREETING", "hello"), ("EMPTY", "")].map(|(k, v)| (k.parse().unwrap(), v.into()));
        Example { image: image(app), environment: environment.into() }
    }

    fn second_image(&self) -> ImageRef {
        image(ExampleApp::Prints)
    }

    fn missing_image(&self) -> ImageRef {
        "example/missing:1".parse().unwrap()
    }

    fn missing_image_id(&self) -> ImageId {
        ImageId::new("memory:0")
    }

    fn unenforced(&self) -> Vec<Guarantee> {
        Vec::new()
    }

    fn shortest_grace(&self) -> Duration {
        Duration::from_millis(50)
    }

    async fn make_unmarked(&self, tenant: TenantId) {
        self.world.outsider().take_container_name(tenant).unwrap();
    }

    async fn unmarked_is_there(&self, tenant: TenantId) -> bool {
        self.world.outsider().has_container_name(tenant)
    }

    async fn make_surplus(&self, tenant: TenantId) {
        self.world.outsider().add_surplus(tenant).unwrap();
    }

    async fn environment_of(&self, instance: &InstanceId) -> BTreeMap<String, String> {
        self.world.outsider().environment(instance).expect("the container is there")
    }
}

#[async_trait]
impl RuntimeFetchFixture for MemoryFixture {
    async fn fetchable_image(&self) -> ImageRef {
        "memory/app:2".parse().unwrap()
    }
}

impl RuntimeMetricsFixture for MemoryFixture {
    fn metrics(&self) -> Arc<dyn RuntimeMetrics> {
        port!(self, RuntimeMetrics, self.world.runtime())
    }
}

#[async_trait]
impl RuntimeIsolationFixture for MemoryFixture {
    fn isolation(&self) -> Arc<dyn RuntimeIsolation> {
        port!(self, RuntimeIsolation, self.world.runtime())
    }

    async fn take_isolation_away(&self) {
        self.world.outsider().take_isolation_away();
    }
}

impl RuntimeEventsFixture for MemoryFixture {
    fn events(&self) -> Arc<dyn RuntimeEvents> {
        port!(self, RuntimeEvents, self.world.runtime())
    }
}

#[async_trait]
impl RuntimeResizeFixture for MemoryFixture {
    fn resize(&self) -> Arc<dyn RuntimeResize> {
        port!(self, RuntimeResize, self.world.runtime())
    }

    async fn limits_of(&self, instance: &InstanceId) -> Limits {
        self.world.outsider().limits(instance).expect("the container is there")
    }
}

#[async_trait]
impl DatabaseFixture for MemoryFixture {
    fn database(&self) -> Arc<dyn TenantDatabase> {
        port!(self, TenantDatabase, self.world.database())
    }

    fn other_platform(&self) -> Arc<dyn TenantDatabase> {
        port!(self, TenantDatabase, self.other.database())
    }

    fn isolation(&self) -> Isolation {
        self.isolation
    }

    async fn connect(&self, url: &SecretString) -> Result<Box<dyn DatabaseClient>> {
        Ok(Box::new(Client(self.world.database().connect(url)?)))
    }

    async fn make_unmarked(&self, tenant: TenantId) {
        self.world.outsider().take_database_name(tenant);
    }

    async fn unmarked_is_there(&self, tenant: TenantId) -> bool {
        self.world.outsider().has_database_name(tenant)
    }

    async fn drop_role(&self, tenant: TenantId) {
        self.world.outsider().drop_role(tenant);
    }

    async fn drop_storage(&self, tenant: TenantId) {
        self.world.outsider().drop_storage(tenant);
    }
}

impl DatabaseWatchFixture for MemoryFixture {
    fn watch(&self) -> Arc<dyn DatabaseWatch> {
        port!(self, DatabaseWatch, self.world.database())
    }

    fn second_watch(&self) -> Arc<dyn DatabaseWatch> {
        Arc::new(self.world.database())
    }

    fn too_many_bytes(&self) -> usize {
        usize::try_from(MemoryDatabase::SIZE_LIMIT).unwrap()
    }
}

impl DatabaseMetricsFixture for MemoryFixture {
    fn metrics(&self) -> Arc<dyn DatabaseMetrics> {
        port!(self, DatabaseMetrics, self.world.database())
    }
}

#[async_trait]
impl DatabaseSnapshotsFixture for MemoryFixture {
    fn snapshots(&self) -> Arc<dyn DatabaseSnapshots> {
        port!(self, DatabaseSnapshots, self.world.database())
    }

    /// There is nothing but the tenants' own.
    async fn leftovers(&self) -> Vec<String> {
        Vec::new()
    }
}

#[derive(Debug)]
struct Client(MemorySession);

#[async_trait]
impl DatabaseClient for Client {
    async fn put(&self, key: &str, value: &str) -> Result<()> {
        self.0.put(key, value)
    }

    async fn get(&self, key: &str) -> Result<Option<String>> {
        self.0.get(key)
    }

    async fn change_role(&self) -> Result<()> {
        self.0.change_role()
    }

    async fn has_role_setting(&self) -> Result<bool> {
        self.0.has_role_setting()
    }

    /// Nothing waits for a lock in memory.
    async fn lock(&self) -> Result<()> {
        Ok(())
    }

    async fn is_open(&self) -> bool {
        self.0.is_open()
    }

    async fn close(self: Box<Self>) {}
}

#[async_trait]
impl RouterFixture for MemoryFixture {
    fn router(&self) -> Arc<dyn Router> {
        port!(self, Router, self.world.router())
    }

    fn unreachable(&self) -> Arc<dyn Router> {
        port!(self, Router, self.world.router().without_proxy())
    }

    fn host(&self, label: &str) -> Hostname {
        format!("{label}.example.org").parse().unwrap()
    }

    fn port(&self) -> u16 {
        8080
    }

    async fn start_app(&self, route: &Route, answers: bool) -> Endpoint {
        self.stop_app(route.tenant).await;
        let runtime = self.world.runtime();
        let image = if answers { image(ExampleApp::Serves) } else { silent_image() };
        let source = ImageSource::Named(image);
        let image = runtime.prepare(&source, &ProgressSink::ignore()).await.unwrap();
        let mut app = AppProfile::generic();
        app.port = route.port;
        app.health_path.clone_from(&route.probe_path);
        app.health_status = 200;
        let limits = Limits::for_app(&app);
        let (subdomain, credential) = ("some-app".parse().unwrap(), CredentialId::new());
        let (tenant, generation) = (route.tenant, route.generation);
        let mut spec =
            InstanceSpec::new(tenant, subdomain, generation, credential, image, app, limits);
        spec.annotations = self.world.router().plan(route).annotations;
        let made = runtime.ensure(&spec).await.unwrap();
        runtime.start(&made.id).await.unwrap().endpoint.expect("what runs has an address")
    }

    async fn stop_app(&self, tenant: TenantId) {
        self.world.outsider().remove_containers(tenant);
    }

    async fn start_impostor(&self, route: &Route) {
        self.world.outsider().impersonate(route).unwrap();
    }

    async fn start_gate(&self, allows: bool) -> Gate {
        let url = format!("http://gate.example/{allows}");
        self.world.outsider().answer_gate(&url, allows);
        Gate::new(url)
    }

    fn absent_gate(&self) -> Gate {
        Gate::new("http://gate.example/away")
    }

    async fn visit(&self, route: &Route, path: &str) -> u16 {
        self.world.router().visit(&route.hosts[0], path)
    }
}

#[async_trait]
impl StoreFixture for MemoryFixture {
    fn store(&self) -> Arc<dyn Store> {
        port!(self, Store, self.world.store())
    }

    fn second(&self) -> Arc<dyn Store> {
        self.store()
    }

    fn ttl(&self) -> Duration {
        Duration::from_secs(60)
    }

    async fn pass(&self, time: Duration) {
        self.world.advance(time);
    }
}
