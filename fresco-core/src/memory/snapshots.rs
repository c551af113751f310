//! Copies of tenants' data: a text in JSON.

use std::collections::BTreeMap;

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};

use super::MemoryDatabase;
use super::server::Server;
use crate::app::Isolation;
use crate::database::{DatabaseCopy, DatabaseSnapshots, Fence};
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{PlatformId, TenantId};

/// Bytes in each part of a copy. Few, so that copies of tests have several.
const PART: usize = 64;

#[derive(Serialize, Deserialize)]
struct Copy {
    tenant: TenantId,
    isolation: Isolation,
    data: BTreeMap<String, String>,
}

impl Server {
    /// How the tenant's data is kept, if it is there and is this platform's.
    fn kept(&self, platform: PlatformId, tenant: TenantId) -> Result<Isolation> {
        let owned = self.owned(platform, tenant)?;
        let storage = self.storage(tenant).filter(|_| owned.role);
        storage.map(|storage| storage.isolation).ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "this tenant has no database").with("tenant", tenant)
        })
    }

    /// The same, for whoever wants to replace the data in this generation.
    fn wanted(&mut self, platform: PlatformId, fence: Fence) -> Result<Isolation> {
        self.owned(platform, fence.tenant)?;
        self.pass(platform, fence)?;
        self.kept(platform, fence.tenant)
    }
}

#[async_trait]
impl DatabaseSnapshots for MemoryDatabase {
    async fn dump(&self, tenant: TenantId) -> Result<DatabaseCopy> {
        let state = self.world.state();
        let isolation = state.server.kept(self.world.platform(), tenant)?;
        let data = state.server.storage(tenant).map(|storage| storage.data.clone());
        let copy = Copy { tenant, isolation, data: data.unwrap_or_default() };
        let text = serde_json::to_vec(&copy).map_err(|e| {
            Error::new(ErrorKind::Internal, "the copy can't be written").with_source(e)
        })?;
        let parts: Vec<_> = text.chunks(PART).map(|part| Ok(part.to_vec())).collect();
        Ok(stream::iter(parts).boxed())
    }

    async fn restore(&self, fence: Fence, copy: DatabaseCopy) -> Result<()> {
        let (platform, tenant) = (self.world.platform(), fence.tenant);
        self.world.state().server.wanted(platform, fence)?;
        let text: Vec<u8> = copy.try_concat().await?;
        let invalid = |why| Error::new(ErrorKind::Invalid, why).with("tenant", tenant);
        let copy: Copy = serde_json::from_slice(&text)
            .map_err(|e| invalid("this is no copy, or not a whole one").with_source(e))?;
        // Meanwhile somebody else may have taken over.
        let mut state = self.world.state();
        let isolation = state.server.wanted(platform, fence)?;
        if (copy.tenant, copy.isolation) != (tenant, isolation) {
            return Err(invalid("this is a copy of another tenant, or of another isolation"));
        }
        state.server.close_all_of(tenant);
        if let Some(storage) = state.server.storage_mut(tenant) {
            storage.data = copy.data;
        }
        Ok(())
    }
}
