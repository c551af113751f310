//! Reading what happened.

use chrono::{DateTime, Utc};
use fresco_core::Result;
use serde::{Serialize, Serializer};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::chain::hex;
use crate::accounts::Accounts;
use crate::accounts::database::{Mapped, call};

/// A row of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditRow {
    /// Its number, in the order of writing.
    pub id: i64,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// What happened.
    pub event: String,
    /// What became of it.
    pub outcome: String,
    /// Who did it.
    pub actor: String,
    /// The account of who did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor_id: Option<Uuid>,
    /// By what they came.
    pub means: String,
    /// The session's or the key's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub means_id: Option<Uuid>,
    /// From where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The tenant that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<Uuid>,
    /// The account that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<Uuid>,
    /// The key that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_id: Option<Uuid>,
    /// The session that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<Uuid>,
    /// The operation that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation_id: Option<Uuid>,
    /// How many, of what is counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<i64>,
    /// The place in the chain; `None` until it is sealed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<i64>,
    /// The name of the key of its seal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sealed_by: Option<String>,
    /// The seal.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_hex")]
    pub mac: Option<Vec<u8>>,
}

fn as_hex<S: Serializer>(mac: &Option<Vec<u8>>, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&hex(mac.as_deref().unwrap_or_default()))
}

impl AuditRow {
    pub(super) const COLUMNS: &str = "id, at, event, outcome, actor, actor_id, means, means_id, \
        address, tenant_id, user_id, key_id, session_id, operation_id, number, seq, sealed_by, mac";

    pub(super) fn read(row: &Row) -> Self {
        Self {
            id: row.get("id"),
            at: row.get("at"),
            event: row.get("event"),
            outcome: row.get("outcome"),
            actor: row.get("actor"),
            actor_id: row.get("actor_id"),
            means: row.get("means"),
            means_id: row.get("means_id"),
            address: row.get("address"),
            tenant_id: row.get("tenant_id"),
            user_id: row.get("user_id"),
            key_id: row.get("key_id"),
            session_id: row.get("session_id"),
            operation_id: row.get("operation_id"),
            number: row.get("number"),
            seq: row.get("seq"),
            sealed_by: row.get("sealed_by"),
            mac: row.get("mac"),
        }
    }
}

/// Which rows to read.
#[derive(Clone, Debug, Default)]
pub struct AuditQuery {
    /// Only those about this tenant.
    pub tenant: Option<Uuid>,
    /// Only those by or about this account.
    pub user: Option<Uuid>,
    /// Only those of which what happened contains this text.
    pub event: Option<String>,
    /// Only those from this moment on.
    pub from: Option<DateTime<Utc>>,
    /// Only those before this moment.
    pub until: Option<DateTime<Utc>>,
    /// How many to leave out at the beginning.
    pub offset: u64,
    /// How many at most.
    pub limit: u64,
}

/// Some rows, the newest first, and how many there are in all.
#[derive(Clone, Debug)]
pub struct AuditPage {
    /// The rows.
    pub rows: Vec<AuditRow>,
    /// How many match.
    pub total: u64,
}

const MATCHES: &str = "($1::uuid IS NULL OR tenant_id = $1)
    AND ($2::uuid IS NULL OR actor_id = $2 OR user_id = $2)
    AND ($3::text IS NULL OR strpos(event, $3) > 0)
    AND ($4::timestamptz IS NULL OR at >= $4) AND ($5::timestamptz IS NULL OR at < $5)";

impl AuditQuery {
    const fn is_for_all(&self) -> bool {
        let Self { tenant, user, event, from, until, .. } = self;
        tenant.is_none() && user.is_none() && event.is_none() && from.is_none() && until.is_none()
    }
}

impl Accounts {
    /// Rows of the log, the newest first.
    ///
    /// # Errors
    /// The database's own.
    pub async fn audit(&self, query: &AuditQuery) -> Result<AuditPage> {
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let AuditQuery { tenant, user, event, from, until, offset, limit } = query;
        // No row has a NUL in it, and PostgreSQL knows none.
        if event.as_ref().is_some_and(|text| text.contains('\0')) {
            return Ok(AuditPage { rows: Vec::new(), total: 0 });
        }
        call("accounts.audit", async {
            let client = self.database().client().await?;
            let total: i64 = if query.is_for_all() {
                // All of them: the head knows, and the rest is few.
                let sql = "SELECT sealed - pruned +
                            (SELECT count(*) FROM fresco_server.audit WHERE seq IS NULL)
                           FROM fresco_server.audit_head";
                client.query_one(sql, &[]).await.mapped()?.get(0)
            } else {
                let sql = format!("SELECT count(*) FROM fresco_server.audit WHERE {MATCHES}");
                client.query_one(&sql, &[tenant, user, event, from, until]).await.mapped()?.get(0)
            };
            let sql = format!(
                "SELECT {} FROM fresco_server.audit WHERE {MATCHES}
                 ORDER BY id DESC OFFSET $6 LIMIT $7",
                AuditRow::COLUMNS
            );
            let (offset, limit) = (number(*offset), number(*limit));
            let values: [&(dyn ToSql + Sync); 7] =
                [tenant, user, event, from, until, &offset, &limit];
            let rows = client.query(&sql, &values).await.mapped()?;
            let total = u64::try_from(total).unwrap_or_default();
            Ok(AuditPage { rows: rows.iter().map(AuditRow::read).collect(), total })
        })
        .await
    }

    /// The next rows about a tenant after this one, the oldest first; from the first on, after 0.
    ///
    /// # Errors
    /// The database's own.
    pub async fn audit_of(&self, tenant: Uuid, after: i64, most: u32) -> Result<Vec<AuditRow>> {
        call("accounts.audit_of", async {
            let sql = format!(
                "SELECT {} FROM fresco_server.audit WHERE tenant_id = $1 AND id > $2
                 ORDER BY id LIMIT $3",
                AuditRow::COLUMNS
            );
            let client = self.database().client().await?;
            let rows = client.query(&sql, &[&tenant, &after, &i64::from(most)]).await.mapped()?;
            Ok(rows.iter().map(AuditRow::read).collect())
        })
        .await
    }
}
