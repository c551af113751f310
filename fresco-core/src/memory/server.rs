//! The database server: roles, storages, sessions, whoever made them.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};

use crate::app::Isolation;
use crate::database_watch::DatabaseOffence;
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{CredentialId, Generation, PlatformId, TenantId};

/// What every URL of this server begins with.
const SCHEME: &str = "memory://";

#[derive(Default)]
pub(super) struct Server {
    pub(super) roles: BTreeMap<TenantId, Role>,
    pub(super) storages: BTreeMap<TenantId, Storage>,
    /// The highest generation that each platform showed for a tenant; it outlives the tenant.
    pub(super) generations: BTreeMap<(PlatformId, TenantId), Generation>,
    sessions: Vec<Session>,
    logins: u64,
}

pub(super) struct Role {
    pub(super) platform: Option<PlatformId>,
    /// Without one nobody can log in.
    pub(super) password: Option<SecretString>,
    pub(super) credential: Option<CredentialId>,
    pub(super) connection_limit: u32,
    /// What it was barred for; nobody can log in then.
    pub(super) barred: Option<DatabaseOffence>,
    /// Whether the tenant put a setting on it.
    pub(super) setting: bool,
}

pub(super) struct Storage {
    pub(super) platform: Option<PlatformId>,
    pub(super) isolation: Isolation,
    pub(super) data: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SessionId(u64);

pub(super) struct Session {
    id: SessionId,
    pub(super) tenant: TenantId,
    pub(super) began_at: DateTime<Utc>,
    /// Whether the role had its setting when the session began.
    pub(super) setting: bool,
}

/// The address that a tenant's app is given.
pub(super) fn url(tenant: TenantId, password: &str) -> String {
    format!("{SCHEME}{}:{password}@memory/{}", tenant.role_name(), tenant.database_name())
}

fn tenant_and_password(url: &str) -> Option<(TenantId, &str)> {
    let (login, _) = url.strip_prefix(SCHEME)?.split_once('@')?;
    let (role, password) = login.split_once(':')?;
    Some((TenantId::from_role_name(role)?, password))
}

impl Server {
    /// Logs in. `None` when the text is no URL of this server.
    pub(super) fn login(
        &mut self,
        url: &SecretString,
        now: DateTime<Utc>,
    ) -> Option<Result<SessionId>> {
        let (tenant, password) = tenant_and_password(url.expose_secret())?;
        Some(self.admit(tenant, password, now))
    }

    fn admit(&mut self, tenant: TenantId, password: &str, now: DateTime<Utc>) -> Result<SessionId> {
        let refused = |kind, why| Error::new(kind, why).with("tenant", tenant);
        let role = self.roles.get(&tenant);
        let known = role
            .filter(|r| r.barred.is_none())
            .filter(|r| r.password.as_ref().is_some_and(|known| known.expose_secret() == password));
        let role = known.ok_or_else(|| {
            refused(ErrorKind::Denied, "the database does not know this role and password")
        })?;
        if !self.storages.contains_key(&tenant) {
            return Err(refused(ErrorKind::NotFound, "the tenant's database does not exist"));
        }
        let open = self.sessions_of(tenant).count();
        if open >= role.connection_limit as usize {
            return Err(refused(ErrorKind::Exhausted, "too many connections for this role"));
        }
        self.logins += 1;
        let id = SessionId(self.logins);
        self.sessions.push(Session { id, tenant, began_at: now, setting: role.setting });
        Ok(id)
    }

    pub(super) fn session(&self, id: SessionId) -> Option<&Session> {
        self.sessions.iter().find(|session| session.id == id)
    }

    pub(super) fn sessions_of(&self, tenant: TenantId) -> impl Iterator<Item = &Session> {
        self.sessions.iter().filter(move |session| session.tenant == tenant)
    }

    pub(super) fn close(&mut self, id: SessionId) {
        self.sessions.retain(|session| session.id != id);
    }

    pub(super) fn close_all_of(&mut self, tenant: TenantId) {
        self.sessions.retain(|session| session.tenant != tenant);
    }

    /// Whether the session's storage is a schema.
    pub(super) fn is_schema(&self, id: SessionId) -> bool {
        let storage = self.session(id).and_then(|session| self.storage(session.tenant));
        storage.is_some_and(|storage| storage.isolation == Isolation::Schema)
    }

    pub(super) fn storage(&self, tenant: TenantId) -> Option<&Storage> {
        self.storages.get(&tenant)
    }

    pub(super) fn storage_mut(&mut self, tenant: TenantId) -> Option<&mut Storage> {
        self.storages.get_mut(&tenant)
    }
}
