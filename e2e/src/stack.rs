//! PostgreSQL and Traefik for one run of the tests.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use fresco_core::PlatformId;
use fresco_docker::{DockerConfig, DockerRuntime};
use fresco_ports::free_port;
use testcontainers::bollard::models::{HostConfig, RestartPolicy, RestartPolicyNameEnum};
use testcontainers::core::{Mount, WaitFor};
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerAsync, GenericImage, ImageExt};
use tokio_postgres::NoTls;

use crate::wiring::TEST_LABEL;

const PASSWORD: &str = "only-for-tests";
const SOCKET: &str = "/var/run/docker.sock";

/// PostgreSQL and Traefik on the host's network, reached on loopback; the tenants' network, whose
/// gateway is where tenants reach PostgreSQL.
#[derive(Debug)]
pub struct Stack {
    network: String,
    table: String,
    gateway: IpAddr,
    postgres: ContainerAsync<GenericImage>,
    postgres_port: u16,
    traefik: ContainerAsync<GenericImage>,
    directory: PathBuf,
    http_port: u16,
    api_port: u16,
}

impl Stack {
    /// Starts it, with a PostgreSQL whose data need no disk: what ends it ends them.
    ///
    /// # Panics
    /// When a part is missing.
    pub async fn start() -> Self {
        Self::with_data(Some(Mount::tmpfs_mount("/var/lib/postgresql/data"))).await
    }

    /// The same whose PostgreSQL can be [ended and started again](Self::restart_postgres).
    ///
    /// # Panics
    /// When a part is missing.
    pub async fn start_lasting() -> Self {
        Self::with_data(None).await
    }

    async fn with_data(data: Option<Mount>) -> Self {
        let run = uuid::Uuid::new_v4().simple().to_string();
        let network = format!("fresco-test-{}", &run[..8]);
        let config =
            DockerConfig::new(PlatformId::new()).network(&network).label(TEST_LABEL, "network");
        let table = config.firewall_table();
        let docker = DockerRuntime::connect(config).await.expect("Docker");
        let gateway = docker.gateway();
        let (postgres, postgres_port) = start_postgres(gateway, data).await;
        let (http_port, api_port) = (free_port(), free_port());
        let directory = std::env::temp_dir().join(&network);
        std::fs::create_dir(&directory).expect("a folder for Traefik");
        let traefik = start_traefik(&network, &directory, http_port, api_port).await;
        Self {
            network,
            table,
            gateway,
            postgres,
            postgres_port,
            traefik,
            directory,
            http_port,
            api_port,
        }
    }

    /// The tenants' network.
    #[must_use]
    pub fn network(&self) -> &str {
        &self.network
    }

    /// The address at which tenants reach PostgreSQL.
    #[must_use]
    pub const fn gateway(&self) -> IpAddr {
        self.gateway
    }

    /// Traefik's entry point and its API, on loopback.
    #[must_use]
    pub const fn proxy_ports(&self) -> (u16, u16) {
        (self.http_port, self.api_port)
    }

    /// The folder of Traefik's file provider.
    #[must_use]
    pub fn traefik_directory(&self) -> &Path {
        &self.directory
    }

    /// PostgreSQL, on loopback.
    #[must_use]
    pub fn postgres_address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.postgres_port))
    }

    /// The name of the tenants' network's table in nftables.
    #[must_use]
    pub fn table(&self) -> &str {
        &self.table
    }

    /// Docker's socket.
    #[must_use]
    pub const fn docker_socket(&self) -> &'static str {
        SOCKET
    }

    /// The URL of a database as the platform's role, with PostgreSQL at this address.
    #[must_use]
    pub fn url(&self, address: SocketAddr, database: &str) -> String {
        format!("postgresql://fresco_platform_app:{PASSWORD}@{address}/{database}")
    }

    /// Makes an empty database that the platform's role owns.
    pub async fn make_database(&self) -> String {
        let name = format!("platform_{}", uuid::Uuid::new_v4().simple());
        self.superuser(&format!("CREATE DATABASE {name} OWNER fresco_platform_app")).await;
        name
    }

    /// Runs a statement as a superuser and returns the first column of its rows.
    pub async fn superuser(&self, statement: &str) -> Vec<String> {
        superuser(self.postgres_port, "postgres", statement).await
    }

    /// The same, in another database.
    pub async fn superuser_in(&self, database: &str, statement: &str) -> Vec<String> {
        superuser(self.postgres_port, database, statement).await
    }

    /// Ends PostgreSQL as a crash would, and starts it again.
    pub async fn restart_postgres(&self) {
        self.postgres.stop_with_timeout(Some(0)).await.expect("PostgreSQL is killed");
        self.postgres.start().await.expect("PostgreSQL starts again");
    }

    /// Ends Traefik as a crash would, and starts it again.
    pub async fn restart_traefik(&self) {
        self.traefik.stop_with_timeout(Some(0)).await.expect("Traefik is killed");
        self.traefik.start().await.expect("Traefik starts again");
    }

    /// Removes what only this run made.
    pub async fn stop(self) {
        let containers = Command::new("docker")
            .args(["ps", "-aq", "--filter", &format!("network={}", self.network)])
            .output()
            .expect("the docker client");
        let ids = String::from_utf8_lossy(&containers.stdout).into_owned();
        for id in ids.split_whitespace() {
            let _ = Command::new("docker").args(["rm", "-f", id]).output();
        }
        self.traefik.rm().await.expect("Traefik is removed");
        let _ = std::fs::remove_dir_all(&self.directory);
        self.postgres.rm().await.expect("PostgreSQL is removed");
        let _ = Command::new("docker").args(["network", "rm", &self.network]).output();
        // Of those who ran a server here; others have none.
        let _ = Command::new("nft").args(["delete", "table", "inet", &self.table]).output();
    }
}

async fn superuser(port: u16, database: &str, statement: &str) -> Vec<String> {
    let config =
        format!("host=127.0.0.1 port={port} user=postgres password={PASSWORD} dbname={database}");
    let (client, connection) =
        tokio_postgres::connect(&config, NoTls).await.expect("the superuser logs in");
    let connection = tokio::spawn(connection);
    let answer = client.simple_query(statement).await.expect(statement);
    connection.abort();
    answer
        .iter()
        .filter_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => {
                Some(row.get(0).unwrap_or_default().to_owned())
            }
            _ => None,
        })
        .collect()
}

/// When Docker starts again, this container does too, as in `docker-compose.dev.yml`.
fn comes_back(config: &mut HostConfig) {
    let name = Some(RestartPolicyNameEnum::ALWAYS);
    config.restart_policy = Some(RestartPolicy { name, maximum_retry_count: None });
}

async fn start_postgres(
    gateway: IpAddr,
    data: Option<Mount>,
) -> (ContainerAsync<GenericImage>, u16) {
    let port = free_port();
    let listen = format!("listen_addresses=127.0.0.1,{gateway}");
    let port_setting = format!("port={port}");
    let image = GenericImage::new("fresco-dev/postgres", "16")
        .with_wait_for(WaitFor::message_on_stderr("database system is ready to accept connections"))
        .with_network("host")
        .with_env_var("POSTGRES_PASSWORD", PASSWORD)
        .with_label(TEST_LABEL, "postgres")
        .with_host_config_modifier(comes_back)
        .with_cmd([
            "-c",
            &listen,
            "-c",
            &port_setting,
            "-c",
            "max_connections=400",
            "-c",
            "fsync=off",
        ]);
    let image = data.into_iter().fold(image, |image, data| image.with_mount(data));
    let container = image.start().await.expect("PostgreSQL 16 (dev/images/build makes its image)");
    // What a set-up of the platform does as a superuser, once.
    let setup = format!(
        "CREATE ROLE fresco_platform_app LOGIN CREATEROLE CREATEDB PASSWORD '{PASSWORD}';
         REVOKE CONNECT, TEMPORARY ON DATABASE postgres, template1 FROM PUBLIC;"
    );
    superuser(port, "postgres", &setup).await;
    superuser(port, "postgres", "CREATE DATABASE fresco_tenants OWNER fresco_platform_app").await;
    (container, port)
}

async fn start_traefik(
    network: &str,
    directory: &Path,
    http: u16,
    api: u16,
) -> ContainerAsync<GenericImage> {
    let constraint =
        format!("--providers.docker.constraints=Label(`traefik.docker.network`,`{network}`)");
    GenericImage::new("fresco-dev/traefik", "3")
        .with_wait_for(WaitFor::Nothing)
        .with_network("host")
        .with_label(TEST_LABEL, "traefik")
        .with_host_config_modifier(comes_back)
        .with_mount(Mount::bind_mount(SOCKET, SOCKET))
        .with_mount(Mount::bind_mount(directory.display().to_string(), "/routes"))
        .with_cmd([
            format!("--entrypoints.web.address=127.0.0.1:{http}"),
            format!("--entrypoints.traefik.address=127.0.0.1:{api}"),
            "--api.insecure=true".into(),
            "--providers.docker=true".into(),
            "--providers.docker.exposedByDefault=false".into(),
            "--providers.file.directory=/routes".into(),
            "--providers.providersThrottleDuration=200ms".into(),
            "--global.checkNewVersion=false".into(),
            "--global.sendAnonymousUsage=false".into(),
            constraint,
        ])
        .start()
        .await
        .expect("Traefik 3 (dev/images/build makes its image)")
}
