//! Removing everything of a tenant.

use fresco_core::{Fence, Result};

use super::PostgresTenants;
use super::catalog::{Role, Storage};
use super::fence::{Guard, lock_shared_rights};
use super::names::ident;
use super::{copier, discard, sessions, watch};
use crate::errors::Mapped;

impl PostgresTenants {
    pub(super) async fn remove_tenant(&self, fence: Fence) -> Result<()> {
        let tenant = fence.tenant;
        let (_slot, mut guard) = self.guard_on(&self.removals, fence).await?;
        // Whatever it was barred for is over; and nobody logs in from here on anyway.
        let lift = watch::lift(self.platform(), tenant);
        guard.client.batch_execute(&lift).await.mapped()?;
        let found = self.look(tenant).await?;
        found.check(tenant)?;
        if found.role == Role::Absent && found.storage().is_none() {
            return Ok(());
        }
        // Also when only the storage is left: the role's comment is how the generation is seen in
        // other databases.
        self.ensure_role(&mut guard, found.role, 0).await?;
        let name = tenant.role_name();
        let role = ident(&name);
        let sql = format!("ALTER ROLE {role} NOLOGIN");
        guard.client.batch_execute(&sql).await.mapped()?;
        sessions::end(&guard.client, &name, self.config.timeout / 2).await?;
        // Whoever copies its data holds locks on it.
        copier::remove_of(&self.removals, &guard.client, self.platform(), tenant).await?;

        if found.database != Storage::Absent {
            let database = ident(&tenant.database_name());
            let sql = format!("DROP DATABASE IF EXISTS {database} WITH (FORCE)");
            guard.client.batch_execute(&sql).await.mapped()?;
        }
        // Always, whatever was seen: somebody older may have been making the schema just then.
        // Having the lock means that they are done.
        self.leave_shared_database(&mut guard).await?;
        let elsewhere = async {
            let inside = guard.enter(&self.config.schema_database).await?;
            discard::schema(&inside, tenant).await?;
            discard::owned(&inside, &name).await?;
            drop(inside);
            for database in discard::places(&guard.client, &name).await? {
                let inside = guard.enter(&database).await;
                let inside = inside.map_err(|e| e.with("database", &database))?;
                discard::owned(&inside, &name).await?;
            }
            Ok(())
        };
        guard.hold(elsewhere).await?;
        discard::owned(&guard.client, &name).await?;
        guard.client.batch_execute(&format!("DROP ROLE IF EXISTS {role}")).await.mapped()
    }

    /// Takes the role's rights on the database that holds schemas; dropping what it owns there
    /// would do so as well, but at the same time as others change those rights.
    async fn leave_shared_database(&self, guard: &mut Guard<'_>) -> Result<()> {
        let role = ident(&guard.fence.tenant.role_name());
        let database = ident(&self.config.schema_database);
        let transaction = guard.transaction().await?;
        lock_shared_rights(&transaction).await?;
        let sql = format!("REVOKE ALL ON DATABASE {database} FROM {role}");
        transaction.batch_execute(&sql).await.mapped()?;
        transaction.commit().await.mapped()
    }
}
