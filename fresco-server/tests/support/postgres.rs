//! A real PostgreSQL in a container, shared by the tests that use it at the same time.

use std::borrow::Cow;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use fresco_server::accounts::{Accounts, AccountsConfig};
use testcontainers::core::{ContainerPort, Mount, WaitFor};
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerAsync, Image, ImageExt};
use tokio::runtime::Runtime;
use tokio::sync::Mutex;
use tokio_postgres::{Client, NoTls};

use super::secret;

const PASSWORD: &str = "superuser";

#[derive(Debug)]
struct Postgres;

impl Image for Postgres {
    fn name(&self) -> &str {
        // `dev/images/build` makes it.
        "fresco-dev/postgres"
    }

    fn tag(&self) -> &str {
        "16"
    }

    fn ready_conditions(&self) -> Vec<WaitFor> {
        vec![WaitFor::message_on_stderr("database system is ready to accept connections")]
    }

    fn cmd(&self) -> impl IntoIterator<Item = impl Into<Cow<'_, str>>> {
        // A test's data need not survive a power cut.
        ["-c", "fsync=off", "-c", "full_page_writes=off", "-c", "max_connections=400"]
    }

    fn expose_ports(&self) -> &[ContainerPort] {
        &[ContainerPort::Tcp(5432)]
    }
}

/// A server of its own container.
pub struct Server {
    container: Option<ContainerAsync<Postgres>>,
    /// The container's own runtime: it outlives that of the test which happened to start it.
    runtime: Option<Runtime>,
    port: u16,
}

impl Server {
    /// The server that is in use now, or a new one.
    pub async fn shared() -> Arc<Self> {
        static SERVER: Mutex<Weak<Server>> = Mutex::const_new(Weak::new());
        let mut shared = SERVER.lock().await;
        if let Some(server) = shared.upgrade() {
            return server;
        }
        let server = Arc::new(tokio::task::spawn_blocking(Self::start).await.unwrap());
        *shared = Arc::downgrade(&server);
        server
    }

    fn start() -> Self {
        let runtime = Runtime::new().unwrap();
        let (container, port) = runtime.block_on(async {
            let image = Postgres
                .with_env_var("POSTGRES_PASSWORD", PASSWORD)
                // Nobody starts it again, so its data need no disk.
                .with_mount(Mount::tmpfs_mount("/var/lib/postgresql/data"))
                .with_label("fresco.test", "server")
                .with_startup_timeout(Duration::from_secs(60));
            let container = image.start().await.expect(
                "no PostgreSQL container; is Docker running, and did dev/images/build make the image?",
            );
            let port = container.get_host_port_ipv4(5432).await.unwrap();
            (container, port)
        });
        Self { container: Some(container), runtime: Some(runtime), port }
    }

    fn url(&self, role: &str, password: &str, database: &str) -> String {
        format!("postgresql://{role}:{password}@127.0.0.1:{}/{database}", self.port)
    }

    /// A database of a new role, which is no superuser.
    pub async fn database(self: Arc<Self>) -> Database {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let name = format!("platform_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let superuser = connect(&self.url("postgres", PASSWORD, "postgres")).await;
        for sql in [
            format!("CREATE ROLE {name} LOGIN CREATEROLE CREATEDB PASSWORD '{name}'"),
            format!("CREATE DATABASE {name} OWNER {name}"),
        ] {
            superuser.batch_execute(&sql).await.unwrap();
        }
        let url = self.url(&name, &name, &name);
        Database { server: self, url }
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

/// A platform's own database. Keep it: with the last one of a server, the server goes.
#[derive(Clone)]
pub struct Database {
    server: Arc<Server>,
    pub url: String,
}

impl Database {
    /// A new database with the tables of accounts.
    pub async fn migrated() -> Self {
        let new = Server::shared().await.database().await;
        Accounts::migrate(&new.config(super::SECRET)).await.unwrap();
        new
    }

    pub fn config(&self, secret_text: &str) -> AccountsConfig {
        AccountsConfig::new(secret(&self.url), secret(secret_text))
    }

    pub async fn accounts(&self) -> Accounts {
        Accounts::connect(self.config(super::SECRET)).await.unwrap()
    }

    /// Changes rows past the program.
    pub async fn execute(&self, sql: &str) -> u64 {
        connect(&self.url).await.execute(sql, &[]).await.unwrap()
    }

    /// How many rows of a table meet a condition.
    pub async fn count(&self, rows: &str) -> i64 {
        let sql = format!("SELECT count(*) FROM fresco_server.{rows}");
        connect(&self.url).await.query_one(&sql, &[]).await.unwrap().get(0)
    }

    /// A copy of the whole database, as `pg_dump` makes it.
    pub async fn dump(&self) -> String {
        let container = self.server.container.as_ref().unwrap().id();
        let database = self.url.rsplit('/').next().unwrap();
        let mut docker = tokio::process::Command::new("docker");
        docker.args(["exec", "-e", &format!("PGPASSWORD={PASSWORD}"), container]);
        docker.arg("/usr/local/pgclient/pgserver/18/bin/pg_dump");
        let output = docker.args(["-h", "127.0.0.1", "-U", "postgres", database]).output().await;
        let output = output.expect("docker exec");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Everything in all tables, as text.
    pub async fn everything(&self) -> String {
        let sql = "SELECT string_agg(query_to_xml('SELECT * FROM fresco_server.' || quote_ident(tablename),
                          true, false, '')::text, '') FROM pg_tables WHERE schemaname = 'fresco_server'";
        connect(&self.url).await.query_one(sql, &[]).await.unwrap().get(0)
    }
}

pub async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}
