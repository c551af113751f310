//! Which owners were told how the creation of their tenant ended.
//!
//! The store of tenants alone knows how it ended; here stands only what was told of it, in the same
//! write as the letter. So nothing is told twice, and nothing is lost with a program that dies.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use fresco_core::{OperationId, OwnerId, Result, TenantId};
use uuid::Uuid;

use super::database::{Mapped, call};
use super::{Accounts, Letter};

/// A creation of a tenant that has ended.
#[derive(Clone, Debug)]
pub struct EndedDeployment {
    /// The operation.
    pub operation: OperationId,
    /// The tenant.
    pub tenant: TenantId,
    /// Its owner.
    pub owner: OwnerId,
    /// Whether the tenant was created.
    pub successful: bool,
}

/// What was told already.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ToldDeployments {
    /// Of what ended before this moment, nobody is told.
    pub since: DateTime<Utc>,
    /// Tenants whose owner knows that they were created.
    pub created: HashSet<TenantId>,
    /// Operations whose end was told.
    pub operations: HashSet<OperationId>,
}

impl Accounts {
    /// What was told of these tenants.
    ///
    /// # Errors
    /// The database's own.
    pub async fn told_deployments(&self, tenants: &[TenantId]) -> Result<ToldDeployments> {
        let ids: Vec<Uuid> = tenants.iter().map(|tenant| tenant.as_uuid()).collect();
        call("accounts.told_deployments", async {
            let client = self.database().client().await?;
            let since = "SELECT since FROM fresco_server.told_since";
            let since = client.query_one(since, &[]).await.mapped()?.get(0);
            let sql = "SELECT operation, tenant, successful FROM fresco_server.told_deployments
                       WHERE tenant = ANY($1)";
            let mut told =
                ToldDeployments { since, created: HashSet::new(), operations: HashSet::new() };
            for row in client.query(sql, &[&ids]).await.mapped()? {
                told.operations.insert(OperationId::from_uuid(row.get(0)));
                if row.get(2) {
                    told.created.insert(TenantId::from_uuid(row.get(1)));
                }
            }
            Ok(told)
        })
        .await
    }

    /// Writes the letter to the owner of a tenant whose creation has ended, unless it was written
    /// before. Who has no account here gets none.
    ///
    /// # Errors
    /// The database's own.
    pub async fn tell_deployment(&self, ended: &EndedDeployment, letter: &Letter) -> Result<()> {
        call("accounts.tell_deployment", async {
            let mut client = self.database().client().await?;
            let transaction = client.transaction().await.mapped()?;
            let sql = "INSERT INTO fresco_server.told_deployments (operation, tenant, successful)
                       VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
            let (operation, tenant) = (ended.operation.as_uuid(), ended.tenant.as_uuid());
            let new = transaction.execute(sql, &[&operation, &tenant, &ended.successful]).await;
            if new.mapped()? > 0
                && let Ok(owner) = Uuid::try_parse(ended.owner.as_str())
            {
                let sql = "SELECT email FROM fresco_server.users WHERE id = $1";
                if let Some(row) = transaction.query_opt(sql, &[&owner]).await.mapped()? {
                    self.post(&transaction, &row.get::<_, &str>(0).parse()?, letter).await?;
                }
            }
            transaction.commit().await.mapped()
        })
        .await
    }
}
