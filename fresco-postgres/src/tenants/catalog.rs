//! What is there of tenants, and whose it is: read from the catalog and from comments.

use std::collections::BTreeMap;

use fresco_core::{DatabaseEntry, Error, ErrorKind, Isolation, Result, TenantId};

use super::PostgresTenants;
use super::names::{RoleMark, storage_mark};
use crate::errors::Mapped;
use crate::server::take;

/// A role of a tenant's name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Role {
    #[default]
    Absent,
    Ours(RoleMark),
    Foreign,
}

/// A schema or database of a tenant's name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Storage {
    #[default]
    Absent,
    Ours,
    /// A database that was made and not finished. `CREATE DATABASE` can't be in one transaction
    /// with the comment that marks it. So it is made closed to all connections, by a platform that
    /// has made and marked the role before. A database without any comment that belongs to the
    /// platform's own role, has never been open, and has a role of ours beside it, is such a half.
    Half,
    /// A database of ours whose removal was cut off. PostgreSQL lets nobody use it any more.
    Broken,
    Foreign,
}

/// What is there of one tenant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) role: Role,
    /// Whether the role can't log in.
    pub(super) locked: bool,
    pub(super) database: Storage,
    pub(super) schema: Storage,
}

impl Found {
    /// Refuses what is not ours to touch.
    pub(super) fn check(&self, tenant: TenantId) -> Result<()> {
        let foreign = |what: &str, name: String| {
            Err(Error::new(
                ErrorKind::Conflict,
                format!("a {what} of this name is there without the mark of this platform; it is left alone"),
            )
            .with("name", name))
        };
        if self.role == Role::Foreign {
            return foreign("role", tenant.role_name());
        }
        if self.database == Storage::Foreign {
            return foreign("database", tenant.database_name());
        }
        if self.schema == Storage::Foreign {
            return foreign("schema", tenant.database_name());
        }
        Ok(())
    }

    /// Where the tenant's data is.
    pub(super) fn storage(&self) -> Option<Isolation> {
        let ours = |storage| matches!(storage, Storage::Ours | Storage::Half | Storage::Broken);
        if ours(self.database) {
            Some(Isolation::Database)
        } else if ours(self.schema) {
            Some(Isolation::Schema)
        } else {
            None
        }
    }
}

impl PostgresTenants {
    /// What is there of this tenant.
    pub(super) async fn look(&self, tenant: TenantId) -> Result<Found> {
        Ok(self.read(Some(tenant)).await?.remove(&tenant).unwrap_or_default())
    }

    pub(super) async fn entries(&self, tenant: Option<TenantId>) -> Result<Vec<DatabaseEntry>> {
        let found = self.read(tenant).await?;
        let entries = found.into_iter().filter_map(|(id, found)| {
            let mut entry = DatabaseEntry::new(id);
            entry.storage = found.storage();
            if let Role::Ours(mark) = found.role {
                entry.role = true;
                entry.credential = mark.credential;
                entry.locked = found.locked;
            }
            (entry.role || entry.storage.is_some()).then_some(entry)
        });
        Ok(entries.collect())
    }

    async fn read(&self, tenant: Option<TenantId>) -> Result<BTreeMap<TenantId, Found>> {
        let role_name = tenant.map(TenantId::role_name);
        let storage_name = tenant.map(TenantId::database_name);
        let mut all: BTreeMap<TenantId, Found> = BTreeMap::new();
        let mine = storage_mark(self.platform());

        let client = take(&self.admin).await?;
        let roles = client
            .query(
                r"SELECT rolname, shobj_description(oid, 'pg_authid'), NOT rolcanlogin FROM pg_roles
                  WHERE rolname LIKE 'tenant\_user\_%' AND ($1::text IS NULL OR rolname = $1)",
                &[&role_name],
            )
            .await
            .mapped()?;
        for row in &roles {
            let Some(id) = TenantId::from_role_name(row.get(0)) else { continue };
            let mark = row.get::<_, Option<&str>>(1).and_then(RoleMark::parse);
            let found = all.entry(id).or_default();
            found.locked = row.get(2);
            found.role = match mark.filter(|mark| mark.platform == self.platform()) {
                Some(mark) => Role::Ours(mark),
                None => Role::Foreign,
            };
        }
        let databases = client
            .query(
                r"SELECT datname, shobj_description(oid, 'pg_database'), datconnlimit = -2,
                         pg_has_role(datdba, 'USAGE') AND NOT datallowconn
                  FROM pg_database
                  WHERE datname LIKE 'tenant\_%' AND ($1::text IS NULL OR datname = $1)",
                &[&storage_name],
            )
            .await
            .mapped()?;
        for row in &databases {
            let Some(id) = TenantId::from_database_name(row.get(0)) else { continue };
            let (broken, unopened): (bool, bool) = (row.get(2), row.get(3));
            let found = all.entry(id).or_default();
            found.database = match row.get::<_, Option<&str>>(1) {
                Some(mark) if mark != mine => Storage::Foreign,
                Some(_) if broken => Storage::Broken,
                Some(_) => Storage::Ours,
                None if unopened && matches!(found.role, Role::Ours(_)) => Storage::Half,
                None => Storage::Foreign,
            };
        }
        drop(client);
        let schemas = take(&self.schemas)
            .await?
            .query(
                r"SELECT nspname, obj_description(oid, 'pg_namespace') FROM pg_namespace
                  WHERE nspname LIKE 'tenant\_%' AND ($1::text IS NULL OR nspname = $1)",
                &[&storage_name],
            )
            .await
            .mapped()?;
        for row in &schemas {
            let Some(id) = TenantId::from_database_name(row.get(0)) else { continue };
            all.entry(id).or_default().schema = match row.get::<_, Option<&str>>(1) {
                Some(mark) if mark == mine => Storage::Ours,
                _ => Storage::Foreign,
            };
        }
        Ok(all)
    }
}
