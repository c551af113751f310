//! Tenants of people who never showed that their address is theirs end after a time.
//!
//! What is to end, and when, is in the database; ending it is an operation like any other, which the
//! store keeps. So it does not matter which server looks, nor how often.

use std::time::Duration;

use fresco_core::{Actor, ErrorKind, Result, TenantId, TenantQuery, TenantStatus};
use tokio_util::sync::CancellationToken;

use crate::accounts::{AuditEvent, Trial};
use crate::platform::Platform;

/// How often it is looked.
const PAUSE: Duration = Duration::from_secs(60);

/// Looks again and again, until cancelled.
pub(crate) async fn keep(platform: &Platform, until: &CancellationToken) {
    loop {
        let looked = until.run_until_cancelled(platform.expire_unverified()).await;
        if let Some(Err(error)) = looked {
            tracing::warn!(error = %error.chain(), "it can't be told now which tenants have expired");
        }
        if until.run_until_cancelled(tokio::time::sleep(PAUSE)).await.is_none() {
            return;
        }
    }
}

impl Platform {
    /// Asks for the end of all tenants whose time is over, since their owner has not shown that their
    /// address is theirs, and frees the places of those that are gone. How many ends were asked for.
    ///
    /// Where addresses can't be verified, nothing ends.
    ///
    /// # Errors
    /// The database's own. What hinders one tenant's end alone is in the program's log, and is tried again.
    pub async fn expire_unverified(&self) -> Result<usize> {
        let mut ended = 0;
        for trial in self.accounts.trials().await? {
            // One that can't be looked at keeps no other from its end.
            match self.expire(&trial).await {
                Ok(asked) => ended += usize::from(asked),
                Err(error) => {
                    tracing::warn!(tenant = %trial.tenant, error = %error.chain(), "it can't be told now whether this tenant has expired; it is tried again");
                }
            }
        }
        Ok(ended)
    }

    /// Whether its end was asked for.
    async fn expire(&self, trial: &Trial) -> Result<bool> {
        match self.status(trial.tenant).await? {
            // It ended, by whomever.
            Some(TenantStatus::Destroyed) => self.accounts.end_trial(trial.tenant).await?,
            // It was never accepted; while it is not due, it may be about to be.
            None if trial.due => self.accounts.end_trial(trial.tenant).await?,
            None | Some(TenantStatus::Destroying) => {}
            Some(_) if trial.due => return self.end(trial).await,
            Some(_) => {}
        }
        Ok(false)
    }

    async fn status(&self, tenant: TenantId) -> Result<Option<TenantStatus>> {
        let page = self.orchestrator.tenants(&TenantQuery::one(tenant)).await?;
        Ok(page.tenants.first().map(|tenant| tenant.state.status))
    }

    async fn end(&self, trial: &Trial) -> Result<bool> {
        // Its owner may have shown it while others were looked at.
        if !self.accounts.is_due(trial.tenant).await? {
            return Ok(false);
        }
        match self.orchestrator.destroy_tenant(trial.tenant, Actor::System).await {
            Ok(_) => {
                tracing::info!(
                    tenant = %trial.tenant,
                    "a tenant expired: its owner has not verified their address in time"
                );
                let mut event = AuditEvent::of_system("tenant_expired");
                event.about.tenant = Some(trial.tenant.as_uuid());
                self.audit.note(event).await?;
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}
