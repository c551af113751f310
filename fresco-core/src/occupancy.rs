//! How full a platform is.

use crate::app::AppProfile;
use crate::backends::call;
use crate::capacity::{Capacity, Taken};
use crate::error::Result;
use crate::orchestrator::Orchestrator;
use crate::tenant::{Limits, Tenant};

/// How much there is for all tenants together, and what is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Occupancy {
    /// The bounds, as they are now.
    pub capacity: Capacity,
    /// What tenants take of that.
    pub taken: Taken,
    /// The disk that tenants write to.
    pub disk: Disk,
}

/// A disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Disk {
    /// Free space, in MB; `None` where no backend can tell it.
    pub free_mb: Option<u64>,
    /// What must be left of it for a tenant to be let in, in MB.
    pub min_free_mb: u64,
}

impl Disk {
    /// Whether too little is left.
    #[must_use]
    pub fn is_short(&self) -> bool {
        self.free_mb.is_some_and(|free| free < self.min_free_mb)
    }
}

impl Occupancy {
    /// How many more tenants of this app with these limits there is room for; `None`: any number.
    #[must_use]
    pub fn room_for(&self, app: &AppProfile, limits: &Limits) -> Option<u64> {
        let (capacity, taken) = (&self.capacity, &self.taken);
        if capacity.short_of_disk {
            return Some(0);
        }
        let one = capacity.demand(app, limits);
        let bounds = [
            (capacity.reserved_memory_mb, taken.reserved_memory_mb, one.reserved_memory_mb),
            (capacity.memory_limits_mb, taken.memory_limits_mb, one.memory_limits_mb),
            (capacity.connections, taken.connections, one.connections),
        ];
        // What a tenant takes nothing of bounds their number by nothing.
        let left = bounds.into_iter().filter(|(_, _, one)| *one > 0);
        left.filter_map(|(bound, taken, one)| Some(bound?.saturating_sub(taken) / one)).min()
    }
}

impl Orchestrator {
    /// The disk that tenants write to, as it is now.
    pub(crate) async fn disk(&self) -> Result<Disk> {
        let settings = self.settings();
        let free_mb = match &self.backends().disk_space {
            Some(disk) => Some(call("disk.free", settings.call_deadline, disk.free_mb()).await?),
            None => None,
        };
        Ok(Disk { free_mb, min_free_mb: settings.min_free_disk_mb })
    }

    /// How much there is for all tenants together, and what these take of it: all that there are.
    ///
    /// # Errors
    /// The backend's own that tells how much disk is free.
    pub async fn occupancy(&self, tenants: &[Tenant]) -> Result<Occupancy> {
        let (disk, mut capacity) = (self.disk().await?, self.settings().capacity);
        capacity.short_of_disk |= disk.is_short();
        Ok(Occupancy { capacity, taken: capacity.taken(tenants), disk })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scarcest_of_all_says_how_many_more_there_is_room_for() {
        let app = AppProfile::generic();
        let limits = Limits { memory_mb: 512, cpus: 0.5, pids: 256 };
        let disk = Disk { free_mb: None, min_free_mb: 0 };
        let of = |capacity: Capacity, tenants: u64| {
            let taken = Taken {
                tenants,
                reserved_memory_mb: 256 * tenants,
                memory_limits_mb: 512 * tenants,
                connections: u64::from(app.connection_limit) * tenants,
            };
            Occupancy { capacity, taken, disk }.room_for(&app, &limits)
        };
        let mut capacity = Capacity { reserve_mb: 256, ..Capacity::unlimited() };
        assert_eq!(of(capacity, 3), None);
        capacity.reserved_memory_mb = Some(2560);
        assert_eq!(
            (of(capacity, 3), of(capacity, 10), of(capacity, 11)),
            (Some(7), Some(0), Some(0))
        );
        capacity.memory_limits_mb = Some(512 * 5 + 511);
        assert_eq!(of(capacity, 3), Some(2));
        capacity.connections = Some(u64::from(app.connection_limit) * 4);
        assert_eq!(of(capacity, 3), Some(1));
        capacity.short_of_disk = true;
        assert_eq!(of(capacity, 0), Some(0));
    }
}
