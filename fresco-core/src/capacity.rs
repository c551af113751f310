//! How much all tenants may take together, and whether there is room for one more.

use std::fmt;

use async_trait::async_trait;

use crate::app::AppProfile;
use crate::error::{Error, ErrorKind, Result};
use crate::ids::TenantId;
use crate::tenant::{DesiredState, Limits, Tenant, TenantSpec, TenantStatus};

/// How much all tenants that run, or shall run, may take together. What is `None` has no bound.
///
/// The store checks it in the write that accepts an operation, under one lock: of requests that
/// come at the same time, only as many are accepted as there is room for.
///
/// ```
/// use fresco_core::Capacity;
///
/// let mut capacity = Capacity::unlimited();
/// capacity.reserved_memory_mb = Some(2048); // eight tenants that reserve 256 MB each
/// capacity.reserve_mb = 256;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capacity {
    /// What a tenant reserves, in MB; never less than its app needs.
    pub reserve_mb: u32,
    /// Memory that may be reserved, in MB.
    pub reserved_memory_mb: Option<u64>,
    /// The sum of memory limits, in MB. More than there is of it overcommits memory: tenants seldom
    /// use all that they may.
    pub memory_limits_mb: Option<u64>,
    /// The sum of the limits of connections to the tenants' database.
    pub connections: Option<u64>,
    /// Too little disk is left: nothing is let in, whatever else there is room for.
    pub short_of_disk: bool,
}

/// An ability of some backends: telling how much disk is left for what tenants write.
#[async_trait]
pub trait DiskSpace: fmt::Debug + Send + Sync + 'static {
    /// Free disk space, in MB.
    ///
    /// # Errors
    /// `Unavailable` when it can't be told now.
    async fn free_mb(&self) -> Result<u64>;
}

/// What tenants take together: those that run, or shall run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Taken {
    /// How many they are.
    pub tenants: u64,
    /// The memory reserved for them, in MB.
    pub reserved_memory_mb: u64,
    /// The sum of their memory limits, in MB.
    pub memory_limits_mb: u64,
    /// The sum of their limits of connections to the tenants' database.
    pub connections: u64,
}

impl Capacity {
    /// No bound at all.
    #[must_use]
    pub fn unlimited() -> Self {
        Self::default()
    }

    /// Whether anything is bounded.
    #[must_use]
    pub const fn is_bounded(&self) -> bool {
        self.reserved_memory_mb.is_some()
            || self.memory_limits_mb.is_some()
            || self.connections.is_some()
            || self.short_of_disk
    }

    /// What one tenant of this app with these limits takes.
    pub(crate) fn demand(&self, app: &AppProfile, limits: &Limits) -> Taken {
        Taken {
            tenants: 1,
            reserved_memory_mb: self.reserve_mb.max(app.min_memory_mb).into(),
            memory_limits_mb: limits.memory_mb.into(),
            connections: app.connection_limit.into(),
        }
    }

    /// What those of these tenants take that run, or shall run.
    #[must_use]
    pub fn taken<'a>(&self, tenants: impl IntoIterator<Item = &'a Tenant>) -> Taken {
        let mut taken = Taken::default();
        for tenant in tenants.into_iter().filter(|tenant| holds_room(tenant)) {
            let demand = self.demand(&tenant.spec.app, &tenant.spec.limits);
            taken.tenants += demand.tenants;
            taken.reserved_memory_mb += demand.reserved_memory_mb;
            taken.memory_limits_mb += demand.memory_limits_mb;
            taken.connections += demand.connections;
        }
        taken
    }

    /// Checks that there is room for this tenant as it shall be, beside the others.
    ///
    /// `tenants` are all there are; the tenant itself may be among them, as it was until now. One
    /// that has its room already, and asks for no more, is refused for want of disk alone.
    ///
    /// # Errors
    /// `Exhausted`, with the context `capacity` naming what is short.
    pub fn admit<'a>(
        &self,
        id: TenantId,
        spec: &TenantSpec,
        tenants: impl IntoIterator<Item = &'a Tenant>,
    ) -> Result<()> {
        if self.short_of_disk {
            return Err(full("disk"));
        }
        let wanted = self.demand(&spec.app, &spec.limits);
        let (own, others): (Vec<_>, Vec<_>) =
            tenants.into_iter().partition(|tenant| tenant.id == id);
        let (own, taken) = (self.taken(own), self.taken(others));
        let of = |what: fn(&Taken) -> u64| (what(&own), what(&wanted), what(&taken));
        for (what, (own, wanted, taken), bound) in [
            ("memory", of(|it| it.reserved_memory_mb), self.reserved_memory_mb),
            ("memory limits", of(|it| it.memory_limits_mb), self.memory_limits_mb),
            ("database connections", of(|it| it.connections), self.connections),
        ] {
            if wanted > own && bound.is_some_and(|bound| taken + wanted > bound) {
                return Err(full(what));
            }
        }
        Ok(())
    }
}

/// The error of a platform that has no room.
fn full(what: &'static str) -> Error {
    Error::new(
        ErrorKind::Exhausted,
        "this platform is full at the moment: there is no room for one more running tenant",
    )
    .with("capacity", what)
    .permanent()
}

/// Whether a tenant's room is taken: it runs, or shall run. One whose creation failed left nothing,
/// and takes none until it is created again.
fn holds_room(tenant: &Tenant) -> bool {
    let state = &tenant.state;
    let left_nothing = state.status == TenantStatus::Error && state.first_active_at.is_none();
    state.status != TenantStatus::Destroyed
        && state.desired == DesiredState::Running
        && !left_nothing
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::ids::{Generation, OwnerId};
    use crate::tenant::TenantState;

    fn tenant(name: &str) -> Tenant {
        let (owner, image) = (OwnerId::new("alice"), "app:1".parse().unwrap());
        Tenant {
            id: TenantId::new(),
            spec: TenantSpec::new(owner, name.parse().unwrap(), AppProfile::generic(), image),
            state: TenantState::pending(),
            generation: Generation::new(1),
            created_at: DateTime::UNIX_EPOCH,
        }
    }

    fn capacity(reserved: u64) -> Capacity {
        Capacity { reserve_mb: 256, reserved_memory_mb: Some(reserved), ..Capacity::unlimited() }
    }

    #[test]
    fn there_is_room_until_it_is_taken() {
        let (one, two) = (tenant("one"), tenant("two"));
        capacity(512).admit(two.id, &two.spec, [&one]).unwrap();
        let error = capacity(511).admit(two.id, &two.spec, [&one]).unwrap_err();
        assert_eq!(
            (error.kind(), error.context("capacity")),
            (ErrorKind::Exhausted, Some("memory"))
        );
        assert!(!error.is_retryable());
    }

    #[test]
    fn an_app_reserves_what_it_needs() {
        let (mut one, two) = (tenant("one"), tenant("two"));
        one.spec.app.min_memory_mb = 400;
        capacity(655).admit(two.id, &two.spec, [&one]).unwrap_err();
        capacity(656).admit(two.id, &two.spec, [&one]).unwrap();
    }

    #[test]
    fn limits_and_connections_are_bounded_too() {
        let (one, two) = (tenant("one"), tenant("two"));
        let limits = Capacity { memory_limits_mb: Some(1023), ..Capacity::unlimited() };
        let error = limits.admit(two.id, &two.spec, [&one]).unwrap_err();
        assert_eq!(error.context("capacity"), Some("memory limits"));
        let connections = Capacity { connections: Some(39), ..Capacity::unlimited() };
        let error = connections.admit(two.id, &two.spec, [&one]).unwrap_err();
        assert_eq!(error.context("capacity"), Some("database connections"));
    }

    #[test]
    fn what_does_not_run_takes_no_room() {
        let new = tenant("new");
        let mut stopped = tenant("stopped");
        stopped.state.desired = DesiredState::Stopped;
        let mut destroyed = tenant("destroyed");
        destroyed.state.status = TenantStatus::Destroyed;
        let mut failed = tenant("failed");
        failed.state.status = TenantStatus::Error;
        capacity(256).admit(new.id, &new.spec, [&stopped, &destroyed, &failed]).unwrap();
        // One that ran before is started again by the platform: it keeps its room.
        failed.state.first_active_at = Some(DateTime::UNIX_EPOCH);
        capacity(256).admit(new.id, &new.spec, [&failed]).unwrap_err();
    }

    #[test]
    fn who_has_its_room_and_asks_for_no_more_is_never_refused() {
        let (one, two) = (tenant("one"), tenant("two"));
        // There is less than before: two tenants run, and there is room for one.
        capacity(256).admit(one.id, &one.spec, [&one, &two]).unwrap();
        let mut more = one.spec.clone();
        more.limits.memory_mb += 1;
        let limits = Capacity { memory_limits_mb: Some(512), ..Capacity::unlimited() };
        limits.admit(one.id, &one.spec, [&one, &two]).unwrap();
        limits.admit(one.id, &more, [&one, &two]).unwrap_err();
    }
}
