//! Barring a tenant's role, and admitting it again.
//!
//! That a role is barred is in a table beside the generations, written in one transaction with the
//! end of its right to log in. It is the one change of a tenant's things that is made without its
//! generation: it must not wait for whoever works on the tenant. It takes nothing away that could
//! not be given back, and whoever gives it back (new credentials, [`admit`](fresco_core::DatabaseWatch::admit))
//! removes the entry in the same transaction. A bar that comes too late stops a tenant, and says why.

use std::time::Duration;

use fresco_core::{DatabaseExcess, DatabaseOffence, Error, ErrorKind, Fence, Result, TenantId};
use tokio::time::{Instant, sleep};

use super::eyes::Eyes;
use super::hand::Hand;
use crate::errors::Mapped;
use crate::server::take;
use crate::tenants::PostgresTenants;
use crate::tenants::names::ident;

/// How long one tenant's sessions and login are worked at in one look.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(50);

/// The statement by which a tenant's role is barred no more; part of a transaction.
pub(in crate::tenants) fn lift(platform: fresco_core::PlatformId, tenant: TenantId) -> String {
    format!(
        "DELETE FROM fresco_fence.barred WHERE platform = '{}' AND tenant = '{}'",
        platform.as_uuid(),
        tenant.as_uuid()
    )
}

impl PostgresTenants {
    /// Ends all sessions of a role, and lets no new one in. Whatever the server lacks as long as
    /// they are there comes back with their end, so that comes first, and again after a failure.
    /// The end of a role's sessions of which one is `deaf` is not waited for.
    pub(super) async fn bar(
        &self,
        eyes: &Eyes,
        hand: &mut Option<Hand>,
        role: i64,
        offence: &DatabaseOffence,
        deaf: bool,
    ) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        let mut closed = false;
        loop {
            let open = eyes.end_all(role).await?;
            if closed && (deaf || open == 0) {
                return Ok(());
            }
            let error = if closed {
                Error::new(ErrorKind::TimedOut, "sessions of a barred role do not end")
                    .with("sessions", open)
            } else {
                match self.close(hand, offence).await {
                    Ok(()) => {
                        closed = true;
                        continue;
                    }
                    Err(error) => error,
                }
            };
            if Instant::now() >= end {
                return Err(error.with("tenant", offence.tenant));
            }
            sleep(PAUSE).await;
        }
    }

    async fn close(&self, hand: &mut Option<Hand>, offence: &DatabaseOffence) -> Result<()> {
        let mut own = self.hand(hand).await?;
        let role = offence.tenant.role_name();
        let transaction = own.client.transaction().await.mapped()?;
        transaction
            .batch_execute(&format!("ALTER ROLE {} NOLOGIN", ident(&role)))
            .await
            .mapped()?;
        let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        transaction
            .execute(
                "INSERT INTO fresco_fence.barred (platform, tenant, excess, measured, allowed)
                 VALUES ($1, $2, $3, $4, $5) ON CONFLICT (platform, tenant) DO NOTHING",
                &[
                    &self.platform().as_uuid(),
                    &offence.tenant.as_uuid(),
                    &offence.excess.as_str(),
                    &number(offence.measured),
                    &number(offence.limit),
                ],
            )
            .await
            .mapped()?;
        transaction.commit().await.mapped()?;
        *hand = Some(own);
        Ok(())
    }

    /// The kept connections, or new ones. Whoever takes them puts them back if they are still good.
    pub(super) async fn hand(&self, kept: &mut Option<Hand>) -> Result<Hand> {
        match kept.take().filter(Hand::is_open) {
            Some(hand) => Ok(hand),
            None => Hand::open(&self.watching, &self.config.schema_database).await,
        }
    }

    pub(in crate::tenants) async fn barred_tenants(
        &self,
        tenant: Option<TenantId>,
    ) -> Result<Vec<DatabaseOffence>> {
        let rows = take(&self.admin)
            .await?
            .query(
                "SELECT tenant, excess, measured, allowed FROM fresco_fence.barred
                 WHERE platform = $1 AND ($2::uuid IS NULL OR tenant = $2) ORDER BY since",
                &[&self.platform().as_uuid(), &tenant.map(|tenant| tenant.as_uuid())],
            )
            .await
            .mapped()?;
        let offences = rows.iter().map(|row| {
            let name: &str = row.try_get(1).mapped()?;
            let excess = DatabaseExcess::ALL.into_iter().find(|excess| excess.as_str() == name);
            let excess = excess.ok_or_else(|| {
                Error::new(ErrorKind::Internal, "a newer version of this program barred a tenant")
                    .with("excess", name)
            })?;
            let number = |value: i64| u64::try_from(value).unwrap_or(0);
            Ok(DatabaseOffence::new(
                TenantId::from_uuid(row.try_get(0).mapped()?),
                excess,
                number(row.try_get(2).mapped()?),
                number(row.try_get(3).mapped()?),
            ))
        });
        offences.collect()
    }

    pub(in crate::tenants) async fn admit_tenant(&self, fence: Fence) -> Result<()> {
        let tenant = fence.tenant;
        let (_slot, mut guard) = self.guard(fence).await?;
        let credential = Self::own_role(self.look(tenant).await?, tenant)?;
        let mark = guard.mark(credential);
        let (role, lift) = (ident(&tenant.role_name()), lift(self.platform(), tenant));
        let transaction = guard.transaction().await?;
        if transaction.execute(&lift, &[]).await.mapped()? == 0 {
            return Ok(());
        }
        // Without credentials there is nobody to let in.
        let login = if credential.is_some() { "LOGIN" } else { "NOLOGIN" };
        transaction.batch_execute(&format!("ALTER ROLE {role} {login}; {mark}")).await.mapped()?;
        transaction.commit().await.mapped()
    }
}
