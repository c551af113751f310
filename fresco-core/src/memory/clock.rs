//! The clock of a world.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;

/// Follows tokio's clock, can be moved forward, and never tells the same time twice, so that what
/// happened later is later.
pub(super) struct Clock {
    origin: DateTime<Utc>,
    begun: Instant,
    told: Mutex<Told>,
}

struct Told {
    ahead: Duration,
    last: DateTime<Utc>,
}

impl Clock {
    pub(super) fn new() -> Self {
        let origin = Utc::now();
        let told = Mutex::new(Told { ahead: Duration::ZERO, last: origin });
        Self { origin, begun: Instant::now(), told }
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let now = after(self.origin, self.begun.elapsed() + told.ahead);
        told.last = now.max(told.last + TimeDelta::microseconds(1));
        told.last
    }

    pub(super) fn advance(&self, time: Duration) {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).ahead += time;
    }
}

/// The time this long after another; the end of all time where there is none.
pub(super) fn after(time: DateTime<Utc>, wait: Duration) -> DateTime<Utc> {
    let wait = TimeDelta::from_std(wait).unwrap_or(TimeDelta::MAX);
    time.checked_add_signed(wait).unwrap_or(DateTime::<Utc>::MAX_UTC)
}
