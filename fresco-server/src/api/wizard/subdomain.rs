//! Which subdomains can be had.

use chrono::{DateTime, Utc};
use fresco_core::{
    Orchestrator, OwnerId, Subdomain, SubdomainError, Tenant, TenantId, TenantQuery, TenantStatus,
};

use super::shapes::{Reason, SubdomainAnswer};
use crate::api::choice;
use crate::http::caller::MaybeCaller;
use crate::http::problem::Problem;

/// Characters of a text that is looked at.
const LONGEST: usize = 256;
/// The newest tenants of a name that are looked at; only one of them can live.
const TOMBSTONES: u64 = 50;
/// Suggestions at most.
const SUGGESTIONS: usize = 5;
/// Characters of a text that a suggestion keeps: what is added to them fits.
const KEPT: usize = 48;

/// Whether this can be had, why not, and what can. What nobody can have typed as a name is refused.
pub(super) async fn check(
    orchestrator: &Orchestrator,
    owner: Option<&OwnerId>,
    text: String,
) -> Result<SubdomainAnswer, Problem> {
    if text.chars().count() > LONGEST {
        choice::subdomain(&text)?;
    }
    let (reason, available_from) = match text.parse::<Subdomain>() {
        Ok(name) => match look(orchestrator, owner, &name).await? {
            State::Free => {
                return Ok(SubdomainAnswer {
                    subdomain: text,
                    available: true,
                    reason: None,
                    available_from: None,
                    suggestions: Vec::new(),
                });
            }
            State::Held(_) => (Reason::Taken, None),
            State::Kept(until) => (Reason::Cooldown, Some(until)),
        },
        Err(SubdomainError::Reserved) => (Reason::Reserved, None),
        Err(_) => (Reason::Invalid, None),
    };
    let mut suggestions = Vec::new();
    for name in candidates(&text) {
        if suggestions.len() == SUGGESTIONS {
            break;
        }
        if matches!(look(orchestrator, owner, &name).await?, State::Free) {
            suggestions.push(name.into());
        }
    }
    Ok(SubdomainAnswer {
        subdomain: text,
        available: false,
        reason: Some(reason),
        available_from,
        suggestions,
    })
}

/// Refuses a name that another tenant than this one has.
pub(super) async fn untaken(
    orchestrator: &Orchestrator,
    name: &Subdomain,
    own: TenantId,
) -> Result<(), Problem> {
    match look(orchestrator, None, name).await? {
        State::Held(tenant) if tenant != own => Err(Problem::subdomain_taken()),
        _ => Ok(()),
    }
}

/// Refuses such a name, and one that is kept for another than this owner.
pub(super) async fn free(
    orchestrator: &Orchestrator,
    owner: Option<&OwnerId>,
    name: &Subdomain,
    own: TenantId,
) -> Result<(), Problem> {
    match look(orchestrator, owner, name).await? {
        State::Held(tenant) if tenant != own => Err(Problem::subdomain_taken()),
        State::Kept(_) => Err(Problem::subdomain_kept()),
        _ => Ok(()),
    }
}

/// Who asks, as an owner of tenants.
pub(super) fn owner(caller: &MaybeCaller) -> Option<OwnerId> {
    caller.session.as_ref().map(|session| session.user.owner())
}

/// What is known of a name now. What holds in the end, the store decides.
enum State {
    Free,
    /// This tenant has it.
    Held(TenantId),
    /// Another owner had it until lately; until this time it is kept.
    Kept(DateTime<Utc>),
}

async fn look(
    orchestrator: &Orchestrator,
    owner: Option<&OwnerId>,
    name: &Subdomain,
) -> Result<State, Problem> {
    let quota = orchestrator.settings().quota;
    let mut query = TenantQuery::all();
    query.subdomain = Some(name.clone());
    (query.destroyed, query.limit) = (!quota.cooldown.is_zero(), TOMBSTONES);
    let page = orchestrator.tenants(&query).await?;
    let lives = |tenant: &&Tenant| tenant.state.status != TenantStatus::Destroyed;
    if let Some(tenant) = page.tenants.iter().find(lives) {
        return Ok(State::Held(tenant.id));
    }
    let until = quota.kept_until(owner, &page.tenants, page.at);
    Ok(until.map_or(State::Free, State::Kept))
}

/// Subdomains that look like this text, the nearest first. The last ones are hardly ever taken.
fn candidates(text: &str) -> Vec<Subdomain> {
    let mut base = String::new();
    for letter in text.chars().take(4 * KEPT).flat_map(char::to_lowercase) {
        if letter.is_ascii_alphanumeric() {
            base.push(letter);
        } else if letter.is_ascii() && !base.ends_with('-') {
            base.push('-');
        }
    }
    let base: String = base.trim_matches('-').chars().take(KEPT).collect();
    let base = base.trim_end_matches('-');
    if base.is_empty() {
        return Vec::new();
    }
    let mut names = vec![base.to_owned()];
    names.extend(["study", "lab", "project", "team", "2", "3"].map(|end| format!("{base}-{end}")));
    names.extend(["my", "the"].map(|start| format!("{start}-{base}")));
    names.extend((0..3).map(|_| format!("{base}-x{}", rand::random_range(1000..10_000))));
    // What was typed itself is among them only when it could be had.
    names.iter().filter(|name| *name != text).filter_map(|name| name.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        candidates(text).into_iter().map(String::from).collect()
    }

    #[test]
    fn suggestions_look_like_what_was_typed() {
        assert_eq!(names("My Study!")[..2], ["my-study", "my-study-study"]);
        assert_eq!(names("WWW")[0], "www-study");
        assert_eq!(names("a")[0], "a-study");
        assert_eq!(names("1234")[0], "1234-study");
        assert_eq!(names("x_y")[0], "x-y");
        assert_eq!(names("-x")[0], "x-study");
        assert_eq!(names("x`) || Host(`y")[0], "x-host-y");
        assert_eq!(names("taken")[0], "taken-study");
    }

    #[test]
    fn there_is_always_something_when_a_letter_was_typed() {
        let long = "a".repeat(100_000);
        let edge = format!("{}-b", "a".repeat(KEPT - 1));
        for text in ["7", "ä1", "a--b", "www", long.as_str(), edge.as_str()] {
            assert!(names(text).len() > SUGGESTIONS, "{text}: {:?}", names(text));
        }
        for text in ["", "---", "ß", "!!!"] {
            assert!(names(text).is_empty(), "{text}");
        }
    }
}
