//! A worker's fenced write, and what every write of an operation has in common.

use chrono::{DateTime, Utc};
use deadpool_postgres::{Pool, Transaction};
use fresco_core::{Change, Entry, Lease, Operation, Result, TenantStatus};
use uuid::Uuid;

use super::environment::Keys;
use super::events::hint;
use super::lease::lost;
use super::rows::{self, OPERATION, name, operation_to_json, spec_to_json, to_json};
use crate::errors::Mapped;
use crate::server::take;

pub(super) async fn record(
    pool: &Pool,
    keys: Keys<'_>,
    lease: &Lease,
    entry: &Entry,
) -> Result<Operation> {
    let mut client = take(pool).await?;
    let transaction = client.transaction().await.mapped()?;
    // The fence. From here to the end nobody else can raise the generation.
    let generation: i64 = transaction
        .query_opt(
            "SELECT generation FROM fresco.tenants WHERE id = $1 FOR NO KEY UPDATE",
            &[&lease.tenant.id.as_uuid()],
        )
        .await
        .mapped()?
        .ok_or_else(|| lost(lease))?
        .try_get(0)
        .mapped()?;
    if generation != lease.generation().number() {
        return Err(lost(lease));
    }
    // The generation stays when a lease is handed back or its operation ends; the holder does not.
    let sql = format!(
        "SELECT {OPERATION}, clock_timestamp() FROM fresco.operations
         WHERE id = $1 AND worker = $2 AND generation = $3 FOR NO KEY UPDATE"
    );
    let row = transaction
        .query_opt(&sql, &[&lease.operation.id.as_uuid(), &lease.worker.as_uuid(), &generation])
        .await
        .mapped()?
        .ok_or_else(|| lost(lease))?;
    let mut operation = rows::operation(&row, 0, keys)?;
    let now = row.try_get(2).mapped()?;
    let mut state = entry.tenant.clone();
    state.note_destroyed(now);

    let (spec, owner, subdomain) = match &entry.spec {
        Some(spec) => {
            let json = spec_to_json(spec, lease.tenant.id, keys)?;
            (Some(json), Some(spec.owner.as_str()), Some(spec.subdomain.as_str()))
        }
        None => (None, None, None),
    };
    transaction
        .execute(
            "UPDATE fresco.tenants SET state = $2, status = $3, spec = coalesce($4, spec),
                owner = coalesce($5, owner), subdomain = coalesce($6, subdomain)
             WHERE id = $1",
            &[
                &lease.tenant.id.as_uuid(),
                &to_json(&state)?,
                &state.status.as_str(),
                &spec,
                &owner,
                &subdomain,
            ],
        )
        .await
        .mapped()?;
    transaction
        .execute(
            "UPDATE fresco.operations SET stage = $2 WHERE id = $1",
            &[&operation.id.as_uuid(), &to_json(&entry.stage)?],
        )
        .await
        .mapped()?;
    if let Some(change) = &entry.change {
        apply(&transaction, keys, &mut operation, change, now).await?;
    }
    if state.status == TenantStatus::Destroyed {
        forget_last_lines(&transaction, lease.tenant.id.as_uuid()).await?;
    }
    transaction.commit().await.mapped()?;
    Ok(operation)
}

/// Removes what the app of this tenant said before it failed: it may be of its data.
async fn forget_last_lines(transaction: &Transaction<'_>, tenant: Uuid) -> Result<()> {
    for sql in [
        "UPDATE fresco.operations SET data = data #- '{error,logTail}'
         WHERE tenant = $1 AND data #> '{error,logTail}' IS NOT NULL",
        "UPDATE fresco.events SET data = data #- '{error,logTail}'
         WHERE operation IN (SELECT id FROM fresco.operations WHERE tenant = $1)
            AND data #> '{error,logTail}' IS NOT NULL",
        // Why it was undone.
        "UPDATE fresco.operations SET stage = stage #- '{failure,logTail}'
         WHERE tenant = $1 AND stage #> '{failure,logTail}' IS NOT NULL",
    ] {
        transaction.execute(sql, &[&tenant]).await.mapped()?;
    }
    Ok(())
}

/// Takes in a change: writes the operation and its next event, and hints at it. What finishes the
/// operation ends its lease. The caller holds the lock on the tenant's row.
pub(super) async fn apply(
    transaction: &Transaction<'_>,
    keys: Keys<'_>,
    operation: &mut Operation,
    change: &Change,
    now: DateTime<Utc>,
) -> Result<()> {
    operation.apply(change, now);
    let id: Uuid = operation.id.as_uuid();
    let data = operation_to_json(operation, keys)?;
    let seq: i64 = transaction
        .query_one(
            "UPDATE fresco.operations SET data = $2, status = $3, seq = seq + 1,
                worker = CASE WHEN $4 THEN NULL ELSE worker END,
                generation = CASE WHEN $4 THEN NULL ELSE generation END,
                lease_until = CASE WHEN $4 THEN NULL ELSE lease_until END
             WHERE id = $1 RETURNING seq",
            &[&id, &data, &name(operation.status)?, &operation.status.is_finished()],
        )
        .await
        .mapped()?
        .try_get(0)
        .mapped()?;
    transaction
        .execute(
            "INSERT INTO fresco.events (operation, seq, data)
             VALUES ($1, $2, $3::jsonb - '{target,previous}'::text[])",
            &[&id, &seq, &data],
        )
        .await
        .mapped()?;
    hint(transaction, operation.id).await
}
