//! What a tenant's data amounts to, from the catalog alone.

use fresco_core::{DatabaseSample, Error, ErrorKind, Isolation, Result, TenantId};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Row};

use super::PostgresTenants;
use crate::errors::{Mapped, from_driver};
use crate::server::take;

/// How long a tenant that has locked its tables can hold up the question for their size.
const LOCKED: &str = "SET lock_timeout = '500ms'";

impl PostgresTenants {
    pub(super) async fn sample(&self, tenant: TenantId) -> Result<DatabaseSample> {
        let found = self.look(tenant).await?;
        Self::own_role(found, tenant)?;
        let Some(isolation) = found.storage() else {
            return Err(Error::new(ErrorKind::NotFound, "this tenant has no schema or database")
                .with("name", tenant.database_name()));
        };
        let name = tenant.database_name();
        let (schema, database) = match isolation {
            Isolation::Schema => (Some(&name), &self.config.schema_database),
            Isolation::Database => (None, &name),
        };
        // A connection of its own, so that none is kept open in every tenant's database.
        let client = self.changes.database(database).connect().await?;
        let (tables, rows, bytes) = counts(&client, schema.map(String::as_str)).await?;
        drop(client);

        let admin = take(&self.admin).await?;
        let bytes = match isolation {
            Isolation::Schema => bytes,
            Isolation::Database => admin
                .query_one("SELECT pg_database_size($1::name)", &[&name])
                .await
                .mapped()?
                .try_get(0)
                .mapped()?,
        };
        let activity = self.role_activity(tenant).await?;
        Ok(DatabaseSample {
            tables: u64::try_from(tables).unwrap_or(0),
            rows: u64::try_from(rows).unwrap_or(0),
            bytes: u64::try_from(bytes).unwrap_or(0),
            connections: activity.sessions,
        })
    }
}

/// Tables, rows and bytes of a schema, or of all but the server's own.
async fn counts(client: &Client, schema: Option<&str>) -> Result<(i64, i64, i64)> {
    client.batch_execute(LOCKED).await.mapped()?;
    let estimate = sql("greatest(c.relpages, 1)::bigint * current_setting('block_size')::bigint");
    let row: Row = match schema {
        // The size of a database is told by the server, exactly and without a lock.
        None => client.query_one(&estimate, &[&schema]).await.mapped()?,
        // The exact size of a relation is told under a lock on it. A tenant that keeps a stronger
        // one gets the estimate of the last ANALYZE.
        Some(_) => {
            let exact = sql("pg_total_relation_size(c.oid)");
            match client.query_one(&exact, &[&schema]).await {
                Err(e) if e.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => {
                    client.query_one(&estimate, &[&schema]).await.mapped()?
                }
                other => other.map_err(from_driver)?,
            }
        }
    };
    Ok((row.try_get(0).mapped()?, row.try_get(1).mapped()?, row.try_get(2).mapped()?))
}

fn sql(size: &str) -> String {
    format!(
        r"SELECT count(*) FILTER (WHERE c.relkind IN ('r', 'p')),
                 coalesce(sum(c.reltuples) FILTER (WHERE c.relkind IN ('r', 'm') AND c.reltuples > 0), 0)::bigint,
                 coalesce(sum({size}) FILTER (WHERE c.relkind IN ('r', 'm')), 0)::bigint
          FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
          WHERE c.relkind IN ('r', 'p', 'm')
            AND CASE WHEN $1::text IS NULL
                THEN n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
                ELSE n.nspname = $1 END"
    )
}
