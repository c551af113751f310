//! Whether the platform works, in words.

use askama::Template;
use chrono::{DateTime, Utc};
use serde::Deserialize;

use crate::web::Pages;
use crate::web::layout::Page;
use crate::web::visit::{Outcome, Visit, show};
use crate::web::words;

/// What `/health` tells.
#[derive(Debug, Deserialize)]
struct Report {
    parts: Vec<Part>,
}

#[derive(Debug, Deserialize)]
struct Part {
    name: String,
    healthy: bool,
}

/// What people do with the platform, and the parts that it takes.
struct Service {
    name: &'static str,
    what: &'static str,
    /// What it means for them when one of the parts can't be used.
    trouble: &'static str,
    parts: &'static [&'static str],
}

/// In the order in which people need them. Every part of `/health` is in one of them.
const SERVICES: [Service; 5] = [
    Service {
        name: "Accounts",
        what: "Signing up and in",
        trouble: "You may not be able to sign in, or may be signed out. Your instances are not touched.",
        parts: &["accounts", "store"],
    },
    Service {
        name: "Instances",
        what: "The apps themselves",
        trouble: "Instances can't be set up, started or stopped. Those that run most likely go on.",
        parts: &["docker"],
    },
    Service {
        name: "Addresses",
        what: "How browsers reach an instance",
        trouble: "Instances may not answer at their addresses, though they run.",
        parts: &["traefik"],
    },
    Service {
        name: "Study data",
        what: "The databases of the instances",
        trouble: "Instances can't read or save data, and may show errors. What was saved is not lost by this.",
        parts: &["tenantDatabase"],
    },
    Service {
        name: "Setting up",
        what: "New instances, and changes to yours",
        trouble: "What you ask for is kept, and done as soon as this works again. New instances may have to wait.",
        parts: &["work", "isolation"],
    },
];

/// A service as it is now.
struct Standing {
    name: &'static str,
    what: &'static str,
    /// What it means when it does not work.
    trouble: Option<&'static str>,
}

#[derive(Template)]
#[template(path = "status.html")]
struct Status {
    page: Page,
    services: Vec<Standing>,
    all_well: bool,
    at: DateTime<Utc>,
}

impl Status {
    fn at_text(&self) -> String {
        words::time(&self.at)
    }
}

pub(super) fn add(pages: Pages) -> Pages {
    pages.page("/status", status)
}

async fn status(visit: Visit) -> Outcome {
    let report: Report = visit.health().await?;
    let services = standing(&report);
    let all_well = report.parts.iter().all(|part| part.healthy);
    show(&Status { page: visit.page("System status"), services, all_well, at: Utc::now() })
}

fn standing(report: &Report) -> Vec<Standing> {
    let fails = |name: &&str| report.parts.iter().any(|part| part.name == *name && !part.healthy);
    SERVICES
        .iter()
        .map(|service| {
            let Service { name, what, trouble, parts } = service;
            Standing { name, what, trouble: parts.iter().any(fails).then_some(*trouble) }
        })
        .collect()
}
