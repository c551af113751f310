//! Docker restarted in the middle of many operations, on an engine of the test's own. As on a small
//! machine, PostgreSQL and Traefik run on that engine too: all goes down, and all comes back without a
//! person. The server stays up, or is killed at the same moment.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, Utc};
use fresco_e2e::Stack;
use fresco_e2e::service::{Server, Service, Visitor};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::census::{Things, census, no_probes_left};
use crate::dice::Dice;
use crate::engine::{Engine, Way, inside, run};
use crate::servers::{created, destroy_all, ended_well};
use crate::service::{PROGRAM, email, name, page};

const IMAGES: [&str; 4] = [
    "fresco-dev/postgres:16",
    "fresco-dev/traefik:3",
    "fresco-dev/tenant-app:1",
    "fresco-dev/tenant-app:2",
];
/// How long anything may take that must come back by itself.
const PATIENCE: Duration = Duration::from_secs(120);
/// What the server's log says of a proof.
const PROVED: &str = "proved that tenants are kept apart";

pub(crate) fn long_restarted_in_the_middle() {
    inside("docker::long_restarted_in_the_middle", async |folder| {
        let mut place = Place::new(&folder).await;
        place.round(&[Way::InOrder], false).await;
        place.round(&[Way::Killed], false).await;
        place.round(&[Way::Killed, Way::InOrder], false).await;
        place.end().await;
    });
}

pub(crate) fn long_restarted_as_the_server_is_killed() {
    inside("docker::long_restarted_as_the_server_is_killed", async |folder| {
        let mut place = Place::new(&folder).await;
        place.round(&[Way::Killed], true).await;
        place.round(&[Way::InOrder], true).await;
        place.end().await;
    });
}

/// An engine, what runs on it, and a platform that is worked with.
struct Place {
    dice: Dice,
    engine: Engine,
    stack: Stack,
    service: Service,
    server: Option<Server>,
    owner: Visitor,
    log: Log,
}

impl Place {
    async fn new(folder: &Path) -> Self {
        let dice = Dice::new();
        println!("Docker restarted at moments of chance, seed {}", dice.seed());
        // All of the tests know Docker's usual socket: in these namespaces it is another.
        let mut engine = Engine::new(folder, "/run/docker.sock".into());
        let images = IMAGES.map(|image| engine.save_image(image));
        run("mount -t tmpfs tmpfs /run");
        run("ip link set lo up");
        engine.start().await;
        images.iter().for_each(|image| engine.load_image(image));
        let stack = Stack::start_lasting().await;
        let log = Log { path: folder.join("server.log"), from: 0 };
        let service = Service::new(PROGRAM, &stack)
            .await
            .with("MIN_MEMORY", 128)
            .with("TENANT_MEMORY", 128 * 50)
            .with("TENANT_CONNECTIONS", 1_000_000)
            .with("LEASE_SECONDS", 3)
            .with("WORKERS", 8)
            .with("LOG", "info")
            .logging_to(&log.path);
        let server = service.start().await;
        let owner = server.visitor();
        owner.sign_up(&email()).await;
        Self { dice, engine, stack, service, server: Some(server), owner, log }
    }

    /// Tenants with data, updates, destroys and deploys; Docker ends in these ways, one after the
    /// other, at moments of chance. All ends well.
    async fn round(&mut self, ways: &[Way], with_server: bool) {
        println!("ended {ways:?}, the server killed: {with_server}");
        let old = created(&self.owner, 6).await;
        for (subdomain, operation) in &old {
            self.owner.success(operation).await;
            assert_eq!(page(&self.stack, subdomain, "/visit").await.0, 200);
        }
        let mut operations = Vec::new();
        let mut expected: BTreeMap<String, u64> = BTreeMap::new();
        let list = self.owner.call(200, "tenants.list", json!({})).await;
        for (number, tenant) in list["tenants"].as_array().expect("tenants").iter().enumerate() {
            let subdomain = tenant["subdomain"].as_str().expect("a name").to_owned();
            let (call, body) = match number % 3 {
                0 => ("update", json!({"image": "fresco-dev/tenant-app:2"})),
                1 => ("destroy", json!({"confirmation": subdomain})),
                // It is left alone, and must come back all the same.
                _ => {
                    expected.insert(subdomain, 1);
                    continue;
                }
            };
            operations.push(self.ask(tenant, call, body).await);
            if call == "update" {
                expected.insert(subdomain, 1);
            }
        }
        for (subdomain, operation) in created(&self.owner, 4).await {
            operations.push(operation);
            expected.insert(subdomain, 0);
        }
        for way in ways {
            self.pause(2500).await;
            let killed = async {
                if let Some(server) = self.server.take_if(|_| with_server) {
                    server.kill().await;
                }
            };
            tokio::join!(self.engine.end(*way), killed);
            self.pause(2000).await;
            self.log.mark();
            self.engine.start().await;
        }
        let back = Instant::now();
        if with_server {
            let server = self.service.start().await;
            self.owner = self.owner.at(&server);
            self.server = Some(server);
        }
        let (subdomain, operation) = self.deployed_after().await;
        operations.push(operation);
        expected.insert(subdomain, 0);
        for operation in &operations {
            ended_well(&self.owner, operation).await;
        }
        self.settled(&expected).await;
        println!("all is back {} s after Docker", back.elapsed().as_secs());
        assert!(!run(&format!("nft list table inet {}", self.stack.table())).is_empty());
        destroy_all(&self.owner).await;
        assert_eq!(census(&self.stack, self.service.database()).await, BTreeMap::new());
    }

    async fn ask(&self, tenant: &Value, call: &str, mut body: Value) -> String {
        body["tenantId"] = tenant["id"].clone();
        let answer = self.owner.call(202, &format!("tenants.{call}"), body).await;
        answer["operationId"].as_str().expect("an operation").to_owned()
    }

    /// Waiting for a moment of chance is the point here.
    async fn pause(&mut self, longest: usize) {
        let moment = u64::try_from(self.dice.below(longest)).expect("a small number");
        tokio::time::sleep(Duration::from_millis(moment)).await;
    }

    /// A tenant that is asked for while Docker has only just come back: refused until it is accepted,
    /// and it gets a container only after a new proof.
    async fn deployed_after(&self) -> (String, String) {
        let (subdomain, deadline) = (name(), Instant::now() + PATIENCE);
        let answer = loop {
            let body = json!({"subdomain": subdomain});
            let answer = self.owner.post("tenants.create", &body).send().await;
            let answer = answer.expect("the server answers");
            let status = answer.status().as_u16();
            let body: Value = answer.json().await.expect("a JSON body");
            if status == 202 {
                break body;
            }
            assert_eq!(status, 503, "{body:#}");
            assert!(Instant::now() < deadline, "refused for ever: {body:#}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        };
        let operation = answer["operationId"].as_str().expect("an operation").to_owned();
        ended_well(&self.owner, &operation).await;
        let proved = self.log.proved().expect("a proof since Docker came back");
        let container = format!("fresco_tenant_{}", answer["tenantId"].as_str().expect("an id"));
        let made = run(&format!("docker inspect -f {{{{.Created}}}} {container}"));
        let made = made.trim().parse::<DateTime<Utc>>().expect("a time");
        assert!(made > proved, "made at {made}, before it was proved at {proved}");
        (subdomain, operation)
    }

    /// Waits until all that should run serves its page with its data, and nothing else is there.
    async fn settled(&self, expected: &BTreeMap<String, u64>) {
        let deadline = Instant::now() + PATIENCE;
        let until = async |what: &str| {
            assert!(Instant::now() < deadline, "in vain: {what}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        };
        for (subdomain, visits) in expected {
            loop {
                let (status, body) = page(&self.stack, subdomain, "/whoami").await;
                let me: Value = serde_json::from_str(&body).unwrap_or_default();
                if status == 200 {
                    assert_eq!(me["visits"], *visits, "{subdomain}: {body}");
                    break;
                }
                until(&format!("{subdomain} serves, {status} {body}")).await;
            }
        }
        let database = self.service.database();
        let open = "SELECT id FROM fresco.operations WHERE status NOT IN ('success', 'failed')";
        while !self.stack.superuser_in(database, open).await.is_empty() {
            until("all operations have ended").await;
        }
        // Repairs too.
        let failed = "SELECT data::text FROM fresco.operations WHERE status = 'failed'";
        let failed = self.stack.superuser_in(database, failed).await;
        assert!(failed.is_empty(), "{failed:#?}");
        let whole = Things { containers: 1, running: 1, places: 1, roles: 1 };
        let found = census(&self.stack, database).await;
        assert_eq!(found.len(), expected.len(), "{found:#?}");
        assert!(found.values().all(|things| *things == whole), "{found:#?}");
        while self.log.proved().is_none() {
            until("isolation is proved anew").await;
        }
        loop {
            let health = self.owner.get("/health").send().await.expect("the server answers");
            if health.status() == 200 {
                break;
            }
            until("all is healthy").await;
        }
    }

    async fn end(mut self) {
        no_probes_left(&self.stack, self.service.database()).await;
        let server = self.server.take().expect("it runs");
        assert!(server.stop().await.success());
        self.stack.stop().await;
    }
}

/// The server's log, which is shown when the test fails.
struct Log {
    path: PathBuf,
    /// What was written before does not count.
    from: usize,
}

impl Log {
    fn text(&self) -> String {
        std::fs::read_to_string(&self.path).unwrap_or_default()
    }

    fn mark(&mut self) {
        self.from = self.text().len();
    }

    /// When it was first proved since the mark that tenants are kept apart.
    fn proved(&self) -> Option<DateTime<Utc>> {
        let text = self.text();
        let line = text[self.from..].lines().find(|line| line.contains(PROVED))?;
        Some(line.split(' ').next()?.parse().expect("a line begins with its time"))
    }
}

/// Who has which address, by Docker's word and by the kernel's, and what each container wrote last.
const TELL: &str = "exec 2>&1
    for id in $(docker ps -aq); do
        docker inspect -f '{{.Name}} {{.State.Status}} {{.State.Pid}} {{range .NetworkSettings.Networks}}{{.IPAddress}} {{.MacAddress}}{{end}}' $id
        docker logs --tail 10 $id
    done
    ip neigh
    for pid in $(ls /proc | grep -E '^[0-9]+$'); do
        echo $(readlink /proc/$pid/ns/net) $(cat /proc/$pid/comm) $(nsenter -t $pid -n ip -4 -o addr show eth0 2>/dev/null | awk '{print $4}')
    done | sort | uniq -c";

impl Drop for Log {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("The server's log:\n{}", self.text());
            let told = std::process::Command::new("sh").args(["-c", TELL]).output();
            println!(
                "{}",
                String::from_utf8_lossy(&told.map(|told| told.stdout).unwrap_or_default())
            );
        }
    }
}
