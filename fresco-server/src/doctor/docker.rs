//! Docker: whether it answers, what it can enforce, and the tenants' network.

use std::path::Path;
use std::time::Duration;

use fresco_core::{Error, ErrorKind, Guarantee, PlatformId, Result};
use fresco_docker::{DockerConfig, DockerReport, Firewall, FirewallReport, NetworkReport};

use super::finding::{Finding, Level};
use super::mend::set;
use super::shell::{has_program, quote, start_service};
use super::{Facts, within};
use crate::config::Config;

/// The time that one call may take.
const CALL: Duration = Duration::from_secs(5);

pub(super) async fn gather(config: &Config) -> Result<DockerReport> {
    // The id marks what is made, and nothing is.
    let docker = DockerConfig::new(PlatformId::new())
        .host(&config.docker_host)
        .network(&config.docker_network)
        // Only whether there are rules is looked at, not which.
        .firewall(Firewall::new())
        .call_timeout(CALL);
    within(DockerReport::gather(&docker, &config.tenants.image)).await
}

/// The path of the engine's socket, when it is on this machine.
pub(super) fn socket(config: &Config) -> Option<&Path> {
    let host = &config.docker_host;
    let path = host.strip_prefix("unix://").unwrap_or(host);
    path.starts_with('/').then(|| Path::new(path))
}

pub(super) fn judge(config: &Config, facts: &Facts) -> Vec<Finding> {
    let report = match &facts.docker {
        Ok(report) => report,
        Err(error) => return vec![no_engine(config, error)],
    };
    let DockerReport { version, api_version, operating_system, cgroup_version, .. } = report;
    let at = &config.docker_host;
    let mut findings = vec![
        Finding::ok(
            "engine",
            format!("Docker Engine {version} (API {api_version}) at {at}, on {operating_system}"),
        ),
        storage(report),
    ];
    let missing = &report.unenforced;
    findings.extend(missing.iter().map(|guarantee| unenforced(config, *guarantee)));
    if missing.is_empty() {
        let seen = format!(
            "memory, CPUs and processes can be limited (cgroups {cgroup_version}), containers are kept apart and confined"
        );
        findings.push(Finding::ok("limits", seen));
    }
    findings.push(network(config, &report.network));
    findings.extend(report.firewall.as_ref().map(|report| firewall(config, report)));
    findings
}

fn no_engine(config: &Config, error: &Error) -> Finding {
    let wrong = Finding::wrong("engine", error.chain());
    match (error.kind(), socket(config)) {
        (ErrorKind::Denied, Some(path)) => {
            let seen = format!(
                "this user has no right to use {}; who is in the group docker has it, and with it controls this machine as root",
                path.display()
            );
            Finding::wrong("engine", seen).mend("sudo usermod -aG docker $USER && newgrp docker")
        }
        (ErrorKind::Unavailable, Some(path)) => {
            let seen = if path.exists() {
                format!("Docker does not answer at {}: it is not running", path.display())
            } else {
                format!(
                    "there is no {}: Docker is not running, or DOCKER_HOST names another place",
                    path.display()
                )
            };
            let start = if has_program("dockerd") {
                start_service("docker")
            } else {
                "sudo apt-get update && sudo apt-get install docker.io".to_owned()
            };
            Finding::wrong("engine", seen).mend(start)
        }
        (ErrorKind::Unsupported, _) => {
            wrong.mend("sudo apt-get update && sudo apt-get install docker.io")
        }
        (ErrorKind::Invalid, _) => wrong.mend(set("DOCKER_HOST", "/var/run/docker.sock")),
        _ => wrong.mend(format!("docker -H {} info", quote(&config.docker_host))),
    }
}

fn storage(report: &DockerReport) -> Finding {
    let (driver, root) = (&report.storage_driver, report.root.display());
    if driver == "vfs" {
        let seen = format!("{driver} in {root}: it copies the whole image for every tenant");
        return Finding::warning("storage", seen)
            .mend(r#"echo '{"storage-driver": "overlay2"}' | sudo tee /etc/docker/daemon.json && sudo systemctl restart docker"#);
    }
    Finding::ok("storage", format!("{driver} in {root}"))
}

/// A promise to tenants that can't be kept here.
fn unenforced(config: &Config, guarantee: Guarantee) -> Finding {
    const KERNEL: &str = r#"sudo sed -i 's/^GRUB_CMDLINE_LINUX="/&cgroup_enable=memory swapaccount=1 /' /etc/default/grub && sudo update-grub && sudo reboot"#;
    let (seen, mend) = match guarantee {
        Guarantee::Memory => ("the kernel can't limit a container's memory", KERNEL),
        Guarantee::Cpus => (
            "the kernel can't limit a container's CPUs: it was built without CFS bandwidth control",
            "sudo apt-get install linux-image-amd64 && sudo reboot",
        ),
        Guarantee::Pids => (
            "the kernel can't limit a container's processes: it was built without the pids controller",
            "sudo apt-get install linux-image-amd64 && sudo reboot",
        ),
        Guarantee::Network => (
            "tenants could reach each other: the kernel does not show bridged packets to the rules that keep containers apart (or Docker runs in a machine of its own, or rootless)",
            "sudo modprobe br_netfilter && sudo sysctl -w net.bridge.bridge-nf-call-iptables=1 && echo br_netfilter | sudo tee /etc/modules-load.d/fresco.conf && sudo systemctl restart docker",
        ),
        Guarantee::Confinement => {
            ("containers run without seccomp", "docker info --format '{{.SecurityOptions}}'")
        }
        _ => ("Docker can't enforce all that tenants are promised", "docker info"),
    };
    let allowed = config.allow_unenforced.contains(&guarantee);
    let level = if allowed { Level::Warning } else { Level::Wrong };
    let word = if allowed { " (ALLOW_UNENFORCED allows it)" } else { "" };
    Finding::new(level, "limits", format!("{seen}{word}")).mend(mend)
}

fn network(config: &Config, report: &NetworkReport) -> Finding {
    let name = &config.docker_network;
    match report {
        NetworkReport::Fit(gateway) => Finding::ok(
            "network",
            format!("{name} keeps its containers apart; this machine is {gateway} on it"),
        ),
        NetworkReport::Absent => Finding::warning(
            "network",
            format!("there is no network {name} yet; the server makes it when it starts"),
        ),
        // Docker refuses to remove its own.
        NetworkReport::Unfit(_) if is_predefined(name) => Finding::wrong(
            "network",
            format!("{name} is one of Docker's own networks, which do not keep containers apart: the tenants need another"),
        )
        .mend(set("DOCKER_NETWORK", DockerConfig::DEFAULT_NETWORK)),
        NetworkReport::Unfit(error) => {
            let finding = Finding::wrong("network", error.chain());
            match error.kind() {
                ErrorKind::Conflict => finding.mend(format!("docker network rm {}", quote(name))),
                _ => finding.mend(format!("docker network inspect {}", quote(name))),
            }
        }
        _ => Finding::warning("network", "this program does not know what it found"),
    }
}

fn is_predefined(network: &str) -> bool {
    matches!(network, "bridge" | "host" | "none")
}

/// What keeps tenants from this machine's services and from private networks.
fn firewall(config: &Config, report: &FirewallReport) -> Finding {
    let error = match report {
        FirewallReport::Loaded => {
            let seen =
                "nftables keeps tenants from this machine's services and from private networks";
            return Finding::ok("firewall", seen);
        }
        FirewallReport::Absent => {
            let seen = "nothing keeps tenants from this machine's services yet; the server loads its rules when it starts, and proves them";
            return Finding::warning("firewall", seen);
        }
        FirewallReport::Unfit(error) => error,
        _ => return Finding::warning("firewall", "this program does not know what it found"),
    };
    let allowed = config.allow_unenforced.contains(&Guarantee::Network);
    let level = if allowed { Level::Warning } else { Level::Wrong };
    let word = if allowed { " (ALLOW_UNENFORCED allows it)" } else { "" };
    let finding = Finding::new(level, "firewall", format!("{}{word}", error.chain()));
    match error.kind() {
        ErrorKind::Denied => finding.mend("sudo -E \"$(command -v fresco-server)\" doctor"),
        ErrorKind::Unsupported if !has_program("nft") => {
            finding.mend("sudo apt-get update && sudo apt-get install nftables")
        }
        _ => finding.mend("sudo nft list tables"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Values;

    #[test]
    fn a_promise_that_cannot_be_kept_is_wrong_unless_it_is_allowed() {
        let config =
            |allowed: &str| Config::read(&Values::new([("ALLOW_UNENFORCED", allowed)])).unwrap();
        let finding = unenforced(&config(""), Guarantee::Network);
        assert_eq!(finding.level, Level::Wrong);
        assert!(finding.mends.iter().any(|mend| mend.contains("modprobe br_netfilter")));
        assert_eq!(unenforced(&config("memory"), Guarantee::Network).level, Level::Wrong);
        assert_eq!(unenforced(&config("network"), Guarantee::Network).level, Level::Warning);
    }

    #[test]
    fn a_network_of_dockers_own_is_replaced_and_another_removed() {
        let unfit = NetworkReport::Unfit(Error::new(ErrorKind::Conflict, "lets them talk"));
        for (name, mend) in [
            ("bridge", "echo DOCKER_NETWORK=fresco-platform-network >>.env"),
            ("host", "echo DOCKER_NETWORK=fresco-platform-network >>.env"),
            ("none", "echo DOCKER_NETWORK=fresco-platform-network >>.env"),
            ("mine", "docker network rm mine"),
        ] {
            let config = Config::read(&Values::new([("DOCKER_NETWORK", name)])).unwrap();
            let finding = network(&config, &unfit);
            assert_eq!((finding.level, finding.mends.len()), (Level::Wrong, 1));
            assert!(finding.mends[0].contains(mend), "{:?}", finding.mends);
        }
    }

    #[test]
    fn a_docker_that_is_too_old_says_how_to_get_a_newer_one() {
        let config = Config::read(&Values::default()).unwrap();
        let error =
            Error::new(ErrorKind::Unsupported, "this Docker is too old").with("api", "1.40");
        let finding = no_engine(&config, &error);
        assert!(finding.seen.contains("1.40"), "{}", finding.seen);
        assert!(finding.mends.iter().any(|mend| mend.contains("install docker.io")));
    }
}
