//! What the API answers, as far as pages show it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer};
use uuid::Uuid;

use crate::web::words;

/// A tenant, which pages call an instance.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Tenant {
    pub(super) id: Uuid,
    pub(super) subdomain: String,
    pub(super) url: String,
    pub(super) status: String,
    pub(super) desired_state: String,
    pub(super) image: String,
    pub(super) isolation: String,
    pub(super) limits: Limits,
    pub(super) created_at: DateTime<Utc>,
    pub(super) last_deployed_at: Option<DateTime<Utc>>,
    pub(super) error: Option<Failure>,
    pub(super) expires_at: Option<DateTime<Utc>>,
    /// Whether its app waits for its owner.
    pub(super) unclaimed: bool,
    /// What is being done with it.
    pub(super) operation: Option<UnderWay>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct UnderWay {
    pub(super) id: Uuid,
    action: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Limits {
    pub(super) memory_mb: u32,
    pub(super) cpus: f64,
    pub(super) pids: u32,
}

impl Limits {
    /// The share of the processor, for people.
    pub(super) fn cores(&self) -> String {
        let one = (self.cpus - 1.0).abs() < f64::EPSILON;
        format!("{} processor {}", self.cpus, if one { "core" } else { "cores" })
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Failure {
    #[serde(deserialize_with = "plain")]
    pub(super) message: String,
    pub(super) log_tail: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Operation {
    pub(super) id: Uuid,
    pub(super) tenant_id: Uuid,
    pub(super) action: String,
    pub(super) status: String,
    pub(super) steps: Vec<Step>,
    pub(super) error: Option<Failure>,
    pub(super) created_at: DateTime<Utc>,
    pub(super) finished_at: Option<DateTime<Utc>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Step {
    pub(super) name: String,
    #[serde(default)]
    pub(super) undo: bool,
    pub(super) status: String,
    pub(super) started_at: Option<DateTime<Utc>>,
    pub(super) finished_at: Option<DateTime<Utc>>,
    pub(super) detail: Option<String>,
}

/// How to become the owner of an app, as long as nobody else may reach it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Claim {
    pub(super) url: String,
    pub(super) until: Option<DateTime<Utc>>,
    pub(super) entered_at: Option<DateTime<Utc>>,
}

impl Claim {
    /// Whether the time is over in which the app is to be set up.
    pub(super) fn is_late(&self) -> bool {
        self.entered_at.is_none() && self.until.is_some_and(|until| until <= Utc::now())
    }
}

/// A text in the words of the pages.
fn plain<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    Ok(words::plain(&String::deserialize(from)?))
}

impl Tenant {
    /// Whether something is being done with it, so that its buttons wait.
    pub(super) fn is_busy(&self) -> bool {
        matches!(self.status.as_str(), "pending" | "provisioning" | "destroying")
            || self.is_starting()
            || self.is_stopping()
            || self.operation.is_some()
    }

    fn is_starting(&self) -> bool {
        self.status == "stopped" && self.desired_state == "running"
    }

    fn is_stopping(&self) -> bool {
        self.status == "active" && self.desired_state == "stopped"
    }

    /// Whether it is there no more, or soon won't be.
    pub(super) fn is_leaving(&self) -> bool {
        matches!(self.status.as_str(), "destroying" | "destroyed")
    }

    /// How it stands, for people.
    pub(super) fn standing(&self) -> &'static str {
        match (self.status.as_str(), &self.operation) {
            // It stands so only until that is done.
            ("active" | "stopped" | "error", Some(now)) => called(&ACTIONS, &now.action),
            _ => self.rests(),
        }
    }

    /// The same while nothing is done with it, or what is done is not known yet.
    fn rests(&self) -> &'static str {
        match self.status.as_str() {
            "pending" => "Waiting",
            "provisioning" => "Being set up",
            "active" if self.is_stopping() => "Stopping",
            // It runs, and lets nobody but its owner in.
            "active" if self.unclaimed => "To be set up",
            "active" => "Running",
            "stopped" if self.is_starting() => "Starting",
            "stopped" => "Stopped",
            "error" => "Needs attention",
            "destroying" => "Being removed",
            _ => "Removed",
        }
    }

    /// The same, as the style knows it.
    pub(super) fn badge(&self) -> &str {
        match self.status.as_str() {
            _ if self.is_busy() => "busy",
            "active" if self.unclaimed => "warn",
            status => status,
        }
    }

    /// Its address without what everybody knows, for people.
    pub(super) fn host(&self) -> &str {
        let address = self.url.split_once("://").map_or(self.url.as_str(), |(_, rest)| rest);
        address.trim_end_matches('/')
    }
}

/// How an instance that somebody looks for may stand, as the API and as people call it.
pub(super) const STATUSES: [(&str, &str); 7] = [
    ("active", "Running"),
    ("stopped", "Stopped"),
    ("error", "Needs attention"),
    ("pending", "Waiting"),
    ("provisioning", "Being set up"),
    ("destroying", "Being removed"),
    ("destroyed", "Removed"),
];

/// What can be done with an instance, as the API and as people call it.
pub(super) const ACTIONS: [(&str, &str); 6] = [
    ("create", "Setting up"),
    ("start", "Starting"),
    ("stop", "Stopping"),
    ("restart", "Restarting"),
    ("update", "Updating"),
    ("destroy", "Removing"),
];

/// How that can stand.
pub(super) const STANDINGS: [(&str, &str); 5] = [
    ("initiated", "Waiting"),
    ("in_progress", "Under way"),
    ("success", "Done"),
    ("failed", "Failed"),
    ("stuck", "Stuck; it is tried again"),
];

fn called(words: &[(&str, &'static str)], word: &str) -> &'static str {
    words.iter().find(|(known, _)| *known == word).map_or("Something new", |(_, words)| words)
}

impl Operation {
    pub(super) fn is_open(&self) -> bool {
        matches!(self.status.as_str(), "initiated" | "in_progress" | "stuck")
    }

    /// What it does, for people.
    pub(super) fn title(&self) -> &'static str {
        called(&ACTIONS, &self.action)
    }

    /// Whether it takes back what it had made.
    pub(super) fn takes_back(&self) -> bool {
        self.steps.iter().any(|step| step.undo)
    }

    /// How long it took from when it was asked for.
    pub(super) fn seconds(&self) -> Option<String> {
        let took = self.finished_at? - self.created_at;
        Some(words::took(took))
    }

    /// How it stands, for people.
    pub(super) fn standing(&self) -> &'static str {
        called(&STANDINGS, &self.status)
    }
}

impl Step {
    /// What it does, for people.
    pub(super) fn title(&self) -> &'static str {
        match (self.name.as_str(), self.undo) {
            ("image", _) => "Fetch the app",
            ("database", false) => "Make its database",
            ("database" | "remove_database", _) => "Remove its database",
            ("container", false) => "Prepare the app",
            ("container" | "remove_container", _) => "Remove the app",
            ("start", _) => "Start the app",
            ("ready", _) => "Wait until the app answers",
            ("route", false) => "Open its address",
            ("route" | "withdraw", _) => "Close its address",
            ("active", _) => "Everything is ready",
            ("stop", _) => "Stop the app",
            _ => "Finish",
        }
    }

    /// How long it took.
    pub(super) fn seconds(&self) -> Option<String> {
        let took = self.finished_at? - self.started_at?;
        Some(words::took(took))
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn an_app_locks_itself_after_a_time() {
        let claim = |until| Claim { url: String::new(), until, entered_at: None };
        let at = |seconds| Some(Utc::now() + TimeDelta::seconds(seconds));
        assert!(claim(at(-1)).is_late());
        assert!(!claim(at(60)).is_late() && !claim(None).is_late());
    }
}
