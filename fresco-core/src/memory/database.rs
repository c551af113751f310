//! The tenants' database.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use async_trait::async_trait;
use secrecy::SecretString;
use uuid::Uuid;

use super::server::{Role, Server, SessionId, Storage, url};
use super::{MemoryWorld, State};
use crate::app::Isolation;
use crate::database::{
    Credentials, DatabaseActivity, DatabaseEntry, DatabaseMetrics, DatabaseSample, DatabaseSpec,
    Fence, TenantDatabase,
};
use crate::error::{Error, ErrorKind, Result};
use crate::health::Health;
use crate::ids::{CredentialId, PlatformId, TenantId};

/// The database of a [`MemoryWorld`], with both isolations and all abilities.
#[derive(Clone, Debug)]
pub struct MemoryDatabase {
    pub(super) world: MemoryWorld,
}

impl MemoryDatabase {
    pub(super) const fn new(world: MemoryWorld) -> Self {
        Self { world }
    }

    /// Logs in with one of the URLs of [`Credentials`], as a tenant's app does.
    ///
    /// # Errors
    /// `Denied` when role or password are wrong, `Exhausted` when the role has too many
    /// connections, `Invalid` when this is no URL of such a database.
    pub fn connect(&self, url: &SecretString) -> Result<MemorySession> {
        let now = self.world.shared.clock.now();
        let login = self.world.state().server.login(url, now);
        let id = login.ok_or_else(|| {
            Error::new(ErrorKind::Invalid, "this is no URL of an in-memory database")
        })??;
        Ok(MemorySession { world: self.world.clone(), id })
    }
}

/// What is the platform's own of a tenant.
pub(super) struct Owned {
    pub(super) role: bool,
    pub(super) storage: bool,
}

impl Server {
    /// What is there of the tenant.
    ///
    /// # Errors
    /// `Conflict` when any of it is not this platform's.
    pub(super) fn owned(&self, platform: PlatformId, tenant: TenantId) -> Result<Owned> {
        let role = self.roles.get(&tenant).map(|role| role.platform);
        let storage = self.storages.get(&tenant).map(|storage| storage.platform);
        if [role, storage].into_iter().flatten().any(|owner| owner != Some(platform)) {
            let what = "a role, schema or database of this tenant's name belongs to somebody else";
            return Err(Error::new(ErrorKind::Conflict, what).with("tenant", tenant));
        }
        Ok(Owned { role: role.is_some(), storage: storage.is_some() })
    }

    /// Refuses a lower generation than one seen, and remembers this one.
    pub(super) fn pass(&mut self, platform: PlatformId, fence: Fence) -> Result<()> {
        let seen = self.generations.entry((platform, fence.tenant)).or_default();
        if fence.generation < *seen {
            let why = "somebody took over this tenant's work";
            return Err(Error::new(ErrorKind::LeaseLost, why)
                .with("tenant", fence.tenant)
                .with("generation", fence.generation)
                .with("seen", seen));
        }
        *seen = fence.generation;
        Ok(())
    }
}

#[async_trait]
impl TenantDatabase for MemoryDatabase {
    fn supports(&self, isolation: Isolation) -> bool {
        matches!(isolation, Isolation::Schema | Isolation::Database)
    }

    async fn ensure(&self, spec: &DatabaseSpec) -> Result<()> {
        let (platform, tenant) = (self.world.platform, spec.fence.tenant);
        let mut state = self.world.state();
        let server = &mut state.server;
        let owned = server.owned(platform, tenant)?;
        server.pass(platform, spec.fence)?;
        let other = server.storage(tenant).filter(|s| s.isolation != spec.isolation);
        if other.is_some() {
            let what = "this tenant's data is kept with the other isolation";
            return Err(Error::new(ErrorKind::Conflict, what).with("tenant", tenant));
        }
        if !owned.role {
            let role = Role {
                platform: Some(platform),
                password: None,
                credential: None,
                connection_limit: spec.connection_limit,
                barred: None,
                setting: false,
            };
            server.roles.insert(tenant, role);
        }
        if !owned.storage {
            let (isolation, data) = (spec.isolation, BTreeMap::new());
            let storage = Storage { platform: Some(platform), isolation, data };
            server.storages.insert(tenant, storage);
        }
        Ok(())
    }

    async fn issue(&self, fence: Fence) -> Result<Credentials> {
        let mut state = self.world.state();
        let server = &mut state.server;
        let owned = server.owned(self.world.platform, fence.tenant)?;
        if !(owned.role && owned.storage) {
            let what = "this tenant has no database to issue credentials for";
            return Err(Error::new(ErrorKind::NotFound, what).with("tenant", fence.tenant));
        }
        server.pass(self.world.platform, fence)?;
        let (id, password) = (CredentialId::new(), Uuid::new_v4().simple().to_string());
        if let Some(role) = server.roles.get_mut(&fence.tenant) {
            role.password = Some(password.clone().into());
            role.credential = Some(id);
            role.setting = false;
            role.barred = None;
        }
        server.close_all_of(fence.tenant);
        let url = url(fence.tenant, &password);
        Ok(Credentials::new(id, url.clone(), url))
    }

    async fn remove(&self, fence: Fence) -> Result<()> {
        let mut state = self.world.state();
        let server = &mut state.server;
        server.owned(self.world.platform, fence.tenant)?;
        server.pass(self.world.platform, fence)?;
        server.close_all_of(fence.tenant);
        server.storages.remove(&fence.tenant);
        server.roles.remove(&fence.tenant);
        Ok(())
    }

    async fn list(&self, tenant: Option<TenantId>) -> Result<Vec<DatabaseEntry>> {
        let ours = Some(self.world.platform);
        let state = self.world.state();
        let State { server, .. } = &*state;
        let roles = server.roles.iter().filter(|(_, role)| role.platform == ours);
        let storages = server.storages.iter().filter(|(_, storage)| storage.platform == ours);
        let tenants: BTreeSet<TenantId> = match tenant {
            Some(tenant) => BTreeSet::from([tenant]),
            None => roles.map(|(id, _)| *id).chain(storages.map(|(id, _)| *id)).collect(),
        };
        let entries = tenants.into_iter().map(|tenant| {
            let role = server.roles.get(&tenant).filter(|role| role.platform == ours);
            let storage = server.storage(tenant).filter(|storage| storage.platform == ours);
            let mut entry = DatabaseEntry::new(tenant);
            entry.storage = storage.map(|storage| storage.isolation);
            entry.role = role.is_some();
            entry.credential = role.and_then(|role| role.credential);
            entry.locked =
                role.is_some_and(|role| role.password.is_none() || role.barred.is_some());
            entry
        });
        Ok(entries.filter(|entry| entry.role || entry.storage.is_some()).collect())
    }

    async fn activity(&self, tenant: TenantId) -> Result<DatabaseActivity> {
        let state = self.world.state();
        let newest_session = state.server.sessions_of(tenant).map(|s| s.began_at).max();
        let sessions = u32::try_from(state.server.sessions_of(tenant).count()).unwrap_or(u32::MAX);
        Ok(DatabaseActivity { now: self.world.shared.clock.now(), newest_session, sessions })
    }

    async fn health(&self) -> Result<Health> {
        Ok(Health::new(concat!("memory database ", env!("CARGO_PKG_VERSION"))))
    }
}

#[async_trait]
impl DatabaseMetrics for MemoryDatabase {
    async fn measure(&self, tenant: TenantId) -> Result<DatabaseSample> {
        let connections = self.activity(tenant).await?.sessions;
        let state = self.world.state();
        let ours = state.server.storage(tenant).filter(|s| s.platform == Some(self.world.platform));
        let storage = ours.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "this tenant has no database").with("tenant", tenant)
        })?;
        // All values are rows of one table, which the first of them makes.
        Ok(DatabaseSample {
            tables: u64::from(!storage.data.is_empty()),
            rows: storage.data.len() as u64,
            bytes: storage.bytes(),
            connections,
        })
    }
}

/// A session of a tenant's role; it ends when this is dropped.
#[derive(Debug)]
pub struct MemorySession {
    world: MemoryWorld,
    id: SessionId,
}

impl MemorySession {
    /// Whether the session is still there.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.world.state().server.session(self.id).is_some()
    }

    /// Keeps a value in the tenant's storage.
    ///
    /// # Errors
    /// `Unavailable` when the session was ended.
    pub fn put(&self, key: &str, value: &str) -> Result<()> {
        self.with(|server, tenant| {
            if let Some(storage) = server.storage_mut(tenant) {
                storage.data.insert(key.to_owned(), value.to_owned());
            }
        })
    }

    /// Reads a value back.
    ///
    /// # Errors
    /// `Unavailable` when the session was ended.
    pub fn get(&self, key: &str) -> Result<Option<String>> {
        self.with(|server, tenant| {
            server.storage(tenant).and_then(|storage| storage.data.get(key).cloned())
        })
    }

    /// Puts a setting on the tenant's role that later sessions have.
    ///
    /// # Errors
    /// `Unavailable` when the session was ended.
    pub fn change_role(&self) -> Result<()> {
        self.with(|server, tenant| {
            if let Some(role) = server.roles.get_mut(&tenant) {
                role.setting = true;
            }
        })
    }

    /// Whether the role had a setting when this session began.
    ///
    /// # Errors
    /// `Unavailable` when the session was ended.
    pub fn has_role_setting(&self) -> Result<bool> {
        let id = self.id;
        self.with(|server, _| server.session(id).is_some_and(|session| session.setting))
    }

    fn with<T>(&self, work: impl FnOnce(&mut Server, TenantId) -> T) -> Result<T> {
        let mut state = self.world.state();
        let tenant = state.server.session(self.id).map(|session| session.tenant);
        let tenant = tenant.ok_or_else(|| {
            Error::new(ErrorKind::Unavailable, "the database ended this session; log in again")
        })?;
        Ok(work(&mut state.server, tenant))
    }
}

impl Drop for MemorySession {
    fn drop(&mut self) {
        self.world.state().server.close(self.id);
    }
}
