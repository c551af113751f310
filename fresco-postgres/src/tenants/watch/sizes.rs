//! How much of the disk tenants take. Only a tenant with a session can take more, so only those are
//! measured.

use std::time::Duration;

use fresco_core::{DatabaseExcess, Isolation, Result};
use tokio::time::Instant;
use tokio_postgres::Client;

use super::eyes::Doing;
use super::{Found, Kept, place};
use crate::errors::Mapped;
use crate::tenants::PostgresTenants;

/// The parts of the limit by which the database that holds schemas has to change before its schemas
/// are added up again: that is a look at each of their files.
const STEP: u64 = 64;

/// The longest time until they are added up again in any case.
const LATEST: Duration = Duration::from_secs(30);

/// The bytes of all relations by their owners, temporary ones too. A relation under a lock that
/// keeps everybody out is left out: to ask for its size would wait. So are large objects, of which
/// this does not tell whose they are.
const OWNERS: &str = "
    SELECT c.relowner::bigint, coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint
    FROM pg_class c
    WHERE c.relkind IN ('r', 'm', 'S') AND c.oid <> 2613
      AND NOT EXISTS (
          SELECT FROM pg_locks l
          WHERE l.relation = c.oid AND l.mode = 'AccessExclusiveLock'
            AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()))
    GROUP BY c.relowner";

/// Who owns most of the large objects. They are all in one table of the server's own, and only
/// their number is told.
const MOST_LARGE_OBJECTS: &str = "
    SELECT lomowner::bigint FROM pg_largeobject_metadata
    GROUP BY lomowner ORDER BY count(*) DESC LIMIT 1";

impl PostgresTenants {
    pub(super) async fn too_large(&self, kept: &mut Kept, ours: &[Doing]) -> Result<Vec<Found>> {
        let limit = self.config.limits.bytes;
        let hand = self.hand(&mut kept.hand).await?;
        let mut found = Vec::new();
        let in_schemas: Vec<_> = ours
            .iter()
            .filter(|one| place(one, &self.config.schema_database) == Some(Isolation::Schema))
            .collect();
        for one in ours {
            if place(one, &self.config.schema_database) == Some(Isolation::Database) {
                let bytes = database_size(&hand.client, &one.tenant.database_name()).await?;
                if bytes > limit {
                    found.push(one.found(DatabaseExcess::Bytes, bytes, limit));
                }
            }
        }
        if !in_schemas.is_empty() {
            let whole = database_size(&hand.client, &self.config.schema_database).await?;
            let known = kept.schemas.is_some_and(|(size, at)| {
                whole.abs_diff(size) < limit / STEP && at.elapsed() < LATEST
            });
            if whole > limit && !known {
                found.extend(schemas(&hand.schemas, whole, limit, &in_schemas).await?);
                kept.schemas = Some((whole, Instant::now()));
            }
        }
        kept.hand = Some(hand);
        Ok(found)
    }
}

/// The bytes of a database's files; 0 if it is gone.
async fn database_size(client: &Client, name: &str) -> Result<u64> {
    let sql = "SELECT pg_database_size(oid) FROM pg_database WHERE datname = $1";
    let row = client.query_opt(sql, &[&name]).await.mapped()?;
    let size: Option<i64> = row.map(|row| row.try_get(0).mapped()).transpose()?.flatten();
    Ok(size.and_then(|size| u64::try_from(size).ok()).unwrap_or(0))
}

/// Whose schema is too large. What no schema accounts for is of large objects, or of a transaction
/// that has not ended yet: then whoever has most of the former, or has been writing for longest.
async fn schemas(
    client: &Client,
    whole: u64,
    limit: u64,
    tenants: &[&Doing],
) -> Result<Vec<Found>> {
    let mut known: u64 = 0;
    let mut found = Vec::new();
    for row in client.query(OWNERS, &[]).await.mapped()? {
        let (role, bytes): (i64, i64) = (row.try_get(0).mapped()?, row.try_get(1).mapped()?);
        let bytes = u64::try_from(bytes).unwrap_or(0);
        known += bytes;
        let owner = tenants.iter().find(|one| one.role == role);
        if let Some(owner) = owner.filter(|_| bytes > limit) {
            found.push(owner.found(DatabaseExcess::Bytes, bytes, limit));
        }
    }
    let hidden = whole.saturating_sub(known);
    if hidden > limit && found.is_empty() {
        let row = client.query_opt(MOST_LARGE_OBJECTS, &[]).await.mapped()?;
        let most: Option<i64> = row.map(|row| row.try_get(0).mapped()).transpose()?;
        let owner = tenants.iter().find(|one| Some(one.role) == most);
        let writers = tenants.iter().filter(|one| one.writing > 0.0);
        let writer = writers.max_by(|a, b| a.writing.total_cmp(&b.writing));
        match owner.or(writer) {
            Some(one) => found.push(one.found(DatabaseExcess::Bytes, hidden, limit)),
            None => tracing::warn!(
                bytes = hidden,
                "the database that holds schemas has grown by what no tenant's schema accounts for"
            ),
        }
    }
    Ok(found)
}
