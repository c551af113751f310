//! Requests that may come again.

use deadpool_postgres::Transaction;
use fresco_core::{Error, ErrorKind, Result, TenantId};
use uuid::Uuid;

use super::Accounts;
use super::database::{Mapped, call};

/// Bytes of a key.
const LONGEST: usize = 255;

impl Accounts {
    /// The tenant that this request of a person makes: named when it first came, and the same
    /// whenever it comes again within a day. `None` when the key came with another body.
    ///
    /// # Errors
    /// `Invalid` for a key that is empty, longer than 255 bytes or not visible ASCII; the
    /// database's own.
    pub async fn tenant_for_key(
        &self,
        user: Uuid,
        request: &'static str,
        key: &str,
        body: &[u8],
    ) -> Result<Option<TenantId>> {
        check(key)?;
        let hash = self.keys().bodies.hash(body);
        call("accounts.tenant_for_key", async {
            let mut client = self.database().client().await?;
            let transaction = client.transaction().await.mapped()?;
            let wish = Wish { user, request, key, hash: &hash };
            let (same, tenant) = wish.first(&transaction, TenantId::new().as_uuid()).await?;
            transaction.commit().await.mapped()?;
            Ok(same.then(|| TenantId::from_uuid(tenant)))
        })
        .await
    }
}

/// # Errors
/// `Invalid` for a key that is empty, longer than 255 bytes or not visible ASCII.
pub(super) fn check(key: &str) -> Result<()> {
    if key.is_empty() || key.len() > LONGEST || !key.bytes().all(|b| b.is_ascii_graphic()) {
        let words = "an Idempotency-Key has 1 to 255 visible ASCII characters, no blank";
        return Err(Error::new(ErrorKind::Invalid, words).with("field", "Idempotency-Key"));
    }
    Ok(())
}

/// A request of a person, under a key of their own.
pub(super) struct Wish<'a> {
    pub(super) user: Uuid,
    pub(super) request: &'static str,
    pub(super) key: &'a str,
    /// Of the body.
    pub(super) hash: &'a [u8],
}

impl Wish<'_> {
    /// Keeps the id of what this request makes, if it is the first of this key within a day. The id that is
    /// kept, and whether that request had the same body.
    pub(super) async fn first(
        &self,
        transaction: &Transaction<'_>,
        made: Uuid,
    ) -> Result<(bool, Uuid)> {
        let Self { user, request, key, hash } = self;
        // This one's own row, too, when its day is over; whoever else removes it is waited for.
        transaction
            .execute(
                "DELETE FROM fresco_server.idempotency_keys
                 WHERE actor = $1 AND call = $2 AND key = $3 AND expires_at <= now()",
                &[user, request, key],
            )
            .await
            .mapped()?;
        transaction
            .execute(
                "DELETE FROM fresco_server.idempotency_keys WHERE (actor, call, key) IN (
                    SELECT actor, call, key FROM fresco_server.idempotency_keys
                    WHERE expires_at <= now() ORDER BY expires_at LIMIT 100
                    FOR UPDATE SKIP LOCKED)",
                &[],
            )
            .await
            .mapped()?;
        // The column has its name of the first call that took such keys.
        let seconds = Accounts::IDEMPOTENCY.as_secs_f64();
        transaction
            .execute(
                "INSERT INTO fresco_server.idempotency_keys
                    (actor, call, key, body_hash, tenant_id, expires_at)
                 VALUES ($1, $2, $3, $4, $5, now() + make_interval(secs => $6))
                 ON CONFLICT DO NOTHING",
                &[user, request, key, hash, &made, &seconds],
            )
            .await
            .mapped()?;
        let sql = "SELECT body_hash, tenant_id FROM fresco_server.idempotency_keys
                   WHERE actor = $1 AND call = $2 AND key = $3";
        let row = transaction.query_one(sql, &[user, request, key]).await.mapped()?;
        Ok((row.get::<_, &[u8]>(0) == *hash, row.get(1)))
    }
}
