//! Gates before apps that give themselves to their first visitor: whether Traefik reaches them, and
//! learns of those that were opened.

use std::path::Path;

use fresco_docker::TraefikReport;
use rustix::fs::{Access, access};

use super::finding::Finding;
use super::listeners::Listeners;
use super::mend::{Mend, set};
use super::shell::{has_dev_stack, quote};
use super::traefik::start;
use crate::config::Config;
use crate::http::gate::near;

pub(super) fn judge(
    config: &Config,
    report: &TraefikReport,
    listeners: &Listeners,
) -> Vec<Finding> {
    let Some(folder) = &config.traefik.directory else {
        return if config.tenants.app.claim_path.is_some() {
            vec![not_set(config)]
        } else {
            vec![]
        };
    };
    let shown = folder.display();
    if !folder.is_dir() || access(folder, Access::WRITE_OK).is_err() {
        let seen = format!("{shown} is no folder that this user may write to");
        let make = format!("sudo install -d -o \"$(id -un)\" {}", quote(&folder.to_string_lossy()));
        return vec![Finding::wrong("gate", seen).mend(make)];
    }
    if !report.providers.iter().any(|provider| provider == "File") {
        let seen = format!("it takes no routes from files, so not from {shown} either");
        return vec![Finding::wrong("gate", seen).mend(start(config))];
    }
    sample(config, folder, report, listeners).into_iter().collect()
}

fn not_set(config: &Config) -> Finding {
    let seen = "TRAEFIK_DIRECTORY is not set: while the server is away, nobody reaches apps whose gate was opened";
    let here = std::env::current_dir().ok().filter(|_| !config.is_production() && has_dev_stack());
    let mend: Mend = match here {
        Some(here) => set("TRAEFIK_DIRECTORY", here.join("target/dev/traefik-dev").display()),
        None => set("TRAEFIK_DIRECTORY", "/etc/traefik/fresco"),
    };
    Finding::warning("gate", seen).mend(mend)
}

/// What became of the request for the gate that is always closed; `None` when Traefik takes no
/// requests, which was said already.
fn sample(
    config: &Config,
    folder: &Path,
    report: &TraefikReport,
    listeners: &Listeners,
) -> Option<Finding> {
    let (address, shown) = (near(config.listen), folder.display());
    Some(match *report.gate.as_ref().ok()? {
        403 => {
            let seen = format!("it reads {shown}, and reaches the gate at {address}");
            Finding::ok("gate", seen)
        }
        404 if !has_sample(folder) => Finding::ok(
            "gate",
            format!("it takes routes from files; no server has written to {shown} yet"),
        ),
        404 => {
            let seen = format!("it takes routes from files, but from none in {shown}");
            Finding::wrong("gate", seen).mend(start(config))
        }
        500.. if listeners.at(address).is_none() => {
            let seen =
                format!("it reads {shown}; gates are closed, since no server runs at {address}");
            Finding::ok("gate", seen)
        }
        500.. => {
            let seen = format!(
                "it does not reach the gate at {address}, so nobody comes in to set an app up: it must be on this machine, and on the host's network"
            );
            Finding::wrong("gate", seen).mend(start(config))
        }
        status => {
            let seen = format!(
                "a request for the gate that is always closed gets {status} instead of 403"
            );
            Finding::warning("gate", seen)
        }
    })
}

/// Whether a server has written its sample there.
fn has_sample(folder: &Path) -> bool {
    let files = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    files
        .filter_map(|file| file.file_name().into_string().ok())
        .any(|name| name.ends_with("-gate.yml"))
}
