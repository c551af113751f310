//! How often somebody may ask, and what they are told when it was too often.
//!
//! Counts are in this server's memory and of a fixed size: keys share a number of cells, two each, and
//! a request is refused only when both of its cells are used up. So nobody can fill the table: whoever
//! asks from many addresses uses up cells, which fill again as time goes by, and a stranger's requests
//! are in the way of somebody else's only where both cells happen to be the same. Which cells a key
//! has is drawn anew by each server at its start, so that nobody can aim.

use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed, StateStore};
use governor::{Quota, RateLimiter};
use poem::Request;
use poem::http::Method;
use tokio::time::Instant;
use uuid::Uuid;

use crate::accounts::Email;
use crate::http::problem::Problem;
use crate::network;
use crate::rates::{Rate, Rates};

/// Cells of each half of a table: 128 KiB.
const CELLS: usize = 1 << 14;

/// The kinds of calls, each with a rate of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    SignIn,
    Begin,
    SignUp,
    Mail,
    Changes,
    Reads,
    Streams,
}

impl Class {
    const ALL: [Self; 7] = [
        Self::SignIn,
        Self::Begin,
        Self::SignUp,
        Self::Mail,
        Self::Changes,
        Self::Reads,
        Self::Streams,
    ];

    /// The kind of a request. `None` for one that anybody may send at any time, since it is answered
    /// from memory: `/health`, by which a proxy judges the server, and the styles and scripts of pages.
    pub(crate) fn of(method: &Method, path: &str) -> Option<Self> {
        if path == "/health" || path.starts_with("/assets/") {
            return None;
        }
        if matches!(*method, Method::GET | Method::HEAD) {
            let stream = path.starts_with("/api/");
            return Some(if stream { Self::Streams } else { Self::Reads });
        }
        Some(match path {
            "/api/auth.signIn"
            | "/api/auth.changePassword"
            | "/api/auth.resetPassword"
            | "/api/auth.verifyEmail" => Self::SignIn,
            // Each sends a letter to whoever's address somebody types.
            "/api/auth.signUp" | "/api/wizard.createSession" => Self::Begin,
            "/api/wizard.updateSession"
            | "/api/wizard.verifyEmail"
            | "/api/wizard.deployTenant" => Self::SignUp,
            "/api/auth.requestPasswordReset"
            | "/api/auth.resendVerification"
            | "/api/wizard.resendCode"
            | "/api/auth.updateProfile" => Self::Mail,
            _ => {
                let call = path.rsplit('.').next().unwrap_or_default();
                let looks = ["get", "list", "check"].iter().any(|verb| call.starts_with(verb));
                if looks { Self::Reads } else { Self::Changes }
            }
        })
    }

    const fn rate(self, rates: &Rates) -> Rate {
        match self {
            Self::SignIn => rates.sign_in,
            Self::Begin => rates.begin,
            Self::SignUp => rates.sign_up,
            Self::Mail => rates.mail,
            Self::Changes => rates.changes,
            Self::Reads => rates.reads,
            Self::Streams => rates.streams,
        }
    }
}

/// Counts who asks how often. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Throttle(Arc<Tables>);

struct Tables {
    classes: Vec<(Class, Table, Table)>,
    attempts: Table,
}

impl Throttle {
    pub(crate) fn new(rates: &Rates) -> Self {
        let table = |class: Class| {
            let rate = class.rate(rates);
            (class, Table::new(rate), Table::new(rate))
        };
        let classes = Class::ALL.into_iter().map(table).collect();
        Self(Arc::new(Tables { classes, attempts: Table::new(rates.attempts) }))
    }

    /// Counts a request of this address.
    ///
    /// # Errors
    /// 429 when it was one too many.
    pub(crate) fn address(&self, request: &Request, address: IpAddr) -> Result<(), Problem> {
        self.count(request, |addresses, _| addresses.count(&network::of(address)))
    }

    /// Counts a request of this account.
    ///
    /// # Errors
    /// 429 when it was one too many.
    pub(crate) fn account(&self, request: &Request, user: Uuid) -> Result<(), Problem> {
        self.count(request, |_, accounts| accounts.count(&user))
    }

    fn count(
        &self,
        request: &Request,
        count: impl Fn(&Table, &Table) -> Result<(), Duration>,
    ) -> Result<(), Problem> {
        let Some(class) = Class::of(request.method(), request.uri().path()) else { return Ok(()) };
        let mut tables = self.0.classes.iter();
        match tables.find(|(known, ..)| *known == class) {
            Some((_, addresses, accounts)) => {
                count(addresses, accounts).map_err(Problem::rate_limited)
            }
            None => Ok(()),
        }
    }

    /// Counts a password that is tried for the account of this address, whether there is one or not.
    /// Where the account was signed in before counts by itself: what strangers try elsewhere never
    /// keeps its owner out there.
    ///
    /// # Errors
    /// 429 when it was one too many.
    pub(crate) fn attempt(&self, email: &Email, known: Option<IpAddr>) -> Result<(), Problem> {
        let key = (email.as_str().to_lowercase(), known.map(network::of));
        self.0.attempts.count(&key).map_err(Problem::too_many_attempts)
    }
}

impl fmt::Debug for Throttle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Throttle").field("classes", &self.0.classes.len()).finish_non_exhaustive()
    }
}

/// One rate for many keys.
struct Table {
    limiter: RateLimiter<usize, Cells, Ticks, NoOpMiddleware<Nanos>>,
    hasher: RandomState,
}

impl Table {
    fn new(rate: Rate) -> Self {
        // A time of nothing at all has no period; no rate has one.
        let quota = Quota::with_period(rate.each().max(Duration::from_nanos(1)))
            .unwrap_or_else(|| Quota::per_second(rate.burst()))
            .allow_burst(rate.burst());
        let limiter = RateLimiter::new(quota, Cells::new(), Ticks(Instant::now()));
        Self { limiter, hasher: RandomState::new() }
    }

    /// The time to wait when it was one too many.
    fn count(&self, key: &impl Hash) -> Result<(), Duration> {
        let hash = self.hasher.hash_one(key);
        // Two parts of the hash that have nothing in common.
        let [one, two] = [hash, hash >> 32].map(|part| part as usize % CELLS);
        // Both count, each in a half of its own.
        let (first, second) =
            (self.limiter.check_key(&one), self.limiter.check_key(&(CELLS + two)));
        match (first, second) {
            (Err(first), Err(second)) => {
                let now = self.limiter.clock().now();
                Err(first.wait_time_from(now).min(second.wait_time_from(now)))
            }
            _ => Ok(()),
        }
    }
}

/// The cells, in two halves.
struct Cells(Box<[InMemoryState]>);

impl Cells {
    fn new() -> Self {
        Self((0..2 * CELLS).map(|_| InMemoryState::default()).collect())
    }
}

impl StateStore for Cells {
    type Key = usize;

    fn measure_and_replace<T, F, E>(&self, key: &usize, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        // Keys are below the number of cells; whatever they were, one of them is meant.
        self.0[key % self.0.len()].measure_and_replace(&NotKeyed::NonKey, decide)
    }
}

/// Time since the server's start.
#[derive(Clone, Copy)]
struct Ticks(Instant);

impl Clock for Ticks {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::from(self.0.elapsed())
    }
}

#[cfg(test)]
#[path = "throttle/tests.rs"]
mod tests;
