//! The short-lived role that copies one tenant's data.
//!
//! What a tenant made may run when its data is read or written. So that happens with the rights of
//! the tenant and no others: the role is a member of the tenant's role, and of nothing else. The
//! tenant's code can get at the rights of this role, but these are the tenant's own; a password
//! that it gives the role ends with the role, at a time that the role can't change.

use std::time::Duration;

use fresco_core::{PlatformId, Result, TenantId};
use secrecy::SecretString;
use tokio::runtime::Handle;
use tokio_postgres::Client;
use uuid::Uuid;

use super::names::{ident, literal, password, verifier};
use super::{discard, sessions};
use crate::errors::{Mapped, within};
use crate::server::Server;

/// The most that ending the role's sessions may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most that its removal may take.
const REMOVAL: Duration = Duration::from_secs(60);

/// A role that is there for one copy. It goes when this is dropped.
pub(super) struct Copier {
    /// The server, as the platform.
    server: Server,
    pub(super) name: String,
    pub(super) password: SecretString,
    removed: bool,
}

/// The comment on such a role.
fn mark(platform: PlatformId, tenant: TenantId) -> String {
    format!("fresco platform={platform} copy={tenant}")
}

impl Copier {
    /// Makes the role; the tenant's role must be there.
    pub(super) async fn make(
        server: &Server,
        platform: PlatformId,
        tenant: TenantId,
        lifetime: Duration,
        grant_options: &str,
    ) -> Result<Self> {
        let (name, password) = (format!("fresco_copy_{}", Uuid::new_v4().simple()), password());
        let mut client = server.connect().await?;
        let transaction = client.transaction().await.mapped()?;
        let sql = "SELECT (now() + make_interval(secs => $1))::text";
        let until = transaction.query_one(sql, &[&lifetime.as_secs_f64()]).await.mapped()?;
        let sql = format!(
            "CREATE ROLE {role} LOGIN CONNECTION LIMIT 1 PASSWORD {verifier} VALID UNTIL {until};
             COMMENT ON ROLE {role} IS {mark};
             GRANT {tenant} TO {role} {grant_options};
             GRANT {role} TO CURRENT_USER {grant_options}",
            role = ident(&name),
            verifier = literal(verifier(&password)),
            until = literal(until.get::<_, &str>(0)),
            mark = literal(mark(platform, tenant)),
            tenant = ident(&tenant.role_name()),
        );
        // From here on it may be there, whatever becomes of the answer.
        let copier = Self { server: server.clone(), name, password, removed: false };
        transaction.batch_execute(&sql).await.mapped()?;
        transaction.commit().await.mapped()?;
        Ok(copier)
    }

    /// Removes the role now.
    pub(super) async fn remove(mut self) -> Result<()> {
        let client = self.server.connect().await?;
        remove(&self.server, &client, &self.name).await?;
        self.removed = true;
        Ok(())
    }
}

impl Drop for Copier {
    fn drop(&mut self) {
        if self.removed {
            return;
        }
        // Nothing depends on this task: a role that it does not get to remove is removed by the
        // next sweep, and by then lets nobody in.
        let (server, name) = (self.server.clone(), std::mem::take(&mut self.name));
        let Ok(runtime) = Handle::try_current() else { return };
        runtime.spawn(async move {
            let work = async { remove(&server, &server.connect().await?, &name).await };
            if let Err(error) = within(REMOVAL, "database.copier", work).await {
                tracing::warn!(role = name, error = error.chain(), "a role is left for later");
            }
        });
    }
}

/// Ends the role's sessions and drops it. Absent is success.
async fn remove(server: &Server, client: &Client, name: &str) -> Result<()> {
    let there = "SELECT FROM pg_roles WHERE rolname = $1";
    if client.query_opt(there, &[&name]).await.mapped()?.is_none() {
        return Ok(());
    }
    let role = ident(name);
    client.batch_execute(&format!("ALTER ROLE {role} NOLOGIN")).await.mapped()?;
    sessions::end(client, name, PATIENCE).await?;
    // It makes nothing, and nobody has a reason to grant it anything; but tenants can.
    for database in discard::places(client, name).await? {
        let inside = server.database(&database).connect().await?;
        discard::owned(&inside, name).await?;
    }
    discard::owned(client, name).await?;
    client.batch_execute(&format!("DROP ROLE IF EXISTS {role}")).await.mapped()
}

/// Removes the roles that copy this tenant's data now.
pub(super) async fn remove_of(
    server: &Server,
    client: &Client,
    platform: PlatformId,
    tenant: TenantId,
) -> Result<()> {
    let sql = r"SELECT rolname FROM pg_roles WHERE rolname LIKE 'fresco\_copy\_%'
                AND shobj_description(oid, 'pg_authid') = $1";
    for row in client.query(sql, &[&mark(platform, tenant)]).await.mapped()? {
        remove(server, client, row.get(0)).await?;
    }
    Ok(())
}

/// Removes what programs that died left behind: roles of this platform whose time is over.
pub(super) async fn sweep(server: &Server, platform: PlatformId) -> Result<()> {
    let client = server.connect().await?;
    let sql = r"SELECT rolname FROM pg_roles WHERE rolname LIKE 'fresco\_copy\_%'
                AND starts_with(shobj_description(oid, 'pg_authid'), $1) AND rolvaliduntil < now()";
    let ours = format!("fresco platform={platform} copy=");
    for row in client.query(sql, &[&ours]).await.mapped()? {
        // One that can't go now must not keep others from their work.
        let name: &str = row.get(0);
        if let Err(error) = remove(server, &client, name).await {
            tracing::warn!(role = name, error = error.chain(), "a role is left for later");
        }
    }
    Ok(())
}
