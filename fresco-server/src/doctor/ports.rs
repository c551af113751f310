//! Ports of this machine: who has them.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};

use super::Facts;
use super::finding::Finding;
use super::listeners::Listener;
use super::mend::set;
use super::shell::show_listener;
use super::traefik::{own_tls, port_of};
use crate::config::Config;

pub(super) fn judge(config: &Config, facts: &Facts) -> Vec<Finding> {
    let mut findings = vec![own(config, facts)];
    let traefik = &config.traefik;
    // Another machine's ports are not ours to look at.
    if TcpListener::bind((traefik.http.ip(), 0)).is_ok() {
        let tls = own_tls(traefik);
        let https = SocketAddr::new(traefik.http.ip(), traefik.https_port);
        let ports = [
            (!tls, "TRAEFIK_HTTP_PORT", traefik.http),
            (tls, "TRAEFIK_HTTPS_PORT", https),
            (tls, "TRAEFIK_PROBE_PORT", traefik.probe),
            (true, "TRAEFIK_DASHBOARD_PORT", traefik.dashboard),
        ];
        let used = ports.into_iter().filter(|(used, ..)| *used);
        findings.extend(used.map(|(_, setting, address)| proxy(facts, setting, address)));
    }
    findings
}

/// The server's own port: trying tells most.
fn own(config: &Config, facts: &Facts) -> Finding {
    let address = config.listen;
    let port = address.port();
    let error = match TcpListener::bind(address) {
        Ok(_) => return Finding::ok("PORT", format!("{address} is free for the server")),
        Err(error) => error,
    };
    match (error.kind(), facts.listeners.at(address)) {
        (ErrorKind::AddrInUse, Some(owner)) if owner.name() == Some("fresco-server") => {
            Finding::ok("PORT", format!("{address} is in use by {owner}, a server like this"))
        }
        (ErrorKind::AddrInUse, Some(owner)) if owner.program.is_some() => {
            taken(facts, "PORT", address, owner)
        }
        (ErrorKind::AddrInUse, owner) => {
            let owner =
                owner.map_or_else(|| "a program that can't be seen".into(), Listener::to_string);
            Finding::warning(
                "PORT",
                format!("{address} is in use by {owner}, which is well if it is this server"),
            )
            .mend(show_listener(port))
        }
        (ErrorKind::PermissionDenied, _) => Finding::wrong(
            "PORT",
            format!("this user may not listen on {address}: ports below 1024 are root's"),
        )
        .mend(set("PORT", facts.listeners.free_port_near(port))),
        (ErrorKind::AddrNotAvailable, _) => {
            let seen = format!("{} is no address of this machine", address.ip());
            Finding::wrong("LISTEN_ADDRESS", seen).mend(set("LISTEN_ADDRESS", "127.0.0.1"))
        }
        _ => Finding::wrong("PORT", format!("the server can't listen on {address}: {error}"))
            .mend(show_listener(port)),
    }
}

fn proxy(facts: &Facts, setting: &'static str, address: SocketAddr) -> Finding {
    let Some(owner) = facts.listeners.at(address) else {
        let word = if facts.traefik.is_ok() { "nothing listens on" } else { "free for Traefik:" };
        return Finding::ok(setting, format!("{word} {address}"));
    };
    // What Traefik itself says counts most; its name helps when it says nothing, and where Docker
    // leads the port into a container.
    let says = facts.traefik.as_ref().is_ok_and(|report| {
        report.entrypoints.values().any(|text| port_of(text) == Some(address.port()))
    });
    match owner.name() {
        Some("traefik" | "docker-proxy") => {
            Finding::ok(setting, format!("{address} is in use by {owner}"))
        }
        _ if says => Finding::ok(setting, format!("{address} is in use by Traefik")),
        Some(_) => taken(facts, setting, address, owner),
        None => {
            let seen = format!("{address} is in use by {owner}, which is well if it is Traefik");
            Finding::warning(setting, seen).mend(show_listener(address.port()))
        }
    }
}

fn taken(facts: &Facts, setting: &'static str, address: SocketAddr, owner: &Listener) -> Finding {
    Finding::wrong(
        setting,
        format!("{address} is taken by {owner}: stop that program, or take another port"),
    )
    .mend(set(setting, facts.listeners.free_port_near(address.port())))
}
