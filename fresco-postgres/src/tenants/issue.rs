//! New credentials.

use std::fmt::Write;

use fresco_core::{CredentialId, Credentials, Error, ErrorKind, Fence, Isolation, Result};

use super::PostgresTenants;
use super::names::{ident, literal, password, url, verifier};
use super::{sessions, watch};
use crate::errors::Mapped;

impl PostgresTenants {
    pub(super) async fn issue_credentials(&self, fence: Fence) -> Result<Credentials> {
        let tenant = fence.tenant;
        let (_slot, mut guard) = self.guard(fence).await?;
        let found = self.look(tenant).await?;
        let before = Self::own_role(found, tenant)?;
        let Some(isolation) = found.storage() else {
            return Err(Error::new(ErrorKind::NotFound, "this tenant has no schema or database")
                .with("name", tenant.database_name()));
        };
        let (name, role) = (tenant.role_name(), ident(&tenant.role_name()));

        // First the old sessions: as long as one is open it can change the role's password and
        // settings, also after we did. From here to the end nobody can log in.
        let sql = format!("ALTER ROLE {role} NOLOGIN; {}", guard.mark(before));
        guard.client.batch_execute(&sql).await.mapped()?;
        sessions::end(&guard.client, &name, self.config.timeout / 2).await?;

        let (id, password) = (CredentialId::new(), password());
        let database = match isolation {
            Isolation::Schema => self.config.schema_database.clone(),
            Isolation::Database => tenant.database_name(),
        };
        let mark = guard.mark(Some(id));
        let transaction = guard.transaction().await?;
        let mut sql = format!("ALTER ROLE {role} RESET ALL;");
        let places = transaction
            .query(
                "SELECT d.datname FROM pg_db_role_setting s
                 JOIN pg_database d ON d.oid = s.setdatabase
                 JOIN pg_roles r ON r.oid = s.setrole WHERE r.rolname = $1",
                &[&name],
            )
            .await
            .mapped()?;
        for place in &places {
            // Writing to a String can't fail.
            let _ = write!(sql, "ALTER ROLE {role} IN DATABASE {} RESET ALL;", ident(place.get(0)));
        }
        let idle = self.config.idle_in_transaction.as_millis();
        let _ = write!(sql, "ALTER ROLE {role} SET idle_in_transaction_session_timeout = {idle};");
        if isolation == Isolation::Schema {
            let schema = ident(&tenant.database_name());
            let place = ident(&database);
            let _ =
                write!(sql, "ALTER ROLE {role} IN DATABASE {place} SET search_path = {schema};");
        }
        let lift = watch::lift(self.platform(), tenant);
        let verifier = literal(verifier(&password));
        let _ = write!(sql, "ALTER ROLE {role} LOGIN PASSWORD {verifier}; {mark}; {lift}");
        transaction.batch_execute(&sql).await.mapped()?;
        transaction.commit().await.mapped()?;

        let direct = url(&name, &password, &self.config.direct, &database);
        let pooled = match &self.config.pooled {
            Some(address) => url(&name, &password, address, &database),
            None => direct.clone(),
        };
        Ok(Credentials::new(id, direct, pooled))
    }
}
