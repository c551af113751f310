//! How much all tenants may take together.

use fresco_core::Capacity;

use crate::policy::TenantPolicy;

/// What the platform itself, PostgreSQL, Traefik and the system need of a machine, in MB.
const PLATFORM_MEMORY_MB: u64 = 2048;
/// Connections that are kept for the platform and for who looks after the database.
const PLATFORM_CONNECTIONS: u32 = 20;

/// How much all tenants may take together; `None` follows from the machine.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Room {
    /// Memory to be reserved, in MB.
    pub memory_mb: Option<u64>,
    /// How many times that the limits may add up to.
    pub overcommit: f64,
    /// Connections to the tenants' database.
    pub connections: Option<u64>,
    /// Free disk space that must be left, in MB.
    pub min_free_disk_mb: u64,
}

impl Room {
    /// The room on a machine of this much memory, with a database of this many connections.
    #[must_use]
    pub fn capacity(&self, policy: &TenantPolicy, memory_mb: u64, connections: u32) -> Capacity {
        let left = memory_mb.saturating_sub(PLATFORM_MEMORY_MB).max(memory_mb / 2);
        let memory_mb = self.memory_mb.unwrap_or(left);
        let connections = u64::from(connections.saturating_sub(PLATFORM_CONNECTIONS));
        let mut capacity = Capacity::unlimited();
        capacity.reserve_mb = policy.reserved_mb();
        capacity.reserved_memory_mb = Some(memory_mb);
        // A float's cast saturates.
        capacity.memory_limits_mb = Some((memory_mb as f64 * self.overcommit) as u64);
        capacity.connections = Some(self.connections.unwrap_or(connections));
        capacity
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::settings::Values;

    fn capacity(settings: &[(&str, &str)], memory_mb: u64, connections: u32) -> Capacity {
        let config = Config::read(&Values::new(settings.iter().copied())).unwrap();
        config.room.capacity(&config.tenants, memory_mb, connections)
    }

    #[test]
    fn a_small_machine_keeps_half_for_itself_and_a_large_one_two_gigabytes() {
        for (machine, tenants) in [(2048, 1024), (4096, 2048), (16384, 14336)] {
            let capacity = capacity(&[], machine, 100);
            assert_eq!(capacity.reserved_memory_mb, Some(tenants), "{machine}");
            assert_eq!(capacity.memory_limits_mb, Some(2 * tenants));
            assert_eq!(capacity.connections, Some(80));
        }
        assert_eq!(capacity(&[], 4096, 10).connections, Some(0));
    }

    #[test]
    fn settings_say_otherwise() {
        let settings = [
            ("TENANT_MEMORY", "1000"),
            ("MEMORY_OVERCOMMIT", "1.5"),
            ("TENANT_CONNECTIONS", "40"),
            ("MIN_MEMORY", "128"),
            ("FRESCO_APP", "generic"),
        ];
        let capacity = capacity(&settings, 4096, 100);
        assert_eq!((capacity.reserve_mb, capacity.reserved_memory_mb), (128, Some(1000)));
        assert_eq!((capacity.memory_limits_mb, capacity.connections), (Some(1500), Some(40)));
    }
}
