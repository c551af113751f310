//! Which apps have no owner yet, and who may go in to become it.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use deadpool_postgres::Transaction;
use fresco_core::{Result, TenantId};
use secrecy::{ExposeSecret, SecretString};

use super::Accounts;
use super::database::{Mapped, call};
use super::token::is_token;

/// A tenant whose app gives itself to its first visitor.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Claim {
    /// The tenant.
    pub tenant: TenantId,
    /// When somebody who had used a link first came back with the pass, as a browser does at once and
    /// a program that looks at links does not. [`Accounts::CLAIM`] later it opens by itself.
    pub entered_at: Option<DateTime<Utc>>,
    /// Whether everybody may reach the app.
    pub open: bool,
    link: Vec<u8>,
    pass: Option<Vec<u8>>,
}

const CLAIM: &str = "link, pass, entered_at,
    opened_at IS NOT NULL OR coalesce(entered_at + make_interval(secs => $2) <= now(), false)";

impl Accounts {
    /// How long somebody who came in by a link has the app alone, at most.
    pub const CLAIM: Duration = Duration::from_secs(2 * 60 * 60);

    /// Whether this can be the word of a link, or a pass: no other text has to be looked up.
    pub(crate) fn is_token(text: &str) -> bool {
        is_token(text)
    }

    /// Keeps everybody from a tenant's app from now on, unless that was said before.
    ///
    /// # Errors
    /// The database's own.
    pub async fn close_claim(&self, tenant: TenantId) -> Result<()> {
        let (_, link) = self.keys().claims.issue()?;
        call("accounts.close_claim", async {
            let sql = "INSERT INTO fresco_server.claims (tenant, link) VALUES ($1, $2)
                       ON CONFLICT DO NOTHING";
            let client = self.database().client().await?;
            client.execute(sql, &[&tenant.as_uuid(), &link]).await.mapped()?;
            Ok(())
        })
        .await
    }

    /// How it stands with a tenant's app; `None` when it was never kept from anybody.
    ///
    /// # Errors
    /// The database's own.
    pub async fn claim(&self, tenant: TenantId) -> Result<Option<Claim>> {
        let sql = format!("SELECT {CLAIM} FROM fresco_server.claims WHERE tenant = $1");
        call("accounts.claim", async {
            let client = self.database().client().await?;
            let seconds = Self::CLAIM.as_secs_f64();
            let row = client.query_opt(&sql, &[&tenant.as_uuid(), &seconds]).await.mapped()?;
            Ok(row.map(|row| Claim {
                tenant,
                link: row.get(0),
                pass: row.get(1),
                entered_at: row.get(2),
                open: row.get(3),
            }))
        })
        .await
    }

    /// Which of these tenants' apps are kept from everybody, for their owners have not been there.
    ///
    /// # Errors
    /// The database's own.
    pub async fn unclaimed(&self, tenants: &[TenantId]) -> Result<BTreeSet<TenantId>> {
        let ids: Vec<_> = tenants.iter().map(|tenant| tenant.as_uuid()).collect();
        if ids.is_empty() {
            return Ok(BTreeSet::new());
        }
        call("accounts.unclaimed", async {
            let sql = "SELECT tenant FROM fresco_server.claims
                       WHERE tenant = ANY($1) AND opened_at IS NULL
                        AND (entered_at IS NULL OR entered_at + make_interval(secs => $2) > now())";
            let client = self.database().client().await?;
            let rows = client.query(sql, &[&ids, &Self::CLAIM.as_secs_f64()]).await.mapped()?;
            Ok(rows.iter().map(|row| TenantId::from_uuid(row.get(0))).collect())
        })
        .await
    }

    /// The word in the owner's link: good for one use. It is kept nowhere.
    #[must_use]
    pub fn claim_word(&self, claim: &Claim) -> SecretString {
        let hash =
            self.keys().claims.hash(&[claim.tenant.as_uuid().as_bytes(), &*claim.link].concat());
        hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into()
    }

    /// Lets in who has the word of this link, and gives the pass by which they are known from now
    /// on. The pass of who came in before is good no more. `None` when the word is wrong, or the
    /// link was used meanwhile.
    ///
    /// # Errors
    /// The database's own.
    pub async fn enter_claim(
        &self,
        claim: &Claim,
        word: &SecretString,
    ) -> Result<Option<SecretString>> {
        // What is compared are hashes, so that the time it takes tells nothing.
        let hash = |word: &SecretString| self.keys().claims.hash(word.expose_secret().as_bytes());
        if hash(word) != hash(&self.claim_word(claim)) {
            return Ok(None);
        }
        let ((pass, hash), (_, next)) = (self.keys().claims.issue()?, self.keys().claims.issue()?);
        call("accounts.enter_claim", async {
            let sql = "UPDATE fresco_server.claims
                       SET link = $3, pass = $4
                       WHERE tenant = $1 AND link = $2";
            let client = self.database().client().await?;
            let values: [&(dyn tokio_postgres::types::ToSql + Sync); 4] =
                [&claim.tenant.as_uuid(), &claim.link, &next, &hash];
            let used = client.execute(sql, &values).await.mapped()?;
            Ok((used == 1).then_some(pass))
        })
        .await
    }

    /// Whether this is the pass of who came in last.
    #[must_use]
    pub fn passes_claim(&self, claim: &Claim, pass: &SecretString) -> bool {
        let hash = self.keys().claims.hash_token(pass);
        hash.is_some() && hash == claim.pass
    }

    /// Remembers that somebody came in with a pass; the first time counts.
    ///
    /// # Errors
    /// The database's own.
    pub async fn came_in(&self, tenant: TenantId) -> Result<()> {
        call("accounts.came_in", async {
            let sql = "UPDATE fresco_server.claims SET entered_at = now()
                       WHERE tenant = $1 AND entered_at IS NULL";
            let client = self.database().client().await?;
            client.execute(sql, &[&tenant.as_uuid()]).await.mapped()?;
            Ok(())
        })
        .await
    }

    /// Begins anew with the apps of these tenants that wait for their owner, with the rest of a
    /// transaction: the links and passes that somebody has are good no more. `forget` that somebody came
    /// in, when that may have been a stranger: then it opens no more by itself.
    pub(super) async fn renew_claims(
        &self,
        transaction: &Transaction<'_>,
        tenants: &[TenantId],
        forget: bool,
    ) -> Result<()> {
        let (_, link) = self.keys().claims.issue()?;
        // One for all will do: the word of a link is also made of the tenant.
        let sql = "UPDATE fresco_server.claims SET link = $2, pass = NULL,
                    entered_at = CASE WHEN $4 THEN NULL ELSE entered_at END
                   WHERE tenant = ANY($1) AND opened_at IS NULL
                    AND (entered_at IS NULL OR entered_at + make_interval(secs => $3) > now())";
        let ids: Vec<_> = tenants.iter().map(|tenant| tenant.as_uuid()).collect();
        let seconds = Self::CLAIM.as_secs_f64();
        transaction.execute(sql, &[&ids, &link, &seconds, &forget]).await.mapped()?;
        Ok(())
    }

    /// Lets everybody reach a tenant's app, for good. It tells whether it was kept from anybody.
    ///
    /// # Errors
    /// The database's own.
    pub async fn open_claim(&self, tenant: TenantId) -> Result<bool> {
        call("accounts.open_claim", async {
            let sql = "UPDATE fresco_server.claims SET opened_at = coalesce(opened_at, now())
                       WHERE tenant = $1";
            let client = self.database().client().await?;
            Ok(client.execute(sql, &[&tenant.as_uuid()]).await.mapped()? == 1)
        })
        .await
    }
}
