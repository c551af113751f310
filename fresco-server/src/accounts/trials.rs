//! Tenants of people who have not shown that their address is theirs.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use deadpool_postgres::Transaction;
use fresco_core::{Error, ErrorKind, Result, TenantId};
use tokio_postgres::Row;
use uuid::Uuid;

use super::database::{Mapped, call};
use super::{Accounts, SignupPolicy, User};

/// Of all advisory locks in the platform's database this one is for who takes a place.
const LOCK: i64 = 0x6672_6573_636f_0008;

/// What tenants of people with an unverified address may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrialTerms {
    /// How many there are at most, of all these people together.
    pub tenants: u32,
    /// How long each lives.
    pub life: Duration,
}

/// Such a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Trial {
    /// Its id.
    pub tenant: TenantId,
    /// Whether its time is over.
    pub due: bool,
}

impl Accounts {
    /// Takes a place for a tenant that is about to be asked for, where its owner needs one. Again for
    /// the same tenant it is the same place. Whether one was taken now.
    ///
    /// # Errors
    /// `Exhausted` with the context `quota` when all places are taken; the database's own.
    pub async fn begin_trial(&self, tenant: TenantId, user: &User) -> Result<bool> {
        if self.trial_terms(user).is_none() {
            return Ok(false);
        }
        call("accounts.begin_trial", async {
            let mut client = self.database().client().await?;
            let transaction = client.transaction().await.mapped()?;
            let taken = self.take_place(&transaction, tenant, user).await?;
            transaction.commit().await.mapped()?;
            Ok(taken)
        })
        .await
    }

    /// The same, as a part of a write.
    pub(super) async fn take_place(
        &self,
        transaction: &Transaction<'_>,
        tenant: TenantId,
        user: &User,
    ) -> Result<bool> {
        let Some(terms) = self.trial_terms(user) else { return Ok(false) };
        transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await.mapped()?;
        // Those of suspended people are stopped, and take nobody's place.
        let sql = "SELECT count(*) FILTER (WHERE u.suspended_at IS NULL),
                          coalesce(bool_or(t.tenant_id = $1), false)
                   FROM fresco_server.trials t LEFT JOIN fresco_server.users u ON u.id = t.user_id";
        let row = transaction.query_one(sql, &[&tenant.as_uuid()]).await.mapped()?;
        let (taken, own): (i64, bool) = (row.get(0), row.get(1));
        if own {
            return Ok(false);
        }
        if taken >= i64::from(terms.tenants) {
            let words = "all places for tenants of people with an unverified address are taken";
            return Err(Error::new(ErrorKind::Exhausted, words)
                .with("quota", "unverified")
                .with("most", terms.tenants)
                .permanent());
        }
        let sql = "INSERT INTO fresco_server.trials (tenant_id, user_id, expires_at)
                   VALUES ($1, $2, now() + make_interval(secs => $3))";
        let life = terms.life.as_secs_f64();
        transaction.execute(sql, &[&tenant.as_uuid(), &user.id, &life]).await.mapped()?;
        Ok(true)
    }

    /// Frees the place of a tenant that is not there, or no more.
    ///
    /// # Errors
    /// The database's own.
    pub async fn end_trial(&self, tenant: TenantId) -> Result<()> {
        call("accounts.end_trial", async {
            let sql = "DELETE FROM fresco_server.trials WHERE tenant_id = $1";
            self.database().client().await?.execute(sql, &[&tenant.as_uuid()]).await.mapped()?;
            Ok(())
        })
        .await
    }

    /// All such tenants. Those whose owner has verified their address by now are none any more.
    /// Where addresses can't be verified, there are none.
    ///
    /// # Errors
    /// The database's own.
    pub async fn trials(&self) -> Result<Vec<Trial>> {
        if self.trial().is_none() {
            return Ok(Vec::new());
        }
        call("accounts.trials", async {
            let client = self.database().client().await?;
            let sql = "DELETE FROM fresco_server.trials t USING fresco_server.users u
                       WHERE u.id = t.user_id AND u.email_verified_at IS NOT NULL";
            client.execute(sql, &[]).await.mapped()?;
            let sql = "SELECT t.tenant_id, t.expires_at <= now() AND u.suspended_at IS NULL
                       FROM fresco_server.trials t
                       LEFT JOIN fresco_server.users u ON u.id = t.user_id
                       ORDER BY t.expires_at";
            let rows = client.query(sql, &[]).await.mapped()?;
            let read = |row: &Row| Trial { tenant: tenant(row), due: row.get(1) };
            Ok(rows.iter().map(read).collect())
        })
        .await
    }

    /// Whether this tenant's time is over now, and its owner's address still not verified. Those of
    /// suspended people are kept, stopped, for who looks into it.
    ///
    /// # Errors
    /// The database's own.
    pub async fn is_due(&self, tenant: TenantId) -> Result<bool> {
        call("accounts.is_due", async {
            let sql = "SELECT EXISTS (
                        SELECT FROM fresco_server.trials t
                        LEFT JOIN fresco_server.users u ON u.id = t.user_id
                        WHERE t.tenant_id = $1 AND t.expires_at <= now()
                          AND u.email_verified_at IS NULL AND u.suspended_at IS NULL)";
            let client = self.database().client().await?;
            Ok(client.query_one(sql, &[&tenant.as_uuid()]).await.mapped()?.get(0))
        })
        .await
    }

    /// When this person's tenants end unless they verify their address.
    ///
    /// # Errors
    /// The database's own.
    pub async fn expiries(&self, user: &User) -> Result<BTreeMap<TenantId, DateTime<Utc>>> {
        if self.trial_terms(user).is_none() {
            return Ok(BTreeMap::new());
        }
        call("accounts.expiries", async {
            let sql = "SELECT tenant_id, expires_at FROM fresco_server.trials WHERE user_id = $1";
            let client = self.database().client().await?;
            let rows = client.query(sql, &[&user.id]).await.mapped()?;
            Ok(rows.iter().map(|row| (tenant(row), row.get(1))).collect())
        })
        .await
    }

    /// What holds for this person's tenants, if it is not as for others'. Where only people of some
    /// domains may sign up, who has merely typed such an address has no tenants.
    fn trial_terms(&self, user: &User) -> Option<TrialTerms> {
        let terms = self.trial().filter(|_| user.email_verified_at.is_none())?;
        match self.signup() {
            SignupPolicy::Domains(_) => Some(TrialTerms { tenants: 0, ..terms }),
            SignupPolicy::Open | SignupPolicy::Invite | SignupPolicy::Closed => Some(terms),
        }
    }
}

fn tenant(row: &Row) -> TenantId {
    TenantId::from_uuid(row.get::<_, Uuid>(0))
}
