//! Keeping strangers from apps whose first visitor becomes their owner.

use std::fmt;

use async_trait::async_trait;

use crate::error::Result;
use crate::ids::TenantId;

/// Who decides whether a request may pass to a tenant's app, until everybody may.
///
/// While it is closed the proxy asks at this address before each request: with GET, the request's own headers, and its
/// method, host and path in `X-Forwarded-Method`, `X-Forwarded-Host` and `X-Forwarded-Uri`. A status
/// of 2xx lets the request pass. Any other answer is the visitor's, and without an answer nobody
/// passes.
///
/// One request needs no leave, since it shows nothing and does nothing: `HEAD` for the route's
/// [probe path](crate::Route::probe_path).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gate {
    /// The address, such as `http://127.0.0.1:3000/gate/42`. Only the proxy should reach it.
    pub url: String,
    /// Whether everybody may pass, for good. Such a gate need not be asked any more, and whoever
    /// answers for it may be away.
    pub is_open: bool,
}

impl Gate {
    /// The gate that is asked at this address.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), is_open: false }
    }

    /// The same gate, once everybody may pass.
    #[must_use]
    pub fn opened(mut self) -> Self {
        self.is_open = true;
        self
    }
}

/// An ability of whoever embeds the platform: it knows whose app has no owner yet. It is asked only
/// about apps with an [`AppProfile::claim_path`](crate::AppProfile::claim_path).
#[async_trait]
pub trait ClaimGates: fmt::Debug + Send + Sync + 'static {
    /// The gate of a tenant's route as it stands now; `None` when there never was one.
    ///
    /// It is asked before a container is made, and now and then while one runs. A tenant that
    /// `was_active` and for which no gate was ever asked before needs none: its app was open to
    /// everybody already.
    ///
    /// # Behavior
    /// - The first answer for a tenant that was never active is a closed gate, and stays so for each
    ///   repetition until the gate is opened.
    /// - Once opened, it is open for ever.
    async fn gate(&self, tenant: TenantId, was_active: bool) -> Result<Option<Gate>>;
}
