//! What an orchestrator can be told about time, work and policy.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::capacity::Capacity;
use crate::error::{Error, ErrorKind, Result};
use crate::instance::Guarantee;
use crate::quota::Quota;
use crate::subdomain::Hostname;

/// The longest time that can be set; far enough, and no moment overflows when it is added.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// The most workers of one program.
const MOST_WORKERS: usize = 1000;

/// Settings of an orchestrator. The defaults suit one machine in production.
///
/// No time may be longer than 365 days. Zero is allowed for `lease_margin`, `undo_budget` and
/// `shutdown_grace` alone.
///
/// # Long calls and the lease
/// A worker acts on a tenant only while it holds the lease on it. A call to a backend may take
/// longer than a lease lasts: fetching an image takes minutes. The lease is renewed meanwhile, and
/// when it can't be, the call is dropped [`lease_margin`](Self::lease_margin) before the lease's
/// end and nothing more is begun. So no time limit of a call needs to be shorter than
/// [`lease_ttl`](Self::lease_ttl), and a program that died is still noticed after `lease_ttl`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// The domain below which each tenant's subdomain stands.
    pub base_domain: Hostname,
    /// Operations that this program works on at the same time, 1 to 1000.
    pub workers: usize,
    /// How long a lease lasts without being renewed: the time after which the work of a program
    /// that died is taken over. It bounds no call; see [long calls](Self#long-calls-and-the-lease).
    pub lease_ttl: Duration,
    /// How long before the end of its lease a worker that could not renew it stops, whatever call
    /// it is in. Shorter than `lease_ttl`.
    pub lease_margin: Duration,
    /// How long an operation may take.
    pub operation_budget: Duration,
    /// How long one call to a backend may take. One that ends an app has the app's own time to end
    /// on top.
    pub call_deadline: Duration,
    /// How long fetching an image may take; the lease is renewed meanwhile.
    pub image_deadline: Duration,
    /// How long removing a tenant's data may take; the lease is renewed meanwhile.
    pub removal_deadline: Duration,
    /// How long a route may take to become live, and to go.
    pub route_deadline: Duration,
    /// How often a thing that is waited for is looked at.
    pub poll_interval: Duration,
    /// The pause before a failed step is tried again; it doubles with each try.
    pub retry_min: Duration,
    /// The longest such pause.
    pub retry_max: Duration,
    /// How long taking back is tried before the operation is called stuck.
    pub undo_budget: Duration,
    /// How long a stuck operation rests before it is tried again.
    pub stuck_retry: Duration,
    /// How often the store is asked for work that another program accepted.
    pub work_interval: Duration,
    /// How often everything is compared with the store; `None` leaves it to calls of
    /// [`Orchestrator::reconcile`](crate::Orchestrator::reconcile).
    pub reconcile_interval: Option<Duration>,
    /// How often it is looked at what tenants do to the database that they share, where the database
    /// can be watched; `None`: never.
    pub watch_interval: Option<Duration>,
    /// How long work in progress is waited for at shutdown before it is handed back.
    pub shutdown_grace: Duration,
    /// After how many deaths of its workers an operation is given up.
    pub max_deaths: u32,
    /// How much all tenants may take together. Default: no bound.
    pub capacity: Capacity,
    /// How much one owner may have. Default: no bound.
    pub quota: Quota,
    /// The free disk space below which no tenant is accepted to run, in MB; looked at where a
    /// backend can tell it.
    pub min_free_disk_mb: u64,
    /// Guarantees that a runtime may lack. In production: none.
    pub allow_unenforced: BTreeSet<Guarantee>,
}

impl Settings {
    /// The defaults, for this base domain.
    #[must_use]
    pub fn new(base_domain: Hostname) -> Self {
        Self {
            base_domain,
            workers: 4,
            lease_ttl: Duration::from_secs(30),
            lease_margin: Duration::from_secs(5),
            operation_budget: Duration::from_secs(15 * 60),
            call_deadline: Duration::from_secs(20),
            image_deadline: Duration::from_secs(10 * 60),
            removal_deadline: Duration::from_secs(120),
            route_deadline: Duration::from_secs(60),
            poll_interval: Duration::from_millis(250),
            retry_min: Duration::from_millis(250),
            retry_max: Duration::from_secs(10),
            undo_budget: Duration::from_secs(60),
            stuck_retry: Duration::from_secs(30),
            work_interval: Duration::from_secs(1),
            reconcile_interval: Some(Duration::from_secs(30)),
            watch_interval: Some(Duration::from_secs(2)),
            shutdown_grace: Duration::from_secs(10),
            max_deaths: 20,
            capacity: Capacity::unlimited(),
            quota: Quota::unlimited(),
            min_free_disk_mb: 2048,
            allow_unenforced: BTreeSet::new(),
        }
    }

    /// Checks all settings, each by itself and where they depend on each other.
    ///
    /// # Errors
    /// `Invalid`, naming every one that can't be and what it may be.
    pub(crate) fn validate(&self) -> Result<()> {
        let moment = Duration::from_millis(1);
        let mut wrong = Vec::new();
        if !(1..=MOST_WORKERS).contains(&self.workers) {
            wrong.push(format!("workers must be 1 to {MOST_WORKERS}"));
        }
        for (name, least, time) in [
            ("lease_ttl", moment, self.lease_ttl),
            ("lease_margin", Duration::ZERO, self.lease_margin),
            ("operation_budget", moment, self.operation_budget),
            ("call_deadline", moment, self.call_deadline),
            ("image_deadline", moment, self.image_deadline),
            ("removal_deadline", moment, self.removal_deadline),
            ("route_deadline", moment, self.route_deadline),
            ("poll_interval", moment, self.poll_interval),
            ("retry_min", moment, self.retry_min),
            ("retry_max", moment, self.retry_max),
            ("undo_budget", Duration::ZERO, self.undo_budget),
            ("stuck_retry", moment, self.stuck_retry),
            ("work_interval", moment, self.work_interval),
            ("reconcile_interval", moment, self.reconcile_interval.unwrap_or(moment)),
            ("watch_interval", moment, self.watch_interval.unwrap_or(moment)),
            ("shutdown_grace", Duration::ZERO, self.shutdown_grace),
        ] {
            if !(least..=LONGEST).contains(&time) {
                wrong.push(format!("{name} must be {} ms to 365 days", least.as_millis()));
            }
        }
        if self.lease_margin >= self.lease_ttl {
            wrong.push("lease_margin must be shorter than lease_ttl".to_owned());
        }
        if self.retry_min > self.retry_max {
            wrong.push("retry_min must not be longer than retry_max".to_owned());
        }
        if wrong.is_empty() {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Invalid, format!("settings that can't be: {}", wrong.join("; "))))
    }
}
