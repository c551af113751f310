//! How much of the disk tenants take. Only a tenant with a session can take more, so only those are
//! measured.

use std::collections::BTreeMap;
use std::time::Duration;

use fresco_core::{DatabaseExcess, Isolation, Result, TenantId};
use tokio::time::Instant;
use tokio_postgres::Client;

use super::eyes::Doing;
use super::shared::{self, Rest, SETTINGS};
use super::{Found, Kept, place};
use crate::errors::Mapped;
use crate::tenants::PostgresTenants;

/// The parts of the limit by which the database that holds schemas has to change before its schemas
/// are added up again: that is a look at each of their files.
const STEP: u64 = 64;

/// The longest time until they are added up again in any case.
const LATEST: Duration = Duration::from_secs(30);

/// How many rows were ever written in these databases, those of the catalogs included.
const CHANGES: &str = "
    SELECT datname::text, pg_stat_get_db_tuples_inserted(oid) + pg_stat_get_db_tuples_updated(oid)
                          + pg_stat_get_db_tuples_deleted(oid)
    FROM pg_database WHERE datname::text = ANY($1)";

impl PostgresTenants {
    pub(super) async fn too_large(&self, kept: &mut Kept, ours: &[Doing]) -> Result<Vec<Found>> {
        let limit = self.config.limits.bytes;
        let hand = self.hand(&mut kept.hand).await?;
        let mut found = Vec::new();
        let is_at =
            |one: &&Doing, isolation| place(one, &self.config.schema_database) == Some(isolation);
        let own: Vec<_> = ours.iter().filter(|one| is_at(one, Isolation::Database)).collect();
        for one in changed(&hand.client, &mut kept.databases, own).await? {
            let bytes = database_size(&hand.client, &one.tenant.database_name()).await?;
            if bytes > limit {
                found.push(one.found(DatabaseExcess::Bytes, bytes, limit));
            }
        }
        let in_schemas: Vec<_> = ours.iter().filter(|one| is_at(one, Isolation::Schema)).collect();
        if !in_schemas.is_empty() {
            let whole = database_size(&hand.client, &self.config.schema_database).await?;
            let known = kept.schemas.is_some_and(|(size, at)| {
                whole.abs_diff(size) < limit / STEP && at.elapsed() < LATEST
            });
            let rest = &mut kept.rest;
            if rest.as_ref().is_none_or(Rest::is_old) || (whole > limit && !known) {
                let over = shared::schemas(&hand.schemas, whole, limit, rest, &in_schemas).await?;
                // Behind one there may be another.
                kept.schemas = over.is_empty().then(|| (whole, Instant::now()));
                found.extend(over);
            }
        }
        let settings = relation_size(&hand.client, SETTINGS).await?;
        if settings > limit && found.is_empty() {
            found.extend(shared::settings(&hand.client, settings, limit, ours).await?);
        }
        kept.hand = Some(hand);
        Ok(found)
    }
}

/// Those whose databases can have grown since they were last measured: that is a look at each of
/// their files. What an unfinished transaction does is not counted yet, but it is seen to write.
async fn changed<'a>(
    client: &Client,
    known: &mut BTreeMap<TenantId, (i64, Instant)>,
    tenants: Vec<&'a Doing>,
) -> Result<Vec<&'a Doing>> {
    let names: Vec<_> = tenants.iter().map(|one| one.tenant.database_name()).collect();
    let rows = client.query(CHANGES, &[&names]).await.mapped()?;
    let changes: Result<BTreeMap<String, i64>> =
        rows.iter().map(|row| Ok((row.try_get(0).mapped()?, row.try_get(1).mapped()?))).collect();
    let (changes, before) = (changes?, std::mem::take(known));
    let mut changed = Vec::new();
    for (one, name) in tenants.into_iter().zip(names) {
        let now = changes.get(&name).copied().unwrap_or(0);
        let same = before
            .get(&one.tenant)
            .filter(|(then, at)| *then == now && one.writing == 0.0 && at.elapsed() < LATEST);
        known.insert(one.tenant, same.copied().unwrap_or_else(|| (now, Instant::now())));
        if same.is_none() {
            changed.push(one);
        }
    }
    Ok(changed)
}

/// The bytes of a database's files; 0 if it is gone.
async fn database_size(client: &Client, name: &str) -> Result<u64> {
    let sql = "SELECT pg_database_size(oid) FROM pg_database WHERE datname = $1";
    let row = client.query_opt(sql, &[&name]).await.mapped()?;
    let size: Option<i64> = row.map(|row| row.try_get(0).mapped()).transpose()?.flatten();
    Ok(size.and_then(|size| u64::try_from(size).ok()).unwrap_or(0))
}

/// The bytes of a table of the server's own, by its number.
async fn relation_size(client: &Client, relation: u32) -> Result<u64> {
    let sql = "SELECT pg_total_relation_size($1::oid)";
    let row = client.query_one(sql, &[&relation]).await.mapped()?;
    let size: Option<i64> = row.try_get(0).mapped()?;
    Ok(size.and_then(|size| u64::try_from(size).ok()).unwrap_or(0))
}
