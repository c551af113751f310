//! What a tenant reaches, and what it does not: on a machine of the test's own, from real containers,
//! with every address that is tried in a namespace beside it. Nothing leaves the real machine.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
#![allow(clippy::print_stdout, reason = "the table is for people")]
#![allow(unreachable_pub, reason = "modules of a test program")]

#[path = "../common/mod.rs"]
mod common;
mod engine;
mod namespace;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use bollard::Docker;
use bollard::models::{
    ContainerCreateBody, HostConfig, Ipam, IpamConfig, NetworkCreateRequest, PortBinding,
};
use bollard::query_parameters::{
    CreateContainerOptions, InspectContainerOptions, StartContainerOptions,
};
use engine::{Way, run};
use fresco_core::conformance::{Fixture, RuntimeIsolationFixture, runtime as cases};
use fresco_core::{
    ContainerRuntime, Guarantee, ImageSource, Instance, IsolationAttempt, IsolationReport,
    PlatformId, ProgressSink, RuntimeIsolation,
};
use fresco_docker::{DockerConfig, DockerRuntime, Firewall};
use namespace::{Machine, attempt, inside};

/// How this program runs as a prober.
pub const PROBER: [&str; 4] = ["--exact", "network_probe", "--ignored", "--nocapture"];
const NETWORK: &str = "fresco-test-isolation";
const BRIDGE: &str = "fresco-iso0";
const GATEWAY: &str = "10.77.0.1";
/// The machine's own addresses: at the tenants' bridge, at docker0, in the LAN.
const OWN: [&str; 5] = [GATEWAY, "172.17.0.1", "192.168.77.2", "2001:db8:1::1", "fd77::2"];
const RESOLVERS: [&str; 2] = ["192.168.77.1", "fd77::1"];
const POSTGRES: u16 = 5432;
const ENTRY: u16 = 443;
const API: u16 = 3000;
const DASHBOARD: u16 = 8080;
const DOCKER: u16 = 2375;
const SSH: u16 = 22;

/// No test: what a probe's container runs.
#[test]
#[ignore = "needs Docker"]
fn network_probe() {
    let _ = fresco_docker::run_network_probe();
}

fn config(machine: &Machine) -> DockerConfig {
    let firewall = Firewall::new()
        .gateway_port(POSTGRES)
        .entry_ports([ENTRY])
        .resolvers(RESOLVERS.map(|ip| ip.parse().unwrap()))
        .closed_ports([API, DASHBOARD])
        .prober(PROBER);
    common::config(PlatformId::new(), "isolation", NETWORK)
        .host(machine.socket())
        .firewall(firewall)
}

/// Docker, the tenants' network on both versions of the protocol, and the services of the machine.
async fn furnish(machine: &mut Machine) -> Arc<DockerRuntime> {
    machine.engine.start().await;
    machine.copy_image(common::APP);
    let range = |subnet: &str, gateway: &str| IpamConfig {
        subnet: Some(subnet.into()),
        gateway: Some(gateway.into()),
        ..Default::default()
    };
    let options = [
        ("com.docker.network.bridge.enable_icc", "false"),
        ("com.docker.network.bridge.name", BRIDGE),
    ];
    let request = NetworkCreateRequest {
        name: NETWORK.into(),
        driver: Some("bridge".into()),
        enable_ipv6: Some(true),
        options: Some(options.map(|(k, v)| (k.to_owned(), v.to_owned())).into()),
        ipam: Some(Ipam {
            config: Some(vec![
                range("10.77.0.0/24", GATEWAY),
                range("2001:db8:1::/64", "2001:db8:1::1"),
            ]),
            ..Default::default()
        }),
        ..Default::default()
    };
    machine.docker().create_network(request).await.unwrap();
    for place in at(POSTGRES, &OWN) {
        machine.listen(&place);
    }
    for port in [ENTRY, API, DASHBOARD, DOCKER, SSH] {
        machine.listen(&format!("[::]:{port}"));
    }
    // An answer must come from the address that was asked.
    for place in at(SSH, &OWN) {
        machine.echo(&place);
    }
    machine.listen_in_the_world(&[22, 25, 53, 80, 443]);
    Arc::new(DockerRuntime::connect(config(machine)).await.unwrap())
}

async fn tenant(runtime: &DockerRuntime) -> Instance {
    let source = ImageSource::Named(common::APP.parse().unwrap());
    let image = runtime.prepare(&source, &ProgressSink::ignore()).await.unwrap();
    let made = runtime.ensure(&common::spec(image, &[])).await.unwrap();
    runtime.start(&made.id).await.unwrap()
}

/// A container that is no tenant, on Docker's own bridge, with a published port.
async fn stranger(docker: &Docker) -> String {
    let binding = PortBinding { host_ip: None, host_port: Some("8099".into()) };
    let body = ContainerCreateBody {
        image: Some(common::APP.into()),
        exposed_ports: Some(vec!["3000/tcp".into()]),
        host_config: Some(HostConfig {
            port_bindings: Some(HashMap::from([("3000/tcp".into(), Some(vec![binding]))])),
            ..Default::default()
        }),
        ..Default::default()
    };
    let id = docker.create_container(None::<CreateContainerOptions>, body).await.unwrap().id;
    docker.start_container(&id, None::<StartContainerOptions>).await.unwrap();
    id
}

struct Place {
    pid: u32,
    name: String,
    four: String,
    six: String,
}

async fn place(docker: &Docker, id: &str) -> Place {
    let found = docker.inspect_container(id, None::<InspectContainerOptions>).await.unwrap();
    let networks = found.network_settings.unwrap().networks.unwrap();
    let network = networks.values().next().unwrap();
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    Place {
        pid: u32::try_from(found.state.unwrap().pid.unwrap()).unwrap(),
        name: found.name.unwrap().trim_start_matches('/').to_owned(),
        four: text(&network.ip_address),
        six: text(&network.global_ipv6_address),
    }
}

/// What is tried: from where, what, at which places, and whether it must be reached.
type Row<'a> = (u32, &'a str, Vec<String>, bool);

fn try_all(rows: Vec<Row<'_>>) -> IsolationReport {
    let mut targets: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for (pid, _, more, _) in &rows {
        targets.entry(*pid).or_default().extend(more.iter().cloned());
    }
    // From each place all at once: most of them wait for an answer that never comes.
    let outcomes: BTreeMap<_, _> =
        targets.into_iter().map(|(pid, targets)| (pid, attempt(pid, &targets))).collect();
    let mut attempts = Vec::new();
    for (pid, what, targets, wanted) in rows {
        for target in targets {
            let (reached, seen) = outcomes[&pid][&target].clone();
            attempts.push(IsolationAttempt::new(what, target, wanted, reached, seen));
        }
    }
    IsolationReport::new(attempts)
}

fn at(port: u16, hosts: &[&str]) -> Vec<String> {
    let bracketed = |host: &&str| match host.contains(':') && !host.contains('.') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    };
    hosts.iter().map(bracketed).collect()
}

/// The table: from a tenant, to a tenant, from others.
async fn table(machine: &Machine, docker: &Docker, ids: [&str; 3]) -> IsolationReport {
    let [me, other, stranger] =
        [place(docker, ids[0]).await, place(docker, ids[1]).await, place(docker, ids[2]).await];
    let udp = |targets: Vec<String>| targets.into_iter().map(|t| format!("udp:{t}")).collect();
    let metadata = [
        "169.254.169.254",
        "168.63.129.16",
        "100.100.100.200",
        "fd00:ec2::254",
        "64:ff9b::a9fe:a9fe",
    ];
    let (lan, internet) =
        (["192.168.77.10", "10.99.0.5", "fd77::10"], ["203.0.113.7", "2001:db8:7::7"]);
    let from = me.pid;
    // The bridge's own address on its link, which no route leads to: the interface is named.
    let link = run(&format!("ip -6 -o addr show dev {BRIDGE} scope link"));
    let link = link.split_once("inet6 ").unwrap().1.split_once('/').unwrap().0.to_owned();
    let eth0 = run(&format!("nsenter -t {from} -n ip -o link show eth0"));
    let link = format!("{link}%{}", eth0.split_once(':').unwrap().0);
    let here = std::process::id();
    let socket = "/var/run/docker.sock";
    let has_socket = std::fs::exists(format!("/proc/{from}/root{socket}")).unwrap();
    let seen = if has_socket { "it is there" } else { "no such file" };
    let mut report = try_all(vec![
        (from, "another tenant's port, by address", at(3000, &[&other.four, &other.six]), false),
        (from, "another tenant's port, by name", at(3000, &[&other.name]), false),
        (from, "a container of somebody else", at(3000, &[&stranger.four]), false),
        (from, "its published port", at(8099, &OWN), false),
        (from, "the platform's API", at(API, &OWN), false),
        (from, "the same, on the link alone", at(API, &[&link]), false),
        (from, "Traefik's dashboard", at(DASHBOARD, &OWN), false),
        (from, "Docker's TCP socket", at(DOCKER, &OWN), false),
        (from, "a service on all addresses (ssh)", at(SSH, &OWN), false),
        (from, "the same by UDP", udp(at(SSH, &OWN)), false),
        (from, "PostgreSQL past the gateway", at(POSTGRES, &[OWN[1], OWN[2], OWN[4]]), false),
        (from, "the cloud's metadata", at(80, &metadata), false),
        (from, "a host of the LAN", at(80, &lan), false),
        (from, "the same, ssh", at(22, &lan), false),
        (from, "a resolver's other ports", at(80, &RESOLVERS), false),
        (from, "PostgreSQL at the gateway", at(POSTGRES, &[GATEWAY, OWN[3]]), true),
        (from, "Traefik's entry point", at(ENTRY, &OWN), true),
        (from, "the name servers, by TCP", at(53, &RESOLVERS), true),
        (from, "the name servers, by UDP", udp(at(53, &RESOLVERS)), true),
        (from, "the internet", at(443, &internet), true),
        (here, "from this machine to a tenant", at(3000, &[&me.four]), true),
        (stranger.pid, "from another container to a tenant", at(3000, &[&me.four]), false),
        (machine.world(), "from the LAN to a tenant", at(3000, &[&me.four, &me.six]), false),
    ]);
    report.attempts.insert(
        0,
        IsolationAttempt::new("Docker's socket, as a file", socket, false, has_socket, seen),
    );
    report
}

#[test]
#[ignore = "needs Docker, root, nftables"]
fn a_tenant_reaches_what_it_may_and_nothing_else() {
    inside("a_tenant_reaches_what_it_may_and_nothing_else", async |machine| {
        let runtime = furnish(machine).await;
        assert!(!runtime.unenforced().contains(&Guarantee::Network), "{:?}", runtime.unenforced());
        let docker = machine.docker();
        let (first, second) = (tenant(&runtime).await, tenant(&runtime).await);
        let third = stranger(&docker).await;
        let ids = [first.id.as_str(), second.id.as_str(), third.as_str()];

        let report = table(machine, &docker, ids).await;
        println!("\nWith the rules:\n{report}");
        assert!(report.holds(), "{}", report.faults());

        // A sender's address that is not of this network goes nowhere, and is counted.
        let pid = place(&docker, ids[0]).await.pid;
        run(&format!("nsenter -t {pid} -n ip addr add 198.51.100.9/32 dev eth0"));
        run(&format!(
            "nsenter -t {pid} -n ip route add 203.0.113.7 via {GATEWAY} src 198.51.100.9"
        ));
        let forged = attempt(pid, &at(443, &["203.0.113.7"]));
        let reached = forged["203.0.113.7:443"].0;
        let rules = run(&format!("nft list chain inet fresco_{BRIDGE} from_tenants"));
        let counted = rules.lines().find(|line| line.contains("fib saddr")).unwrap();
        println!("A forged sender:{counted}");
        assert!(!reached && !counted.contains("packets 0"), "{rules}");

        for way in [Way::InOrder, Way::Killed] {
            machine.engine.end(way).await;
            machine.engine.start().await;
            for id in [&first.id, &second.id] {
                runtime.start(id).await.unwrap();
            }
            docker.start_container(&third, None::<StartContainerOptions>).await.unwrap();
            assert!(!runtime.ensure_isolation().await.unwrap(), "the rules outlive Docker's end");
            let report = table(machine, &docker, ids).await;
            println!("After a restart of Docker, ended {way:?}:\n{report}");
            assert!(report.holds(), "{}", report.faults());
        }

        // Without the rules the same table tells what they are good for.
        run(&format!("nft delete table inet fresco_{BRIDGE}"));
        let report = table(machine, &docker, ids).await;
        println!("Without the rules (what Docker alone does):\n{report}");
        assert!(report.faults().contains("the platform's API"), "{report}");
        assert!(report.faults().contains("the cloud's metadata"), "{report}");

        // A reload of the machine's own firewall takes everything away; the next round puts it back.
        assert!(runtime.ensure_isolation().await.unwrap());
        assert!(table(machine, &docker, ids).await.holds());
        run(&format!("nft flush chain inet fresco_{BRIDGE} to_host"));
        assert!(runtime.ensure_isolation().await.unwrap(), "a part is missing");
        assert!(!runtime.ensure_isolation().await.unwrap());
        assert!(table(machine, &docker, ids).await.holds());
    });
}

/// A second platform has a network, a bridge and a table of its own.
#[test]
#[ignore = "needs Docker, root, nftables"]
fn two_platforms_on_one_machine_leave_each_other_alone() {
    inside("two_platforms_on_one_machine_leave_each_other_alone", async |machine| {
        let first = furnish(machine).await;
        let list = |table: &str| run(&format!("nft -s list table inet {table}"));
        let table = format!("fresco_{BRIDGE}");
        let before = list(&table);
        let other = common::config(PlatformId::new(), "isolation", "fresco-test-isolation-other")
            .host(machine.socket())
            .firewall(Firewall::new().gateway_port(POSTGRES + 1).resolvers([]).prober(PROBER));
        let others_table = other.firewall_table();
        let second = Arc::new(DockerRuntime::connect(other).await.unwrap());
        assert_eq!(list(&table), before, "the first one's rules are its own");
        assert!(!first.ensure_isolation().await.unwrap());
        assert!(!second.ensure_isolation().await.unwrap());

        let docker = machine.docker();
        let [one, two] = [tenant(&first).await, tenant(&second).await];
        let [one, two] =
            [place(&docker, one.id.as_str()).await, place(&docker, two.id.as_str()).await];
        let gateway = second.gateway().to_string();
        let report = try_all(vec![
            (one.pid, "another platform's tenant", at(3000, &[&two.four]), false),
            (two.pid, "another platform's tenant", at(3000, &[&one.four]), false),
            (one.pid, "its own PostgreSQL", at(POSTGRES, &[GATEWAY]), true),
            (two.pid, "another platform's PostgreSQL", at(POSTGRES, &[GATEWAY, &gateway]), false),
        ]);
        println!("\n{report}");
        assert!(report.holds(), "{}", report.faults());

        // The second one is taken away.
        run(&format!("docker -H unix://{} rm -f {}", machine.socket(), two.name));
        run(&format!("nft delete table inet {others_table}"));
        assert!(!first.ensure_isolation().await.unwrap());
        let report = first.probe_isolation().await.unwrap();
        assert!(report.holds(), "{}", report.faults());
    });
}

struct OnDocker(Arc<DockerRuntime>);

#[async_trait]
impl Fixture for OnDocker {
    async fn clean_up(&self) {}
}

#[async_trait]
impl RuntimeIsolationFixture for OnDocker {
    fn isolation(&self) -> Arc<dyn RuntimeIsolation> {
        Arc::clone(&self.0) as _
    }

    async fn take_isolation_away(&self) {
        run(&format!("nft delete table inet fresco_{BRIDGE}"));
    }
}

#[test]
#[ignore = "needs Docker, root, nftables"]
fn the_runtime_keeps_its_promises_of_isolation() {
    inside("the_runtime_keeps_its_promises_of_isolation", async |machine| {
        let runtime = furnish(machine).await;
        let fixture = OnDocker(runtime.clone());
        cases::isolation_in_place_is_left(&fixture).await;
        cases::isolation_taken_away_is_put_back(&fixture).await;
        cases::isolation_in_place_is_proved(&fixture).await;
        println!("\n{}", runtime.probe_isolation().await.unwrap());
        cases::isolation_missing_is_found(&fixture).await;
        let docker = ["ps", "--all", "--quiet"];
        let left = run(&format!("docker -H unix://{} {}", machine.socket(), docker.join(" ")));
        assert_eq!(left, "", "containers of probes are left");
        let images = run(&format!("docker -H unix://{} images --all --quiet", machine.socket()));
        assert_eq!(images.lines().count(), 1, "images of probes are left: {images}");
    });
}
