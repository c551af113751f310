//! From what Docker tells of a container to an [`Instance`].

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use bollard::models::{ContainerInspectResponse, ContainerStateStatusEnum as Status, HostConfig};
use fresco_core::{
    Endpoint, Guarantee, ImageId, Instance, InstanceId, InstanceState, Limits, PlatformId,
    Revision, TenantId, labels,
};

use crate::spec::PORT_LABEL;

/// A container as Docker describes it.
#[derive(Debug)]
pub(crate) struct Container(ContainerInspectResponse);

impl Container {
    pub(crate) fn new(inspected: ContainerInspectResponse) -> Self {
        Self(inspected)
    }

    pub(crate) fn id(&self) -> &str {
        self.0.id.as_deref().unwrap_or_default()
    }

    pub(crate) fn name(&self) -> &str {
        self.0.name.as_deref().unwrap_or_default().trim_start_matches('/')
    }

    fn label(&self, name: &str) -> Option<&str> {
        let labels: &HashMap<_, _> = self.0.config.as_ref()?.labels.as_ref()?;
        labels.get(name).map(String::as_str)
    }

    fn parsed<T: FromStr>(&self, label: &str) -> Option<T> {
        self.label(label)?.parse().ok()
    }

    pub(crate) fn belongs_to(&self, platform: PlatformId) -> bool {
        self.parsed(labels::PLATFORM) == Some(platform)
    }

    fn status(&self) -> Status {
        self.0.state.as_ref().and_then(|state| state.status).unwrap_or(Status::EMPTY)
    }

    /// Docker is removing it now.
    pub(crate) fn is_going(&self) -> bool {
        self.status() == Status::REMOVING
    }

    /// Whether it can still run: Docker calls dead what it could not remove wholly.
    pub(crate) fn is_usable(&self) -> bool {
        !matches!(self.status(), Status::REMOVING | Status::DEAD)
    }

    pub(crate) fn is_running(&self) -> bool {
        // A paused container and one between two runs hold their memory and their name.
        matches!(self.status(), Status::RUNNING | Status::PAUSED | Status::RESTARTING)
    }

    pub(crate) fn state(&self) -> InstanceState {
        if self.is_running() {
            return InstanceState::Running;
        }
        let state = self.0.state.as_ref();
        if self.status() == Status::CREATED {
            return InstanceState::Created;
        }
        InstanceState::Exited {
            code: state.and_then(|state| state.exit_code).unwrap_or_default(),
            out_of_memory: state.and_then(|state| state.oom_killed).unwrap_or_default(),
        }
    }

    /// The limits that hold for it, whoever set them; 0 is one that does not hold as promised.
    pub(crate) fn limits(&self, limits_swap: bool) -> Limits {
        let host = self.0.host_config.as_ref();
        let number = |read: fn(&HostConfig) -> Option<i64>| {
            let number = host.and_then(read).unwrap_or_default();
            u64::try_from(number).unwrap_or_default()
        };
        let memory = number(|host| host.memory);
        // An engine that can't limit swap forgets that it was asked to.
        let has_swap = limits_swap && number(|host| host.memory_swap) != memory;
        let whole = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        Limits {
            memory_mb: if has_swap { 0 } else { whole(memory.div_ceil(1024 * 1024)) },
            // Precise enough: a machine has far fewer than 2⁵² billionths of a CPU.
            cpus: number(|host| host.nano_cpus) as f64 / 1e9,
            pids: whole(number(|host| host.pids_limit)),
        }
    }

    /// Its address on the tenants' network, while it runs.
    pub(crate) fn address(&self, network: &str) -> Option<IpAddr> {
        let networks = self.0.network_settings.as_ref()?.networks.as_ref()?;
        networks.get(network)?.ip_address.as_deref()?.parse().ok()
    }

    /// All its addresses on a network.
    pub(crate) fn addresses(&self, network: &str) -> Vec<IpAddr> {
        let settings = self.0.network_settings.as_ref();
        let networks = settings.and_then(|settings| settings.networks.as_ref());
        let found = networks.and_then(|networks| networks.get(network));
        let texts = found.into_iter().flat_map(|at| [&at.ip_address, &at.global_ipv6_address]);
        texts.flatten().filter_map(|text| text.parse().ok()).collect()
    }

    /// The instance; `None` when our own labels are missing or spoilt.
    pub(crate) fn instance(&self, network: &str, unenforced: Vec<Guarantee>) -> Option<Instance> {
        let tenant: TenantId = self.parsed(labels::TENANT_ID)?;
        let endpoint = self.parsed(PORT_LABEL).and_then(|port| {
            let address = self.address(network)?;
            Some(Endpoint(SocketAddr::new(address, port)))
        });
        let state = self.state();
        // One that is paused holds its address, and answers nobody.
        let endpoint = endpoint.filter(|_| self.status() == Status::RUNNING);
        let instance = Instance::new(
            InstanceId::new(self.id()),
            tenant,
            self.parsed(labels::GENERATION)?,
            self.parsed(labels::CREDENTIAL)?,
            Revision::new(self.label(labels::REVISION)?),
            ImageId::new(self.0.image.as_deref()?),
        );
        Some(instance.with_state(state, endpoint).with_unenforced(unenforced))
    }
}

#[cfg(test)]
mod tests {
    use bollard::models::{ContainerConfig, ContainerState};

    use super::*;

    fn container(status: Status, labels: HashMap<String, String>) -> Container {
        Container::new(ContainerInspectResponse {
            id: Some("abc".into()),
            state: Some(ContainerState {
                status: Some(status),
                exit_code: Some(137),
                oom_killed: Some(true),
                ..Default::default()
            }),
            config: Some(ContainerConfig { labels: Some(labels), ..Default::default() }),
            ..Default::default()
        })
    }

    #[test]
    fn states() {
        let state = |status| container(status, HashMap::new()).state();
        assert_eq!(state(Status::CREATED), InstanceState::Created);
        assert_eq!(state(Status::RUNNING), InstanceState::Running);
        assert_eq!(state(Status::PAUSED), InstanceState::Running);
        let exited = InstanceState::Exited { code: 137, out_of_memory: true };
        assert_eq!(state(Status::EXITED), exited);
        assert_eq!(state(Status::DEAD), exited);
    }

    #[test]
    fn limits_are_read_as_they_hold() {
        const MB: i64 = 1024 * 1024;
        let read = |memory, memory_swap, limits_swap| {
            let host_config = Some(HostConfig {
                memory: Some(memory),
                memory_swap: Some(memory_swap),
                nano_cpus: Some(250_000_000),
                pids_limit: Some(64),
                ..Default::default()
            });
            let found = ContainerInspectResponse { host_config, ..Default::default() };
            Container::new(found).limits(limits_swap)
        };
        let limits = Limits { memory_mb: 256, cpus: 0.25, pids: 64 };
        let without = Limits { memory_mb: 0, ..limits };
        assert_eq!(read(256 * MB, 256 * MB, true), limits);
        assert_eq!(read(256 * MB, 512 * MB, true), without, "swap beside it");
        assert_eq!(read(256 * MB, -1, true), without, "swap without a limit");
        assert_eq!(read(0, 0, true), without);
        assert_eq!(read(256 * MB, -1, false), limits, "an engine that can't limit swap");
        assert_eq!(read(255 * MB + 1, 255 * MB + 1, true), limits, "rounded up");
        let nothing = Container::new(ContainerInspectResponse::default()).limits(true);
        assert_eq!(nothing, Limits { memory_mb: 0, cpus: 0.0, pids: 0 });
    }

    #[test]
    fn a_container_with_spoilt_labels_is_no_instance() {
        let platform = PlatformId::new();
        let labels = HashMap::from([
            (labels::PLATFORM.to_owned(), platform.to_string()),
            (labels::TENANT_ID.to_owned(), "spoilt".to_owned()),
        ]);
        let container = container(Status::RUNNING, labels);
        assert!(container.belongs_to(platform));
        assert!(!container.belongs_to(PlatformId::new()));
        assert_eq!(container.instance("n", Vec::new()), None);
    }
}
