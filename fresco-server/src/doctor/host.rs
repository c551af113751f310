//! The machine: memory, disk, and the names of tenants' hosts.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use super::Facts;
use super::docker::socket;
use super::finding::{Finding, Level};
use crate::config::Config;

const MB: u64 = 1024 * 1024;
const GB: u64 = 1024 * MB;
/// An image and its update want this much.
const GOOD_DISK: u64 = 5 * GB;
/// The time that a name server has.
const NAMES: Duration = Duration::from_secs(4);

/// What /proc says of this machine.
#[derive(Debug, Default)]
pub(super) struct Machine {
    /// Memory that programs can have without swapping, in bytes; `None` where it is not told.
    available: Option<u64>,
}

impl Machine {
    pub(super) fn read() -> Self {
        let table = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        Self { available: available(&table) }
    }
}

fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

/// The addresses of a tenant's host. Every name below `localhost` is this machine's, unasked.
pub(super) async fn names(config: &Config) -> Option<io::Result<Vec<IpAddr>>> {
    let domain = config.base_domain.as_str();
    if domain == "localhost" || domain.ends_with(".localhost") {
        return None;
    }
    let look = tokio::net::lookup_host((format!("fresco-doctor.{domain}"), 0));
    Some(match tokio::time::timeout(NAMES, look).await {
        Ok(found) => found.map(|addresses| addresses.map(|address| address.ip()).collect()),
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    })
}

pub(super) fn judge(config: &Config, facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    // Of Docker's machine it is asked, so Docker must be there, and here.
    if let (Ok(docker), Some(_)) = (&facts.docker, socket(config)) {
        let total = docker.memory_bytes;
        findings.push(memory(config, facts.machine.available.unwrap_or(total), total));
        findings.extend(facts.free_space.map(|free| disk(config, &docker.root, free)));
    }
    findings.extend(domain(config, facts));
    findings
}

fn memory(config: &Config, available: u64, total: u64) -> Finding {
    let reserved = u64::from(config.tenants.reserved_mb());
    let capacity = config.room.capacity(&config.tenants, total / MB, 0);
    let room = capacity.reserved_memory_mb.unwrap_or_default();
    let seen = format!(
        "{} of {} are free; all running tenants may reserve {} (TENANT_MEMORY): {} of them with {reserved} MB each",
        size(available),
        size(total),
        size(room.saturating_mul(MB)),
        room / reserved.max(1),
    );
    let level = match available / MB {
        _ if room < reserved => Level::Wrong,
        n if n < reserved => Level::Wrong,
        n if n < u64::from(config.tenants.memory_mb.default) => Level::Warning,
        _ => return Finding::ok("memory", seen),
    };
    Finding::new(level, "memory", seen).mend("ps -eo rss,pid,comm --sort=-rss | head")
}

/// The free space of Docker's folder, in bytes. This blocks for as long as the disk does.
pub(super) fn free_space(root: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(root).ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize))
}

fn disk(config: &Config, root: &Path, free: u64) -> Finding {
    let least = config.room.min_free_disk_mb.saturating_mul(MB);
    let seen = format!(
        "{} are free in {}, where Docker keeps all; with less than {} (MIN_FREE_DISK) no further tenant may run",
        size(free),
        root.display(),
        size(least),
    );
    let level = match free {
        n if n < least => Level::Wrong,
        n if n < GOOD_DISK => Level::Warning,
        _ => return Finding::ok("disk", seen),
    };
    // Never `docker system prune`: it removes stopped tenants.
    let prune = "docker builder prune --force && docker image prune --force";
    Finding::new(level, "disk", seen).mend(prune)
}

fn domain(config: &Config, facts: &Facts) -> Option<Finding> {
    let (domain, found) = (&config.base_domain, facts.names.as_ref()?);
    Some(match found {
        Ok(addresses) if !addresses.is_empty() => {
            let list: Vec<_> = addresses.iter().map(IpAddr::to_string).collect();
            Finding::ok("names", format!("*.{domain} leads to {}", list.join(", ")))
        }
        _ => Finding::warning(
            "names",
            format!("*.{domain} leads nowhere: people need a record `*.{domain}` in the DNS that leads to this machine"),
        )
        .mend(format!("getent hosts fresco-doctor.{domain}")),
    })
}

/// Bytes as people read them.
#[allow(clippy::cast_precision_loss, reason = "shown with one digit")]
fn size(bytes: u64) -> String {
    if bytes < GB {
        format!("{} MB", bytes / MB)
    } else {
        format!("{:.1} GB", bytes as f64 / GB as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Values;

    #[test]
    fn memory_is_read_from_the_kernels_words() {
        let table = "MemTotal:  8000000 kB\nMemFree: 1 kB\nMemAvailable:   4096 kB\n";
        assert_eq!(available(table), Some(4 * MB));
        assert_eq!(available("MemTotal: 1 kB"), None);
    }

    #[test]
    fn little_room_is_told_before_there_is_none() {
        let read = |settings: &[(&str, &str)]| {
            Config::read(&Values::new(settings.iter().copied())).unwrap()
        };
        let config = read(&[("FRESCO_APP", "generic")]);
        for (megabytes, level) in [(255, Level::Wrong), (256, Level::Warning), (512, Level::Ok)] {
            let finding = memory(&config, megabytes * MB, 4 * GB);
            assert_eq!(finding.level, level, "{}", finding.seen);
        }
        let seen = memory(&config, GB, 4 * GB).seen;
        assert!(seen.contains("reserve 2.0 GB (TENANT_MEMORY): 8 of them with 256 MB"), "{seen}");
        // An app reserves what it needs, and settings decide.
        let fresco = read(&[("TENANT_MEMORY", "1100"), ("MIN_FREE_DISK", "3072")]);
        assert!(memory(&fresco, GB, 4 * GB).seen.contains("2 of them with 512 MB"));
        let none = read(&[("TENANT_MEMORY", "511")]);
        assert_eq!(memory(&none, GB, 4 * GB).level, Level::Wrong);
        for (config, free, level) in [
            (&config, 2 * GB - 1, Level::Wrong),
            (&config, 2 * GB, Level::Warning),
            (&fresco, 2 * GB, Level::Wrong),
            (&config, 5 * GB, Level::Ok),
        ] {
            let finding = disk(config, Path::new("/var/lib/docker"), free);
            assert_eq!(finding.level, level, "{}", finding.seen);
            assert!(finding.mends.iter().all(|mend| !mend.contains("system prune")));
        }
    }

    #[test]
    fn sizes() {
        assert_eq!(size(300 * MB), "300 MB");
        assert_eq!(size(GB + GB / 2), "1.5 GB");
    }
}
