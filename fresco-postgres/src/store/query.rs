//! Reading.

use deadpool_postgres::Pool;
use fresco_core::{
    Error, ErrorKind, Operation, OperationId, OperationPage, OperationQuery, OperationStatus,
    PlatformId, Result, TenantId, TenantPage, TenantQuery, TenantStatus,
};
use uuid::Uuid;

use super::environment::Keys;
use super::rows::{self, OPERATION, TENANT, from_json, to_json};
use crate::errors::Mapped;
use crate::server::take;

pub(super) async fn platform(pool: &Pool) -> Result<PlatformId> {
    let client = take(pool).await?;
    let read = "SELECT id FROM fresco.platform";
    if let Some(row) = client.query_opt(read, &[]).await.map_err(missing_tables)? {
        return Ok(PlatformId::from_uuid(row.try_get(0).mapped()?));
    }
    // Of two that come here at the same time, the second waits for the first, and makes none.
    let make = "INSERT INTO fresco.platform (id) VALUES ($1) ON CONFLICT DO NOTHING";
    client.execute(make, &[&PlatformId::new().as_uuid()]).await.mapped()?;
    let row = client.query_one(read, &[]).await.mapped()?;
    Ok(PlatformId::from_uuid(row.try_get(0).mapped()?))
}

fn missing_tables(error: tokio_postgres::Error) -> Error {
    use tokio_postgres::error::SqlState;
    if error.code() == Some(&SqlState::UNDEFINED_TABLE) {
        return Error::new(
            ErrorKind::Invalid,
            "this database holds no tables of the platform; let the store migrate first",
        );
    }
    crate::errors::from_driver(error)
}

pub(super) async fn tenants(
    pool: &Pool,
    keys: Keys<'_>,
    query: &TenantQuery,
) -> Result<TenantPage> {
    // The same conditions as `TenantQuery::matches`. The count comes with every row, and with a
    // row of nothing when the page is empty.
    let sql = format!(
        "WITH matching AS (
            SELECT {TENANT} FROM fresco.tenants t
            WHERE ($1::uuid IS NULL OR t.id = $1)
              AND ($2::text IS NULL OR t.owner = $2)
              AND ($3::text IS NULL OR t.subdomain = $3)
              AND ($4::text IS NULL OR strpos(t.subdomain, $4) > 0)
              AND ($5::text IS NULL OR t.status = $5)
              AND ($6 OR t.status <> $7)
         ), page AS (
            SELECT * FROM matching ORDER BY created_at DESC, id DESC
            OFFSET $8 LIMIT nullif($9::bigint, 0)
         )
         SELECT t.*, total.count, total.at
         FROM (SELECT count(*), clock_timestamp() AS at FROM matching) total LEFT JOIN page t ON true
         ORDER BY t.created_at DESC, t.id DESC"
    );
    let owner = query.owner.as_ref().map(|owner| owner.as_str());
    let subdomain = query.subdomain.as_ref().map(|name| name.as_str());
    let status = query.status.map(TenantStatus::as_str);
    let tombstones = query.destroyed || query.id.is_some() || query.status.is_some();
    let client = take(pool).await?;
    let rows = client
        .query(
            &sql,
            &[
                &query.id.map(TenantId::as_uuid),
                &owner,
                &subdomain,
                &query.search,
                &status,
                &tombstones,
                &TenantStatus::Destroyed.as_str(),
                &i64::try_from(query.offset).unwrap_or(i64::MAX),
                &i64::try_from(query.limit).unwrap_or(i64::MAX),
            ],
        )
        .await
        .mapped()?;
    let missing = || Error::new(ErrorKind::Internal, "a count came without its row");
    let first = rows.first().ok_or_else(missing)?;
    let total = u64::try_from(first.try_get::<_, i64>(5).mapped()?).unwrap_or(0);
    let at = first.try_get(6).mapped()?;
    let mut page = TenantPage { tenants: Vec::with_capacity(rows.len()), total, at };
    // Whoever asks for this one must not be told that there is none.
    let for_one = query.id.is_some() || query.subdomain.is_some();
    for row in &rows {
        let Some(id) = row.try_get::<_, Option<Uuid>>(0).mapped()? else { continue };
        let id = TenantId::from_uuid(id);
        let named = |error: Error| match error.context("tenant") {
            Some(_) => error,
            None => error.with("tenant", id),
        };
        match rows::tenant(row, keys).map_err(named) {
            Ok(tenant) => page.tenants.push(tenant),
            Err(error) if for_one => return Err(error),
            Err(error) => left_out(&error),
        }
    }
    Ok(page)
}

pub(super) async fn operation(pool: &Pool, keys: Keys<'_>, id: OperationId) -> Result<Operation> {
    let client = take(pool).await?;
    let sql = format!("SELECT {OPERATION} FROM fresco.operations WHERE id = $1");
    match client.query_opt(&sql, &[&id.as_uuid()]).await.mapped()? {
        Some(row) => rows::operation(&row, 0, keys).map_err(|error| error.with("operation", id)),
        None => Err(unknown(id)),
    }
}

pub(super) async fn operations(
    pool: &Pool,
    keys: Keys<'_>,
    tenant: TenantId,
    limit: u32,
) -> Result<Vec<Operation>> {
    let client = take(pool).await?;
    let sql = format!(
        "SELECT {OPERATION}, id, status IN ('success', 'failed') FROM fresco.operations
         WHERE tenant = $1 ORDER BY created_at DESC, id DESC LIMIT $2"
    );
    let rows = client.query(&sql, &[&tenant.as_uuid(), &i64::from(limit)]).await.mapped()?;
    let mut operations = Vec::with_capacity(rows.len());
    for row in &rows {
        let id = OperationId::from_uuid(row.try_get(2).mapped()?);
        let finished: bool = row.try_get(3).mapped()?;
        match rows::operation(row, 0, keys).map_err(|error| error.with("operation", id)) {
            Ok(operation) => operations.push(operation),
            // Without it, it would look as if nobody worked on this tenant.
            Err(error) if !finished => return Err(error.with("tenant", tenant)),
            Err(error) => left_out(&error),
        }
    }
    Ok(operations)
}

pub(super) async fn history(
    pool: &Pool,
    keys: Keys<'_>,
    query: &OperationQuery,
) -> Result<OperationPage> {
    // The same conditions as `OperationQuery::matches`; the count comes as with tenants.
    let sql = format!(
        "WITH matching AS (
            SELECT {OPERATION}, id, created_at FROM fresco.operations
            WHERE ($1::uuid[] IS NULL OR tenant = ANY ($1))
              AND ($2::text IS NULL OR status = $2)
              AND ($3::jsonb IS NULL OR data->'action' = $3)
              AND (NOT $6 OR status NOT IN ('success', 'failed'))
         ), page AS (
            SELECT * FROM matching ORDER BY created_at DESC, id DESC
            OFFSET $4 LIMIT nullif($5::bigint, 0)
         )
         SELECT page.data, page.tenant, page.id, to_jsonb(t.subdomain), total.count
         FROM (SELECT count(*) FROM matching) total
         LEFT JOIN page ON true LEFT JOIN fresco.tenants t ON t.id = page.tenant
         ORDER BY page.created_at DESC, page.id DESC"
    );
    let client = take(pool).await?;
    let action = query.action.map(|action| to_json(&action)).transpose()?;
    let tenants = query.tenants.as_ref();
    let tenants = tenants.map(|ids| ids.iter().map(|id| id.as_uuid()).collect::<Vec<_>>());
    let rows = client
        .query(
            &sql,
            &[
                &tenants,
                &query.status.map(OperationStatus::as_str),
                &action,
                &i64::try_from(query.offset).unwrap_or(i64::MAX),
                &i64::try_from(query.limit).unwrap_or(i64::MAX),
                &query.unfinished,
            ],
        )
        .await
        .mapped()?;
    let missing = || Error::new(ErrorKind::Internal, "a count came without its row");
    let first = rows.first().ok_or_else(missing)?;
    let total = u64::try_from(first.try_get::<_, i64>(4).mapped()?).unwrap_or(0);
    let mut operations = Vec::with_capacity(rows.len());
    for row in &rows {
        let Some(id) = row.try_get::<_, Option<Uuid>>(2).mapped()? else { continue };
        let id = OperationId::from_uuid(id);
        let found = rows::operation(row, 0, keys).and_then(|operation| {
            Ok((from_json(row.try_get(3).mapped()?, "tenants.subdomain")?, operation))
        });
        match found.map_err(|error| error.with("operation", id)) {
            Ok(found) => operations.push(found),
            Err(error) => left_out(&error),
        }
    }
    Ok(OperationPage { operations, total })
}

/// One row that can't be read must not hide the others.
pub(super) fn left_out(error: &Error) {
    tracing::error!(error = error.chain(), "a row of the store can't be read; a list lacks it");
}

pub(super) fn unknown(id: OperationId) -> Error {
    Error::new(ErrorKind::NotFound, "there is no such operation").with("operation", id)
}
