//! Leases: who works on an operation.

use std::ops::ControlFlow;
use std::time::Duration;

use deadpool_postgres::{Pool, Transaction};
use fresco_core::{Error, ErrorKind, Lease, LeaseTerms, OperationId, Result, TenantId, WorkerId};
use tokio_postgres::Row;
use uuid::Uuid;

use super::environment::Keys;
use super::rows::{self, GENERATION, OPERATION, TENANT, from_json, seconds};
use crate::errors::Mapped;
use crate::server::take;

/// Seconds for which an operation that can't be read is left alone.
const REST: f64 = 60.0;

/// One that can't be read, such as one of a newer version, keeps nobody from the others.
pub(super) async fn lease(
    pool: &Pool,
    keys: Keys<'_>,
    worker: WorkerId,
    terms: &LeaseTerms,
) -> Result<Option<Lease>> {
    let mut client = take(pool).await?;
    loop {
        if let ControlFlow::Break(lease) = next(&mut client, keys, worker, terms).await? {
            return Ok(lease);
        }
    }
}

/// A lease of what is next, if there is something. `Continue`: it can't be read, and was put off.
async fn next(
    client: &mut deadpool_postgres::Client,
    keys: Keys<'_>,
    worker: WorkerId,
    terms: &LeaseTerms,
) -> Result<ControlFlow<Option<Lease>>> {
    let mut transaction = client.transaction().await.mapped()?;
    // Writers lock a tenant first and its operation then. Here it is the other way round, but
    // nothing that is locked is waited for, so nobody waits for each other.
    let candidate = transaction
        .query_opt(
            "SELECT o.id, o.tenant FROM fresco.operations o
             JOIN fresco.tenants t ON t.id = o.tenant
             WHERE o.status NOT IN ('success', 'failed')
               AND (o.worker IS NULL OR o.lease_until <= clock_timestamp())
               AND (o.not_before IS NULL OR o.not_before <= clock_timestamp())
             ORDER BY o.created_at, o.id LIMIT 1
             FOR NO KEY UPDATE OF o, t SKIP LOCKED",
            &[],
        )
        .await
        .mapped()?;
    let Some(candidate) = candidate else { return Ok(ControlFlow::Break(None)) };
    let operation = OperationId::from_uuid(candidate.try_get(0).mapped()?);
    let tenant = TenantId::from_uuid(candidate.try_get(1).mapped()?);

    let attempt = transaction.transaction().await.mapped()?;
    let (of_tenant, of_operation) = claim(&attempt, worker, terms, tenant, operation).await?;
    let next = match leased(keys, worker, &of_tenant, &of_operation) {
        Ok(lease) => {
            attempt.commit().await.mapped()?;
            ControlFlow::Break(Some(lease))
        }
        Err(error) => {
            tracing::error!(
                %operation,
                %tenant,
                error = error.chain(),
                "an operation can't be read and is left alone for {REST} s; the others go on"
            );
            attempt.rollback().await.mapped()?;
            let sql = "UPDATE fresco.operations
                       SET not_before = clock_timestamp() + make_interval(secs => $2) WHERE id = $1";
            transaction.execute(sql, &[&operation.as_uuid(), &REST]).await.mapped()?;
            ControlFlow::Continue(())
        }
    };
    transaction.commit().await.mapped()?;
    Ok(next)
}

/// Writes the lease. Returns the rows of the tenant and of the operation, as they are now.
async fn claim(
    transaction: &Transaction<'_>,
    worker: WorkerId,
    terms: &LeaseTerms,
    tenant: TenantId,
    operation: OperationId,
) -> Result<(Row, Row)> {
    let sql = format!(
        "UPDATE fresco.tenants t SET generation = t.generation + 1 WHERE t.id = $1
         RETURNING {TENANT}"
    );
    let of_tenant = transaction.query_one(&sql, &[&tenant.as_uuid()]).await.mapped()?;
    // A worker that is still named died: it neither finished nor handed the lease back. The time
    // until somebody noticed does not count against the operation.
    let sql = format!(
        "UPDATE fresco.operations SET
            deaths = deaths + (worker IS NOT NULL)::integer,
            deadline = CASE WHEN worker IS NOT NULL OR deadline IS NULL
                       THEN clock_timestamp() + make_interval(secs => $5) ELSE deadline END,
            worker = $2, generation = $3, not_before = NULL,
            lease_until = clock_timestamp() + make_interval(secs => $4)
         WHERE id = $1
         RETURNING {OPERATION}, stage, deaths,
            extract(epoch FROM deadline - clock_timestamp())::double precision"
    );
    let of_operation = transaction
        .query_one(
            &sql,
            &[
                &operation.as_uuid(),
                &worker.as_uuid(),
                &of_tenant.try_get::<_, i64>(GENERATION).mapped()?,
                &seconds(terms.ttl),
                &seconds(terms.budget),
            ],
        )
        .await
        .mapped()?;
    Ok((of_tenant, of_operation))
}

/// The lease that these rows tell of.
fn leased(keys: Keys<'_>, worker: WorkerId, of_tenant: &Row, of_operation: &Row) -> Result<Lease> {
    Ok(Lease::new(
        worker,
        rows::tenant(of_tenant, keys)?,
        rows::operation(of_operation, 0, keys)?,
        from_json(of_operation.try_get(2).mapped()?, "operations.stage")?,
        u32::try_from(of_operation.try_get::<_, i32>(3).mapped()?).unwrap_or(0),
        Duration::from_secs_f64(of_operation.try_get::<_, f64>(4).mapped()?.max(0.0)),
    ))
}

/// What holds as long as a lease is not lost; `$1` to `$3` are [`held`]'s. A new lease and a
/// destroy both write the operation's row, so this alone is the fence of what touches no tenant.
const HELD: &str = "id = $1 AND worker = $2 AND generation = $3";

fn held(lease: &Lease) -> (Uuid, Uuid, i64) {
    (lease.operation.id.as_uuid(), lease.worker.as_uuid(), lease.generation().number())
}

pub(super) async fn renew(pool: &Pool, lease: &Lease, ttl: Duration) -> Result<()> {
    let client = take(pool).await?;
    let sql = format!(
        "UPDATE fresco.operations
         SET lease_until = clock_timestamp() + make_interval(secs => $4) WHERE {HELD}"
    );
    let (operation, worker, generation) = held(lease);
    let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 4] =
        [&operation, &worker, &generation, &seconds(ttl)];
    match client.execute(&sql, &parameters).await.mapped()? {
        0 => Err(lost(lease)),
        _ => Ok(()),
    }
}

pub(super) async fn release(pool: &Pool, lease: &Lease, retry_after: Duration) -> Result<()> {
    let client = take(pool).await?;
    let sql = format!(
        "UPDATE fresco.operations SET worker = NULL, generation = NULL, lease_until = NULL,
            not_before = clock_timestamp() + make_interval(secs => $4) WHERE {HELD}"
    );
    let (operation, worker, generation) = held(lease);
    let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 4] =
        [&operation, &worker, &generation, &seconds(retry_after)];
    match client.execute(&sql, &parameters).await.mapped()? {
        0 => Err(lost(lease)),
        _ => Ok(()),
    }
}

pub(super) fn lost(lease: &Lease) -> Error {
    Error::new(ErrorKind::LeaseLost, "somebody else works on this tenant now")
        .with("operation", lease.operation.id)
        .with("generation", lease.generation())
}
