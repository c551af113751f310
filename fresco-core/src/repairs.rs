//! How often the platform has put a tenant right by itself, and what follows from it.
//!
//! An app that ends again and again is started after ever longer pauses. After some of them the
//! tenant is in error, with a reason for its owner. Even then it is tried again, three times an
//! hour in the end: what it failed of may lie outside of it and pass, and people hold its link at night,
//! when nobody is there to start it.
//!
//! All of it follows from the tenant's operations as the store has them, so it is the same for every
//! server and after every restart. Whatever a person asks for begins the count anew.

use chrono::{DateTime, TimeDelta, Utc};

use crate::error::{Error, ErrorKind};
use crate::fit::Misfit;
use crate::instance::InstanceState;
use crate::operation::{Actor, Operation, OperationStatus};
use crate::step::Action;
use crate::tenant::Limits;

/// How many of a tenant's newest operations tell enough.
pub(crate) const SEEN: u32 = 12;
/// A tenant that was well for so long after a repair is well.
const CALM: TimeDelta = TimeDelta::minutes(30);
/// The pause after the first repair, in seconds; each next one is twice as long.
const PAUSE: i64 = 5;
/// The longest pause, in seconds. It is shorter than [`CALM`]: whose app ended and waits for its next
/// start was not well meanwhile.
const LONGEST_PAUSE: i64 = 20 * 60;
/// After so many repairs that led nowhere the tenant is in error.
const ENOUGH: usize = 5;

/// The repairs of a tenant by the platform itself since a person asked for something, or since it
/// was well for a while; the newest first.
#[derive(Debug)]
pub(crate) struct Repairs<'a> {
    own: Vec<&'a Operation>,
    now: DateTime<Utc>,
}

impl<'a> Repairs<'a> {
    /// Those among a tenant's operations, the newest first, at this moment of the store's clock.
    pub(crate) fn among(
        history: impl IntoIterator<Item = &'a Operation>,
        now: DateTime<Utc>,
    ) -> Self {
        let mut next = now;
        let mut own = Vec::new();
        for operation in history {
            let repair = operation.actor == Actor::System
                && matches!(operation.action, Action::Start | Action::Restart | Action::Stop);
            let well = operation.status == OperationStatus::Success
                && operation.finished_at.is_some_and(|end| next - end >= CALM);
            if !repair || well {
                break;
            }
            next = operation.created_at;
            own.push(operation);
        }
        Self { own, now }
    }

    /// Whether it is time for another one. To say that they led nowhere is never too early.
    pub(crate) fn rested(&self, misfit: Option<&Misfit>) -> bool {
        let hopeless = misfit.is_some_and(|misfit| self.led_nowhere(misfit));
        let last = self.own.first().and_then(|operation| operation.finished_at);
        let Some(last) = last.filter(|_| !hopeless) else { return true };
        let doublings = u32::try_from(self.own.len() - 1).unwrap_or(u32::MAX).min(16);
        self.now - last >= TimeDelta::seconds((PAUSE << doublings).min(LONGEST_PAUSE))
    }

    fn successes(&self) -> usize {
        self.own.iter().filter(|o| o.status == OperationStatus::Success).count()
    }

    /// Whether the last of many brought the tenant up, and this keeps it down again. What runs is
    /// not stopped for its limits, however often somebody changes them.
    fn led_nowhere(&self, misfit: &Misfit) -> bool {
        let newest = self.own.first().map(|operation| operation.status);
        *misfit != Misfit::Limits
            && newest == Some(OperationStatus::Success)
            && self.successes() >= ENOUGH
    }

    /// Why the tenant is to be in error instead of being repaired once more; `None` while it is
    /// worth a try. After an error it is.
    pub(crate) fn give_up(&self, misfit: &Misfit, limits: &Limits) -> Option<Error> {
        let oldest = self.own.last().filter(|_| self.led_nowhere(misfit))?;
        let times = self.successes();
        let minutes = (self.now - oldest.created_at).num_minutes() + 1;
        let (kind, what, advice) = told(misfit, limits);
        let message = format!(
            "{what}, although the platform has repaired this tenant {times} times in the last {minutes} min. {advice}, then restart it. Until then the platform tries it now and then. Its data is kept"
        );
        Some(Error::new(kind, message).permanent())
    }
}

/// What is wrong, and what to do, for the tenant's owner.
fn told(misfit: &Misfit, limits: &Limits) -> (ErrorKind, String, &'static str) {
    let log = "Look at its log for the reason and mend that";
    let operator = "Ask whoever runs the platform who does that";
    match misfit {
        Misfit::Down(InstanceState::Exited { out_of_memory: true, .. }) => {
            let limit = limits.memory_mb;
            let what =
                format!("The app was ended again since it used more than its {limit} MB of memory");
            let advice = "Give it more memory, or look at its log for what needs so much";
            (ErrorKind::Exhausted, what, advice)
        }
        Misfit::Down(InstanceState::Exited { code, .. }) => {
            (ErrorKind::Unavailable, format!("The app ended again, with exit code {code}"), log)
        }
        Misfit::Down(_) | Misfit::Limits => {
            (ErrorKind::Unavailable, "The app does not run as it must".into(), log)
        }
        Misfit::CutOff => {
            let what = "It was paused or taken off its network again".into();
            (ErrorKind::Conflict, what, operator)
        }
        Misfit::Gone => (ErrorKind::Conflict, "Its container was removed again".into(), operator),
        Misfit::LockedOut => {
            let what = "Its access to its database was taken away again".into();
            (ErrorKind::Conflict, what, operator)
        }
    }
}
