//! What every request works with.

use std::sync::Arc;

use fresco_core::Orchestrator;
use tokio_util::sync::CancellationToken;

use crate::accounts::Accounts;
use crate::config::Config;
use crate::http::gate::KnownGates;
use crate::http::streams::Streams;

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
    /// Which gates are open.
    pub(crate) gates: KnownGates,
}

impl Platform {
    /// A platform of these parts.
    #[must_use]
    pub fn new(config: Config, orchestrator: Orchestrator, accounts: Accounts) -> Self {
        let closing = CancellationToken::new();
        let (config, streams) = (Arc::new(config), Streams::default());
        let gates = KnownGates::default();
        Self { config, orchestrator, accounts, closing, streams, gates }
    }
}
