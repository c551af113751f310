//! Accepting tenants and operations.

use std::time::Instant;

use deadpool_postgres::{GenericClient, Pool, Transaction};
use fresco_core::{
    Action, Change, Error, ErrorKind, Failure, Generation, NewOperation, Operation, Result, Stage,
    Target, Tenant, TenantId, TenantSpec, TenantState, TenantStatus,
};
use tokio::sync::MutexGuard;

use super::environment::Keys;
use super::query::left_out;
use super::quota;
use super::record::apply;
use super::rows::{self, OPERATION, TENANT, name, now, operation_to_json, spec_to_json, to_json};
use crate::errors::{Mapped, from_driver, violates};
use crate::server::take;

/// The lock of those who look for room: "fresco" and a number of its own.
const ADMISSION: i64 = 0x6672_6573_636f_0004;

/// A turn to look for room, and what the last one saw who found none.
pub(super) type Turn<'a> = MutexGuard<'a, Option<Full>>;

/// Who took all the room when somebody was refused.
#[derive(Debug)]
pub(super) struct Full {
    seen: Instant,
    tenants: Vec<Tenant>,
}

/// `asked` is when the request came, `turn` begins with the last refusal on this server: one that was found
/// since the request came holds for it, too. So a crowd before a full platform is answered at once: its turns
/// end before anything of the database is waited for.
pub(super) async fn create(
    pool: &Pool,
    keys: Keys<'_>,
    id: TenantId,
    spec: &TenantSpec,
    new: &NewOperation,
    asked: Instant,
    mut turn: Option<Turn<'_>>,
) -> Result<(Tenant, Operation)> {
    let last = turn.as_ref().and_then(|turn| turn.as_ref());
    if let Some(known) = last.filter(|known| known.seen >= asked && new.needs_room())
        && let Err(refusal) = new.capacity.admit(id, spec, &known.tenants)
    {
        drop(turn);
        return first(&take(pool).await?, keys, id).await?.ok_or(refusal);
    }
    let mut client = take(pool).await?;
    let transaction = client.transaction().await.mapped()?;
    if needs_turn(new) && first(&transaction, keys, id).await?.is_none() {
        queue(&transaction).await?;
        // The same call by another server may have come first.
        if let Some(known) = first(&transaction, keys, id).await? {
            return Ok(known);
        }
        if new.needs_room() {
            let (seen, tenants) = (Instant::now(), occupants(&transaction, keys).await?);
            if let Err(refusal) = new.capacity.admit(id, spec, &tenants) {
                if let Some(full) = &mut turn {
                    **full = Some(Full { seen, tenants });
                }
                return Err(refusal);
            }
        }
        if new.needs_quota() {
            quota::one_more(&transaction, &spec.owner, new).await?;
        }
    }
    let now = now(&transaction).await?;
    let state = TenantState::pending();
    let sql = format!(
        "INSERT INTO fresco.tenants AS t
            (id, owner, subdomain, status, generation, spec, state, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (id) DO NOTHING RETURNING {TENANT}"
    );
    let inserted = transaction
        .query_opt(
            &sql,
            &[
                &id.as_uuid(),
                &spec.owner.as_str(),
                &spec.subdomain.as_str(),
                &state.status.as_str(),
                &Generation::default().next().number(),
                &spec_to_json(spec, id, keys)?,
                &to_json(&state)?,
                &now,
            ],
        )
        .await;
    let inserted = match inserted {
        // A repeat of a call may meet the index of subdomains before it meets its own tenant.
        Err(error) if violates(&error, "tenants_subdomain") => {
            transaction.rollback().await.mapped()?;
            let transaction = client.transaction().await.mapped()?;
            return first(&transaction, keys, id).await?.ok_or_else(|| {
                Error::new(ErrorKind::Conflict, "this subdomain is taken")
                    .with("subdomain", &spec.subdomain)
            });
        }
        other => other.map_err(from_driver)?,
    };
    let Some(row) = inserted else {
        return first(&transaction, keys, id).await?.ok_or_else(|| {
            Error::new(ErrorKind::Internal, "a tenant is there without its first operation")
                .with("tenant", id)
        });
    };
    let tenant = rows::tenant(&row, keys)?;
    // Only now: whoever destroyed the last one of this name has written so, or the row was refused.
    quota::subdomain(&transaction, keys, spec, new).await?;
    let operation = Operation::accept(id, new.clone(), None, now);
    insert(&transaction, keys, &operation).await?;
    transaction.commit().await.mapped()?;
    Ok((tenant, operation))
}

/// Whether what is there must be counted before the operation is accepted.
pub(super) fn needs_turn(new: &NewOperation) -> bool {
    new.needs_room() || new.needs_quota()
}

/// Waits for its turn. Until the transaction's end nobody else is let in: what is written by then
/// counts for the next.
///
/// Whoever comes here holds at most its own tenant's row, which nobody who waits here needs.
async fn queue(transaction: &Transaction<'_>) -> Result<()> {
    let lock = "SELECT pg_advisory_xact_lock($1)";
    transaction.execute(lock, &[&ADMISSION]).await.mapped()?;
    Ok(())
}

/// Who takes room.
async fn occupants(transaction: &Transaction<'_>, keys: Keys<'_>) -> Result<Vec<Tenant>> {
    let sql = format!("SELECT {TENANT} FROM fresco.tenants t WHERE t.status <> 'destroyed'");
    let rows = transaction.query(&sql, &[]).await.mapped()?;
    let mut tenants = Vec::with_capacity(rows.len());
    for row in &rows {
        match rows::tenant(row, keys) {
            Ok(tenant) => tenants.push(tenant),
            Err(error) => left_out(&error),
        }
    }
    Ok(tenants)
}

/// The tenant and its first operation, if it is there.
async fn first(
    client: &impl GenericClient,
    keys: Keys<'_>,
    id: TenantId,
) -> Result<Option<(Tenant, Operation)>> {
    let sql = format!(
        "SELECT {TENANT}, o.data, o.tenant FROM fresco.tenants t
         JOIN fresco.operations o ON o.tenant = t.id
         WHERE t.id = $1 ORDER BY o.created_at, o.id LIMIT 1"
    );
    match client.query_opt(&sql, &[&id.as_uuid()]).await.mapped()? {
        Some(row) => Ok(Some((rows::tenant(&row, keys)?, rows::operation(&row, 5, keys)?))),
        None => Ok(None),
    }
}

pub(super) async fn request(
    pool: &Pool,
    keys: Keys<'_>,
    id: TenantId,
    seen: Generation,
    new: &NewOperation,
) -> Result<Operation> {
    let mut client = take(pool).await?;
    let transaction = client.transaction().await.mapped()?;
    // Everybody who writes a tenant or its operations holds this lock first.
    let sql = format!("SELECT {TENANT} FROM fresco.tenants t WHERE t.id = $1 FOR NO KEY UPDATE");
    let row = transaction.query_opt(&sql, &[&id.as_uuid()]).await.mapped()?;
    if let Some(known) = repeated(&transaction, keys, id, new).await? {
        return Ok(known);
    }
    let tenant = row.as_ref().map(|row| rows::tenant(row, keys)).transpose()?;
    let alive = tenant.filter(|tenant| tenant.state.status != TenantStatus::Destroyed);
    let Some(mut tenant) = alive else {
        return Err(Error::new(ErrorKind::NotFound, "there is no such tenant").with("tenant", id));
    };
    let now = now(&transaction).await?;
    if let Some(mut unfinished) = unfinished(&transaction, keys, id).await? {
        match (new.action, unfinished.action) {
            (Action::Destroy, Action::Destroy) => return Ok(unfinished),
            (Action::Destroy, _) => {
                let cancelled = Change::Failed(Failure::cancelled());
                apply(&transaction, keys, &mut unfinished, &cancelled, now).await?;
            }
            _ => {
                return Err(Error::new(
                    ErrorKind::Conflict,
                    "another operation on this tenant is not finished yet",
                )
                .with("operation", unfinished.id));
            }
        }
    }
    if new.action != Action::Destroy && tenant.generation != seen {
        return Err(Error::new(
            ErrorKind::Conflict,
            "this tenant has changed since it was looked at; look again",
        )
        .with("tenant", id));
    }
    if needs_turn(new) {
        queue(&transaction).await?;
    }
    if new.needs_room() {
        let tenants = occupants(&transaction, keys).await?;
        new.capacity.admit(id, &new.target.spec, &tenants)?;
    }
    if new.needs_quota() {
        quota::creations(&transaction, &tenant.spec.owner, new).await?;
    }
    let previous = (new.action == Action::Update)
        .then(|| Target { spec: tenant.spec.clone(), image: tenant.state.image.clone() });
    tenant.state.accept(new.action);
    transaction
        .execute(
            "UPDATE fresco.tenants SET generation = generation + 1, state = $2, status = $3
             WHERE id = $1",
            &[&id.as_uuid(), &to_json(&tenant.state)?, &tenant.state.status.as_str()],
        )
        .await
        .mapped()?;
    let operation = Operation::accept(id, new.clone(), previous, now);
    insert(&transaction, keys, &operation).await?;
    transaction.commit().await.mapped()?;
    Ok(operation)
}

async fn repeated(
    transaction: &Transaction<'_>,
    keys: Keys<'_>,
    tenant: TenantId,
    new: &NewOperation,
) -> Result<Option<Operation>> {
    let sql = format!("SELECT {OPERATION} FROM fresco.operations WHERE id = $1");
    let Some(row) = transaction.query_opt(&sql, &[&new.id.as_uuid()]).await.mapped()? else {
        return Ok(None);
    };
    let known = rows::operation(&row, 0, keys)?;
    if known.tenant != tenant {
        return Err(Error::new(ErrorKind::Conflict, "this id is that of another operation")
            .with("operation", new.id));
    }
    Ok(Some(known))
}

async fn unfinished(
    transaction: &Transaction<'_>,
    keys: Keys<'_>,
    id: TenantId,
) -> Result<Option<Operation>> {
    let sql = format!(
        "SELECT {OPERATION} FROM fresco.operations
         WHERE tenant = $1 AND status NOT IN ('success', 'failed') FOR NO KEY UPDATE"
    );
    let row = transaction.query_opt(&sql, &[&id.as_uuid()]).await.mapped()?;
    row.map(|row| rows::operation(&row, 0, keys)).transpose()
}

async fn insert(
    transaction: &Transaction<'_>,
    keys: Keys<'_>,
    operation: &Operation,
) -> Result<()> {
    let stage = Stage::first(operation.action);
    let inserted = transaction
        .execute(
            "INSERT INTO fresco.operations (id, tenant, status, data, stage, created_at)
             VALUES ($1, $2, $3, $4, $5, $6)",
            &[
                &operation.id.as_uuid(),
                &operation.tenant.as_uuid(),
                &name(operation.status)?,
                &operation_to_json(operation, keys)?,
                &to_json(&stage)?,
                &operation.created_at,
            ],
        )
        .await;
    match inserted {
        Ok(_) => Ok(()),
        Err(error) if violates(&error, "operations_pkey") => {
            Err(Error::new(ErrorKind::Conflict, "this id is that of another operation")
                .with("operation", operation.id))
        }
        Err(error) => Err(from_driver(error)),
    }
}
