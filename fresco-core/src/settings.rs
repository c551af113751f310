//! What an orchestrator can be told about time, work and policy.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::instance::Guarantee;
use crate::subdomain::Hostname;

/// Settings of an orchestrator. The defaults suit one machine in production.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// The domain below which each tenant's subdomain stands.
    pub base_domain: Hostname,
    /// Operations that this program works on at the same time.
    pub workers: usize,
    /// How long a lease lasts without being renewed: the time after which the work of a program
    /// that died is taken over.
    pub lease_ttl: Duration,
    /// How long before the end of its lease a worker that could not renew it stops.
    pub lease_margin: Duration,
    /// How long an operation may take.
    pub operation_budget: Duration,
    /// How long one call to a backend may take.
    pub call_deadline: Duration,
    /// How long fetching an image may take.
    pub image_deadline: Duration,
    /// How long removing a tenant's data may take.
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
    /// How long work in progress is waited for at shutdown before it is handed back.
    pub shutdown_grace: Duration,
    /// After how many deaths of its workers an operation is given up.
    pub max_deaths: u32,
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
            shutdown_grace: Duration::from_secs(10),
            max_deaths: 20,
            allow_unenforced: BTreeSet::new(),
        }
    }
}
