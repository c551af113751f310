//! What happens without a call: told from the store and the tenants' database each time, so that no
//! end is missed, whichever program saw it; and the sealing of what was written.
//!
//! A look costs three queries and a few more for each tenant with which something goes on: which
//! tenants these are shows by their generation.

use std::time::Duration;

use fresco_core::{Result, TenantId, TenantQuery, TenantStatus};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::accounts::EndedOperation;
use crate::platform::Platform;

/// The pause between two turns of the sealer.
const SEAL: Duration = Duration::from_secs(1);
/// The pause between two looks at operations and gates.
const LOOK: Duration = Duration::from_secs(10);
/// The pause between two looks at what is seldom: who is barred, what is old, what was left out.
const SELDOM: Duration = Duration::from_secs(60);
/// The end of the chain is told this often, in a log that is kept elsewhere.
const HEAD: Duration = Duration::from_secs(60 * 60);
/// A tenant's operations that are looked through at first.
const OPERATIONS: u32 = 20;
/// Tenants that were made last, and may be gone already.
const NEWEST: u64 = 50;

/// Looks and seals again and again, until cancelled.
pub(crate) async fn keep(platform: &Platform, until: &CancellationToken) {
    tokio::join!(looks(platform, until), seals(platform, until));
}

async fn looks(platform: &Platform, until: &CancellationToken) {
    let mut seldom: Option<Instant> = None;
    while !until.is_cancelled() {
        let often = seldom.is_none_or(|last| last.elapsed() >= SELDOM);
        if often {
            seldom = Some(Instant::now());
        }
        let look = async {
            tell("operations", platform.audit_operations().await.map(drop));
            tell("gates", platform.accounts.open_due_claims().await.map(drop));
            if often {
                tell("barred tenants", platform.audit_barred().await);
                tell("rows left out", platform.audit.tell_left_out().await);
            }
            tokio::time::sleep(LOOK).await;
        };
        until.run_until_cancelled(look).await;
    }
    // Nobody else knows of these.
    tell("rows left out", platform.audit.tell_left_out().await);
}

fn tell(what: &str, told: Result<()>) {
    if let Err(error) = told {
        tracing::warn!(what, error = %error.chain(), "this can't be told to the audit log now; it is tried again");
    }
}

async fn seals(platform: &Platform, until: &CancellationToken) {
    let (mut pruned, mut told): (Option<Instant>, Option<Instant>) = (None, None);
    while !until.is_cancelled() {
        let prune = pruned.is_none_or(|last| last.elapsed() >= SELDOM);
        let keep = Some(platform.config.audit_keep).filter(|_| prune);
        let sealed = match until.run_until_cancelled(platform.accounts.seal_audit(keep)).await {
            Some(sealed) => sealed,
            None => return,
        };
        match &sealed {
            // There may be more.
            Ok(sealed) if sealed.now > 0 || sealed.pruned > 0 => {
                if told.is_none_or(|last| last.elapsed() >= HEAD) {
                    told = Some(Instant::now());
                    let head = sealed.head.as_deref().unwrap_or_default();
                    tracing::info!(head, "the audit log is sealed up to here");
                }
                continue;
            }
            Ok(_) => {}
            Err(error) => {
                tracing::error!(error = %error.chain(), "the audit log can't be sealed, or old rows not be taken out");
            }
        }
        if prune {
            pruned = Some(Instant::now());
        }
        // An old row that can't be taken out keeps no new one from being sealed.
        let pause = if sealed.is_ok() || prune { SEAL } else { SELDOM };
        until.run_until_cancelled(tokio::time::sleep(pause)).await;
    }
}

impl Platform {
    /// Writes down which operations have ended since this was last called, by whatever program. How
    /// many.
    ///
    /// # Errors
    /// The database's own, and the store's. What hinders one tenant's alone is in the program's log, and is tried
    /// again.
    pub async fn audit_operations(&self) -> Result<usize> {
        let all = self.orchestrator.tenants(&TenantQuery::all()).await?;
        let mut newest = TenantQuery::all();
        (newest.destroyed, newest.limit) = (true, NEWEST);
        let newest = self.orchestrator.tenants(&newest).await?;
        let seen = all.tenants.iter().chain(&newest.tenants);
        let mut seen: Vec<_> = seen.map(|tenant| (tenant.id, tenant.generation)).collect();
        seen.sort_unstable();
        seen.dedup();
        let mut told = 0;
        for tenant in self.accounts.audit_untold(&seen).await? {
            // One that can't be read keeps nothing of the others from being told.
            match self.audit_tenant(tenant).await {
                Ok(ends) => told += ends,
                Err(error) => {
                    tracing::warn!(%tenant, error = %error.chain(), "the ends of this tenant's operations can't be told to the audit log now; it is tried again");
                }
            }
        }
        Ok(told)
    }

    async fn audit_tenant(&self, id: TenantId) -> Result<usize> {
        // The tenant first: what ends after it is seen at a later generation, or next time.
        let page = self.orchestrator.tenants(&TenantQuery::one(id)).await?;
        let Some(tenant) = page.tenants.first() else { return Ok(0) };
        let (told, mut most) = (self.accounts.audit_told(id).await?, OPERATIONS);
        // The newest first: more of them until one that was told.
        let (operations, ends) = loop {
            let operations = self.orchestrator.operations(id, most).await?;
            let ends: Vec<_> = operations.iter().filter_map(EndedOperation::of).collect();
            let all = operations.len() < most as usize;
            if all || ends.last().is_some_and(|end| end.at() <= told) {
                break (operations, ends);
            }
            most = most.saturating_mul(2);
        };
        let gone = tenant.state.status == TenantStatus::Destroyed;
        let settled = (ends.len() == operations.len()).then_some((tenant.generation, gone));
        self.accounts.tell_ends(id, &ends, settled).await
    }

    /// Writes down which tenants are barred from their database, and which no more, since this was
    /// last called.
    ///
    /// # Errors
    /// The database's own, and the tenants' database's.
    pub async fn audit_barred(&self) -> Result<()> {
        match &self.orchestrator.backends().database_watch {
            Some(watch) => self.accounts.tell_barred(&watch.barred(None).await?).await,
            None => Ok(()),
        }
    }
}
