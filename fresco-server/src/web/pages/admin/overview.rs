//! What somebody should look at, and how full the platform is.

use askama::Template;
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use crate::web::Pages;
use crate::web::client::Refusal;
use crate::web::layout::Page;
use crate::web::visit::{Outcome, Visit, show};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Alert {
    kind: String,
    message: String,
    part: Option<String>,
    tenant_id: Option<Uuid>,
    subdomain: Option<String>,
}

impl Alert {
    fn title(&self) -> String {
        let instance = self.subdomain.as_deref().unwrap_or("An instance");
        match (self.kind.as_str(), &self.part) {
            ("part_unhealthy", Some(part)) => format!("Out of order: {}", called(part)),
            ("part_unhealthy", None) => "A part is out of order".to_owned(),
            ("tenant_failed", _) => format!("{instance} is in error"),
            ("tenant_barred", _) => format!("{instance} is kept out of its database"),
            ("operation_stuck", _) => format!("{instance}: work is stuck, and tried again"),
            (other, _) => other.replace('_', " "),
        }
    }
}

/// A part of the platform, for people.
fn called(part: &str) -> &str {
    match part {
        "store" => "the platform's database",
        "accounts" => "the database of accounts",
        "docker" => "Docker",
        "tenantDatabase" => "the database of the instances",
        "traefik" => "Traefik",
        "work" => "the work on instances",
        "isolation" => "what keeps instances apart",
        other => other,
    }
}

#[derive(Debug, Deserialize)]
struct Alerts {
    alerts: Vec<Alert>,
    truncated: bool,
}

#[derive(Debug, Deserialize)]
struct Share {
    taken: u64,
    most: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Counts {
    pending: u64,
    provisioning: u64,
    active: u64,
    stopped: u64,
    error: u64,
    destroying: u64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Capacity {
    room_for: Option<u64>,
    running: u64,
    reserved_memory_mb: Share,
    memory_limits_mb: Share,
    connections: Share,
    free_disk_mb: Option<u64>,
    min_free_disk_mb: u64,
    tenants: Counts,
}

/// A share in words, with how full it is.
struct Meter {
    name: &'static str,
    words: String,
    hint: &'static str,
    taken: u64,
    most: Option<u64>,
}

impl Meter {
    fn is_full(&self) -> bool {
        self.most.is_some_and(|most| self.taken * 10 >= most * 9)
    }
}

impl Capacity {
    fn meters(&self) -> [Meter; 3] {
        let of = |share: &Share, shown: fn(u64) -> String| match share.most {
            Some(most) => format!("{} of {}", shown(share.taken), shown(most)),
            None => format!("{}, without a bound", shown(share.taken)),
        };
        let meter = |name, hint, share: &Share, shown| Meter {
            name,
            hint,
            words: of(share, shown),
            taken: share.taken,
            most: share.most,
        };
        [
            meter(
                "Memory kept",
                "What each running instance has for sure.",
                &self.reserved_memory_mb,
                memory,
            ),
            meter(
                "Memory limits",
                "What they may use at most, if all did so at once.",
                &self.memory_limits_mb,
                memory,
            ),
            meter(
                "Database connections",
                "What they may open at most.",
                &self.connections,
                |number| number.to_string(),
            ),
        ]
    }

    /// Instances that something is being done with.
    const fn busy(&self) -> u64 {
        self.tenants.pending + self.tenants.provisioning + self.tenants.destroying
    }

    const fn all(&self) -> u64 {
        self.busy() + self.tenants.active + self.tenants.stopped + self.tenants.error
    }

    fn free_disk(&self) -> Option<String> {
        self.free_disk_mb.map(memory)
    }

    fn min_free_disk(&self) -> String {
        memory(self.min_free_disk_mb)
    }

    fn is_short_of_disk(&self) -> bool {
        self.free_disk_mb.is_some_and(|free| free < self.min_free_disk_mb)
    }
}

/// Memory or disk space as people read it.
fn memory(mb: u64) -> String {
    if mb < 1024 { format!("{mb} MB") } else { format!("{:.1} GB", mb as f64 / 1024.0) }
}

#[derive(Debug, Deserialize)]
struct Total {
    total: u64,
}

#[derive(Template)]
#[template(path = "admin_overview.html")]
struct Overview {
    page: Page,
    alerts: Alerts,
    capacity: Result<Capacity, Refusal>,
    people: u64,
}

pub(super) fn add(pages: Pages) -> Pages {
    pages.page("/admin", overview)
}

async fn overview(visit: Visit) -> Outcome {
    visit.signed_in()?;
    let alerts = visit.call("admin.alerts", json!({})).await?;
    // Just when a part is out of order, the rest is worth seeing.
    let capacity = visit.call("admin.capacity", json!({})).await;
    let Total { total: people } = visit.call("admin.users", json!({"limit": 1})).await?;
    show(&Overview { page: visit.page("The platform"), alerts, capacity, people })
}
