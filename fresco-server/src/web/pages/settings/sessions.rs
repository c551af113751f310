//! Where somebody is signed in.

use askama::Template;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::web::Pages;
use crate::web::layout::Page;
use crate::web::visit::{Outcome, Visit, go, show};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Session {
    id: Uuid,
    current: bool,
    created_at: DateTime<Utc>,
    last_seen_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    address: Option<String>,
    user_agent: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Listed {
    sessions: Vec<Session>,
}

#[derive(Template)]
#[template(path = "settings_sessions.html")]
struct Sessions {
    page: Page,
    sessions: Vec<Session>,
}

impl Session {
    fn device(&self) -> String {
        device(self.user_agent.as_deref().unwrap_or_default())
    }
}

pub(super) fn add(pages: Pages) -> Pages {
    pages
        .page("/settings/sessions", sessions)
        .form("/settings/sessions/others/revoke", "/settings/sessions", revoke_others)
        .form("/settings/sessions/{id}/revoke", "/settings/sessions", revoke)
}

async fn sessions(visit: Visit) -> Outcome {
    visit.signed_in()?;
    let Listed { mut sessions } = visit.call("auth.listSessions", json!({})).await?;
    // This one first, and the others as they were last used.
    sessions.sort_by_key(|session| !session.current);
    show(&Sessions { page: visit.page("Where you are signed in"), sessions })
}

async fn revoke(visit: Visit) -> Outcome {
    visit.signed_in()?;
    let body = json!({"sessionId": visit.part("id")});
    match visit.call::<Value>("auth.revokeSession", body).await {
        // One that has ended meanwhile is what was wanted.
        Err(refusal) if refusal.code != "not_found" => Err(refusal.into()),
        _ => go("/settings/sessions?done=session_revoked"),
    }
}

async fn revoke_others(visit: Visit) -> Outcome {
    visit.signed_in()?;
    visit.call::<Value>("auth.revokeOtherSessions", json!({})).await?;
    go("/settings/sessions?done=sessions_revoked")
}

/// A browser and its system, by what it says of itself. Browsers say that they are all those before
/// them, so the order matters.
fn device(agent: &str) -> String {
    const BROWSERS: [(&str, &str); 6] = [
        ("Edg", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("FxiOS/", "Firefox"),
        ("Chrom", "Chrome"),
        ("Safari/", "Safari"),
    ];
    const SYSTEMS: [(&str, &str); 7] = [
        ("iPhone", "an iPhone"),
        ("iPad", "an iPad"),
        ("Android", "Android"),
        ("Windows", "Windows"),
        ("Mac OS X", "a Mac"),
        ("CrOS", "a Chromebook"),
        ("Linux", "Linux"),
    ];
    let find = |known: &[(&str, &'static str)]| {
        known.iter().find(|(mark, _)| agent.contains(mark)).map(|(_, name)| *name)
    };
    match (find(&BROWSERS), find(&SYSTEMS)) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(one), None) => one.to_owned(),
        (None, Some(system)) => format!("A program on {system}"),
        (None, None) if agent.is_empty() => "A program".to_owned(),
        (None, None) => {
            let name: String = agent.chars().take(40).collect();
            format!("A program: {name}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::device;

    #[test]
    fn browsers_are_called_by_their_names() {
        for (agent, name) in [
            (
                "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
                "Firefox on Linux",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0 Safari/537.36 Edg/139.0",
                "Edge on Windows",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1",
                "Safari on an iPhone",
            ),
            (
                "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0 Mobile Safari/537.36",
                "Chrome on Android",
            ),
            ("curl/8.14", "A program: curl/8.14"),
            ("", "A program"),
        ] {
            assert_eq!(device(agent), name, "{agent}");
        }
    }
}
