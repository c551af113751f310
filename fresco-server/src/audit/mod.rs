//! What is written into the audit log, and by whom: calls of the API by one layer around them all
//! ([`noting`]), what happens beside it by a look at what the database holds ([`happenings`]).

pub(crate) mod budget;
mod calls;
pub(crate) mod command;
pub(crate) mod happenings;
pub(crate) mod noting;
mod trail;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use fresco_core::{Error, ErrorKind, Result};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::accounts::{Accounts, AuditEvent};
use budget::{Budget, Whose};
pub use calls::CALLS;
pub(crate) use trail::Trail;

/// Writes into the log. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Audit {
    accounts: Accounts,
    budget: Arc<Mutex<Budget>>,
    foreign: Arc<Mutex<Budget>>,
    known: Arc<Mutex<Budget>>,
    /// Rows that are being written. They go on when whoever asked has gone.
    writes: TaskTracker,
}

impl Audit {
    pub(crate) fn new(accounts: Accounts) -> Self {
        let budget = |most| Arc::new(Mutex::new(Budget::new(Instant::now(), most)));
        let (foreign, known) = (budget(budget::FOREIGN), budget(budget::KNOWN));
        let budget = budget(budget::STRANGERS);
        Self { accounts, budget, foreign, known, writes: TaskTracker::new() }
    }

    /// Writes down what happened. It is written, and waited for, also when the caller is dropped.
    ///
    /// # Errors
    /// The database's own; the event is in the program's log then.
    pub(crate) async fn note(&self, event: AuditEvent) -> Result<()> {
        let written = self.begin(event).await;
        written.unwrap_or_else(|error| {
            let words = "writing into the audit log was cut off";
            Err(Error::new(ErrorKind::Internal, words).with_source(error))
        })
    }

    fn begin(&self, event: AuditEvent) -> tokio::task::JoinHandle<Result<()>> {
        let accounts = self.accounts.clone();
        let write = async move {
            let done = accounts.note(&event).await;
            if let Err(error) = &done {
                let AuditEvent { event, outcome, actor, actor_id, means, address, about, .. } =
                    &event;
                tracing::error!(
                    event, %outcome, actor = actor.as_str(), ?actor_id, ?means, ?address, ?about,
                    error = %error.chain(), "this could not be written into the audit log"
                );
            }
            done
        };
        self.writes.spawn(write)
    }

    /// Whether this row of somebody unknown, or of a refusal, is written. One that is not is counted.
    fn admits(&self, event: &AuditEvent, from: IpAddr) -> bool {
        let (budget, whose) = match (event.actor_id, &*event.outcome) {
            (Some(id), _) => (&self.known, Whose::Account(id)),
            (None, "foreign_origin" | "misdirected") => (&self.foreign, Whose::network(from)),
            (None, _) => (&self.budget, Whose::network(from)),
        };
        budget.lock().unwrap_or_else(PoisonError::into_inner).admits(Instant::now(), whose)
    }

    /// Writes down how many rows were left out since the last time, if any were.
    ///
    /// # Errors
    /// The database's own; they are counted again then.
    pub(crate) async fn tell_left_out(&self) -> Result<()> {
        let budgets = [&self.budget, &self.foreign, &self.known];
        let number = budgets.into_iter().fold(0_u64, |sum, budget| {
            let mut budget = budget.lock().unwrap_or_else(PoisonError::into_inner);
            sum.saturating_add(std::mem::take(&mut budget.left_out))
        });
        if number == 0 {
            return Ok(());
        }
        let mut event = AuditEvent::of_system("rows_left_out");
        event.number = Some(number);
        let told = self.note(event).await;
        if told.is_err() {
            let mut budget = self.budget.lock().unwrap_or_else(PoisonError::into_inner);
            budget.left_out = budget.left_out.saturating_add(number);
        }
        told
    }

    /// Waits until all that is being written is.
    pub(crate) async fn settle(&self) {
        self.writes.close();
        self.writes.wait().await;
    }
}
