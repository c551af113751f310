//! The owner's way in to an app that gives itself to its first visitor.

use chrono::{DateTime, Utc};
use fresco_core::{Tenant, TenantStatus};
use poem_openapi::Object;

use crate::accounts::Accounts;
use crate::http::gate;
use crate::http::problem::Problem;
use crate::platform::Platform;

/// The way in to an app that gives itself to its first visitor.
#[derive(Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
pub(crate) struct Claim {
    /// A link, good for one use: it leads to where the app is set up, and lets this browser in. Once
    /// it is used, the next call shows another.
    url: String,
    /// When the app should be set up by; once somebody came in by a link, when it opens to everybody by
    /// itself.
    until: DateTime<Utc>,
    /// When somebody came in by a link.
    entered_at: Option<DateTime<Utc>>,
}

impl Claim {
    /// The way in to a tenant that runs, while its app is kept from everybody else. It is for the
    /// tenant's owner alone.
    pub(crate) async fn of(platform: &Platform, tenant: &Tenant) -> Result<Option<Self>, Problem> {
        let Platform { orchestrator, accounts, .. } = platform;
        let (Some(path), Some(first)) = (&tenant.spec.app.claim_path, tenant.state.first_active_at)
        else {
            return Ok(None);
        };
        if tenant.state.status != TenantStatus::Active {
            return Ok(None);
        }
        let claim = accounts.claim(tenant.id).await?.filter(|claim| !claim.open);
        Ok(claim.map(|claim| Self {
            url: gate::link(accounts, &claim, &orchestrator.url(tenant), path),
            until: claim.entered_at.unwrap_or(first) + Accounts::CLAIM,
            entered_at: claim.entered_at,
        }))
    }
}
