//! What a tenant's container reaches, and what it does not.

use std::collections::BTreeMap;
use std::net::{TcpListener, UdpSocket};

use fresco_isolation::{Expected, Outcome, Table, Wrong};
use serde_json::Value;

use crate::docker::{Container, Docker, docker, run};
use crate::platform::{Made, Place, Platform};
use crate::trap::{INTERNET, LAN, METADATA, Trap, is_root};

/// What is tried, at which places, and what must come of it.
struct Aim {
    what: &'static str,
    targets: Vec<String>,
    expected: Expected,
    /// Whether these addresses must be led into a trap first.
    outside: bool,
}

fn aim(what: &'static str, targets: Vec<String>, expected: Expected) -> Aim {
    Aim { what, targets, expected, outside: false }
}

fn outside(what: &'static str, targets: Vec<String>, expected: Expected) -> Aim {
    Aim { outside: true, ..aim(what, targets, expected) }
}

fn at(port: u16, hosts: &[String]) -> Vec<String> {
    let place = |host: &String| match host.contains(':') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    };
    hosts.iter().filter(|host| !host.is_empty()).map(place).collect()
}

fn all(hosts: &[&str], six: bool) -> Vec<String> {
    hosts.iter().filter(|host| six || !host.contains(':')).map(|&host| host.to_owned()).collect()
}

pub(crate) async fn rows(
    place: &Place,
    docker: &Docker,
    platform: &Platform,
    tenant: &Made,
    table: &mut Table,
) {
    crate::screen::heading("network: from a tenant's own network");
    table.part = "network".into();
    if let Err(wrong) = try_all(place, docker, platform, tenant, table).await {
        table.add(Expected::Refused, "reach what is not a tenant's", Err(wrong));
    }
}

async fn try_all(
    place: &Place,
    docker: &Docker,
    platform: &Platform,
    tenant: &Made,
    table: &mut Table,
) -> Result<(), Wrong> {
    let neighbour = platform.deploy(place).await?;
    let (me, other) =
        tokio::try_join!(Container::of(place, tenant.id), Container::of(place, neighbour.id))?;
    let six = !me.six.is_empty();
    let _trap = if is_root() { Some(Trap::lay(place, six).await?) } else { None };
    let own = own_addresses(six).await?;
    let services = Services::open(&own);
    let past: Vec<String> = own.iter().filter(|ip| **ip != place.gateway).cloned().collect();
    let gateway = [place.gateway.clone()];
    let entry = place.sites_port;
    let (refused, works) = (Expected::Refused, Expected::Works);
    let others = [other.four.clone(), other.six.clone()];
    let aims = vec![
        aim("another tenant's port, by address", at(other.port, &others), refused),
        aim(
            "another tenant's port, by name",
            at(other.port, std::slice::from_ref(&other.name)),
            refused,
        ),
        aim(
            "the platform's API, at each address of this machine",
            at(place.api_port, &own),
            refused,
        ),
        aim("Traefik's dashboard, the same", at(place.dashboard_port, &own), refused),
        aim("Docker by TCP, the same", at(2375, &own), refused),
        aim("any other service of this machine, the same", services.tcp.clone(), refused),
        aim("the same by UDP", services.udp.clone(), refused),
        aim("PostgreSQL past the gateway", at(place.postgres_port, &past), refused),
        outside("the cloud's metadata", at(80, &all(&METADATA, six)), refused),
        outside("a host of the LAN", at(443, &all(&LAN, six)), refused),
        outside("the same, ssh", at(22, &all(&LAN, six)), refused),
        aim("PostgreSQL at the gateway", at(place.postgres_port, &gateway), works),
        aim("Traefik's entry point", at(entry, &gateway), works),
        outside("the internet", at(443, &all(&INTERNET, six)), works),
    ];
    let tried = |aim: &Aim| !aim.outside || is_root();
    let targets: Vec<_> =
        aims.iter().filter(|aim| tried(aim)).flat_map(|aim| aim.targets.clone()).collect();
    let network = format!("container:{}", me.id);
    let seen = docker.reach(&network, &targets).await?;
    let seen: BTreeMap<_, _> =
        seen.into_iter().map(|(target, reached, words)| (target, (reached, words))).collect();
    for aim in &aims {
        let outcome = match tried(aim) {
            true => judge(aim.expected, &aim.targets, &seen),
            false => Outcome::NotTried("needs root".into()),
        };
        table.add(aim.expected, aim.what, outcome);
    }
    table.add(refused, "Docker's socket, as a file", socket(&me).await);
    let mine = at(me.port, std::slice::from_ref(&me.four));
    for (network, what, expected) in [
        ("bridge", "from a container of somebody else to a tenant", refused),
        ("host", "from this machine to a tenant", works),
    ] {
        let seen = docker.reach(network, &mine).await?;
        let seen = seen.into_iter().map(|(target, reached, words)| (target, (reached, words)));
        table.add(expected, what, judge(expected, &mine, &seen.collect()));
    }
    if !six {
        let target = vec![format!("[{}]:443", INTERNET[1])];
        let seen = docker.reach(&network, &target).await?;
        let (reached, words) = seen.first().map_or((true, ""), |seen| (seen.1, seen.2.as_str()));
        let outcome = match reached {
            false => Ok(format!("this network has no IPv6: {}", short(words))),
            true => Err(Wrong("reached, although the network has no IPv6".into())),
        };
        table.add(refused, "anything over IPv6", outcome);
    }
    Ok(())
}

/// All of the places must end as expected; those that were seen alike are told together.
fn judge(
    expected: Expected,
    targets: &[String],
    seen: &BTreeMap<String, (bool, String)>,
) -> Outcome {
    let mut words: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let mut good = !targets.is_empty();
    for target in targets {
        let (reached, what) = seen.get(target).cloned().unwrap_or((false, "not told".into()));
        good &= reached == (expected == Expected::Works) && what != "not told";
        words.entry(short(&what)).or_default().push(target.trim_start_matches("udp:"));
    }
    let words = words.iter().map(|(what, at)| format!("{what}: {}", at.join(", ")));
    let words = words.collect::<Vec<_>>().join("; ");
    if good { Outcome::AsExpected(words) } else { Outcome::Wrong(words) }
}

/// Without the number that the kernel gives it.
fn short(words: &str) -> String {
    words.split(" (os error").next().unwrap_or(words).to_lowercase()
}

/// This machine's addresses that others can have a way to.
async fn own_addresses(six: bool) -> Result<Vec<String>, Wrong> {
    let text = run("ip", &["-j", "addr"], &[]).await?;
    let links: Value = serde_json::from_str(&text).map_err(|_| "ip addr: no JSON")?;
    let mut own = Vec::new();
    for link in links.as_array().into_iter().flatten() {
        // The way to what stands for the world outside is none of this machine's own.
        let ours = link["ifname"].as_str().is_some_and(|name| name.starts_with("frprove-"));
        for address in link["addr_info"].as_array().into_iter().flatten() {
            let ip = address["local"].as_str().unwrap_or_default();
            if address["scope"] == "global" && !ours && (six || !ip.contains(':')) {
                own.push(ip.to_owned());
            }
        }
    }
    Ok(own)
}

/// Services of this machine that listen at each of its addresses, as many do. They live for a moment.
struct Services {
    tcp: Vec<String>,
    udp: Vec<String>,
    _open: (Vec<TcpListener>, Vec<UdpSocket>),
}

impl Services {
    fn open(own: &[String]) -> Self {
        let (mut listeners, mut sockets) = (Vec::new(), Vec::new());
        for place in at(0, own) {
            listeners.extend(TcpListener::bind(&place));
            sockets.extend(UdpSocket::bind(&place));
        }
        let tcp = listeners.iter().filter_map(|one| one.local_addr().ok()).map(|a| a.to_string());
        let tcp = tcp.collect();
        let udp = sockets.iter().filter_map(|one| one.local_addr().ok());
        let udp = udp.map(|address| format!("udp:{address}")).collect();
        for socket in sockets.iter().filter_map(|one| one.try_clone().ok()) {
            std::thread::spawn(move || echo(&socket));
        }
        Self { tcp, udp, _open: (listeners, sockets) }
    }
}

fn echo(socket: &UdpSocket) {
    let mut bytes = [0; 16];
    while let Ok((length, from)) = socket.recv_from(&mut bytes) {
        let _ = socket.send_to(bytes.get(..length).unwrap_or_default(), from);
    }
}

/// Docker copies what a container sees at a path, mounted or not.
async fn socket(me: &Container) -> Result<String, Wrong> {
    let mounted = me.mounts.iter().find(|source| source.ends_with("docker.sock"));
    if let Some(source) = mounted {
        return Err(format!("{source} is mounted").into());
    }
    for path in ["/var/run/docker.sock", "/run/docker.sock"] {
        let from = format!("{}:{path}", me.id);
        match docker(&["cp", &from, "-"]).await {
            Err(Wrong(words))
                if words.contains("ould not find the file") || words.contains("o such") => {}
            Err(wrong) => return Err(wrong),
            Ok(_) => return Err(format!("{path} is there").into()),
        }
    }
    Ok("no such file".into())
}
