//! Making a tenant's role and storage.

use fresco_core::{
    CredentialId, DatabaseSpec, Error, ErrorKind, Fence, Isolation, Result, TenantId,
};
use tokio::sync::SemaphorePermit;

use super::PostgresTenants;
use super::catalog::{Found, Role, Storage};
use super::fence::{Guard, lock_shared_rights};
use super::names::{ident, literal, storage_mark};
use crate::errors::Mapped;
use crate::server::Server;

impl PostgresTenants {
    pub(super) async fn ensure_tenant(&self, spec: &DatabaseSpec) -> Result<()> {
        let tenant = spec.fence.tenant;
        let (_slot, mut guard) = self.guard(spec.fence).await?;
        let found = self.look(tenant).await?;
        found.check(tenant)?;
        let other = match spec.isolation {
            Isolation::Schema => found.database,
            Isolation::Database => found.schema,
        };
        if other != Storage::Absent {
            return Err(Error::new(
                ErrorKind::Conflict,
                "this tenant's data is kept apart in another way; that can't be changed",
            )
            .with("tenant", tenant));
        }
        self.ensure_role(&mut guard, found.role, spec.connection_limit).await?;
        match spec.isolation {
            Isolation::Schema => self.ensure_schema(&mut guard).await,
            Isolation::Database => self.ensure_database(&mut guard, found).await,
        }
    }

    /// Makes the role, or brings it up to date; either way it carries the guard's generation then.
    pub(super) async fn ensure_role(
        &self,
        guard: &mut Guard<'_>,
        role: Role,
        connection_limit: u32,
    ) -> Result<()> {
        let limit = i32::try_from(connection_limit).unwrap_or(i32::MAX);
        let name = ident(&guard.fence.tenant.role_name());
        let (verb, credential): (_, Option<CredentialId>) = match role {
            Role::Ours(mark) => ("ALTER ROLE", mark.credential),
            _ => ("CREATE ROLE", None),
        };
        // Without a membership that inherits, the platform could neither end the role's sessions
        // nor drop what belongs to it, nor what others granted it.
        let options = self.grant_options();
        let sql = format!(
            "{verb} {name} CONNECTION LIMIT {limit};
             GRANT {name} TO CURRENT_USER {options};
             {}",
            guard.mark(credential)
        );
        let transaction = guard.transaction().await?;
        transaction.batch_execute(&sql).await.mapped()?;
        transaction.commit().await.mapped()
    }

    async fn ensure_schema(&self, guard: &mut Guard<'_>) -> Result<()> {
        let tenant = guard.fence.tenant;
        let (role, schema) = (ident(&tenant.role_name()), ident(&tenant.database_name()));
        self.ensure_connect(guard).await?;
        let mut inside = guard.enter(&self.config.schema_database).await?;
        // Only now nobody is making it any more.
        let sql = "SELECT FROM pg_namespace WHERE nspname = $1";
        let exists = inside.query_opt(sql, &[&tenant.database_name()]).await.mapped()?.is_some();
        let make = if exists {
            String::new()
        } else {
            let mark = literal(storage_mark(self.platform()));
            format!("CREATE SCHEMA {schema}; COMMENT ON SCHEMA {schema} IS {mark};")
        };
        let transaction = inside.transaction().await.mapped()?;
        let sql = format!("{make} GRANT USAGE, CREATE ON SCHEMA {schema} TO {role}");
        transaction.batch_execute(&sql).await.mapped()?;
        transaction.commit().await.mapped()
    }

    /// Lets the role into the database that holds schemas.
    async fn ensure_connect(&self, guard: &mut Guard<'_>) -> Result<()> {
        let role = guard.fence.tenant.role_name();
        let database = &self.config.schema_database;
        let transaction = guard.transaction().await?;
        lock_shared_rights(&transaction).await?;
        let sql = "SELECT has_database_privilege($1::name, $2::text, 'CONNECT')
                      AND has_database_privilege($1::name, $2::text, 'TEMPORARY')";
        let granted: bool =
            transaction.query_one(sql, &[&role, database]).await.mapped()?.try_get(0).mapped()?;
        if !granted {
            let (role, database) = (ident(&role), ident(database));
            let sql = format!("GRANT CONNECT, TEMPORARY ON DATABASE {database} TO {role}");
            transaction.batch_execute(&sql).await.mapped()?;
        }
        transaction.commit().await.mapped()
    }

    async fn ensure_database(&self, guard: &mut Guard<'_>, found: Found) -> Result<()> {
        let tenant = guard.fence.tenant;
        let (role, name) = (ident(&tenant.role_name()), ident(&tenant.database_name()));
        if found.database == Storage::Broken {
            return Err(Error::new(
                ErrorKind::Conflict,
                "the removal of this tenant's database was cut off; finish it before making a new one",
            )
            .with("tenant", tenant));
        }
        if found.database == Storage::Absent {
            // Closed until its rights are set: a new database lets everybody in.
            let sql = format!("CREATE DATABASE {name} TEMPLATE template0 ALLOW_CONNECTIONS false");
            guard.client.batch_execute(&sql).await.mapped()?;
        }
        let finish = if found.database == Storage::Ours {
            String::new()
        } else {
            let mark = literal(storage_mark(self.platform()));
            format!(
                "REVOKE ALL ON DATABASE {name} FROM PUBLIC;
                 COMMENT ON DATABASE {name} IS {mark};
                 ALTER DATABASE {name} ALLOW_CONNECTIONS true;"
            )
        };
        let transaction = guard.transaction().await?;
        let sql = format!("{finish} GRANT CONNECT, TEMPORARY, CREATE ON DATABASE {name} TO {role}");
        transaction.batch_execute(&sql).await.mapped()?;
        transaction.commit().await.mapped()?;

        let mut inside = guard.enter(&tenant.database_name()).await?;
        let transaction = inside.transaction().await.mapped()?;
        let sql = format!(
            "REVOKE ALL ON SCHEMA public FROM PUBLIC;
             GRANT USAGE, CREATE ON SCHEMA public TO {role}"
        );
        transaction.batch_execute(&sql).await.mapped()?;
        transaction.commit().await.mapped()
    }

    /// A place among the changes that run at the same time, and the tenant's guard.
    pub(super) async fn guard(&self, fence: Fence) -> Result<(SemaphorePermit<'_>, Guard<'_>)> {
        self.guard_on(&self.changes, fence).await
    }

    /// The same with other time limits.
    pub(super) async fn guard_on<'a>(
        &'a self,
        server: &'a Server,
        fence: Fence,
    ) -> Result<(SemaphorePermit<'a>, Guard<'a>)> {
        let slot = self.slots.acquire().await.map_err(|e| {
            Error::new(ErrorKind::Internal, "no change can be made any more").with_source(e)
        })?;
        let patience = self.config.timeout / 2;
        let guard = Guard::take(server, self.platform(), fence, patience).await?;
        Ok((slot, guard))
    }

    /// Whether a tenant's role is there and ours; with its last credential.
    pub(super) fn own_role(found: Found, tenant: TenantId) -> Result<Option<CredentialId>> {
        found.check(tenant)?;
        match found.role {
            Role::Ours(mark) => Ok(mark.credential),
            _ => Err(Error::new(ErrorKind::NotFound, "this tenant has no role in the database")
                .with("role", tenant.role_name())),
        }
    }
}
