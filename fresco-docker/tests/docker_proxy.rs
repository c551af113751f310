//! `docs/docker-proxy.cfg`, on real HAProxy in front of real Docker: it is enough for the platform and
//! for Traefik, and lets nothing else pass.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use common::registry::Registry;
use common::{APP, docker, eventually, in_a_corner, spec};
use fresco_core::{
    ContainerRuntime, ImageSource, Limits, LogQuery, ProgressSink, RuntimeEvents, RuntimeMetrics,
    RuntimeResize,
};
use fresco_docker::DockerRuntime;
use futures_util::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// HAProxy with the configuration of the documentation, its sockets in a folder of the test's own.
struct Proxy {
    folder: PathBuf,
    process: Child,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Proxy {
    async fn start(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("fresco-{name}"));
        std::fs::create_dir_all(&folder).unwrap();
        let text = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/docker-proxy.cfg");
        let text = std::fs::read_to_string(text).unwrap();
        // Apart by folder and by group: whoever may open Traefik's may not open the platform's.
        let binds = [
            "/run/fresco-docker/platform.sock mode 660 group fresco\n",
            "/run/fresco-docker-traefik/traefik.sock mode 660 group fresco-traefik\n",
        ];
        let mut text = text;
        for (bind, socket) in binds.iter().zip(["platform", "traefik"]) {
            assert!(text.contains(&format!("unix@{bind}")), "{bind}");
            text = text.replace(bind, &format!("{}/{socket}.sock mode 600\n", folder.display()));
        }
        let file = folder.join("haproxy.cfg");
        std::fs::write(&file, text).unwrap();
        let process = Command::new("/usr/sbin/haproxy").args(["-db", "-f"]).arg(&file).spawn();
        let process = process.expect("haproxy is needed: apt-get install haproxy");
        let proxy = Self { folder, process };
        for socket in ["platform", "traefik"] {
            eventually("the proxy should answer", async || {
                match proxy.try_ask(socket, "GET", "/_ping").await {
                    Ok(200) => Ok(()),
                    other => Err(format!("{other:?}")),
                }
            })
            .await;
        }
        proxy
    }

    fn socket(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.sock"))
    }

    /// The status of an answer.
    async fn try_ask(&self, socket: &str, method: &str, path: &str) -> std::io::Result<u16> {
        let mut stream = UnixStream::connect(self.socket(socket)).await?;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: docker\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}"
        );
        stream.write_all(head.as_bytes()).await?;
        let mut first = [0; 12];
        stream.read_exact(&mut first).await?;
        let status = std::str::from_utf8(&first[9..]).ok().and_then(|text| text.parse().ok());
        status.ok_or_else(|| std::io::Error::other(format!("{first:?}")))
    }

    async fn ask(&self, socket: &str, method: &str, path: &str) -> u16 {
        let ask = self.try_ask(socket, method, path);
        tokio::time::timeout(Duration::from_secs(20), ask).await.unwrap().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker, haproxy"]
async fn the_proxy_is_enough_for_a_tenants_whole_life() {
    in_a_corner(async |corner| {
        let proxy = Proxy::start(&format!("life-{}", corner.run)).await;
        let host = proxy.socket("platform");
        let config = corner.config(corner.platform).host(host.to_str().unwrap());
        // The network as well is made through the proxy.
        corner.docker.remove_network(&corner.network).await.unwrap();
        let runtime = DockerRuntime::connect(config).await.unwrap();
        let mut events = runtime.watch().await.unwrap();

        let name = format!("proxied-{}", corner.run);
        let registry = Registry::with(&corner.docker, APP, &name).await;
        let fetched = format!("127.0.0.1:{}/{name}:1", registry.port);
        let source = ImageSource::Named(fetched.parse().unwrap());
        let image = runtime.prepare(&source, &ProgressSink::ignore()).await.unwrap();
        let made = runtime.ensure(&spec(image, &[])).await.unwrap();
        let started = runtime.start(&made.id).await.unwrap();
        assert!(started.is_running());
        let event = tokio::time::timeout(Duration::from_secs(20), events.next()).await;
        event.expect("an event in time").unwrap().unwrap();
        eventually("the app should have written something", async || {
            let mut lines = runtime.logs(&made.id, &LogQuery::last(5)).await.unwrap();
            lines.next().await.map(|_| ()).ok_or_else(|| "nothing yet".to_owned())
        })
        .await;
        assert_eq!(runtime.sample(std::slice::from_ref(&made.id)).await.unwrap().len(), 1);
        let limits = Limits { memory_mb: 96, cpus: 0.5, pids: 64 };
        runtime.resize(&made.id, &limits).await.unwrap();
        runtime.stop(&made.id, Duration::from_secs(1)).await.unwrap();
        runtime.start(&made.id).await.unwrap();
        assert_eq!(runtime.list(None).await.unwrap().len(), 1);
        runtime.health().await.unwrap();
        runtime.remove(&made.id).await.unwrap();
        assert_eq!(runtime.list(None).await.unwrap(), []);

        assert_eq!(proxy.ask("platform", "DELETE", &format!("/v1.41/images/{fetched}")).await, 200);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Docker, haproxy"]
async fn the_proxy_lets_nothing_else_pass() {
    let name = format!("closed-{}", fresco_core::PlatformId::new().as_uuid().simple());
    let proxy = Proxy::start(&name).await;
    docker().ping().await.unwrap();
    let closed = [
        ("POST", "/containers/x/exec"),
        ("POST", "/exec/x/start"),
        ("POST", "/containers/x/attach"),
        ("GET", "/containers/x/attach/ws"),
        ("GET", "/containers/x/archive?path=/etc/passwd"),
        ("PUT", "/containers/x/archive?path=/"),
        ("GET", "/containers/x/export"),
        ("GET", "/containers/x/top"),
        ("POST", "/containers/x/rename?name=y"),
        ("POST", "/containers/x/pause"),
        ("POST", "/containers/prune"),
        ("DELETE", "/containers/x/json"),
        ("POST", "/commit?container=x"),
        ("POST", "/build"),
        ("POST", "/session"),
        ("POST", "/auth"),
        ("POST", "/images/load"),
        ("POST", "/images/prune"),
        ("POST", "/images/x/push"),
        ("POST", "/images/x/tag?repo=y"),
        ("GET", "/images/x/get"),
        ("GET", "/images/get?names=x"),
        ("GET", "/volumes"),
        ("POST", "/volumes/create"),
        ("DELETE", "/volumes/x"),
        ("POST", "/networks/prune"),
        ("GET", "/system/df"),
        ("GET", "/plugins"),
        ("POST", "/plugins/pull?remote=x"),
        ("GET", "/swarm"),
        ("POST", "/swarm/init"),
        ("GET", "/secrets"),
        ("GET", "/configs"),
        ("GET", "/services"),
        ("GET", "/containers/../volumes"),
        ("GET", "/images/x/../../volumes/json"),
        ("GET", "/%76olumes"),
        ("GET", "/containers/x%2farchive/json"),
        ("GET", "/v2/_ping"),
    ];
    for (method, path) in closed {
        for version in ["", "/v1.41"] {
            let path = format!("{version}{path}");
            assert_eq!(proxy.ask("platform", method, &path).await, 403, "{method} {path}");
        }
    }
    let open = [("HEAD", "/_ping"), ("GET", "/version"), ("GET", "/containers/json")];
    for (method, path) in open {
        for socket in ["platform", "traefik"] {
            assert_eq!(proxy.ask(socket, method, path).await, 200, "{socket} {method} {path}");
        }
    }
    assert_eq!(proxy.ask("traefik", "GET", "/v1.41/containers/none/json").await, 404);
    let closed_to_traefik = [
        ("GET", "/info"),
        ("GET", "/containers/x/logs?stdout=1"),
        ("GET", "/images/json"),
        ("GET", "/networks"),
        ("POST", "/containers/create"),
        ("POST", "/containers/x/start"),
        ("DELETE", "/containers/x"),
    ];
    for (method, path) in closed_to_traefik {
        assert_eq!(proxy.ask("traefik", method, path).await, 403, "{method} {path}");
    }
}
