//! Tenants' containers on Docker.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use async_trait::async_trait;
use bollard::models::ContainerUpdateBody;
use bollard::query_parameters::{
    InspectContainerOptions, KillContainerOptionsBuilder, ListContainersOptionsBuilder,
    RemoveContainerOptionsBuilder, StartContainerOptions, StopContainerOptionsBuilder,
};
use fresco_core::{
    ContainerRuntime, Error, ErrorKind, Guarantee, Health, ImageId, ImageSource, Instance,
    InstanceId, InstanceSpec, Limits, LogLine, LogQuery, ProgressSink, Reach, Result,
    RuntimeResize, TenantId, labels,
};
use futures_util::stream::{self, BoxStream, StreamExt};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use crate::address::{self, Address};
use crate::config::DockerConfig;
use crate::engine::{Engine, unenforced};
use crate::instance::Container;
use crate::isolation::Rules;
use crate::network::{self, Network};
use crate::spec::LimitValues;
use crate::{ensure, http, images, logs};

/// How often a state that Docker is about to reach is looked at.
pub(crate) const PAUSE: Duration = Duration::from_millis(100);
/// How many addresses a container tries before its start fails.
const ADDRESSES: u32 = 5;
/// How many containers are looked at side by side.
const SIDE_BY_SIDE: usize = 16;

/// Runs tenants' containers on one Docker Engine.
///
/// It holds nothing that must survive: what it knows of a container stands on the container.
#[derive(Debug)]
pub struct DockerRuntime {
    pub(crate) engine: Engine,
    pub(crate) config: DockerConfig,
    pub(crate) network: Network,
    /// What the engine can't enforce.
    pub(crate) unenforced: Vec<Guarantee>,
    /// Whether the engine can limit swap.
    limits_swap: bool,
    /// What keeps tenants from this machine.
    pub(crate) rules: Rules,
    /// Held by whoever probes them, or removes what probes have left; when that was done last.
    pub(crate) probing: Mutex<Option<Instant>>,
}

impl DockerRuntime {
    /// Connects to Docker, checks that it is new enough, and makes the tenants' network unless it
    /// is there.
    ///
    /// What the engine can't enforce is asked once, here.
    ///
    /// # Errors
    /// `Unavailable` when Docker does not answer, `Denied` without the right to use it,
    /// `Unsupported` when it is older than Engine 20.10, `Conflict` when a network of this name
    /// lets containers reach each other, `Invalid` for an address of another form.
    pub async fn connect(config: DockerConfig) -> Result<Self> {
        let connect = async {
            let engine = Engine::connect(&config).await?;
            let info = engine.info().await?;
            let (unenforced, limits_swap) = (unenforced(&info), info.swap_limit != Some(false));
            let network = Network::ensure(&engine, &config).await?;
            let rules = Rules::default();
            if let Some(firewall) = &config.firewall
                && let Err(error) = rules.ensure(firewall, &network).await
            {
                tracing::warn!(error = %error.chain(), "tenants are not kept from this machine and its networks");
            }
            if !unenforced.is_empty() {
                tracing::warn!(?unenforced, "this Docker can't enforce everything");
            }
            let (config, probing) = (config.clone(), Mutex::default());
            Ok(Self { engine, network, unenforced, limits_swap, rules, probing, config })
        };
        connect.await.map_err(|error: Error| error.during("runtime.connect"))
    }

    /// The host's address on the tenants' network: where a container reaches a service of the
    /// host, such as PostgreSQL.
    #[must_use]
    pub fn gateway(&self) -> IpAddr {
        self.network.gateway
    }

    /// What this machine can't enforce; every [`Instance`] says it too. With a
    /// [firewall](DockerConfig::firewall) the network is among it until its rules are loaded.
    #[must_use]
    pub fn unenforced(&self) -> Vec<Guarantee> {
        let mut unenforced = self.unenforced.clone();
        let open = self.config.firewall.is_some() && !self.rules.were_loaded();
        if open && !unenforced.contains(&Guarantee::Network) {
            unenforced.push(Guarantee::Network);
        }
        unenforced
    }

    /// The memory of the engine's machine, in MB.
    ///
    /// # Errors
    /// `Unavailable` when Docker does not answer.
    pub async fn memory_mb(&self) -> Result<u64> {
        let bytes = self.engine.info().await?.mem_total.unwrap_or_default();
        Ok(u64::try_from(bytes).unwrap_or_default() / (1024 * 1024))
    }

    /// The container with this id (or name), whoever made it; `None` if there is none.
    pub(crate) async fn inspect(&self, id: &str) -> Result<Option<Container>> {
        // An id becomes part of an address: what is no id must not lead elsewhere.
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
        if id.starts_with('.') || id.is_empty() || !id.bytes().all(plain) {
            return Ok(None);
        }
        let call = self.engine.docker().inspect_container(id, None::<InspectContainerOptions>);
        match self.engine.call("look at the container", call).await {
            Ok(inspected) => Ok(Some(Container::new(inspected))),
            Err(failed) if failed.is_absent() => Ok(None),
            Err(failed) => Err(failed.into()),
        }
    }

    /// The container with this id, if this platform made it.
    pub(crate) async fn own(&self, id: &InstanceId) -> Result<Option<Container>> {
        match self.inspect(id.as_str()).await? {
            Some(container) if !container.belongs_to(self.config.platform) => Err(Error::new(
                ErrorKind::Conflict,
                "this container does not belong to this platform and is left alone",
            )
            .with("container", id)),
            found => Ok(found),
        }
    }

    async fn known(&self, id: &InstanceId) -> Result<Container> {
        self.own(id).await?.ok_or_else(|| absent(id))
    }

    pub(crate) fn instance(&self, container: &Container) -> Result<Instance> {
        let instance = container.instance(&self.network.name, self.unenforced());
        let instance = instance.map(|told| told.with_limits(container.limits(self.limits_swap)));
        instance.ok_or_else(|| {
            Error::new(ErrorKind::Internal, "the container's own labels are missing or spoilt")
                .with("container", container.id())
        })
    }

    /// The ids of this platform's containers.
    pub(crate) async fn ids(&self, tenant: Option<TenantId>, running: bool) -> Result<Vec<String>> {
        let mut marks = vec![format!("{}={}", labels::PLATFORM, self.config.platform)];
        marks.extend(tenant.map(|tenant| format!("{}={tenant}", labels::TENANT_ID)));
        let filters = HashMap::from([("label", marks)]);
        let options =
            ListContainersOptionsBuilder::default().all(!running).filters(&filters).build();
        let call = self.engine.docker().list_containers(Some(options));
        let found = self.engine.call("list the containers", call).await?;
        Ok(found.into_iter().filter_map(|container| container.id).collect())
    }

    /// This platform's containers, each looked at: a list alone tells no exit code.
    pub(crate) async fn containers(&self, tenant: Option<TenantId>) -> Result<Vec<Container>> {
        let ids = self.ids(tenant, false).await?;
        let looks = stream::iter(ids).map(|id| async move { self.inspect(&id).await });
        let found: Vec<_> = looks.buffered(SIDE_BY_SIDE).collect().await;
        // One that went away in the meantime is no error.
        found.into_iter().filter_map(Result::transpose).collect()
    }

    pub(crate) async fn stop_container(&self, id: &str, grace: Duration) -> Result<()> {
        // Whole seconds; rounded up, so that nobody gets less than promised.
        let seconds = i32::try_from(grace.as_millis().div_ceil(1000)).unwrap_or(i32::MAX);
        let options = StopContainerOptionsBuilder::default().t(seconds).build();
        let call = self.engine.docker().stop_container(id, Some(options));
        let time = grace + self.engine.timeout();
        match self.engine.call_within(time, "stop the container", call).await {
            Err(failed) if failed.is_absent() => return Ok(()),
            Err(failed) => return Err(failed.into()),
            Ok(()) => {}
        }
        // Docker may have answered before the last process was gone, or not have got rid of it.
        let deadline = Instant::now() + self.engine.timeout();
        while self.inspect(id).await?.is_some_and(|container| container.is_running()) {
            if Instant::now() > deadline {
                return Err(Error::new(
                    ErrorKind::TimedOut,
                    "the container was told to stop and killed, but still runs",
                )
                .with("container", id));
            }
            let options = KillContainerOptionsBuilder::default().signal("SIGKILL").build();
            let call = self.engine.docker().kill_container(id, Some(options));
            match self.engine.call("kill the container", call).await {
                // 409: it has ended by now.
                Err(failed) if !matches!(failed.status(), Some(404 | 409)) => {
                    return Err(failed.into());
                }
                _ => sleep(PAUSE).await,
            }
        }
        Ok(())
    }

    pub(crate) async fn remove_container(&self, id: &str) -> Result<()> {
        let deadline = Instant::now() + self.engine.timeout();
        loop {
            let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
            let call = self.engine.docker().remove_container(id, Some(options));
            match self.engine.call("remove the container", call).await {
                Ok(()) => return Ok(()),
                Err(failed) if failed.is_absent() => return Ok(()),
                // Somebody's removal is under way: done when it is done.
                Err(failed) if failed.status() == Some(409) && Instant::now() < deadline => {
                    sleep(PAUSE).await;
                }
                Err(failed) => return Err(Error::from(failed).with("container", id)),
            }
        }
    }

    pub(crate) fn network_gone(&self) -> Error {
        Error::new(
            ErrorKind::Unavailable,
            "the tenants' network is gone: start this program again, which makes it anew",
        )
        .permanent()
        .with("network", &self.network.name)
    }

    async fn start_known(&self, id: &InstanceId) -> Result<Instance> {
        let container = self.known(id).await?;
        if !container.is_running() {
            self.start_container(container.id(), Address::Any).await?;
        }
        self.instance(&self.known(id).await?)
    }

    /// Starts a container, with another address where it can't have its own.
    pub(crate) async fn start_container(&self, id: &str, address: Address) -> Result<()> {
        let mut addresses = 1;
        loop {
            let call = self.engine.docker().start_container(id, None::<StartContainerOptions>);
            match self.engine.call("start the container", call).await {
                Ok(()) => return Ok(()),
                Err(failed) if address::does_not_fit(&failed) && addresses < ADDRESSES => {
                    address::change(&self.engine, &self.network, id).await?;
                    addresses += 1;
                }
                // Made anew, under the same name: the container still means the one before.
                Err(failed)
                    if failed.lacks_network()
                        && addresses < ADDRESSES
                        && !network::find(&self.engine, &self.network.name).await?.is_empty() =>
                {
                    address::change(&self.engine, &self.network, id).await?;
                    addresses += 1;
                }
                Err(failed) if failed.lacks_network() => return Err(self.network_gone()),
                Err(failed) if address::lacks_range(&failed) => {
                    if address == Address::Own || addresses == ADDRESSES {
                        return Err(address::without_range(&self.network));
                    }
                    address::leave_to_docker(&self.engine, &self.network, id).await?;
                    addresses = ADDRESSES;
                }
                Err(failed) => return Err(Error::from(failed).with("container", id)),
            }
        }
    }

    async fn probe_known(&self, id: &InstanceId, port: u16, path: &str) -> Result<Reach> {
        let container = self.known(id).await?;
        if !container.is_running() {
            return Ok(Reach::Unreachable("the container does not run".into()));
        }
        let Some(address) = container.address(&self.network.name) else {
            let why = format!("the container is not on the network {}", self.network.name);
            return Ok(Reach::Unreachable(why));
        };
        let address = SocketAddr::new(address, port);
        let host = address.to_string();
        Ok(match http::head(address, &host, path, self.config.probe_timeout).await {
            Ok(answer) => Reach::Status(answer.status().as_u16()),
            Err(fault) if fault.is_connected() => Reach::Silent(fault.to_string()),
            Err(fault) => Reach::Unreachable(fault.to_string()),
        })
    }
}

fn absent(id: &InstanceId) -> Error {
    Error::new(ErrorKind::NotFound, "there is no such container").with("container", id)
}

#[async_trait]
impl ContainerRuntime for DockerRuntime {
    async fn prepare(&self, image: &ImageSource, progress: &ProgressSink) -> Result<ImageId> {
        images::prepare(&self.engine, image, progress)
            .await
            .map_err(|error| error.during("runtime.prepare"))
    }

    async fn ensure(&self, spec: &InstanceSpec) -> Result<Instance> {
        let result = ensure::ensure(self, spec).await;
        result.map_err(|error| error.during("runtime.ensure").with("tenant", spec.tenant))
    }

    async fn start(&self, instance: &InstanceId) -> Result<Instance> {
        self.start_known(instance).await.map_err(|error| error.during("runtime.start"))
    }

    async fn stop(&self, instance: &InstanceId, grace: Duration) -> Result<()> {
        let stop = async {
            match self.own(instance).await? {
                Some(container) => self.stop_container(container.id(), grace).await,
                None => Ok(()),
            }
        };
        stop.await.map_err(|error| error.during("runtime.stop"))
    }

    async fn remove(&self, instance: &InstanceId) -> Result<()> {
        let remove = async {
            match self.own(instance).await? {
                Some(container) => self.remove_container(container.id()).await,
                None => Ok(()),
            }
        };
        remove.await.map_err(|error| error.during("runtime.remove"))
    }

    async fn list(&self, tenant: Option<TenantId>) -> Result<Vec<Instance>> {
        let containers =
            self.containers(tenant).await.map_err(|error| error.during("runtime.list"))?;
        let instances = containers.iter().filter(|c| !c.is_going()).filter_map(|container| {
            let instance = self.instance(container);
            instance.inspect_err(|error| tracing::warn!(%error, "a container is left out")).ok()
        });
        Ok(instances.collect())
    }

    async fn logs(
        &self,
        instance: &InstanceId,
        query: &LogQuery,
    ) -> Result<BoxStream<'static, Result<LogLine>>> {
        let container = self.known(instance).await;
        let container = container.map_err(|error| error.during("runtime.logs"))?;
        Ok(logs::lines(&self.engine, container.id(), query))
    }

    async fn probe(&self, instance: &InstanceId, port: u16, path: &str) -> Result<Reach> {
        let reach = self.probe_known(instance, port, path).await;
        reach.map_err(|error| error.during("runtime.probe"))
    }

    async fn health(&self) -> Result<Health> {
        let version =
            self.engine.version().await.map_err(|error| error.during("runtime.health"))?;
        Ok(Health::new(format!(
            "Docker Engine {} (API {})",
            version.version.unwrap_or_default(),
            version.api_version.unwrap_or_default(),
        )))
    }
}

#[async_trait]
impl RuntimeResize for DockerRuntime {
    async fn resize(&self, instance: &InstanceId, limits: &Limits) -> Result<()> {
        let resize = async {
            let container = self.known(instance).await?;
            let limits = LimitValues::of(limits, &self.config, &self.unenforced);
            let body = ContainerUpdateBody {
                memory: limits.memory,
                memory_swap: limits.memory,
                memory_reservation: limits.memory_reservation,
                cpu_shares: limits.cpu_shares,
                nano_cpus: limits.nano_cpus,
                pids_limit: limits.pids,
                ..Default::default()
            };
            let call = self.engine.docker().update_container(container.id(), body);
            self.engine.call("change the container's limits", call).await?;
            Ok(())
        };
        resize.await.map_err(|error: Error| error.during("runtime.resize"))
    }
}
