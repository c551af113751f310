//! What happens beside the API, told from what the database holds, so that nothing is missed with a
//! program that dies, and nothing is told twice by two programs.

use std::collections::HashMap;

use chrono::{DateTime, SubsecRound, Utc};
use fresco_core::{Actor, DatabaseOffence, Generation, Operation, Result, TenantId};
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::{AuditActor, AuditMeans};
use crate::accounts::Accounts;
use crate::accounts::database::{Mapped, call};

/// The end of an operation.
#[derive(Clone, Debug)]
pub struct EndedOperation {
    id: Uuid,
    at: DateTime<Utc>,
    event: &'static str,
    outcome: String,
    actor: AuditActor,
    actor_id: Option<Uuid>,
    means: AuditMeans,
}

impl EndedOperation {
    /// Of an operation that has ended; `None` of one that has not.
    #[must_use]
    pub fn of(operation: &Operation) -> Option<Self> {
        use fresco_core::Action;
        let at = operation.finished_at.filter(|_| operation.status.is_finished())?;
        // PostgreSQL keeps no more of it, and it is compared with what it keeps.
        let at = at.trunc_subsecs(6);
        let event = match operation.action {
            Action::Create => "operation_create",
            Action::Start => "operation_start",
            Action::Stop => "operation_stop",
            Action::Restart => "operation_restart",
            Action::Update => "operation_update",
            Action::Destroy => "operation_destroy",
        };
        // No words of the failure: they may quote what the tenant's app wrote.
        let outcome = match &operation.error {
            None => super::AUDIT_OK.to_owned(),
            Some(failure) => match failure.step {
                Some(step) => format!("{} at {}", failure.kind, step.as_str()),
                None => failure.kind.to_string(),
            },
        };
        let (actor, actor_id, means) = match &operation.actor {
            Actor::User(id) => (AuditActor::User, id.parse().ok(), AuditMeans::Session(None)),
            Actor::Key(id) => (AuditActor::User, None, AuditMeans::Key(id.parse().ok())),
            Actor::System => (AuditActor::System, None, AuditMeans::None),
        };
        Some(Self { id: operation.id.as_uuid(), at, event, outcome, actor, actor_id, means })
    }

    /// When it ended.
    #[must_use]
    pub const fn at(&self) -> DateTime<Utc> {
        self.at
    }
}

impl Accounts {
    /// Of which of these tenants something may have ended that the log does not tell, given the
    /// generation of each; and which tenants are among those that the log knows and not among these.
    ///
    /// # Errors
    /// The database's own.
    pub async fn audit_untold(&self, tenants: &[(TenantId, Generation)]) -> Result<Vec<TenantId>> {
        let ids: Vec<Uuid> = tenants.iter().map(|(id, _)| id.as_uuid()).collect();
        call("accounts.audit_untold", async {
            let client = self.database().client().await?;
            let sql = "SELECT tenant, generation, tenant = ANY($1) FROM fresco_server.audit_tenants
                       WHERE NOT gone OR tenant = ANY($1)";
            let rows = client.query(sql, &[&ids]).await.mapped()?;
            let mut told = HashMap::new();
            let mut untold = Vec::new();
            for row in rows {
                let (tenant, generation, asked): (Uuid, i64, bool) =
                    (row.get(0), row.get(1), row.get(2));
                if asked {
                    told.insert(tenant, generation);
                } else {
                    untold.push(TenantId::from_uuid(tenant));
                }
            }
            let changed = tenants
                .iter()
                .filter(|(id, now)| told.get(&id.as_uuid()) != Some(&now.number()))
                .map(|(id, _)| *id);
            untold.extend(changed);
            Ok(untold)
        })
        .await
    }

    /// Up to which end of a tenant's operations the log has been told. What ended before there was a log is
    /// not in it.
    ///
    /// # Errors
    /// The database's own.
    pub async fn audit_told(&self, tenant: TenantId) -> Result<DateTime<Utc>> {
        call("accounts.audit_told", async {
            let sql = "SELECT coalesce((SELECT ended_at FROM fresco_server.audit_tenants
                        WHERE tenant = $1), begun_at) FROM fresco_server.audit_head";
            let client = self.database().client().await?;
            Ok(client.query_one(sql, &[&tenant.as_uuid()]).await.mapped()?.get(0))
        })
        .await
    }

    /// Writes down ends of a tenant's operations that were not written down before. `settled` says
    /// that at this generation there was no more to come, and whether the tenant is gone.
    ///
    /// # Errors
    /// The database's own.
    pub async fn tell_ends(
        &self,
        tenant: TenantId,
        ends: &[EndedOperation],
        settled: Option<(Generation, bool)>,
    ) -> Result<usize> {
        let tenant = tenant.as_uuid();
        call("accounts.tell_ends", async {
            let mut client = self.database().client().await?;
            let transaction = client.transaction().await.mapped()?;
            // What ended before there was a log is not in it.
            let sql = "INSERT INTO fresco_server.audit_tenants (tenant, generation, ended_at)
                       SELECT $1, -1, begun_at FROM fresco_server.audit_head
                       ON CONFLICT DO NOTHING";
            transaction.execute(sql, &[&tenant]).await.mapped()?;
            let sql = "SELECT ended_at FROM fresco_server.audit_tenants
                       WHERE tenant = $1 FOR UPDATE";
            let Some(row) = transaction.query_opt(sql, &[&tenant]).await.mapped()? else {
                return Ok(0);
            };
            let told: DateTime<Utc> = row.get(0);
            let mut news: Vec<_> = ends.iter().filter(|end| end.at > told).collect();
            news.sort_by_key(|end| end.at);
            for end in &news {
                let sql = "INSERT INTO fresco_server.audit
                            (at, event, outcome, actor, actor_id, means, means_id, tenant_id,
                             operation_id)
                           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
                let (actor, means, id) = (end.actor.as_str(), end.means.as_str(), end.means.id());
                let values: [&(dyn ToSql + Sync); 9] = [
                    &end.at,
                    &end.event,
                    &end.outcome,
                    &actor,
                    &end.actor_id,
                    &means,
                    &id,
                    &tenant,
                    &end.id,
                ];
                transaction.execute(sql, &values).await.mapped()?;
            }
            let until = news.last().map_or(told, |end| end.at);
            let (generation, gone) = settled.map_or((-1, false), |(at, gone)| (at.number(), gone));
            let sql = "UPDATE fresco_server.audit_tenants
                       SET ended_at = $2, generation = $3, gone = $4 WHERE tenant = $1";
            transaction.execute(sql, &[&tenant, &until, &generation, &gone]).await.mapped()?;
            transaction.commit().await.mapped()?;
            Ok(news.len())
        })
        .await
    }

    /// Writes down who is barred that was not when this was called before, and who is no more.
    ///
    /// # Errors
    /// The database's own.
    pub async fn tell_barred(&self, barred: &[DatabaseOffence]) -> Result<()> {
        let tenants: Vec<Uuid> = barred.iter().map(|offence| offence.tenant.as_uuid()).collect();
        let words: Vec<&str> = barred.iter().map(|offence| offence.excess.as_str()).collect();
        call("accounts.tell_barred", async {
            let mut client = self.database().client().await?;
            let transaction = client.transaction().await.mapped()?;
            let sql = "WITH new AS (
                        INSERT INTO fresco_server.audit_barred (tenant, excess)
                        SELECT * FROM unnest($1::uuid[], $2::text[])
                        ON CONFLICT DO NOTHING RETURNING tenant, excess)
                       INSERT INTO fresco_server.audit (event, outcome, actor, means, tenant_id)
                       SELECT 'tenant_barred', excess, 'system', 'none', tenant FROM new";
            transaction.execute(sql, &[&tenants, &words]).await.mapped()?;
            let sql = "WITH gone AS (
                        DELETE FROM fresco_server.audit_barred
                        WHERE NOT tenant = ANY($1::uuid[]) RETURNING tenant)
                       INSERT INTO fresco_server.audit (event, outcome, actor, means, tenant_id)
                       SELECT 'tenant_admitted', 'ok', 'system', 'none', tenant FROM gone";
            transaction.execute(sql, &[&tenants]).await.mapped()?;
            transaction.commit().await.mapped()
        })
        .await
    }

    /// Opens the gates whose time is over, and writes that down. How many.
    ///
    /// # Errors
    /// The database's own.
    pub async fn open_due_claims(&self) -> Result<u64> {
        call("accounts.open_due_claims", async {
            let sql = "WITH opened AS (
                        UPDATE fresco_server.claims SET opened_at = now()
                        WHERE opened_at IS NULL
                          AND entered_at + make_interval(secs => $1) <= now() RETURNING tenant)
                       INSERT INTO fresco_server.audit (event, outcome, actor, means, tenant_id)
                       SELECT 'gate_opened', 'ok', 'system', 'none', tenant FROM opened";
            let client = self.database().client().await?;
            client.execute(sql, &[&Self::CLAIM.as_secs_f64()]).await.mapped()
        })
        .await
    }
}
