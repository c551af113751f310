//! How much one owner may have, and for how long a subdomain is kept for the owner it had.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::error::{Error, ErrorKind, Result};
use crate::ids::OwnerId;
use crate::subdomain::Subdomain;
use crate::tenant::Tenant;

/// How much one owner may have. What is `None` has no bound.
///
/// The store checks it in the write that accepts a creation, under one lock: of requests that come at
/// the same time, only as many are accepted as the owner may have.
///
/// ```
/// use std::time::Duration;
/// use fresco_core::Quota;
///
/// let mut quota = Quota::unlimited();
/// quota.tenants = Some(5);
/// quota.cooldown = Duration::from_secs(90 * 24 * 60 * 60);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Quota {
    /// Tenants of one owner; tombstones are not counted.
    pub tenants: Option<u64>,
    /// Creations that one owner may ask for within an hour, whatever became of them. What the
    /// platform itself asks for is counted, and not refused.
    pub creations_per_hour: Option<u64>,
    /// For how long others than its owner can't have the subdomain of a destroyed tenant that people
    /// could reach: links to it, and cookies of it, outlive it.
    pub cooldown: Duration,
}

impl Quota {
    /// The time in which creations are counted.
    pub const HOUR: Duration = Duration::from_secs(60 * 60);

    /// No bound at all.
    #[must_use]
    pub fn unlimited() -> Self {
        Self::default()
    }

    /// Whether an owner's tenants or creations are bounded.
    #[must_use]
    pub const fn is_bounded(&self) -> bool {
        self.tenants.is_some() || self.creations_per_hour.is_some()
    }

    /// Checks that an owner who has this many tenants may have one more.
    ///
    /// # Errors
    /// `Exhausted`, with the context `quota` = `tenants` and the bound as `most`.
    pub fn admit_tenant(&self, tenants: u64) -> Result<()> {
        match self.tenants {
            Some(most) if tenants >= most => {
                let words = "this owner has as many tenants as one may have";
                Err(refused(words, "tenants", most))
            }
            _ => Ok(()),
        }
    }

    /// Checks that an owner may ask for one more creation now. `recent` are the times of those within
    /// the last [`HOUR`](Self::HOUR), the oldest first.
    ///
    /// # Errors
    /// `Exhausted`, with the context `quota` = `creations`, the bound as `most`, and the seconds until
    /// one more is let in as `seconds`.
    pub fn admit_creation(&self, recent: &[DateTime<Utc>], now: DateTime<Utc>) -> Result<()> {
        let Some(most) = self.creations_per_hour else { return Ok(()) };
        let bound = usize::try_from(most).unwrap_or(usize::MAX);
        if recent.len() < bound {
            return Ok(());
        }
        // Room comes when so many are older than an hour that fewer than the bound are left.
        let first = recent.get(recent.len() - bound).copied().unwrap_or(now);
        let age = (now - first).to_std().unwrap_or_default();
        let wait = Self::HOUR.saturating_sub(age).as_secs().max(1);
        let words = "this owner has asked for as many creations as one may within an hour";
        Err(refused(words, "creations", most).with("seconds", wait))
    }

    /// Until when a subdomain is kept from this owner, if it is; `None` stands for somebody who owns
    /// nothing. `tenants` are those that have or had the subdomain.
    pub fn kept_until<'a>(
        &self,
        owner: Option<&OwnerId>,
        tenants: impl IntoIterator<Item = &'a Tenant>,
        now: DateTime<Utc>,
    ) -> Option<DateTime<Utc>> {
        // Nobody ever came to one that was never active.
        let reached = tenants.into_iter().filter(|tenant| tenant.state.first_active_at.is_some());
        let ended = reached.filter_map(|tenant| Some((tenant.state.destroyed_at?, tenant)));
        let (at, last) = ended.max_by_key(|(at, _)| *at)?;
        let until = at.checked_add_signed(TimeDelta::from_std(self.cooldown).ok()?)?;
        (until > now && owner != Some(&last.spec.owner)).then_some(until)
    }

    /// Checks that this owner may have a subdomain that nobody has now.
    ///
    /// # Errors
    /// `Conflict`, with the contexts `subdomain` and `kept_until`.
    pub fn admit_subdomain<'a>(
        &self,
        owner: &OwnerId,
        subdomain: &Subdomain,
        tombstones: impl IntoIterator<Item = &'a Tenant>,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let Some(until) = self.kept_until(Some(owner), tombstones, now) else { return Ok(()) };
        let words = "this subdomain was another owner's until lately, and is not free yet";
        Err(Error::new(ErrorKind::Conflict, words)
            .with("subdomain", subdomain)
            .with("kept_until", until.to_rfc3339()))
    }
}

fn refused(words: &'static str, what: &'static str, most: u64) -> Error {
    Error::new(ErrorKind::Exhausted, words).with("quota", what).with("most", most).permanent()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::AppProfile;
    use crate::ids::{Generation, TenantId};
    use crate::tenant::{TenantSpec, TenantState};

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::minutes(1000 + minutes)
    }

    fn tombstone(owner: &str, active: bool, minutes: i64) -> Tenant {
        let (name, image) = ("ants".parse().unwrap(), "app:1".parse().unwrap());
        let mut state = TenantState::pending();
        state.first_active_at = active.then(|| at(minutes - 1));
        state.destroyed_at = Some(at(minutes));
        Tenant {
            id: TenantId::new(),
            spec: TenantSpec::new(OwnerId::new(owner), name, AppProfile::generic(), image),
            state,
            generation: Generation::new(1),
            created_at: at(minutes - 2),
        }
    }

    #[test]
    fn creations_are_let_in_again_as_the_hour_goes_by() {
        let quota = Quota { creations_per_hour: Some(2), ..Quota::unlimited() };
        assert!(quota.admit_creation(&[at(0)], at(30)).is_ok());
        for recent in [&[at(0), at(20)][..], &[at(-5), at(0), at(20)]] {
            let error = quota.admit_creation(recent, at(30)).unwrap_err();
            assert_eq!(error.context("seconds"), Some("1800"), "{error:?}");
        }
        let none = Quota { creations_per_hour: Some(0), ..Quota::unlimited() };
        assert!(none.admit_creation(&[], at(0)).is_err());
    }

    #[test]
    fn a_subdomain_is_kept_for_whoever_had_it_last() {
        let quota = Quota { cooldown: Duration::from_secs(600), ..Quota::unlimited() };
        let (ada, bob) = (OwnerId::new("ada"), OwnerId::new("bob"));
        let kept = |owner: &OwnerId, all: &[Tenant], now| {
            quota.kept_until(Some(owner), all, at(now)).is_some()
        };
        let adas = [tombstone("ada", true, 0)];
        assert!(!kept(&ada, &adas, 1) && kept(&bob, &adas, 1) && kept(&bob, &adas, 9));
        assert!(!kept(&bob, &adas, 10), "until its time is over");
        assert_eq!(quota.kept_until(None, &adas, at(1)), Some(at(10)), "and from strangers");
        let both = [tombstone("bob", true, 5), tombstone("ada", true, 0)];
        assert!(kept(&ada, &both, 6) && !kept(&bob, &both, 6));
        let squatted = [tombstone("bob", false, 5), tombstone("ada", true, 0)];
        assert!(!kept(&ada, &squatted, 6), "one that never was active changes nothing");
        assert_eq!(Quota::unlimited().kept_until(Some(&bob), &adas, at(0)), None);
    }
}
