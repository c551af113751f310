//! What is tried from a container on the tenants' network, and what must come of it.
//!
//! Nothing that is tried is outside of this machine: whatever is wrong here, no stranger is
//! bothered.

use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::time::Duration;

use bollard::query_parameters::ListNetworksOptions;
use fresco_core::{Error, ErrorKind, IsolationAttempt, IsolationReport, Result};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::container::{Kit, Member};
use super::firewall::Firewall;
use super::prober::{Outcome, Task};
use crate::network::gateways;
use crate::runtime::{DockerRuntime, PAUSE};

/// The port of the app of another tenant.
const APP: u16 = 3000;
/// The time that all of it may take, between making the image and removing everything.
const TIME: Duration = Duration::from_secs(40);
/// The time that one connection from this machine may take.
const CONNECT: Duration = Duration::from_secs(1);

/// A place to try.
struct Aim {
    what: String,
    target: String,
    wanted: bool,
}

impl Aim {
    fn new(what: impl Into<String>, place: SocketAddr, wanted: bool) -> Self {
        Self { what: what.into(), target: place.to_string(), wanted }
    }
}

/// Tries all of it from a container.
pub(super) async fn probe(runtime: &DockerRuntime, firewall: &Firewall) -> Result<IsolationReport> {
    let _turn = runtime.probing.lock().await;
    let kit = Kit::make(runtime, firewall).await?;
    let tried = timeout(TIME, attempts(runtime, firewall, &kit)).await;
    // Whatever came of it; what can't be removed now is swept away later.
    let removed = kit.remove().await;
    let late = |_| Error::new(ErrorKind::TimedOut, "the probe's containers took too long");
    let report = tried.map_err(late)??;
    removed?;
    Ok(report)
}

async fn attempts(
    runtime: &DockerRuntime,
    firewall: &Firewall,
    kit: &Kit<'_>,
) -> Result<IsolationReport> {
    let neighbour = kit.start(&Task::Listen(vec![APP])).await?;
    let mut report = vec![from_here(&neighbour).await?];
    // Services of this machine that listen wherever they can, as many do. They live for this probe.
    // What can't be listened on is no address of this machine, and is not tried.
    let (mut own, mut listeners) = (Vec::new(), Vec::new());
    for (name, ip) in addresses(runtime).await? {
        if let Ok(listener) = TcpListener::bind((ip, 0)) {
            own.push((name, ip));
            listeners.push(listener);
        }
    }
    let mut aims = Vec::new();
    for ip in &neighbour.addresses {
        aims.push(Aim::new("another tenant's port", (*ip, APP).into(), false));
    }
    for listener in &listeners {
        let place = listener.local_addr().map_err(|error| {
            Error::new(ErrorKind::Internal, "a listener has no address").with_source(error)
        })?;
        let name = own.iter().find(|(_, ip)| *ip == place.ip()).map_or("", |(name, _)| name);
        aims.push(Aim::new(format!("any service on {name}"), place, false));
    }
    for (name, ip) in &own {
        for port in &firewall.closed_ports {
            aims.push(Aim::new(format!("a closed port on {name}"), (*ip, *port).into(), false));
        }
    }
    for port in &firewall.gateway_ports {
        let place = (runtime.network.gateway, *port).into();
        aims.push(Aim::new("an open port at the gateway", place, true));
    }
    let member =
        kit.start(&Task::Reach(aims.iter().map(|aim| aim.target.clone()).collect())).await?;
    let answers = kit.answers(&member).await?;
    let outcomes: Vec<Outcome> =
        answers.iter().filter_map(|answer| serde_json::from_str(answer).ok()).collect();
    for Aim { what, target, wanted } in aims {
        let outcome =
            outcomes.iter().find(|outcome| outcome.target == target).ok_or_else(|| {
                Error::new(ErrorKind::Internal, "the probe told nothing of a place")
                    .with("place", &target)
            })?;
        report.push(IsolationAttempt::new(what, target, wanted, outcome.reached, &outcome.seen));
    }
    drop(listeners);
    Ok(IsolationReport::new(report))
}

/// The way from this machine to a tenant, which the proxy takes. It also tells that the other one
/// listens: else that nobody reaches it would say nothing.
async fn from_here(neighbour: &Member) -> Result<IsolationAttempt> {
    let address = neighbour.addresses.first().ok_or_else(|| {
        Error::new(
            ErrorKind::Internal,
            "the probe's container has no address: has it ended at once?",
        )
    })?;
    let place = SocketAddr::new(*address, APP);
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut seen = "no answer".to_owned();
    let mut reached = false;
    while !reached && Instant::now() < deadline {
        match timeout(CONNECT, TcpStream::connect(place)).await {
            Ok(Ok(_)) => (reached, seen) = (true, "connected".to_owned()),
            Ok(Err(error)) => seen = error.to_string(),
            Err(_) => {}
        }
        if !reached {
            sleep(PAUSE).await;
        }
    }
    let what = "from this machine to a tenant";
    Ok(IsolationAttempt::new(what, place.to_string(), true, reached, seen))
}

/// This machine's own addresses, each with a name for people: on Docker's bridges, and those that it
/// speaks to the world with.
async fn addresses(runtime: &DockerRuntime) -> Result<Vec<(String, IpAddr)>> {
    let engine = &runtime.engine;
    let call = engine.docker().list_networks(None::<ListNetworksOptions>);
    let mut own = Vec::new();
    for network in engine.call("list Docker's networks", call).await? {
        let name = network.name.clone().unwrap_or_default();
        let name = match name.as_str() {
            name if name == runtime.network.name => "the gateway".to_owned(),
            "bridge" => "docker0".to_owned(),
            name => format!("the bridge of {name}"),
        };
        own.extend(gateways(&network).map(|ip| (name.clone(), ip)));
    }
    // Nothing is sent: the kernel only chooses the way.
    for far in ["192.0.2.1:9", "[2001:db8::1]:9"] {
        let any = if far.starts_with('[') { "[::]:0" } else { "0.0.0.0:0" };
        let chosen = UdpSocket::bind(any).and_then(|socket| {
            socket.connect(far)?;
            socket.local_addr()
        });
        if let Ok(place) = chosen
            && !own.iter().any(|(_, ip)| *ip == place.ip())
        {
            own.push(("the machine's own address".to_owned(), place.ip()));
        }
    }
    Ok(own)
}
