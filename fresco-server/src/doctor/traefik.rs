//! Traefik: whether it answers, knows Docker, and has the entry points that routes name.

use fresco_core::{PlatformId, Result};
use fresco_docker::{TraefikConfig, TraefikReport};

use super::finding::{Finding, cause};
use super::mend::set;
use super::shell::{DEV_STACK, has_dev_stack, quote};
use super::{Facts, gate};
use crate::compose::proxy;
use crate::config::{Config, Traefik};
use crate::http::gate::sample_host;

/// Older ones can't talk to a newer Docker.
const OLDEST: [u32; 3] = [3, 6, 1];

pub(super) async fn gather(config: &Config) -> Result<TraefikReport> {
    // The id marks routes, and none is made.
    let asked = proxy(&config.traefik, TraefikConfig::new(PlatformId::new()));
    // A name that no tenant can have.
    let host = format!("-.{}", config.base_domain);
    TraefikReport::gather(&asked, &host, &sample_host(&config.base_domain)).await
}

/// Whether https ends at Traefik itself.
pub(super) fn own_tls(traefik: &Traefik) -> bool {
    traefik.https && !traefik.tls_upstream
}

/// The entry points that routes name, each with the port that it must listen on where that is known.
fn wanted(traefik: &Traefik) -> Vec<(&str, Option<u16>, &'static str)> {
    let usual = if own_tls(traefik) { "websecure" } else { "web" };
    let name = traefik.entrypoint.as_deref().unwrap_or(usual);
    if own_tls(traefik) {
        // What browsers see as the port of https may be led here from another machine.
        let probe =
            (traefik.probe_entrypoint.as_str(), Some(traefik.probe.port()), "TRAEFIK_PROBE_PORT");
        vec![(name, None, "TRAEFIK_HTTPS_PORT"), probe]
    } else {
        vec![(name, Some(traefik.http.port()), "TRAEFIK_HTTP_PORT")]
    }
}

pub(super) fn judge(config: &Config, facts: &Facts) -> Vec<Finding> {
    let start = || start(config);
    let report = match &facts.traefik {
        Ok(report) => report,
        Err(error) => {
            let seen = format!("Traefik's API does not answer: {}", cause(error));
            return vec![Finding::wrong("API", seen).mend(start())];
        }
    };
    let mut findings = vec![version(config, report)];
    for (name, port, setting) in wanted(&config.traefik) {
        findings.push(entrypoint(config, report, name, port, setting));
    }
    findings.push(if report.providers.iter().any(|provider| provider == "Docker") {
        Finding::ok("provider", "it takes routes from Docker")
    } else {
        let seen = format!("it takes no routes from Docker, but from: {}", list(&report.providers));
        Finding::wrong("provider", seen).mend(start())
    });
    findings.push(match &report.answer {
        Ok(404) => Finding::ok("request", "it answers; a host that no tenant has gets 404"),
        Ok(status) => Finding::warning(
            "request",
            format!("a host that no tenant has gets {status} instead of 404: a route of somebody else's takes all"),
        )
        .mend(format!("curl -s http://{}/api/http/routers", config.traefik.dashboard)),
        Err(error) => {
            let seen = format!("Traefik does not take requests: {}", cause(error));
            Finding::wrong("request", seen).mend(start())
        }
    });
    findings.extend(gate::judge(config, report, &facts.listeners));
    findings
}

fn version(config: &Config, report: &TraefikReport) -> Finding {
    let text = &report.version;
    let seen = format!("Traefik {text} at {}", config.traefik.dashboard);
    match numbers(text) {
        Some(numbers) if numbers.as_slice() >= OLDEST.as_slice() => Finding::ok("version", seen),
        Some(_) => {
            Finding::wrong("version", format!("{seen} is too old: 3.6.1 or newer is needed"))
                .mend("docker pull traefik:v3.7")
        }
        None => Finding::warning("version", format!("{seen}: 3.6.1 or newer is needed")),
    }
}

/// The numbers of a version such as `3.7.15` or `v3.7.0-rc.1`.
fn numbers(version: &str) -> Option<Vec<u32>> {
    let release = version.trim_start_matches('v').split('-').next()?;
    release.split('.').map(|part| part.parse().ok()).collect()
}

fn entrypoint(
    config: &Config,
    report: &TraefikReport,
    name: &str,
    port: Option<u16>,
    setting: &'static str,
) -> Finding {
    let Some(address) = report.entrypoints.get(name) else {
        let names: Vec<_> = report.entrypoints.keys().cloned().collect();
        let seen = format!(
            "tenants' routes name the entry point {name}, but it has only: {}",
            list(&names)
        );
        return Finding::wrong("entry point", seen).mend(start(config));
    };
    match port.filter(|port| port_of(address) != Some(*port)) {
        None => Finding::ok("entry point", format!("{name} listens on {address}")),
        Some(port) => {
            let seen = format!("{name} listens on {address}, but {setting} is {port}");
            let finding = Finding::wrong("entry point", seen);
            match port_of(address) {
                Some(real) => finding.mend(set(setting, real)),
                None => finding.mend(start(config)),
            }
        }
    }
}

/// The port of an address such as `:80`, `127.0.0.1:80` or `:443/tcp`.
pub(super) fn port_of(address: &str) -> Option<u16> {
    address.split('/').next()?.rsplit_once(':')?.1.parse().ok()
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}

/// Starts a Traefik that is set up as the platform needs it.
pub(super) fn start(config: &Config) -> String {
    if !config.is_production() && has_dev_stack() {
        return DEV_STACK.to_owned();
    }
    let traefik = &config.traefik;
    let mut command = "docker run -d --name fresco-traefik --network host --restart unless-stopped -v /var/run/docker.sock:/var/run/docker.sock:ro traefik:v3.7".to_owned();
    let mut entry = |name: &str, address: String| {
        command.push_str(&format!(" --entrypoints.{name}.address={address}"));
    };
    for (name, port, _) in wanted(traefik) {
        match port {
            Some(port) if name == traefik.probe_entrypoint => {
                entry(name, format!("{}:{port}", traefik.probe.ip()));
            }
            // A developer's machine serves nobody else.
            Some(port) if !config.is_production() => {
                entry(name, format!("{}:{port}", traefik.http.ip()));
            }
            Some(port) => entry(name, format!(":{port}")),
            None => entry(name, format!(":{}", traefik.https_port)),
        }
    }
    entry("traefik", traefik.dashboard.to_string());
    command.push_str(
        " --api.insecure=true --providers.docker=true --providers.docker.exposedByDefault=false",
    );
    if let Some(folder) = &traefik.directory {
        let folder = folder.display().to_string();
        let (mount, read) =
            (format!("-v {}:ro", quote(&format!("{folder}:{folder}"))), quote(&folder));
        command = command.replacen("-v ", &format!("{mount} -v "), 1);
        command.push_str(&format!(" --providers.file.directory={read}"));
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_of_entry_points() {
        for (address, port) in [
            (":80", Some(80)),
            ("127.0.0.1:8080", Some(8080)),
            ("[::]:443/tcp", Some(443)),
            ("x", None),
        ] {
            assert_eq!(port_of(address), port, "{address}");
        }
    }

    #[test]
    fn versions_that_are_new_enough() {
        for (version, fits) in [
            ("3.6.1", true),
            ("v3.7.15", true),
            ("3.10.0", true),
            ("4.0.0", true),
            ("3.6.1-rc.1", true),
            ("3.6.0", false),
            ("2.11.9", false),
        ] {
            assert_eq!(
                numbers(version).unwrap().as_slice() >= OLDEST.as_slice(),
                fits,
                "{version}"
            );
        }
        assert_eq!(numbers("dev"), None);
    }
}
