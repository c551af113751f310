//! One platform on the stack, for one test.

use std::time::Duration;

use fresco_core::{
    Accepted, Actor, AppProfile, Backends, Isolation, Operation, OperationStatus, Orchestrator,
    OwnerId, PlatformId, Settings, Tenant, TenantId, TenantSpec, Workers,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::pauses::Pauses;
use crate::proxy::{Upstream, Wire};
use crate::{Stack, Wiring};

/// One platform on the stack, whose wires to Docker, to its store and to the tenants' databases
/// can be cut.
#[derive(Debug)]
pub struct World {
    /// The wire to Docker.
    pub docker: Wire,
    /// The wire to the platform's own database.
    pub store: Wire,
    /// The wire to the tenants' databases, for the platform; the tenants have their own.
    pub databases: Wire,
    /// How other programs reach the same platform.
    pub wiring: Wiring,
    /// The platform.
    pub platform: PlatformId,
    /// Its orchestrator; it works only while [`World::work`]'s answer lives.
    pub orchestrator: Orchestrator,
    http_port: u16,
    database: String,
}

impl World {
    /// A new platform.
    pub async fn new(stack: &Stack) -> Self {
        Self::with(stack, |_| {}).await
    }

    /// A new platform with other settings.
    pub async fn with(stack: &Stack, change: impl FnOnce(&mut Settings)) -> Self {
        let docker = Wire::to(Upstream::Unix(stack.docker_socket().into())).await.expect("a wire");
        let postgres = Upstream::Tcp(stack.postgres_address());
        let store = Wire::to(postgres.clone()).await.expect("a wire");
        let databases = Wire::to(postgres).await.expect("a wire");
        let database = stack.make_database().await;
        let (http_port, api_port) = stack.proxy_ports();
        let wiring = Wiring {
            store_url: stack.url(store.address(), &database),
            admin_url: stack.url(databases.address(), &database),
            postgres_port: stack.postgres_address().port(),
            docker_host: format!("tcp://{}", docker.address()),
            network: stack.network().to_owned(),
            http_port,
            api_port,
        };
        let (backends, platform) = wiring.backends().await.expect("the real stack");
        let orchestrator = Wiring::orchestrator(backends, change).await.expect("an orchestrator");
        Self { docker, store, databases, wiring, platform, orchestrator, http_port, database }
    }

    /// Drops the platform's own database, so that many platforms in a row don't fill the disk. The
    /// tenants' databases are theirs to remove.
    pub async fn forget(self, stack: &Stack) {
        stack.superuser(&format!("DROP DATABASE {} WITH (FORCE)", self.database)).await;
    }

    /// The backends.
    #[must_use]
    pub fn backends(&self) -> &Backends {
        self.orchestrator.backends()
    }

    /// Works until the answer is dropped (as a crash) or shut down.
    pub fn work(&self) -> Workers {
        self.orchestrator.start()
    }

    /// The spec of a tenant that runs the tenant app with these switches.
    #[must_use]
    pub fn spec(&self, isolation: Isolation, switches: &[(&str, &str)]) -> TenantSpec {
        let name = format!("t{}", uuid::Uuid::new_v4().simple());
        let mut app = AppProfile::generic();
        app.boot_seconds = 30;
        app.stop_seconds = 3;
        let image = "fresco-dev/tenant-app:1".parse().expect("an image");
        let spec = TenantSpec::new(OwnerId::new("e2e"), name.parse().expect("a name"), app, image)
            .with_isolation(isolation);
        switches.iter().fold(spec, |spec, (name, value)| {
            spec.with_env(name.parse().expect("a variable"), value.parse().expect("a value"))
        })
    }

    /// Asks for a tenant.
    pub async fn deploy(&self, spec: TenantSpec) -> Accepted {
        self.orchestrator.deploy(TenantId::new(), spec, Actor::System).await.expect("accepted")
    }

    /// Deploys a tenant and expects it to come up.
    pub async fn deployed(&self, spec: TenantSpec) -> Tenant {
        let accepted = self.deploy(spec).await;
        self.success(&accepted).await;
        self.tenant(accepted.tenant.id).await
    }

    /// The tenant now.
    pub async fn tenant(&self, id: TenantId) -> Tenant {
        self.orchestrator.tenant(id).await.expect("a tenant")
    }

    /// Waits for an operation's end, for five minutes.
    pub async fn ended(&self, accepted: &Accepted) -> Operation {
        let wait = self.orchestrator.wait(accepted.operation.id);
        tokio::time::timeout(Duration::from_secs(300), wait)
            .await
            .unwrap_or_else(|_| panic!("{} did not end", accepted.operation.action))
            .expect("the operation")
    }

    /// Waits for an operation and expects it to succeed.
    pub async fn success(&self, accepted: &Accepted) -> Operation {
        let operation = self.ended(accepted).await;
        assert_eq!(operation.status, OperationStatus::Success, "{operation:#?}");
        operation
    }

    /// Waits for an operation and expects it to fail.
    pub async fn failure(&self, accepted: &Accepted) -> Operation {
        let operation = self.ended(accepted).await;
        assert_eq!(operation.status, OperationStatus::Failed, "{operation:#?}");
        operation
    }

    /// Destroys a tenant and expects nothing to be left.
    pub async fn destroyed(&self, id: TenantId) {
        let accepted = self.orchestrator.destroy_tenant(id, Actor::System).await.expect("accepted");
        self.success(&accepted).await;
        self.nothing_left(id).await;
    }

    /// Expects nothing to be left of a tenant.
    pub async fn nothing_left(&self, id: TenantId) {
        let inventory = self.orchestrator.inventory(id).await.expect("an inventory");
        assert!(inventory.is_empty(), "{inventory:#?}");
    }

    /// What the proxy answers for a tenant: status and body. Status 0: no answer at all.
    pub async fn get(&self, tenant: &Tenant, path: &str) -> (u16, String) {
        let host = format!("{}.localhost", tenant.spec.subdomain);
        let ask = ask(self.http_port, &host, path);
        tokio::time::timeout(Duration::from_secs(30), ask).await.ok().flatten().unwrap_or_default()
    }

    /// What the tenant's app says of itself.
    pub async fn whoami(&self, tenant: &Tenant) -> serde_json::Value {
        let (status, body) = self.get(tenant, "/whoami").await;
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).expect("JSON")
    }

    /// Waits until this holds, for two minutes: on a busy machine much takes long.
    pub async fn until<F: Future<Output = bool>>(&self, what: &str, holds: impl Fn() -> F) {
        let wait = async {
            let mut pauses = Pauses::default();
            while !holds().await {
                pauses.next().await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(120), wait).await;
        assert!(waited.is_ok(), "in vain: {what}");
    }
}

async fn ask(port: u16, host: &str, path: &str) -> Option<(u16, String)> {
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok()?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}
