//! How full the platform is, as admins see it.

use fresco_core::{TenantQuery, TenantStatus};
use poem_openapi::payload::Json;
use poem_openapi::{Object, OpenApi};

use crate::api::Tag;
use crate::api::auth::Nothing;
use crate::api::body::Body;
use crate::http::caller::{Admin, Caller};
use crate::http::problem::Problem;
use crate::platform::Platform;

/// Something that all tenants share.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
struct Share {
    /// What tenants take, or have reserved.
    taken: u64,
    /// How much there is for all of them; absent where there is no bound.
    most: Option<u64>,
}

/// How many tenants stand where. Destroyed ones are not counted.
#[derive(Debug, Default, Object)]
#[oai(rename_all = "camelCase")]
struct TenantCounts {
    /// Those whose creation waits.
    pending: u64,
    /// Those that are being created.
    provisioning: u64,
    /// Those that are up.
    active: u64,
    /// Those that their owners, or the platform, stopped.
    stopped: u64,
    /// Those in error.
    error: u64,
    /// Those that are being destroyed.
    destroying: u64,
}

impl TenantCounts {
    fn count(&mut self, status: TenantStatus) {
        let counted = match status {
            TenantStatus::Pending => &mut self.pending,
            TenantStatus::Provisioning => &mut self.provisioning,
            TenantStatus::Active => &mut self.active,
            TenantStatus::Stopped => &mut self.stopped,
            TenantStatus::Error => &mut self.error,
            TenantStatus::Destroying => &mut self.destroying,
            _ => return,
        };
        *counted += 1;
    }
}

/// How full the platform is.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
struct CapacityReport {
    /// How many more tenants with the usual limits there is room for; absent: any number.
    room_for: Option<u64>,
    /// How many tenants take room: they run, or shall run.
    running: u64,
    /// Memory that is kept for tenants, in MB.
    reserved_memory_mb: Share,
    /// The sum of the tenants' memory limits, in MB. There may be more of it than memory, since tenants
    /// seldom use all that they may.
    memory_limits_mb: Share,
    /// The sum of the tenants' limits of connections to their database.
    connections: Share,
    /// Free disk space, in MB; absent where it can't be told.
    free_disk_mb: Option<u64>,
    /// The free disk space below which no tenant is let in, in MB.
    min_free_disk_mb: u64,
    /// Where all tenants stand.
    tenants: TenantCounts,
}

#[derive(Clone, Debug)]
pub(crate) struct AdminCapacityApi {
    platform: Platform,
}

impl AdminCapacityApi {
    pub(crate) const fn new(platform: Platform) -> Self {
        Self { platform }
    }
}

#[OpenApi(tag = "Tag::Admin")]
impl AdminCapacityApi {
    /// Tells how full the platform is.
    ///
    /// What all tenants may take together, what those take that run or shall run, for how many more
    /// there is room, and how many tenants stand where. Errors: 503 when a part can't be asked.
    #[oai(path = "/api/admin.capacity", method = "post", operation_id = "admin_capacity")]
    async fn capacity(
        &self,
        _caller: Caller<Admin>,
        _body: Body<Nothing>,
    ) -> Result<Json<CapacityReport>, Problem> {
        let (orchestrator, policy) = (&self.platform.orchestrator, &self.platform.config.tenants);
        let all = orchestrator.tenants(&TenantQuery::all()).await?.tenants;
        let now = orchestrator.occupancy(&all).await?;
        let mut tenants = TenantCounts::default();
        all.iter().for_each(|tenant| tenants.count(tenant.state.status));
        let (taken, capacity) = (now.taken, now.capacity);
        let share = |taken, most| Share { taken, most };
        Ok(Json(CapacityReport {
            room_for: now.room_for(&policy.app, &policy.default_limits()),
            running: taken.tenants,
            reserved_memory_mb: share(taken.reserved_memory_mb, capacity.reserved_memory_mb),
            memory_limits_mb: share(taken.memory_limits_mb, capacity.memory_limits_mb),
            connections: share(taken.connections, capacity.connections),
            free_disk_mb: now.disk.free_mb,
            min_free_disk_mb: now.disk.min_free_mb,
            tenants,
        }))
    }
}
