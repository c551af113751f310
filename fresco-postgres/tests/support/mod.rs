//! A real PostgreSQL in a container, shared by the tests that use it at the same time.

#![allow(dead_code, unreachable_pub, unused_macros)] // Each test binary uses its own part of it.
#![allow(clippy::unwrap_used, clippy::expect_used)] // What fails here fails the test.

/// A module for each server and isolation, in which this macro makes the tests. The oldest and the newest
/// server, each with one isolation, are tried every time; all else runs on 16.
macro_rules! on_every_server {
    ($make:ident: $($name:ident)*) => {
        mod long_postgres_15_schema { $make!("15" Schema $($name)*); }
        mod postgres_15_database { $make!("15" Database $($name)*); }
        mod long_postgres_16_schema { $make!("16" Schema $($name)*); }
        mod long_postgres_16_database { $make!("16" Database $($name)*); }
        mod postgres_18_schema { $make!("18" Schema $($name)*); }
        mod long_postgres_18_database { $make!("18" Database $($name)*); }
    };
}

/// Tests of tenants: each is a function of the file's root that gets tenants to try.
macro_rules! each_test {
    ($version:literal $isolation:ident $($name:ident)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        #[ignore = "needs Docker"]
        async fn $name() {
            use crate::support::tenants::Tenants;

            let tenants = Tenants::new($version, fresco_core::Isolation::$isolation).await;
            crate::$name(&tenants).await;
            fresco_core::conformance::Fixture::clean_up(&tenants).await;
        }
    )*};
}

pub mod logs;
pub mod pooler;
pub mod store;
pub mod tenants;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use fresco_core::TenantId;
use testcontainers::core::{ContainerPort, IntoContainerPort, Mount, WaitFor};
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerAsync, Image, ImageExt};
use tokio::runtime::Runtime;
use tokio::sync::{Mutex, OnceCell};
use tokio_postgres::{Client, NoTls};

/// The image of PostgreSQL that `dev/images/build` makes; its tag is the version.
const IMAGE: &str = "fresco-dev/postgres";
const PASSWORD: &str = "superuser";

/// Unique names within a server.
static NEXT: AtomicU32 = AtomicU32::new(1);

#[derive(Debug)]
struct Postgres {
    version: &'static str,
    /// Settings of the server.
    settings: &'static [&'static str],
}

impl Image for Postgres {
    fn name(&self) -> &str {
        IMAGE
    }

    fn tag(&self) -> &str {
        self.version
    }

    fn ready_conditions(&self) -> Vec<WaitFor> {
        vec![WaitFor::message_on_stderr("database system is ready to accept connections")]
    }

    fn cmd(&self) -> impl IntoIterator<Item = impl Into<std::borrow::Cow<'_, str>>> {
        // A test's data need not survive a power cut.
        const OWN: &[&str] = &["fsync=off", "full_page_writes=off", "max_connections=400"];
        OWN.iter().chain(self.settings).flat_map(|setting| ["-c", setting])
    }

    fn expose_ports(&self) -> &[ContainerPort] {
        const PORTS: &[ContainerPort] = &[ContainerPort::Tcp(5432)];
        PORTS
    }
}

/// The image's PGDATA.
const DATA: &str = "/var/lib/postgresql/data";

/// A server of its own container.
pub struct Server {
    container: Option<ContainerAsync<Postgres>>,
    /// The container's own runtime: it outlives that of the test which happened to start it.
    runtime: Option<Runtime>,
    pub port: u16,
}

impl Server {
    /// The server of this version that is in use now, or a new one.
    pub async fn shared(version: &'static str) -> Arc<Self> {
        static SERVERS: Mutex<Option<HashMap<&'static str, Weak<Server>>>> = Mutex::const_new(None);
        let mut servers = SERVERS.lock().await;
        let servers = servers.get_or_insert_default();
        if let Some(server) = servers.get(version).and_then(Weak::upgrade) {
            return server;
        }
        let server = Arc::new(Self::start(version, None).await);
        servers.insert(version, Arc::downgrade(&server));
        server
    }

    /// A new server, at this port of the loopback or at any.
    pub async fn start(version: &'static str, port: Option<u16>) -> Self {
        Self::start_with(version, port, &[], None).await
    }

    /// A new server with settings of its own, and with a limit of bytes of memory for each of its
    /// processes.
    pub async fn start_with(
        version: &'static str,
        port: Option<u16>,
        settings: &'static [&'static str],
        memory: Option<i64>,
    ) -> Self {
        let start = move || {
            let runtime = Runtime::new().unwrap();
            let (container, port) = runtime.block_on(async {
                let mut image = Postgres { version, settings }
                    .with_env_var("POSTGRES_PASSWORD", PASSWORD)
                    .with_label("fresco.test", "postgres")
                    .with_startup_timeout(Duration::from_secs(60));
                if let Some(memory) = memory {
                    image = image.with_ulimit("data", memory, Some(memory));
                }
                match port {
                    Some(port) => image = image.with_mapped_port(port, 5432.tcp()),
                    // Without one it is not started again, so its data need no disk.
                    None => image = image.with_mount(Mount::tmpfs_mount(DATA)),
                }
                let container = image.start().await.expect(
                    "no PostgreSQL container; is Docker running, and did dev/images/build make the image?",
                );
                let port = container.get_host_port_ipv4(5432).await.unwrap();
                (container, port)
            });
            Self { container: Some(container), runtime: Some(runtime), port }
        };
        let server = tokio::task::spawn_blocking(start).await.unwrap();
        server
            .superuser("postgres")
            .await
            .batch_execute(
                "REVOKE CONNECT, TEMPORARY ON DATABASE postgres FROM PUBLIC;
                 REVOKE CONNECT, TEMPORARY ON DATABASE template1 FROM PUBLIC",
            )
            .await
            .unwrap();
        server
    }

    pub fn container_id(&self) -> &str {
        self.container.as_ref().unwrap().id()
    }

    /// Restarts it, and waits until it lets somebody in. It must have been given a port.
    pub async fn restart(&self) {
        let mut docker = tokio::process::Command::new("docker");
        let output = docker.args(["restart", "-t", "10", self.container_id()]).output().await;
        assert!(output.expect("docker restart").status.success());
        let url = self.url("postgres", PASSWORD, "postgres");
        until("the server is back", async || connect(&url).await.is_ok()).await;
    }

    pub fn url(&self, role: &str, password: &str, database: &str) -> String {
        format!("postgresql://{role}:{password}@127.0.0.1:{}/{database}", self.port)
    }

    /// The folder of PostgreSQL's client programs, taken out of the image.
    pub async fn programs(&self) -> PathBuf {
        static COPIED: OnceCell<PathBuf> = OnceCell::const_new();
        let copy = async || {
            let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
            let (own, all) =
                (folder.join(format!("client-{}", std::process::id())), folder.join("client"));
            let source = format!("{}:/usr/local/pgclient", self.container_id());
            let mut copy = tokio::process::Command::new("docker");
            let output = copy.arg("cp").arg(source).arg(&own).output().await.expect("docker cp");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            // Another run may have been faster; its copy is as good.
            if std::fs::rename(&own, &all).is_err() {
                std::fs::remove_dir_all(&own).unwrap();
            }
            all.join("pgserver/18/bin")
        };
        COPIED.get_or_init(copy).await.clone()
    }

    pub async fn superuser(&self, database: &str) -> Client {
        connect(&self.url("postgres", PASSWORD, database)).await.unwrap()
    }

    /// A platform's role, no superuser, with a database of its own.
    pub async fn platform(self: Arc<Self>) -> Platform {
        let name = format!("platform_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let superuser = self.superuser("postgres").await;
        superuser
            .batch_execute(&format!(
                "CREATE ROLE {name} LOGIN CREATEROLE CREATEDB PASSWORD '{name}'"
            ))
            .await
            .unwrap();
        superuser.batch_execute(&format!("CREATE DATABASE {name} OWNER {name}")).await.unwrap();
        Platform { server: self, name }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let (container, runtime) = (self.container.take(), self.runtime.take());
        // A runtime can't be waited for inside of another one.
        let end = move || {
            if let (Some(container), Some(runtime)) = (container, runtime) {
                runtime.block_on(container.rm()).unwrap();
            }
        };
        std::thread::spawn(end).join().unwrap();
    }
}

/// An installation on a server: a role, and a database of the same name.
#[derive(Clone)]
pub struct Platform {
    pub server: Arc<Server>,
    pub name: String,
}

impl Platform {
    pub fn url(&self) -> String {
        self.server.url(&self.name, &self.name, &self.name)
    }

    /// The database for tenants' schemas.
    pub fn schema_database(&self) -> String {
        format!("{}_tenants", self.name)
    }

    /// A superuser's connection to where a tenant's data is.
    pub async fn inside(&self, tenant: TenantId, isolation: fresco_core::Isolation) -> Client {
        match isolation {
            fresco_core::Isolation::Schema => self.server.superuser(&self.schema_database()).await,
            fresco_core::Isolation::Database => {
                self.server.superuser(&tenant.database_name()).await
            }
        }
    }
}

pub async fn connect(url: &str) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// Waits until this is so; a test that waits for more than 20 seconds fails.
pub async fn until<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while !condition().await {
        assert!(tokio::time::Instant::now() < deadline, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
