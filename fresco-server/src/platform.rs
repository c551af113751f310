//! What every request works with.

use std::sync::Arc;

use fresco_core::{Error, ErrorKind, Orchestrator, Result};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::accounts::Accounts;
use crate::audit::{Audit, happenings};
use crate::config::Config;
use crate::http::gate::KnownGates;
use crate::http::streams::Streams;
use crate::http::throttle::Throttle;
use crate::{expiry, suspension};

/// The parts of a running platform. Cheap to clone.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Platform {
    /// The configuration.
    pub config: Arc<Config>,
    /// Tenants and their operations.
    pub orchestrator: Orchestrator,
    /// Who may do what.
    pub accounts: Accounts,
    /// Cancelled when the server is about to stop: streams end then.
    pub closing: CancellationToken,
    /// Who listens.
    pub(crate) streams: Streams,
    /// Who asks how often.
    pub(crate) throttle: Throttle,
    /// Which gates are open.
    pub(crate) gates: KnownGates,
    /// Who writes down what happens.
    pub(crate) audit: Audit,
    /// What goes on when whoever asked for it has gone.
    unbroken: TaskTracker,
}

impl Platform {
    /// A platform of these parts.
    #[must_use]
    pub fn new(config: Config, orchestrator: Orchestrator, accounts: Accounts) -> Self {
        let closing = CancellationToken::new();
        let (streams, throttle) = (Streams::default(), Throttle::new(&config.rates));
        let (config, gates) = (Arc::new(config), KnownGates::default());
        let audit = Audit::new(accounts.clone());
        let unbroken = TaskTracker::new();
        Self { config, orchestrator, accounts, closing, streams, throttle, gates, audit, unbroken }
    }

    /// Does this to its end, also when the caller is dropped in the middle: what is written in two places
    /// is in both or in none then. It has a limit of time of its own.
    ///
    /// # Errors
    /// Its own; `Internal` when it was cut off all the same, as by a panic.
    pub(crate) async fn unbroken<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        self.unbroken.spawn(work).await.unwrap_or_else(|error| {
            Err(Error::new(ErrorKind::Internal, "work was cut off").with_source(error))
        })
    }

    /// Does what is due without a request, until cancelled: stops the tenants of suspended accounts,
    /// ends those of people who never verified their address, and keeps the audit log. Any number of
    /// programs may do so.
    pub async fn chores(&self, until: &CancellationToken) {
        tokio::join!(
            suspension::keep(self, until),
            expiry::keep(self, until),
            happenings::keep(self, until)
        );
    }

    /// Waits until what requests began is done, and written into the audit log. Call it when no request
    /// comes any more.
    pub async fn settle(&self) {
        self.unbroken.close();
        self.unbroken.wait().await;
        self.audit.settle().await;
    }
}
