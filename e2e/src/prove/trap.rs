//! Addresses outside of this machine, in a network namespace of our own: what comes from the tenants'
//! bridge for them, and nothing else, is led there. So no attempt leaves the machine.

use std::process::Stdio;
use std::time::Duration;

use fresco_isolation::Wrong;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::docker::{PROBE, docker, run};
use crate::platform::Place;

/// Where clouds tell a machine its secrets.
pub(crate) const METADATA: [&str; 4] =
    ["169.254.169.254", "168.63.129.16", "100.100.100.200", "fd00:ec2::254"];
/// Hosts of private networks.
pub(crate) const LAN: [&str; 4] = ["192.168.77.10", "10.99.0.5", "172.31.77.10", "fd77::10"];
/// Hosts of the internet: addresses that are set apart for documentation.
pub(crate) const INTERNET: [&str; 2] = ["203.0.113.7", "2001:db8:7::7"];
/// The two ends of the way there.
const ENDS: [(&str, &str, &str); 2] =
    [("-4", "198.51.100.1/30", "198.51.100.2/30"), ("-6", "fd77:1::1/126", "fd77:1::2/126")];

/// The namespace, with somebody who listens at all these addresses.
#[derive(Debug)]
pub(crate) struct Trap(#[expect(dead_code, reason = "it ends with this")] Child);

struct Names {
    namespace: String,
    link: String,
    table: &'static str,
}

fn names(place: &Place) -> Names {
    let table = if place.stack == "dev" { "9077" } else { "9078" };
    let stack = &place.stack;
    Names { namespace: format!("fresco-prove-{stack}"), link: format!("frprove-{stack}"), table }
}

async fn ip(line: &str) -> Result<String, Wrong> {
    run("ip", &line.split(' ').collect::<Vec<_>>(), &[]).await
}

fn version(address: &str) -> &'static str {
    if address.contains(':') { "-6" } else { "-4" }
}

fn host(address: &str) -> &str {
    address.split('/').next().unwrap_or(address)
}

impl Trap {
    /// Lays it. It needs root.
    pub(crate) async fn lay(place: &Place, six: bool) -> Result<Self, Wrong> {
        let Names { namespace, link, table } = names(place);
        let format = "{{index .Options \"com.docker.network.bridge.name\"}}";
        let bridge = docker(&["network", "inspect", "-f", format, &place.network]).await?;
        let bridge = bridge.trim();
        ip(&format!("netns add {namespace}")).await?;
        ip(&format!("link add {link} type veth peer name eth0 netns {namespace}")).await?;
        for (version, here, there) in ENDS.into_iter().filter(|end| six || end.0 == "-4") {
            let nodad = if version == "-6" { " nodad" } else { "" };
            ip(&format!("addr add {here} dev {link}{nodad}")).await?;
            ip(&format!("-n {namespace} addr add {there} dev eth0{nodad}")).await?;
        }
        ip(&format!("link set {link} up")).await?;
        for name in ["lo", "eth0"] {
            ip(&format!("-n {namespace} link set {name} up")).await?;
        }
        // Answers come from addresses that this machine has no other way to.
        std::fs::write(format!("/proc/sys/net/ipv4/conf/{link}/rp_filter"), "2")?;
        for (version, here, _) in ENDS.into_iter().filter(|end| six || end.0 == "-4") {
            ip(&format!("{version} -n {namespace} route add default via {}", host(here))).await?;
        }
        for address in METADATA.iter().chain(&LAN).chain(&INTERNET) {
            let version = version(address);
            if version == "-6" && !six {
                continue;
            }
            let nodad = if version == "-6" { " nodad" } else { "" };
            let via = ENDS.iter().find(|end| end.0 == version).map_or("", |end| host(end.2));
            ip(&format!("-n {namespace} addr add {address} dev lo{nodad}")).await?;
            ip(&format!("{version} route add {address} via {via} dev {link} table {table}"))
                .await?;
            let rule = format!("pref {table} iif {bridge} to {address} lookup {table}");
            ip(&format!("{version} rule add {rule}")).await?;
        }
        listen(&namespace).await.map(Self)
    }

    /// Takes it away, also when another run has left it.
    pub(crate) async fn remove(place: &Place) -> Result<(), Wrong> {
        if !is_root() {
            return Ok(());
        }
        let Names { namespace, link, table } = names(place);
        for version in ["-4", "-6"] {
            while ip(&format!("{version} rule del pref {table} table {table}")).await.is_ok() {}
            let _ = ip(&format!("{version} route flush table {table}")).await;
        }
        let _ = ip(&format!("link del {link}")).await;
        if ip("netns list").await?.lines().any(|line| line.split(' ').next() == Some(&namespace)) {
            // Who listens there: with the namespace's name alone it would live on.
            let pids = ip(&format!("netns pids {namespace}")).await?;
            for pid in pids.split_whitespace() {
                let _ = run("kill", &["-KILL", pid], &[]).await;
            }
            ip(&format!("netns del {namespace}")).await?;
        }
        Ok(())
    }
}

/// Whether this may do it.
pub(crate) fn is_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().any(|line| line.starts_with("Uid:\t") && line.split('\t').nth(2) == Some("0"))
}

async fn listen(namespace: &str) -> Result<Child, Wrong> {
    let program = std::env::current_exe()?;
    let mut child = Command::new("ip")
        .args(["netns", "exec", namespace])
        .arg(program)
        .arg(PROBE)
        .env("FRESCO_NETWORK_PROBE", json!({"Listen": [22, 80, 443]}).to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let lines = child.stdout.take().ok_or("the listener says nothing")?;
    let mut lines = BufReader::new(lines).lines();
    let ready = async {
        while let Some(line) = lines.next_line().await? {
            if line == "fresco-probe listening" {
                return Ok(child);
            }
        }
        Err(Wrong::from("nobody listens at the addresses outside"))
    };
    timeout(Duration::from_secs(10), ready).await.map_err(|_| "nobody listens in time")?
}
