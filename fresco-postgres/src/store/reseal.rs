//! Sealing anew what is sealed under another key than the current one.

use std::time::Duration;

use deadpool_postgres::{Client, Pool, Transaction};
use fresco_core::{Error, ErrorKind, Result, TenantId};
use serde_json::Value;
use uuid::Uuid;

use super::environment::{Keys, OF_OPERATION, OF_SPEC, Sealer, each, is_sealed, missing};
use super::keys::EnvironmentKeys;
use crate::errors::{Mapped, within};
use crate::server::take;

/// Tenants that are looked up at once.
const BATCH: i64 = 100;

/// Every value of a variable, with its tenant. What is finished or destroyed has none.
const VALUES: &str = "SELECT place.tenant, entry.key AS name, entry.value
    FROM (SELECT id AS tenant, spec -> 'environment' AS variables FROM fresco.tenants
          UNION ALL
          SELECT tenant, data #> '{target,spec,environment}' FROM fresco.operations
          UNION ALL
          SELECT tenant, data #> '{previous,spec,environment}' FROM fresco.operations) place
    CROSS JOIN LATERAL jsonb_each(
        CASE WHEN jsonb_typeof(place.variables) = 'object' THEN place.variables END) entry";

/// What [`PostgresStore::reseal`](super::PostgresStore::reseal) did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Resealed {
    /// The tenants of which something was sealed anew.
    pub tenants: u64,
    /// The values that were.
    pub values: u64,
    /// The values that are not sealed under the current key even so: another program has written
    /// them meanwhile, under the key that it has.
    pub left: u64,
}

/// Refuses a store that holds what these keys can't open.
pub(super) async fn check(pool: &Pool, keys: Keys<'_>) -> Result<()> {
    let known = keys.map(EnvironmentKeys::ids).unwrap_or_default();
    let sql = format!(
        "SELECT tenant, name, value ->> 'key', count(*) OVER () FROM ({VALUES}) found
         WHERE jsonb_typeof(value) = 'object' AND (value ->> 'key' = ANY ($1)) IS NOT TRUE
         ORDER BY tenant, name LIMIT 1"
    );
    let Some(row) = take(pool).await?.query_opt(&sql, &[&known]).await.mapped()? else {
        return Ok(());
    };
    let key: Option<&str> = row.try_get(2).mapped()?;
    Err(missing(key.unwrap_or_default())
        .with("tenant", TenantId::from_uuid(row.try_get(0).mapped()?))
        .with("variable", row.try_get::<_, &str>(1).mapped()?)
        .with("values", row.try_get::<_, i64>(3).mapped()?))
}

/// `time` is for each statement that looks and for each tenant.
pub(super) async fn reseal(pool: &Pool, keys: Keys<'_>, time: Duration) -> Result<Resealed> {
    let keys = keys.ok_or_else(|| {
        let words = "this store was given no keys; give it some with PostgresStoreConfig::keys";
        Error::new(ErrorKind::Unsupported, words)
    })?;
    let (mut done, mut after) = (Resealed::default(), Uuid::nil());
    loop {
        let batch = within(time, "store.reseal", next(pool, keys, after)).await?;
        let Some(last) = batch.last() else { break };
        after = *last;
        for tenant in batch {
            let values = within(time, "store.reseal", one(pool, keys, tenant)).await?;
            done.tenants += u64::from(values > 0);
            done.values += values;
        }
    }
    done.left = within(time, "store.reseal", left(pool, keys)).await?;
    Ok(done)
}

/// The next tenants of which something is not sealed under the current key.
async fn next(pool: &Pool, keys: &EnvironmentKeys, after: Uuid) -> Result<Vec<Uuid>> {
    let sql = format!(
        "SELECT DISTINCT tenant FROM ({VALUES}) found
         WHERE value ->> 'key' IS DISTINCT FROM $1 AND tenant > $2 ORDER BY tenant LIMIT $3"
    );
    let client = take(pool).await?;
    let rows = client.query(&sql, &[&keys.current(), &after, &BATCH]).await.mapped()?;
    rows.iter().map(|row| row.try_get(0).mapped()).collect()
}

async fn left(pool: &Pool, keys: &EnvironmentKeys) -> Result<u64> {
    let sql =
        format!("SELECT count(*) FROM ({VALUES}) found WHERE value ->> 'key' IS DISTINCT FROM $1");
    let row = take(pool).await?.query_one(&sql, &[&keys.current()]).await.mapped()?;
    Ok(u64::try_from(row.try_get::<_, i64>(0).mapped()?).unwrap_or(0))
}

/// Seals anew all of one tenant, and says how many values.
async fn one(pool: &Pool, keys: &EnvironmentKeys, tenant: Uuid) -> Result<u64> {
    let mut client: Client = take(pool).await?;
    let transaction = client.transaction().await.mapped()?;
    // Everybody who writes a tenant or its operations holds the tenant's row first.
    let places = [
        ("SELECT id, spec FROM fresco.tenants WHERE id = $1 FOR NO KEY UPDATE", OF_SPEC),
        (
            "SELECT id, data FROM fresco.operations WHERE tenant = $1 FOR NO KEY UPDATE",
            OF_OPERATION,
        ),
    ];
    let writes = [
        "UPDATE fresco.tenants SET spec = $2 WHERE id = $1",
        "UPDATE fresco.operations SET data = $2 WHERE id = $1",
    ];
    let mut values = 0;
    for ((read, places), write) in places.into_iter().zip(writes) {
        values += rows(&transaction, keys, tenant, read, places, write).await?;
    }
    transaction.commit().await.mapped()?;
    Ok(values)
}

async fn rows(
    transaction: &Transaction<'_>,
    keys: &EnvironmentKeys,
    tenant: Uuid,
    read: &str,
    places: &[&str],
    write: &str,
) -> Result<u64> {
    let sealer = Sealer::new(Some(keys), TenantId::from_uuid(tenant));
    let mut sealed = 0;
    for row in transaction.query(read, &[&tenant]).await.mapped()? {
        let mut json: Value = row.try_get(1).mapped()?;
        let mut old = 0;
        each(&mut json, places, |_, value| {
            old += u64::from(!is_sealed(value, keys.current()));
            Ok(())
        })?;
        if old > 0 {
            sealer.open(&mut json, places)?;
            sealer.seal(&mut json, places)?;
            let id: Uuid = row.try_get(0).mapped()?;
            transaction.execute(write, &[&id, &json]).await.mapped()?;
            sealed += old;
        }
    }
    Ok(sealed)
}
