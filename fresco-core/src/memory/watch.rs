//! Watching the database server: who keeps more than allowed is barred.

use async_trait::async_trait;

use super::server::{Server, Storage};
use super::{MemoryDatabase, State};
use crate::database::Fence;
use crate::database_watch::{DatabaseExcess, DatabaseOffence, DatabaseWatch};
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{PlatformId, TenantId};

impl MemoryDatabase {
    /// The most bytes of keys and values that a tenant may keep before it is barred.
    pub const SIZE_LIMIT: u64 = 1 << 20;
}

impl Storage {
    pub(super) fn bytes(&self) -> u64 {
        self.data.iter().map(|(key, value)| (key.len() + value.len()) as u64).sum()
    }
}

impl Server {
    /// Tenants of this platform that keep too much and are not barred yet.
    fn offences(&self, platform: PlatformId) -> Vec<DatabaseOffence> {
        let limit = MemoryDatabase::SIZE_LIMIT;
        let ours = self.storages.iter().filter(|(id, storage)| {
            let role = self.roles.get(id).filter(|role| role.platform == Some(platform));
            storage.platform == Some(platform) && role.is_some_and(|role| role.barred.is_none())
        });
        ours.filter(|(_, storage)| storage.bytes() > limit)
            .map(|(id, storage)| {
                DatabaseOffence::new(*id, DatabaseExcess::Bytes, storage.bytes(), limit)
            })
            .collect()
    }
}

#[async_trait]
impl DatabaseWatch for MemoryDatabase {
    async fn inspect(&self) -> Result<Vec<DatabaseOffence>> {
        let mut state = self.world.state();
        let server = &mut state.server;
        let found = server.offences(self.world.platform);
        for offence in &found {
            if let Some(role) = server.roles.get_mut(&offence.tenant) {
                role.barred = Some(*offence);
            }
            server.close_all_of(offence.tenant);
        }
        Ok(found)
    }

    async fn barred(&self, tenant: Option<TenantId>) -> Result<Vec<DatabaseOffence>> {
        let state = self.world.state();
        let State { server, .. } = &*state;
        let ours = server.roles.values().filter(|role| role.platform == Some(self.world.platform));
        let barred = ours.filter_map(|role| role.barred);
        Ok(barred.filter(|offence| tenant.is_none_or(|id| id == offence.tenant)).collect())
    }

    async fn admit(&self, fence: Fence) -> Result<()> {
        let mut state = self.world.state();
        let server = &mut state.server;
        server.owned(self.world.platform, fence.tenant)?;
        server.pass(self.world.platform, fence)?;
        let role = server.roles.get_mut(&fence.tenant).ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "this tenant has no role in the database")
                .with("tenant", fence.tenant)
        })?;
        role.barred = None;
        Ok(())
    }
}
