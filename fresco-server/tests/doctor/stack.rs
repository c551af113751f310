//! PostgreSQL, Traefik and a network of one test's own, and the settings that lead there.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use fresco_core::PlatformId;
use fresco_docker::{DockerConfig, DockerRuntime};
use fresco_ports::free_port;
use fresco_server::settings::Values;
use fresco_server::{Config, doctor};
use testcontainers::core::{Mount, WaitFor};
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerAsync, GenericImage, ImageExt};
use tokio_postgres::{NoTls, SimpleQueryMessage};

/// In every password: it must never be seen.
pub(crate) const PASSWORD: &str = "hunter2-only-for-tests";
const TEST_LABEL: &str = "fresco.test";
const SOCKET: &str = "/var/run/docker.sock";

/// What the doctor said.
pub(crate) struct Said {
    pub(crate) text: String,
    pub(crate) code: ExitCode,
}

impl Said {
    /// The line that holds these words, and the mends below it.
    pub(crate) fn finding(&self, words: &str) -> String {
        let mut lines = self.text.lines().skip_while(|line| !line.contains(words));
        let first = lines.next().unwrap_or_else(|| panic!("no `{words}` in\n{}", self.text));
        let mends = lines.take_while(|line| line.trim_start().starts_with("$ "));
        std::iter::once(first).chain(mends).collect::<Vec<_>>().join("\n")
    }

    /// Something is wrong, and this line with its mends says so, in all these words.
    pub(crate) fn is_wrong(&self, words: &str, more: &[&str]) {
        let finding = self.finding(words);
        assert!(finding.trim_start().starts_with("wrong "), "{finding}");
        for word in more {
            assert!(finding.contains(word), "no `{word}` in\n{finding}");
        }
        assert_eq!(self.code, ExitCode::FAILURE, "{}", self.text);
    }

    /// The statement that a mend tells a superuser to run.
    pub(crate) fn statement(&self, words: &str) -> String {
        let finding = self.finding(words);
        let (_, rest) = finding.split_once("-c '").expect("a statement");
        rest.split_once('\'').expect("its end").0.to_owned()
    }
}

/// Settings by name.
#[derive(Clone)]
pub(crate) struct Wiring(BTreeMap<&'static str, String>);

impl Wiring {
    /// The same with another value.
    pub(crate) fn with(&self, name: &'static str, value: impl ToString) -> Self {
        let mut new = self.clone();
        new.0.insert(name, value.to_string());
        new
    }

    /// The same without this one.
    pub(crate) fn without(&self, name: &str) -> Self {
        let mut new = self.clone();
        new.0.remove(name);
        new
    }

    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().map(|(name, value)| (*name, value.as_str()))
    }

    /// Runs the doctor on them.
    pub(crate) async fn examine(&self) -> Said {
        let values = Values::new(self.pairs());
        let config = Config::read(&values).expect("the settings are sound");
        let mut out = Vec::new();
        let code = doctor::run(&config, &values, &mut out, false).await.expect("it can write");
        let text = String::from_utf8(out).expect("text");
        assert!(!text.contains("hunter2"), "a password is shown: {text}");
        assert!(!text.contains('\x1b'), "colours were not wanted: {text}");
        println!("{text}");
        Said { text, code }
    }
}

/// Settings that lead nowhere but to this machine's Docker.
pub(crate) fn nowhere() -> Wiring {
    let [port, http, api, database] = [(); 4].map(|()| free_port().to_string());
    let url = format!("postgresql://fresco_platform_app:{PASSWORD}@127.0.0.1:{database}/platform");
    Wiring(BTreeMap::from([
        ("DATABASE_URL", url),
        ("DOCKER_NETWORK", format!("fresco-test-{}", PlatformId::new().as_uuid().simple())),
        ("FRESCO_IMAGE", "fresco-dev/tenant-app:1".into()),
        ("PORT", port),
        ("TRAEFIK_HTTP_PORT", http),
        ("TRAEFIK_DASHBOARD_PORT", api),
        ("AUTH_SECRET", format!("{PASSWORD}-{PASSWORD}")),
    ]))
}

/// A healthy machine.
pub(crate) struct Stack {
    pub(crate) wiring: Wiring,
    pub(crate) gateway: IpAddr,
    network: String,
    postgres_port: u16,
    /// What Traefik's file provider reads.
    pub(crate) folder: PathBuf,
    _postgres: ContainerAsync<GenericImage>,
    _traefik: ContainerAsync<GenericImage>,
}

impl Stack {
    pub(crate) async fn start() -> Self {
        Self::start_with("16").await
    }

    /// With this version of PostgreSQL.
    pub(crate) async fn start_with(version: &str) -> Self {
        let network = format!("fresco-test-{}", PlatformId::new().as_uuid().simple());
        let config =
            DockerConfig::new(PlatformId::new()).network(&network).label(TEST_LABEL, "doctor");
        let gateway = DockerRuntime::connect(config).await.expect("Docker").gateway();
        let (database, http, api) = (free_port(), free_port(), free_port());
        let folder = std::env::temp_dir().join(&network);
        std::fs::create_dir(&folder).expect("a folder for Traefik");
        let (postgres, traefik) =
            tokio::join!(postgres(version, database, gateway), traefik(http, api, &folder));
        for statement in [
            format!(
                "CREATE ROLE fresco_platform_app LOGIN CREATEROLE CREATEDB PASSWORD '{PASSWORD}'"
            ),
            "CREATE DATABASE platform OWNER fresco_platform_app".into(),
            "REVOKE CONNECT, TEMPORARY ON DATABASE postgres, template1 FROM PUBLIC".into(),
        ] {
            superuser(database, &statement).await;
        }
        until_it_listens(api).await;
        let wiring = nowhere()
            .with("DATABASE_URL", url("fresco_platform_app", PASSWORD, database, "platform"))
            .with("DOCKER_NETWORK", &network)
            .with("TRAEFIK_HTTP_PORT", http)
            .with("TRAEFIK_DASHBOARD_PORT", api)
            .with("TRAEFIK_DIRECTORY", folder.display());
        Self {
            wiring,
            gateway,
            network,
            postgres_port: database,
            folder,
            _postgres: postgres,
            _traefik: traefik,
        }
    }

    pub(crate) fn url(&self, role: &str, password: &str, database: &str) -> String {
        url(role, password, self.postgres_port, database)
    }

    /// Runs a statement as a superuser; the first column of its rows.
    pub(crate) async fn superuser(&self, statement: &str) -> Vec<String> {
        superuser(self.postgres_port, statement).await
    }

    /// Makes PostgreSQL read its files again, and waits until new sessions know what they say.
    pub(crate) async fn reload(&self) {
        let loaded = async || self.superuser("SELECT pg_conf_load_time()").await;
        let before = loaded().await;
        self.superuser("SELECT pg_reload_conf()").await;
        let deadline = Instant::now() + Duration::from_secs(20);
        while loaded().await == before {
            assert!(Instant::now() < deadline, "PostgreSQL does not read its files again");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Where PostgreSQL listens.
    pub(crate) fn postgres(&self) -> u16 {
        self.postgres_port
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["network", "rm", &self.network]).output();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn url(role: &str, password: &str, port: u16, database: &str) -> String {
    format!("postgresql://{role}:{password}@127.0.0.1:{port}/{database}")
}

async fn until_it_listens(port: u16) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        assert!(Instant::now() < deadline, "nothing listens on port {port}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn superuser(port: u16, statement: &str) -> Vec<String> {
    let config =
        format!("host=127.0.0.1 port={port} user=postgres password={PASSWORD} dbname=postgres");
    let (client, connection) =
        tokio_postgres::connect(&config, NoTls).await.expect("the superuser logs in");
    let connection = tokio::spawn(connection);
    let answer = client.simple_query(statement).await.expect(statement);
    connection.abort();
    let rows = answer.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or_default().to_owned()),
        _ => None,
    });
    rows.collect()
}

async fn postgres(version: &str, port: u16, gateway: IpAddr) -> ContainerAsync<GenericImage> {
    let ready = WaitFor::message_on_stderr("database system is ready to accept connections");
    GenericImage::new("fresco-dev/postgres", version)
        .with_wait_for(ready)
        .with_network("host")
        .with_env_var("POSTGRES_PASSWORD", PASSWORD)
        .with_label(TEST_LABEL, "doctor")
        .with_cmd([
            "-c".to_owned(),
            format!("listen_addresses=127.0.0.1,{gateway}"),
            "-c".into(),
            format!("port={port}"),
            "-c".into(),
            "fsync=off".into(),
            "-c".into(),
            "temp_file_limit=1GB".into(),
        ])
        .start()
        .await
        .expect("PostgreSQL (dev/images/build makes its image)")
}

async fn traefik(http: u16, api: u16, folder: &Path) -> ContainerAsync<GenericImage> {
    let local = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
    GenericImage::new("fresco-dev/traefik", "3")
        .with_wait_for(WaitFor::Nothing)
        .with_network("host")
        .with_label(TEST_LABEL, "doctor")
        .with_mount(Mount::bind_mount(SOCKET, SOCKET))
        .with_mount(Mount::bind_mount(folder.display().to_string(), "/routes"))
        .with_cmd([
            format!("--entrypoints.web.address={}", local(http)),
            format!("--entrypoints.traefik.address={}", local(api)),
            "--api.insecure=true".into(),
            "--providers.docker=true".into(),
            "--providers.docker.exposedByDefault=false".into(),
            "--providers.file.directory=/routes".into(),
            "--providers.providersThrottleDuration=100ms".into(),
            "--global.checkNewVersion=false".into(),
            "--global.sendAnonymousUsage=false".into(),
        ])
        .start()
        .await
        .expect("Traefik 3 (dev/images/build makes its image)")
}
