//! What one owner may have, counted under the lock of those who are let in.

use chrono::{DateTime, Utc};
use deadpool_postgres::Transaction;
use fresco_core::{Action, NewOperation, OwnerId, Quota, Result, TenantSpec, TenantStatus};

use super::environment::Keys;
use super::rows::{self, TENANT, name, now, seconds};
use crate::errors::Mapped;

/// Refuses a further tenant of an owner who may have none.
pub(super) async fn one_more(
    transaction: &Transaction<'_>,
    owner: &OwnerId,
    new: &NewOperation,
) -> Result<()> {
    let sql = "SELECT count(*) FROM fresco.tenants t WHERE t.owner = $1 AND t.status <> $2";
    let gone = TenantStatus::Destroyed.as_str();
    let row = transaction.query_one(sql, &[&owner.as_str(), &gone]).await.mapped()?;
    let tenants: i64 = row.try_get(0).mapped()?;
    new.quota.admit_tenant(tenants.unsigned_abs())?;
    creations(transaction, owner, new).await
}

/// Refuses a further creation of an owner who has asked for too many lately.
pub(super) async fn creations(
    transaction: &Transaction<'_>,
    owner: &OwnerId,
    new: &NewOperation,
) -> Result<()> {
    if new.quota.creations_per_hour.is_none() {
        return Ok(());
    }
    let sql = "SELECT o.created_at FROM fresco.operations o
               JOIN fresco.tenants t ON t.id = o.tenant
               WHERE t.owner = $1 AND o.data->>'action' = $2
                 AND o.created_at > clock_timestamp() - make_interval(secs => $3)
               ORDER BY o.created_at";
    let (action, hour) = (name(Action::Create)?, seconds(Quota::HOUR));
    let rows = transaction.query(sql, &[&owner.as_str(), &action, &hour]).await.mapped()?;
    let times = rows.iter().map(|row| row.try_get(0).mapped());
    let recent: Vec<DateTime<Utc>> = times.collect::<Result<_>>()?;
    new.quota.admit_creation(&recent, now(transaction).await?)
}

/// Refuses a subdomain that is kept for another owner. The caller has it already, in a write that is
/// not committed yet: so whatever becomes a tombstone of this name has become one.
pub(super) async fn subdomain(
    transaction: &Transaction<'_>,
    keys: Keys<'_>,
    spec: &TenantSpec,
    new: &NewOperation,
) -> Result<()> {
    if new.quota.cooldown.is_zero() {
        return Ok(());
    }
    let sql = format!(
        "SELECT {TENANT} FROM fresco.tenants t
         WHERE t.subdomain = $1 AND t.status = $2 AND t.state->>'first_active_at' IS NOT NULL
         ORDER BY (t.state->>'destroyed_at')::timestamptz DESC NULLS LAST LIMIT 1"
    );
    let gone = TenantStatus::Destroyed.as_str();
    let found = transaction.query_opt(&sql, &[&spec.subdomain.as_str(), &gone]).await.mapped()?;
    let last = found.as_ref().map(|row| rows::tenant(row, keys)).transpose()?;
    let now = now(transaction).await?;
    new.quota.admit_subdomain(&spec.owner, &spec.subdomain, last.as_ref(), now)
}
