//! The image that new tenants run.

use fresco_core::{Error, ErrorKind};
use fresco_docker::ImageReport;

use super::Facts;
use super::finding::{Finding, cause};
use super::mend::set;
use super::shell::quote;
use crate::config::Config;

pub(super) fn judge(config: &Config, facts: &Facts) -> Vec<Finding> {
    let Ok(docker) = &facts.docker else { return Vec::new() };
    let name = &config.tenants.image;
    vec![match &docker.image {
        ImageReport::Present(id) => {
            Finding::ok("image", format!("{name} is here ({})", short(id.as_str())))
        }
        ImageReport::Offered => Finding::ok(
            "image",
            format!("{name} is not here yet; its registry has it, and the first tenant fetches it"),
        ),
        ImageReport::Missing(error) => missing(config, error),
        _ => Finding::warning("image", format!("{name} could not be looked at")),
    }]
}

fn missing(config: &Config, error: &Error) -> Finding {
    let name = &config.tenants.image;
    let why = match error.kind() {
        ErrorKind::NotFound => "its registry does not have it, or shows it to nobody".to_owned(),
        ErrorKind::TimedOut => "its registry did not answer within 5 s".to_owned(),
        _ => cause(error),
    };
    let finding =
        Finding::wrong("image", format!("{name} is not here, and can't be fetched: {why}"));
    let fetch = finding.mend(format!("docker pull {}", quote(name.as_str())));
    if config.is_production() {
        return fetch;
    }
    // A small app that stands in for the real one where no registry answers.
    fetch.mend("dev/images/build tenant-app").mend(set("FRESCO_IMAGE", "fresco-dev/tenant-app:1"))
}

fn short(id: &str) -> &str {
    let digits = id.strip_prefix("sha256:").unwrap_or(id);
    digits.get(..12).unwrap_or(digits)
}
